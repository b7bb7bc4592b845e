//! Telemetry of whole processes. This test binary runs itself as their child.

use crate::receiver::{Receiver, Security, hex, named};
use heddle_telemetry::{ContinueTrace, LogWriting, TelemetrySettings, TraceParent};
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::process::Command;
use tracing::{info, info_span};
use tracing_log::log;

/// Tells the child what it is there for.
const ROLE: &str = "HEDDLE_TELEMETRY_TEST_ROLE";

/// Ends the roles in which a thread of its own writes the log.
const QUEUED: &str = ", queued";

const THREADS: usize = 8;
const LINES_OF_A_THREAD: usize = 50;

/// The child's part of the tests below. Started as a test without a role, it has nothing to do.
#[test]
fn the_child_does_what_its_role_says() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let mut settings = TelemetrySettings::from_environment("heddle-child", "0.0.1").unwrap();
    let role = match role.strip_suffix(QUEUED) {
        Some(role) => {
            settings.log_writing = LogWriting::Queued;
            role.to_owned()
        }
        None => role,
    };
    let telemetry = heddle_telemetry::init(settings).unwrap();
    let span = info_span!("child");
    if let Some(parent) = TraceParent::from_process_environment() {
        span.continue_from(&parent).unwrap();
    }
    span.in_scope(|| play(&role));
    drop(span);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime
        .block_on(telemetry.shutdown(Duration::from_secs(20)))
        .unwrap();
}

fn play(role: &str) {
    match role {
        "log" => {
            info!(answer = 42, "from tracing");
            log::warn!(target: "library", "from the log crate");
        }
        "log from threads" => std::thread::scope(|scope| {
            for thread in 0..THREADS {
                scope.spawn(move || {
                    (0..LINES_OF_A_THREAD).for_each(|line| info!(thread, line, padding = "x".repeat(6_000)))
                });
            }
        }),
        "ask for debug" => {
            let by_tracing = tracing::enabled!(tracing::Level::DEBUG);
            let by_log = log::log_enabled!(log::Level::Debug);
            info!(by_tracing, by_log);
        }
        "panic" => panic!("the shed is stuck\nbetween two lines"),
        "panic and abort" => {
            info!("before");
            // Unlike the end of `main`, this leaves no time for anything.
            std::panic::catch_unwind(|| panic!("gone")).ok();
            std::process::abort();
        }
        "panic while logging" => info!("{}", PanicsWhenShown),
        "log while logging" => info!(value = ?Chatty, "outer"),
        other => unreachable!("no role {other}"),
    }
}

struct Chatty;

impl std::fmt::Debug for Chatty {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        info!("inner");
        formatter.write_str("chatty")
    }
}

struct PanicsWhenShown;

impl std::fmt::Display for PanicsWhenShown {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("shown")
    }
}

async fn child(role: &str, variables: &[(&str, String)]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "processes::the_child_does_what_its_role_says",
            "--nocapture",
            "--test-threads=1",
        ])
        .env_clear()
        .env(ROLE, role)
        .envs(variables.iter().map(|(name, value)| (*name, value)))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    tokio::time::timeout(Duration::from_secs(60), command.output())
        .await
        .expect("the child ends in time")
        .unwrap()
}

/// What the child logged. The harness writes to standard output, and telemetry to standard error.
fn lines(output: &Output) -> Vec<serde_json::Value> {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    let lines = text.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_child_process_continues_the_trace_of_its_environment() {
    let receiver = Receiver::http(Security::None).await;
    let parent: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        .parse()
        .unwrap();
    let mut variables = parent.with_trace_state("vendor=1").variables();
    variables.push(("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint()));
    let output = child("log", &variables).await;
    assert!(output.status.success(), "{output:?}");

    let spans = receiver.spans(1).await;
    let span = named(&spans, "child");
    assert_eq!(hex(&span.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(hex(&span.parent_span_id), "00f067aa0ba902b7");
    assert_eq!(span.trace_state, "vendor=1");

    let lines = lines(&output);
    let told = lines.iter().map(|line| {
        (
            line["target"].as_str().unwrap(),
            line["message"].as_str().unwrap(),
        )
    });
    let told: Vec<_> = told.collect();
    assert_eq!(
        told,
        [
            ("telemetry::processes", "from tracing"),
            ("library", "from the log crate")
        ]
    );
    for line in &lines {
        assert_eq!(
            [&line["trace_id"], &line["span_id"]],
            [&hex(&span.trace_id), &hex(&span.span_id)]
        );
    }
}

#[tokio::test]
async fn a_panic_is_one_line_with_ids() {
    expect_a_panic("panic").await;
}

#[tokio::test]
async fn a_panic_is_written_before_the_process_ends_by_it() {
    expect_a_panic("panic, queued").await;
    let output = child("panic and abort, queued", &[]).await;
    let lines = lines(&output);
    let told: Vec<_> = lines
        .iter()
        .map(|line| line["message"].as_str().unwrap())
        .collect();
    assert_eq!(told, ["before", "panicked"]);
}

async fn expect_a_panic(role: &str) {
    let output = child(role, &[("RUST_BACKTRACE", "1".to_owned())]).await;
    assert!(!output.status.success());
    let lines = lines(&output);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    let line = &lines[0];
    assert_eq!(
        [&line["level"], &line["target"], &line["message"]],
        ["ERROR", "panic", "panicked"]
    );
    assert_eq!(line["error"], "the shed is stuck\nbetween two lines");
    assert!(
        line["location"].as_str().unwrap().contains("processes.rs:"),
        "{line}"
    );
    assert!(line["backtrace"].as_str().unwrap().contains("play"), "{line}");
    assert_eq!(line["trace_id"].as_str().map(str::len), Some(32));
}

#[tokio::test]
async fn a_panic_while_a_line_is_made_is_a_line_of_its_own() {
    let output = child("panic while logging", &[]).await;
    assert!(!output.status.success());
    let lines = lines(&output);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!([&lines[0]["message"], &lines[0]["error"]], ["panicked", "shown"]);
    assert!(lines[0].get("backtrace").is_none());
}

#[tokio::test]
async fn a_bad_filter_is_told_in_words() {
    let output = child("log", &[("HEDDLE_LOG", "info,wran".to_owned())]).await;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(text.contains("UnknownLevel(\"wran\")"), "{text}");
}

#[tokio::test]
async fn an_event_inside_an_event_leaves_the_span_unmarked() {
    let receiver = Receiver::http(Security::None).await;
    let output = child(
        "log while logging",
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())],
    )
    .await;
    assert!(output.status.success(), "{output:?}");
    let outer = lines(&output).pop().unwrap();
    assert_eq!([&outer["message"], &outer["value"]], ["outer", "chatty"]);
    let spans = receiver.spans(1).await;
    let span = named(&spans, "child");
    assert_eq!(span.status.clone().unwrap_or_default().code, 0);
    assert!(
        span.events.iter().all(|event| event.name != "exception"),
        "{:#?}",
        span.events
    );
}

#[tokio::test]
async fn lines_of_several_threads_are_not_mixed() {
    expect_whole_lines("log from threads").await;
}

#[tokio::test]
async fn no_line_is_lost_at_the_end_of_a_process() {
    expect_whole_lines("log from threads, queued").await;
}

async fn expect_whole_lines(role: &str) {
    let output = child(role, &[]).await;
    let lines = lines(&output);
    assert_eq!(lines.len(), THREADS * LINES_OF_A_THREAD);
    assert!(
        lines
            .iter()
            .all(|line| line["padding"].as_str().map(str::len) == Some(6_000))
    );
}

#[tokio::test]
async fn a_debug_line_costs_nothing_but_a_look_where_the_filter_hides_it() {
    let output = child("ask for debug", &[]).await;
    let lines = lines(&output);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!([&lines[0]["by_tracing"], &lines[0]["by_log"]], [false, false]);
}
