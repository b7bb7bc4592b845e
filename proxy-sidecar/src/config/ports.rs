//! Which routes of a set are served, by what their ports let them: a port has one set of certificates.
//!
//! A route whose wanted generation cannot be served goes on with the former one. Where that was behind other certificates
//! than the port is about to get, the port keeps those that it has, and with it all of its routes: behind the certificates of
//! another route, a route would be open to clients that it never let in.

use super::prepare::Prepared;
use super::{Applied, Listening, ServeError};
use crate::live::{LiveRoute, LiveRoutes};
use crate::tls::{ListenerTls, Secrets};
use crate::worker::Socket;
use heddle_route_config::{Route, RouteId, TlsSecrets};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// What can be served of one route.
#[derive(Debug)]
pub(super) struct Choice {
    id: RouteId,
    wanted: Option<Prepared>,
    /// Why the wanted one is not served.
    error: Option<ServeError>,
    /// What is served otherwise.
    former: Option<Arc<LiveRoute>>,
    standing: Standing,
}

/// How sure it is that a port can be as a route's former generation needs it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Standing {
    /// It is served at this moment.
    Served,
    /// A process before this one has served it.
    Kept,
}

/// Who decides about a port: the least. What stays comes before what is new, and then the oldest.
type Rank = (bool, Option<Standing>, i64, RouteId);

/// The certificates of a port, and whose they are.
#[derive(Debug)]
struct Holder {
    tls: Option<TlsSecrets>,
    id: RouteId,
    stays: bool,
}

impl Choice {
    /// `known` is what is served at this moment, and `kept` what was served by a process before.
    pub(super) fn new(
        id: RouteId,
        wanted: Result<Prepared, ServeError>,
        known: Option<Arc<LiveRoute>>,
        kept: Option<Arc<LiveRoute>>,
    ) -> Self {
        let standing = match known {
            Some(_) => Standing::Served,
            None => Standing::Kept,
        };
        let (wanted, error) = match wanted {
            Ok(wanted) => (Some(wanted), None),
            Err(error) => (None, Some(error)),
        };
        Self {
            id,
            wanted,
            error,
            former: known.or(kept),
            standing,
        }
    }

    fn current(&self) -> Option<&Arc<LiveRoute>> {
        self.wanted
            .as_ref()
            .map(|prepared| &prepared.live)
            .or(self.former.as_ref())
    }

    pub(super) fn applied(&self) -> Applied {
        let current = self.current();
        Applied {
            id: self.id.clone(),
            generation: current.map(|live| live.route.generation),
            descriptors: current.and_then(|live| live.descriptors().map(str::to_owned)),
            error: self.error.clone(),
        }
    }

    /// What is served from now on.
    pub(super) fn serve(self) -> Option<Arc<LiveRoute>> {
        self.wanted.map(Prepared::serve).or(self.former)
    }

    fn rank(&self, route: &Route) -> Rank {
        let stays = self.wanted.is_none().then_some(self.standing);
        (stays.is_none(), stays, route.created_at, route.id.clone())
    }

    fn refuse(&mut self, error: ServeError) {
        match self.wanted.take() {
            Some(_) => self.error = Some(error),
            None => self.former = None,
        }
    }
}

/// Takes back what cannot be served, until all that is left can be. `open` says whether a port can be had with these
/// certificates.
pub(super) fn settle(
    choices: &mut [Choice],
    mut open: impl FnMut(u16, Option<&TlsSecrets>) -> Result<(), ServeError>,
) {
    loop {
        let holders = holders(choices);
        let mut is_settled = true;
        for choice in &mut *choices {
            let Some(live) = choice.current() else { continue };
            let route = &live.route;
            let fits = match holders.get(&route.port) {
                Some(holder) if holder.tls != route.tls => Err(holder.refusal(route.port)),
                _ => open(route.port, route.tls.as_ref()),
            };
            if let Err(error) = fits {
                choice.refuse(error);
                is_settled = false;
            }
        }
        // Each round takes something back, so there is a last one.
        if is_settled {
            return;
        }
    }
}

fn holders(choices: &[Choice]) -> BTreeMap<u16, Holder> {
    let mut claims: Vec<_> = choices
        .iter()
        .filter_map(|choice| {
            let route = &choice.current()?.route;
            Some((choice.rank(route), route))
        })
        .collect();
    claims.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut holders = BTreeMap::new();
    for ((is_new, _, _, id), route) in claims {
        holders.entry(route.port).or_insert_with(|| Holder {
            tls: route.tls.clone(),
            id,
            stays: !is_new,
        });
    }
    holders
}

impl Holder {
    fn refusal(&self, port: u16) -> ServeError {
        let id = &self.id;
        ServeError::other(match self.stays {
            true => format!(
                "port {port} keeps its certificates: WsRoute {id}, which shares it, is still served with those"
            ),
            false => format!("WsRoute {id}, which is older, has port {port} with other certificates"),
        })
    }
}

/// Ports and certificates that were tried. Nothing is accepted before the sockets are handed to threads.
pub(super) struct Opening<'a> {
    listening: Listening,
    threads: usize,
    secrets: &'a Secrets,
    former: &'a LiveRoutes,
    /// Ports that are open.
    open: &'a BTreeSet<u16>,
    sockets: BTreeMap<u16, Result<Vec<Socket>, ServeError>>,
    listeners: HashMap<(u16, TlsSecrets), Result<Arc<ListenerTls>, ServeError>>,
}

/// What is served through.
#[derive(Debug)]
pub(super) struct Opened {
    /// For ports that were not open yet.
    pub(super) sockets: Vec<Vec<Socket>>,
    /// The certificates of ports that take TLS.
    pub(super) listeners: BTreeMap<u16, Arc<ListenerTls>>,
}

impl<'a> Opening<'a> {
    pub(super) fn new(
        listening: Listening,
        threads: usize,
        secrets: &'a Secrets,
        former: &'a LiveRoutes,
        open: &'a BTreeSet<u16>,
    ) -> Self {
        Self {
            listening,
            threads,
            secrets,
            former,
            open,
            sockets: BTreeMap::new(),
            listeners: HashMap::new(),
        }
    }

    pub(super) fn open(&mut self, port: u16, tls: Option<&TlsSecrets>) -> Result<(), ServeError> {
        if let Some(tls) = tls {
            self.load(port, tls)?;
        }
        if self.open.contains(&port) {
            return Ok(());
        }
        let Listening { address, admin_port } = self.listening;
        if port == admin_port {
            return Err(ServeError::other(format!(
                "port {port} is that of the sidecar's own probes and metrics"
            )));
        }
        let sockets = self.sockets.entry(port).or_insert_with(|| {
            Socket::bind(address, port, self.threads)
                .map_err(|error| ServeError::other(format!("failed to listen on port {port}: {error}")))
        });
        sockets.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    fn load(&mut self, port: u16, tls: &TlsSecrets) -> Result<(), ServeError> {
        let (secrets, former) = (self.secrets, self.former);
        let listener = self.listeners.entry((port, tls.clone())).or_insert_with(|| {
            secrets
                .listener(tls, former.listener(port))
                .map_err(|error| ServeError::secret(&error))
        });
        listener.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    /// What the choices that are left need of it. The rest is closed again.
    pub(super) fn opened(mut self, choices: &[Choice]) -> Opened {
        let mut opened = Opened {
            sockets: Vec::new(),
            listeners: BTreeMap::new(),
        };
        for route in choices.iter().filter_map(|choice| Some(&choice.current()?.route)) {
            if let Some(Ok(sockets)) = self.sockets.remove(&route.port) {
                opened.sockets.push(sockets);
            }
            let listener = route
                .tls
                .as_ref()
                .and_then(|tls| self.listeners.get(&(route.port, tls.clone())));
            if let Some(Ok(listener)) = listener {
                opened.listeners.insert(route.port, Arc::clone(listener));
            }
        }
        opened
    }
}
