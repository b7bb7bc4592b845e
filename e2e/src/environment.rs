//! Where things are, as `cargo xtask test` says.

use crate::{Kubectl, Operator};
use anyhow::{Context, Result};
use std::path::PathBuf;

/// The installed system.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The operator's namespace.
    pub namespace: String,
    /// The helm release, and the name of the operator's Deployment.
    pub release: String,
    /// The Git server's address inside the cluster.
    pub git_inside: String,
    /// The Git server's address from here.
    pub git_outside: String,
    /// The account that may push.
    pub git_user: String,
    /// Its password.
    pub git_password: String,
    /// The file of the authority that signed the Git server's certificate.
    pub git_authority: PathBuf,
    /// The image of the chat that WsRoutes are put in front of.
    pub chat_image: String,
    /// The image of the sink that writes events down.
    pub audit_image: String,
    /// helm's path.
    pub helm: PathBuf,
    /// The checkout's root.
    pub root: PathBuf,
}

impl Environment {
    /// Reads it all.
    ///
    /// # Errors
    /// When a variable is missing, which names the command that sets it.
    pub fn read() -> Result<Self> {
        Ok(Self {
            namespace: variable("HEDDLE_E2E_NAMESPACE")?,
            release: variable("HEDDLE_E2E_RELEASE")?,
            git_inside: format!("https://{}", variable("HEDDLE_E2E_GIT_HOST")?),
            git_outside: variable("HEDDLE_E2E_GIT_URL")?,
            git_user: variable("HEDDLE_E2E_GIT_USER")?,
            git_password: variable("HEDDLE_E2E_GIT_PASSWORD")?,
            git_authority: variable("HEDDLE_E2E_GIT_CA")?.into(),
            chat_image: variable("HEDDLE_E2E_CHAT_IMAGE")?,
            audit_image: variable("HEDDLE_E2E_AUDIT_IMAGE")?,
            helm: variable("HEDDLE_E2E_HELM")?.into(),
            // Checkouts that share a target folder may share this program, too.
            root: PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join(".."),
        })
    }

    /// kubectl for this cluster.
    ///
    /// # Errors
    /// When it is not named.
    pub fn kubectl(&self) -> Result<Kubectl> {
        Ok(Kubectl::new(variable("HEDDLE_E2E_KUBECTL")?.into()))
    }

    /// The operator's Deployment.
    ///
    /// # Errors
    /// When kubectl is not named.
    pub fn operator(&self) -> Result<Operator> {
        Operator::new(self)
    }
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name)
        .with_context(|| format!("{name} is not set: run these tests by `cargo xtask test --only cluster`"))
}
