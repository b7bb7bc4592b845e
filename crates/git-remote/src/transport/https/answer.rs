//! What the answers of an HTTP server mean to Git: data, a redirect, or whose fault it is.

use std::io::Read;

use url::Url;

use super::super::body::Body;
use super::super::http::Response;
use crate::GitError;
use crate::credentials::Login;
use crate::session::Session;

/// Bytes of a failed response's body that are read for the reason in it.
const REASON_BYTES: u64 = 2048;

pub(super) fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// Where to go on: the same host over https, and still a repository's references rather than, say, a login page.
pub(super) fn redirected(
    session: &Session,
    from: &Url,
    response: &Response,
    suffix: &str,
) -> Result<Url, GitError> {
    let refuse = || refuse_redirect(session, target_host(from, response));
    let location = response.location.as_deref().ok_or_else(refuse)?;
    let to = from.join(location).map_err(|_| refuse())?;
    let same_host = to.origin() == from.origin() && to.username().is_empty() && to.password().is_none();
    match same_host && to.path().ends_with(suffix) {
        true => Ok(to),
        false => Err(refuse()),
    }
}

/// Only host and port: the rest of a location may carry tokens.
pub(super) fn target_host(from: &Url, response: &Response) -> String {
    let target = response
        .location
        .as_deref()
        .and_then(|location| from.join(location).ok());
    match target {
        Some(target) if target.origin() == from.origin() => "another page of the same host".to_owned(),
        Some(target) => {
            let port = target.port().map_or_else(String::new, |port| format!(":{port}"));
            format!(
                "{}://{}{port}",
                target.scheme(),
                target.host_str().unwrap_or_default()
            )
        }
        None => "nowhere".to_owned(),
    }
}

pub(super) fn refuse_redirect(session: &Session, target: String) -> GitError {
    GitError::RefuseRedirect {
        remote: session.remote().url.to_string(),
        target: session.sanitize(&target),
    }
}

/// The body of a good answer of the expected type, or what the answer means.
pub(super) fn accept(
    session: &Session,
    service: &'static str,
    response: Response,
    expected: &str,
) -> Result<Body, GitError> {
    let remote = session.remote().url.to_string();
    let content_type = response.content_type.split(';').next().unwrap_or_default().trim();
    if response.status == 200 && content_type.eq_ignore_ascii_case(expected) {
        return Ok(response.body);
    }
    if response.status == 200 {
        let reason = format!(
            "the server answers {:?} instead of Git data",
            session.sanitize(content_type)
        );
        return Err(GitError::FindRepository { remote, reason });
    }
    let status = response.status;
    let words = reason(session, response);
    let said = if words.is_empty() {
        String::new()
    } else {
        format!(" ({words})")
    };
    Err(match status {
        401 => GitError::Authenticate {
            remote,
            reason: format!("{}{said}", unauthorized(session)),
        },
        403 => GitError::Authenticate {
            remote,
            reason: format!("{}{said}", forbidden(service)),
        },
        404 | 410 => GitError::FindRepository {
            remote,
            reason: format!("HTTP status {status}{said}"),
        },
        413 => GitError::Reject {
            remote,
            reason: format!("the push is larger than the server takes{said}"),
        },
        _ => GitError::Serve {
            remote,
            status,
            reason: words,
        },
    })
}

fn unauthorized(session: &Session) -> String {
    let credentials = &session.remote().credentials;
    let refused = match credentials.login() {
        None => {
            return "the server wants credentials; put \"username\" and \"password\", or \"bearerToken\", into a Secret"
                .to_owned();
        }
        Some(Login::Basic { .. }) => "\"username\" and \"password\"",
        Some(Login::Bearer(_)) => "\"bearerToken\"",
    };
    format!("the server refuses {refused}; check {}", credentials.origin())
}

fn forbidden(service: &str) -> &'static str {
    match service {
        "git-receive-pack" => "the account may not push to this repository; give it the right to write",
        _ => "the account may not read this repository; give it the right to read",
    }
}

/// The server's own words, when they are plain text. Pages of HTML help nobody.
fn reason(session: &Session, response: Response) -> String {
    if !response.content_type.starts_with("text/plain") {
        return String::new();
    }
    let mut bytes = Vec::new();
    // The status has been read, and is the answer also when its explanation does not arrive.
    let read = response.body.take(REASON_BYTES).read_to_end(&mut bytes);
    tracing::trace!(complete = read.is_ok(), "read the reason of a refusal");
    session.sanitize(&String::from_utf8_lossy(&bytes))
}
