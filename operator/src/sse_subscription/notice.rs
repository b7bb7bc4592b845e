//! What people are told when something changes: one log line and one event each, at transitions only.

use super::SubscriptionContext;
use crate::events::{self, Happening, Reporter, Severity};
use heddle_crds::SseSubscription;
use heddle_crds::condition::{self, Condition, ConditionStatus};
use heddle_crds::sse_subscription::{ConditionType, Reason, SseSubscriptionStatus};
use kube::api::ObjectMeta;

/// The name under which the operator reports events.
const REPORTING_CONTROLLER: &str = "heddle.dev/sse-subscription";

/// Something that happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Notice {
    reason: String,
    text: String,
    severity: Severity,
}

/// What there is to tell about the step from one status to the next. What every connection goes through now and then is no
/// news: if it lasts, it comes to another reason.
pub(crate) fn notice(
    before: Option<&SseSubscriptionStatus>,
    after: &SseSubscriptionStatus,
) -> Option<Notice> {
    const PASSING: [Reason; 3] = [Reason::Pending, Reason::Connecting, Reason::ConnectionLost];
    let new = ready(after)?;
    let old = before.and_then(ready);
    if PASSING.iter().any(|reason| reason.as_str() == new.reason) {
        return None;
    }
    let is_true = new.status == ConditionStatus::True;
    let is_news = old.is_none_or(|old| match is_true {
        // The end of trouble, and the first connection of each generation.
        true => {
            let was_lost = old.reason == Reason::ConnectionLost.as_str();
            (old.reason != new.reason && !was_lost) || old.observed_generation != new.observed_generation
        }
        false => old.reason != new.reason || old.observed_generation != new.observed_generation,
    });
    let is_harmless = is_true || new.reason == Reason::Suspended.as_str();
    is_news.then_some(Notice {
        reason: new.reason,
        text: new.message,
        severity: match is_harmless {
            true => Severity::Normal,
            false => Severity::Warning,
        },
    })
}

fn ready(status: &SseSubscriptionStatus) -> Option<Condition> {
    condition::find(&status.conditions, ConditionType::Ready.as_str()).cloned()
}

impl Notice {
    /// Tells people.
    pub(crate) async fn tell(self, context: &SubscriptionContext, subscription: &ObjectMeta) {
        let namespace = subscription.namespace.as_deref().unwrap_or_default();
        let name = subscription.name.as_deref().unwrap_or_default();
        let reason = self.reason.as_str();
        match self.severity {
            Severity::Warning => {
                tracing::warn!(
                    namespace,
                    name,
                    reason,
                    error = self.text,
                    "subscription does not work"
                );
            }
            Severity::Normal => {
                tracing::info!(
                    namespace,
                    name,
                    reason,
                    detail = self.text,
                    "subscription is as it should be"
                );
            }
        }
        let reporter = Reporter {
            client: &context.client,
            controller: REPORTING_CONTROLLER,
            instance: &context.instance,
        };
        let happening = Happening {
            regarding: &events::reference::<SseSubscription>(subscription),
            related: None,
            action: "Watch",
            reason,
            note: &self.text,
            severity: self.severity,
        };
        reporter.publish(happening).await;
    }
}
