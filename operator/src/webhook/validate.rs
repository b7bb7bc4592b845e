//! Refuses WsRoutes and SseSubscriptions that the schema's rules let through and that cannot work.

use super::inject::taken_by_sidecar;
use super::review::{ReviewRequest, Verdict};
use crate::{sse_subscription, ws_route};
use heddle_crds::{SseSubscription, WsRoute};
use heddle_telemetry::ErrorChain;
use serde::de::DeserializeOwned;

/// What becomes of a WsRoute.
pub(super) fn review_ws_route(request: &ReviewRequest, admin_port: u16) -> Verdict {
    review(request, |object: WsRoute| match ws_route::validate(&object) {
        Ok(validated) if validated.route.port == admin_port => {
            Err(taken_by_sidecar(&validated.route.id.to_string(), admin_port))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(ErrorChain(&error).to_string()),
    })
}

/// What becomes of an SseSubscription.
pub(super) fn review_sse_subscription(request: &ReviewRequest) -> Verdict {
    review(request, |object: SseSubscription| {
        let validated = sse_subscription::validate(&object.spec.into());
        validated
            .map(drop)
            .map_err(|error| ErrorChain(&error).to_string())
    })
}

/// One whose specification stays as it is is let through: it may have to lose a finalizer.
fn review<K: DeserializeOwned>(
    request: &ReviewRequest,
    validate: impl Fn(K) -> Result<(), String>,
) -> Verdict {
    if request.old_object.get("spec") == request.object.get("spec") {
        return Verdict::Allow;
    }
    match serde_json::from_value::<K>(request.object.clone()) {
        Ok(object) => validate(object).map_or_else(Verdict::Refuse, |()| Verdict::Allow),
        Err(error) => Verdict::Refuse(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn route(networks: &Value) -> Value {
        json!({
            "apiVersion": "heddle.dev/v1alpha1",
            "kind": "WsRoute",
            "metadata": { "name": "chat", "namespace": "shop" },
            "spec": {
                "selector": { "matchLabels": { "app": "chat" } },
                "backends": [{ "name": "app", "port": 8080 }],
                "forwarding": { "trustedProxies": networks },
            },
        })
    }

    fn request(object: Value, old_object: Value) -> ReviewRequest {
        ReviewRequest {
            uid: "u".into(),
            namespace: "shop".into(),
            object,
            old_object,
        }
    }

    #[test]
    fn what_no_rule_of_the_schema_finds_is_refused_unless_it_was_there_before() {
        let (good, bad) = (route(&json!(["10.0.0.0/8"])), route(&json!(["10.0.0.0/40"])));
        let review = |object, old_object| review_ws_route(&request(object, old_object), 19437);
        assert_eq!(review(good.clone(), Value::Null), Verdict::Allow);
        let Verdict::Refuse(message) = review(bad.clone(), good) else {
            panic!("it was let through")
        };
        assert!(message.contains("spec.forwarding.trustedProxies[0]"), "{message}");
        assert_eq!(review(bad.clone(), bad), Verdict::Allow);
    }

    #[test]
    fn a_route_that_listens_where_sidecars_answer_probes_is_refused() {
        let object = request(route(&json!([])), Value::Null);
        // The port that a route has by default.
        let Verdict::Refuse(message) = review_ws_route(&object, 9080) else {
            panic!("it was let through")
        };
        assert!(message.contains("proxy.adminPort"), "{message}");
    }

    #[test]
    fn a_subscription_whose_filter_does_not_compile_is_refused() {
        let subscription = |cel: &str| {
            json!({
                "apiVersion": "heddle.dev/v1alpha1",
                "kind": "SseSubscription",
                "metadata": { "name": "pushes", "namespace": "shop" },
                "spec": {
                    "source": { "url": "https://forge.example/events" },
                    "filter": { "cel": cel },
                    "sinks": [{ "name": "log", "log": {} }],
                },
            })
        };
        let review = |cel| review_sse_subscription(&request(subscription(cel), Value::Null));
        assert_eq!(review("data.ref == 'refs/heads/main'"), Verdict::Allow);
        let Verdict::Refuse(message) = review("data.ref ==") else {
            panic!("it was let through")
        };
        assert!(message.contains("spec.filter.cel"), "{message}");
    }
}
