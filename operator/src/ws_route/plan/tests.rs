mod simulation;
mod takeover;
mod unreadable;

use super::*;
use crate::config_stream::{Acknowledged, ObservedSidecar, Presence};
use crate::ws_route::observe::Injection;
use crate::ws_route::status;
use crate::ws_route::validate::validate;
use crate::ws_route::world::StoredRoute;
use heddle_crds::WsRoute;
use heddle_crds::condition::{ConditionStatus, find};
use heddle_crds::ws_route::WsRouteStatus;
use heddle_route_config::protocol::{
    Acknowledgement, DescriptorsReference, RouteError, RouteErrorKind, RouteResult,
};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

/// A route of generation 2 that is created at `second`.
fn route(name: &str, second: i64, changes: &[(&str, Value)]) -> ObservedRoute {
    let created = Timestamp::from_second(second).unwrap().to_string();
    let mut object = json!({
        "apiVersion": "heddle.dev/v1alpha1",
        "kind": "WsRoute",
        "metadata": {
            "name": name, "namespace": "shop", "uid": name, "generation": 2, "creationTimestamp": created,
        },
        "spec": {
            "selector": { "matchLabels": { "app": "chat" } },
            "backends": [{ "name": "app", "port": 8080 }],
        },
    });
    for (field, value) in changes {
        object["spec"][field] = value.clone();
    }
    let object: WsRoute = serde_json::from_value(object).unwrap();
    ObservedRoute {
        spec: validate(&object).map_err(|error| error.to_string()),
        stored: Arc::new(StoredRoute {
            metadata: object.metadata.clone(),
            object: Ok(object),
            status: None,
        }),
    }
}

fn pod(name: &str, app: &str) -> ObservedPod {
    ObservedPod {
        id: PodId {
            namespace: "shop".into(),
            name: name.into(),
            uid: name.into(),
        },
        labels: BTreeMap::from([("app".to_owned(), app.to_owned())]),
        ready: true,
        injection: Injection::Done,
        sidecar: ObservedSidecar::default(),
    }
}

/// A pod whose sidecar has said this about route `chat`.
fn pod_that_said(name: &str, generation: Option<i64>, error: Option<RouteErrorKind>) -> ObservedPod {
    let result = RouteResult {
        name: "chat".into(),
        uid: Some("chat".into()),
        generation,
        error: error.map(|kind| RouteError::new(2, kind, "no such thing")),
    };
    let acknowledged = Acknowledgement {
        version: "v".into(),
        routes: vec![result],
    };
    ObservedPod {
        sidecar: ObservedSidecar {
            presence: Presence::Connected,
            acknowledged: Some(Arc::new(acknowledged.into())),
        },
        ..pod(name, "chat")
    }
}

fn observed(routes: Vec<ObservedRoute>, pods: Vec<ObservedPod>) -> Observed {
    Observed {
        routes,
        pods,
        trust_bundle: Arc::from("PEM"),
        ..Observed::default()
    }
}

/// The status of the first route.
fn status_of(observed: &Observed) -> WsRouteStatus {
    let plan = plan(observed);
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    status::status(&observed.routes[0], &plan.routes[0], Some("t".into()), now)
}

fn condition(status: &WsRouteStatus, type_: &str) -> (ConditionStatus, String) {
    let found = find(&status.conditions, type_).unwrap();
    (found.status, found.reason.clone())
}

fn names_sent(plan: &Plan, pod: &str) -> Vec<String> {
    let of_pod = plan
        .configurations
        .iter()
        .find(|configuration| configuration.pods.iter().any(|id| id.name == pod));
    let routes = &of_pod.unwrap().configuration.routes;
    routes.iter().map(|route| route.name().to_owned()).collect()
}

#[test]
fn each_pod_gets_the_routes_that_select_it_and_pods_without_any_an_empty_configuration() {
    let talk = ("selector", json!({ "matchLabels": { "app": "talk" } }));
    let routes = vec![route("chat", 1, &[]), route("talk", 2, &[talk])];
    let mut missing = pod("old", "chat");
    missing.injection = Injection::Missing;
    let pods = vec![pod("a", "chat"), pod("b", "talk"), pod("c", "other"), missing];
    let plan = plan(&observed(routes, pods));
    assert_eq!(names_sent(&plan, "a"), ["chat"]);
    assert_eq!(names_sent(&plan, "b"), ["talk"]);
    assert_eq!(names_sent(&plan, "c"), [""; 0]);
    let all: usize = plan.configurations.iter().map(|each| each.pods.len()).sum();
    assert_eq!(all, 3, "a pod without a sidecar gets nothing");
}

#[test]
fn the_oldest_of_conflicting_routes_wins_and_routes_that_never_meet_do_not_conflict() {
    let other = ("selector", json!({ "matchLabels": { "app": "other" } }));
    let routes = vec![
        route("young", 3, &[]),
        route("old", 1, &[]),
        route("middle", 2, &[]),
        route("apart", 9, &[other]),
    ];
    let observed = observed(routes, vec![pod("a", "chat"), pod("b", "other")]);
    let plan = plan(&observed);
    assert_eq!(names_sent(&plan, "a"), ["old"]);
    assert_eq!(names_sent(&plan, "b"), ["apart"]);
    let status = status_of(&observed);
    assert_eq!(
        condition(&status, "Accepted"),
        (ConditionStatus::False, "Conflicted".into())
    );
    assert_eq!(
        condition(&status, "Stalled"),
        (ConditionStatus::True, "Conflicted".into())
    );
    let message = &find(&status.conditions, "Accepted").unwrap().message;
    assert!(
        message.contains("WsRoute old") && message.contains("pod a"),
        "{message}"
    );
}

#[test]
fn nobody_yields_to_a_route_that_yields_itself() {
    // b conflicts with a and with c, which do not conflict with each other.
    let exact = |path: &str| json!({ "path": { "type": "Exact", "value": path } });
    let routes = vec![
        route("a", 1, &[("matches", json!([exact("/1")]))]),
        route("b", 2, &[("matches", json!([exact("/1"), exact("/2")]))]),
        route("c", 3, &[("matches", json!([exact("/2")]))]),
    ];
    let plan = plan(&observed(routes, vec![pod("a", "chat")]));
    assert_eq!(names_sent(&plan, "a"), ["a", "c"]);
}

#[test]
fn a_route_is_programmed_only_when_every_ready_pod_says_so_of_this_generation() {
    let unready = |pod: ObservedPod| ObservedPod { ready: false, ..pod };
    let without_sidecar = |pod: ObservedPod| ObservedPod {
        injection: Injection::Missing,
        ..pod
    };
    let done = || pod_that_said("a", Some(2), None);
    let refused = Some(RouteErrorKind::Other);
    let unknown_type = Some(RouteErrorKind::MessageType);
    for (pods, ready, reason) in [
        (vec![done()], ConditionStatus::True, "Programmed"),
        (vec![], ConditionStatus::False, "NoReadyPods"),
        (vec![unready(done())], ConditionStatus::False, "NoReadyPods"),
        (
            vec![done(), unready(pod("b", "chat"))],
            ConditionStatus::True,
            "Programmed",
        ),
        (
            vec![done(), pod("b", "chat")],
            ConditionStatus::False,
            "SidecarNotConnected",
        ),
        (
            vec![done(), pod_that_said("b", Some(1), None)],
            ConditionStatus::False,
            "SidecarPending",
        ),
        (
            vec![done(), without_sidecar(pod("b", "chat"))],
            ConditionStatus::False,
            "SidecarMissing",
        ),
        (
            vec![done(), pod_that_said("b", Some(1), refused)],
            ConditionStatus::False,
            "SidecarRefused",
        ),
        (
            vec![done(), pod_that_said("b", Some(2), unknown_type)],
            ConditionStatus::False,
            "MessageTypeNotFound",
        ),
    ] {
        let status = status_of(&observed(vec![route("chat", 1, &[])], pods));
        assert_eq!(condition(&status, "Ready"), (ready, reason.into()), "{status:#?}");
        let both = ["Reconciling", "Stalled"].map(|type_| find(&status.conditions, type_).is_some());
        assert_ne!(both, [true, true]);
    }
}

#[test]
fn a_pod_that_the_webhook_leaves_out_is_not_told_to_be_made_anew() {
    let mut left_out = pod("b", "chat");
    left_out.injection = Injection::Excluded;
    let observed = observed(
        vec![route("chat", 1, &[])],
        vec![pod_that_said("a", Some(2), None), left_out],
    );
    let status = status_of(&observed);
    assert_eq!(
        condition(&status, "Stalled"),
        (ConditionStatus::True, "SidecarExcluded".into())
    );
    let message = &find(&status.conditions, "Programmed").unwrap().message;
    assert!(
        message.starts_with("Of 2 ready pods, 1 left out by the webhook's selectors: b.")
            && message.contains("webhook.namespaceSelector"),
        "{message}"
    );
    let counts = status.sidecars.unwrap();
    assert_eq!((counts.missing, counts.excluded), (0, 1));
    assert_eq!(counts.excluded_on, ["b"]);
    assert!(
        plan(&observed).wake_after.is_some(),
        "labels of namespaces are not watched"
    );
}

#[test]
fn counts_and_names_say_which_pods_have_no_sidecar() {
    let mut pods: Vec<_> = (0..40)
        .map(|number| ObservedPod {
            injection: Injection::Missing,
            ..pod(&format!("p{number:02}"), "chat")
        })
        .collect();
    pods.push(pod_that_said("z", Some(2), None));
    let status = status_of(&observed(vec![route("chat", 1, &[])], pods));
    let sidecars = status.sidecars.unwrap();
    assert_eq!((sidecars.selected, sidecars.missing), (41, 40));
    assert_eq!((sidecars.connected, sidecars.programmed), (1, 1));
    assert_eq!(sidecars.missing_on.len(), 32);
    let message = &find(&status.conditions, "Programmed").unwrap().message;
    assert!(
        message.contains("p00") && message.contains("35 more"),
        "{message}"
    );
}

#[test]
fn what_another_object_of_the_same_name_was_acknowledged_for_does_not_count() {
    let mut recreated = route("chat", 1, &[]);
    let mut stored = (*recreated.stored).clone();
    stored.metadata.uid = Some("other".into());
    recreated.stored = Arc::new(stored);
    let status = status_of(&observed(
        vec![recreated],
        vec![pod_that_said("a", Some(2), None)],
    ));
    assert_eq!(
        condition(&status, "Programmed"),
        (ConditionStatus::False, "SidecarPending".into())
    );
}

#[test]
fn what_is_suspended_or_cannot_work_takes_nothing_away_from_sidecars() {
    let held = |observed: &Observed| plan(observed).configurations[0].configuration.routes[0].held;
    let pods = || vec![pod_that_said("a", Some(1), None)];
    assert_eq!(held(&observed(vec![route("chat", 1, &[])], pods())), Held::No);

    let suspended = observed(vec![route("chat", 1, &[("suspend", json!(true))])], pods());
    assert_eq!(held(&suspended), Held::Yes);
    let status = status_of(&suspended);
    assert_eq!(
        condition(&status, "Ready"),
        (ConditionStatus::False, "Suspended".into())
    );
    assert!(find(&status.conditions, "Stalled").is_none());
    assert!(find(&status.conditions, "Reconciling").is_none());

    let tls = ("listener", json!({ "tls": { "secretRef": { "name": "tls" } } }));
    let mut lacking = observed(vec![route("chat", 1, &[tls])], pods());
    assert_eq!(held(&lacking), Held::Yes);
    assert_eq!(
        condition(&status_of(&lacking), "ResolvedRefs").1,
        "SecretNotFound"
    );
    assert!(plan(&lacking).wake_after.is_some());
    lacking.secrets.insert("tls".into(), BTreeSet::from(["tls.crt"]));
    let status = status_of(&lacking);
    assert_eq!(condition(&status, "ResolvedRefs").1, "SecretInvalid");
    let message = &find(&status.conditions, "Ready").unwrap().message;
    assert!(
        message.contains("tls.key") && !message.contains("tls.crt"),
        "{message}"
    );
    lacking
        .secrets
        .insert("tls".into(), BTreeSet::from(["tls.crt", "tls.key"]));
    assert_eq!(held(&lacking), Held::No);
}

#[test]
fn a_transcoding_route_brings_its_descriptor_set() {
    let transcoding = json!({
        "idlRepoRef": { "name": "idl" }, "clientMessage": "a.B", "backendMessage": "a.C",
    });
    let routes = ["chat", "more"].map(|name| {
        let path = json!([{ "path": { "value": format!("/{name}") } }]);
        route(
            name,
            1,
            &[("transcoding", transcoding.clone()), ("matches", path)],
        )
    });
    let mut observed = observed(routes.into(), vec![pod("a", "chat")]);
    let reference = DescriptorsReference {
        idl_repo: "idl".into(),
        digest: "sha256:1".into(),
    };
    let set = Descriptors::new(reference.clone(), "c0ffee".into(), 1, b"x");
    observed.descriptors.insert("idl".into(), Ok(Arc::new(set)));
    let plan = plan(&observed);
    let sent = &plan.configurations[0].descriptors;
    assert_eq!(sent.len(), 1, "both routes go by one set");
    assert_eq!(sent[0].reference, reference);
    let version = plan.configurations[0].configuration.version.clone();
    let mut acknowledge = |version: &str| {
        let mut sidecar = pod_that_said("a", Some(2), None).sidecar;
        let mut said = Acknowledged::clone(sidecar.acknowledged.as_ref().unwrap());
        said.version = version.into();
        sidecar.acknowledged = Some(Arc::new(said));
        observed.pods[0].sidecar = sidecar;
        status_of(&observed).descriptors
    };
    assert_eq!(
        acknowledge("an older one"),
        None,
        "nobody has acknowledged the set"
    );
    assert_eq!(acknowledge(&version).unwrap().source_revision, "c0ffee");
}

#[test]
fn a_sidecar_that_has_just_gone_is_looked_at_again() {
    let mut gone = pod_that_said("a", Some(2), None);
    gone.sidecar.presence = Presence::Lingering(Duration::from_secs(7));
    let plan = plan(&observed(vec![route("chat", 1, &[])], vec![gone]));
    assert!(plan.wake_after.unwrap() > Duration::from_secs(7));
}

#[test]
fn a_suspended_route_keeps_its_claim_and_an_invalid_one_has_none() {
    let suspended = ("suspend", json!(true));
    let invalid = ("forwarding", json!({ "trustedProxies": ["10.0.0.0/40"] }));
    let pods = || vec![pod("a", "chat")];
    let with = |change| vec![route("older", 1, &[change]), route("younger", 2, &[])];
    // What sidecars have of it, they serve.
    assert_eq!(
        names_sent(&plan(&observed(with(suspended), pods())), "a"),
        ["older"]
    );
    // It is held, and the younger one is there for sidecars that have nothing of it.
    let observed = observed(with(invalid), pods());
    assert!(observed.routes[0].spec.is_err());
    let plan = plan(&observed);
    assert_eq!(names_sent(&plan, "a"), ["older", "younger"]);
    let held: Vec<_> = plan.configurations[0]
        .configuration
        .routes
        .iter()
        .map(|route| route.held)
        .collect();
    assert_eq!(held, [Held::Yes, Held::No]);
    assert!(plan.routes[1].refusal.is_none());
}
