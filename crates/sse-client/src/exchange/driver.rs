//! What keeps a connection going, polled in place.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Takes what HTTP/2 would have run elsewhere, for the driver to run.
#[derive(Clone, Default)]
pub(super) struct Tasks(Arc<Mutex<Vec<Task>>>);

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.lock().push(Box::pin(future));
    }
}

impl Tasks {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Task>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection and its tasks. To drop it is to close the connection.
pub(crate) struct Driver {
    /// Absent when it has ended. How it did is told to the reader of the response too.
    connection: Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>,
    running: Vec<Task>,
    /// Only HTTP/2 has any.
    started: Option<Tasks>,
    /// HTTP/2 says goodbye when nobody can send any more.
    _sender: Box<dyn Any + Send>,
}

impl Driver {
    pub(super) fn new(
        connection: impl Future<Output = hyper::Result<()>> + Send + 'static,
        started: Option<Tasks>,
        sender: impl Any + Send,
    ) -> Self {
        Self {
            connection: Some(Box::pin(connection)),
            running: Vec::new(),
            started,
            _sender: Box::new(sender),
        }
    }

    /// Does what can be done now.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) {
        loop {
            if let Some(connection) = &mut self.connection
                && connection.as_mut().poll(context).is_ready()
            {
                self.connection = None;
            }
            self.running
                .retain_mut(|task| task.as_mut().poll(context).is_pending());
            let Some(started) = &self.started else { return };
            let mut started = started.lock();
            if started.is_empty() {
                return;
            }
            self.running.append(&mut started);
        }
    }
}
