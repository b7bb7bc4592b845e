//! What a harness asks for.

use anyhow::{Context, Result};
use heddle_sse_client::{Backoff, Request, Settings};
use http::{HeaderName, HeaderValue, Method};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;
use url::Url;

/// The body of `POST /`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Parameters {
    stream_url: String,
    callback_url: String,
    #[serde(default)]
    pub(crate) tag: String,
    initial_delay_ms: Option<u64>,
    read_timeout_ms: Option<u64>,
    #[serde(default)]
    last_event_id: Option<String>,
    #[serde(default)]
    headers: Option<BTreeMap<String, String>>,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    body: Option<String>,
}

/// The body of `POST` to a stream.
#[derive(Deserialize)]
#[serde(tag = "command", rename_all = "camelCase")]
pub(crate) enum Command {
    /// Events of all types are told anyway.
    Listen,
    Restart,
}

impl Parameters {
    pub(crate) fn request(&self) -> Result<Request> {
        let method = self.method.as_deref().filter(|method| !method.is_empty());
        let method = method.map_or(Ok(Method::GET), |name| Method::from_bytes(name.as_bytes()));
        let mut request = Request::new(method.context("failed to read the method")?, &self.stream_url)?;
        for (name, value) in self.headers.iter().flatten() {
            let name: HeaderName = name.parse().context("failed to read a header's name")?;
            let value = HeaderValue::from_str(value).context("failed to read a header's value")?;
            request = request.header(name, value)?;
        }
        Ok(request.body(self.body.clone().unwrap_or_default()))
    }

    pub(crate) fn callback_url(&self) -> Result<Url> {
        self.callback_url
            .parse()
            .context("failed to read the callback's URL")
    }

    pub(crate) fn settings(&self) -> Settings {
        let mut backoff = Backoff::default();
        if let Some(delay) = self.initial_delay_ms {
            backoff.initial = Duration::from_millis(delay);
            backoff.min = backoff.initial.min(backoff.min);
        }
        Settings {
            last_event_id: self.last_event_id.as_deref().unwrap_or_default().into(),
            read_timeout: self.read_timeout_ms.map(Duration::from_millis),
            comments: true,
            backoff,
            ..Settings::default()
        }
    }
}
