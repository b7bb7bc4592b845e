//! The routes that are served right now, and what is kept for each while it is.

use crate::backend::Backends;
use crate::broadcast::Remembered;
use crate::metrics::RouteMetrics;
use crate::tls::ListenerTls;
use crate::transcode::Transcoder;
use heddle_dynamic_protobuf::SchemaCell;
use heddle_route_config::{HasHeader, RequestPath, Route, RouteId, RouteTable};
use heddle_ws_session::{SessionContext, SessionControl, SessionRules, Traffic};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A route, ready to take requests. It is made anew when its specification changes; what it shares with sessions stays.
#[derive(Debug)]
pub(crate) struct LiveRoute {
    pub(crate) route: Arc<Route>,
    pub(crate) rules: Arc<SessionRules>,
    pub(crate) backends: Backends,
    /// Turns messages, on a route that has them turned.
    pub(crate) transcoder: Option<Arc<Transcoder>>,
    /// What it goes by.
    pub(crate) schema: Option<LiveSchema>,
    pub(crate) sessions: Arc<RouteSessions>,
    /// Ends the sessions. Not that of a route of the same name that went away: its sessions are being drained.
    pub(crate) control: SessionControl,
}

/// The schema of one route, swapped under sessions that are open.
#[derive(Clone, Debug)]
pub(crate) struct LiveSchema {
    /// The digest of the descriptor set that it was made from.
    pub(crate) digest: String,
    pub(crate) cell: Arc<SchemaCell>,
}

/// What all sessions of a route share, whatever generation of it they began with.
#[derive(Debug)]
pub(crate) struct RouteSessions {
    pub(crate) id: RouteId,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) metrics: RouteMetrics,
    /// Which messages for all have been queued.
    pub(crate) remembered: Mutex<Remembered>,
    /// Sessions, and handshakes that may become some.
    open: AtomicU32,
    clients: Mutex<HashMap<IpAddr, u32>>,
}

/// All routes of one moment. Never changed: a new one takes its place.
#[derive(Debug, Default)]
pub(crate) struct LiveRoutes {
    table: RouteTable,
    routes: HashMap<RouteId, Arc<LiveRoute>>,
    /// The certificates of ports that take TLS.
    listeners: BTreeMap<u16, Arc<ListenerTls>>,
}

/// Which limit a session would exceed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LimitReached {
    Route,
    Client,
}

/// A path that can be read as one of another route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct AmbiguousPath;

/// The right to have one session. Given back when it is dropped.
#[derive(Debug)]
pub(crate) struct SessionPermit {
    sessions: Arc<RouteSessions>,
    /// Where clients are counted.
    client: Option<IpAddr>,
}

impl LiveRoute {
    /// The digest of the descriptor set that it goes by.
    pub(crate) fn descriptors(&self) -> Option<&str> {
        self.schema.as_ref().map(|schema| schema.digest.as_str())
    }

    /// What the data path goes by.
    pub(crate) fn session_context(&self) -> SessionContext {
        SessionContext {
            rules: Arc::clone(&self.rules),
            control: self.control.clone(),
            traffic: Arc::clone(&self.sessions.traffic),
        }
    }

    /// Counts a session in, if the route's limits let it.
    pub(crate) fn admit(&self, client: IpAddr) -> Result<SessionPermit, LimitReached> {
        let limits = &self.route.limits;
        let most = limits.max_connections.unwrap_or(u32::MAX);
        let sessions = &self.sessions;
        sessions
            .open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                (open < most).then_some(open + 1)
            })
            .map_err(|_| LimitReached::Route)?;
        let mut permit = SessionPermit {
            sessions: Arc::clone(sessions),
            client: None,
        };
        if let Some(most) = limits.max_connections_per_client {
            sessions.count_client(client, most)?;
            permit.client = Some(client);
        }
        Ok(permit)
    }
}

impl RouteSessions {
    pub(crate) fn new(id: RouteId) -> Self {
        Self {
            id,
            traffic: Arc::default(),
            metrics: RouteMetrics::default(),
            remembered: Mutex::default(),
            open: AtomicU32::new(0),
            clients: Mutex::default(),
        }
    }

    /// Who gets no session leaves no trace either: clients can have as many addresses as they like.
    fn count_client(&self, client: IpAddr, most: u32) -> Result<(), LimitReached> {
        let mut clients = lock(&self.clients);
        if clients.get(&client).copied().unwrap_or_default() >= most {
            return Err(LimitReached::Client);
        }
        *clients.entry(client).or_default() += 1;
        Ok(())
    }
}

impl Drop for SessionPermit {
    fn drop(&mut self) {
        self.sessions.open.fetch_sub(1, Ordering::Relaxed);
        let Some(client) = self.client else { return };
        let mut clients = lock(&self.sessions.clients);
        if let Some(open) = clients.get_mut(&client) {
            *open -= 1;
            if *open == 0 {
                clients.remove(&client);
            }
        }
    }
}

impl LiveRoutes {
    /// The routes of one moment, and the certificates of their ports.
    pub(crate) fn new(routes: Vec<Arc<LiveRoute>>, listeners: BTreeMap<u16, Arc<ListenerTls>>) -> Self {
        Self {
            table: RouteTable::new(routes.iter().map(|live| Arc::clone(&live.route))),
            routes: routes
                .into_iter()
                .map(|live| (live.route.id.clone(), live))
                .collect(),
            listeners,
        }
    }

    /// # Errors
    /// [`AmbiguousPath`] if the backend could take the path for one that another route is for.
    pub(crate) fn find(
        &self,
        port: u16,
        host: &str,
        path: &RequestPath,
        headers: &impl HasHeader,
    ) -> Result<Option<&Arc<LiveRoute>>, AmbiguousPath> {
        let find = |path| {
            let route = self.table.find(port, host, path, headers)?;
            Some(&route.id)
        };
        let id = find(path.normal());
        match path.folded().is_some_and(|folded| find(folded) != id) {
            true => Err(AmbiguousPath),
            false => Ok(id.and_then(|id| self.routes.get(id))),
        }
    }

    pub(crate) fn get(&self, id: &RouteId) -> Option<&Arc<LiveRoute>> {
        self.routes.get(id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<LiveRoute>> {
        self.routes.values()
    }

    /// The certificates of a port. None for one that takes plain connections.
    pub(crate) fn listener(&self, port: u16) -> Option<&Arc<ListenerTls>> {
        self.listeners.get(&port)
    }

    pub(crate) fn listeners(&self) -> impl Iterator<Item = &Arc<ListenerTls>> {
        self.listeners.values()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Counts are whole at every moment, also when somebody panics.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn clients_that_get_no_session_leave_no_trace() {
        let id = RouteId {
            namespace: "default".into(),
            name: "chat".into(),
        };
        let sessions = RouteSessions::new(id);
        for address in 0..1000_u32 {
            let client = IpAddr::from(Ipv4Addr::from_bits(address));
            assert_eq!(sessions.count_client(client, 0), Err(LimitReached::Client));
        }
        assert!(lock(&sessions.clients).is_empty());
    }
}
