//! Looks at how busy the threads are, and brings into effect what follows from that.

use super::crew::Crew;
use super::policy::{Load, Policy};
use super::processors::Processors;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often is looked.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Looks until it is aborted.
pub(super) async fn balance(crew: Arc<Crew>) {
    let mut ticks = interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut policy = Policy::default();
    let mut processors = Processors::default();
    let mut former: Vec<_> = have_been_busy(&crew);
    let mut looked = Instant::now();
    loop {
        ticks.tick().await;
        let elapsed = std::mem::replace(&mut looked, Instant::now()).elapsed();
        let latest = have_been_busy(&crew);
        let pairs = former.iter().zip(&latest).enumerate();
        let loads: Vec<_> = pairs
            .map(|(thread, (before, now))| Load {
                busy: now.saturating_sub(*before).as_secs_f64() / elapsed.as_secs_f64().max(f64::EPSILON),
                active: crew.look(thread),
            })
            .collect();
        former = latest;
        let free = match policy.wants_free(&loads) {
            true => processors.free(),
            false => processors.forget(),
        };
        let decision = policy.decide(&loads, free);
        crew.accept_with(decision.accepting);
        if let Some(giving) = decision.giving {
            crew.ask(giving.from, giving.to, giving.sessions);
        }
    }
}

/// How long each thread has been busy. One that does not run is not.
fn have_been_busy(crew: &Crew) -> Vec<Duration> {
    let threads = 0..crew.count();
    threads
        .map(|thread| crew.has_been_busy(thread).unwrap_or_default())
        .collect()
}
