//! What subscriptions cost that are connected and have no events.

use crate::Figures;
use crate::process;
use crate::window::Window;
use crate::world::World;
use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use heddle_tests::eventually::{Probe, eventually};
use heddle_tests::operator::Operator;
use std::time::{Duration, Instant};

/// Subscriptions that are created at the same time.
const CONCURRENCY: usize = 16;
/// How long all of them may take to be connected, and how long a round of looking is in which nothing more is written.
const LIMIT: Duration = Duration::from_secs(240);
const CALM: Duration = Duration::from_secs(4);
/// How long processor time is measured.
const ROUND: Duration = Duration::from_secs(20);

pub(crate) async fn measure(world: &World, operator: &Operator, count: usize) -> Result<Figures> {
    let id = operator.id().context("the operator has ended")?;
    let (began, before) = (Instant::now(), process::memory_bytes(id)?);
    let names = (0..count).map(|number| format!("idle-{number}"));
    let creating = stream::iter(names).map(|name| async move { world.subscribe(&name, "/idle").await });
    creating.buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
    eprintln!(
        "{count} subscriptions are created after {} s.",
        began.elapsed().as_secs()
    );
    wait_until_calm(world, count).await?;
    let setup_seconds = began.elapsed().as_secs_f64();
    eprintln!("All are connected, and nothing more is written, after {setup_seconds:.0} s.");
    let window = Window::of(world, operator, ROUND).await?;
    let bytes = process::memory_bytes(id)? - before;
    Ok(Figures::from([
        ("subscriptions", vec![count as f64]),
        ("setup_seconds", vec![setup_seconds]),
        ("bytes_each", vec![bytes / count as f64]),
        ("operator_cores", vec![window.operator / window.seconds]),
    ]))
}

async fn wait_until_calm(world: &World, count: usize) -> Result<()> {
    eventually("all are connected and nothing more is written", LIMIT, || async {
        if world.source.open() < count {
            return Ok(Probe::NotYet(format!("{} are connected", world.source.open())));
        }
        let before = world.writes().await?;
        tokio::time::sleep(CALM).await;
        Ok(match world.writes().await? - before {
            0.0 => Probe::Seen(()),
            writes => Probe::NotYet(format!("{writes} writes in {} s", CALM.as_secs())),
        })
    })
    .await
}
