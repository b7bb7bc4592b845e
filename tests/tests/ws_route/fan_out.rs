//! How fast events of one subscription reach many sessions.

use super::broadcast::{Subscriptions, message};
use super::proxy::{Served, open_greeted_session};
use super::world::World;
use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;
use std::time::Instant;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How many sessions get how many events at once, and how often. No more at once than are kept for a session that is slow,
/// so that none misses one however busy the machine is.
const STEPS: [(usize, usize, usize); 3] = [(1, 1000, 5), (100, 1000, 1), (1000, 100, 1)];

/// Bytes of an event.
const EVENT_BYTES: usize = 200;

type Client = BufReader<TcpStream>;

/// Two connections of each session end in this process.
fn raise_limit_of_files() -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, most, most)?)
}

/// Events with numbers in them.
fn events(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("{number:0EVENT_BYTES$}"))
        .collect()
}

/// Reads the events, in their order, and returns the client.
async fn read_all(mut client: Client, count: usize) -> Result<Client> {
    for expected in events(count) {
        let found = message(&mut client).await?;
        anyhow::ensure!(found == expected, "{found} instead of {expected}");
    }
    Ok(client)
}

#[tokio::test]
async fn a_burst_of_events_reaches_a_thousand_sessions_whole_and_in_order() -> Result<()> {
    raise_limit_of_files()?;
    let world = World::create().await?;
    let _operator = world.operator().await?;
    let Served { port, proxy, .. } = &Served::start(&world).await?;
    let subscriptions = Subscriptions::create(&world).await?;
    let together = json!({ "batch": { "maxEvents": 1000 } });
    subscriptions.apply_with("prices", "Data", together).await?;
    subscriptions.wait_for_reason("prices", "Streaming").await?;
    let mut clients = Vec::new();
    for (sessions, count, times) in STEPS {
        while clients.len() < sessions {
            clients.push(BufReader::new(open_greeted_session(*port).await?));
        }
        let (data, began) = (events(count), Instant::now());
        for _ in 0..times {
            subscriptions.source.push_all(data.iter().map(String::as_str));
            let mut readers: JoinSet<_> = clients.drain(..).map(|client| read_all(client, count)).collect();
            while let Some(read) = readers.join_next().await {
                clients.push(read?.with_context(|| proxy.log())?);
            }
        }
        let seconds = began.elapsed().as_secs_f64();
        let (all, rate) = (count * times, (count * times) as f64 / seconds);
        println!(
            "{sessions} sessions: {all} events of {EVENT_BYTES} bytes at {rate:.0}/s, {:.0} messages/s",
            rate * sessions as f64
        );
    }
    Ok(())
}
