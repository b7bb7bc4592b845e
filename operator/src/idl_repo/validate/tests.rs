use super::*;
use serde_json::{Value, json};

fn idl_repo(changes: &[(&str, Value)]) -> IdlRepo {
    let mut object = json!({
        "apiVersion": "heddle.dev/v1alpha1",
        "kind": "IdlRepo",
        "metadata": { "name": "shop", "namespace": "default", "uid": "u", "generation": 1 },
        "spec": {
            "source": { "url": "https://git.example/idl.git" },
            "generate": [{ "name": "rust", "plugin": "prost" }],
            "output": { "url": "ssh://git@git.example/generated.git", "secretRef": { "name": "push" } },
        },
    });
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        object["spec"].pointer_mut(parent).unwrap()[key] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

#[test]
fn a_specification_is_read_with_its_defaults() {
    let spec = validate(&idl_repo(&[])).unwrap();
    assert_eq!(spec.source.selector, Selector::Default);
    assert_eq!((spec.interval.as_secs(), spec.timeout.as_secs()), (300, 600));
    assert_eq!(
        (spec.source.secret, spec.output.secret.as_deref()),
        (None, Some("push"))
    );
    assert_eq!(spec.output.branch, "main");
    assert!(spec.request.contains("\"name\":\"shop\""));
}

#[test]
fn every_kind_of_reference_is_read() {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    for (reference, expected) in [
        (
            json!({ "branch": "release/1" }),
            Selector::Branch("release/1".into()),
        ),
        (json!({ "tag": "v1" }), Selector::Tag("v1".into())),
        (
            json!({ "semver": "^1.2" }),
            Selector::Semver(VersionReq::parse("^1.2").unwrap()),
        ),
        (
            json!({ "commit": commit }),
            Selector::Commit(commit.parse().unwrap()),
        ),
    ] {
        let spec = validate(&idl_repo(&[("/source/ref", reference)])).unwrap();
        assert_eq!(spec.source.selector, expected);
    }
}

#[test]
fn each_thing_that_cannot_work_is_named_with_its_field() {
    let generator = json!({ "name": "rust", "plugin": "prost" });
    for (pointer, value, words) in [
        ("/source/url", json!("http://git.example/idl.git"), "source.url: "),
        ("/output/url", json!("https://git.example/"), "output.url: "),
        ("/source/ref", json!({}), "source.ref: set exactly one"),
        (
            "/source/ref",
            json!({ "branch": "a", "tag": "b" }),
            "source.ref: set exactly one",
        ),
        ("/source/ref", json!({ "branch": "a b" }), "source.ref.branch: "),
        (
            "/source/ref",
            json!({ "tag": "refs/tags/v1" }),
            "source.ref.tag: ",
        ),
        (
            "/source/ref",
            json!({ "semver": "newest" }),
            "source.ref.semver: ",
        ),
        ("/source/ref", json!({ "commit": "abc" }), "source.ref.commit: "),
        ("/source/exclude", json!(["ok/**", "a/{b"]), "source.exclude[1]: "),
        ("/interval", json!("1s"), "interval: between 10 and 86400 seconds"),
        ("/timeout", json!("7h"), "timeout: between 10 and 21600 seconds"),
        ("/output/branch", json!("a..b"), "output.branch: "),
        (
            "/output/messageTemplate",
            json!("${who}"),
            "output.messageTemplate: ",
        ),
        ("/generate", json!([]), "generate: at least one"),
        (
            "/generate",
            json!([generator, generator]),
            "generate[1].name: \"rust\" is there already",
        ),
        (
            "/generate/0/options",
            json!(vec!["x".repeat(1000); 300]),
            "spec: ",
        ),
    ] {
        let error = validate(&idl_repo(&[(pointer, value)])).unwrap_err();
        assert!(error.to_string().starts_with(words), "{words:?} in {error}");
        assert_eq!(error.0.len(), 1, "{error}");
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let error = validate(&idl_repo(&[
        ("/interval", json!("1s")),
        ("/output/branch", json!("-")),
    ]))
    .unwrap_err();
    assert_eq!(error.0.len(), 2);
    assert!(error.to_string().contains("; "), "{error}");
}
