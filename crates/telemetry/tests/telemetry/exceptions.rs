//! Errors: the span they mark and the exception event they leave.

use crate::captured::{Captured, Written, settings};
use crate::receiver::{Receiver, Security, attribute, named};
use heddle_telemetry::TelemetrySettings;
use heddle_telemetry::settings::{OtlpProtocol, OtlpSettings};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use std::error::Error;
use std::time::Duration;
use tracing::{error, info_span, warn};

#[derive(Debug, thiserror::Error)]
enum CloneError {
    #[error("failed to fetch {url}")]
    Fetch { url: String, source: TransportError },
}

#[derive(Debug, thiserror::Error)]
#[error("failed to connect: {0}")]
struct TransportError(#[source] std::io::Error);

fn clone_error() -> CloneError {
    let refused = std::io::Error::other("refused");
    CloneError::Fetch {
        url: "https://git.test/idl".to_owned(),
        source: TransportError(refused),
    }
}

/// Runs `work` with telemetry that exports and returns the spans it made.
async fn exported(change: impl FnOnce(&mut TelemetrySettings), work: impl FnOnce()) -> (Vec<Span>, Written) {
    let receiver = Receiver::http(Security::None).await;
    let endpoint = format!("{}/v1/traces", receiver.endpoint());
    let otlp = Some(OtlpSettings::new(endpoint, OtlpProtocol::HttpProtobuf));
    let mut settings = TelemetrySettings { otlp, ..settings() };
    change(&mut settings);
    let captured = Captured::new(settings);
    captured.run(work);
    captured
        .telemetry
        .shutdown(Duration::from_secs(20))
        .await
        .unwrap();
    (receiver.spans(1).await, captured.written)
}

#[tokio::test]
async fn an_error_marks_its_span_and_is_an_exception_with_its_sources() {
    let work = || {
        let _reconcile = info_span!("reconcile").entered();
        info_span!("clone").in_scope(|| {
            let error = clone_error();
            error!(
                error = &error as &dyn Error,
                attempt = 2,
                "failed to clone the source"
            );
        });
    };
    let (spans, written) = exported(|_| {}, work).await;
    let clone = named(&spans, "clone");
    let status = clone.status.clone().unwrap();
    assert_eq!(status.code(), StatusCode::Error);
    let chain = "failed to fetch https://git.test/idl: failed to connect: refused";
    assert_eq!(status.message, format!("failed to clone the source: {chain}"));
    assert_eq!(written.only_line()["error"], chain);

    assert_eq!(clone.events.len(), 1, "{:#?}", clone.events);
    let event = &clone.events[0];
    assert_eq!(event.name, "exception");
    let attributes = [
        "exception.type",
        "exception.message",
        "exception.stacktrace",
        "message",
        "attempt",
    ];
    assert_eq!(
        attributes.map(|name| attribute(&event.attributes, name)),
        [
            "Fetch",
            "failed to fetch https://git.test/idl",
            "failed to fetch https://git.test/idl\nCaused by: failed to connect: refused",
            "failed to clone the source",
            "2",
        ]
    );
    assert_ne!(
        named(&spans, "reconcile")
            .status
            .clone()
            .unwrap_or_default()
            .code(),
        StatusCode::Error
    );
}

#[tokio::test]
async fn an_error_given_as_text_or_not_at_all_is_an_exception_too() {
    let work = || {
        info_span!("text").in_scope(|| error!(error = %clone_error(), "failed to clone"));
        info_span!("none").in_scope(|| error!("gave up"));
        instrumented().unwrap_err();
    };
    let (spans, _) = exported(|_| {}, work).await;
    let message = |name| attribute(&named(&spans, name).events[0].attributes, "exception.message");
    assert_eq!(message("text"), "failed to fetch https://git.test/idl");
    assert_eq!(message("none"), "gave up");
    assert_eq!(message("instrumented"), "failed to fetch https://git.test/idl");
    assert_eq!(
        named(&spans, "instrumented").status.clone().unwrap().code(),
        StatusCode::Error
    );
}

#[tracing::instrument(err)]
fn instrumented() -> Result<(), CloneError> {
    Err(clone_error())
}

#[tokio::test]
async fn a_warning_marks_nothing() {
    let work =
        || info_span!("retry").in_scope(|| warn!(error = &clone_error() as &dyn Error, "will try again"));
    let (spans, _) = exported(|_| {}, work).await;
    let retry = named(&spans, "retry");
    assert_ne!(retry.status.clone().unwrap_or_default().code(), StatusCode::Error);
    assert_eq!(retry.events[0].name, "will try again");
}

#[tokio::test]
async fn an_error_marks_the_parent_it_names_and_not_the_span_around() {
    let work = || {
        let named = info_span!("named");
        let _around = info_span!("around").entered();
        error!(parent: &named, "failed elsewhere");
    };
    let (spans, _) = exported(|_| {}, work).await;
    assert_eq!(named(&spans, "named").events[0].name, "exception");
    assert_eq!(named(&spans, "around").events.len(), 0);
}

#[tokio::test]
async fn an_error_that_is_not_logged_still_marks_its_span() {
    let work = || info_span!("silent").in_scope(|| error!("unheard"));
    let (spans, written) = exported(|settings| settings.log_filter = "off".to_owned(), work).await;
    assert_eq!(named(&spans, "silent").status.clone().unwrap().message, "unheard");
    assert_eq!(written.text(), "");
}
