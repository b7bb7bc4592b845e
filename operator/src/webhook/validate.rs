//! Refuses WsRoutes that the schema's rules let through and that cannot work.

use super::inject::taken_by_sidecar;
use super::review::{ReviewRequest, Verdict};
use crate::ws_route;
use heddle_crds::WsRoute;
use heddle_telemetry::ErrorChain;

/// What becomes of a WsRoute. One whose specification stays as it is is let through: it may have to lose a finalizer.
pub(super) fn review(request: &ReviewRequest, admin_port: u16) -> Verdict {
    if request.old_object.get("spec") == request.object.get("spec") {
        return Verdict::Allow;
    }
    let object = match serde_json::from_value::<WsRoute>(request.object.clone()) {
        Ok(object) => object,
        Err(error) => return Verdict::Refuse(error.to_string()),
    };
    match ws_route::validate(&object) {
        Ok(validated) if validated.route.port == admin_port => {
            Verdict::Refuse(taken_by_sidecar(&validated.route.id.to_string(), admin_port))
        }
        Ok(_) => Verdict::Allow,
        Err(error) => Verdict::Refuse(ErrorChain(&error).to_string()),
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
        let review = |object, old_object| review(&request(object, old_object), 19437);
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
        let Verdict::Refuse(message) = review(&object, 9080) else {
            panic!("it was let through")
        };
        assert!(message.contains("proxy.adminPort"), "{message}");
    }
}
