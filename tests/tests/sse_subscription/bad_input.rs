//! What servers, sinks and people do wrong, and the condition that says so.

use super::sink::Behaviour as SinkBehaviour;
use super::source::Behaviour;
use super::world::World;
use anyhow::Result;
use heddle_crds::SseSubscription;
use serde_json::json;
use std::time::Duration;

const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

#[tokio::test]
async fn each_answer_that_is_no_stream_has_its_reason() -> Result<()> {
    let world = World::create().await?;
    let _operator = world.operator().await?;
    let answer = |status: &str, more: &str| format!("HTTP/1.1 {status}\r\n{more}Content-Length: 0\r\n\r\n");
    let port = world.source.port;
    let cases = [
        (
            "html",
            answer("200 OK", "Content-Type: text/html\r\n"),
            "NotAnEventStream",
            "Content-Type",
        ),
        (
            "unauthorized",
            answer("401 Unauthorized", ""),
            "Unauthorized",
            "401",
        ),
        ("forbidden", answer("403 Forbidden", ""), "Unauthorized", "403"),
        ("missing", answer("404 Not Found", ""), "RefusedByServer", "404"),
        (
            "broken",
            answer("500 Internal Server Error", ""),
            "RefusedByServer",
            "500",
        ),
        ("no-http", "SSH-2.0-OpenSSH\r\n\r\n".into(), "Unreachable", "HTTP"),
        (
            "circle",
            answer(
                "302 Found",
                &format!("Location: http://127.0.0.1:{port}/events\r\n"),
            ),
            "RedirectRefused",
            "redirect",
        ),
        (
            "scheme",
            answer("302 Found", "Location: ftp://127.0.0.1/events\r\n"),
            "RedirectRefused",
            "ftp",
        ),
        (
            "long-line",
            format!("{STREAM}data: {}", "x".repeat(5000)),
            "EventTooLarge",
            "line",
        ),
        (
            "large-event",
            format!("{STREAM}{}", format!("data: {}\n", "x".repeat(500)).repeat(10)),
            "EventTooLarge",
            "larger than the limit",
        ),
    ];
    for (name, answer, reason, text) in cases {
        world.source.behave(Behaviour::Raw(answer.into_bytes()));
        world
            .apply(name, &[("/source/maxEventBytes", json!(2048))])
            .await?;
        let connected = world.wait_for_reason(name, "Connected", reason).await?;
        assert!(connected.message.contains(text), "{name}: {}", connected.message);
        let ready = world.wait_for_reason(name, "Ready", reason).await?;
        assert_eq!(ready.message, connected.message);
        world.apply(name, &[("/suspend", json!(true))]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_server_may_ask_for_patience_and_is_given_it() -> Result<()> {
    let world = World::create().await?;
    let _operator = world.operator().await?;
    let answer = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3000\r\nContent-Length: 0\r\n\r\n";
    world.source.behave(Behaviour::Raw(answer.into()));
    world.apply("pushes", &[]).await?;
    world
        .wait_for_reason("pushes", "Connected", "RateLimited")
        .await?;
    let waits = |status: &heddle_crds::SseSubscriptionStatus| {
        let now = k8s_openapi::jiff::Timestamp::now().as_second();
        status
            .next_attempt_at
            .as_ref()
            .is_some_and(|at| at.0.as_second() > now + 2500)
    };
    world
        .wait_for("pushes", "the next attempt is in 3000 s", waits)
        .await?;
    assert_eq!(world.source.requests().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_server_that_says_there_is_nothing_more_is_not_asked_again() -> Result<()> {
    let world = World::create().await?;
    let operator = world.operator().await?;
    world
        .source
        .behave(Behaviour::Raw("HTTP/1.1 204 No Content\r\n\r\n".into()));
    world.apply("pushes", &[]).await?;
    let stalled = world
        .wait_for_reason("pushes", "Stalled", "EndedByServer")
        .await?;
    assert!(
        stalled.message.contains("heddle.dev/requestedAt"),
        "{}",
        stalled.message
    );
    // Nor by one that comes after.
    operator.kill().await?;
    let _operator = world.operator().await?;
    world.apply("other", &[]).await?;
    world.wait_for_reason("other", "Stalled", "EndedByServer").await?;
    assert_eq!(world.source.requests().len(), 2);
    world.source.behave(Behaviour::Stream { breaks_after: None });
    let asked = json!({ "metadata": { "annotations": { "heddle.dev/requestedAt": "now" } } });
    let (parameters, patch) = (Default::default(), kube::api::Patch::Merge(&asked));
    world.subscriptions().patch("pushes", &parameters, &patch).await?;
    world.wait_until_ready("pushes").await
}

#[tokio::test]
async fn silence_and_dripping_are_noticed() -> Result<()> {
    let world = World::create().await?;
    let _operator = world.operator().await?;
    world.source.behave(Behaviour::Raw(STREAM.into()));
    world
        .apply("silent", &[("/source/readTimeout", json!("1s"))])
        .await?;
    let silent = world.wait_for_reason("silent", "Connected", "TimedOut").await?;
    assert!(silent.message.contains("silent for 1s"), "{}", silent.message);
    world.source.behave(Behaviour::Raw(Vec::new()));
    world
        .apply("mute", &[("/source/connectTimeout", json!("1s"))])
        .await?;
    world.wait_for_reason("mute", "Connected", "TimedOut").await?;
    // A byte now and then is no sign of death as long as lines end in time.
    let head = format!("{STREAM}:");
    world.source.behave(Behaviour::Drip {
        head: head.into_bytes(),
        byte: b'x',
        every: Duration::from_millis(300),
    });
    world
        .apply("dripping", &[("/source/readTimeout", json!("1s"))])
        .await?;
    world
        .wait_for_reason("dripping", "Connected", "Connected")
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_certificate_that_nobody_vouched_for_is_not_trusted() -> Result<()> {
    let world = World::create().await?;
    let _operator = world.operator().await?;
    // The API server itself, whose authority no system knows. With that, it wants credentials.
    let url = json!(format!("https://127.0.0.1:{}/", world.namespace.api_port));
    world.apply("strange", &[("/source/url", url.clone())]).await?;
    world
        .wait_for_reason("strange", "Connected", "TlsNotTrusted")
        .await?;
    let authority = world.authority()?;
    world
        .namespace
        .secret("authority", &[("ca.crt", &authority)])
        .await?;
    let tls = json!({ "caSecretRef": { "name": "authority" } });
    world
        .apply("known", &[("/source/url", url), ("/source/tls", tls)])
        .await?;
    world
        .wait_for_reason("known", "Connected", "Unauthorized")
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_certificate_must_be_for_the_name_that_is_given() -> Result<()> {
    let world = World::create().await?;
    let _operator = world.operator().await?;
    let url = json!(format!("https://127.0.0.1:{}/", world.namespace.api_port));
    let authority = world.authority()?;
    world
        .namespace
        .secret("authority", &[("ca.crt", &authority)])
        .await?;
    // The API server's certificate is for localhost too. Who gets through to it is told to show credentials.
    let cases = [
        ("strange", "forge.example", "TlsNotTrusted", "certificate"),
        ("known", "localhost", "Unauthorized", "40"),
    ];
    for (name, server_name, reason, said_of_sink) in cases {
        let tls = json!({ "caSecretRef": { "name": "authority" }, "serverName": server_name });
        let source = [("/source/url", url.clone()), ("/source/tls", tls.clone())];
        world.apply(name, &source).await?;
        world.wait_for_reason(name, "Connected", reason).await?;

        let to_sink = format!("to-{name}");
        let sink = json!({ "name": "orders", "http": { "url": url, "tls": tls } });
        world.apply(&to_sink, &[("/sinks/0", sink)]).await?;
        world.wait_until_ready(&to_sink).await?;
        world.source.push("one");
        let failing = world
            .wait_for_reason(&to_sink, "Delivering", "SinkFailing")
            .await?;
        assert!(failing.message.contains(said_of_sink), "{}", failing.message);
    }
    Ok(())
}

#[tokio::test]
async fn an_address_that_settings_forbid_is_not_connected_to() -> Result<()> {
    let world = World::create().await?;
    let _operator = world
        .operator_with("operator-0", &["--sse-denied-cidrs=127.0.0.2/32"])
        .await?;
    let forbidden = |url: String| json!(url.replace("127.0.0.1", "127.0.0.2"));
    world
        .apply("source", &[("/source/url", forbidden(world.source.url()))])
        .await?;
    let refused = world
        .wait_for_reason("source", "Connected", "AddressRefused")
        .await?;
    assert!(refused.message.contains("127.0.0.2"), "{}", refused.message);
    assert!(world.source.requests().is_empty());

    let sink = json!({ "name": "orders", "http": { "url": forbidden(world.sink.url()) } });
    world.apply("sink", &[("/sinks/0", sink)]).await?;
    world.wait_until_ready("sink").await?;
    world.source.push("one");
    let refused = world.wait_for_reason("sink", "Delivering", "SinkFailing").await?;
    assert!(
        refused.message.contains("127.0.0.2 is in a network"),
        "{}",
        refused.message
    );
    Ok(())
}

#[tokio::test]
async fn what_people_write_wrong_is_named() -> Result<()> {
    let world = World::create().await?;
    let _operator = world.operator().await?;
    world
        .apply("filter", &[("/filter", json!({ "cel": "data.n ==" }))])
        .await?;
    let filter = world
        .wait_for_reason("filter", "Stalled", "FilterInvalid")
        .await?;
    assert!(filter.message.contains("spec.filter.cel"), "{}", filter.message);

    let reference = json!({ "name": "token", "key": "value" });
    let headers = json!([{ "name": "Authorization", "secretKeyRef": reference }]);
    world.apply("secret", &[("/source/headersFrom", headers)]).await?;
    let missing = world
        .wait_for_reason("secret", "Stalled", "SecretNotFound")
        .await?;
    assert!(missing.message.contains("Secret token"), "{}", missing.message);
    world.namespace.secret("token", &[("other", "x")]).await?;
    world
        .wait_for_reason("secret", "Stalled", "SecretInvalid")
        .await?;
    world.namespace.secret("token", &[("value", "x")]).await?;
    world.wait_until_ready("secret").await?;
    assert!(world.source.requests().iter().any(|request| {
        request
            .headers
            .get("authorization")
            .is_some_and(|value| value == "x")
    }));
    Ok(())
}

#[tokio::test]
async fn a_sink_that_is_gone_ends_the_subscription_and_one_that_hangs_does_not() -> Result<()> {
    let world = World::create().await?;
    let _operator = world.operator().await?;
    world.sink.behave(SinkBehaviour {
        delay: Duration::from_secs(600),
        ..SinkBehaviour::default()
    });
    world
        .apply("pushes", &[("/delivery/timeout", json!("1s"))])
        .await?;
    world.wait_until_ready("pushes").await?;
    world.source.push("one");
    let failing = world
        .wait_for_reason("pushes", "Delivering", "SinkFailing")
        .await?;
    assert!(
        failing.message.contains("orders") && failing.message.contains("1000 ms"),
        "{}",
        failing.message
    );
    world.sink.behave(SinkBehaviour::default());
    world.wait_for_events(&world.sink, 1).await?;
    world.wait_until_ready("pushes").await?;

    world.sink.behave(SinkBehaviour {
        status: Some(410),
        ..SinkBehaviour::default()
    });
    world.source.push("two");
    world.wait_for_reason("pushes", "Stalled", "SinkGone").await?;
    let is_not_ready = |status: &heddle_crds::SseSubscriptionStatus| status.owner.is_none();
    world.wait_for("pushes", "nobody watches", is_not_ready).await?;
    // What it did not want is not lost for the next one.
    world.sink.behave(SinkBehaviour::default());
    let changed: SseSubscription = world
        .apply("pushes", &[("/delivery/timeout", json!("2s"))])
        .await?;
    assert_eq!(changed.metadata.generation, Some(2));
    world.wait_for_events(&world.sink, 2).await?;
    assert_eq!(world.sink.acknowledged()[1].id, "2");
    Ok(())
}
