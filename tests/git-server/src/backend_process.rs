//! A running `git http-backend`: feeding it, passing on its answer, and ending it when nobody wants that any more.

use std::pin::Pin;
use std::process::ExitStatus;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio_util::io::ReaderStream;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Feeds `body` to the backend and waits for its end; ends it with all that it has started once `abandoned`.
pub(crate) async fn feed(mut child: Child, stdin: ChildStdin, body: Incoming, abandoned: CancellationToken) {
    tokio::select! {
        () = copy(body, stdin) => {}
        () = abandoned.cancelled() => {}
    }
    // Known only until the child has been waited for.
    let group = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .map(Pid::from_raw);
    tokio::select! {
        ended = child.wait() => report(ended),
        () = abandoned.cancelled() => {
            if let Some(Err(error)) = group.map(|group| killpg(group, Signal::SIGKILL)) {
                eprintln!("failed to end git http-backend: {error}");
            }
            report(child.wait().await);
        }
    }
}

async fn copy(mut body: Incoming, mut stdin: ChildStdin) {
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        // A backend that ends early says why in its answer.
        if stdin.write_all(&data).await.is_err() {
            return;
        }
    }
}

fn report(ended: std::io::Result<ExitStatus>) {
    if let Err(error) = ended {
        eprintln!("failed to wait for git http-backend: {error}");
    }
}

/// The backend's answer. Dropped before its end, it takes the backend with it.
pub(crate) struct Answer {
    stream: ReaderStream<BufReader<ChildStdout>>,
    guard: Option<DropGuard>,
}

impl Answer {
    pub(crate) fn new(reader: BufReader<ChildStdout>, guard: DropGuard) -> Self {
        Self {
            stream: ReaderStream::new(reader),
            guard: Some(guard),
        }
    }
}

impl Stream for Answer {
    type Item = std::io::Result<Frame<Bytes>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.stream).poll_next(context);
        if let Poll::Ready(None) = next {
            // Hooks may go on after the answer's end.
            self.guard.take().map(DropGuard::disarm);
        }
        next.map(|item| item.map(|chunk| chunk.map(Frame::data)))
    }
}
