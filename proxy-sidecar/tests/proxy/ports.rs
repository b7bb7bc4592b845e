//! Routes that share a port, and the certificates of it.

use crate::certificates::Authority;
use crate::support::{Backend, Peer, Proxy, free_port, request, text, to, until};
use crate::tls::{client_config, connect, listener_tls};
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Two routes at one port, the first of them the older one, as each is changed.
fn both(
    port: u16,
    backend: &Backend,
    old: impl Fn(String) -> String,
    young: impl Fn(String) -> String,
) -> String {
    let route = |name: &str| {
        let matches = format!("  matches: [{{ path: {{ value: /{name} }} }}]");
        to(port, backend, &matches).replace("name: chat", &format!("name: {name}"))
    };
    format!("{}---\n{}", old(route("a-old")), young(route("b-young")))
}

fn plain(manifest: String) -> String {
    manifest
}

fn tls(manifest: String) -> String {
    listener_tls(&manifest, false)
}

/// With a backend that wants a Secret that is not there.
fn with_secret(manifest: String) -> String {
    manifest.replace(
        " }]\n  matches",
        ", tls: { caSecretRef: { name: late } } }]\n  matches",
    )
}

/// Whether a request at the port, without TLS, reaches the backend.
async fn is_plain(proxy: &Proxy, backend: &Backend, path: &str) -> bool {
    let mut client = proxy.client().await;
    client.send(request(path, "")).await;
    let head = backend.accept().await.head().await;
    head.first_line().contains(path)
}

/// As long as the port takes plain connections, what begins a TLS handshake is a head without an end.
const ATTEMPT: Duration = Duration::from_secs(1);

async fn until_tls(proxy: &Proxy, authority: &Authority) {
    until("the port takes TLS", async || {
        let own = authority.issue("client.example.com");
        let connect = connect(proxy.port, client_config(authority, Some(own), b"http/1.1"));
        timeout(ATTEMPT, connect).await.ok()?.ok()
    })
    .await;
}

#[tokio::test]
async fn a_port_changes_its_certificates_with_all_of_its_routes_or_not_at_all() {
    let (backend, authority) = (Backend::listen().await, Authority::new());
    let prepare = |folder: &Path| authority.write_secret(folder, "own", "chat.example.com");
    let proxy = Proxy::start_with(|port| both(port, &backend, plain, plain), prepare).await;
    proxy.rewrite(&both(proxy.port, &backend, tls, |route| with_secret(tls(route))));
    let refused = "heddle_proxy_configurations_total{outcome=\"refused\"}";
    until("a refusal", async || {
        (proxy.metric(refused).await >= 1.0).then_some(())
    })
    .await;
    let (status, state) = proxy.ask("/readyz").await.unwrap();
    assert_eq!(status, 200);
    assert!(
        state.contains("default/a-old: port")
            && state.contains("keeps its certificates: WsRoute default/b-young"),
        "{state}"
    );
    assert!(
        state.contains("default/b-young: ") && state.contains("late"),
        "{state}"
    );
    // Neither is open to clients that it did not ask for.
    assert!(is_plain(&proxy, &backend, "/a-old").await);
    assert!(is_plain(&proxy, &backend, "/b-young").await);
    // What was missing comes, nobody touches the routes, and both are served as they should be.
    authority.write_secret(proxy.folder.path(), "late", "backend.example.com");
    until_tls(&proxy, &authority).await;
    let (_, state) = proxy.ask("/readyz").await.unwrap();
    assert_eq!(state, "2 of 2 routes are served");
}

#[tokio::test]
async fn a_younger_route_that_stays_plain_is_never_behind_the_certificates_of_the_older_one() {
    let (backend, authority) = (Backend::listen().await, Authority::new());
    let prepare = |folder: &Path| authority.write_secret(folder, "own", "chat.example.com");
    let proxy = Proxy::start_with(|port| both(port, &backend, plain, plain), prepare).await;
    proxy.rewrite(&both(proxy.port, &backend, tls, plain));
    proxy.logged("failed to apply a route").await;
    assert!(is_plain(&proxy, &backend, "/b-young").await && is_plain(&proxy, &backend, "/a-old").await);
    proxy.rewrite(&both(proxy.port, &backend, tls, tls));
    until_tls(&proxy, &authority).await;
    proxy.logged("a route is no longer refused").await;
}

#[tokio::test]
async fn a_connection_from_before_a_port_took_tls_reaches_no_route_behind_it() {
    let (backend, authority) = (Backend::listen().await, Authority::new());
    let prepare = |folder: &Path| authority.write_secret(folder, "own", "chat.example.com");
    let proxy = Proxy::start_with(|port| to(port, &backend, ""), prepare).await;
    let mut early = proxy.client().await;
    proxy.until_metric("heddle_proxy_connections", 1.0).await;
    proxy.rewrite(&listener_tls(&to(proxy.port, &backend, ""), true));
    until_tls(&proxy, &authority).await;
    early.send(request("/", "")).await;
    assert_eq!(early.head().await.status(), 404);
    assert!(backend.is_idle().await);
}

#[tokio::test]
async fn a_port_that_no_route_can_be_served_at_is_not_open() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "")).await;
    let other = free_port();
    proxy.rewrite(&tls(to(other, &backend, "")));
    proxy.logged("failed to apply a route").await;
    assert!(TcpStream::connect(("127.0.0.1", other)).await.is_err());
    let (mut client, mut server) = proxy.session(&backend).await;
    server.send(text("on")).await;
    assert_eq!(client.bytes(4).await, text("on"));
}

#[tokio::test]
async fn a_port_that_was_taken_is_served_when_it_is_free_and_its_trouble_is_said_once() {
    let backend = Backend::listen().await;
    let taken = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let proxy = Proxy::start(|port| to(port, &backend, "")).await;
    proxy.rewrite(&to(port, &backend, ""));
    let refused = "heddle_proxy_configurations_total{outcome=\"refused\"}";
    until("tried again", async || {
        (proxy.metric(refused).await >= 2.0).then_some(())
    })
    .await;
    assert_eq!(proxy.log().matches("failed to apply a route").count(), 1);
    drop(taken);
    until("the new port is open", async || {
        TcpStream::connect(("127.0.0.1", port)).await.ok()
    })
    .await;
    let mut client = Peer::new(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    client.send(request("/", "")).await;
    backend.accept().await.head().await;
}

#[tokio::test]
async fn a_route_cannot_have_the_port_of_probes_and_metrics() {
    let backend = Backend::listen().await;
    let proxy = Proxy::start(|port| to(port, &backend, "")).await;
    proxy.rewrite(&to(proxy.admin, &backend, ""));
    let line = proxy.logged("failed to apply a route").await;
    let error = line["error"].as_str().unwrap();
    assert!(error.contains("the sidecar's own probes and metrics"), "{error}");
    assert_eq!(proxy.ask("/livez").await.unwrap().0, 200);
}
