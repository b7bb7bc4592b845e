//! What people are told when something changes: one log line and one event each, at transitions only.

use super::WsRouteContext;
use heddle_crds::WsRoute;
use heddle_crds::condition::{self, Condition, ConditionStatus, truncate};
use heddle_crds::ws_route::{ConditionType, Reason, WsRouteStatus};
use heddle_telemetry::ErrorChain;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Resource};

/// The most bytes of an event's note that the API takes.
const NOTE_LIMIT: usize = 1024;

/// The name under which the operator reports events.
const REPORTING_CONTROLLER: &str = "heddle.dev/ws-route";

/// Something that happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Notice {
    reason: String,
    text: String,
    is_warning: bool,
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
        is_warning: !is_true,
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
        match self.is_warning {
            true => tracing::warn!(
                namespace,
                name,
                reason,
                error = self.text,
                "route does not work everywhere"
            ),
            false => tracing::info!(namespace, name, reason, detail = self.text, "route works"),
        }
        let api = Api::<Event>::namespaced(context.client.clone(), namespace);
        let event = self.event(&context.instance, route, Timestamp::now());
        if let Err(error) = api.create(&PostParams::default(), &event).await {
            tracing::warn!(namespace, name, error = %ErrorChain(&error), "failed to publish an event");
        }
    }

    fn event(&self, instance: &str, route: &ObjectMeta, now: Timestamp) -> Event {
        let mut note = self.text.clone();
        truncate(&mut note, NOTE_LIMIT);
        let name = route.name.as_deref().unwrap_or_default();
        Event {
            action: Some("Program".into()),
            event_time: Some(MicroTime(now)),
            metadata: ObjectMeta {
                name: Some(format!("{name}.{:x}", now.as_nanosecond())),
                namespace: route.namespace.clone(),
                ..ObjectMeta::default()
            },
            note: Some(note),
            reason: Some(self.reason.clone()),
            regarding: Some(ObjectReference {
                api_version: Some(WsRoute::api_version(&()).into()),
                kind: Some(WsRoute::kind(&()).into()),
                name: route.name.clone(),
                namespace: route.namespace.clone(),
                resource_version: route.resource_version.clone(),
                uid: route.uid.clone(),
                ..ObjectReference::default()
            }),
            reporting_controller: Some(REPORTING_CONTROLLER.into()),
            reporting_instance: Some(instance.to_owned()),
            type_: Some(if self.is_warning { "Warning" } else { "Normal" }.into()),
            ..Event::default()
        }
    }
}
