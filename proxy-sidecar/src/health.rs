//! What the probes say, and why.

use crate::config::Applied;
use heddle_http_server::Probes;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

/// The state of the process, shared by its parts. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health(Arc<Mutex<State>>);

#[derive(Clone, Debug, Default)]
enum State {
    #[default]
    Starting,
    Serving(Served),
    Stopping,
}

/// How far what is served is what should be.
#[derive(Clone, Debug, Default)]
struct Served {
    /// Routes that should be served, and those that something is served of.
    wanted: usize,
    served: usize,
    /// What is wrong with routes, a line each.
    troubles: String,
}

/// What a probe is answered with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Readiness {
    /// Whether new connections may come.
    pub(crate) ready: bool,
    pub(crate) text: String,
}

impl Health {
    /// There is a configuration, and this has become of it.
    pub(crate) fn set_applied(&self, applied: &[Applied]) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A proxy that stops does not become ready again.
        if !matches!(*state, State::Stopping) {
            *state = State::Serving(Served::new(applied));
        }
    }

    pub(crate) fn stop(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::Stopping;
    }

    /// Whether new connections may come, and what is served.
    ///
    /// One route that is refused takes no traffic away from the others. A proxy that should serve routes and serves none is
    /// not ready: a rollout stops before it replaces pods that do.
    pub(crate) fn readiness(&self) -> Readiness {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let not_ready = |text: &str| Readiness {
            ready: false,
            text: text.to_owned(),
        };
        match &*state {
            State::Starting => not_ready("there is no configuration yet"),
            State::Stopping => not_ready("the proxy is stopping"),
            State::Serving(served) => Readiness {
                ready: served.wanted == 0 || served.served > 0,
                text: served.to_string(),
            },
        }
    }
}

impl Probes for Health {
    /// Whoever can answer is alive.
    fn not_alive(&self) -> Option<String> {
        None
    }

    fn not_ready(&self) -> Option<String> {
        let readiness = self.readiness();
        (!readiness.ready).then_some(readiness.text)
    }

    fn state(&self) -> String {
        self.readiness().text
    }
}

impl Served {
    fn new(applied: &[Applied]) -> Self {
        let mut served = Self {
            wanted: applied.len(),
            served: applied.iter().filter(|route| route.generation.is_some()).count(),
            troubles: String::new(),
        };
        for route in applied {
            if let Some(error) = &route.error {
                // Writing to a String cannot fail.
                write!(served.troubles, "\n{}: {error}", route.id).ok();
            }
        }
        served
    }
}

impl std::fmt::Display for Served {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            wanted,
            served,
            troubles,
        } = self;
        write!(formatter, "{served} of {wanted} routes are served{troubles}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ServeError;
    use heddle_route_config::RouteId;
    use heddle_route_config::protocol::RouteErrorKind;

    fn applied(name: &str, generation: Option<i64>, error: Option<&str>) -> Applied {
        Applied {
            id: RouteId {
                namespace: "shop".into(),
                name: name.into(),
            },
            generation,
            descriptors: None,
            error: error.map(|message| ServeError {
                kind: RouteErrorKind::Other,
                message: message.into(),
            }),
        }
    }

    #[test]
    fn readiness_says_what_is_served_and_fails_when_nothing_is() {
        let health = Health::default();
        let ready = || {
            let readiness = health.readiness();
            (readiness.ready, readiness.text)
        };
        assert_eq!(ready(), (false, "there is no configuration yet".into()));
        health.set_applied(&[]);
        assert_eq!(ready(), (true, "0 of 0 routes are served".into()));
        health.set_applied(&[
            applied("a", Some(1), None),
            applied("b", None, Some("port 1 is taken")),
        ]);
        let text = "1 of 2 routes are served\nshop/b: port 1 is taken";
        assert_eq!(ready(), (true, text.into()));
        health.set_applied(&[applied("b", None, Some("no"))]);
        assert_eq!(ready(), (false, "0 of 1 routes are served\nshop/b: no".into()));
        health.stop();
        health.set_applied(&[applied("a", Some(1), None)]);
        assert_eq!(ready(), (false, "the proxy is stopping".into()));
    }
}
