use super::*;
use heddle_crds::WsRoute;
use http::{HeaderName, HeaderValue};

fn route(name: &str, age: i64, extra: &str) -> Route {
    let yaml = format!(
        "apiVersion: heddle.dev/v1alpha1\nkind: WsRoute\nmetadata: {{ name: {name}, namespace: shop }}\nspec:\n  selector: {{ matchLabels: {{ app: a }} }}\n  backends: [{{ name: app, port: 8080 }}]\n{extra}"
    );
    let object: WsRoute = serde_yaml_ng::from_str(&yaml).unwrap();
    Route {
        created_at: age,
        ..Route::parse(&object).unwrap()
    }
}

fn found(table: &RouteTable, host: &str, path: &str, headers: &[(&str, &str)]) -> Option<String> {
    let headers: http::HeaderMap = headers
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::try_from(*value).unwrap(),
            )
        })
        .collect();
    table
        .find(9080, host, path, &headers)
        .map(|route| route.id.name.clone())
}

#[test]
fn the_most_specific_host_then_path_then_headers_then_the_oldest_takes_a_request() {
    let table = RouteTable::new([
        route("any", 1, ""),
        route("star", 2, "  hostnames: ['*.example.com']\n"),
        route("host", 3, "  hostnames: [chat.example.com]\n"),
        route("path", 4, "  matches: [{ path: { value: /chat } }]\n"),
        route("longer", 5, "  matches: [{ path: { value: /chat/room } }]\n"),
        route(
            "exact",
            6,
            "  matches: [{ path: { type: Exact, value: /chat/room } }]\n",
        ),
        route(
            "header",
            7,
            "  matches: [{ path: { value: /chat }, headers: [{ name: X-Beta, value: 'yes' }] }]\n",
        ),
        route("younger", 8, ""),
        route("elsewhere", 0, "  listener: { port: 9999 }\n"),
    ]);
    let cases = [
        (("", "/", &[][..]), "any"),
        (("a.b.example.com", "/chat", &[]), "star"),
        (("CHAT.example.com:443", "/chat", &[]), "host"),
        (("chat.example.com.:443", "/chat", &[]), "host"),
        (("example.com", "/chat", &[]), "path"),
        (("example.com", "/chat/", &[]), "path"),
        (("example.com", "/chatter", &[]), "any"),
        (("example.com", "/chat/room/1", &[]), "longer"),
        (("example.com", "/chat/room", &[]), "exact"),
        (("example.com", "/chat", &[("x-beta", "yes")]), "header"),
        (("example.com", "/chat", &[("x-beta", "no")]), "path"),
    ];
    for ((host, path, headers), expected) in cases {
        assert_eq!(
            found(&table, host, path, headers).as_deref(),
            Some(expected),
            "{host} {path}"
        );
    }
    assert!(table.find(9999, "", "/", &HeaderMap::new()).is_some());
    assert!(table.find(1234, "", "/", &HeaderMap::new()).is_none());
}

#[test]
fn of_two_routes_that_claim_the_same_the_younger_one_yields() {
    let table = RouteTable::new([route("new", 2, ""), route("old", 1, "")]);
    let conflicts = table.conflicts();
    assert_eq!(conflicts.len(), 1);
    assert_eq!(
        (
            conflicts[0].loser.name.as_str(),
            conflicts[0].winner.name.as_str()
        ),
        ("new", "old")
    );
    assert!(
        conflicts[0].claim.contains("every host, port 9080"),
        "{}",
        conflicts[0].claim
    );
}

#[test]
fn overlap_is_no_conflict_and_other_certificates_on_one_port_are() {
    let specific = route("b", 2, "  matches: [{ path: { value: /chat } }]\n");
    assert_eq!(RouteTable::new([route("a", 1, ""), specific]).conflicts(), []);
    let secure = route(
        "b",
        2,
        "  listener: { tls: { secretRef: { name: cert } } }\n  hostnames: [x.test]\n",
    );
    assert_eq!(RouteTable::new([route("a", 1, ""), secure]).conflicts().len(), 1);
}

#[test]
fn patterns_are_compared_in_their_normal_form_and_those_that_can_be_read_in_two_ways_are_refused() {
    let table = RouteTable::new([route(
        "escaped",
        1,
        "  matches: [{ path: { value: /%63hat%c3%a9/ } }]\n",
    )]);
    assert_eq!(
        found(&table, "", "/chat%C3%A9/a", &[]).as_deref(),
        Some("escaped")
    );
    for path in ["//chat", "/a%2fb", "/a;b", "/a/../b", "/%", "a", "/a?b"] {
        let mut object: WsRoute = serde_yaml_ng::from_str(
            "apiVersion: heddle.dev/v1alpha1\nkind: WsRoute\nmetadata: { name: a }\nspec:\n  selector: { matchLabels: { app: a } }\n  backends: [{ name: app, port: 8080 }]\n  matches: [{ path: { value: / } }]\n",
        )
        .unwrap();
        object.spec.matches[0].path.value = path.into();
        let invalid = Route::parse(&object).unwrap_err();
        assert_eq!(invalid.problems[0].field, "matches[0].path.value", "{path}");
    }
}
