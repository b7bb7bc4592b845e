//! The rules of the schema, evaluated offline: what is admitted and what is refused with which sentence.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use heddle_crds::IdlRepo;
use heddle_crds::idl_repo::{Level, Policy};
use serde_json::{Value, json};

fn valid() -> Value {
    json!({
        "apiVersion": "heddle.dev/v1alpha1",
        "kind": "IdlRepo",
        "metadata": { "name": "shop", "namespace": "default" },
        "spec": {
            "source": { "url": "https://git.example/idl.git", "ref": { "branch": "main" } },
            "generate": [{ "name": "rust", "plugin": "prost", "options": ["bytes=."], "path": "rust" }],
            "output": { "url": "ssh://git@git.example:2222/generated.git", "secretRef": { "name": "push" } },
        },
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut object = valid();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[key] = value;
    object
}

fn refusal(object: Value) -> Option<String> {
    let idl_repo: IdlRepo = serde_json::from_value(object).unwrap();
    kube::core::cel::validate_cel(&idl_repo)
        .err()
        .map(|error| error.to_string())
}

#[test]
fn a_plain_idl_repo_is_admitted() {
    assert_eq!(refusal(valid()), None);
    assert_eq!(
        refusal(with(
            "/spec/source/url",
            json!("ssh://git@git.example/team/idl.git")
        )),
        None
    );
    assert_eq!(refusal(with("/spec/output/path", json!("gen/v1..v2"))), None);
}

#[test]
fn what_cannot_work_is_refused_with_a_sentence_that_helps() {
    let cases = [
        (
            "/spec/source/url",
            json!("git@git.example:idl.git"),
            "write git@host:path as ssh://git@host/path",
        ),
        (
            "/spec/source/url",
            json!("http://git.example/idl.git"),
            "https:// or ssh://",
        ),
        (
            "/spec/source/url",
            json!("https://user:secret@git.example/idl.git"),
            "put credentials into the Secret",
        ),
        (
            "/spec/source/url",
            json!("https://git.example/idl.git?token=1"),
            "put credentials into the Secret",
        ),
        (
            "/spec/output/url",
            json!("file:///srv/git/idl"),
            "https:// or ssh://",
        ),
        (
            "/spec/source/ref",
            json!({}),
            "exactly one of branch, tag, semver and commit",
        ),
        (
            "/spec/source/ref",
            json!({ "branch": "main", "tag": "v1" }),
            "exactly one of",
        ),
        (
            "/spec/source/ref",
            json!({ "commit": "ABC" }),
            "40 lower-case hexadecimal digits",
        ),
        (
            "/spec/source/importRoots",
            json!(["proto", "../elsewhere"]),
            "without '..'",
        ),
        ("/spec/output/path", json!("/etc"), "relative"),
        (
            "/spec/output/path",
            json!("a/.git/hooks"),
            "without '..' or '.git'",
        ),
        ("/spec/interval", json!("1s"), "between 10s and 24h"),
        ("/spec/timeout", json!("7h"), "between 10s and 6h"),
    ];
    for (pointer, value, sentence) in cases {
        let refusal = refusal(with(pointer, value.clone()));
        assert!(
            refusal.as_deref().is_some_and(|text| text.contains(sentence)),
            "{pointer} = {value}: expected a refusal with {sentence:?}, got {refusal:?}"
        );
    }
}

#[test]
fn the_digest_follows_what_a_run_writes_and_nothing_else() {
    let digest = |object: Value| serde_json::from_value::<IdlRepo>(object).unwrap().spec.digest();
    assert_eq!(digest(valid()), digest(with("/spec/interval", json!("1h"))));
    assert_eq!(digest(valid()), digest(with("/spec/suspend", json!(true))));
    assert_eq!(
        digest(valid()),
        digest(with("/spec/compatibility", json!({ "level": "Wire" })))
    );
    assert_eq!(
        digest(valid()),
        digest(with("/spec/publish", json!({ "enabled": false })))
    );
    assert_ne!(digest(valid()), digest(with("/spec/output/path", json!("gen"))));
    assert_ne!(
        digest(valid()),
        digest(with("/spec/source/exclude", json!(["old/**"])))
    );
}

#[test]
fn the_gate_is_off_unless_asked_for_and_then_strict() {
    let spec = |object: Value| serde_json::from_value::<IdlRepo>(object).unwrap().spec;
    assert_eq!(spec(valid()).compatibility, None);
    let gate = spec(with("/spec/compatibility", json!({})))
        .compatibility
        .unwrap();
    assert_eq!((gate.level, gate.policy), (Level::File, Policy::Refuse));
    assert!(spec(valid()).publish.enabled);
    assert!(spec(with("/spec/publish", json!({}))).publish.enabled);
}
