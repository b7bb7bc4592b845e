//! Spans on their way to a receiver: that answers, hangs, is away, or comes back.

use crate::captured::{Captured, settings};
use crate::receiver::{Receiver, Security, attribute, hex, named};
use heddle_telemetry::settings::{OtlpCompression, OtlpProtocol, OtlpSettings, TraceSampler};
use heddle_telemetry::{ContinueTrace, ShutdownError, TelemetrySettings};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, crypto};
use tonic::transport::Identity;
use tracing::{info, info_span, warn};

/// Time for a flush that works.
const FLUSH: Duration = Duration::from_secs(20);

fn exporting(endpoint: String, protocol: OtlpProtocol) -> TelemetrySettings {
    let otlp = OtlpSettings {
        headers: vec![("x-tenant".to_owned(), "weavers".to_owned())],
        schedule_delay: Duration::from_millis(20),
        ..OtlpSettings::new(endpoint, protocol)
    };
    TelemetrySettings {
        otlp: Some(otlp),
        resource_attributes: vec![("team".to_owned(), "looms".to_owned())],
        ..settings()
    }
}

fn with_limits(address: SocketAddr, change: impl FnOnce(&mut OtlpSettings)) -> TelemetrySettings {
    let mut settings = exporting(format!("http://{address}/v1/traces"), OtlpProtocol::HttpProtobuf);
    settings.otlp.as_mut().map(change).unwrap();
    settings
}

/// Spans of two generations and a line inside, sent to `receiver`.
async fn check_spans_arrive(receiver: &Receiver, settings: TelemetrySettings) {
    let captured = Captured::new(settings);
    captured.run(|| {
        let _parent = info_span!("reconcile", "otel.kind" = "consumer", namespace = "demo").entered();
        info_span!("clone").in_scope(|| info!(depth = 1, "cloned"));
    });
    let spans = receiver.spans(2).await;
    let (parent, child) = (named(&spans, "reconcile"), named(&spans, "clone"));
    assert_eq!(parent.parent_span_id, Vec::<u8>::new());
    assert_eq!(child.parent_span_id, parent.span_id);
    assert_eq!(child.trace_id, parent.trace_id);
    assert_eq!(attribute(&parent.attributes, "namespace"), "demo");
    assert_eq!(
        parent.kind(),
        opentelemetry_proto::tonic::trace::v1::span::SpanKind::Consumer
    );
    let line = captured.only_line();
    assert_eq!(line["trace_id"], hex(&child.trace_id));
    assert_eq!(line["span_id"], hex(&child.span_id));
    assert_eq!(
        (
            child.events[0].name.as_str(),
            attribute(&child.events[0].attributes, "depth").as_str()
        ),
        ("cloned", "1")
    );

    let arrived = &receiver.arrived()[0];
    assert_eq!(arrived.headers["x-tenant"], "weavers");
    let resource = arrived.request.resource_spans[0]
        .resource
        .clone()
        .unwrap()
        .attributes;
    let resource = [
        "service.name",
        "service.version",
        "team",
        "telemetry.sdk.language",
    ]
    .map(|name| attribute(&resource, name));
    assert_eq!(resource, ["heddle-test", "1.2.3", "looms", "rust"]);
    captured.telemetry.shutdown(FLUSH).await.unwrap();
}

#[tokio::test]
async fn spans_arrive_over_grpc() {
    let receiver = Receiver::grpc().await;
    check_spans_arrive(&receiver, exporting(receiver.endpoint(), OtlpProtocol::Grpc)).await;
}

#[tokio::test]
async fn spans_arrive_over_http() {
    let receiver = Receiver::http(Security::None).await;
    let settings = exporting(
        format!("{}/v1/traces", receiver.endpoint()),
        OtlpProtocol::HttpProtobuf,
    );
    check_spans_arrive(&receiver, settings).await;
    assert_eq!(receiver.arrived()[0].path, "/v1/traces");
    assert_eq!(
        receiver.arrived()[0].headers["content-type"],
        "application/x-protobuf"
    );
}

#[tokio::test]
async fn the_environment_alone_is_enough_to_export() {
    let receiver = Receiver::grpc().await;
    let endpoint = receiver.endpoint();
    let settings = TelemetrySettings::from_variables("heddle-test", "1.2.3", |name| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
        "OTEL_EXPORTER_OTLP_PROTOCOL" => Some("grpc".to_owned()),
        "OTEL_EXPORTER_OTLP_HEADERS" => Some("x-tenant=weavers".to_owned()),
        "OTEL_RESOURCE_ATTRIBUTES" => Some("team=looms".to_owned()),
        _ => None,
    });
    check_spans_arrive(&receiver, settings.unwrap()).await;
}

#[tokio::test]
async fn shutdown_sends_what_is_waiting() {
    let receiver = Receiver::http(Security::None).await;
    let settings = with_limits(receiver.address, |otlp| {
        otlp.schedule_delay = Duration::from_secs(3600);
        otlp.max_export_batch_size = 10;
    });
    let captured = Captured::new(settings);
    captured.run(|| (0..25).for_each(|number| drop(info_span!("numbered", number).entered())));
    let metrics = captured.telemetry.export_metrics().clone();
    captured.telemetry.shutdown(FLUSH).await.unwrap();
    assert_eq!(receiver.spans(25).await.len(), 25);
    assert_eq!(receiver.arrived().len(), 3);
    assert_eq!(
        (
            metrics.exported.get(),
            metrics.dropped.get(),
            metrics.failures.get()
        ),
        (25, 0, 0)
    );
}

#[tokio::test]
async fn shutdown_keeps_its_deadline_when_the_receiver_hangs() {
    for protocol in [OtlpProtocol::Grpc, OtlpProtocol::HttpProtobuf] {
        // The kernel accepts connections; nobody ever answers them.
        let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", hanging.local_addr().unwrap());
        let captured = Captured::new(exporting(endpoint, protocol));
        captured.run(|| (0..3).for_each(|_| drop(info_span!("lost").entered())));
        let started = Instant::now();
        let ended = captured.telemetry.shutdown(Duration::from_millis(300)).await;
        assert!(matches!(ended, Err(ShutdownError::SpansLost(3))), "{ended:?}");
        assert!(
            started.elapsed() < Duration::from_secs(8),
            "{protocol:?}: {:?}",
            started.elapsed()
        );
    }
}

#[tokio::test]
async fn a_receiver_that_is_away_stops_nobody_and_is_complained_of_once() {
    let absent = unused_address().await;
    let captured = Captured::new(with_limits(absent, |otlp| {
        otlp.max_queue_size = 100;
        otlp.max_export_batch_size = 10;
    }));
    let started = Instant::now();
    captured.run(|| (0..10_000).for_each(|_| drop(info_span!("lost").entered())));
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "{:?}",
        started.elapsed()
    );
    let metrics = captured.telemetry.export_metrics().clone();
    let ended = captured.telemetry.shutdown(Duration::from_secs(2)).await;
    assert!(ended.is_err(), "{ended:?}");
    assert_eq!((metrics.exported.get(), metrics.dropped.get()), (0, 10_000));
    let reason = captured.written.lines()[0]["error"].to_string();
    assert!(reason.contains("Connection refused"), "{reason}");
    assert!(metrics.failures.get() > 1, "{}", metrics.failures.get());
    let lines = captured.written.lines();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!(
        (&lines[0]["level"], &lines[0]["message"]),
        (&"WARN".into(), &"failed to export traces".into())
    );
}

#[tokio::test]
async fn a_full_queue_drops_and_counts() {
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let captured = Captured::new(with_limits(hanging.local_addr().unwrap(), |otlp| {
        otlp.max_queue_size = 4;
        otlp.max_export_batch_size = 2;
    }));
    captured.run(|| (0..1_000).for_each(|_| drop(info_span!("lost").entered())));
    // The queue, one batch that is being sent, and those taken while this thread was suspended.
    assert!(captured.telemetry.export_metrics().dropped.get() >= 990);
}

#[tokio::test]
async fn a_receiver_that_comes_back_gets_spans_again() {
    let absent = unused_address().await;
    let captured = Captured::new(with_limits(absent, |_| {}));
    captured.run(|| drop(info_span!("before").entered()));
    let metrics = captured.telemetry.export_metrics().clone();
    until(|| metrics.failures.get() == 1).await;
    let receiver = Receiver::http_on(TcpListener::bind(absent).await.unwrap(), Security::None);
    captured.run(|| drop(info_span!("after").entered()));
    assert_eq!(receiver.spans(1).await[0].name, "after");
    captured.telemetry.shutdown(FLUSH).await.unwrap();
    let messages: Vec<_> = captured
        .written
        .lines()
        .iter()
        .map(|line| line["message"].clone())
        .collect();
    assert_eq!(messages, ["failed to export traces", "exporting traces again"]);
}

#[tokio::test]
async fn an_unsampled_trace_is_logged_with_its_ids_and_not_exported() {
    let receiver = Receiver::http(Security::None).await;
    let mut settings = with_limits(receiver.address, |_| {});
    settings.sampler = TraceSampler::ParentOrAlwaysOff;
    let captured = Captured::new(settings);
    captured.run(|| {
        info_span!("started_here").in_scope(|| warn!("unsampled"));
        let sampled = info_span!("sampled_elsewhere");
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        sampled.continue_from(&parent.parse().unwrap()).unwrap();
        sampled.in_scope(|| warn!("sampled"));
    });
    captured.telemetry.shutdown(FLUSH).await.unwrap();
    let spans = receiver.spans(1).await;
    assert_eq!((spans.len(), spans[0].name.as_str()), (1, "sampled_elsewhere"));
    assert_eq!(hex(&spans[0].parent_span_id), "00f067aa0ba902b7");
    let lines = captured.written.lines();
    assert_eq!([&lines[0]["trace_flags"], &lines[1]["trace_flags"]], ["00", "01"]);
    assert_eq!(lines[0]["trace_id"].as_str().map(str::len), Some(32));
}

#[tokio::test]
async fn a_line_written_after_shutdown_still_has_ids() {
    let receiver = Receiver::http(Security::None).await;
    let captured = Captured::new(with_limits(receiver.address, |_| {}));
    let Captured {
        dispatch,
        telemetry,
        written,
    } = captured;
    telemetry.shutdown(FLUSH).await.unwrap();
    tracing::dispatcher::with_default(&dispatch, || info_span!("late").in_scope(|| info!("bye")));
    assert_eq!(written.lines()[0]["trace_id"].as_str().map(str::len), Some(32));
}

#[tokio::test]
async fn requests_are_packed_when_the_settings_say_so() {
    let receiver = Receiver::http(Security::None).await;
    let settings = with_limits(receiver.address, |otlp| otlp.compression = OtlpCompression::Gzip);
    check_spans_arrive(&receiver, settings).await;
    assert_eq!(receiver.arrived()[0].headers["content-encoding"], "gzip");

    let receiver = Receiver::grpc().await;
    let mut settings = exporting(receiver.endpoint(), OtlpProtocol::Grpc);
    settings.otlp.as_mut().unwrap().compression = OtlpCompression::Gzip;
    check_spans_arrive(&receiver, settings).await;
    assert_eq!(receiver.arrived()[0].headers["grpc-encoding"], "gzip");
}

#[tokio::test]
async fn a_receiver_behind_tls_is_trusted_by_the_certificate_that_is_given() {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = CertificateFile::new(&key);
    let receiver = Receiver::http(Security::Tls(server_tls(&key))).await;
    let endpoint = format!("https://localhost:{}/v1/traces", receiver.address.port());
    let settings = trusting(exporting(endpoint, OtlpProtocol::HttpProtobuf), &file);
    check_spans_arrive(&receiver, settings).await;

    let identity = Identity::from_pem(key.cert.pem(), key.signing_key.serialize_pem());
    let receiver = Receiver::grpc_tls(identity).await;
    let endpoint = format!("https://localhost:{}", receiver.address.port());
    let settings = trusting(exporting(endpoint, OtlpProtocol::Grpc), &file);
    check_spans_arrive(&receiver, settings).await;
}

#[tokio::test]
async fn a_receiver_with_another_certificate_gets_nothing() {
    let [ours, theirs] =
        [(); 2].map(|()| rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap());
    let file = CertificateFile::new(&ours);
    let receiver = Receiver::http(Security::Tls(server_tls(&theirs))).await;
    let endpoint = format!("https://localhost:{}/v1/traces", receiver.address.port());
    let captured = Captured::new(trusting(exporting(endpoint, OtlpProtocol::HttpProtobuf), &file));
    captured.run(|| drop(info_span!("secret").entered()));
    let ended = captured.telemetry.shutdown(Duration::from_secs(2)).await;
    assert!(matches!(ended, Err(ShutdownError::SpansLost(1))), "{ended:?}");
    assert_eq!(receiver.arrived().len(), 0);
}

/// A certificate in a file that goes away with it.
struct CertificateFile(PathBuf);

impl CertificateFile {
    fn new(key: &rcgen::CertifiedKey<rcgen::KeyPair>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let file = std::env::temp_dir().join(format!("heddle-telemetry-{}-{count}.pem", std::process::id()));
        std::fs::write(&file, key.cert.pem()).unwrap();
        Self(file)
    }
}

impl Drop for CertificateFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

fn trusting(mut settings: TelemetrySettings, file: &CertificateFile) -> TelemetrySettings {
    settings.otlp.as_mut().unwrap().certificate = Some(file.0.clone());
    settings
}

fn server_tls(key: &rcgen::CertifiedKey<rcgen::KeyPair>) -> Arc<ServerConfig> {
    let private = PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private);
    config.unwrap().into()
}

#[tokio::test]
async fn an_exporter_that_cannot_be_built_is_a_warning_and_no_failure() {
    let mut settings = exporting("not a url".to_owned(), OtlpProtocol::Grpc);
    settings.warnings.push("something else".to_owned());
    let captured = Captured::new(settings);
    let reasons: Vec<_> = captured
        .written
        .lines()
        .iter()
        .map(|line| line["reason"].to_string())
        .collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(
        reasons[1].contains("traces are not exported: failed to build the exporter for not a url"),
        "{reasons:?}"
    );
    captured.telemetry.shutdown(FLUSH).await.unwrap();
}

async fn unused_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

async fn until(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < FLUSH, "the condition does not come true");
        tokio::task::yield_now().await;
    }
}
