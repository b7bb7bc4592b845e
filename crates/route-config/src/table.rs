//! Which route takes a request, by the precedence of the Gateway API: the most specific host, then the most specific
//! path, then the most header fields, then the oldest route, then the first by name.

use crate::{HostPattern, PathMatch, RequestMatch, Route, RouteId};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::cmp::Reverse;
use std::sync::Arc;

/// The routes of one sidecar.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    /// From the oldest to the youngest.
    routes: Vec<Arc<Route>>,
}

/// A route that contests what an older one has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Conflict {
    /// The route that yields.
    pub loser: RouteId,
    /// The route that keeps what both claim.
    pub winner: RouteId,
    /// What both claim, for people.
    pub claim: String,
}

/// Header fields of a request, however they are stored.
pub trait HasHeader {
    /// Whether one of the fields `name` has exactly this value.
    fn has_header(&self, name: &HeaderName, value: &HeaderValue) -> bool;
}

impl HasHeader for HeaderMap {
    fn has_header(&self, name: &HeaderName, value: &HeaderValue) -> bool {
        self.get_all(name).iter().any(|each| each == value)
    }
}

/// How well a pattern fits; the greater wins. Exactness, then length.
type Fit = (bool, usize);

impl RouteTable {
    /// Puts routes in order. Routes that conflict are told apart by [`RouteTable::conflicts`], and stay in the table: for
    /// requests that both take, the older one counts.
    pub fn new(routes: impl IntoIterator<Item = impl Into<Arc<Route>>>) -> Self {
        let mut routes: Vec<Arc<Route>> = routes.into_iter().map(Into::into).collect();
        routes.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Self { routes }
    }

    /// The routes, from the oldest to the youngest.
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// The route that takes a request at `port` for `host` (with or without a port; empty if there is none), `path`
    /// (without the query, in its normal form) and `headers`.
    pub fn find(&self, port: u16, host: &str, path: &str, headers: &impl HasHeader) -> Option<&Arc<Route>> {
        let host = bare_host(host).to_ascii_lowercase();
        let candidates = self
            .routes
            .iter()
            .enumerate()
            .filter(|(_, route)| route.port == port);
        candidates
            .filter_map(|(age, route)| {
                let host_fit = host_fit(route, &host)?;
                let matches = route.matches.iter().filter(|each| has_headers(each, headers));
                let best = matches
                    .filter_map(|each| Some((path_fit(&each.path, path)?, each.headers.len())))
                    .max()?;
                Some(((host_fit, best, Reverse(age)), route))
            })
            .max_by_key(|(rank, _)| *rank)
            .map(|(_, route)| route)
    }

    /// What younger routes claim that older ones have: the same requests, or one port with other certificates.
    pub fn conflicts(&self) -> Vec<Conflict> {
        let pairs = self
            .routes
            .iter()
            .enumerate()
            .flat_map(|(index, younger)| self.routes[..index].iter().map(move |older| (older, younger)));
        pairs
            .filter(|(older, younger)| older.port == younger.port)
            .filter_map(|(older, younger)| {
                Some(Conflict {
                    loser: younger.id.clone(),
                    winner: older.id.clone(),
                    claim: contested(older, younger)?,
                })
            })
            .collect()
    }
}

/// The host of a `Host` field: without the port, and without the dot of the root, with which it is the same host.
fn bare_host(host: &str) -> &str {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

fn host_fit(route: &Route, host: &str) -> Option<Fit> {
    if route.hostnames.is_empty() {
        return Some((false, 0));
    }
    let fits = route.hostnames.iter().filter_map(|pattern| match pattern {
        HostPattern::Exact(name) => (name == host).then_some((true, name.len())),
        HostPattern::Suffix(suffix) => {
            (host.len() > suffix.len() && host.ends_with(suffix.as_str())).then_some((false, suffix.len()))
        }
    });
    fits.max()
}

fn path_fit(pattern: &PathMatch, path: &str) -> Option<Fit> {
    match pattern {
        PathMatch::Exact(value) => (value == path).then_some((true, value.len())),
        PathMatch::Prefix(prefix) => {
            let rest = path.strip_prefix(prefix.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then_some((false, prefix.len()))
        }
    }
}

fn has_headers(pattern: &RequestMatch, headers: &impl HasHeader) -> bool {
    pattern
        .headers
        .iter()
        .all(|wanted| headers.has_header(&wanted.name, &wanted.value))
}

/// What two routes of one port both claim. Overlap alone is no conflict: the more specific one wins. The same pattern is.
fn contested(older: &Route, younger: &Route) -> Option<String> {
    if older.tls != younger.tls {
        return Some(format!("port {} with other certificates", older.port));
    }
    let host = common_host(older, younger)?;
    let both = younger.matches.iter().find(|each| older.matches.contains(each))?;
    let path = match &both.path {
        PathMatch::Exact(path) => format!("exactly {path}"),
        PathMatch::Prefix(path) => format!("everything below {path}/"),
    };
    Some(format!("{host}, port {}, {path}", older.port))
}

fn common_host(older: &Route, younger: &Route) -> Option<String> {
    if older.hostnames.is_empty() && younger.hostnames.is_empty() {
        return Some("every host".into());
    }
    let both = younger
        .hostnames
        .iter()
        .find(|name| older.hostnames.contains(name))?;
    Some(match both {
        HostPattern::Exact(name) => format!("host {name}"),
        HostPattern::Suffix(suffix) => format!("hosts *{suffix}"),
    })
}

#[cfg(test)]
mod tests;
