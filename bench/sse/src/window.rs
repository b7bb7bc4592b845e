//! A stretch of time, and what happened in it.

use crate::process;
use crate::sink::Taken;
use crate::world::World;
use anyhow::{Context, Result};
use heddle_tests::operator::Operator;
use std::time::{Duration, Instant};

/// What happened from one moment to another.
pub(crate) struct Window {
    pub(crate) seconds: f64,
    pub(crate) taken: Taken,
    /// Processor seconds of each.
    pub(crate) operator: f64,
    pub(crate) source: f64,
    pub(crate) sink: f64,
}

impl Window {
    /// Looks on for so long.
    pub(crate) async fn of(world: &World, operator: &Operator, length: Duration) -> Result<Self> {
        let before = Costs::read(world, operator).await?;
        world.sink.take();
        let began = Instant::now();
        tokio::time::sleep(length).await;
        let (seconds, taken) = (began.elapsed().as_secs_f64(), world.sink.take());
        let after = Costs::read(world, operator).await?;
        Ok(Self {
            seconds,
            taken,
            operator: after.operator - before.operator,
            source: after.source - before.source,
            sink: after.sink - before.sink,
        })
    }

    pub(crate) fn events_per_second(&self) -> f64 {
        self.taken.ages.len() as f64 / self.seconds
    }
}

/// Processor seconds so far.
struct Costs {
    operator: f64,
    source: f64,
    sink: f64,
}

impl Costs {
    async fn read(world: &World, operator: &Operator) -> Result<Self> {
        Ok(Self {
            operator: process::processor_seconds(operator.id().context("the operator has ended")?)?,
            source: world.source.thread.processor_seconds().await?,
            sink: world.sink.thread.processor_seconds().await?,
        })
    }
}
