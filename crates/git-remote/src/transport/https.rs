//! Git's smart HTTP protocol (gitprotocol-http) as a libgit2 subtransport.

mod answer;

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};
use tempfile::SpooledTempFile;
use url::Url;

use self::answer::{accept, is_redirect, redirected, refuse_redirect, target_host};
use super::body::Body;
use super::http::{self, Request};
use super::{explain_io, fail, fail_io};
use crate::GitError;
use crate::session::Session;

/// Redirects within the same host that are followed.
const REDIRECTS: usize = 5;
/// Bytes of a request that are kept in memory; larger packs go through a temporary file.
const SPOOL_BYTES: usize = 8 * 1024 * 1024;
/// Git hosts serve Git to clients that call themselves git.
const USER_AGENT: &str = concat!("git/2.0 (heddle/", env!("CARGO_PKG_VERSION"), ")");

/// The connection of one libgit2 remote.
pub(super) struct HttpsTransport {
    session: Arc<Session>,
    /// The repository's URL, which a redirect of the first request may change.
    base: Mutex<Url>,
}

impl HttpsTransport {
    pub(super) fn new(session: Arc<Session>) -> Self {
        let mut base = session.remote().url.url().clone();
        let path = base.path().trim_end_matches('/').to_owned();
        base.set_path(&path);
        Self {
            session,
            base: Mutex::new(base),
        }
    }

    fn base(&self) -> Url {
        self.base.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks for the references, and follows redirects to where the repository really is.
    fn advertise(&self, service: &'static str) -> Result<Body, GitError> {
        let expected = format!("application/x-{service}-advertisement");
        let suffix = "/info/refs";
        let mut target = extend(&self.base(), suffix, Some(&format!("service={service}")));
        for _ in 0..=REDIRECTS {
            let headers = headers(&self.session, &target, &[("Accept", "*/*")]);
            let response = http::exchange(
                &self.session,
                Request {
                    target: &target,
                    headers,
                    body: None,
                },
            )?;
            if !is_redirect(response.status) {
                return accept(&self.session, service, response, &expected);
            }
            target = redirected(&self.session, &target, &response, suffix)?;
            *self.base.lock().unwrap_or_else(PoisonError::into_inner) = without(&target, suffix);
        }
        Err(refuse_redirect(
            &self.session,
            "itself, again and again".to_owned(),
        ))
    }
}

impl SmartSubtransport for HttpsTransport {
    fn action(&self, _url: &str, action: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        match action {
            Service::UploadPackLs | Service::ReceivePackLs => {
                let body = self
                    .advertise(service(action))
                    .map_err(|error| fail(&self.session, error))?;
                Ok(Box::new(Advertisement {
                    session: Arc::clone(&self.session),
                    body,
                }))
            }
            Service::UploadPack | Service::ReceivePack => {
                let target = extend(&self.base(), &format!("/{}", service(action)), None);
                Ok(Box::new(Call::new(
                    Arc::clone(&self.session),
                    service(action),
                    target,
                )))
            }
        }
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

fn service(action: Service) -> &'static str {
    match action {
        Service::UploadPackLs | Service::UploadPack => "git-upload-pack",
        Service::ReceivePackLs | Service::ReceivePack => "git-receive-pack",
    }
}

/// The references as they arrive.
struct Advertisement {
    session: Arc<Session>,
    body: Body,
}

impl Read for Advertisement {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.body
            .read(buffer)
            .map_err(|error| fail_io(&self.session, explain_io(&self.session, error)))
    }
}

impl Write for Advertisement {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One stateless call: what is written becomes the request, sent when the answer is first read.
struct Call {
    session: Arc<Session>,
    service: &'static str,
    target: Url,
    request: SpooledTempFile,
    response: Option<Body>,
}

impl Call {
    fn new(session: Arc<Session>, service: &'static str, target: Url) -> Self {
        let directory = session.remote().spool_directory.clone();
        let directory = directory.unwrap_or_else(std::env::temp_dir);
        Self {
            session,
            service,
            target,
            request: SpooledTempFile::new_in(SPOOL_BYTES, directory),
            response: None,
        }
    }

    fn send(&mut self) -> Result<Body, GitError> {
        let request = format!("application/x-{}-request", self.service);
        let expected = format!("application/x-{}-result", self.service);
        let headers = headers(
            &self.session,
            &self.target,
            &[("Content-Type", &request), ("Accept", &expected)],
        );
        let request = Request {
            target: &self.target,
            headers,
            body: Some(&mut self.request),
        };
        let response = http::exchange(&self.session, request)?;
        match is_redirect(response.status) {
            true => Err(refuse_redirect(
                &self.session,
                target_host(&self.target, &response),
            )),
            false => accept(&self.session, self.service, response, &expected),
        }
    }

    fn response(&mut self) -> Result<&mut Body, GitError> {
        if self.response.is_none() {
            self.response = Some(self.send()?);
        }
        self.response.as_mut().ok_or_else(|| GitError::RunGit {
            step: "read a response",
            reason: String::new(),
        })
    }
}

impl Read for Call {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let session = Arc::clone(&self.session);
        let body = self.response().map_err(|error| fail_io(&session, error))?;
        body.read(buffer)
            .map_err(|error| fail_io(&session, explain_io(&session, error)))
    }
}

impl Write for Call {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let session = Arc::clone(&self.session);
        self.request.write(buffer).map_err(|error| {
            fail_io(
                &session,
                GitError::RunGit {
                    step: "write a request",
                    reason: error.to_string(),
                },
            )
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn headers(session: &Session, target: &Url, more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let port = target.port().map_or_else(String::new, |port| format!(":{port}"));
    let mut headers = vec![
        ("Host", format!("{}{port}", target.host_str().unwrap_or_default())),
        ("User-Agent", USER_AGENT.to_owned()),
        ("Connection", "close".to_owned()),
    ];
    headers.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    headers.extend(
        session
            .remote()
            .credentials
            .login()
            .map(|login| ("Authorization", login.authorization())),
    );
    headers.extend(
        session
            .remote()
            .trace_parent
            .clone()
            .map(|parent| ("traceparent", parent)),
    );
    headers
}

fn extend(base: &Url, suffix: &str, query: Option<&str>) -> Url {
    let mut target = base.clone();
    target.set_path(&format!("{}{suffix}", base.path()));
    target.set_query(query);
    target
}

fn without(target: &Url, suffix: &str) -> Url {
    let mut base = target.clone();
    let path = target
        .path()
        .strip_suffix(suffix)
        .unwrap_or(target.path())
        .to_owned();
    base.set_path(&path);
    base.set_query(None);
    base
}
