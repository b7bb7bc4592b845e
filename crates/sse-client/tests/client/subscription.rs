//! Subscriptions of tests, and what they wait for.

use crate::server::{DEADLINE, Server};
use heddle_sse_client::{
    Backoff, Client, End, Error, EventStream, Item, Proxies, Request, Settings, Waiting,
};
use std::time::Duration;
use tokio::time::timeout;

/// A client that no environment leads through a proxy.
pub(crate) fn client() -> Client {
    Client::builder().proxies(Proxies::none()).build().unwrap()
}

/// Settings that wait for nothing between connections.
pub(crate) fn at_once() -> Settings {
    Settings {
        backoff: Backoff {
            min: Duration::ZERO,
            initial: Duration::ZERO,
            ..Backoff::default()
        },
        ..Settings::default()
    }
}

pub(crate) fn subscribe(server: &Server, settings: Settings) -> EventStream {
    client().subscribe(Request::get(&server.url("/events")).unwrap(), settings)
}

/// The next item but for `Connecting`.
pub(crate) async fn next(stream: &mut EventStream) -> Item {
    loop {
        let item = timeout(DEADLINE, stream.next())
            .await
            .expect("an item comes in time");
        match item.expect("the stream goes on") {
            Item::Connecting { .. } => {}
            item => return item,
        }
    }
}

pub(crate) async fn data(stream: &mut EventStream) -> String {
    loop {
        match next(stream).await {
            Item::Open(_) => {}
            Item::Event(event) => return event.data().to_string(),
            other => panic!("{other:?} instead of an event"),
        }
    }
}

pub(crate) async fn waiting(stream: &mut EventStream) -> Waiting {
    loop {
        match next(stream).await {
            Item::Open(_) | Item::Event(_) | Item::LastEventId(_) => {}
            Item::Waiting(waiting) => return *waiting,
            other => panic!("{other:?} instead of a wait"),
        }
    }
}

pub(crate) async fn failed(stream: &mut EventStream) -> Error {
    loop {
        match next(stream).await {
            Item::Open(_) | Item::Event(_) | Item::LastEventId(_) => {}
            Item::Ended(End::Failed(error)) => return *error,
            other => panic!("{other:?} instead of the end"),
        }
    }
}
