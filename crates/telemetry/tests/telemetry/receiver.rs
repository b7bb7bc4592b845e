//! OTLP receivers on loopback: the protocol's own gRPC service, and HTTP with protobuf.

use flate2::read::GzDecoder;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::convert::Infallible;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tonic::codec::CompressionEncoding;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};

/// How long a span may take from one thread of this process to another.
const ARRIVAL: Duration = Duration::from_secs(20);

/// One request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) request: ExportTraceServiceRequest,
}

/// A receiver that takes everything and keeps it. Its tasks end with it.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    arrived: watch::Receiver<Vec<Arrived>>,
    _tasks: JoinSet<()>,
}

/// What holds the socket of a receiver.
pub(crate) enum Security {
    None,
    Tls(Arc<tokio_rustls::rustls::ServerConfig>),
}

impl Receiver {
    pub(crate) async fn http(security: Security) -> Self {
        Self::http_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), security)
    }

    pub(crate) fn http_on(listener: TcpListener, security: Security) -> Self {
        let (sender, arrived) = watch::channel(Vec::new());
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_http(listener, security, Arc::new(sender)));
        Self {
            address,
            arrived,
            _tasks: tasks,
        }
    }

    pub(crate) async fn grpc() -> Self {
        Self::grpc_of(Server::builder()).await
    }

    /// A gRPC receiver behind TLS; `identity` is its certificate and key.
    pub(crate) async fn grpc_tls(identity: Identity) -> Self {
        let server = Server::builder().tls_config(ServerTlsConfig::new().identity(identity));
        Self::grpc_of(server.unwrap()).await
    }

    async fn grpc_of(server: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (sender, arrived) = watch::channel(Vec::new());
        let address = listener.local_addr().unwrap();
        let service = TraceServiceServer::new(Service(sender)).accept_compressed(CompressionEncoding::Gzip);
        let incoming = TcpIncoming::from(listener);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { server.serve_with_incoming(service, incoming).await.unwrap() });
        Self {
            address,
            arrived,
            _tasks: tasks,
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until `count` spans have arrived.
    pub(crate) async fn spans(&self, count: usize) -> Vec<Span> {
        let mut arrived = self.arrived.clone();
        let enough = arrived.wait_for(|arrived| spans(arrived).len() >= count);
        let arrived = tokio::time::timeout(ARRIVAL, enough)
            .await
            .expect("the spans arrive in time")
            .unwrap();
        spans(&arrived)
    }

    /// What has arrived so far.
    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.arrived.borrow().clone()
    }
}

fn spans(arrived: &[Arrived]) -> Vec<Span> {
    let resources = arrived.iter().flat_map(|arrived| &arrived.request.resource_spans);
    resources
        .flat_map(|resource| &resource.scope_spans)
        .flat_map(|scope| scope.spans.clone())
        .collect()
}

struct Service(watch::Sender<Vec<Arrived>>);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let (metadata, _, request) = request.into_parts();
        let arrived = Arrived {
            path: String::new(),
            headers: metadata.into_headers(),
            request,
        };
        self.0.send_modify(|all| all.push(arrived));
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn serve_http(listener: TcpListener, security: Security, sender: Arc<watch::Sender<Vec<Arrived>>>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let sender = sender.clone();
        match &security {
            Security::None => drop(connections.spawn(serve_connection(TokioIo::new(stream), sender))),
            Security::Tls(config) => {
                let acceptor = TlsAcceptor::from(config.clone());
                connections.spawn(serve_tls(acceptor, stream, sender));
            }
        }
    }
}

async fn serve_tls(acceptor: TlsAcceptor, stream: TcpStream, sender: Arc<watch::Sender<Vec<Arrived>>>) {
    // A client that does not trust us hangs up: nothing arrives, which is what a test looks at.
    if let Ok(stream) = acceptor.accept(stream).await {
        serve_connection(TokioIo::new(stream), sender).await;
    }
}

async fn serve_connection<I>(stream: I, sender: Arc<watch::Sender<Vec<Arrived>>>)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(|request| take(request, sender.clone()));
    // The exporter closes connections when it ends, whatever state they are in.
    let served = auto::Builder::new(TokioExecutor::new())
        .serve_connection(stream, service)
        .await;
    drop(served);
}

async fn take(
    request: Request<Incoming>,
    sender: Arc<watch::Sender<Vec<Arrived>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = match parts.headers.get("content-encoding") {
        Some(encoding) => unpacked(encoding, &body),
        None => body.to_vec(),
    };
    let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
    let arrived = Arrived {
        path: parts.uri.path().to_owned(),
        headers: parts.headers,
        request,
    };
    sender.send_modify(|all| all.push(arrived));
    let answer = ExportTraceServiceResponse::default().encode_to_vec();
    Ok(Response::builder()
        .header("content-type", "application/x-protobuf")
        .body(answer.into())
        .unwrap())
}

fn unpacked(encoding: &HeaderValue, body: &[u8]) -> Vec<u8> {
    assert_eq!(encoding, "gzip");
    let mut unpacked = Vec::new();
    GzDecoder::new(body).read_to_end(&mut unpacked).unwrap();
    unpacked
}

/// An attribute as text; empty when it is absent.
pub(crate) fn attribute(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == name);
    match found.and_then(|attribute| attribute.value.clone()?.value) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

pub(crate) fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans
        .iter()
        .find(|span| span.name == name)
        .unwrap_or_else(|| panic!("no span {name} in {spans:#?}"))
}
