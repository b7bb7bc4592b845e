//! Lines that a thread of their own writes.

use crate::captured::{Captured, Written, settings};
use heddle_telemetry::{LogOutput, LogWriting, MetricsRegistry, ShutdownError, TelemetrySettings};
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use tracing::info;

/// Long enough for everything here, on any machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A reader of the log that takes nothing until it is let.
#[derive(Clone, Default)]
struct Gate {
    written: Written,
    open: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    fn open(&self) {
        *self.open.0.lock().unwrap() = true;
        self.open.1.notify_all();
    }
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let closed = self.open.0.lock().unwrap();
        drop(self.open.1.wait_while(closed, |open| !*open).unwrap());
        self.written.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn queued(gate: &Gate) -> Captured {
    let settings = TelemetrySettings {
        log_writing: LogWriting::Queued,
        ..settings()
    };
    let (dispatch, telemetry) = heddle_telemetry::build(settings, LogOutput::writer(gate.clone())).unwrap();
    Captured {
        dispatch,
        telemetry,
        written: gate.written.clone(),
    }
}

#[tokio::test]
async fn nobody_waits_for_a_log_that_is_not_read_and_what_is_lost_is_counted_and_told() {
    /// More than fit into the queue.
    const LINES: u64 = 20_000;
    let gate = Gate::default();
    let captured = queued(&gate);
    let padding = "x".repeat(500);
    // Nothing is written before all is logged: had anybody waited, this would not end.
    captured.run(|| (0..LINES).for_each(|number| info!(number, padding, "counted")));
    let mut registry = MetricsRegistry::new("test", "1");
    registry.register_telemetry(&captured.telemetry);
    gate.open();
    captured.telemetry.shutdown(PATIENCE).await.unwrap();

    let lines = captured.written.lines();
    let counted = lines.iter().filter(|line| line["message"] == "counted");
    let numbers: Vec<_> = counted.map(|line| line["number"].as_u64().unwrap()).collect();
    assert!(numbers.is_sorted(), "in the order in which they were logged");
    let told = lines.iter().filter(|line| {
        line["message"]
            .as_str()
            .unwrap()
            .starts_with("log lines were dropped")
    });
    let told: u64 = told.map(|line| line["lines"].as_u64().unwrap()).sum();
    assert!(told > 0);
    assert_eq!(numbers.len() as u64 + told, LINES);
    let text = registry.encode().unwrap();
    let metric = format!("heddle_telemetry_log_lines_dropped_total {told}\n");
    assert!(text.contains(&metric), "{text}");
}

#[tokio::test]
async fn what_waits_is_written_at_shutdown_and_later_lines_at_once() {
    let gate = Gate::default();
    gate.open();
    let captured = queued(&gate);
    captured.run(|| (0..1000).for_each(|number| info!(number)));
    captured.telemetry.shutdown(PATIENCE).await.unwrap();
    assert_eq!(captured.written.lines().len(), 1000);
    tracing::dispatcher::with_default(&captured.dispatch, || info!("after the end"));
    assert_eq!(captured.written.lines().len(), 1001);
}

#[test]
fn what_waits_is_written_when_telemetry_is_dropped() {
    let gate = Gate::default();
    gate.open();
    let captured = queued(&gate);
    captured.run(|| (0..1000).for_each(|number| info!(number)));
    drop(captured.telemetry);
    assert_eq!(captured.written.lines().len(), 1000);
}

#[tokio::test]
async fn a_log_that_is_never_read_does_not_hold_up_the_end() {
    let gate = Gate::default();
    let captured = queued(&gate);
    captured.run(|| info!("stuck"));
    let began = Instant::now();
    let ended = captured.telemetry.shutdown(Duration::from_millis(50)).await;
    assert!(matches!(ended, Err(ShutdownError::LinesLost)), "{ended:?}");
    tracing::dispatcher::with_default(&captured.dispatch, || info!("nor does this"));
    assert!(began.elapsed() < PATIENCE);
    gate.open();
}
