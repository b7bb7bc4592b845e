//! What the whole path of SseSubscriptions is measured with: a real API server, and sources and sinks as light as they can
//! be, each in a thread of its own whose processor time is told too. The benchmark `sse` of heddle-bench starts it.

mod apart;
mod event;
mod idle;
mod latency;
mod process;
mod sink;
mod source;
mod throughput;
mod window;
mod world;
mod writes;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use std::collections::BTreeMap;
use std::path::PathBuf;
use world::World;

/// Measures the operator, and prints what was found as one object of JSON.
#[derive(Parser)]
struct Arguments {
    /// The operator's program.
    #[arg(long)]
    operator: PathBuf,
    /// What to measure.
    #[arg(long, value_delimiter = ',', required = true)]
    only: Vec<Measure>,
    /// How often what varies is measured.
    #[arg(long)]
    rounds: u16,
    /// Subscriptions that have nothing to do.
    #[arg(long)]
    subscriptions: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Measure {
    /// As many events as the operator takes.
    Throughput,
    /// How long each takes at a moderate rate.
    Latency,
    /// Writes to the API at a high rate.
    Writes,
    /// Subscriptions without events.
    Idle,
}

/// Figures by name, one for each round.
type Figures = BTreeMap<&'static str, Vec<f64>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    process::raise_limit_of_files()?;
    let mut findings = BTreeMap::new();
    for measure in &arguments.only {
        let name = format!("{measure:?}").to_lowercase();
        eprintln!("Measuring {name}.");
        let found = measured(*measure, &arguments).await;
        let found = found.with_context(|| format!("failed to measure {name}"))?;
        eprintln!("{}", serde_json::to_string(&found)?);
        findings.insert(name, found);
    }
    println!("{}", serde_json::to_string(&findings)?);
    Ok(())
}

async fn measured(measure: Measure, arguments: &Arguments) -> Result<Figures> {
    let world = World::create(&arguments.operator).await?;
    let operator = world.operator().await?;
    match measure {
        Measure::Throughput => throughput::measure(&world, &operator, arguments.rounds).await,
        Measure::Latency => latency::measure(&world, &operator, arguments.rounds).await,
        Measure::Writes => writes::measure(&world, &operator).await,
        Measure::Idle => idle::measure(&world, &operator, arguments.subscriptions).await,
    }
}
