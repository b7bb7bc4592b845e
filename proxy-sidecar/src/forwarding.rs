//! What backends are told about the client: by the word of proxies that are trusted, and by what is seen here.

use crate::fields::Fields;
use crate::request::starts_with_ignore_case;
use bytes::Bytes;
use heddle_crds::ws_route::ForwardedHeaders;
use heddle_route_config::Route;
use ipnet::IpNet;
use std::net::IpAddr;

/// The scheme by which the client came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// The last hop before this proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hop<'a> {
    pub(crate) peer: IpAddr,
    pub(crate) scheme: Scheme,
    /// The host that was asked for.
    pub(crate) host: &'a str,
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

/// The address of the client: the peer's, or the last one that trusted proxies name which is not a trusted proxy's own.
pub(crate) fn client_address(fields: &Fields, peer: IpAddr, route: &Route) -> IpAddr {
    let trusted = &route.trusted_proxies;
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let named: Vec<IpAddr> = match route.forwarded_headers {
        ForwardedHeaders::Forwarded => forwarded_for(fields),
        _ => fields
            .tokens("x-forwarded-for")
            // A name that is no address ends what can be known about what is before it.
            .map(address)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .map_while(|address| address)
            .collect(),
    };
    named
        .iter()
        .find(|address| !is_trusted(**address, trusted))
        .or(named.last())
        .copied()
        .unwrap_or(peer)
}

/// The addresses of `Forwarded`, the last first, up to one that is hidden or malformed.
fn forwarded_for(fields: &Fields) -> Vec<IpAddr> {
    let elements: Vec<_> = fields.tokens("forwarded").collect();
    let of = |element: &&[u8]| {
        element
            .split(|&byte| byte == b';')
            .map(<[u8]>::trim_ascii)
            .find(|pair| starts_with_ignore_case(pair, b"for="))
            .and_then(|pair| address(&pair[4..]))
    };
    elements.iter().rev().map_while(of).collect()
}

/// An address as proxies write it: with or without quotes, brackets and a port.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim_matches('"');
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once(']')?.0.parse().ok();
    }
    text.split_once(':')?.0.parse().ok()
}

/// Fields that tell about the client.
enum Family {
    XForwarded,
    Forwarded,
    /// What programs take for one of `X-Forwarded-` that read fields as CGI variables, where `-` and `_` are the same
    /// (RFC 3875, 4.1.18).
    Lookalike,
}

fn family(name: &[u8]) -> Option<Family> {
    const X_FORWARDED: &[u8] = b"x-forwarded-";
    if name.eq_ignore_ascii_case(b"forwarded") {
        return Some(Family::Forwarded);
    }
    let prefix = name.get(..X_FORWARDED.len())?;
    let is_alike = |(byte, expected): (&u8, &u8)| {
        let byte = if *byte == b'_' { b'-' } else { *byte };
        byte.eq_ignore_ascii_case(expected)
    };
    if !prefix.iter().zip(X_FORWARDED).all(is_alike) {
        return None;
    }
    match name.contains(&b'_') {
        true => Some(Family::Lookalike),
        false => Some(Family::XForwarded),
    }
}

/// Takes out what must not be believed, and adds this hop.
pub(crate) fn rewrite(fields: &mut Fields, hop: Hop<'_>, route: &Route) {
    let (x_forwarded, forwarded) = match route.forwarded_headers {
        ForwardedHeaders::XForwarded => (true, false),
        ForwardedHeaders::Forwarded => (false, true),
        ForwardedHeaders::Both => (true, true),
        ForwardedHeaders::None => (false, false),
    };
    let is_trusted = is_trusted(hop.peer, &route.trusted_proxies);
    fields.retain(|field| match family(&field.name) {
        Some(Family::XForwarded) => is_trusted && x_forwarded,
        Some(Family::Forwarded) => is_trusted && forwarded,
        // No proxy that is trusted writes it.
        Some(Family::Lookalike) => false,
        None => true,
    });
    if x_forwarded {
        append(fields, "X-Forwarded-For", hop.peer.to_string());
        // What the first proxy was asked for is what the client asked for.
        for (name, value) in [
            ("X-Forwarded-Host", hop.host),
            ("X-Forwarded-Proto", hop.scheme.as_str()),
        ] {
            if !fields.has(name) {
                fields.push(name, value.to_owned());
            }
        }
    }
    if forwarded {
        append(fields, "Forwarded", element(hop));
    }
}

/// Adds to a list at its end, and makes one line of it.
fn append(fields: &mut Fields, name: &'static str, element: String) {
    let mut list = Vec::new();
    for value in fields.all(name) {
        list.extend_from_slice(value);
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(element.as_bytes());
    fields.retain(|field| !field.name.eq_ignore_ascii_case(name.as_bytes()));
    fields.push(name, Bytes::from(list));
}

/// One element of `Forwarded` (RFC 7239, 4).
fn element(hop: Hop<'_>) -> String {
    let address = match hop.peer {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("\"[{address}]\""),
    };
    format!(
        "for={address};host=\"{}\";proto={}",
        hop.host,
        hop.scheme.as_str()
    )
}

#[cfg(test)]
mod tests;
