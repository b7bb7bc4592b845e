//! Telemetry that writes into memory.

use heddle_telemetry::{LogFormat, LogOutput, Telemetry, TelemetrySettings};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use tracing::Dispatch;

/// Telemetry without globals and what it wrote.
pub(crate) struct Captured {
    pub(crate) dispatch: Dispatch,
    pub(crate) telemetry: Telemetry,
    pub(crate) written: Written,
}

/// A log in memory.
#[derive(Clone, Default)]
pub(crate) struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    pub(crate) fn only_line(&self) -> serde_json::Value {
        let lines = self.lines();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        lines[0].clone()
    }

    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Captured {
    pub(crate) fn new(settings: TelemetrySettings) -> Self {
        let written = Written::default();
        let (dispatch, telemetry) =
            heddle_telemetry::build(settings, LogOutput::writer(written.clone())).unwrap();
        Self {
            dispatch,
            telemetry,
            written,
        }
    }

    pub(crate) fn with_filter(log_filter: &str) -> Self {
        Self::new(TelemetrySettings {
            log_filter: log_filter.to_owned(),
            ..settings()
        })
    }

    pub(crate) fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        tracing::dispatcher::with_default(&self.dispatch, work)
    }

    pub(crate) fn only_line(&self) -> serde_json::Value {
        self.written.only_line()
    }
}

pub(crate) fn settings() -> TelemetrySettings {
    TelemetrySettings {
        log_format: LogFormat::Json,
        ..TelemetrySettings::new("heddle-test", "1.2.3")
    }
}
