//! What people are told when something changes: one log line and one event each, at transitions only.

use super::WsRouteContext;
use crate::events::{self, Happening, Reporter, Severity};
use heddle_crds::WsRoute;
use heddle_crds::condition::{self, Condition, ConditionStatus};
use heddle_crds::ws_route::{ConditionType, Reason, WsRouteStatus};
use kube::api::ObjectMeta;

/// The name under which the operator reports events.
const REPORTING_CONTROLLER: &str = "heddle.dev/ws-route";

/// Something that happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Notice {
    reason: String,
    text: String,
    severity: Severity,
}

/// What there is to tell about the step from one status to the next. What every rollout goes through is no news.
pub(crate) fn notice(before: Option<&WsRouteStatus>, after: &WsRouteStatus) -> Option<Notice> {
    const OF_ROLLOUTS: [Reason; 4] = [
        Reason::SidecarPending,
        Reason::SidecarNotConnected,
        Reason::NoReadyPods,
        Reason::Pending,
    ];
    let ready = |status: &WsRouteStatus| find(status, ConditionType::Ready);
    let new = ready(after)?;
    let old = before.and_then(ready);
    if OF_ROLLOUTS.iter().any(|reason| reason.as_str() == new.reason) {
        return None;
    }
    let is_true = new.status == ConditionStatus::True;
    let is_news = match is_true {
        // A new generation is told of once, when it is everywhere; so is the end of trouble.
        true => {
            before.and_then(|before| before.trace_id.as_ref()) != after.trace_id.as_ref()
                || old.is_none_or(|old| {
                    OF_ROLLOUTS.iter().all(|reason| reason.as_str() != old.reason)
                        && old.status != ConditionStatus::True
                })
        }
        false => old.is_none_or(|old| {
            (old.reason != new.reason) || old.observed_generation != new.observed_generation
        }),
    };
    is_news.then_some(Notice {
        reason: new.reason,
        text: new.message,
        severity: match is_true {
            true => Severity::Normal,
            false => Severity::Warning,
        },
    })
}

fn find(status: &WsRouteStatus, type_: ConditionType) -> Option<Condition> {
    condition::find(&status.conditions, type_.as_str()).cloned()
}

impl Notice {
    /// Tells people.
    pub(crate) async fn tell(self, context: &WsRouteContext, route: &ObjectMeta) {
        let namespace = route.namespace.as_deref().unwrap_or_default();
        let name = route.name.as_deref().unwrap_or_default();
        let reason = self.reason.as_str();
        match self.severity {
            Severity::Warning => tracing::warn!(
                namespace,
                name,
                reason,
                error = self.text,
                "route does not work everywhere"
            ),
            Severity::Normal => tracing::info!(namespace, name, reason, detail = self.text, "route works"),
        }
        let reporter = Reporter {
            client: &context.client,
            controller: REPORTING_CONTROLLER,
            instance: &context.instance,
        };
        let happening = Happening {
            regarding: &events::reference::<WsRoute>(route),
            related: None,
            action: "Program",
            reason,
            note: &self.text,
            severity: self.severity,
        };
        reporter.publish(happening).await;
    }
}
