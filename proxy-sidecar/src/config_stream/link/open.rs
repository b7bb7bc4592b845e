//! Opens streams to the operator.

use super::LinkError;
use crate::config_stream::StreamSettings;
use bytes::Bytes;
use futures::channel::mpsc as body_channel;
use heddle_route_config::protocol::{CONTENT_TYPE, PATH};
use http::{Request, Uri, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// How long it may take to connect, and to be answered.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a silent operator is asked for a sign of life, and how long it may take.
const PING_INTERVAL: Duration = Duration::from_secs(15);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a text that the operator refuses with.
const REFUSAL_LIMIT: usize = 512;

/// What is sent.
pub(super) type Outgoing = body_channel::Receiver<Result<Frame<Bytes>, Infallible>>;

/// Opens a stream: a request whose body and answer go on. Its connection is driven by a task among `connections`.
pub(super) async fn open(
    settings: &StreamSettings,
    bundle: &str,
    body: Outgoing,
    connections: &mut JoinSet<()>,
) -> Result<Incoming, LinkError> {
    let token = std::fs::read_to_string(&settings.token_file).map_err(LinkError::Token)?;
    let request = request(&settings.url, token.trim(), body)?;
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, connect(&settings.url, bundle)).await;
    let stream = connected.map_err(|_| LinkError::ConnectTimeout)??;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true);
    let (mut requests, connection) = builder
        .handshake(TokioIo::new(stream))
        .await
        .map_err(LinkError::Http)?;
    connections.spawn(async move {
        // How it ends is seen by the stream.
        connection.await.ok();
    });
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, requests.send_request(request)).await;
    let answer = answer
        .map_err(|_| LinkError::AnswerTimeout)?
        .map_err(LinkError::Http)?;
    let status = answer.status();
    let incoming = answer.into_body();
    match status.is_success() {
        true => Ok(incoming),
        false => Err(LinkError::Refused {
            status,
            text: refusal(incoming).await,
        }),
    }
}

fn request(url: &Uri, token: &str, body: Outgoing) -> Result<Request<StreamBody<Outgoing>>, LinkError> {
    let authority = url.authority().ok_or(LinkError::Host)?;
    Request::post(format!("https://{authority}{PATH}"))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, CONTENT_TYPE)
        .body(StreamBody::new(body))
        .map_err(LinkError::Header)
}

async fn connect(url: &Uri, bundle: &str) -> Result<tokio_rustls::client::TlsStream<TcpStream>, LinkError> {
    /// Where HTTPS is served.
    const HTTPS_PORT: u16 = 443;
    let host = url.host().ok_or(LinkError::Host)?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(bare.to_owned()).map_err(|_| LinkError::Host)?;
    let config = trusting(bundle)?;
    let port = url.port_u16().unwrap_or(HTTPS_PORT);
    let stream = TcpStream::connect((bare, port))
        .await
        .map_err(LinkError::Connect)?;
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await.map_err(LinkError::Connect)
}

fn trusting(bundle: &str) -> Result<ClientConfig, LinkError> {
    let mut roots = RootCertStore::empty();
    // One of several may be of no use here; that none is shows in the handshake.
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(bundle.as_bytes()).flatten());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(LinkError::Trust)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

async fn refusal(incoming: Incoming) -> String {
    let body = http_body_util::Limited::new(incoming, REFUSAL_LIMIT)
        .collect()
        .await;
    let bytes = body.map(|body| body.to_bytes()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
