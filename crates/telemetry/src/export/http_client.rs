//! An HTTP client that remembers why a request failed: the exporter itself only says "network error".

use crate::ErrorChain;
use http::{Request, Response};
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

/// Why the last request failed; shared between the client and whoever logs it.
#[derive(Debug, Clone, Default)]
pub(super) struct LastFailure(Arc<Mutex<Option<String>>>);

impl LastFailure {
    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, reason: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }
}

/// A client and where it leaves the reasons.
#[derive(Debug)]
pub(super) struct ExplainingClient<C> {
    pub(super) client: C,
    pub(super) failure: LastFailure,
}

type Sending<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl<C: HttpClient> HttpClient for ExplainingClient<C> {
    // This is what the trait's `async fn` stands for.
    fn send_bytes<'this, 'sending>(&'this self, request: Request<Bytes>) -> Sending<'sending>
    where
        'this: 'sending,
        Self: 'sending,
    {
        Box::pin(async move {
            let sent = self.client.send_bytes(request).await;
            if let Err(error) = &sent {
                self.failure.set(ErrorChain(&**error).to_string());
            }
            sent
        })
    }
}
