//! `heddle-git-server`: the test server as a program, for images and for trying things out by hand.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use heddle_git_server::{Account, GitServer, GitServerOptions, TlsFiles};
use tokio::signal::unix::{SignalKind, signal};

/// A Git server over HTTPS with accounts, in front of git http-backend. Prints a line of JSON when it listens, and one
/// for each request.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:0", env = "GIT_SERVER_LISTEN")]
    listen: SocketAddr,
    /// Folder for repositories, and for a made certificate (tls/ca.crt).
    #[arg(long, env = "GIT_SERVER_DATA")]
    data: PathBuf,
    /// Repository to create at start, such as idl.git; may be repeated.
    #[arg(long = "repository")]
    repositories: Vec<String>,
    /// Create repositories when somebody pushes to them.
    #[arg(long)]
    create_on_push: bool,
    /// Account as name:password:read or name:password:write; may be repeated. Better in a file: see --users-file.
    #[arg(long = "user")]
    users: Vec<Account>,
    /// File of accounts, one a line as in --user.
    #[arg(long)]
    users_file: Option<PathBuf>,
    /// Let everybody read.
    #[arg(long)]
    anonymous_read: bool,
    /// Refuse to serve commits by id that no branch or tag points at.
    #[arg(long)]
    tips_only: bool,
    /// Certificate chain in PEM; without it, an authority and a certificate are made.
    #[arg(long, requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Private key of the certificate, in PEM.
    #[arg(long, requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Host name or address that a made certificate is for; may be repeated.
    #[arg(long = "name")]
    names: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    // Before the server is there, so that no signal is missed; as process 1 nobody else would handle it.
    let mut terminate = signal(SignalKind::terminate()).context("failed to handle SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to handle SIGINT")?;
    let options = options(arguments)?;
    let server = tokio::task::spawn_blocking(|| GitServer::start(options)).await??;
    announce(&server)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tokio::task::spawn_blocking(move || server.stop())
        .await
        .context("failed to stop the server")
}

fn options(arguments: Arguments) -> Result<GitServerOptions> {
    let mut accounts = arguments.users;
    if let Some(file) = &arguments.users_file {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))?;
        for line in text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            accounts.push(
                line.parse()
                    .with_context(|| format!("failed to read {}", file.display()))?,
            );
        }
    }
    let defaults = GitServerOptions::new(&arguments.data);
    let tls = arguments.tls_certificate.zip(arguments.tls_key);
    Ok(GitServerOptions {
        listen: arguments.listen,
        repositories: arguments.repositories,
        create_on_push: arguments.create_on_push,
        accounts,
        anonymous_read: arguments.anonymous_read,
        any_commit: !arguments.tips_only,
        tls: tls.map(|(certificate, key)| TlsFiles { certificate, key }),
        names: if arguments.names.is_empty() {
            defaults.names.clone()
        } else {
            arguments.names
        },
        print_requests: true,
        ..defaults
    })
}

/// Tells whoever started us where we listen.
fn announce(server: &GitServer) -> Result<()> {
    let address = server.address();
    let line = serde_json::json!({
        "timestamp": jiff::Timestamp::now().to_string(),
        "level": "INFO",
        "message": "listening",
        "address": address.to_string(),
        "port": address.port(),
    });
    writeln!(std::io::stdout().lock(), "{line}").context("failed to print the address")
}
