//! Plugins that misbehave: each is ended or refused, and named in the status.

use crate::harness::{PASSWORD, Stage, TRACE_ID, await_condition, is_running};
use heddle_crds::idl_repo::Reason;
use std::fs;
use std::time::{Duration, Instant};

/// Well below what the plugins would take if nobody ended them.
const PATIENCE: Duration = Duration::from_secs(60);

fn stage(script: &str) -> Stage {
    let mut stage = Stage::new();
    stage.plugin("odd", script);
    stage.generate = vec!["{name: strange, plugin: odd}".into()];
    stage
}

fn check(script: &str, arguments: &[&str], parts: &[&str]) {
    let started = Instant::now();
    let stage = stage(script);
    let ended = stage.run_with(arguments);
    let mut all = vec!["generator \"strange\" (plugin \"odd\")"];
    all.extend(parts);
    ended.expect_failure(Reason::PluginFailed, &all);
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
    assert_eq!(stage.output.branch("main").unwrap(), None);
}

#[test]
fn one_that_hangs_is_ended() {
    check(
        "#!/bin/sh\nsleep 600\n",
        &["--plugin-timeout=1s"],
        &["took longer than 1 s and was ended"],
    );
}

#[test]
fn one_that_closes_its_output_and_hangs_is_ended() {
    check(
        "#!/bin/sh\nexec >&- 2>&-\nsleep 600\n",
        &["--plugin-timeout=1s"],
        &["took longer than 1 s"],
    );
}

#[test]
fn one_that_never_reads_and_never_ends_is_ended() {
    let script = "#!/bin/sh\nexec <&-\nwhile :; do :; done\n";
    check(script, &["--plugin-timeout=1s"], &["took longer than 1 s"]);
}

#[test]
fn one_that_floods_its_output_is_ended() {
    check(
        "#!/bin/sh\nexec yes\n",
        &[],
        &["wrote more than 268435456 bytes and was ended"],
    );
}

#[test]
fn one_that_floods_its_error_output_is_cut() {
    check(
        "#!/bin/sh\nhead -c 100000000 /dev/zero | tr '\\0' x >&2\nexit 9\n",
        &[],
        &["exit code 9: xxxx", "(cut)"],
    );
}

#[test]
fn one_that_eats_memory_is_stopped() {
    check(
        "#!/bin/sh\nexec tail /dev/zero\n",
        &["--plugin-memory=64"],
        &["the plugin"],
    );
}

#[test]
fn one_that_fails_is_quoted_without_control_characters() {
    check(
        "#!/bin/sh\nprintf 'no \\033[31mgo_package\\n' >&2\nexit 3\n",
        &[],
        &["ended with exit code 3: no [31mgo_package"],
    );
}

#[test]
fn one_that_is_killed_is_told_so() {
    check("#!/bin/sh\nkill -9 $$\n", &[], &["was ended by SIGKILL"]);
}

#[test]
fn one_that_writes_garbage_is_refused() {
    let stage = stage("#!/bin/sh\nprintf '\\377\\377\\377\\377'\n");
    stage.run().expect_failure(
        Reason::PluginFailed,
        &[
            "answer of generator \"strange\"",
            "4 bytes",
            "CodeGeneratorResponse",
        ],
    );
}

#[test]
fn one_that_writes_nothing_is_too_old_for_optional_fields() {
    stage("#!/bin/sh\n").run().expect_failure(
        Reason::PluginFailed,
        &["zoo/food/v1/food.proto has proto3 optional fields"],
    );
}

#[test]
fn one_that_leaves_the_output_is_refused() {
    // CodeGeneratorResponse { supported_features: 1, file { name: "../../x", content: "y" } }
    let stage = stage("#!/bin/sh\nprintf '\\020\\001\\172\\014\\012\\007../../x\\172\\001y'\n");
    stage.run().expect_failure(
        Reason::PluginFailed,
        &["a file of generator \"strange\"", "\"../../x\" leads out"],
    );
}

#[test]
fn its_children_are_ended_with_it() {
    let mark = format!("heddle-orphan-{}", std::process::id());
    let script = format!("#!/bin/sh\nsh -c 'sleep 600; : {mark}' &\nsleep 600\n");
    check(&script, &["--plugin-timeout=1s"], &["took longer"]);
    let script = format!("#!/bin/sh\nsh -c 'sleep 600; : {mark}' &\nexit 4\n");
    check(&script, &[], &["ended with exit code 4"]);
    await_condition("its children are gone", || !is_running(&mark));
}

#[test]
fn it_gets_nothing_of_our_environment_but_the_trace() {
    let stage = stage("#!/bin/sh\nenv >&2\nexit 5\n");
    let ended = stage.run();
    let parts = [format!("TRACEPARENT=00-{TRACE_ID}-"), "TZ=UTC".into()];
    ended.expect_failure(
        Reason::PluginFailed,
        &parts.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    let message = ended.report.unwrap().error.unwrap().message;
    let names: Vec<_> = message
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name)
        .collect();
    for name in &names {
        let name = name.rsplit(' ').next().unwrap();
        assert!(
            [
                "TRACEPARENT",
                "TZ",
                "LC_ALL",
                "HOME",
                "PWD",
                "_",
                "OLDPWD",
                "SHLVL"
            ]
            .contains(&name),
            "{message}"
        );
    }
}

#[test]
fn it_cannot_read_secrets() {
    let mut stage = Stage::new();
    let secret = stage.path("secret/password");
    stage.plugin(
        "odd",
        &format!("#!/bin/sh\ncat {} >&2\nexit 6\n", secret.display()),
    );
    stage.generate = vec!["{name: strange, plugin: odd}".into()];
    let ended = stage.run();
    ended.expect_failure(Reason::PluginFailed, &["exit code 6"]);
    let message = ended.report.unwrap().error.unwrap().message;
    assert!(!message.contains(PASSWORD), "{message}");
    // Where the kernel has no Landlock, masking is what is left.
    assert!(
        message.contains("ermission denied") || message.contains("***"),
        "{message}"
    );
}

#[test]
fn it_cannot_write_anywhere() {
    let mut stage = Stage::new();
    let places = ["work/written", "plugins/written", "written"].map(|place| stage.path(place));
    let lines = places
        .iter()
        .map(|place| format!("echo x > {}\n", place.display()))
        .collect::<String>();
    stage.plugin("odd", &format!("#!/bin/sh\n{lines}echo x > here\nexit 7\n"));
    stage.generate = vec!["{name: strange, plugin: odd}".into()];
    stage.run().expect_failure(Reason::PluginFailed, &["exit code 7"]);
    for place in places {
        assert!(
            fs::read(&place).unwrap_or_default().is_empty(),
            "{}",
            place.display()
        );
    }
}

#[test]
fn a_run_says_once_what_the_kernel_enforces_and_warns_when_that_is_not_everything() {
    let mut stage = Stage::new();
    stage.plugin(
        "odd",
        &format!(
            "#!/bin/sh\ncat {} >/dev/null\n",
            stage.path("idlrepo.yaml").display()
        ),
    );
    stage.generate = vec![
        "{name: strange, plugin: odd}".into(),
        "{name: again, plugin: odd, path: a}".into(),
    ];
    stage.commit(
        "No optional",
        &[(crate::harness::FOOD.0, "syntax = \"proto3\";\n")],
    );
    let log = stage.run().log();
    let told: Vec<_> = log
        .iter()
        .filter(|line| line["message"].as_str().unwrap().contains("confine"))
        .collect();
    assert_eq!(told.len(), 1, "{log:#?}");
    let line = told[0];
    let all = ["files", "tcp", "signals"]
        .iter()
        .all(|field| line[field] == true);
    assert_eq!(line["level"] == "WARN", line["message"] != "plugins are confined");
    assert!(all || line["level"] == "WARN", "{line}");
    // What it says of files is what a plugin meets.
    let text = serde_json::to_string(&log).unwrap();
    assert_eq!(text.contains("ermission denied"), line["files"] == true, "{text}");
}
