//! Routes that change while sessions are open.

use crate::support::{Backend, Proxy, free_port, masked, request, text, to, until};
use tokio::net::TcpStream;

#[tokio::test]
async fn sessions_outlive_a_change_of_their_route_and_new_ones_go_by_it() {
    let (old, new) = (Backend::listen().await, Backend::listen().await);
    let proxy = Proxy::start(|port| to(port, &old, "")).await;
    let (mut client, mut server) = proxy.session(&old).await;
    for round in 0..3 {
        proxy.rewrite(&to(proxy.port, &new, &format!("  retries: {round}")));
        let applied = "heddle_proxy_configurations_total{outcome=\"applied\"}";
        proxy.until_metric(applied, f64::from(round + 2)).await;
    }
    proxy.session(&new).await;
    client.send(masked(1, b"still")).await;
    assert_eq!(server.bytes(11).await, masked(1, b"still"));
    server.send(text("here")).await;
    assert_eq!(client.bytes(6).await, text("here"));
}

#[tokio::test]
async fn sessions_of_a_route_that_goes_away_are_drained_and_its_port_is_closed() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "  timeouts: { drain: 0s }")).await;
    let (mut client, _server) = proxy.session(&backend).await;
    let other = free_port();
    proxy.rewrite(&to(other, &backend, "").replace("name: chat", "name: other"));
    client.expect_close(1001).await;
    until("the new port is open", async || {
        TcpStream::connect(("127.0.0.1", other)).await.ok()
    })
    .await;
    until("the old port is closed", async || {
        TcpStream::connect(("127.0.0.1", proxy.port))
            .await
            .is_err()
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_route_that_comes_back_is_not_drained() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "  timeouts: { drain: 0s }")).await;
    let original = std::fs::read_to_string(proxy.routes_file()).unwrap();
    let applied = "heddle_proxy_configurations_total{outcome=\"applied\"}";
    proxy.rewrite("");
    proxy.until_metric(applied, 2.0).await;
    proxy.rewrite(&original);
    proxy.until_metric(applied, 3.0).await;
    let (mut client, mut server) = proxy.session(&backend).await;
    server.send(text("hello")).await;
    assert_eq!(client.bytes(7).await, text("hello"));
}

#[tokio::test]
async fn manifests_that_cannot_be_read_leave_what_is_served() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "")).await;
    proxy.rewrite(&to(
        proxy.port,
        &backend,
        "  matches: [{ path: { value: no-slash } }]",
    ));
    let line = proxy
        .logged("failed to read the routes anew; the former ones are served on")
        .await;
    let error = line["error"].as_str().unwrap();
    assert!(
        error.contains("routes.yaml") && error.contains("default/chat"),
        "{error}"
    );
    assert!(error.contains("spec.matches[0].path.value"), "{error}");
    proxy.session(&backend).await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_refused_and_the_former_route_stays() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "")).await;
    proxy.rewrite(&to(backend.port(), &backend, ""));
    let line = proxy.logged("failed to apply a route").await;
    assert!(
        line["error"]
            .as_str()
            .unwrap()
            .contains("failed to listen on port"),
        "{line}"
    );
    let mut client = proxy.client().await;
    client.send(request("/", "")).await;
    backend.accept().await.head().await;
}

#[tokio::test]
async fn check_names_the_file_the_object_and_the_field() {
    let folder = tempfile::tempdir().unwrap();
    let check = async |text: &str| {
        let path = folder.path().join("routes.yaml");
        std::fs::write(&path, text).unwrap();
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_heddle-proxy"))
            .arg("check")
            .arg("-f")
            .arg(&path)
            .output()
            .await
            .unwrap();
        (
            output.status.success(),
            String::from_utf8([output.stdout, output.stderr].concat()).unwrap(),
        )
    };
    let backend = Backend::listen().await;
    let good = to(9080, &backend, "");
    let two = format!("{good}---\n{}", good.replace("name: chat", "name: other"));
    let (ok, text) = check(&two).await;
    assert!(
        ok && text.contains("default/chat") && text.contains("default/other"),
        "{text}"
    );
    let cases = [
        (format!("{good}---\n{good}"), "default/chat"),
        (
            good.replace("kind: WsRoute", "kind: Pod"),
            "a Pod of heddle.dev/v1alpha1",
        ),
        (good.replace("  listener:", "  listenr:"), "listenr"),
        (
            to(9080, &backend, "  timeouts: { idle: 0s }"),
            "spec.timeouts.idle",
        ),
        (
            to(9080, &backend, "  timeouts: { idle: 5 minutes }"),
            "failed to read spec.timeouts.idle in document 1",
        ),
        ("a: [".to_owned(), "document 1"),
    ];
    for (manifest, expected) in cases {
        let (ok, text) = check(&manifest).await;
        assert!(
            !ok && text.contains(expected) && text.contains("routes.yaml"),
            "{expected}: {text}"
        );
    }
}
