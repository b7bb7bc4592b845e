//! The requests of one connection: how many are open, and for how long there have been none.

use crate::Limits;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, Default)]
struct Requests {
    open: usize,
    begun: u64,
}

/// What is known of a connection's requests.
#[derive(Debug, Default)]
pub(crate) struct Activity(watch::Sender<Requests>);

/// A request until its answer has been sent or is no longer wanted.
pub(crate) struct OpenRequest(watch::Sender<Requests>);

/// The body of an answer, and the request that is open for as long as somebody wants it.
pub(crate) struct Answer<B> {
    body: B,
    _open: OpenRequest,
}

impl Activity {
    pub(crate) fn begin(&self) -> OpenRequest {
        self.0.send_modify(|requests| {
            requests.open += 1;
            requests.begun += 1;
        });
        OpenRequest(self.0.clone())
    }

    /// Returns when the client has said too little for too long.
    pub(crate) async fn silence(&self, limits: &Limits) {
        let mut requests = self.0.subscribe();
        let first = requests.wait_for(|requests| requests.begun > 0);
        if tokio::time::timeout(limits.first_request, first).await.is_err() {
            return;
        }
        loop {
            // The sender is part of this.
            let begun = match requests.wait_for(|requests| requests.open == 0).await {
                Ok(requests) => requests.begun,
                Err(_) => return,
            };
            let next = requests.wait_for(|requests| requests.begun != begun);
            if tokio::time::timeout(limits.idle, next).await.is_err() {
                return;
            }
        }
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.0.borrow().begun > 0
    }
}

impl OpenRequest {
    /// The body of its answer, with which it ends.
    pub(crate) fn until_sent<B>(self, body: B) -> Answer<B> {
        Answer { body, _open: self }
    }
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.send_modify(|requests| requests.open -= 1);
    }
}
