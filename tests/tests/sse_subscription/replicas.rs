//! Operators that are killed, cut off and replaced: nothing is lost, and no two read a stream for longer than Leases say.

use super::sink::Behaviour as SinkBehaviour;
use super::source::{Behaviour, Source};
use super::world::{CHECKPOINT_INTERVAL, World, setting};
use anyhow::{Context, Result};
use heddle_crds::SseSubscriptionStatus;
use heddle_tests::cable::Cable;
use heddle_tests::eventually::{Probe, eventually};
use heddle_tests::namespace::SOON;
use heddle_tests::operator::{LEASE_SECONDS, Operator};
use rand::Rng;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How often an operator is killed, unless `HEDDLE_TEST_KILLS` says otherwise.
const KILLS: usize = 4;

/// Events a second, unless `HEDDLE_TEST_EVENTS_PER_SECOND` says otherwise.
const RATE: usize = 5000;

/// How often events are added.
const PERIOD: Duration = Duration::from_millis(10);

/// How far clocks and a busy machine may be off.
const SLACK: Duration = Duration::from_secs(1);

/// Adds events at a rate until it is told to stop.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    task: JoinSet<usize>,
}

impl Load {
    pub(crate) fn start(source: Arc<Source>, rate: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let started = Instant::now();
            let mut ticks = tokio::time::interval(PERIOD);
            let mut last = 0;
            while !until.load(Ordering::SeqCst) {
                ticks.tick().await;
                let due = (started.elapsed().as_secs_f64() * rate as f64) as usize;
                if due > last {
                    last = source.push_all(std::iter::repeat_n(PAYLOAD, due - last));
                }
            }
            last
        });
        Self { stop, task }
    }

    /// The id of the last event.
    pub(crate) async fn stop(mut self) -> Result<usize> {
        self.stop.store(true, Ordering::SeqCst);
        Ok(self.task.join_next().await.context("a task")??)
    }
}

const PAYLOAD: &str = r#"{"order":"0123456789","text":"something that is about as long as an event is"}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_operators_are_killed_under_load() -> Result<()> {
    let (kills, rate) = (
        setting("HEDDLE_TEST_KILLS", KILLS)?,
        setting("HEDDLE_TEST_EVENTS_PER_SECOND", RATE)?,
    );
    let world = World::create().await?;
    let source = Arc::clone(&world.source);
    source.behave(Behaviour::Stream {
        breaks_after: Some(3_000),
    });
    world.sink.behave(SinkBehaviour {
        fails: 0.1,
        ..SinkBehaviour::default()
    });
    let http = json!({ "url": world.sink.url(), "mode": "Batched" });
    world
        .apply(
            "pushes",
            &[
                ("/sinks/0", json!({ "name": "orders", "http": http })),
                ("/delivery/batch", json!({ "maxEvents": 500 })),
            ],
        )
        .await?;
    let mut operator = world.operator().await?;
    world.wait_until_ready("pushes").await?;
    let load = Load::start(Arc::clone(&source), rate);
    for _ in 0..kills {
        let before = world.sink.count();
        world.wait_for_events(&world.sink, before + rate).await?;
        let more = rand::rng().random_range(0..rate / 2);
        world.wait_for_events(&world.sink, before + rate + more).await?;
        operator.kill().await?;
        operator = world.operator().await?;
    }
    let before = world.sink.count();
    world.wait_for_events(&world.sink, before + rate).await?;
    let last = load.stop().await?;
    world.wait_for_checkpoint("pushes", last).await?;

    let ids: Vec<usize> = world
        .sink
        .acknowledged()
        .iter()
        .map(|event| event.id.parse().unwrap())
        .collect();
    let mut times = BTreeMap::<usize, usize>::new();
    for id in &ids {
        *times.entry(*id).or_default() += 1;
    }
    // The first event comes when the subscription is there already.
    let missing: Vec<_> = (1..=last).filter(|id| !times.contains_key(id)).collect();
    assert!(
        missing.is_empty(),
        "{} are lost, such as {:?}",
        missing.len(),
        &missing[..missing.len().min(5)]
    );
    let steps_back: Vec<_> = ids.windows(2).filter(|pair| pair[1] <= pair[0]).collect();
    let duplicates = ids.len() - times.len();
    println!(
        "{kills} kills at {rate} events/s, {} connections broken, {} requests failed: {last} events, none lost, {duplicates} \
         delivered again in {} steps back",
        source.drops(),
        world.sink.failures(),
        steps_back.len(),
    );
    assert!(
        steps_back.len() <= kills,
        "out of order without a kill: {steps_back:?}"
    );
    // What came since the last checkpoint, and what one write and one request took.
    let allowed = (CHECKPOINT_INTERVAL + SLACK).as_secs_f64() * rate as f64 * 2.0;
    assert!(
        (duplicates as f64) < allowed * kills as f64,
        "{duplicates} duplicates"
    );
    drop(operator);
    Ok(())
}

#[tokio::test]
async fn replicas_share_subscriptions_and_take_over_from_one_that_is_gone() -> Result<()> {
    let world = World::create().await?;
    let mut operators = vec![
        world.operator_with("operator-0", &[]).await?,
        world.operator_with("operator-1", &[]).await?,
        world.operator_with("operator-2", &[]).await?,
    ];
    for operator in &operators {
        operator.wait_for_members(3).await?;
    }
    let names: Vec<_> = (0..12).map(|number| format!("pushes-{number}")).collect();
    for name in &names {
        world.apply(name, &[]).await?;
    }
    for name in &names {
        world.wait_until_ready(name).await?;
    }
    wait_for_open(&world, names.len()).await?;
    let watched = eventually("each is watched once", SOON, || async {
        let watched = watched(&operators).await?;
        Ok(match watched.iter().sum::<usize>() == names.len() {
            true => Probe::Seen(watched),
            false => Probe::NotYet(format!("{watched:?}")),
        })
    });
    let watched = watched.await?;
    assert!(watched.iter().all(|count| *count < names.len()), "{watched:?}");

    // One is killed: the others have its share within the time of its Lease.
    let killed_at = Instant::now();
    operators.remove(0).kill().await?;
    wait_for_open(&world, names.len()).await?;
    println!(
        "after a kill all streams are open again in {:?}",
        killed_at.elapsed()
    );
    assert!(killed_at.elapsed() < Duration::from_secs(3 * u64::from(LEASE_SECONDS)) + 5 * SLACK);
    world.source.push("after the kill");
    world.wait_for_events(&world.sink, names.len()).await?;

    // One is stopped: the others need not wait for its Lease.
    let leaving = operators.remove(0);
    leaving.terminate()?;
    let mut leaving = leaving;
    assert!(leaving.wait().await?.success());
    wait_for_open(&world, names.len()).await?;
    world.source.push("after the stop");
    // One that changed hands meanwhile may have delivered some again.
    eventually("each has both events", SOON, || async {
        let acknowledged = world.sink.acknowledged().into_iter();
        let ids: BTreeSet<_> = acknowledged.map(|event| (event.source, event.id)).collect();
        Ok(match ids.len() == 2 * names.len() {
            true => Probe::Seen(()),
            false => Probe::NotYet(format!("{ids:?}")),
        })
    })
    .await
}

#[tokio::test]
async fn one_that_is_cut_off_stops_before_another_begins() -> Result<()> {
    let world = World::create().await?;
    let cable = Cable::lay(world.namespace.api_port).await?;
    let direct = std::fs::read_to_string(world.kubeconfig())?;
    let through = direct.replace(
        &format!(":{}", world.namespace.api_port),
        &format!(":{}", cable.port()),
    );
    let folder = tempfile::TempDir::with_prefix("heddle-test-")?;
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, through)?;
    let mut first = world.start("operator-0", &[], kubeconfig)?;
    first.wait_until_ready().await?;
    let others = [
        world.operator_with("operator-1", &[]).await?,
        world.operator_with("operator-2", &[]).await?,
    ];
    for operator in others.iter().chain([&first]) {
        operator.wait_for_members(3).await?;
    }
    // Names are made up until the first one gets one.
    let mut names = Vec::new();
    let name = loop {
        let name = format!("pushes-{}", names.len());
        world.apply(&name, &[]).await?;
        world.wait_until_ready(&name).await?;
        let has_owner = |status: &SseSubscriptionStatus| status.owner.is_some();
        let status = world.wait_for(&name, "it has an owner", has_owner).await?;
        names.push(name.clone());
        if status.owner.as_deref() == Some("operator-0") {
            break name;
        }
    };
    let before = names.len();
    wait_for_open(&world, before).await?;
    cable.cut();
    let taken_over =
        |status: &SseSubscriptionStatus| status.owner.as_deref().is_some_and(|owner| owner != "operator-0");
    world
        .wait_for(&name, "another one has taken over", taken_over)
        .await?;
    wait_for_open(&world, before).await?;
    world.source.push("after the cut");
    world.wait_for_events(&world.sink, before).await?;
    let spans = world.source.spans();
    // No more streams than subscriptions were ever open at the same time after the cut.
    let most = spans
        .iter()
        .map(|span| {
            let is_open = |other: &&super::source::Span| {
                other.from <= span.from && other.until.is_none_or(|until| until > span.from)
            };
            spans.iter().filter(is_open).count()
        })
        .max()
        .unwrap_or_default();
    assert!(
        most <= before,
        "{most} streams were open for {before} subscriptions"
    );
    Ok(())
}

#[tokio::test]
async fn one_that_was_stopped_and_continued_delivers_nothing_that_is_anothers() -> Result<()> {
    let world = World::create().await?;
    let first = world.operator_with("operator-0", &[]).await?;
    world.apply("pushes", &[]).await?;
    world.wait_until_ready("pushes").await?;
    world.source.push("before");
    world.wait_for_events(&world.sink, 1).await?;
    world.wait_for_checkpoint("pushes", 1).await?;
    first.pause()?;
    let _second = world.operator_with("operator-1", &[]).await?;
    let taken_over = |status: &SseSubscriptionStatus| status.owner.as_deref() == Some("operator-1");
    world
        .wait_for("pushes", "the other one has taken over", taken_over)
        .await?;
    // It lies in the buffers of the one that is stopped, which has been sent it too.
    world.source.push("meanwhile");
    world.wait_for_events(&world.sink, 2).await?;
    first.resume()?;
    first
        .wait_for_line("membership lost: it could not be renewed in time")
        .await?;
    wait_for_open(&world, 1).await?;
    world.source.push("after");
    world.wait_for_events(&world.sink, 3).await?;
    let ids: Vec<_> = world
        .sink
        .acknowledged()
        .into_iter()
        .map(|event| event.id)
        .collect();
    assert_eq!(ids, ["1", "2", "3"]);
    Ok(())
}

async fn wait_for_open(world: &World, count: usize) -> Result<()> {
    eventually(&format!("{count} streams are open"), SOON, || async {
        Ok(match world.source.open() {
            open if open == count => Probe::Seen(()),
            open => Probe::NotYet(format!("{open} are")),
        })
    })
    .await
}

async fn watched(operators: &[Operator]) -> Result<Vec<usize>> {
    let mut counts = Vec::new();
    for operator in operators {
        counts.push(operator.metric("heddle_sse_subscriptions_watched").await? as usize);
    }
    Ok(counts)
}
