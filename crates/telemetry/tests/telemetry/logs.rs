//! Lines as they are written: one JSON object each, with the ids of the trace.

use crate::captured::Captured;
use heddle_telemetry::{ContinueTrace, TraceParent};
use std::error::Error;
use tracing::{Level, info, info_span, span, warn};

const REMOTE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn a_line_has_the_names_of_opentelemetry_and_plain_fields() {
    let captured = Captured::with_filter("info");
    captured.run(|| {
        let span = info_span!("reconcile", namespace = "demo", "r#type" = tracing::field::Empty);
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
