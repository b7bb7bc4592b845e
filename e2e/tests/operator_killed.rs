//! The operator killed in mid-run and in mid-stream. A binary of its own, so that no other test looks for the log of the pod
//! that goes.

use anyhow::{Context, Result, ensure};
use heddle_e2e::Scenario;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const USER: (&str, &str) = (
    "user.proto",
    "syntax = \"proto3\";\nmessage User { string name = 1; }\n",
);

/// There is one operator, so one test at a time kills it.
static TURN: Mutex<()> = Mutex::new(());

/// How long an event may take to the sink, the time of the dead operator's Lease included.
const DEADLINE: Duration = Duration::from_secs(120);

/// Branches of one push, each of which is an event.
const BRANCHES: usize = 10;

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn the_operator_killed_in_mid_run_delivers_exactly_once() -> Result<()> {
    let _turn = turn();
    let scenario = Scenario::new("killed")?;
    let commit = scenario.push(&[USER], "Describe users")?;
    scenario.apply(|object| {
        // Without a go_package in the file, Go is not for it.
        object["spec"]["generate"] = json!([{ "name": "rust", "plugin": "prost" }]);
    })?;
    scenario.await_reason("Generated", "Running")?;
    let operator = scenario.environment().operator()?;
    operator.kill()?;
    scenario.await_delivery(&commit)?;
    let generated = scenario
        .output()?
        .git(&["log", "--format=%s", "--grep=Heddle-Source-Commit"])?;
    ensure!(
        generated.lines().count() == 1,
        "expected one generated commit:\n{generated}"
    );
    operator.await_rollout()
}

#[test]
fn the_operator_killed_in_mid_stream_leaves_no_gap() -> Result<()> {
    let _turn = turn();
    let scenario = Scenario::new("stream")?;
    scenario.push(&[USER], "Describe users")?;
    scenario.deploy_audit()?;
    scenario.subscribe("audit/ssesubscription.yaml", |spec| {
        spec["sinks"][0]["http"]["url"] = json!(scenario.audit_url());
    })?;
    scenario.await_subscription("audit", "condition=Ready")?;
    let sink = scenario.follow_audit()?;
    let operator = scenario.environment().operator()?;
    let owner = scenario
        .subscription("audit")?
        .status
        .and_then(|status| status.owner);

    let pushes = Pushes::default();
    let (mut order, mut again) = (Vec::new(), 0);
    let mut write_down = |line: &Value| {
        order.extend(number(line));
        again += usize::from(line["message"] == "event seen before");
        order.last().copied()
    };
    let last = std::thread::scope(|scope| {
        let pushing = scope.spawn(|| pushes.go_on(&scenario));
        let killed = kill_in_mid_stream(
            &pushes,
            |limit| {
                sink.find(DEADLINE, |line| {
                    write_down(line).is_some_and(|number| number > limit)
                })
                .map(drop)
            },
            || operator.kill(),
        );
        pushes.stop.store(true, Ordering::SeqCst);
        let pushed = pushing
            .join()
            .map_err(|_| anyhow::anyhow!("the pushes have panicked"))?;
        killed.and(pushed)
    })?;
    sink.find(DEADLINE, |line| write_down(line) == Some(last))?;
    println!("{last} events over the death of the operator, {again} of them sent again");
    let expected: Vec<_> = (1..=last).collect();
    ensure!(order == expected, "not each in order: {order:?}");
    operator.await_rollout()?;
    scenario.await_subscription("audit", "condition=Ready")?;
    let successor = scenario
        .subscription("audit")?
        .status
        .and_then(|status| status.owner);
    ensure!(
        successor.is_some() && successor != owner,
        "{owner:?} is still there"
    );
    Ok(())
}

/// Has the sink get some events before the death, and some that were pushed after it.
fn kill_in_mid_stream(
    pushes: &Pushes,
    mut await_event_above: impl FnMut(usize) -> Result<()>,
    kill: impl FnOnce() -> Result<()>,
) -> Result<()> {
    await_event_above(2 * BRANCHES)?;
    kill()?;
    await_event_above(pushes.count.load(Ordering::SeqCst) + BRANCHES)
}

/// The number of the branch that an event is about.
fn number(line: &Value) -> Option<usize> {
    let name = line["event"]["data"]["ref"].as_str()?;
    name.strip_prefix("refs/heads/event-")?.parse().ok()
}

/// Pushes that go on until they are stopped.
#[derive(Default)]
struct Pushes {
    stop: AtomicBool,
    /// Branches so far.
    count: AtomicUsize,
}

impl Pushes {
    /// The number of the last branch.
    fn go_on(&self, scenario: &Scenario) -> Result<usize> {
        let mut count = 0;
        while !self.stop.load(Ordering::SeqCst) {
            let numbers = count + 1..=count + BRANCHES;
            let names: Vec<_> = numbers.map(|number| format!("event-{number:06}")).collect();
            scenario.push_branches(&names).context("a push has failed")?;
            count += BRANCHES;
            self.count.store(count, Ordering::SeqCst);
        }
        Ok(count)
    }
}
