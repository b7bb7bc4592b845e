//! Events of SseSubscriptions that go to all sessions of a route, with the real sidecar and with one that does as it likes.

#[expect(
    dead_code,
    reason = "the source is that of the tests of subscriptions, which need more of it"
)]
#[path = "../sse_subscription/source.rs"]
mod source;

use super::proxy::{Served, open_session};
use super::sidecar::Sidecar;
use super::world::World;
use anyhow::{Context, Result};
use heddle_crds::SseSubscription;
use heddle_crds::condition::{self, Condition};
use heddle_crds::sse_subscription::SseSubscriptionStatus;
use heddle_route_config::protocol::{Broadcast, BroadcastError, BroadcastResult, Hello};
use heddle_tests::eventually::{Probe, eventually, eventually_has_status};
use heddle_tests::namespace::SOON;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use source::Source;
use std::collections::BTreeSet;
use std::pin::pin;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

/// What replicas show each other.
const AUDIENCE: &str = "heddle-broadcasts";

/// Most often enough for two replicas to have some of them each, and always.
const SUBSCRIPTIONS: usize = 12;
const SUBSCRIPTIONS_LIMIT: usize = 48;

pub(super) struct Subscriptions<'a> {
    world: &'a World,
    pub(super) source: Source,
}

impl<'a> Subscriptions<'a> {
    pub(super) async fn create(world: &'a World) -> Result<Self> {
        let source = Source::start().await?;
        Ok(Self { world, source })
    }

    fn api(&self) -> Api<SseSubscription> {
        Api::namespaced(self.world.namespace.client.clone(), &self.world.namespace.name)
    }

    /// A subscription whose events go to the sessions of the route `chat`.
    async fn apply(&self, name: &str, format: &str) -> Result<()> {
        self.apply_with(name, format, json!({})).await
    }

    /// The same, delivered as `delivery` says.
    pub(super) async fn apply_with(&self, name: &str, format: &str, mut delivery: Value) -> Result<()> {
        let backoff = json!({ "initial": "50ms", "max": "200ms" });
        delivery["backoff"] = backoff.clone();
        let object = json!({
            "apiVersion": "heddle.dev/v1alpha1",
            "kind": "SseSubscription",
            "metadata": { "name": name, "namespace": self.world.namespace.name },
            "spec": {
                "source": { "url": self.source.url(), "reconnect": backoff },
                "sinks": [{ "name": "sessions", "wsRoute": { "name": "chat", "format": format } }],
                "delivery": delivery,
            },
        });
        let parameters = PatchParams::apply("kubectl").force();
        self.api()
            .patch(name, &parameters, &Patch::Apply(&object))
            .await?;
        Ok(())
    }

    async fn wait_for(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&SseSubscriptionStatus) -> bool,
    ) -> Result<SseSubscriptionStatus> {
        eventually_has_status(&self.api(), name, what, SOON, wanted).await
    }

    pub(super) async fn wait_for_reason(&self, name: &str, reason: &str) -> Result<Condition> {
        let what = format!("{name} has Ready with reason {reason}");
        let find = |status: &SseSubscriptionStatus| {
            let found = condition::find(&status.conditions, "Ready").cloned();
            found.filter(|condition| condition.reason == reason)
        };
        let status = self
            .wait_for(name, &what, |status| find(status).is_some())
            .await?;
        find(&status).context("it is there")
    }

    /// The id up to which everything is acknowledged, as it is stored.
    async fn place(&self, name: &str) -> Result<String> {
        let client = self.world.namespace.client.clone();
        let api = Api::<ConfigMap>::namespaced(client, &self.world.namespace.name);
        let found = api.get(&format!("{name}-checkpoint")).await?;
        let text = found.data.unwrap_or_default().remove("checkpoint.json");
        let place: Value = serde_json::from_str(&text.context("a place")?)?;
        Ok(place["lastEventId"].as_str().unwrap_or_default().to_owned())
    }

    async fn wait_for_place(&self, name: &str, id: usize) -> Result<()> {
        let id = id.to_string();
        eventually(&format!("the place is {id}"), SOON, || async {
            Ok(match self.place(name).await? {
                place if place == id => Probe::Seen(()),
                place => Probe::NotYet(place),
            })
        })
        .await
    }
}

/// The text of the next message for a client.
pub(super) async fn message(client: &mut (impl AsyncRead + Unpin)) -> Result<String> {
    let read = async {
        let (first, length) = (client.read_u8().await?, client.read_u8().await?);
        anyhow::ensure!(first == 0x81, "not a text message: {first:#x}");
        let length = match length {
            126 => client.read_u16().await?,
            length => length.into(),
        };
        let mut text = vec![0; length.into()];
        client.read_exact(&mut text).await?;
        Ok(String::from_utf8(text)?)
    };
    tokio::time::timeout(SOON, read).await.context("no message")?
}

/// A line of a sidecar's log with this message.
fn line_of(log: &str, message: &str) -> Option<Value> {
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.into_iter().find(|line| line["message"] == message)
}

#[tokio::test]
async fn events_reach_every_session_of_the_real_sidecar_in_one_trace() -> Result<()> {
    let world = World::create().await?;
    let mut operator = world
        .operator_with(
            "operator-0",
            &["--sse-trace-ratio=1", "--sse-checkpoint-interval=200"],
        )
        .await?;
    let Served { port, proxy, .. } = &Served::start(&world).await?;
    let (mut first, mut second) = (open_session(*port).await?, open_session(*port).await?);
    let subscriptions = Subscriptions::create(&world).await?;
    subscriptions.apply("prices", "CloudEvent").await?;
    subscriptions.wait_for_reason("prices", "Streaming").await?;
    let id = subscriptions.source.push(r#"{"price": 7}"#);
    let one = message(&mut first).await.with_context(|| proxy.log())?;
    assert_eq!(one, message(&mut second).await?);
    let event: Value = serde_json::from_str(&one)?;
    assert_eq!(event["data"]["price"], 7);
    assert_eq!(event["id"], id.to_string());
    let traceparent = event["traceparent"].as_str().context("a trace")?;
    let trace_id = traceparent.split('-').nth(1).context("an id")?;
    let queued = eventually("the sidecar tells of it", SOON, || async {
        Ok(match line_of(&proxy.log(), "message queued for all sessions") {
            Some(line) => Probe::Seen(line),
            None => Probe::NotYet(proxy.log()),
        })
    });
    let queued = queued.await?;
    assert_eq!(
        (queued["trace_id"].as_str(), queued["sessions"].as_u64()),
        (Some(trace_id), Some(2))
    );
    subscriptions.wait_for_place("prices", id).await?;
    assert_eq!(
        operator
            .metric("heddle_broadcasts_total{outcome=\"reached\"}")
            .await?,
        1.0
    );

    // Sessions go on while the operator is away, and what happens meanwhile comes when it is back.
    operator.terminate()?;
    operator.wait().await?;
    let id = subscriptions.source.push(r#"{"price": 8}"#);
    let _successor = world
        .operator_with("operator-1", &["--sse-checkpoint-interval=200"])
        .await?;
    for client in [&mut first, &mut second] {
        let event: Value = serde_json::from_str(&message(client).await.with_context(|| proxy.log())?)?;
        assert_eq!(event["data"]["price"], 8);
    }
    subscriptions.wait_for_place("prices", id).await?;

    // One that is closing gets no more; it may not have come to that yet.
    first.write_all(b"\x88\x82\0\0\0\0\x03\xe8").await?;
    let id = subscriptions.source.push(r#"{"price": 9}"#);
    message(&mut second).await.with_context(|| proxy.log())?;
    subscriptions.wait_for_place("prices", id).await?;
    drop(first);
    let ended = eventually("the session has ended", SOON, || async {
        Ok(match line_of(&proxy.log(), "session ended") {
            Some(line) => Probe::Seen(line),
            None => Probe::NotYet(proxy.log()),
        })
    });
    let ended = ended.await?;
    let counts = ["messages_broadcast", "messages_missed"].map(|field| ended[field].as_u64());
    assert!(
        [[Some(2), Some(1)], [Some(3), Some(0)]].contains(&counts),
        "{ended}"
    );
    Ok(())
}

#[tokio::test]
async fn what_is_read_again_after_a_crash_reaches_the_same_sessions_once() -> Result<()> {
    let world = World::create().await?;
    let settings = ["--sse-checkpoint-interval=60000"];
    let operator = world.operator_with("operator-0", &settings).await?;
    let Served { port, proxy, .. } = &Served::start(&world).await?;
    let mut client = open_session(*port).await?;
    let mut next = async || -> Result<Value> {
        let text = message(&mut client).await.with_context(|| proxy.log())?;
        Ok(serde_json::from_str::<Value>(&text)?["id"].take())
    };
    let subscriptions = Subscriptions::create(&world).await?;
    subscriptions.apply("prices", "CloudEvent").await?;
    subscriptions.wait_for_reason("prices", "Streaming").await?;
    let id = subscriptions.source.push("one");
    assert_eq!(next().await?, "1");
    subscriptions.wait_for_place("prices", id).await?;
    // Its place is not stored before a minute is over.
    subscriptions.source.push("two");
    assert_eq!(next().await?, "2");
    operator.kill().await?;

    let _successor = world.operator_with("operator-1", &settings).await?;
    subscriptions.source.push("three");
    assert_eq!(next().await?, "3");
    let requests = subscriptions.source.requests();
    let resumed = requests.last().context("a request")?;
    assert_eq!(resumed.headers["last-event-id"], "1", "{requests:?}");
    Ok(())
}

/// The next broadcast; configurations before it are acknowledged.
async fn next_broadcast(sidecar: &mut Sidecar) -> Result<Broadcast> {
    loop {
        match sidecar.next_broadcast().await? {
            Ok(broadcast) => return Ok(broadcast),
            Err(configuration) => sidecar.acknowledge(&configuration).await?,
        }
    }
}

fn texts(broadcast: &Broadcast) -> Vec<&str> {
    let messages = broadcast.messages.iter();
    messages.map(|message| message.text.as_str()).collect()
}

#[tokio::test]
async fn the_place_moves_when_every_ready_sidecar_has_answered_and_conditions_say_what_is_waited_for()
-> Result<()> {
    let world = World::create().await?;
    let _operator = world
        .operator_with("operator-0", &["--sse-checkpoint-interval=200"])
        .await?;
    let subscriptions = Subscriptions::create(&world).await?;
    subscriptions.apply("prices", "Data").await?;
    subscriptions.wait_for_reason("prices", "Streaming").await?;
    let first = subscriptions.source.push("one");
    let missing = subscriptions.wait_for_reason("prices", "RouteNotFound").await?;
    assert!(
        missing.message.contains("WsRoute chat does not exist"),
        "{missing:?}"
    );
    world.apply("chat", &[]).await?;
    let waits = subscriptions
        .wait_for_reason("prices", "RouteNotProgrammed")
        .await?;
    assert!(waits.message.contains("The route selects no pods"), "{waits:?}");

    // A sidecar that is older than the operator serves the route, and is named.
    let (a, b) = (
        world.ready_pod("a", "chat").await?,
        world.ready_pod("b", "chat").await?,
    );
    let mut old = world.connect(&a, &Hello::default()).await?;
    let newer = Hello {
        takes_broadcasts: true,
        ..Hello::default()
    };
    let mut other = world.connect(&b, &newer).await?;
    for sidecar in [&mut old, &mut other] {
        let configuration = sidecar.wait_for(&[("chat", 1)]).await?;
        sidecar.acknowledge(&configuration).await?;
    }
    let outdated = subscriptions.wait_for_reason("prices", "SidecarOutdated").await?;
    assert!(outdated.message.contains("pod a "), "{outdated:?}");
    let mut sidecar = world.connect(&a, &newer).await?;

    // One of two that does not take the events keeps the place where it is.
    let broadcast = next_broadcast(&mut sidecar).await?;
    assert_eq!(texts(&broadcast), ["one"]);
    assert_eq!(
        (broadcast.namespace.as_str(), broadcast.route.as_str()),
        (world.namespace.name.as_str(), "chat")
    );
    sidecar.answer(&broadcast, None).await?;
    let refused = next_broadcast(&mut other).await?;
    assert_eq!(refused.messages, broadcast.messages);
    other.answer(&refused, Some(BroadcastError::Busy)).await?;
    // It is tried again, and the same comes to both.
    let again = next_broadcast(&mut sidecar).await?;
    assert_eq!(again.messages, broadcast.messages);
    assert_ne!(again.number, broadcast.number);
    assert_ne!(subscriptions.place("prices").await?, first.to_string());
    sidecar.answer(&again, None).await?;
    let again = next_broadcast(&mut other).await?;
    other.answer(&again, None).await?;
    subscriptions.wait_for_place("prices", first).await?;
    subscriptions.wait_for_reason("prices", "Streaming").await?;

    // One that goes without an answer is asked again when it is back.
    let second = subscriptions.source.push("two");
    let lost = next_broadcast(&mut other).await?;
    assert_eq!(texts(&lost), ["two"]);
    let taken = next_broadcast(&mut sidecar).await?;
    sidecar.answer(&taken, None).await?;
    let silent = subscriptions.wait_for_reason("prices", "SinkFailing").await?;
    let expected = "the sidecar of pod b does not answer";
    assert!(
        silent.message.contains(expected) && !silent.message.contains("pod a"),
        "{silent:?}"
    );
    drop(other);
    let mut other = world.connect(&b, &newer).await?;
    let both = async {
        let answer_all = async |sidecar: &mut Sidecar| -> Result<()> {
            loop {
                let broadcast = next_broadcast(sidecar).await?;
                sidecar.answer(&broadcast, None).await?;
            }
        };
        tokio::try_join!(answer_all(&mut sidecar), answer_all(&mut other))
    };
    tokio::select! {
        place = subscriptions.wait_for_place("prices", second) => place?,
        ended = both => drop(ended?),
    }
    Ok(())
}

#[tokio::test]
async fn replicas_that_do_not_lead_have_the_leader_relay_and_nobody_else_may() -> Result<()> {
    let world = World::create().await?;
    let token_file = world.write_token("broadcast-token", AUDIENCE).await?;
    let token_file = format!("--broadcast-token-file={}", token_file.display());
    let interval = "--sse-checkpoint-interval=200";
    let leader = world
        .operator_with("operator-0", &[&token_file, interval])
        .await?;
    leader.wait_until_it_leads().await?;
    let other = world.replica("operator-1", &[&token_file, interval]).await?;
    for replica in [&leader, &other] {
        replica.wait_for_members(2).await?;
    }
    world.apply("chat", &[]).await?;
    let pod = world.ready_pod("a", "chat").await?;
    let hello = Hello {
        takes_broadcasts: true,
        ..Hello::default()
    };
    let mut sidecar = world.connect(&pod, &hello).await?;
    let configuration = sidecar.wait_for(&[("chat", 1)]).await?;
    sidecar.acknowledge(&configuration).await?;
    world.wait_for_reason("chat", "Ready", "Programmed").await?;
    let subscriptions = Subscriptions::create(&world).await?;
    let (mut owners, mut count) = (BTreeSet::new(), 0);
    while count < SUBSCRIPTIONS || (owners.len() < 2 && count < SUBSCRIPTIONS_LIMIT) {
        let name = format!("s{count}");
        count += 1;
        subscriptions.apply(&name, "Data").await?;
        subscriptions.wait_for_reason(&name, "Streaming").await?;
        let status = subscriptions
            .wait_for(&name, "it has an owner", |status| status.owner.is_some())
            .await?;
        owners.extend(status.owner);
    }
    assert_eq!(owners.len(), 2, "both replicas have some: {owners:?}");
    let id = subscriptions.source.push("one");
    let mut sources = BTreeSet::new();
    while sources.len() < count {
        let broadcast = next_broadcast(&mut sidecar)
            .await
            .with_context(|| other.log_text().unwrap_or_default())?;
        sidecar.answer(&broadcast, None).await?;
        assert_eq!(texts(&broadcast), ["one"]);
        sources.insert(broadcast.source);
    }
    let mut places = pin!(async {
        for number in 0..count {
            subscriptions.wait_for_place(&format!("s{number}"), id).await?;
        }
        Ok::<_, anyhow::Error>(())
    });
    // A subscription that changes hands while its event is under way sends it again, as often as that takes.
    loop {
        tokio::select! {
            reached = &mut places => break reached.with_context(|| other.log_text().unwrap_or_default())?,
            again = next_broadcast(&mut sidecar) => sidecar.answer(&again?, None).await?,
        }
    }
    let relayed = leader
        .metric("heddle_broadcasts_total{outcome=\"reached\"}")
        .await?;
    assert!(relayed >= count as f64, "{relayed}");

    // Another account's token of the same audience, and a sidecar's.
    let trust = world.trust().await?;
    let others = world.token_of("other", AUDIENCE).await?;
    for (token, expected) in [(others, 403), (world.token(&pod).await?, 401)] {
        let status = super::sidecar::post(world.stream_port, &trust, &token, "/v1/broadcasts", "{}").await?;
        assert_eq!(status, expected);
    }
    Ok(())
}

#[tokio::test]
async fn an_event_that_is_too_long_for_a_message_is_refused_and_named() -> Result<()> {
    let world = World::create().await?;
    let _operator = world.operator().await?;
    let subscriptions = Subscriptions::create(&world).await?;
    subscriptions.apply("prices", "Data").await?;
    subscriptions.wait_for_reason("prices", "Streaming").await?;
    let id = subscriptions.source.push(&"x".repeat((256 << 10) + 1));
    let failing = subscriptions.wait_for_reason("prices", "SinkFailing").await?;
    let expected = format!("event {id} makes a message of 262145 bytes; sessions get at most 262144");
    assert!(failing.message.contains(&expected), "{failing:?}");
    Ok(())
}

impl Sidecar {
    /// The next broadcast, or the configuration that came instead.
    async fn next_broadcast(
        &mut self,
    ) -> Result<Result<Broadcast, heddle_route_config::protocol::Configuration>> {
        use heddle_route_config::protocol::ToSidecar;
        loop {
            match self.next().await?.context("the stream has ended")? {
                ToSidecar::Broadcast(broadcast) => return Ok(Ok(broadcast)),
                ToSidecar::Configuration(configuration) => return Ok(Err(configuration)),
                ToSidecar::DescriptorsPart(_) => {}
            }
        }
    }

    async fn answer(&mut self, broadcast: &Broadcast, error: Option<BroadcastError>) -> Result<()> {
        let result = BroadcastResult {
            number: broadcast.number,
            sessions: 1,
            error,
        };
        self.say(result).await
    }
}
