//! A port inside the cluster, reachable from here.

use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

/// `kubectl port-forward`, ended when dropped.
#[derive(Debug)]
pub struct PortForward {
    child: Child,
    // It tells of each connection, and ends when nobody listens.
    _said: BufReader<ChildStdout>,
    port: u16,
}

impl PortForward {
    /// Forwards to `port` of `target`, such as `pod/chat-0` or `service/chat`. `kubectl` is the program, pointed at the
    /// cluster.
    ///
    /// # Errors
    /// When kubectl fails, or says something else.
    pub fn open(mut kubectl: Command, namespace: &str, target: &str, port: u16) -> Result<Self> {
        let mut child = kubectl
            .args([
                "port-forward",
                "--namespace",
                namespace,
                target,
                &format!(":{port}"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("failed to start kubectl port-forward")?;
        let stdout = child
            .stdout
            .take()
            .context("failed to read from kubectl port-forward")?;
        let mut forward = Self {
            child,
            _said: BufReader::new(stdout),
            port: 0,
        };
        let mut line = String::new();
        forward
            ._said
            .read_line(&mut line)
            .context("failed to read from kubectl port-forward")?;
        let Some(local) = local_port(&line) else {
            bail!("failed to forward port {port} of {target}: kubectl said {line:?}")
        };
        forward.port = local;
        Ok(forward)
    }

    /// The port on this machine's loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// The port in kubectl's first line.
fn local_port(line: &str) -> Option<u16> {
    let rest = line.strip_prefix("Forwarding from 127.0.0.1:")?;
    rest.split(' ').next()?.parse().ok()
}

impl Drop for PortForward {
    fn drop(&mut self) {
        // A child that has ended already is what is wanted.
        if self.child.kill().is_ok() {
            self.child.wait().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_in_the_first_line() {
        assert_eq!(
            local_port("Forwarding from 127.0.0.1:33001 -> 9080\n"),
            Some(33001)
        );
        assert_eq!(local_port("error: no such pod"), None);
    }
}
