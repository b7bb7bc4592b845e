//! How often the API is written to for a subscription that has a lot to do.

use crate::Figures;
use crate::window::Window;
use crate::world::World;
use anyhow::Result;
use heddle_tests::operator::Operator;
use std::time::Duration;

/// How long it runs before writes are counted, and while they are: some of the seldom ones too.
const WARM_UP: Duration = Duration::from_secs(5);
const COUNTED: Duration = Duration::from_secs(20);

pub(crate) async fn measure(world: &World, operator: &Operator) -> Result<Figures> {
    world.subscribe("busy", "/rate/5000").await?;
    world.wait_for_events().await?;
    Window::of(world, operator, WARM_UP).await?;
    let before = world.writes().await?;
    let window = Window::of(world, operator, COUNTED).await?;
    let writes = world.writes().await? - before;
    Ok(Figures::from([
        ("events_per_second", vec![window.events_per_second()]),
        ("writes_per_second", vec![writes / window.seconds]),
        ("operator_cores", vec![window.operator / window.seconds]),
    ]))
}
