//! Builds the subscriber of a process from its settings.

mod filter;

pub use filter::FilterError;

use crate::exceptions::ExceptionLayer;
use crate::export::{ExportMetrics, ExporterThread, ShutdownError, SpanQueue};
use crate::logs::{LogLayer, LogOutput, LogWriter, RegisteredDispatch};
use crate::{ErrorChain, LogWriting, TelemetrySettings, panics};
use filter::{Events, LogFilter, SpanFilter};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::SdkTracerProvider;
use prometheus_client::metrics::counter::Counter;
use std::time::Duration;
use thiserror::Error;
use tracing::Dispatch;
use tracing_log::{AsLog as _, LogTracer};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry};

/// The instrumentation scope of our spans.
const TRACER_NAME: &str = "heddle";

/// Why there is no telemetry.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InitError {
    /// The log filter cannot be understood.
    #[error("failed to parse the log filter {filter:?}")]
    LogFilter {
        /// What was given.
        filter: String,
        /// Which part of it is wrong.
        source: FilterError,
    },
    /// The span filter cannot be understood.
    #[error("failed to parse the span filter {filter:?}")]
    SpanFilter {
        /// What was given.
        filter: String,
        /// Which part of it is wrong.
        source: FilterError,
    },
    /// This process has a subscriber already.
    #[error("failed to install telemetry: a subscriber is installed already")]
    SubscriberInstalled(#[source] tracing::subscriber::SetGlobalDefaultError),
    /// This process has a logger of the `log` crate already.
    #[error("failed to install telemetry: a logger is installed already")]
    LoggerInstalled(#[source] tracing_log::log::SetLoggerError),
}

/// The telemetry of a process. To be shut down before the process ends, or its last spans are lost.
pub struct Telemetry {
    exporter: Option<ExporterThread>,
    writer: Option<LogWriter>,
    metrics: ExportMetrics,
    lines_dropped: Counter,
}

impl Telemetry {
    /// What became of the spans so far.
    pub fn export_metrics(&self) -> &ExportMetrics {
        &self.metrics
    }

    /// Lines of the log that there was no room for in the queue.
    pub(crate) fn log_lines_dropped(&self) -> &Counter {
        &self.lines_dropped
    }

    /// Exports the finished spans and writes the lines that are waiting, each for at most `deadline`. Events are written,
    /// with their ids, also afterwards; spans that end afterwards are dropped and counted.
    ///
    /// # Errors
    /// [`ShutdownError`] when spans or lines are lost.
    pub async fn shutdown(self, deadline: Duration) -> Result<(), ShutdownError> {
        let exported = match self.exporter {
            Some(exporter) => exporter.stop(deadline).await,
            None => Ok(()),
        };
        // What the exporter had to say is among the lines.
        let written = self.writer.map_or(Ok(()), |writer| writer.close(deadline));
        exported.and(written)
    }
}

/// Installs telemetry in this process: the subscriber, the bridge from the `log` crate and the
/// panic hook.
///
/// # Errors
/// [`InitError`] when a filter cannot be understood or something is installed already. An exporter
/// that cannot be built is only warned of: it must not keep a process from its work.
pub fn init(settings: TelemetrySettings) -> Result<Telemetry, InitError> {
    let output = LogOutput::stream(settings.log_stream);
    let (dispatch, telemetry) = build(settings, output)?;
    tracing::dispatcher::set_global_default(dispatch).map_err(InitError::SubscriberInstalled)?;
    LogTracer::builder()
        .with_max_level(LevelFilter::current().as_log())
        .init()
        .map_err(InitError::LoggerInstalled)?;
    panics::install_hook(telemetry.writer.as_ref().map(|writer| writer.queue().clone()));
    Ok(telemetry)
}

/// Builds telemetry without installing it, for those who write elsewhere or have several.
///
/// # Errors
/// [`InitError`] when a filter cannot be understood.
pub fn build(
    mut settings: TelemetrySettings,
    mut output: LogOutput,
) -> Result<(Dispatch, Telemetry), InitError> {
    let registered = RegisteredDispatch::default();
    let log_filter = log_filter(&settings)?;
    let traced = SpanFilter::new(span_filter(&settings)?, Events::BelowError);
    let failed = SpanFilter::new(span_filter(&settings)?, Events::Errors);
    let metrics = ExportMetrics::default();
    let (exporter, queue) = start_exporter(&mut settings, &metrics, &registered);
    let lines_dropped = Counter::default();
    let writer = match settings.log_writing {
        LogWriting::Direct => None,
        LogWriting::Queued => start_writer(&mut settings, &mut output, &lines_dropped, &registered),
    };
    let tracer = provider(&settings, queue).tracer(TRACER_NAME);
    let spans = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_error_records_to_exceptions(false)
        .with_error_fields_to_exceptions(false)
        .with_error_events_to_exceptions(false)
        .with_error_events_to_status(false);
    let logs = LogLayer::new(settings.log_format, settings.no_color, output, registered.clone());
    let subscriber = Registry::default()
        .with(spans.with_filter(traced))
        .with(ExceptionLayer::new(registered).with_filter(failed))
        .with(logs.with_filter(log_filter));
    let dispatch = Dispatch::new(subscriber);
    tracing::dispatcher::with_default(&dispatch, || warn_of(&settings));
    let telemetry = Telemetry {
        exporter,
        writer,
        metrics,
        lines_dropped,
    };
    Ok((dispatch, telemetry))
}

fn log_filter(settings: &TelemetrySettings) -> Result<LogFilter, InitError> {
    let events = filter::parse(&settings.log_filter).map_err(|source| InitError::LogFilter {
        filter: settings.log_filter.clone(),
        source,
    })?;
    Ok(LogFilter::new(events, span_filter(settings)?))
}

fn span_filter(settings: &TelemetrySettings) -> Result<tracing_subscriber::EnvFilter, InitError> {
    filter::parse(&settings.span_filter).map_err(|source| InitError::SpanFilter {
        filter: settings.span_filter.clone(),
        source,
    })
}

fn start_exporter(
    settings: &mut TelemetrySettings,
    metrics: &ExportMetrics,
    registered: &RegisteredDispatch,
) -> (Option<ExporterThread>, Option<SpanQueue>) {
    let Some(otlp) = settings.otlp.clone() else {
        return (None, None);
    };
    match ExporterThread::start(otlp, resource(settings), metrics.clone(), registered.clone()) {
        Ok((exporter, queue)) => (Some(exporter), Some(queue)),
        Err(error) => {
            settings
                .warnings
                .push(format!("traces are not exported: {}", ErrorChain(&error)));
            (None, None)
        }
    }
}

fn start_writer(
    settings: &mut TelemetrySettings,
    output: &mut LogOutput,
    dropped: &Counter,
    registered: &RegisteredDispatch,
) -> Option<LogWriter> {
    let started = output.queued(dropped.clone(), registered.clone());
    started
        .map_err(|error| {
            let warning = format!("there is no thread that writes the log, so who logs waits: {error}");
            settings.warnings.push(warning);
        })
        .ok()
}

fn resource(settings: &TelemetrySettings) -> Resource {
    let attributes = settings.resource_attributes.iter();
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attribute(KeyValue::new("service.version", settings.service_version.clone()))
        .with_attributes(attributes.map(|(name, value)| KeyValue::new(name.clone(), value.clone())))
        .with_service_name(settings.service_name.clone())
        .build()
}

fn provider(settings: &TelemetrySettings, queue: Option<SpanQueue>) -> SdkTracerProvider {
    // The exporter has the resource; the provider, which would read the environment again, needs none.
    let builder = SdkTracerProvider::builder()
        .with_resource(Resource::builder_empty().build())
        .with_sampler(settings.sampler.sdk());
    match queue {
        Some(queue) => builder.with_span_processor(queue).build(),
        None => builder.build(),
    }
}

fn warn_of(settings: &TelemetrySettings) {
    for warning in &settings.warnings {
        tracing::warn!(reason = warning, "ignored a telemetry setting");
    }
}
