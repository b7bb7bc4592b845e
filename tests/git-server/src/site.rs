//! Answering requests: logging in, deciding who may do what, and passing on to the backend.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio_util::task::TaskTracker;

use crate::cgi::{Backend, StreamedBody};
use crate::pushes::{Push, Pushes};
use crate::request_log::RequestLog;
use crate::{Access, Account, BareRepository, GitServerOptions, RequestLine};

/// Who a request without credentials is, where that is allowed.
const ANONYMOUS: &str = "anonymous";

/// Where pushes are told of, to everybody who may read.
const EVENTS: &str = "/events";

/// What every request needs.
pub(crate) struct Site {
    pub(crate) options: GitServerOptions,
    pub(crate) backend: Backend,
    pub(crate) log: RequestLog,
    pub(crate) pushes: Arc<Pushes>,
}

/// Why a request is not passed on to the backend.
enum Refusal {
    Login,
    Forbidden,
    Missing,
    Redirected(String),
}

impl Site {
    pub(crate) fn new(options: GitServerOptions) -> Result<Self> {
        let root = options.data.join("repositories");
        std::fs::create_dir_all(&root).with_context(|| format!("failed to create {}", root.display()))?;
        for name in &options.repositories {
            BareRepository::create(&root.join(name))?;
        }
        let mut settings = options.settings.clone();
        settings.insert("http.receivepack".to_owned(), "true".to_owned());
        settings.insert(
            "uploadpack.allowAnySHA1InWant".to_owned(),
            options.any_commit.to_string(),
        );
        let backend = Backend {
            root,
            settings: settings.into_iter().collect(),
            tasks: TaskTracker::new(),
        };
        let log = RequestLog::new(options.print_requests);
        Ok(Self {
            options,
            backend,
            log,
            pushes: Arc::default(),
        })
    }

    pub(crate) fn path(&self, repository: &str) -> PathBuf {
        self.backend.root.join(repository)
    }

    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<StreamedBody> {
        let started = Instant::now();
        let (head, body) = request.into_parts();
        if head.uri.path() == "/healthz" {
            return plain(StatusCode::OK, "ok\n");
        }
        let account = self.log_in(&head);
        let response = match self.admit(&head, account) {
            Ok(()) if head.uri.path() == EVENTS => self.pushes.respond(text_header(&head, "last-event-id")),
            Ok(()) => self.serve(&head, body, account).await.unwrap_or_else(|error| {
                eprintln!("{error:#}");
                plain(StatusCode::INTERNAL_SERVER_ERROR, "the backend failed\n")
            }),
            Err(refusal) => refuse(refusal),
        };
        self.log.add(RequestLine {
            timestamp: jiff::Timestamp::now().to_string(),
            level: "INFO",
            message: "request",
            method: head.method.to_string(),
            target: head.uri.to_string(),
            status: response.status().as_u16(),
            user: account.map(|account| account.name().to_owned()),
            traceparent: text_header(&head, "traceparent").map(str::to_owned),
            duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        response
    }

    /// Passes a request on to the backend. What a push has changed is told of when the backend is done.
    async fn serve(
        &self,
        head: &request::Parts,
        body: Incoming,
        account: Option<&Account>,
    ) -> Result<Response<StreamedBody>> {
        let user = account.map_or(ANONYMOUS, Account::name);
        let name = repository_of(head.uri.path()).filter(|_| is_push(head) && head.method == Method::POST);
        let push = match name {
            Some(name) => Some(Push::begin(&self.pushes, name, &self.path(name), user).await?),
            None => None,
        };
        self.backend.serve(head, body, user, push).await
    }

    fn log_in(&self, head: &request::Parts) -> Option<&Account> {
        let given = text_header(head, "authorization")?;
        self.options
            .accounts
            .iter()
            .find(|account| account.is_authorized_by(given))
    }

    /// Decides whether the backend may see the request, and creates what a first push needs.
    fn admit(&self, head: &request::Parts, account: Option<&Account>) -> Result<(), Refusal> {
        let path = head.uri.path();
        let redirect = self
            .options
            .redirects
            .iter()
            .find(|redirect| path.starts_with(&redirect.from));
        if let Some(redirect) = redirect {
            let query = head
                .uri
                .query()
                .map_or_else(String::new, |query| format!("?{query}"));
            let rest = &path[redirect.from.len()..];
            return Err(Refusal::Redirected(format!("{}{rest}{query}", redirect.to)));
        }
        let tells_events = path == EVENTS && head.method == Method::GET;
        let repository = repository_of(path);
        if repository.is_none() && !tells_events {
            return Err(Refusal::Missing);
        }
        let writes = is_push(head);
        let granted = account.map(Account::access);
        let logged_in_or_open = granted.is_some() || (self.options.anonymous_read && !writes);
        if !logged_in_or_open || (granted.is_none() && head.headers.contains_key(header::AUTHORIZATION)) {
            return Err(Refusal::Login);
        }
        if writes && granted < Some(Access::Write) {
            return Err(Refusal::Forbidden);
        }
        repository.map_or(Ok(()), |repository| self.find(repository, writes))
    }

    fn find(&self, repository: &str, writes: bool) -> Result<(), Refusal> {
        let path = self.path(repository);
        if path.join("HEAD").is_file() {
            return Ok(());
        }
        if !(writes && self.options.create_on_push) {
            return Err(Refusal::Missing);
        }
        BareRepository::create(&path).map(drop).map_err(|error| {
            eprintln!("failed to create {repository}: {error:#}");
            Refusal::Missing
        })
    }
}

/// The repository's name in a path of the smart protocol, when it stays inside the data folder.
fn repository_of(path: &str) -> Option<&str> {
    let path = path.strip_prefix('/')?;
    let name = ["/info/refs", "/git-upload-pack", "/git-receive-pack"]
        .iter()
        .find_map(|suffix| path.strip_suffix(suffix))?;
    let safe = |part: &str| {
        !part.starts_with('.')
            && !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    name.split('/').all(safe).then_some(name)
}

fn is_push(head: &request::Parts) -> bool {
    let asks_for_push = head
        .uri
        .query()
        .is_some_and(|query| query.contains("service=git-receive-pack"));
    asks_for_push || (head.method == Method::POST && head.uri.path().ends_with("/git-receive-pack"))
}

fn text_header<'a>(head: &'a request::Parts, name: &str) -> Option<&'a str> {
    head.headers.get(name).and_then(|value| value.to_str().ok())
}

fn refuse(refusal: Refusal) -> Response<StreamedBody> {
    match refusal {
        Refusal::Login => {
            let mut response = plain(StatusCode::UNAUTHORIZED, "log in\n");
            let challenge = HeaderValue::from_static("Basic realm=\"git\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            response
        }
        Refusal::Forbidden => plain(StatusCode::FORBIDDEN, "this account may only read\n"),
        Refusal::Missing => plain(StatusCode::NOT_FOUND, "no such repository\n"),
        Refusal::Redirected(to) => {
            let mut response = plain(StatusCode::FOUND, "elsewhere\n");
            if let Ok(location) = HeaderValue::try_from(to) {
                response.headers_mut().insert(header::LOCATION, location);
            }
            response
        }
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<StreamedBody> {
    let body = Full::from(text).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
