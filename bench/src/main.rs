//! Our code beside its peers, in alternating rounds of one run: `heddle-bench <name>` prints a
//! table and writes it with a chart to `bench/results`.

mod chart;
mod logs;
mod machine;
mod programs;
mod protobuf;
mod rounds;
mod sse;
mod table;
mod websocket;
mod worker;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};

/// Side-by-side benchmarks with peers.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    benchmark: Benchmark,
    /// The folder that tables and charts are written to.
    #[arg(long, global = true, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
    results: PathBuf,
}

#[derive(Subcommand)]
enum Benchmark {
    /// What one log event costs.
    Logs(logs::Arguments),
    /// What the dynamic protobuf engine costs.
    Protobuf(protobuf::Arguments),
    /// What event streams cost: their parser, and the operator's whole path.
    Sse(sse::Arguments),
    /// What the WebSocket proxy costs.
    Websocket(websocket::Arguments),
}

/// What a benchmark has found.
struct Report {
    name: &'static str,
    markdown: String,
    svg: String,
    /// Only a part was asked for, so that the report of the whole stays as it is.
    is_partial: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let report = match arguments.benchmark {
        Benchmark::Logs(arguments) => logs::run(&arguments)?,
        Benchmark::Protobuf(arguments) => protobuf::run(&arguments)?,
        Benchmark::Sse(arguments) => sse::run(&arguments)?,
        Benchmark::Websocket(arguments) => websocket::run(&arguments)?,
    };
    print!("{}", report.markdown);
    match report.is_partial {
        true => Ok(()),
        false => report.write(&arguments.results),
    }
}

impl Report {
    fn write(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
        for (extension, content) in [("md", &self.markdown), ("svg", &self.svg)] {
            let file = folder.join(self.name).with_extension(extension);
            std::fs::write(&file, content).with_context(|| format!("failed to write {}", file.display()))?;
        }
        Ok(())
    }
}
