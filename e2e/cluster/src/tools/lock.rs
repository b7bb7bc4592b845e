//! A lock between processes, so that two runs at once do not do the same work twice.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::{Context, Result};

use crate::progress::Progress;

/// Held until dropped; the kernel drops it with the process, so a crash leaves nothing locked.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock at `path`, saying `why` when somebody else holds it for now.
    ///
    /// # Errors
    /// When the file cannot be made or locked.
    pub(crate) fn acquire(progress: &Progress, path: &Path, why: &str) -> Result<Self> {
        let context = || format!("failed to lock {}", path.display());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(context)?;
        }
        let file = File::create(path).with_context(context)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let step = progress.step(&format!("Waiting: {why}"));
                file.lock().with_context(context)?;
                step.done("The other run has finished");
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(context),
        }
        Ok(Self { _file: file })
    }
}
