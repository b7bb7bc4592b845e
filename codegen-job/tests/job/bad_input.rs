//! Everything that users get wrong: the reason in the status, and a message that says what, where and what to do.

use crate::harness::{PROST, Stage};
use heddle_crds::codegen::EXIT_FAILED;
use heddle_crds::idl_repo::Reason;
use std::fs;

#[test]
fn a_host_that_does_not_exist() {
    let mut stage = Stage::new();
    stage.source_url = "https://git.invalid/idl.git".into();
    stage.run().expect_failure(
        Reason::HostUnknown,
        &["https://git.invalid/idl.git", "git.invalid", "check its spelling"],
    );
    let mut stage = Stage::new();
    stage.output_url = "https://git.invalid/code.git".into();
    stage
        .run()
        .expect_failure(Reason::HostUnknown, &["deliver to https://git.invalid/code.git"]);
}

#[test]
fn a_host_that_does_not_answer() {
    let mut stage = Stage::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    stage.source_url = format!("https://127.0.0.1:{port}/idl.git");
    stage
        .run()
        .expect_failure(Reason::ConnectionFailed, &["failed to connect to 127.0.0.1"]);
}

#[test]
fn an_address_that_the_policy_refuses() {
    let mut stage = Stage::new();
    stage.denied = "127.0.0.0/8,::1/128";
    stage.run().expect_failure(Reason::AddressRefused, &["localhost"]);
    assert!(stage.server.requests().is_empty());
}

#[test]
fn a_server_that_is_not_trusted() {
    let stage = Stage::new();
    fs::remove_file(stage.path("secret/ca.crt")).unwrap();
    stage.run().expect_failure(
        Reason::TlsNotTrusted,
        &["failed to trust the certificate of localhost", "ca.crt"],
    );
}

#[test]
fn wrong_and_missing_credentials() {
    let stage = Stage::new();
    fs::write(stage.path("secret/password"), "not-the-password").unwrap();
    stage.run().expect_failure(
        Reason::AuthenticationFailed,
        &["failed to authenticate to", "idl.git"],
    );
    for key in ["username", "password"] {
        fs::remove_file(stage.path("secret").join(key)).unwrap();
    }
    stage
        .run()
        .expect_failure(Reason::AuthenticationFailed, &["failed to authenticate to"]);
}

#[test]
fn an_incomplete_secret() {
    let stage = Stage::new();
    fs::remove_file(stage.path("secret/password")).unwrap();
    stage.run().expect_failure(
        Reason::SecretInvalid,
        &["the Secret of the source repository", "\"password\" is missing"],
    );
    fs::remove_dir_all(stage.path("secret")).unwrap();
    stage
        .run()
        .expect_failure(Reason::SecretInvalid, &["failed to read credentials from"]);
}

#[test]
fn a_repository_that_does_not_exist() {
    let mut stage = Stage::new();
    stage.source_url = stage.server.url("nothing.git");
    stage
        .run()
        .expect_failure(Reason::RepositoryNotFound, &["nothing.git"]);
}

#[test]
fn a_reference_that_does_not_exist() {
    let mut stage = Stage::new();
    for (reference, expected) in [
        ("branch: mian", "branch mian; did you mean main?"),
        ("tag: v1", "tag v1"),
        ("semver: \">=9\"", "version satisfies \">=9\""),
    ] {
        stage.source_fields = format!("    ref: {{{reference}}}");
        stage
            .run()
            .expect_failure(Reason::RefNotFound, &["failed to fetch the source", expected]);
    }
    stage.source_fields = String::new();
    let commit = "1".repeat(40);
    stage
        .run_with(&["--commit", &commit])
        .expect_failure(Reason::RefNotFound, &["failed to find commit 1111"]);
}

#[test]
fn no_proto_files() {
    let mut stage = Stage::new();
    stage.source_fields = "    include: [\"api/**\"]\n    exclude: [\"x/**\"]".into();
    let parts = [
        "[\"api/**\"]",
        "[\"x/**\"]",
        "2 .proto files, such as zoo/food/v1/food.proto",
    ];
    stage.run().expect_failure(Reason::NoProtoFiles, &parts);
    stage
        .source
        .commit("empty", "No IDL", &[("README.md", Some(b""))])
        .unwrap();
    stage.source_fields = "    ref: {branch: empty}".into();
    stage
        .run()
        .expect_failure(Reason::NoProtoFiles, &["the repository has none at this commit"]);
}

#[test]
fn a_syntax_error() {
    let stage = Stage::new();
    stage.commit(
        "Break",
        &[(
            "zoo/v1/cage.proto",
            "syntax = \"proto3\";\n\nmessage Cage {\n  string name 1;\n}\n",
        )],
    );
    let parts = [
        "zoo/v1/cage.proto:4:15: expected '='",
        "4 |   string name 1;\n  |               ^ found here",
    ];
    stage.run().expect_failure(Reason::CompilationFailed, &parts);
    assert_eq!(stage.output.branch("main").unwrap(), None);
}

#[test]
fn a_missing_import() {
    let mut stage = Stage::new();
    stage.source_fields = "    importRoots: [zoo, lib]".into();
    stage.commit(
        "Break",
        &[(
            "zoo/v1/cage.proto",
            "syntax = \"proto3\";\nimport \"fod/v1/food.proto\";\n",
        )],
    );
    let parts = [
        "zoo/v1/cage.proto:2:1: import 'fod/v1/food.proto' not found",
        "searched: zoo/fod/v1/food.proto, lib/fod/v1/food.proto, the well-known types",
        "did you mean \"food/v1/food.proto\"",
    ];
    stage.run().expect_failure(Reason::ImportNotFound, &parts);
}

#[test]
fn an_edition_that_is_not_supported() {
    let stage = Stage::new();
    stage.commit("Break", &[("new.proto", "edition = \"2023\";\n")]);
    stage.run().expect_failure(
        Reason::CompilationFailed,
        &["new.proto:1:1: files with 'edition' are not supported"],
    );
}

#[test]
fn a_plugin_that_does_not_exist() {
    let mut stage = Stage::new();
    stage.plugin("mine", "#!/bin/sh\n");
    stage.generate = vec!["{name: web, plugin: nope}".into()];
    stage.run().expect_failure(
        Reason::PluginNotFound,
        &["plugin \"nope\" of generator \"web\"", "prost, tonic", "mine"],
    );
}

#[test]
fn an_option_that_a_plugin_does_not_know() {
    let mut stage = Stage::new();
    stage.generate = vec!["{name: rust, plugin: prost, options: [nonsense]}".into()];
    stage.run().expect_failure(
        Reason::PluginFailed,
        &["generate with \"rust\"", "invalid parameter: nonsense"],
    );
}

#[test]
fn two_generators_that_write_the_same_file() {
    let mut stage = Stage::new();
    stage.generate = vec![PROST.into(), PROST.replace("rust,", "again,")];
    stage.run().expect_failure(
        Reason::InvalidSpec,
        &["generators \"rust\" and \"again\" both write rust/"],
    );
}

#[test]
fn a_damaged_record() {
    let stage = Stage::new();
    stage.deliver();
    stage
        .output
        .commit(
            "main",
            "Merge",
            &[(".heddle/pets.zoo.json", Some(b"<<<<<<< HEAD"))],
        )
        .unwrap();
    let parts = [
        "failed to read .heddle/pets.zoo.json",
        "restore it from the branch's history",
    ];
    stage.run().expect_failure(Reason::OutputConflict, &parts);
}

#[test]
fn a_run_that_takes_too_long() {
    let mut stage = Stage::new();
    stage.plugin("slow", "#!/bin/sh\nsleep 600\n");
    stage.generate = vec!["{name: slow, plugin: slow}".into()];
    stage
        .run_with(&["--timeout=2s"])
        .expect_failure(Reason::TimedOut, &["longer than 2 s; raise spec.timeout"]);
}

#[test]
fn a_file_that_is_no_idl_repo() {
    let mut stage = Stage::new();
    stage.output_fields = "    branch: [not, a, name]".into();
    let ended = stage.run();
    ended.expect_failure(Reason::InvalidSpec, &["idlrepo.yaml", "spec.output"]);
    assert_eq!(ended.code, Some(EXIT_FAILED));
}
