//! The service that contract tests of SSE clients drive: `cargo run -p heddle-sse-client --example contract_service -- PORT`.
//!
//! A test harness asks it by HTTP to open event streams, and is told by callbacks what they say. `GET /` lists capabilities;
//! `POST /` opens a stream and answers 201 with its Location; `POST` of a command and `DELETE` go there; `DELETE /` stops the
//! service. Port 0 takes a free port; the address is printed.

#[path = "contract_service/callback.rs"]
mod callback;
#[path = "contract_service/parameters.rs"]
mod parameters;
#[path = "contract_service/service.rs"]
mod service;
#[path = "contract_service/subscription.rs"]
mod subscription;

use anyhow::{Context, Result};
use std::net::Ipv4Addr;
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let port = std::env::args().nth(1).context("give the port to listen on")?;
    let port: u16 = port.parse().context("failed to read the port")?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await;
    let listener = listener.with_context(|| format!("failed to listen on port {port}"))?;
    println!("listening on {}", listener.local_addr()?);
    service::serve(listener).await
}
