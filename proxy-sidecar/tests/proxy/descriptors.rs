//! What sessions leave behind: nothing.

use crate::stopwatch::Stopwatch;
use crate::support::{Backend, Peer, Proxy, to, until};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::collections::HashSet;
use std::time::Duration;
use tokio::net::TcpStream;

const SESSIONS: usize = 5000;

/// How many are open at the same time: each takes two descriptors here, and two in the proxy.
const BATCH: usize = 500;

/// How long the proxy may wait until everything is free again.
const LIMIT: Duration = Duration::from_secs(1);

fn raise_file_limit() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
}

/// Files that are open once or more. A thread that begins to accept has the listener's socket too, and keeps it for a while:
/// that is a descriptor, and none of a session's.
fn open_files(proxy: &Proxy) -> usize {
    let folder = format!("/proc/{}/fd", proxy.child.id().unwrap());
    let descriptors = std::fs::read_dir(folder).unwrap();
    // Those that are closed meanwhile cannot be read.
    let files = descriptors.filter_map(|descriptor| std::fs::read_link(descriptor.unwrap().path()).ok());
    files.collect::<HashSet<_>>().len()
}

/// Closes so that the other side gets RST and no FIN.
fn reset(peer: Peer<TcpStream>) {
    peer.stream.set_zero_linger().unwrap();
}

#[tokio::test]
async fn a_reset_on_either_side_frees_everything_within_a_second() {
    raise_file_limit();
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "")).await;
    // Threads and the log have opened by then what they open.
    let (client, server) = proxy.session(&backend).await;
    drop((client, server));
    proxy.until_metric("heddle_proxy_connections", 0.0).await;
    let before = open_files(&proxy);
    for _ in 0..SESSIONS / BATCH {
        let mut open = Vec::new();
        for _ in 0..BATCH {
            open.push(proxy.session(&backend).await);
        }
        assert!(open_files(&proxy) >= 2 * BATCH);
        let stopwatch = Stopwatch::begin(&proxy);
        let mut survivors = Vec::new();
        for (index, (client, server)) in open.into_iter().enumerate() {
            let (resets, stays) = if index % 2 == 0 {
                (client, server)
            } else {
                (server, client)
            };
            reset(resets);
            survivors.push(stays);
        }
        for mut survivor in survivors {
            // Told with a Close frame, which ends its side in order.
            assert_eq!(survivor.bytes(1).await, [0x88]);
        }
        until("the descriptors are freed", async || {
            (open_files(&proxy) <= before).then_some(())
        })
        .await;
        let waited = stopwatch.waited();
        assert!(waited <= LIMIT, "{waited:?}");
    }
    proxy.until_metric("heddle_proxy_connections", 0.0).await;
}
