//! Tells of pushes as server-sent events (WHATWG HTML, section 9.2), in the way of a forge: `GET /events`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::BareRepository;
use crate::cgi::StreamedBody;

/// Events that one who comes back can still be told of.
const REMEMBERED: usize = 10_000;

/// The most events of one piece of the stream.
const TOLD_AT_ONCE: usize = 256;

/// How often those who listen hear something, so that they know that the server lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The object of a reference that is not there, as in a forge's webhooks.
const NOTHING: &str = "0000000000000000000000000000000000000000";

/// A repository's references by name, each with the object that it is at.
type References = BTreeMap<String, String>;

/// The pushes so far.
pub(crate) struct Pushes {
    /// Begins all ids, so that those of another process are not taken for ours.
    life: String,
    journal: Mutex<Journal>,
    count: watch::Sender<u64>,
    /// Held while references are listed and told of, so that nobody tells of an older state after a newer one.
    telling: tokio::sync::Mutex<()>,
    closed: CancellationToken,
}

#[derive(Default)]
struct Journal {
    /// Newest last.
    events: VecDeque<Event>,
    /// The number of the newest event; the first one's is 1.
    count: u64,
    /// Those that have been told of.
    references: HashMap<String, References>,
}

#[derive(Clone)]
struct Event {
    number: u64,
    data: String,
}

impl Default for Pushes {
    fn default() -> Self {
        Self {
            life: format!("{:x}", jiff::Timestamp::now().as_millisecond()),
            journal: Mutex::default(),
            count: watch::channel(0).0,
            telling: tokio::sync::Mutex::default(),
            closed: CancellationToken::new(),
        }
    }
}

impl Pushes {
    /// The stream, from behind the event that the client names, or from now on.
    pub(crate) fn respond(self: &Arc<Self>, last_event_id: Option<&str>) -> Response<StreamedBody> {
        let listener = Listener {
            told: self.place_of(last_event_id),
            count: self.count.subscribe(),
            pushes: Arc::clone(self),
            is_welcome: false,
        };
        let stream = futures::stream::unfold(listener, |mut listener| async {
            let text = listener.next().await?;
            Some((Ok::<_, io::Error>(Frame::data(Bytes::from(text))), listener))
        });
        let mut response = Response::new(BodyExt::boxed(StreamBody::new(stream)));
        let fields = response.headers_mut();
        fields.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        );
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// Ends all streams.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }

    /// The number of the event with this id; 0, before all, for one of another process.
    fn place_of(&self, id: Option<&str>) -> u64 {
        let Some(id) = id else { return self.journal().count };
        let number = id
            .strip_prefix(&self.life)
            .and_then(|rest| rest.strip_prefix('-'));
        number.and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes events of how `now` differs from what was told of before.
    fn tell(&self, repository: &str, now: References, pusher: &str) {
        let count = {
            let mut journal = self.journal();
            let before = journal.references.remove(repository).unwrap_or_default();
            for change in changes(repository, &before, &now, pusher) {
                journal.add(change);
            }
            journal.references.insert(repository.to_owned(), now);
            journal.count
        };
        self.count.send_replace(count);
    }

    /// Events behind `told` as the stream has them, and the number of the last one of them.
    fn after(&self, told: u64) -> Option<(u64, String)> {
        let journal = self.journal();
        let events = journal.events.iter().skip_while(|event| event.number <= told);
        let events: Vec<_> = events.take(TOLD_AT_ONCE).collect();
        let last = events.last()?.number;
        let text = events.into_iter().map(|Event { number, data }| {
            let life = &self.life;
            format!("event: push\nid: {life}-{number}\ndata: {data}\n\n")
        });
        Some((last, text.collect()))
    }
}

impl Journal {
    fn add(&mut self, data: String) {
        self.count += 1;
        let number = self.count;
        self.events.push_back(Event { number, data });
        let surplus = self.events.len().saturating_sub(REMEMBERED);
        self.events.drain(..surplus);
    }
}

/// The data of an event for each reference that was made, moved or taken away.
fn changes(repository: &str, before: &References, now: &References, pusher: &str) -> Vec<String> {
    let of = |references: &References, name: &String| {
        references.get(name).map_or(NOTHING, String::as_str).to_owned()
    };
    let gone = before.keys().filter(|name| !now.contains_key(*name));
    let names = now.keys().chain(gone);
    let changed = names.filter(|name| before.get(*name) != now.get(*name));
    let data = changed.map(|name| {
        json!({
            "repository": repository.strip_suffix(".git").unwrap_or(repository),
            "ref": name,
            "before": of(before, name),
            "after": of(now, name),
            "pusher": pusher,
        })
        .to_string()
    });
    data.collect()
}

/// Somebody who listens.
struct Listener {
    pushes: Arc<Pushes>,
    /// The number of the last event that it was told of.
    told: u64,
    count: watch::Receiver<u64>,
    is_welcome: bool,
}

impl Listener {
    /// The next piece of the stream. None at the server's end.
    async fn next(&mut self) -> Option<String> {
        // At once, so that the client has its answer.
        if !std::mem::replace(&mut self.is_welcome, true) {
            return Some("retry: 1000\n: welcome\n\n".to_owned());
        }
        loop {
            self.count.mark_unchanged();
            if let Some((told, text)) = self.pushes.after(self.told) {
                self.told = told;
                return Some(text);
            }
            let changed = tokio::time::timeout(HEARTBEAT, self.count.changed());
            tokio::select! {
                () = self.pushes.closed.cancelled() => return None,
                changed = changed => match changed {
                    Ok(changed) => changed.ok()?,
                    Err(_) => return Some(": still here\n\n".to_owned()),
                },
            }
        }
    }
}

/// A push that is being made.
pub(crate) struct Push {
    pushes: Arc<Pushes>,
    name: String,
    repository: BareRepository,
    pusher: String,
}

impl Push {
    /// Remembers where references are, if this is the first push to the repository.
    pub(crate) async fn begin(pushes: &Arc<Pushes>, name: &str, path: &Path, pusher: &str) -> Result<Self> {
        let push = Self {
            pushes: Arc::clone(pushes),
            name: name.to_owned(),
            repository: BareRepository::at(path),
            pusher: pusher.to_owned(),
        };
        if !pushes.journal().references.contains_key(name) {
            let before = push.references().await?;
            pushes
                .journal()
                .references
                .entry(name.to_owned())
                .or_insert(before);
        }
        Ok(push)
    }

    /// Tells what it has changed.
    pub(crate) async fn end(self) {
        let _telling = self.pushes.telling.lock().await;
        match self.references().await {
            Ok(now) => self.pushes.tell(&self.name, now, &self.pusher),
            Err(error) => eprintln!("failed to tell of a push: {error:#}"),
        }
    }

    async fn references(&self) -> Result<References> {
        let repository = self.repository.clone();
        let listed = tokio::task::spawn_blocking(move || repository.references()).await;
        listed.context("failed to list references")?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references(pairs: &[(&str, &str)]) -> References {
        pairs
            .iter()
            .map(|(name, id)| (name.to_string(), id.to_string()))
            .collect()
    }

    fn listener(pushes: &Arc<Pushes>, last_event_id: Option<&str>) -> Listener {
        Listener {
            told: pushes.place_of(last_event_id),
            count: pushes.count.subscribe(),
            pushes: Arc::clone(pushes),
            is_welcome: true,
        }
    }

    #[tokio::test]
    async fn those_who_come_back_are_told_what_they_have_missed() {
        let pushes = Arc::new(Pushes::default());
        let mut new = listener(&pushes, None);
        pushes.tell("shop/idl.git", references(&[("refs/heads/main", "a")]), "ci");
        pushes.tell(
            "shop/idl.git",
            references(&[("refs/heads/main", "b"), ("refs/tags/v1", "b")]),
            "ci",
        );
        let life = &pushes.life;
        let both = new.next().await.unwrap();
        assert_eq!(both.matches("event: push").count(), 3, "{both}");
        assert!(both.contains(&format!("id: {life}-3\n")), "{both}");

        let missed = listener(&pushes, Some(&format!("{life}-2")))
            .next()
            .await
            .unwrap();
        let data = missed
            .strip_prefix(&format!("event: push\nid: {life}-3\ndata: "))
            .unwrap();
        let expected = json!({
            "repository": "shop/idl",
            "ref": "refs/tags/v1",
            "before": NOTHING,
            "after": "b",
            "pusher": "ci",
        });
        assert_eq!(serde_json::from_str::<serde_json::Value>(data).unwrap(), expected);
        let stranger = listener(&pushes, Some("another-2")).next().await.unwrap();
        assert_eq!(stranger, both);
        pushes.close();
        assert_eq!(new.next().await, None);
    }

    #[test]
    fn a_reference_that_is_taken_away_is_told_of_and_one_that_stays_is_not() {
        let before = references(&[("refs/heads/main", "a"), ("refs/heads/old", "b")]);
        let told = changes("idl", &before, &references(&[("refs/heads/main", "a")]), "ci");
        assert_eq!(told.len(), 1);
        assert!(
            told[0].contains("refs/heads/old") && told[0].contains(NOTHING),
            "{told:?}"
        );
    }
}
