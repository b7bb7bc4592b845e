//! `decode`, `encode`, `get`, `set` and `diff` in a shell's hands.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const SHOP: &str =
    "syntax = \"proto3\";\npackage shop;\nmessage Order { string customer = 1; repeated int32 items = 2; }\n";

/// A folder with the descriptors of an order.
fn descriptors() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("shop.proto"), SHOP).unwrap();
    let mut compiler = protox::Compiler::new([folder.path()]).unwrap();
    compiler.open_file("shop.proto").unwrap();
    fs::write(
        folder.path().join("shop.binpb"),
        compiler.encode_file_descriptor_set(),
    )
    .unwrap();
    folder
}

fn run(folder: &Path, verb: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_heddle-codegen"))
        .arg(verb)
        .args(["--descriptors", "shop.binpb", "--type", "shop.Order"])
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn succeed(folder: &Path, verb: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let output = run(folder, verb, arguments, input);
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

#[test]
fn messages_go_through_pipes_and_files() {
    let folder = descriptors();
    let folder = folder.path();
    let wire = succeed(folder, "encode", &[], br#"{"customer": "Ada", "items": [1, 2]}"#);
    assert_eq!(wire, b"\x0a\x03Ada\x12\x02\x01\x02");
    let text = succeed(folder, "decode", &["--format", "text"], &wire);
    assert_eq!(
        String::from_utf8(text).unwrap(),
        "customer: \"Ada\"\nitems: 1\nitems: 2\n"
    );
    let values = succeed(folder, "get", &["customer", "items[-1]"], &wire);
    assert_eq!(String::from_utf8(values).unwrap(), "\"Ada\"\n2\n");
    let changed = succeed(folder, "set", &["items[0]=7", "customer=Grace"], &wire);
    assert_eq!(changed, b"\x0a\x05Grace\x12\x02\x07\x02");

    fs::write(folder.join("old"), &wire).unwrap();
    fs::write(folder.join("new"), &changed).unwrap();
    let differing = run(folder, "diff", &["old", "new"], b"");
    assert_eq!(differing.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(differing.stdout).unwrap(),
        "- customer: \"Ada\"\n+ customer: \"Grace\"\n- items[0]: 1\n+ items[0]: 7\n"
    );
    assert_eq!(run(folder, "diff", &["old", "old"], b"").status.code(), Some(0));
}

#[test]
fn what_goes_wrong_is_told_with_a_hint() {
    let folder = descriptors();
    for (verb, arguments, input, parts) in [
        ("decode", &[][..], &b"\x0a\x05Ada"[..], ["shop.Order", "hint: "]),
        ("encode", &[], b"{\"custmer\": 1}", ["no such field", "hint: "]),
        ("get", &["custmer"], b"", ["did you mean", "hint: segments"]),
        (
            "set",
            &["items=7"],
            b"",
            ["a JSON array", "hint: values are JSON"],
        ),
        (
            "decode",
            &["--input", "nowhere"],
            b"",
            ["nowhere", "hint: --input"],
        ),
    ] {
        let output = run(folder.path(), verb, arguments, input);
        assert_eq!(output.status.code(), Some(2), "{verb} {arguments:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        for part in parts {
            assert!(stderr.contains(part), "{part:?} in {stderr}");
        }
        assert!(output.stdout.is_empty());
    }
}
