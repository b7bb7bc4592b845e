//! A connection to a port of loopback that can be cut, as a network does it: nothing arrives and nothing is refused.

use anyhow::Result;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Passes on what is sent to its port, until it is cut.
#[derive(Debug)]
pub struct Cable {
    port: u16,
    is_cut: watch::Sender<bool>,
    /// Aborted when dropped.
    _task: JoinSet<()>,
}

impl Cable {
    /// Lays one to `target`.
    ///
    /// # Errors
    /// No port is free.
    pub async fn lay(target: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let (is_cut, receiver) = watch::channel(false);
        let mut task = JoinSet::new();
        task.spawn(serve(listener, target, receiver));
        Ok(Self {
            port,
            is_cut,
            _task: task,
        })
    }

    /// Its near end.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts it for good. Connections stay open at the near end, and nobody answers.
    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }
}

async fn serve(listener: TcpListener, target: u16, is_cut: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        connections.spawn(pass_on(near, target, is_cut.clone()));
    }
}

async fn pass_on(mut near: TcpStream, target: u16, mut is_cut: watch::Receiver<bool>) {
    let passing = async {
        let mut far = TcpStream::connect(("127.0.0.1", target)).await?;
        tokio::io::copy_bidirectional(&mut near, &mut far).await
    };
    let is_cut = async { drop(is_cut.wait_for(|is_cut| *is_cut).await) };
    tokio::select! {
        biased;
        // Silence, as long as the near end cares to wait.
        () = is_cut => std::future::pending().await,
        _ = passing => {}
    }
}
