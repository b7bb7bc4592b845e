//! Real Git servers for tests: `git http-backend` over HTTPS with accounts ([`GitServer`]), and sshd ([`SshServer`]).
//!
//! Nothing is imitated: repositories are served and pushed to by Debian's own `git` and `sshd`. The servers run on
//! threads of their own, so that synchronous and asynchronous tests use them alike, and stop when dropped.

mod account;
mod backend_process;
mod bare_repository;
mod certificate;
mod cgi;
mod command;
mod options;
mod pushes;
mod request_log;
mod server;
mod site;
mod ssh_server;
mod work_copy;

pub use account::{Access, Account};
pub use bare_repository::{BareRepository, CommitSummary};
pub use certificate::TlsFiles;
pub use options::{GitServerOptions, Redirect};
pub use request_log::RequestLine;
pub use server::GitServer;
pub use ssh_server::SshServer;
pub use work_copy::WorkCopy;
