//! A session between two scripted peers: what an input makes of it, and what has to hold whatever happens.

mod script;
mod wire;

pub use wire::{Frame, frames};

use heddle_ws_session::broadcast::Broadcast;
use heddle_ws_session::{
    Endpoint, Keepalive, Lifetime, MessageRate, OnExceed, READ_BYTES, SessionContext, SessionControl,
    SessionRules, Traffic, run,
};
use script::{Operation, Peer, Script};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The longest time that a session may take when both peers are gone: three steps of closing, and the age before.
const PATIENCE: Duration = Duration::from_secs(120);
/// A head and two frames of the proxy's may wait beside a read.
const HELD_BYTES: usize = READ_BYTES + 512;

/// Runs the session that `input` describes.
pub fn session(input: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without threads");
    runtime.block_on(play(input));
}

async fn play(input: &[u8]) {
    let mut script = Script::new(input);
    let choice = script.byte();
    let mut may_close = closes_by_itself(choice);
    let context = SessionContext {
        rules: Arc::new(rules(choice)),
        control: SessionControl::new(),
        traffic: Arc::new(Traffic::default()),
    };
    let control = context.control.clone();
    let (client, backend) = (Peer::default(), Peer::backend());
    let endpoints = (
        Endpoint::new(client.transport()),
        Endpoint::new(backend.transport()),
    );
    let mut session = pin!(run(endpoints.0, endpoints.1, context));
    let mut end = None;
    while let Some(operation) = script.next() {
        match operation {
            Operation::Client(action) => client.act(action),
            Operation::Backend(action) => backend.act(action),
            Operation::Drain(window) => {
                may_close = true;
                control.drain(window);
            }
            Operation::Broadcast(length) => {
                drop(control.broadcast(vec![Broadcast::text(&for_all(length))]));
            }
            Operation::Wait(time) => tokio::time::advance(time).await,
        }
        if end.is_none() {
            end = poll(session.as_mut());
        }
        check(&client, &backend);
        check(&backend, &client);
        // What a peer sends after the proxy began to close is read and thrown away, and peers that take nothing hide that.
        assert!(
            may_close || (client.held_for(&backend) <= HELD_BYTES && backend.held_for(&client) <= HELD_BYTES)
        );
    }
    client.leave();
    backend.leave();
    let mut waited = Duration::ZERO;
    while end.is_none() {
        assert!(waited < PATIENCE, "the session outlives its peers");
        end = poll(session.as_mut());
        tokio::time::advance(Duration::from_secs(1)).await;
        waited += Duration::from_secs(1);
    }
    check(&client, &backend);
    check(&backend, &client);
}

/// A text that scripts do not have.
fn for_all(length: usize) -> String {
    format!("for all{}", ".".repeat(length))
}

fn poll<F: Future>(mut session: Pin<&mut F>) -> Option<F::Output> {
    match session.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(end) => Some(end),
        Poll::Pending => None,
    }
}

fn has(choice: u8, bit: u8) -> bool {
    choice & (1 << bit) != 0
}

/// Whether one of the rules can end the session while both peers go on.
fn closes_by_itself(choice: u8) -> bool {
    [0, 2, 3, 4].into_iter().any(|bit| has(choice, bit)) || (has(choice, 1) && has(choice, 5))
}

/// Routes of eight kinds.
fn rules(choice: u8) -> SessionRules {
    let has = |bit: u8| has(choice, bit);
    SessionRules {
        max_message_bytes: has(0).then_some(300),
        message_rate: has(1).then_some(MessageRate {
            per_second: 5,
            burst: 3,
            on_exceed: if has(5) { OnExceed::Close } else { OnExceed::Wait },
        }),
        keepalive: has(2).then_some(Keepalive {
            interval: Duration::from_secs(3),
            timeout: Duration::from_secs(2),
        }),
        idle: has(3).then_some(Duration::from_secs(20)),
        lifetime: has(4).then_some(Lifetime {
            max_age: Duration::from_secs(40),
            jitter: 0.5,
        }),
        close: Duration::from_secs(5),
    }
}

/// What has arrived at `sink` is what `source` sent, frame by frame, with the proxy's own frames in between and nothing
/// behind a Close frame. Messages for all are for clients, and between messages.
fn check(source: &Peer, sink: &Peer) {
    let is_client = sink.is_client();
    let sent = source.sent();
    let sent = frames(&sent);
    let got = sink.got();
    let got = frames(&got);
    let mut next = sent.iter();
    let mut is_inside_message = false;
    for (index, frame) in got.iter().enumerate() {
        let is_last = index + 1 == got.len();
        let is_foreign = next
            .clone()
            .next()
            .is_some_and(|foreign| foreign.is_begun_by(frame, is_last));
        if is_foreign {
            next.next();
            is_inside_message = frame.has_more(is_inside_message);
        } else if frame.is_for_all() {
            assert!(is_client && !is_inside_message, "a message inside another one");
        } else {
            assert!(
                frame.is_of_the_proxy(is_client),
                "a frame from nowhere: {frame:?}"
            );
        }
        if frame.is_close() {
            assert!(is_last, "something follows a Close frame");
            let is_illegal = matches!(frame.code(), Some(1005 | 1006 | 1015));
            assert!(!(is_illegal && is_client), "a code that must not be on the wire");
        }
    }
}
