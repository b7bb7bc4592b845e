//! A client that speaks the configuration stream as sidecars do, one step at a time.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures::SinkExt;
use futures::channel::mpsc;
use heddle_route_config::protocol::{
    Acknowledgement, BroadcastResult, Configuration, DescriptorsPart, Hello, LINE_BYTES_LIMIT, Lines, PATH,
    RouteError, RouteResult, ToOperator, ToSidecar, line,
};
use heddle_tests::eventually::{Probe, eventually};
use heddle_tests::namespace::SOON;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The authorities that a sidecar trusts.
#[derive(Clone)]
pub(crate) struct Trust(Arc<ClientConfig>);

impl Trust {
    pub(crate) fn new(bundle: &str) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

/// Replicas are ready before one of them leads, and only the leader listens. Sidecars try again as well.
async fn connect_when_listening(port: u16) -> Result<TcpStream> {
    eventually("somebody listens for sidecars", SOON, || async {
        Ok(match TcpStream::connect(("127.0.0.1", port)).await {
            Ok(stream) => Probe::Seen(stream),
            Err(error) => Probe::NotYet(error.to_string()),
        })
    })
    .await
}

/// A connected sidecar.
pub(crate) struct Sidecar {
    sender: mpsc::Sender<Result<Frame<Bytes>, Infallible>>,
    incoming: Incoming,
    lines: Lines,
    /// Aborted when dropped, which is how a connection breaks.
    _connection: JoinSet<()>,
}

impl Sidecar {
    pub(crate) async fn connect(port: u16, trust: &Trust, token: &str, hello: &Hello) -> Result<Self> {
        let (mut sender, receiver) = mpsc::channel(16);
        sender.send(Ok(frame(&ToOperator::Hello(hello.clone())))).await?;
        let body = StreamBody::new(receiver);
        let (response, connection) = ask(port, trust, token, PATH, body).await?;
        let status = response.status();
        if !status.is_success() {
            let body = response.into_body().collect().await?.to_bytes();
            bail!("{status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(Self {
            sender,
            incoming: response.into_body(),
            lines: Lines::new(LINE_BYTES_LIMIT),
            _connection: connection,
        })
    }

    /// The next message; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<ToSidecar>> {
        loop {
            if let Some(message) = self.lines.next_line()? {
                return Ok(Some(message));
            }
            let frame = tokio::time::timeout(SOON, self.incoming.frame()).await?;
            let Some(frame) = frame else { return Ok(None) };
            if let Some(bytes) = frame?.data_ref() {
                self.lines.push(bytes);
            }
        }
    }

    /// The next configuration, and the parts of descriptor sets before it.
    pub(crate) async fn configuration(&mut self) -> Result<(Configuration, Vec<DescriptorsPart>)> {
        let mut parts = Vec::new();
        loop {
            match self.next().await?.context("the stream has ended")? {
                ToSidecar::DescriptorsPart(part) => parts.push(part),
                ToSidecar::Configuration(configuration) => return Ok((configuration, parts)),
                ToSidecar::Broadcast(broadcast) => bail!("a broadcast: {broadcast:?}"),
            }
        }
    }

    /// Waits for a configuration with any routes: a pod may be known to the operator before its routes are.
    pub(crate) async fn first_routes(&mut self) -> Result<(Configuration, Vec<DescriptorsPart>)> {
        loop {
            let (configuration, parts) = self.configuration().await?;
            if !configuration.routes.is_empty() {
                return Ok((configuration, parts));
            }
        }
    }

    /// Waits for a configuration with these routes and generations.
    pub(crate) async fn wait_for(&mut self, routes: &[(&str, i64)]) -> Result<Configuration> {
        loop {
            let (configuration, _) = self.configuration().await?;
            let sent: Vec<_> = configuration
                .routes
                .iter()
                .map(|route| (route.name(), route.generation()))
                .collect();
            if sent == routes {
                return Ok(configuration);
            }
        }
    }

    /// Says that everything is served.
    pub(crate) async fn acknowledge(&mut self, configuration: &Configuration) -> Result<()> {
        let message = ToOperator::Acknowledged(served(configuration));
        Ok(self.sender.send(Ok(frame(&message))).await?)
    }

    /// Says what became of a broadcast.
    pub(crate) async fn say(&mut self, result: BroadcastResult) -> Result<()> {
        let message = ToOperator::Broadcast(result);
        Ok(self.sender.send(Ok(frame(&message))).await?)
    }

    /// Says that nothing is, and why.
    pub(crate) async fn refuse(&mut self, configuration: &Configuration, error: &RouteError) -> Result<()> {
        let mut acknowledgement = served(configuration);
        for route in &mut acknowledgement.routes {
            route.generation = None;
            route.error = Some(error.clone());
        }
        let message = ToOperator::Acknowledged(acknowledgement);
        Ok(self.sender.send(Ok(frame(&message))).await?)
    }
}

async fn connect(port: u16, trust: &Trust) -> Result<TlsStream<TcpStream>> {
    let stream = connect_when_listening(port).await?;
    let name = ServerName::try_from("127.0.0.1")?;
    let connector = TlsConnector::from(Arc::clone(&trust.0));
    connector.connect(name, stream).await.context("TLS handshake")
}

/// Makes a request at the stream's port, over a connection that lasts as long as what comes with the answer.
async fn ask<B>(
    port: u16,
    trust: &Trust,
    token: &str,
    path: &str,
    body: B,
) -> Result<(Response<Incoming>, JoinSet<()>)>
where
    B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    let stream = connect(port, trust).await?;
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut requests, connection) = handshake.await?;
    let mut task = JoinSet::new();
    task.spawn(async move {
        // How it ends is what the test sees of the stream.
        connection.await.ok();
    });
    let request = Request::post(format!("https://127.0.0.1:{port}{path}"))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(body)?;
    let response = tokio::time::timeout(SOON, requests.send_request(request)).await??;
    Ok((response, task))
}

/// The status that a request at the stream's port is answered with.
pub(crate) async fn post(port: u16, trust: &Trust, token: &str, path: &str, body: &str) -> Result<u16> {
    let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
    let (response, _connection) = ask(port, trust, token, path, body).await?;
    Ok(response.status().as_u16())
}

/// That everything of a configuration is served.
pub(crate) fn served(configuration: &Configuration) -> Acknowledgement {
    let result = |route: &heddle_route_config::protocol::SentRoute| RouteResult {
        name: route.name().to_owned(),
        uid: route.uid().map(str::to_owned),
        generation: Some(route.generation()),
        error: None,
    };
    Acknowledgement {
        version: configuration.version.clone(),
        routes: configuration.routes.iter().map(result).collect(),
    }
}

fn frame(message: &ToOperator) -> Frame<Bytes> {
    Frame::data(line(message).into())
}
