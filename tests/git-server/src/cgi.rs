//! `git http-backend` as a CGI program (RFC 3875), with bodies streamed both ways.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, request};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Body, Incoming};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{ChildStdout, Command};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::backend_process::{Answer, feed};
use crate::command::environment;
use crate::pushes::Push;

/// Bytes of the head of a CGI response.
const HEAD_BYTES: u64 = 64 * 1024;

/// A response whose body comes from a running program.
pub(crate) type StreamedBody = BoxBody<Bytes, std::io::Error>;

/// How to run the backend.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    /// The folder of the repositories.
    pub(crate) root: PathBuf,
    /// Git settings for every request.
    pub(crate) settings: Vec<(String, String)>,
    /// Owns what outlives a response: feeding the program, and waiting for its end.
    pub(crate) tasks: TaskTracker,
}

impl Backend {
    /// Runs the backend for one request, logged in as `user`. A push ends with the backend.
    pub(crate) async fn serve(
        &self,
        head: &request::Parts,
        body: Incoming,
        user: &str,
        push: Option<Push>,
    ) -> Result<Response<StreamedBody>> {
        let mut child = self
            .command(head, &body, user)
            .spawn()
            .context("failed to start git http-backend")?;
        let stdin = child.stdin.take().context("the backend has no standard input")?;
        let stdout = child
            .stdout
            .take()
            .context("the backend has no standard output")?;
        let abandoned = CancellationToken::new();
        let guard = abandoned.clone().drop_guard();
        self.tasks.spawn(async move {
            feed(child, stdin, body, abandoned).await;
            if let Some(push) = push {
                push.end().await;
            }
        });
        respond(stdout, guard).await
    }

    fn command(&self, head: &request::Parts, body: &Incoming, user: &str) -> Command {
        let settings: Vec<_> = self
            .settings
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let mut command = Command::new("git");
        command
            .arg("http-backend")
            .env_clear()
            .envs(environment(&settings))
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("REQUEST_METHOD", head.method.as_str())
            .env("PATH_INFO", head.uri.path())
            .env("QUERY_STRING", head.uri.query().unwrap_or_default())
            .env("REMOTE_USER", user)
            .env("REMOTE_ADDR", "127.0.0.1");
        if let Some(length) = body.size_hint().exact() {
            command.env("CONTENT_LENGTH", length.to_string());
        }
        let headers = [
            (http::header::CONTENT_TYPE, "CONTENT_TYPE"),
            (http::header::CONTENT_ENCODING, "HTTP_CONTENT_ENCODING"),
            (HeaderName::from_static("git-protocol"), "GIT_PROTOCOL"),
        ];
        for (name, variable) in headers {
            if let Some(value) = head.headers.get(name).and_then(|value| value.to_str().ok()) {
                command.env(variable, value);
            }
        }
        // A group of its own, so that what the backend starts can be ended with it.
        command.process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    }
}

async fn respond(stdout: ChildStdout, guard: DropGuard) -> Result<Response<StreamedBody>> {
    let mut reader = BufReader::new(stdout);
    let (status, headers) = read_head(&mut reader).await?;
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(Answer::new(reader, guard))));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

async fn read_head(reader: &mut BufReader<ChildStdout>) -> Result<(StatusCode, HeaderMap)> {
    let mut status = StatusCode::OK;
    let mut headers = HeaderMap::new();
    let mut limited = reader.take(HEAD_BYTES);
    loop {
        let mut line = String::new();
        if limited
            .read_line(&mut line)
            .await
            .context("failed to read from git http-backend")?
            == 0
        {
            bail!("git http-backend ended without an answer");
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok((status, headers));
        }
        let (name, value) = line
            .split_once(':')
            .context("git http-backend answers with a malformed header")?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            status = value
                .split(' ')
                .next()
                .unwrap_or_default()
                .parse()
                .context("malformed status")?;
        } else {
            headers.append(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
        }
    }
}
