//! How long events take from when the source sends them until the sink has them whole, at a moderate rate.

use crate::Figures;
use crate::window::Window;
use crate::world::World;
use anyhow::{Context, Result};
use heddle_tests::operator::Operator;
use std::time::Duration;

/// How long it runs before anything is measured, and each round: 4,000 events.
const WARM_UP: Duration = Duration::from_secs(2);
const ROUND: Duration = Duration::from_secs(4);

pub(crate) async fn measure(world: &World, operator: &Operator, rounds: u16) -> Result<Figures> {
    world.subscribe("moderate", "/rate/1000").await?;
    world.wait_for_events().await?;
    Window::of(world, operator, WARM_UP).await?;
    let mut figures = Figures::new();
    for _ in 0..rounds {
        let mut window = Window::of(world, operator, ROUND).await?;
        window.taken.ages.sort_unstable();
        for (name, figure) in [
            ("events_per_second", window.events_per_second()),
            ("median_seconds", quantile(&window.taken.ages, 0.5)?),
            ("percentile99_seconds", quantile(&window.taken.ages, 0.99)?),
            ("operator_cores", window.operator / window.seconds),
        ] {
            figures.entry(name).or_default().push(figure);
        }
    }
    Ok(figures)
}

/// In seconds, of nanoseconds in order.
fn quantile(sorted: &[u64], fraction: f64) -> Result<f64> {
    let index = (sorted.len().saturating_sub(1) as f64 * fraction).round() as usize;
    let value = sorted.get(index).context("no event has come")?;
    Ok(Duration::from_nanos(*value).as_secs_f64())
}
