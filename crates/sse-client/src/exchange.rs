//! One request and its response, on a connection of its own that is driven by whoever reads the response: there is no task
//! behind it, and a reader that stops reading stops the server.

mod driver;

use crate::connect::{Connection, Io};
use bytes::Bytes;
use driver::Tasks;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

pub(crate) use driver::Driver;

/// What the read buffer of HTTP/1 grows to on a busy stream.
const MAX_BUFFER_BYTES: usize = 64 * 1024;
/// How much a server may send by HTTP/2 before it is read. It bounds what a slow reader makes us hold.
const WINDOW_BYTES: u32 = 256 * 1024;

/// Sends the request and waits for the head of the response. The body comes for as long as the driver is polled.
pub(crate) async fn exchange(
    io: Box<dyn Io>,
    is_http2: bool,
    request: Request<Full<Bytes>>,
) -> Result<(Response<Incoming>, Driver), hyper::Error> {
    match is_http2 {
        true => http2(io, request).await,
        false => http1(io, request).await,
    }
}

async fn http1(
    io: Box<dyn Io>,
    request: Request<Full<Bytes>>,
) -> Result<(Response<Incoming>, Driver), hyper::Error> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_BUFFER_BYTES);
    let (mut sender, connection) = builder.handshake(TokioIo::new(io)).await?;
    // For as long as it lives, a connection has room for 32 requests: they had better be small.
    let response = sender.send_request(request.map(Box::new));
    let driver = Driver::new(connection, None, sender);
    drive_until(response, driver).await
}

async fn http2(
    io: Box<dyn Io>,
    request: Request<Full<Bytes>>,
) -> Result<(Response<Incoming>, Driver), hyper::Error> {
    let tasks = Tasks::default();
    let mut builder = http2::Builder::new(tasks.clone());
    builder
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES);
    let (mut sender, connection) = builder.handshake(TokioIo::new(io)).await?;
    let response = sender.send_request(request);
    let driver = Driver::new(connection, Some(tasks), sender);
    drive_until(response, driver).await
}

async fn drive_until(
    response: impl Future<Output = Result<Response<Incoming>, hyper::Error>>,
    mut driver: Driver,
) -> Result<(Response<Incoming>, Driver), hyper::Error> {
    let mut response = pin!(response);
    let response = poll_fn(|context| {
        driver.poll(context);
        match response.as_mut().poll(context) {
            Poll::Pending => {
                // What was just asked for may have to be written.
                driver.poll(context);
                Poll::Pending
            }
            ready => ready,
        }
    });
    let response = response.await?;
    Ok((response, driver))
}

impl Connection {
    /// Sends the request on this connection.
    pub(crate) async fn exchange(
        self,
        request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Driver), hyper::Error> {
        exchange(self.io, self.is_http2, request).await
    }
}
