//! Lines as they are written: one JSON object each, with the ids of the trace.

use crate::captured::{Captured, settings};
use heddle_telemetry::settings::TraceSampler;
use heddle_telemetry::{ContinueTrace, TraceParent};
use heddle_telemetry::{LogFormat, TelemetrySettings};
use std::error::Error;
use tracing::field::Empty;
use tracing::{Level, info, info_span, span, warn};

const REMOTE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn a_line_has_the_names_of_opentelemetry_and_plain_fields() {
    let captured = Captured::with_filter("info");
    captured.run(|| {
        let span = info_span!("reconcile", namespace = "demo", "r#type" = Empty);
        span.in_scope(|| info!(files = 3, ratio = 0.5, done = true, "code \"generated\""));
    });
    let line = captured.only_line();
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["target"], "telemetry::logs");
    assert_eq!(line["message"], "code \"generated\"");
    assert_eq!(
        (&line["files"], &line["ratio"], &line["done"]),
        (&3.into(), &0.5.into(), &true.into())
    );
    assert_eq!(line["namespace"], "demo");
    assert_eq!(line["trace_flags"], "01");
    assert_eq!(line["trace_id"].as_str().map(str::len), Some(32));
    assert_eq!(line["span_id"].as_str().map(str::len), Some(16));
    let timestamp = line["timestamp"].as_str().unwrap();
    assert!(
        timestamp.len() == "2026-11-20T12:34:56.123456Z".len() && timestamp.ends_with('Z'),
        "{timestamp}"
    );
}

#[test]
fn a_span_continues_its_remote_parent() {
    let captured = Captured::with_filter("info");
    captured.run(|| {
        let span = info_span!("job");
        span.continue_from(&REMOTE.parse().unwrap()).unwrap();
        let _entered = span.enter();
        info!("inside");
        let here = TraceParent::current().unwrap();
        assert_eq!(here.trace_id_hex(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(TraceParent::of(&span), Some(here));
    });
    let line = captured.only_line();
    assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_ne!(line["span_id"], "00f067aa0ba902b7");
}

#[test]
fn a_filter_that_hides_spans_does_not_hide_their_ids() {
    let captured = Captured::with_filter("warn");
    captured.run(|| {
        info_span!("reconcile", name = "petstore").in_scope(|| {
            info!("hidden");
            warn!("shown");
        });
    });
    let line = captured.only_line();
    assert_eq!(
        (&line["message"], &line["name"]),
        (&"shown".into(), &"petstore".into())
    );
    assert!(line["trace_id"].is_string());
}

#[test]
fn an_error_is_logged_with_its_sources() {
    let captured = Captured::with_filter("info");
    captured.run(|| {
        let error = std::io::Error::other("refused");
        tracing::error!(error = &error as &dyn Error, "failed to connect");
    });
    assert_eq!(captured.only_line()["error"], "refused");
}

#[test]
fn a_span_that_no_filter_lets_through_lends_the_ids_of_the_next() {
    let captured = Captured::with_filter("debug");
    captured.run(|| {
        let outer = info_span!("outer", a = 1);
        let _outer = outer.enter();
        let inner = span!(Level::DEBUG, "inner", b = 2);
        inner.in_scope(|| info!("inside"));
    });
    let line = captured.only_line();
    assert_eq!((&line["a"], &line["b"]), (&1.into(), &2.into()));
    assert!(line["trace_id"].is_string());
}

#[test]
fn fields_added_later_are_in_the_lines_that_follow_with_the_ids() {
    let captured = Captured::with_filter("info");
    captured.run(|| {
        let span = info_span!("reconcile", commit = Empty, files = Empty);
        let _entered = span.enter();
        info!("before");
        span.record("commit", "abc");
        span.record("files", 1);
        span.record("files", 2);
        info!("after");
    });
    let lines = captured.written.lines();
    assert_eq!(lines[0].get("commit"), None);
    assert_eq!(
        (&lines[1]["commit"], &lines[1]["files"]),
        (&"abc".into(), &2.into())
    );
    assert_eq!(
        (&lines[0]["trace_id"], &lines[0]["span_id"]),
        (&lines[1]["trace_id"], &lines[1]["span_id"])
    );
    assert!(lines[1]["trace_id"].is_string());
    assert_eq!(captured.written.text().matches("\"files\"").count(), 1);
}

#[test]
fn an_event_belongs_to_the_parent_it_names() {
    let captured = Captured::with_filter("info");
    captured.run(|| {
        let named = info_span!("named", which = "named");
        let _around = info_span!("around", which = "around").entered();
        info!(parent: &named, "elsewhere");
        info!("here");
        info!(parent: None, "nowhere");
    });
    let lines = captured.written.lines();
    assert_eq!([&lines[0]["which"], &lines[1]["which"]], ["named", "around"]);
    assert_ne!(lines[0]["trace_id"], lines[1]["trace_id"]);
    assert!(lines[0]["span_id"].is_string());
    assert_eq!((lines[2].get("trace_id"), lines[2].get("which")), (None, None));
}

#[test]
fn an_unsampled_trace_has_ids_and_flags_of_zero() {
    let captured = Captured::new(TelemetrySettings {
        sampler: TraceSampler::AlwaysOff,
        ..settings()
    });
    captured.run(|| info_span!("unsampled").in_scope(|| info!("inside")));
    let line = captured.only_line();
    assert_eq!(line["trace_flags"], "00");
    assert_ne!(line["trace_id"], "0".repeat(32));
    assert_eq!(line["span_id"].as_str().map(str::len), Some(16));
}

#[test]
fn names_that_are_taken_get_a_prefix_and_nothing_is_lost() {
    let captured = Captured::with_filter("info");
    captured.run(|| {
        let _outer = info_span!("outer", name = "outer", message = "span").entered();
        let _inner = info_span!("inner", name = "inner").entered();
        info!(name = "event", level = "own", trace_id = 7, "told");
    });
    let line = captured.only_line();
    let names = ["name", "span.name", "span.span.name"].map(|name| line[name].clone());
    assert_eq!(names, ["event", "inner", "outer"]);
    assert_eq!([&line["message"], &line["span.message"]], ["told", "span"]);
    assert_eq!([&line["level"], &line["field.level"]], ["INFO", "own"]);
    assert_eq!(line["field.trace_id"], 7);
    assert_eq!(line["trace_id"].as_str().map(str::len), Some(32));
}

#[test]
fn values_that_json_has_no_number_for_are_text() {
    let captured = Captured::with_filter("info");
    captured.run(|| {
        info!(
            a = f64::NAN,
            b = f64::INFINITY,
            c = u128::MAX,
            d = 1e300,
            e = u64::MAX,
            f = -0.0
        )
    });
    let line = captured.only_line();
    assert_eq!(
        [&line["a"], &line["b"], &line["c"]],
        ["NaN", "inf", &u128::MAX.to_string()]
    );
    assert_eq!(
        (line["d"].as_f64(), line["e"].as_u64(), line["message"].as_str()),
        (Some(1e300), Some(u64::MAX), Some(""))
    );
}

#[test]
fn a_value_may_log_while_it_is_being_logged() {
    struct Chatty;
    impl std::fmt::Debug for Chatty {
        fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            info!("inner");
            formatter.write_str("chatty")
        }
    }
    let captured = Captured::with_filter("info");
    captured.run(|| {
        let span = info_span!("span", opened = ?Chatty, later = Empty);
        span.record("later", tracing::field::debug(Chatty));
        span.in_scope(|| info!(value = ?Chatty, "outer"));
    });
    // A scoped dispatcher drops some of what is logged inside; what matters is that nothing breaks.
    let line = captured.written.lines().pop().unwrap();
    assert_eq!(
        [&line["value"], &line["opened"], &line["later"]],
        ["chatty", "chatty", "chatty"]
    );
}

#[test]
fn a_value_that_fails_to_show_itself_costs_no_line() {
    struct Broken;
    impl std::fmt::Display for Broken {
        fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("half")?;
            Err(std::fmt::Error)
        }
    }
    let captured = Captured::with_filter("info");
    captured.run(|| info!(value = %Broken, next = 1, "told"));
    let line = captured.only_line();
    assert_eq!(
        (&line["value"], &line["next"]),
        (&"half… [failed to format]".into(), &1.into())
    );
}

#[test]
fn a_value_is_cut_before_the_line_grows_out_of_hand() {
    let captured = Captured::with_filter("info");
    captured.run(|| info!(value = "x".repeat(100_000), "told"));
    let line = captured.only_line();
    assert!(
        line["value"]
            .as_str()
            .unwrap()
            .ends_with("x… [83616 bytes left out]")
    );
}

#[test]
fn a_parent_set_too_late_is_refused_and_the_trace_stays_as_it_was() {
    let captured = Captured::with_filter("info");
    captured.run(|| {
        let span = info_span!("started");
        let before = TraceParent::of(&span);
        let late = span.continue_from(&REMOTE.parse().unwrap());
        assert_eq!(late, Err(heddle_telemetry::ContinueTraceError::AlreadyStarted));
        assert_eq!(TraceParent::of(&span), before);
        let disabled = span!(Level::TRACE, "disabled").continue_from(&REMOTE.parse().unwrap());
        assert_eq!(disabled, Err(heddle_telemetry::ContinueTraceError::Disabled));
    });
}

#[test]
fn the_human_format_is_one_uncoloured_line_with_a_short_trace_id() {
    let captured = Captured::new(TelemetrySettings {
        log_format: LogFormat::Human,
        ..settings()
    });
    captured.run(|| {
        let span = info_span!("reconcile", name = "petstore");
        span.continue_from(&REMOTE.parse().unwrap()).unwrap();
        span.in_scope(|| warn!(path = "a b", empty = "", files = 3, "failed to read \"x\"\nagain"));
    });
    let text = captured.written.text();
    let (time, rest) = text.split_once(' ').unwrap();
    assert_eq!(time.len(), "12:34:56.789".len(), "{text}");
    let expected = " WARN telemetry::logs  failed to read \"x\"\\nagain path=\"a b\" empty=\"\" files=3 name=petstore trace=4bf92f35\n";
    assert_eq!(rest, expected);
}

#[test]
fn telemetry_metrics_are_part_of_the_registry() {
    let captured = Captured::with_filter("info");
    let mut registry = heddle_telemetry::MetricsRegistry::new("test", "1.2.3");
    registry.register_telemetry(&captured.telemetry);
    captured.telemetry.export_metrics().dropped.inc_by(3);
    let text = registry.encode().unwrap();
    assert!(
        text.contains("heddle_telemetry_spans_dropped_total 3\n"),
        "{text}"
    );
}
