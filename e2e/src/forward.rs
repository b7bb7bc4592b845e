//! A port of a pod, reachable from here.

use crate::Kubectl;
use anyhow::{Context, Result, bail};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout};

/// `kubectl port-forward`, ended when dropped.
#[derive(Debug)]
pub struct PortForward {
    child: Child,
    // It tells of each connection, and ends when nobody listens.
    _said: BufReader<ChildStdout>,
    port: u16,
}

impl PortForward {
    /// Forwards to `port` of a pod.
    ///
    /// # Errors
    /// When kubectl fails, or says something else.
    pub fn open(kubectl: &Kubectl, namespace: &str, pod: &str, port: u16) -> Result<Self> {
        let mut child = kubectl.start(&[
            "port-forward",
            "--namespace",
            namespace,
            &format!("pod/{pod}"),
            &format!(":{port}"),
        ])?;
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
        let local = line
            .strip_prefix("Forwarding from 127.0.0.1:")
            .and_then(|rest| rest.split(' ').next())
            .and_then(|port| port.parse().ok());
        let Some(local) = local else {
            bail!("failed to forward port {port} of {pod}: kubectl said {line:?}")
        };
        forward.port = local;
        Ok(forward)
    }

    /// The port on this machine's loopback.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for PortForward {
    fn drop(&mut self) {
        // A child that has ended already is what is wanted.
        if self.child.kill().is_ok() {
            self.child.wait().ok();
        }
    }
}
