//! A request for a session that is known to be right, whichever version of HTTP it came by.

use crate::fields::{Fields, Repeated};
use crate::head::{BodyLength, RequestHead, body_length};
use crate::refusal::Refusal;
use bytes::Bytes;
use heddle_route_config::{InvalidPath, RequestPath};

/// The only version of the WebSocket protocol (RFC 6455, 4.1).
pub(crate) const VERSION: &str = "13";

/// A request for a session.
#[derive(Debug)]
pub(crate) struct SessionRequest {
    /// Path and query as they were sent.
    pub(crate) target: Bytes,
    /// The path, as it is read to find the route.
    pub(crate) path: RequestPath,
    /// The host, with a port if one was sent.
    pub(crate) host: String,
    /// `Sec-WebSocket-Key`; HTTP/2 has none.
    pub(crate) key: Option<Bytes>,
    /// Everything else that is meant for the backend: no hop-by-hop fields, and neither `Host` nor the key.
    pub(crate) fields: Fields,
}

impl SessionRequest {
    /// Checks a handshake of HTTP/1.1 (RFC 6455, 4.2.1).
    pub(crate) fn from_http1(head: RequestHead) -> Result<Self, Refusal> {
        let RequestHead {
            method,
            target,
            version,
            fields,
        } = head;
        if version != 1 {
            return Err(Refusal::Malformed("only HTTP/1.1 is spoken here"));
        }
        match body_length(&fields) {
            Ok(BodyLength::Unsaid | BodyLength::Known(0)) => {}
            Ok(_) => return Err(Refusal::Malformed("a WebSocket handshake has no body")),
            Err(_) => return Err(Refusal::Malformed("the length of the body is ambiguous")),
        }
        let host = one(&fields, "host", "there must be one Host")?.cloned();
        let host = host.ok_or(Refusal::Malformed("there must be one Host"))?;
        let (target, host) = origin_form(target, host)?;
        if method != "GET" {
            return Err(Refusal::Method);
        }
        if !fields.has_token("upgrade", "websocket") || !fields.has_token("connection", "upgrade") {
            return Err(Refusal::NotAnUpgrade);
        }
        check_version(&fields)?;
        let key = one(
            &fields,
            "sec-websocket-key",
            "there must be one Sec-WebSocket-Key",
        )?
        .cloned();
        let key = key
            .filter(|key| is_key(key))
            .ok_or(Refusal::Malformed("Sec-WebSocket-Key must be 16 bytes in base64"))?;
        Ok(Self {
            path: checked_path(&target)?,
            target,
            host: checked_host(&host)?,
            key: Some(key),
            fields: end_to_end(fields),
        })
    }

    /// Checks a handshake of HTTP/2 (RFC 8441, 5).
    pub(crate) fn from_http2<B>(request: &http::Request<B>) -> Result<Self, Refusal> {
        let protocol = request.extensions().get::<hyper::ext::Protocol>();
        if request.method() != http::Method::CONNECT
            || protocol.is_none_or(|name| name.as_str() != "websocket")
        {
            return Err(Refusal::NotAnUpgrade);
        }
        let fields = with_one_cookie(Fields::from(request.headers()));
        check_version(&fields)?;
        let authority = request.uri().authority();
        let host = checked_host(authority.map_or(&[][..], |host| host.as_str().as_bytes()))?;
        if fields
            .all("host")
            .any(|other| !other.eq_ignore_ascii_case(host.as_bytes()))
        {
            return Err(Refusal::Malformed("Host and :authority must be the same"));
        }
        let target = request.uri().path_and_query();
        let target = Bytes::copy_from_slice(target.map_or("/", http::uri::PathAndQuery::as_str).as_bytes());
        Ok(Self {
            path: checked_path(&target)?,
            target,
            host,
            key: None,
            fields: end_to_end(fields),
        })
    }
}

/// In HTTP/2 cookies may come in several fields, which no other context takes apart again (RFC 9113, 8.2.3).
fn with_one_cookie(mut fields: Fields) -> Fields {
    if fields.one("cookie").is_err() {
        let crumbs: Vec<&[u8]> = fields.all("cookie").map(|crumb| &crumb[..]).collect();
        let cookie = crumbs.join(&b"; "[..]);
        fields.remove("cookie");
        fields.push("cookie", cookie);
    }
    fields
}

fn one<'a>(fields: &'a Fields, name: &str, otherwise: &'static str) -> Result<Option<&'a Bytes>, Refusal> {
    fields.one(name).map_err(|Repeated| Refusal::Malformed(otherwise))
}

fn check_version(fields: &Fields) -> Result<(), Refusal> {
    match fields.one("sec-websocket-version") {
        Ok(Some(version)) if version == VERSION => Ok(()),
        Ok(_) => Err(Refusal::Version),
        Err(Repeated) => Err(Refusal::Malformed("there must be one Sec-WebSocket-Version")),
    }
}

/// A whole URL as the target counts for more than `Host` (RFC 9112, 3.2.2).
fn origin_form(target: Bytes, host: Bytes) -> Result<(Bytes, Bytes), Refusal> {
    if target.starts_with(b"/") {
        return Ok((target, host));
    }
    let start = memchr::memmem::find(&target, b"://").map(|at| at + 3);
    let start = start.ok_or(Refusal::Malformed("the request target must be a path"))?;
    let scheme = &target[..start];
    if !scheme.eq_ignore_ascii_case(b"http://") && !scheme.eq_ignore_ascii_case(b"https://") {
        return Err(Refusal::Malformed("the request target must be a path"));
    }
    let rest = target.slice(start..);
    match memchr::memchr2(b'/', b'?', &rest) {
        Some(at) if rest[at] == b'/' => Ok((rest.slice(at..), rest.slice(..at))),
        Some(_) => Err(Refusal::Malformed("the request target must have a path")),
        None => Ok((Bytes::from_static(b"/"), rest)),
    }
}

/// The path of a target. Those are refused that a backend could take for others.
fn checked_path(target: &Bytes) -> Result<RequestPath, Refusal> {
    let is_plain = target
        .iter()
        .all(|byte| matches!(byte, b'!'..=b'~' if *byte != b'#'));
    let end = memchr::memchr(b'?', target).unwrap_or(target.len());
    match std::str::from_utf8(&target[..end]) {
        Ok(path) if is_plain => RequestPath::parse(path).map_err(refusal),
        _ => Err(Refusal::Malformed("the path has bytes that must be escaped")),
    }
}

fn refusal(error: InvalidPath) -> Refusal {
    Refusal::Malformed(match error {
        InvalidPath::Relative => "the request target must be a path",
        InvalidPath::Escape => "the path has a '%' that is not followed by two hexadecimal digits",
        InvalidPath::Nul => "the path has an escaped NUL",
        InvalidPath::Dots => "the path has elements '.' or '..'",
    })
}

fn checked_host(host: &[u8]) -> Result<String, Refusal> {
    let is_plain = !host.is_empty()
        && host
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]%".contains(byte));
    match std::str::from_utf8(host) {
        Ok(host) if is_plain => Ok(host.to_owned()),
        _ => Err(Refusal::Malformed("Host must be a host, with or without a port")),
    }
}

/// 16 bytes in base64 are 22 digits and two signs of padding.
fn is_key(key: &[u8]) -> bool {
    key.len() == 24
        && key.ends_with(b"==")
        && key[..22]
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// Fields that are for the next hop alone (RFC 9110, 7.6.1), and those that are written anew for the next one.
const HOP_BY_HOP: [&str; 12] = [
    "connection",
    "upgrade",
    "host",
    "sec-websocket-key",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "content-length",
    "http2-settings",
];

/// Takes out what is not meant for the backend, also what `Connection` names. That must not reach what the protocol
/// itself needs: a client could have it dropped by naming it.
pub(crate) fn end_to_end(mut fields: Fields) -> Fields {
    let named: Vec<Bytes> = fields
        .tokens("connection")
        .filter(|name| !starts_with_ignore_case(name, b"sec-websocket-"))
        .map(Bytes::copy_from_slice)
        .collect();
    fields.retain(|field| {
        let is = |name: &[u8]| field.name.eq_ignore_ascii_case(name);
        !HOP_BY_HOP.iter().any(|name| is(name.as_bytes())) && !named.iter().any(|name| is(name))
    });
    fields
}

pub(crate) fn starts_with_ignore_case(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests;
