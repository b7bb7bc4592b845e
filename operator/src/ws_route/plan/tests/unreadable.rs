//! Routes that were good once and cannot be worked with any more: sidecars keep what they have of them.

use super::*;
use crate::ws_route::world::UnreadableRoute;

/// Route `chat` in a form that this program does not know.
fn unreadable(selector: &Value) -> ObservedRoute {
    let good = route("chat", 1, &[]);
    ObservedRoute {
        spec: Err("the stored object cannot be read: unknown field `newer`".into()),
        stored: Arc::new(StoredRoute {
            metadata: good.stored.metadata.clone(),
            object: Err(UnreadableRoute {
                spec: json!({ "selector": selector, "newer": true }),
                error: "unknown field `newer`".into(),
            }),
            status: None,
        }),
    }
}

fn assert_is_held(observed: &Observed, pod: &str) {
    let plan = plan(observed);
    let configuration = plan
        .configurations
        .iter()
        .find(|configuration| configuration.pods.iter().any(|id| id.name == pod));
    let sent = &configuration.unwrap().configuration.routes;
    assert_eq!(sent.len(), 1, "the route is not taken away");
    assert_eq!((sent[0].name(), sent[0].uid()), ("chat", Some("chat")));
    assert_eq!(sent[0].held, Held::Yes);
}

#[test]
fn a_route_that_cannot_be_read_any_more_stays_with_sidecars_and_says_so() {
    let selector = json!({ "matchLabels": { "app": "chat" } });
    let observed = observed(
        vec![unreadable(&selector)],
        vec![pod_that_said("a", Some(1), None)],
    );
    assert_is_held(&observed, "a");
    let status = status_of(&observed);
    assert_eq!(
        condition(&status, "Accepted"),
        (ConditionStatus::False, "InvalidSpec".into())
    );
    let message = &find(&status.conditions, "Programmed").unwrap().message;
    assert!(
        message.contains("keep what they have") && message.contains("`newer`"),
        "{message}"
    );
    assert_eq!(status.sidecars.unwrap().selected, 1);
}

#[test]
fn a_selector_that_cannot_be_read_leaves_the_route_where_it_is() {
    let nonsense = json!({ "matchExpressions": [{ "key": "app", "operator": "Near", "values": ["chat"] }] });
    for route in [
        unreadable(&nonsense),
        unreadable(&json!(7)),
        route("chat", 1, &[("selector", nonsense)]),
    ] {
        assert!(route.spec.is_err());
        let mut away = pod("away", "chat");
        away.sidecar.presence = Presence::Unseen;
        let mut without = pod_that_said("without", None, None);
        without.labels = BTreeMap::from([("app".to_owned(), "other".to_owned())]);
        let observed = observed(
            vec![route],
            vec![pod_that_said("a", Some(1), None), away, without],
        );
        assert_is_held(&observed, "a");
        let plan = plan(&observed);
        assert_eq!(names_sent(&plan, "without"), [""; 0]);
        let pods = plan.configurations.iter().flat_map(|each| &each.pods);
        assert!(
            pods.into_iter().all(|pod| pod.name != "away"),
            "what a sidecar has is not known before it has said so"
        );
    }
}
