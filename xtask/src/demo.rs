//! `cargo xtask demo`: from nothing to a commit of generated code, another that an event tells of, and one that is refused first;
//! then a chat behind a WebSocket proxy.

mod chat;
mod story;
mod stream;

use crate::binaries::Binaries;
use crate::prepare;
use crate::root;
use crate::system::System;
use anyhow::Result;
use heddle_e2e_cluster::Progress;
use std::time::Instant;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Takes away everything that a demo brought up: processes, mounts, namespaces.
    #[arg(long)]
    down: bool,
}

/// Runs the demo, or takes it down.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let root = root();
    if arguments.down {
        return System::down(&root);
    }
    let started = Instant::now();
    println!(
        "Heddle: a commit of IDL in, a commit of generated code out; an event stream that says when; a proxy that knows frames beside a chat.\n"
    );
    prepare(&Progress::new())?;
    println!("Building Heddle …");
    let binaries = Binaries::build_programs(&root)?;
    let system = System::up(&root, &binaries)?;
    story::tell(&root, &system)?;
    chat::tell(&root, &system, &Progress::new())?;
    println!(
        "\nAll of it took {}.",
        heddle_e2e_cluster::human(started.elapsed())
    );
    println!(
        "Look around:    export KUBECONFIG={}",
        system.kubeconfig().display()
    );
    println!(
        "                kubectl get idlrepos,ssesubscriptions,wsroutes --all-namespaces   (kubectl: {})",
        system.kubectl_program().display()
    );
    println!("Take it away:   cargo xtask demo --down");
    Ok(())
}
