//! One stream, from its first request until the harness deletes it.

use crate::callback::Callback;
use crate::parameters::{Command, Parameters};
use anyhow::{Error, Result};
use heddle_sse_client::{Client, End, EventStream, Item};
use tokio::sync::mpsc;

/// How many commands may wait for a stream.
pub(crate) const MAX_COMMANDS: usize = 16;

/// A stream that has not begun.
pub(crate) struct Subscription {
    stream: EventStream,
    callback: Callback,
    tag: String,
}

impl Subscription {
    pub(crate) fn new(client: &Client, parameters: &Parameters) -> Result<Self> {
        Ok(Self {
            stream: client.subscribe(parameters.request()?, parameters.settings()),
            callback: Callback::new(parameters.callback_url()?),
            tag: parameters.tag.clone(),
        })
    }

    /// Tells the harness everything until nobody can send commands any more.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            let result = tokio::select! {
                biased;
                command = commands.recv() => match command {
                    None => return,
                    Some(Command::Restart) => {
                        self.stream.restart();
                        Ok(())
                    }
                    Some(Command::Listen) => Ok(()),
                },
                Some(item) = self.stream.next() => self.tell(item).await,
            };
            if let Err(error) = result {
                eprintln!("{}: failed to call back: {error:#}", self.tag);
            }
        }
    }

    async fn tell(&mut self, item: Item) -> Result<()> {
        match item {
            Item::Event(event) => self.callback.event(&event).await,
            Item::Comment(comment) => self.callback.comment(&comment).await,
            Item::Waiting(waiting) => {
                self.callback
                    .error(&format!("{:#}", Error::from(waiting.why)))
                    .await
            }
            Item::Ended(End::Failed(error)) => {
                self.callback.error(&format!("{:#}", Error::from(*error))).await
            }
            _ => Ok(()),
        }
    }
}
