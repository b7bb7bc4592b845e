use super::*;
use heddle_crds::WsRoute;
use std::collections::BTreeMap;

fn route(spec: &str) -> Route {
    let text = format!(
        "apiVersion: heddle.dev/v1alpha1\nkind: WsRoute\nmetadata: {{ name: a }}\nspec:\n  selector: {{ matchLabels: {{ a: b }} }}\n{spec}\n"
    );
    let object: WsRoute = serde_yaml_ng::from_str(&text).unwrap();
    Route::parse(&object).unwrap()
}

const THREE: &str = "  backends: [{ name: a, port: 1, weight: 3 }, { name: b, port: 2 }, { name: c, port: 3, weight: 0 }]\n  passiveHealth: { consecutiveFailures: 1 }";

fn shares(backends: &Backends, tried: &[Arc<LiveBackend>]) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for backend in (0..4000).filter_map(|_| backends.pick(tried)) {
        *shares.entry(backend.config.name.clone()).or_default() += 1;
    }
    shares
}

#[test]
fn sessions_are_shared_out_by_weight() {
    let route = route(THREE);
    let backends = Backends::new(&route, None, &Secrets::default()).unwrap();
    let shares = shares(&backends, &[]);
    assert_eq!(shares.len(), 2);
    assert!((2800..3200).contains(&shares["a"]), "{shares:?}");
}

#[test]
fn those_that_were_tried_or_fail_are_passed_over_while_there_is_another() {
    let route = route(THREE);
    let backends = Backends::new(&route, None, &Secrets::default()).unwrap();
    let all: Vec<_> = backends.iter().cloned().collect();
    assert_eq!(shares(&backends, &all[..1]).keys().collect::<Vec<_>>(), ["b"]);
    assert!(shares(&backends, &all[..2]).is_empty());
    all[0].failed(&route);
    assert_eq!(shares(&backends, &[]).keys().collect::<Vec<_>>(), ["b"]);
    all[1].failed(&route);
    assert_eq!(shares(&backends, &[]).len(), 2);
}

#[test]
fn what_is_known_about_a_backend_outlives_a_change_of_its_route() {
    let (before, after) = (route(THREE), route(&format!("{THREE}\n  retries: 3")));
    let former = Backends::new(&before, None, &Secrets::default()).unwrap();
    let backends = Backends::new(&after, Some(&former), &Secrets::default()).unwrap();
    let kept = former
        .iter()
        .zip(backends.iter())
        .filter(|(a, b)| Arc::ptr_eq(a, b));
    assert_eq!(kept.count(), 3);
}
