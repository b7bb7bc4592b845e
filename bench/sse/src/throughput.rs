//! As many events as the operator takes through one subscription, from a source that sends whatever is read.

use crate::Figures;
use crate::window::Window;
use crate::world::World;
use anyhow::Result;
use heddle_tests::operator::Operator;
use std::time::Duration;

/// How long it runs before anything is measured, and each round.
const WARM_UP: Duration = Duration::from_secs(2);
const ROUND: Duration = Duration::from_secs(3);

pub(crate) async fn measure(world: &World, operator: &Operator, rounds: u16) -> Result<Figures> {
    world.subscribe("flood", "/flood").await?;
    world.wait_for_events().await?;
    Window::of(world, operator, WARM_UP).await?;
    let mut figures = Figures::new();
    for _ in 0..rounds {
        let window = Window::of(world, operator, ROUND).await?;
        let events = window.taken.ages.len() as f64;
        for (name, figure) in [
            ("events_per_second", window.events_per_second()),
            ("events_per_request", events / window.taken.requests as f64),
            ("operator_seconds_per_million", window.operator / events * 1e6),
            ("operator_cores", window.operator / window.seconds),
            ("source_cores", window.source / window.seconds),
            ("sink_cores", window.sink / window.seconds),
        ] {
            figures.entry(name).or_default().push(figure);
        }
    }
    Ok(figures)
}
