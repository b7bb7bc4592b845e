//! SIGTERM: the run ends before the push, says so, and leaves no child behind; a push in flight is finished.

use crate::harness::{Ended, Stage, await_condition, is_running};
use heddle_crds::codegen::{API_AUTHORITY, API_TOKEN, Report};
use heddle_crds::idl_repo::Reason;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}

fn end(child: Child, report: &Path) -> Ended {
    Ended::new(child.wait_with_output().unwrap(), report)
}

#[test]
fn a_cancelled_run_says_so_and_pushes_nothing() {
    for stop in [Signal::SIGTERM, Signal::SIGINT] {
        let mut stage = Stage::new();
        let mark = format!("heddle-cancelled-{stop}-{}", std::process::id());
        stage.plugin("slow", &format!("#!/bin/sh\nsh -c 'sleep 600; : {mark}'\n"));
        stage.generate = vec!["{name: slow, plugin: slow}".into()];
        let child = stage.command("run", &[]).spawn().unwrap();
        await_condition("the plugin runs", || is_running(&mark));
        let cancelled = Instant::now();
        signal(&child, stop);
        let ended = end(child, &stage.path("report.json"));
        assert!(
            cancelled.elapsed() < Duration::from_secs(30),
            "{:?}",
            cancelled.elapsed()
        );
        ended.expect_failure(Reason::JobFailed, &["cancelled before anything was pushed"]);
        let source = stage.source.branch("main").unwrap().unwrap();
        assert_eq!(ended.report.unwrap().source_revision, source);
        await_condition("its children are gone, too", || !is_running(&mark));
        assert_eq!(stage.output.branch("main").unwrap(), None);
        assert_eq!(fs::read_dir(stage.path("work")).unwrap().count(), 0);
    }
}

#[test]
fn a_push_in_flight_is_finished() {
    let stage = Stage::new();
    let (started, go_on) = (stage.path("started"), stage.path("go-on"));
    let hook = format!(
        "#!/bin/sh\n: > {}\nwhile [ ! -e {} ]; do sleep 0.05; done\n",
        started.display(),
        go_on.display()
    );
    stage.output.install_hook("pre-receive", &hook).unwrap();
    let child = stage.command("run", &[]).spawn().unwrap();
    await_condition("the push is in flight", || started.exists());
    signal(&child, Signal::SIGTERM);
    fs::write(&go_on, "").unwrap();
    let ended = end(child, &stage.path("report.json"));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let report = ended.report.unwrap();
    assert!(report.committed);
    assert_eq!(report.output_revision, stage.output.branch("main").unwrap());
}

#[test]
fn a_killed_run_leaves_no_child_and_the_next_one_delivers_once() {
    let mut stage = Stage::new();
    // What the kernel ends with us is the plugin itself; children of its own would need the pod to end.
    let mark = format!("600.{:07}", std::process::id());
    stage.plugin("slow", &format!("#!/bin/sh\nexec sleep {mark}\n"));
    stage.generate = vec!["{name: slow, plugin: slow}".into()];
    let mut child = stage.command("run", &[]).spawn().unwrap();
    await_condition("the plugin runs", || is_running(&mark));
    signal(&child, Signal::SIGKILL);
    child.wait().unwrap();
    await_condition("the plugin is gone", || !is_running(&mark));
    stage.generate = vec![crate::harness::PROST.into()];
    assert!(stage.deliver().committed);
    assert!(!stage.deliver().committed);
    assert_eq!(stage.output.log("main").unwrap().len(), 1);
}

#[test]
fn a_run_that_is_killed_while_it_publishes_has_told_of_its_delivery() {
    let stage = Stage::new();
    let api = stage.path("api");
    fs::create_dir(&api).unwrap();
    fs::copy(stage.path("secret").join("ca.crt"), api.join(API_AUTHORITY)).unwrap();
    fs::write(api.join(API_TOKEN), "token").unwrap();
    // Connections wait in its queue: an API server that never answers.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut child = stage
        .command("run", &["--publish-with", &api.display().to_string()])
        .env("KUBERNETES_SERVICE_HOST", Ipv4Addr::LOCALHOST.to_string())
        .env(
            "KUBERNETES_SERVICE_PORT",
            silent.local_addr().unwrap().port().to_string(),
        )
        .spawn()
        .unwrap();
    let report = || {
        let text = fs::read_to_string(stage.path("report.json")).ok()?;
        Report::from_termination_message(&text)
    };
    await_condition("the delivery is told", || {
        report().is_some_and(|report| report.delivered)
    });
    assert_eq!(child.try_wait().unwrap(), None, "it publishes");
    signal(&child, Signal::SIGKILL);
    child.wait().unwrap();
    let report = report().unwrap();
    assert_eq!(report.output_revision, stage.output.branch("main").unwrap());
    assert!(report.committed && report.error.is_none());
}
