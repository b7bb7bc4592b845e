//! `heddle-bench-peers <subject> <folder of the corpus>`: one Rust peer as a worker of the protobuf benchmark.

mod buffa;
mod floor;
mod prost;
mod prost_reflect;
mod rust_protobuf;
mod rust_protobuf_dynamic;
mod walk;

use anyhow::{Context, Result, bail};
use heddle_bench_worker::{Corpus, Engine, serve};
use std::path::Path;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [subject, folder] = arguments.as_slice() else {
        bail!("usage: heddle-bench-peers <subject> <folder of the corpus>");
    };
    let corpus = Corpus::read(Path::new(folder))?;
    let engine = engine(subject, &corpus).with_context(|| format!("failed to set {subject} up"))?;
    serve(engine.as_ref(), &corpus)
}

fn engine(subject: &str, corpus: &Corpus) -> Result<Box<dyn Engine>> {
    Ok(match subject {
        "buffa" => Box::new(buffa::Buffa::new(&corpus.schema)?),
        "floor" => Box::new(floor::Floor),
        "prost" => Box::new(prost::Prost),
        "prost-reflect" => Box::new(prost_reflect::ProstReflect::new(&corpus.schema)?),
        "rust-protobuf" => Box::new(rust_protobuf::RustProtobuf),
        "rust-protobuf-dynamic" => Box::new(rust_protobuf_dynamic::Dynamic::new(&corpus.schema)?),
        _ => bail!("there is no subject {subject}"),
    })
}
