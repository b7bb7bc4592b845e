//! Versions of plugins, for the trailers of commits.

use super::registry::Program;
use super::{Plugin, ProcessError, Workshop, command, process};
use crate::stop::{Stop, Stopped};
use sha2::{Digest, Sha256};
use std::fmt;
use std::time::Duration;

/// How long a plugin may take to tell its version. Those that know no `--version` wait for input, and get none.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes of a version.
const VERSION_BYTES: usize = 64;
/// How many digits of a digest stand for a version.
const DIGEST_DIGITS: usize = 12;

/// A plugin and what version of it ran.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginVersion {
    /// The plugin's name in the specification.
    pub plugin: String,
    /// As the plugin tells it, or the start of its executable's SHA-256 digest.
    pub version: String,
}

impl fmt::Display for PluginVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.plugin, self.version)
    }
}

pub(super) async fn ask(plugin: &Plugin, workshop: &Workshop, stop: &Stop) -> Result<PluginVersion, Stopped> {
    let version = match &plugin.program {
        Program::Builtin(builtin) => builtin.version().to_owned(),
        Program::Executable { path, .. } => {
            let mut patient = workshop.clone();
            patient.limits.time = patient.limits.time.min(PATIENCE);
            let told = process::run(&command(plugin, &["--version"]), &patient, Vec::new(), stop).await;
            match told {
                Err(ProcessError::Stop(stopped)) => return Err(stopped),
                Ok(output) => read(&output.stdout),
                Err(_) => None,
            }
            .unwrap_or_else(|| digest(path))
        }
    };
    Ok(PluginVersion {
        plugin: plugin.name.clone(),
        version,
    })
}

/// The first word of the first line that has a digit in it: `protoc-gen-go v1.36.12` tells `v1.36.12`.
fn read(output: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(output).ok()?;
    let line = text
        .lines()
        .next()
        .filter(|line| line.chars().all(|character| !character.is_control()))?;
    let mut words = line.split_whitespace();
    let version = words.rfind(|word| {
        word.trim_start_matches('v')
            .starts_with(|c: char| c.is_ascii_digit())
    });
    version
        .filter(|version| version.len() <= VERSION_BYTES)
        .map(str::to_owned)
}

fn digest(path: &std::path::Path) -> String {
    match std::fs::read(path) {
        Ok(bytes) => {
            let hex: String = Sha256::digest(bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            format!("sha256:{}", &hex[..DIGEST_DIGITS])
        }
        Err(_) => "unknown".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_in_what_plugins_print() {
        for (output, expected) in [
            ("protoc-gen-go v1.36.12\n", Some("v1.36.12")),
            ("protoc-gen-go-grpc 1.6.2", Some("1.6.2")),
            ("2.17.0\nmore", Some("2.17.0")),
            ("usage: protoc-gen-x", None),
            ("", None),
            ("\u{1b}[31m1.2", None),
        ] {
            assert_eq!(read(output.as_bytes()).as_deref(), expected, "{output:?}");
        }
        assert_eq!(read(&[0xff, 0xfe]), None);
    }
}
