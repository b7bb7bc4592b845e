//! Proxies: what they are asked, and for what not.

use crate::server::{Peer, STREAM, Server};
use crate::subscription::{at_once, data, waiting};
use crate::tls::Authority;
use heddle_sse_client::{Client, Error, Proxies, ProxyError, Request};
use tokio::io::AsyncWriteExt;

fn through(proxy: &Server, except: &str) -> Proxies {
    let url = format!("http://user:secret@{}", proxy.address);
    Proxies::new(&url, &url, except)
}

#[tokio::test]
async fn http_is_asked_for_with_the_whole_url() {
    let proxy = Server::start().await;
    let client = Client::builder().proxies(through(&proxy, "")).build().unwrap();
    let mut stream = client.subscribe(Request::get("http://events.test:81/a?b").unwrap(), at_once());
    let (found, peer) = tokio::join!(data(&mut stream), proxy.answer(format!("{STREAM}data: a\n\n")));
    assert_eq!(
        (found.as_str(), peer.target.as_str()),
        ("a", "http://events.test:81/a?b")
    );
    assert_eq!(peer.header("host"), Some("events.test:81"));
    assert_eq!(peer.header("proxy-authorization"), Some("Basic dXNlcjpzZWNyZXQ="));
}

#[tokio::test]
async fn https_goes_through_a_tunnel() {
    let (proxy, authority) = (Server::start().await, Authority::new());
    let builder = Client::builder().proxies(through(&proxy, ""));
    let client = builder.tls(authority.trusted()).build().unwrap();
    let mut stream = client.subscribe(Request::get("https://events.test/a").unwrap(), at_once());
    let (found, peer) = tokio::join!(data(&mut stream), async {
        let mut tunnel = proxy.accept().await;
        assert_eq!(
            (tunnel.method.as_str(), tunnel.target.as_str()),
            ("CONNECT", "events.test:443")
        );
        assert_eq!(
            tunnel.header("proxy-authorization"),
            Some("Basic dXNlcjpzZWNyZXQ=")
        );
        tunnel.send("HTTP/1.1 200 Connection established\r\n\r\n").await;
        let tls = authority
            .acceptor("events.test", &[])
            .accept(tunnel.io)
            .await
            .unwrap();
        let mut peer = Peer::read(tls).await;
        peer.send(format!("{STREAM}data: a\n\n")).await;
        peer
    });
    assert_eq!((found.as_str(), peer.target.as_str()), ("a", "/a"));
    assert_eq!(peer.header("proxy-authorization"), None, "the server is not told");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_without_its_credentials() {
    let proxy = Server::start().await;
    let client = Client::builder().proxies(through(&proxy, "")).build().unwrap();
    let mut stream = client.subscribe(Request::get("https://events.test/").unwrap(), at_once());
    let response = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
    let (waiting, _) = tokio::join!(waiting(&mut stream), proxy.answer(response));
    let Error::Proxy {
        proxy: name, source, ..
    } = &waiting.why
    else {
        panic!("{}", waiting.why)
    };
    assert_eq!(*name, proxy.address.to_string());
    assert!(
        matches!(source, ProxyError::Refused { status } if status.as_u16() == 407),
        "{source}"
    );
    assert!(!format!("{:?}", waiting.why).contains("secret"));
}

#[tokio::test]
async fn a_proxy_that_does_not_speak_http_is_an_error() {
    let proxy = Server::start().await;
    let client = Client::builder().proxies(through(&proxy, "")).build().unwrap();
    let mut stream = client.subscribe(Request::get("https://events.test/").unwrap(), at_once());
    for response in [
        "SSH-2.0-x\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 {}", "x\n".repeat(9000)),
    ] {
        let (waiting, _) = tokio::join!(waiting(&mut stream), async {
            let mut peer = proxy.accept().await;
            // A client that has read enough closes first.
            drop(peer.io.write_all(response.as_bytes()).await);
        });
        assert!(
            matches!(
                waiting.why,
                Error::Proxy {
                    source: ProxyError::Answer,
                    ..
                }
            ),
            "{:?}",
            waiting.why
        );
    }
}

#[tokio::test]
async fn excepted_hosts_are_reached_directly() {
    let (proxy, server) = (Server::start().await, Server::start().await);
    let client = Client::builder()
        .proxies(through(&proxy, "127.0.0.0/8"))
        .build()
        .unwrap();
    let mut stream = client.subscribe(Request::get(&server.url("/a")).unwrap(), at_once());
    let (found, peer) = tokio::join!(data(&mut stream), server.answer(format!("{STREAM}data: a\n\n")));
    assert_eq!((found.as_str(), peer.target.as_str()), ("a", "/a"));
    assert_eq!(peer.header("proxy-authorization"), None);
}
