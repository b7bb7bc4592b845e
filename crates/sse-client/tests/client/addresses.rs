//! The policy of addresses: before every connection, with no way around it.

use crate::server::{STREAM, Server};
use crate::subscription::{at_once, data, failed, waiting};
use heddle_sse_client::{
    AddressPolicy, Client, Error, Proxies, Refusal, Request, Resolve, Resolving, Settings,
};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Refuses one address, and remembers what it was asked.
#[derive(Clone)]
struct Refusing {
    refused: Option<SocketAddr>,
    asked: Arc<Mutex<Vec<(String, SocketAddr)>>>,
}

impl Refusing {
    fn new(refused: Option<SocketAddr>) -> Self {
        let asked = Arc::default();
        Self { refused, asked }
    }

    fn asked(&self) -> Vec<(String, SocketAddr)> {
        self.asked.lock().unwrap().clone()
    }
}

impl AddressPolicy for Refusing {
    fn permit(&self, host: &str, address: SocketAddr) -> Result<(), Refusal> {
        self.asked.lock().unwrap().push((host.to_owned(), address));
        match self.refused == Some(address) {
            true => Err(Refusal::new("it is inside; use another")),
            false => Ok(()),
        }
    }
}

/// Resolves every name to the next of these lists.
struct Scripted {
    answers: Vec<Vec<SocketAddr>>,
    next: AtomicUsize,
}

impl Resolve for Scripted {
    fn resolve<'a>(&'a self, _host: &'a str, _port: u16) -> Resolving<'a> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let answer = self.answers.get(turn).or(self.answers.last()).cloned();
        Box::pin(async move { Ok(answer.unwrap_or_default()) })
    }
}

fn client(policy: &Refusing, answers: Vec<Vec<SocketAddr>>) -> Client {
    let resolver = Scripted {
        answers,
        next: AtomicUsize::new(0),
    };
    let builder = Client::builder()
        .proxies(Proxies::none())
        .address_policy(policy.clone());
    builder.resolver(resolver).build().unwrap()
}

fn get(url: &str) -> Request {
    Request::get(url).unwrap()
}

#[tokio::test]
async fn a_refused_address_is_never_dialled() {
    let server = Server::start().await;
    let policy = Refusing::new(Some(server.address));
    for url in [
        server.url("/"),
        format!("http://events.test:{}/", server.address.port()),
    ] {
        let mut stream =
            client(&policy, vec![vec![server.address]]).subscribe(get(&url), Settings::default());
        let error = failed(&mut stream).await;
        let Error::AddressRefused { refusal, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(refusal.to_string(), "it is inside; use another");
    }
    tokio::select! {
        biased;
        _ = server.connection() => panic!("it was dialled"),
        () = tokio::task::yield_now() => {}
    }
}

#[tokio::test]
async fn a_redirect_to_a_refused_address_is_not_followed() {
    let (outside, inside) = (Server::start().await, Server::start().await);
    let policy = Refusing::new(Some(inside.address));
    let mut stream = client(&policy, vec![]).subscribe(get(&outside.url("/")), Settings::default());
    let response = format!(
        "HTTP/1.1 307 x\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
        inside.url("/")
    );
    let (error, _) = tokio::join!(failed(&mut stream), outside.answer(&response));
    assert!(matches!(error, Error::AddressRefused { .. }), "{error}");
}

#[tokio::test]
async fn a_name_that_moves_inside_is_refused_at_the_reconnection() {
    let (outside, inside) = (Server::start().await, Server::start().await);
    let policy = Refusing::new(Some(inside.address));
    let answers = vec![vec![outside.address], vec![inside.address]];
    let mut stream = client(&policy, answers).subscribe(get("http://events.test/"), at_once());
    tokio::join!(
        waiting(&mut stream),
        outside.answer(format!("{STREAM}data: a\n\n"))
    );
    let error = failed(&mut stream).await;
    assert!(matches!(error, Error::AddressRefused { .. }), "{error}");
    let asked = policy.asked();
    let host = |address| ("events.test".to_owned(), address);
    assert_eq!(asked, [host(outside.address), host(inside.address)]);
}

#[tokio::test]
async fn of_several_addresses_only_permitted_ones_are_dialled() {
    let (outside, inside) = (Server::start().await, Server::start().await);
    let policy = Refusing::new(Some(inside.address));
    let answers = vec![vec![inside.address, outside.address]];
    let mut stream = client(&policy, answers).subscribe(get("http://events.test/"), at_once());
    let (found, peer) = tokio::join!(data(&mut stream), outside.answer(format!("{STREAM}data: a\n\n")));
    assert_eq!((found.as_str(), peer.header("host")), ("a", Some("events.test")));
}

#[tokio::test]
async fn an_address_that_does_not_answer_is_passed_over() {
    let (gone, server) = (Server::start().await.address, Server::start().await);
    let answers = vec![vec![gone, server.address]];
    let mut stream = client(&Refusing::new(None), answers).subscribe(get("http://events.test/"), at_once());
    let (found, _) = tokio::join!(data(&mut stream), server.answer(format!("{STREAM}data: a\n\n")));
    assert_eq!(found, "a");
}

#[tokio::test]
async fn a_name_without_addresses_is_waited_out() {
    let mut stream = client(&Refusing::new(None), vec![]).subscribe(get("http://events.test/"), at_once());
    let waiting = waiting(&mut stream).await;
    assert!(matches!(waiting.why, Error::Resolve { .. }), "{}", waiting.why);
}

#[tokio::test]
async fn behind_a_proxy_hosts_that_are_addresses_are_still_refused() {
    let (proxy, inside) = (Server::start().await, Server::start().await);
    let policy = Refusing::new(Some(inside.address));
    let proxies = Proxies::new(&proxy.url(""), &proxy.url(""), "");
    let builder = Client::builder().proxies(proxies).address_policy(policy);
    let mut stream = builder
        .build()
        .unwrap()
        .subscribe(get(&inside.url("/")), Settings::default());
    let error = failed(&mut stream).await;
    assert!(matches!(error, Error::AddressRefused { .. }), "{error}");
}
