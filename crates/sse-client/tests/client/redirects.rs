//! Redirects: what is followed, with what, and what is not.

use crate::server::{Peer, STREAM, Server};
use crate::subscription::{at_once, client, data, failed, waiting};
use heddle_sse_client::{Error, RedirectError, Redirects, Request, Settings};
use http::{HeaderName, HeaderValue, Method};

fn redirect(status: u16, location: &str) -> String {
    format!("HTTP/1.1 {status} x\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
}

/// A POST with a body, a credential and a header that is none.
fn post(url: &str) -> Request {
    let mut secret = HeaderValue::from_static("secret");
    secret.set_sensitive(true);
    let headers = [
        ("content-type", HeaderValue::from_static("application/json")),
        ("authorization", HeaderValue::from_static("Bearer secret")),
        ("x-key", secret),
        ("x-tenant", HeaderValue::from_static("blue")),
    ];
    let request = Request::new(Method::POST, url).unwrap().body("{}");
    headers.into_iter().fold(request, |request, (name, value)| {
        request.header(HeaderName::from_static(name), value).unwrap()
    })
}

/// What arrives where a redirect of this status leads to.
async fn followed(status: u16, from: &Server, to: &Server) -> Peer {
    let settings = Settings {
        last_event_id: "7".into(),
        ..at_once()
    };
    let mut stream = client().subscribe(post(&from.url("/a/b")), settings);
    let (found, peer) = tokio::join!(data(&mut stream), async {
        from.answer(redirect(status, &to.url("/c?d"))).await;
        to.answer(format!("{STREAM}data: a\n\n")).await
    });
    assert_eq!((found.as_str(), peer.target.as_str()), ("a", "/c?d"));
    peer
}

#[tokio::test]
async fn permanent_and_temporary_redirects_keep_method_and_body_if_they_say_so() {
    for (status, method, body) in [
        (301, "GET", ""),
        (302, "GET", ""),
        (303, "GET", ""),
        (307, "POST", "{}"),
        (308, "POST", "{}"),
    ] {
        let (from, to) = (Server::start().await, Server::start().await);
        let peer = followed(status, &from, &to).await;
        assert_eq!(
            (peer.method.as_str(), peer.body.as_slice()),
            (method, body.as_bytes()),
            "{status}"
        );
        assert_eq!(
            peer.header("content-type").is_some(),
            method == "POST",
            "{status}"
        );
        assert_eq!(peer.header("last-event-id"), Some("7"), "{status}");
        assert_eq!(peer.header("accept"), Some("text/event-stream"), "{status}");
    }
}

#[tokio::test]
async fn credentials_do_not_go_to_another_origin() {
    let (from, to) = (Server::start().await, Server::start().await);
    let peer = followed(307, &from, &to).await;
    let found = ["authorization", "x-key", "x-tenant"].map(|name| peer.header(name));
    assert_eq!(found, [None, None, Some("blue")]);
}

#[tokio::test]
async fn credentials_stay_with_their_origin_and_relative_locations_are_joined() {
    let server = Server::start().await;
    let mut stream = client().subscribe(post(&server.url("/a/b?x=1")), at_once());
    let (found, peer) = tokio::join!(data(&mut stream), async {
        server.answer(redirect(308, "../c#fragment")).await;
        server.answer(format!("{STREAM}data: a\n\n")).await
    });
    assert_eq!((found.as_str(), peer.target.as_str()), ("a", "/c"));
    assert_eq!(peer.header("authorization"), Some("Bearer secret"));
    assert_eq!(peer.header("x-key"), Some("secret"));
}

#[tokio::test]
async fn a_reconnection_begins_at_the_first_url_again() {
    let server = Server::start().await;
    let mut stream = client().subscribe(Request::get(&server.url("/start")).unwrap(), at_once());
    for _ in 0..2 {
        let (_, first) = tokio::join!(waiting(&mut stream), async {
            let first = server.answer(redirect(301, "/end")).await;
            server.answer(format!("{STREAM}data: a\n\n")).await;
            first
        });
        assert_eq!(first.target, "/start");
    }
}

#[tokio::test]
async fn a_loop_ends_at_the_limit() {
    let server = Server::start().await;
    let settings = Settings {
        redirects: Redirects {
            limit: 3,
            ..Redirects::default()
        },
        ..at_once()
    };
    let mut stream = client().subscribe(Request::get(&server.url("/")).unwrap(), settings);
    let (error, ()) = tokio::join!(failed(&mut stream), async {
        for _ in 0..4 {
            server.answer(redirect(302, "/")).await;
        }
    });
    let Error::Redirect { source, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(source, RedirectError::TooMany { limit: 3 });
}

#[tokio::test]
async fn redirects_that_lead_nowhere_are_final() {
    let cases = [
        (
            "Location: ftp://localhost/\r\n",
            RedirectError::Scheme {
                scheme: "ftp".to_owned(),
            },
        ),
        (
            "Location: file:///etc/passwd\r\n",
            RedirectError::Scheme {
                scheme: "file".to_owned(),
            },
        ),
        ("Location: http://[\r\n", RedirectError::NoLocation),
        ("", RedirectError::NoLocation),
    ];
    for (location, expected) in cases {
        let server = Server::start().await;
        let mut stream = client().subscribe(Request::get(&server.url("/")).unwrap(), at_once());
        let response = format!("HTTP/1.1 307 x\r\n{location}Content-Length: 0\r\n\r\n");
        let (error, _) = tokio::join!(failed(&mut stream), server.answer(&response));
        let Error::Redirect { source, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(source, expected);
    }
}
