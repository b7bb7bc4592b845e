//! Sessions that say nothing.

use super::{Load, announce, result};
use anyhow::{Context, Result};
use serde_json::Value;
use std::io::Read as _;

/// Keeps them until standard input ends.
pub(super) fn run(mut load: Load<'_>) -> Result<Value> {
    let connections = load.open()?;
    announce()?;
    std::io::stdin()
        .read_to_end(&mut Vec::new())
        .context("failed to wait for the end")?;
    Ok(result(connections.len() as u64, 0.0))
}
