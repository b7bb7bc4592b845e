//! No secret in any output. Every test of this crate looks for the password in everything that the program writes;
//! these provoke it.

use crate::harness::{PASSWORD, Stage};
use heddle_crds::idl_repo::Reason;

#[test]
fn a_server_that_repeats_the_password_is_not_quoted_with_it() {
    let stage = Stage::new();
    let hook = format!("#!/bin/sh\necho 'your password is {PASSWORD}' >&2\nexit 1\n");
    stage.output.install_hook("pre-receive", &hook).unwrap();
    stage.run().expect_failure(Reason::PushRejected, &[]);
}

#[test]
fn a_plugin_that_knows_the_password_is_not_quoted_with_it() {
    let mut stage = Stage::new();
    stage.plugin(
        "leaky",
        &format!("#!/bin/sh\necho 'found {PASSWORD}' >&2\nexit 1\n"),
    );
    stage.generate = vec!["{name: leaky, plugin: leaky}".into()];
    stage.run().expect_failure(Reason::PluginFailed, &["found ***"]);
    // The same with success, where standard error only goes to the log.
    stage
        .source
        .commit("main", "No optional", &[("zoo/food/v1/food.proto", None)])
        .unwrap();
    stage.plugin("leaky", &format!("#!/bin/sh\necho 'found {PASSWORD}' >&2\n"));
    let ended = stage.run();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stderr.contains("found ***"), "{}", ended.stderr);
}

#[test]
fn debug_logs_hold_no_password_either() {
    let stage = Stage::new();
    let output = stage
        .command("run", &[])
        .env("HEDDLE_LOG", "trace")
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && log.len() > 1000);
    assert!(!log.contains(PASSWORD));
    // Basic authentication, as it goes over the wire.
    assert!(!log.contains("cm9ib3Q6"), "{log}");
}
