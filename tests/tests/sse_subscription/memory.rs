//! What an operator has in memory while a sink does not answer.

use super::replicas::Load;
use super::sink::Behaviour;
use super::world::{RECEIVED, World, setting};
use anyhow::Result;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Seconds that the sink is stopped for, unless `HEDDLE_TEST_STOPPED_SINK_SECONDS` says otherwise.
const SECONDS: usize = 10;

/// Events before that, more than the operator takes, and of each second of it.
const EVENTS: usize = 20_000;
const RATE: usize = 500;

/// Longer than anybody waits.
const NEVER: Duration = Duration::from_secs(86_400);

/// What may be added to memory: a request that is made anew now and then, and what else an operator does.
const GROWTH: u64 = 8 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_flat_while_a_sink_is_stopped() -> Result<()> {
    let seconds = setting("HEDDLE_TEST_STOPPED_SINK_SECONDS", SECONDS)?;
    let world = World::create().await?;
    world.sink.behave(Behaviour {
        delay: NEVER,
        ..Behaviour::default()
    });
    let operator = world.operator().await?;
    let http = json!({ "url": world.sink.url(), "mode": "Batched" });
    let changes = [
        ("/sinks/0", json!({ "name": "orders", "http": http })),
        ("/delivery/batch", json!({ "maxEvents": 500 })),
        ("/delivery/timeout", json!("1s")),
    ];
    world.apply("pushes", &changes).await?;
    world.wait_for_reason("pushes", "Connected", "Connected").await?;
    let data = "x".repeat(1000);
    world.source.push_all(std::iter::repeat_n(data.as_str(), EVENTS));
    let load = Load::start(Arc::clone(&world.source), RATE);
    let received = world.wait_until_nothing_is_read(&operator).await?;
    world
        .wait_for_reason("pushes", "Delivering", "SinkFailing")
        .await?;

    let before = operator.resident_bytes()?;
    let (mut most, mut least) = (before, before);
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    for _ in 0..seconds {
        ticks.tick().await;
        let bytes = operator.resident_bytes()?;
        (most, least) = (most.max(bytes), least.min(bytes));
    }
    assert_eq!(operator.metric(RECEIVED).await?, received, "something was read");
    println!(
        "{seconds} s with a stopped sink: {} KiB in memory, then from {} to {} KiB",
        before >> 10,
        least >> 10,
        most >> 10
    );
    assert!(most < before + GROWTH, "{before} bytes became {most}");

    world.sink.behave(Behaviour::default());
    let last = load.stop().await?;
    world.wait_for_events(&world.sink, last).await?;
    world.wait_for_checkpoint("pushes", last).await
}
