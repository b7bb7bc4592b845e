//! What is measured, and the turns in which it is.

use super::instance::Instance;
use super::limit;
use super::load::{Load, Outcome};
use super::subjects::{Kind, Subject};
use crate::rounds::{Sample, turns};
use anyhow::{Context, Result};
use std::net::Ipv4Addr;

/// The message in JSON, of some 1,000 bytes, in the form that our engine prints.
const JSON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/websocket/message.json");

/// Sessions that messages go through at the same time.
const SESSIONS: usize = 64;
/// Sessions that are opened at the same time.
const CONCURRENT_SETUPS: usize = 16;
/// The moderate rate that latency is measured at, in messages a second.
const MODERATE_RATE: usize = 3_000;
/// The most rounds of what differs little from one to the next and takes long.
const MEMORY_ROUNDS: usize = 3;

/// A measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    /// Messages there and back, each as soon as the last has come back.
    Echo { bytes: usize },
    /// The same with a message in JSON, on a route that leaves it as it is and on one that turns it into protobuf for the
    /// backend and back for the client.
    Transcode,
    /// How long messages take at a moderate rate.
    Latency,
    /// Sessions opened and closed.
    Setups,
    /// Memory of sessions that say nothing.
    Idle { sessions: usize },
}

impl Measure {
    pub(super) const ALL: [Self; 7] = [
        Self::SMALL,
        Self::LARGE,
        Self::Transcode,
        Self::Latency,
        Self::Setups,
        Self::FEW,
        Self::MANY,
    ];
    pub(super) const SMALL: Self = Self::Echo { bytes: 128 };
    pub(super) const LARGE: Self = Self::Echo { bytes: 16 * 1024 };
    pub(super) const FEW: Self = Self::Idle { sessions: 5_000 };
    pub(super) const MANY: Self = Self::Idle { sessions: 20_000 };

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Echo { bytes: 128 } => "echo-128",
            Self::Echo { .. } => "echo-16k",
            Self::Transcode => "transcode-1k",
            Self::Latency => "latency",
            Self::Setups => "setups",
            Self::Idle { sessions: 5_000 } => "idle-5000",
            Self::Idle { .. } => "idle-20000",
        }
    }

    /// Whether a subject takes part in it.
    fn concerns(self, subject: &Subject) -> bool {
        match subject.kind {
            Kind::Heddle => true,
            Kind::Transcoding => self == Self::Transcode,
            _ => self != Self::Transcode,
        }
    }

    /// What its figures are, in the order in which a turn yields them.
    pub(super) fn quantities(self) -> &'static [Quantity] {
        match self {
            Self::Echo { .. } | Self::Transcode => &[Quantity::Rate, Quantity::ProcessorTime],
            Self::Latency => &[Quantity::Median, Quantity::Percentile99],
            Self::Setups => &[Quantity::SetupRate, Quantity::SetupProcessorTime],
            Self::Idle { .. } => &[Quantity::Memory],
        }
    }
}

/// What a figure is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantity {
    /// Round trips a second.
    Rate,
    /// Processor time of the proxy, in seconds for a million round trips.
    ProcessorTime,
    /// Seconds.
    Median,
    /// Seconds.
    Percentile99,
    /// Sessions a second.
    SetupRate,
    /// Processor time of the proxy, in seconds for a million sessions.
    SetupProcessorTime,
    /// Bytes a session.
    Memory,
}

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    pub(super) rounds: usize,
    pub(super) milliseconds: usize,
}

/// What was measured of each subject, in the order of the subjects; none where a quantity does not apply.
pub(super) struct Row {
    pub(super) measure: Measure,
    pub(super) samples: Vec<Vec<Option<Sample>>>,
}

impl Row {
    pub(super) fn sample(&self, subject: usize, quantity: Quantity) -> Option<&Sample> {
        let index = self
            .measure
            .quantities()
            .iter()
            .position(|known| *known == quantity)?;
        self.samples.get(subject)?.get(index)?.as_ref()
    }
}

/// Figures of one turn.
type Turn = Vec<Option<f64>>;

/// Measures every subject.
pub(super) fn measure(measure: Measure, subjects: &[&'static Subject], effort: Effort) -> Result<Row> {
    let rounds = match measure {
        Measure::Idle { .. } => effort.rounds.min(MEMORY_ROUNDS),
        _ => effort.rounds,
    };
    let concerned: Vec<usize> = (0..subjects.len())
        .filter(|index| measure.concerns(subjects[*index]))
        .collect();
    let turns = turns(concerned.len(), rounds, |turn_of| {
        let subject = subjects[concerned[turn_of]];
        turn(measure, subject, effort.milliseconds)
            .with_context(|| format!("failed to measure {} of {}", measure.name(), subject.name))
    })?;
    let mut samples = vec![Vec::new(); subjects.len()];
    for (index, turns) in concerned.into_iter().zip(turns) {
        let quantities = 0..measure.quantities().len();
        samples[index] = quantities.map(|quantity| sample(&turns, quantity)).collect();
    }
    Ok(Row { measure, samples })
}

fn sample(turns: &[Turn], index: usize) -> Option<Sample> {
    let figures: Option<Vec<f64>> = turns.iter().map(|turn| turn.get(index).copied()?).collect();
    figures.map(Sample::new)
}

/// Every turn has the subject started anew.
fn turn(measure: Measure, subject: &Subject, milliseconds: usize) -> Result<Turn> {
    let milliseconds = milliseconds.to_string();
    match measure {
        Measure::Echo { bytes } => {
            let options = [("bytes", bytes.to_string()), ("milliseconds", milliseconds)];
            busy(subject, SESSIONS, "echo", &options).map(rate_and_cost)
        }
        Measure::Transcode => {
            let options = [("text", JSON.to_owned()), ("milliseconds", milliseconds)];
            busy(subject, SESSIONS, "echo", &options).map(rate_and_cost)
        }
        Measure::Latency => {
            let options = [
                ("bytes", 128.to_string()),
                ("per-second", MODERATE_RATE.to_string()),
                ("milliseconds", milliseconds),
            ];
            let (outcome, _) = busy(subject, SESSIONS, "latency", &options)?;
            Ok(vec![Some(outcome.p50_seconds), Some(outcome.p99_seconds)])
        }
        Measure::Setups => {
            let options = [("milliseconds", milliseconds)];
            busy(subject, CONCURRENT_SETUPS, "setups", &options).map(rate_and_cost)
        }
        Measure::Idle { sessions } => idle(subject, sessions).map(|memory| vec![memory]),
    }
}

/// How many a second, and processor time for a million of them.
fn rate_and_cost((outcome, seconds): (Outcome, Option<f64>)) -> Turn {
    vec![
        Some(outcome.count / outcome.seconds),
        seconds.map(|seconds| seconds / outcome.count * 1e6),
    ]
}

/// Runs a load to its end and returns what it found, with the processor time that the subject took meanwhile.
fn busy(
    subject: &Subject,
    sessions: usize,
    kind: &str,
    options: &[(&str, String)],
) -> Result<(Outcome, Option<f64>)> {
    let instance = Instance::start(subject)?;
    let mut arguments = arguments(&instance, sessions);
    arguments.push(kind.to_owned());
    for (name, value) in options {
        arguments.extend([format!("--{name}"), value.clone()]);
    }
    let load = Load::start(&arguments)?;
    let before = instance.processor_seconds()?;
    let outcome = load.end()?;
    let after = instance.processor_seconds()?;
    Ok((outcome, before.zip(after).map(|(before, after)| after - before)))
}

fn arguments(instance: &Instance, sessions: usize) -> Vec<String> {
    let arguments = [
        ("--port", instance.port().to_string()),
        ("--connections", sessions.to_string()),
    ];
    arguments
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect()
}

/// Memory of a session in bytes. Where a process may not open enough files for all of them, they are shared out to as
/// many instances of the subject as it takes.
fn idle(subject: &Subject, sessions: usize) -> Result<Option<f64>> {
    let count = sessions.div_ceil(limit::sessions()?);
    let mut instances = Vec::new();
    for _ in 0..count {
        instances.push(Instance::start(subject)?);
    }
    let before = memory(&instances)?;
    let mut loads = Vec::new();
    for instance in &instances {
        let mut arguments = arguments(instance, sessions / count);
        // Loopback is wide: each has the ports of an address of its own. Those of the turn before still wait for stray
        // packets, and to find others among them takes longer than all else.
        let [high, low] = instance.port().to_be_bytes();
        let source = Ipv4Addr::new(127, 1, high, low);
        arguments.extend(["--source".to_owned(), source.to_string(), "idle".to_owned()]);
        loads.push(Load::start(&arguments)?);
    }
    let after = memory(&instances)?;
    let mut opened = 0.0;
    for load in loads {
        opened += load.end()?.count;
    }
    Ok(before.zip(after).map(|(before, after)| (after - before) / opened))
}

fn memory(instances: &[Instance]) -> Result<Option<f64>> {
    instances.iter().map(Instance::memory_bytes).sum()
}
