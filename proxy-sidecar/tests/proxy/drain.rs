//! The end of the program.

use crate::support::{Backend, PATIENCE, Proxy, masked, text, to, until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

#[tokio::test]
async fn at_the_end_every_session_is_closed_in_order_and_nothing_is_accepted() {
    let backend = Backend::listen().await;
    let mut proxy = Proxy::start(|port| to(port, &backend, "  timeouts: { drain: 500ms }")).await;
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(proxy.session(&backend).await);
    }
    proxy.terminate();
    until("the port is closed", async || {
        TcpStream::connect(("127.0.0.1", proxy.port))
            .await
            .is_err()
            .then_some(())
    })
    .await;
    assert_eq!(proxy.ask("/readyz").await.unwrap().0, 503);
    for (client, server) in &mut sessions {
        client.expect_close(1001).await;
        client.send(masked(8, &1001_u16.to_be_bytes())).await;
        assert_eq!(server.bytes(2).await[0], 0x88);
    }
    drop(sessions);
    assert_eq!(proxy.ended().await, Some(0));
}

#[tokio::test]
async fn messages_still_pass_while_a_session_waits_for_its_moment() {
    let backend = Backend::listen().await;
    let mut proxy = Proxy::start(|port| to(port, &backend, "  timeouts: { drain: 2s }")).await;
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(proxy.session(&backend).await);
    }
    proxy.terminate();
    proxy.logged("draining").await;
    for (_, server) in &mut sessions {
        server.send(text("late")).await;
    }
    // Moments are random: those of some sessions came before the message, but hardly those of all.
    let mut reached = 0;
    for (client, _) in &mut sessions {
        assert!(client.arrived().await);
        if !client.is_close() {
            assert_eq!(client.bytes(6).await, text("late"));
            reached += 1;
        }
        client.expect_close(1001).await;
    }
    assert!(reached > 0);
    drop(sessions);
    assert_eq!(proxy.ended().await, Some(0));
}

#[tokio::test]
async fn somebody_who_asks_slowly_is_heard_to_the_end() {
    let backend = Backend::listen().await;
    let mut proxy = Proxy::start(|port| to(port, &backend, "")).await;
    let mut asking = UnixStream::connect(proxy.folder.path().join("control.sock"))
        .await
        .unwrap();
    asking.write_all(b"dra").await.unwrap();
    // Meanwhile the proxy does something else, twice at the least.
    for (idle, count) in [("1h", 2.0), ("2h", 3.0)] {
        proxy.rewrite(&to(
            proxy.port,
            &backend,
            &format!("  timeouts: {{ idle: {idle} }}"),
        ));
        let applied = "heddle_proxy_configurations_total{outcome=\"applied\"}";
        proxy.until_metric(applied, count).await;
    }
    asking.write_all(b"in\n").await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, asking.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer, "drained\n");
    assert_eq!(proxy.ended().await, Some(0));
}

#[tokio::test]
async fn the_drain_command_waits_until_sessions_have_ended() {
    let backend = Backend::listen().await;
    let mut proxy = Proxy::start(|port| to(port, &backend, "  timeouts: { drain: 0s }")).await;
    let (mut client, server) = proxy.session(&backend).await;
    let mut drain = tokio::process::Command::new(env!("CARGO_BIN_EXE_heddle-proxy"))
        .arg("drain")
        .arg("--state-dir")
        .arg(proxy.folder.path())
        .spawn()
        .unwrap();
    client.expect_close(1001).await;
    assert!(drain.try_wait().unwrap().is_none());
    drop((client, server));
    assert!(timeout(PATIENCE, drain.wait()).await.unwrap().unwrap().success());
    assert_eq!(proxy.ended().await, Some(0));
}

#[tokio::test]
async fn whoever_asks_for_a_drain_while_one_goes_on_is_told_of_its_end_too() {
    let backend = Backend::listen().await;
    let mut proxy = Proxy::start(|port| to(port, &backend, "  timeouts: { drain: 0s }")).await;
    let (mut client, server) = proxy.session(&backend).await;
    // One that says nothing keeps nobody from being heard.
    let socket = proxy.folder.path().join("control.sock");
    let silent = tokio::net::UnixStream::connect(&socket).await.unwrap();
    let ask = || {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_heddle-proxy"));
        let command = command.arg("drain").arg("--state-dir").arg(proxy.folder.path());
        command.kill_on_drop(true).spawn().unwrap()
    };
    let mut first = ask();
    client.expect_close(1001).await;
    let mut second = tokio::net::UnixStream::connect(&socket).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut second, b"drain\n")
        .await
        .unwrap();
    assert!(first.try_wait().unwrap().is_none());
    drop((client, server));
    let mut answer = [0; 8];
    timeout(
        PATIENCE,
        tokio::io::AsyncReadExt::read_exact(&mut second, &mut answer),
    )
    .await
    .unwrap()
    .unwrap();
    assert_eq!(&answer, b"drained\n");
    assert!(timeout(PATIENCE, first.wait()).await.unwrap().unwrap().success());
    drop(silent);
    assert_eq!(proxy.ended().await, Some(0));
}

#[tokio::test]
async fn the_end_waits_for_sessions_of_routes_that_went_away_just_before() {
    let (backend, other) = (Backend::listen().await, Backend::listen().await);
    let rest = |port| {
        to(port, &other, "  timeouts: { drain: 0s, close: 10ms }")
            .replace("name: chat", "name: other")
            .replace(
                "  timeouts",
                "  matches: [{ path: { value: /other } }]\n  timeouts",
            )
    };
    // Its sessions may take longer to end than those of the route that is left, with all that is added to that.
    let slow = |port| to(port, &backend, "  timeouts: { drain: 0s, close: 6s }");
    let mut proxy = Proxy::start(|port| format!("{}---\n{}", slow(port), rest(port))).await;
    let (mut client, mut server) = proxy.session(&backend).await;
    proxy.rewrite(&rest(proxy.port));
    client.expect_close(1001).await;
    proxy.terminate();
    // The client does not answer, so that the backend is told only when it might have.
    assert_eq!(server.bytes(2).await[0], 0x88);
    drop((client, server));
    assert_eq!(proxy.ended().await, Some(0));
}

#[tokio::test]
async fn the_drain_command_fails_where_no_proxy_is() {
    let folder = tempfile::tempdir().unwrap();
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_heddle-proxy"))
        .arg("drain")
        .arg("--state-dir")
        .arg(folder.path())
        .output()
        .await
        .unwrap();
    assert!(!output.status.success());
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .starts_with("failed to reach the proxy at ")
    );
}
