//! Tells the harness what a stream says.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use heddle_sse_client::Event;
use http::Request;
use http::header::{CONTENT_TYPE, HOST};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use url::Url;

/// Where one stream's callbacks go, numbered from 1.
pub(crate) struct Callback {
    url: Url,
    sent: u64,
}

impl Callback {
    pub(crate) fn new(url: Url) -> Self {
        Self { url, sent: 0 }
    }

    pub(crate) async fn event(&mut self, event: &Event) -> Result<()> {
        let event = json!({
            "type": event.event_type().as_str(),
            "data": event.data().as_str(),
            "id": event.last_event_id().as_str(),
        });
        self.send(json!({"kind": "event", "event": event})).await
    }

    pub(crate) async fn comment(&mut self, comment: &str) -> Result<()> {
        self.send(json!({"kind": "comment", "comment": comment})).await
    }

    pub(crate) async fn error(&mut self, error: &str) -> Result<()> {
        self.send(json!({"kind": "error", "error": error})).await
    }

    async fn send(&mut self, message: Value) -> Result<()> {
        self.sent += 1;
        let path = format!("{}/{}", self.url.path().trim_end_matches('/'), self.sent);
        let host = self.url.host_str().context("the callback URL has no host")?;
        let port = self.url.port_or_known_default().unwrap_or(80);
        let request = Request::post(path)
            .header(HOST, format!("{host}:{port}"))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(message.to_string())))?;
        let stream = TcpStream::connect((host, port)).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let exchange = async move {
            let response = sender.send_request(request).await?;
            let status = response.status();
            response.into_body().collect().await?;
            anyhow::Ok(status)
        };
        let (status, _) = tokio::join!(exchange, connection);
        let status = status?;
        ensure!(status.is_success(), "the callback answers {status}");
        Ok(())
    }
}
