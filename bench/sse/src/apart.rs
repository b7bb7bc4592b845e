//! Work in a thread of its own, so that what it costs can be told from all else.

use crate::process::seconds;
use anyhow::{Context, Result};
use nix::time::ClockId;
use std::future::Future;
use std::thread::JoinHandle;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A thread with a runtime. What runs in it ends when this is dropped.
pub(crate) struct Apart {
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Apart {
    /// Runs `work` in a thread of this name.
    pub(crate) fn start(name: &str, work: impl Future<Output = ()> + Send + 'static) -> Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .context("failed to make a runtime")?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = work => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        Ok(Self {
            runtime: handle,
            stop: Some(stop),
            thread: Some(thread.context("failed to start a thread")?),
        })
    }

    /// Processor time that the thread has taken so far.
    pub(crate) async fn processor_seconds(&self) -> Result<f64> {
        let read = async { seconds(ClockId::CLOCK_THREAD_CPUTIME_ID) };
        self.runtime.spawn(read).await?
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            eprintln!("a thread has panicked");
        }
    }
}
