//! The page, and the handshake (RFC 6455, section 4.2) that opens a session.

use crate::{Chat, session};
use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_TYPE, COOKIE, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, SET_COOKIE, UPGRADE,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use std::convert::Infallible;
use std::sync::Arc;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The subprotocol that every client has to offer.
const SUBPROTOCOL: &str = "chat.v1";
/// The cookie by which a guest keeps its name.
const GUEST: &str = "chat-guest";
const VERSION: &str = "13";

const PAGE: &str = include_str!("page.html");

/// The longest name of a room or guest, in bytes.
const NAME_LIMIT: usize = 64;

type Answer = Response<Full<Bytes>>;

/// Answers a request.
pub(crate) async fn answer(chat: Arc<Chat>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let path = request.uri().path();
    Ok(match (request.method(), path.strip_prefix("/chat/")) {
        (&Method::GET, Some(room)) if is_name(room) => {
            let room = room.to_owned();
            open(&chat, room, request)
        }
        (&Method::GET, None) if path == "/" => page(),
        (&Method::GET, None) if path == "/healthz" => plain(StatusCode::OK, "ok\n"),
        _ => plain(StatusCode::NOT_FOUND, "there is / and /chat/<room>\n"),
    })
}

fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=NAME_LIMIT).contains(&text.len()) && text.bytes().all(is_plain)
}

fn open(chat: &Arc<Chat>, room: String, request: Request<Incoming>) -> Answer {
    let fields = request.headers();
    let has = |name, wanted| words(fields, name).any(|word| word.eq_ignore_ascii_case(wanted));
    let Some(key) = fields
        .get(SEC_WEBSOCKET_KEY)
        .filter(|_| has(&UPGRADE, "websocket"))
    else {
        return plain(
            StatusCode::UPGRADE_REQUIRED,
            "this is a room: come with a WebSocket\n",
        );
    };
    if !has(&SEC_WEBSOCKET_VERSION, VERSION) {
        let mut answer = plain(StatusCode::UPGRADE_REQUIRED, "version 13 is spoken here\n");
        answer
            .headers_mut()
            .insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
        return answer;
    }
    if !has(&SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        return plain(
            StatusCode::BAD_REQUEST,
            "the subprotocol chat.v1 is spoken here\n",
        );
    }
    let accept = derive_accept_key(key.as_bytes());
    let guest = known_guest(fields).unwrap_or_else(new_guest);
    let answer = switch(&accept, &guest);
    chat.tasks.spawn(session::run(
        Arc::clone(chat),
        room,
        guest,
        hyper::upgrade::on(request),
    ));
    answer
}

fn switch(accept: &str, guest: &str) -> Answer {
    let cookie = format!("{GUEST}={guest}; Path=/; HttpOnly; SameSite=Strict");
    let answer = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "Upgrade")
        .header(SEC_WEBSOCKET_ACCEPT, accept)
        .header(SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)
        .header(SET_COOKIE, cookie)
        .body(Full::default());
    answer.unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR, "no answer can be made\n"))
}

/// The elements of a list field, over all of its lines.
fn words<'a>(fields: &'a HeaderMap, name: &http::HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = fields.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// Only names that this program could have given; a cookie is what a client says.
fn known_guest(fields: &HeaderMap) -> Option<String> {
    let lines = fields
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok());
    let mut cookies = lines.flat_map(|line| line.split(';'));
    cookies
        .find_map(|cookie| cookie.trim().strip_prefix(GUEST)?.strip_prefix('='))
        .filter(|guest| is_name(guest))
        .map(str::to_owned)
}

fn new_guest() -> String {
    format!("guest-{:08x}", rand::random::<u32>())
}

fn page() -> Answer {
    let mut answer = plain(StatusCode::OK, PAGE);
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    answer
}

fn plain(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(Full::from(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_cookie(cookie: &str) -> Option<String> {
        let mut fields = HeaderMap::new();
        fields.insert(COOKIE, HeaderValue::from_str(cookie).unwrap());
        known_guest(&fields)
    }

    #[test]
    fn a_guest_keeps_the_name_in_the_cookie() {
        assert_eq!(with_cookie("a=b; chat-guest=guest-1"), Some("guest-1".to_owned()));
        assert_eq!(with_cookie("chat-guests=guest-1"), None);
        assert_eq!(with_cookie("chat-guest=<script>"), None);
    }
}
