//! A relay that knows nothing but bytes: what tokio gives everybody, and what a proxy costs at least that is made so.

use anyhow::{Context, Result};
use std::net::Ipv4Addr;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// As many as every other subject is given.
const THREADS: usize = 2;
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The port of loopback that everything goes to.
    #[arg(long)]
    backend: u16,
}

/// Serves until the process is killed.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .context("failed to start tokio")?;
    runtime.block_on(serve(arguments.backend))
}

async fn serve(backend: u16) -> Result<()> {
    let listener = listen().context("failed to listen")?;
    println!("{}", listener.local_addr()?.port());
    let mut sessions = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.context("failed to accept")?;
        sessions.spawn(relay(client, backend));
        while sessions.try_join_next().is_some() {}
    }
}

fn listen() -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    socket.listen(BACKLOG)
}

async fn relay(mut client: TcpStream, backend: u16) -> std::io::Result<()> {
    let mut backend = TcpStream::connect((Ipv4Addr::LOCALHOST, backend)).await?;
    client.set_nodelay(true)?;
    backend.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut backend).await?;
    Ok(())
}
