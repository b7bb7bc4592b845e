//! A client's connection in HTTP/2: each request is a handshake, and each session a stream.

use super::session_stream::SessionStream;
use super::streams::{OpenStream, Streams};
use super::{
    CONNECTION_WINDOW, GOODBYE_TIMEOUT, IDLE_TIMEOUT, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, SEND_BUFFER,
    STREAM_LIMIT, STREAM_WINDOW, TrackedExecutor,
};
use crate::access;
use crate::body::{AnswerBody, BODY_TIMEOUT, BodyError};
use crate::fields::Fields;
use crate::handshake::{self, Arrival, BackendAnswer, Declined, Established};
use crate::head::{BodyLength, HEAD_LIMIT};
use crate::refusal::Refusal;
use crate::request::SessionRequest;
use bytes::{Buf as _, Bytes};
use heddle_ws_session::Endpoint;
use heddle_ws_session::Transport;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

type AnswerBytes = UnsyncBoxBody<Bytes, BodyError>;

/// Serves one connection to its end. When the proxy drains, and when there has been no stream for long, it takes no more
/// requests and ends with its last session.
pub(crate) async fn serve<S: Transport + 'static>(stream: S, arrival: Arrival, tasks: TaskTracker) {
    let (draining, deadline) = (arrival.shared.draining.clone(), arrival.head_deadline);
    let streams = Streams::default();
    let service = {
        let (streams, tasks) = (streams.clone(), tasks.clone());
        service_fn(move |request| {
            let (arrival, tasks, stream) = (arrival.clone(), tasks.clone(), streams.open());
            async move { Ok::<_, Infallible>(answer(request, &arrival, stream, &tasks).await) }
        })
    };
    let connection = http2::Builder::new(TrackedExecutor(tasks))
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(STREAM_LIMIT)
        .max_header_list_size(HEAD_LIMIT as u32)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = &mut connection => return report(ended),
        () = draining.cancelled() => {}
        // The first request has as long as a head in HTTP/1.1, whatever else the client says before.
        () = streams.idle(deadline, IDLE_TIMEOUT) => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection => report(ended),
        // The client was told, and has not closed.
        () = streams.idle(Instant::now() + GOODBYE_TIMEOUT, GOODBYE_TIMEOUT) => {}
    }
}

fn report(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(error = %heddle_telemetry::ErrorChain(&error), "connection broke");
    }
}

async fn answer(
    mut request: Request<Incoming>,
    arrival: &Arrival,
    stream: OpenStream,
    tasks: &TaskTracker,
) -> Response<AnswerBytes> {
    let session = match SessionRequest::from_http2(&request) {
        Ok(session) => session,
        Err(refusal) => {
            arrival.shared.metrics.refused(refusal);
            return refused(refusal);
        }
    };
    match handshake::establish(session, arrival).await {
        Ok(established) => {
            let fields = HeaderMap::from(&established.fields);
            let upgrade = hyper::upgrade::on(&mut request);
            tasks.spawn(async move {
                converse(upgrade, established).await;
                drop(stream);
            });
            let mut response = Response::new(Full::default().map_err(|never| match never {}).boxed_unsync());
            *response.headers_mut() = fields;
            response
        }
        Err(Declined::Refused(refusal)) => refused(refusal),
        // To a CONNECT it would mean that there is a session (RFC 8441, 5).
        Err(Declined::Answered(answer, _)) if (200..300).contains(&answer.status) => {
            refused(Refusal::BadGateway)
        }
        Err(Declined::Answered(answer, permit)) => answered(answer, (stream, permit), tasks),
    }
}

/// Runs a session as soon as the client has been told.
async fn converse(upgrade: OnUpgrade, established: Established) {
    let Established {
        stream,
        leftover,
        fields: _,
        origin,
    } = established;
    let backend = Endpoint {
        transport: stream,
        leftover: leftover.freeze(),
    };
    // A client that has gone by now gets nothing, and the backend sees its connection end.
    let Ok(upgraded) = upgrade.await else { return };
    access::established(&origin);
    access::converse(Endpoint::new(SessionStream::new(upgraded)), backend, origin).await;
}

fn refused(refusal: Refusal) -> Response<AnswerBytes> {
    let text = Bytes::from_static(refusal.text().as_bytes());
    let mut response = Response::new(Full::new(text).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = refusal.status();
    let mut fields = Fields::default();
    fields.push("content-type", "text/plain; charset=utf-8");
    for (name, value) in refusal.fields() {
        // HTTP/2 has no fields of the connection.
        if *name != "Upgrade" {
            fields.push(*name, *value);
        }
    }
    *response.headers_mut() = HeaderMap::from(&fields);
    response
}

/// A backend's answer. What is `held` is given back when its body has been read, or the client has not taken it in time.
fn answered<H: Send + 'static>(answer: BackendAnswer, held: H, tasks: &TaskTracker) -> Response<AnswerBytes> {
    let length = answer.body.length();
    let (sender, receiver) = mpsc::channel(1);
    // Nobody looks at the body while the client reads nothing; the time is up all the same.
    tasks.spawn(async move {
        timeout(BODY_TIMEOUT, forward(answer.body, sender)).await.ok();
        drop(held);
    });
    let mut response = Response::new(StreamBody::new(pieces(receiver)).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    *response.headers_mut() = HeaderMap::from(&answer.fields);
    if let BodyLength::Known(length) = length {
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}

/// Hands a body on, its end included, until the client takes no more.
async fn forward(mut body: AnswerBody, pieces: mpsc::Sender<Result<Option<Bytes>, BodyError>>) {
    loop {
        let piece = body.next().await;
        let is_last = !matches!(piece, Ok(Some(_)));
        if pieces.send(piece).await.is_err() || is_last {
            return;
        }
    }
}

/// What [`forward`] hands on. It is in time if its end was.
fn pieces(
    receiver: mpsc::Receiver<Result<Option<Bytes>, BodyError>>,
) -> impl futures::Stream<Item = Result<Frame<Bytes>, BodyError>> {
    futures::stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        match receiver.recv().await.unwrap_or(Err(BodyError::Timeout)) {
            Ok(Some(piece)) => Some((Ok(Frame::data(piece)), Some(receiver))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
}

/// A connection of which some bytes have been read already.
#[derive(Debug)]
pub(crate) struct Prefixed<S> {
    prefix: Bytes,
    stream: S,
}

impl<S> Prefixed<S> {
    pub(crate) fn new(prefix: Bytes, stream: S) -> Self {
        Self { prefix, stream }
    }
}

impl<S: Transport> Transport for Prefixed<S> {
    fn is_broken(&mut self, context: &mut Context<'_>) -> bool {
        self.stream.is_broken(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let length = self.prefix.len().min(buffer.remaining());
        buffer.put_slice(&self.prefix[..length]);
        self.prefix.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
