//! Reads the Secrets that a specification names. They are not kept.

use super::{ObserveError, Problem, reason};
use crate::context::Context;
use crate::idl_repo::validate::ValidatedSpec;
use heddle_crds::idl_repo::{IdlRepo, Reason};
use heddle_git_remote::{Credentials, Remote, RemoteUrl};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Hexadecimal digits of the digest of versions.
const VERSION_DIGITS: usize = 32;

/// The Secrets that a specification names.
#[derive(Clone, Debug)]
pub(crate) struct ObservedSecrets {
    /// A digest of which they are and of their versions.
    pub(crate) version: String,
    /// What keeps a run from delivering to the output.
    pub(crate) output_problem: Option<Problem>,
    pub(super) source: Result<Credentials, Problem>,
}

impl ObservedSecrets {
    /// What keeps the source from being asked.
    pub(crate) fn source_problem(&self) -> Option<&Problem> {
        self.source.as_ref().err()
    }
}

/// A Secret that a specification may name.
enum Named {
    Nothing,
    Missing(String),
    Present(Box<Secret>),
}

/// Reads the Secrets of source and output.
pub(crate) async fn secrets(
    context: &Context,
    idl_repo: &IdlRepo,
    spec: &ValidatedSpec,
) -> Result<ObservedSecrets, ObserveError> {
    let namespace = idl_repo.namespace().unwrap_or_default();
    let api = Api::<Secret>::namespaced(context.client.clone(), &namespace);
    let (source, output) = futures::future::try_join(
        secret(&api, spec.source.secret.as_deref()),
        secret(&api, spec.output.secret.as_deref()),
    )
    .await?;
    Ok(ObservedSecrets {
        version: version_of(&[&source, &output]),
        output_problem: credentials("output", &spec.output.url, &output).err(),
        source: credentials("source", &spec.source.url, &source),
    })
}

async fn secret(api: &Api<Secret>, name: Option<&str>) -> Result<Named, ObserveError> {
    let Some(name) = name else {
        return Ok(Named::Nothing);
    };
    match api.get_opt(name).await {
        Ok(Some(secret)) => Ok(Named::Present(Box::new(secret))),
        Ok(None) => Ok(Named::Missing(name.to_owned())),
        Err(source) => Err(ObserveError::GetSecret {
            name: name.to_owned(),
            source,
        }),
    }
}

fn version_of(secrets: &[&Named]) -> String {
    let mut digest = Sha256::new();
    for secret in secrets {
        let version = match secret {
            Named::Nothing => "none".to_owned(),
            Named::Missing(name) => format!("missing {name}"),
            Named::Present(secret) => {
                format!(
                    "{} {}",
                    secret.uid().unwrap_or_default(),
                    secret.resource_version().unwrap_or_default()
                )
            }
        };
        digest.update(version);
        digest.update("\n");
    }
    let mut digits: String = digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    digits.truncate(VERSION_DIGITS);
    digits
}

fn credentials(field: &str, url: &RemoteUrl, secret: &Named) -> Result<Credentials, Problem> {
    let secret = match secret {
        Named::Nothing => return Ok(Credentials::default()),
        Named::Missing(name) => {
            return Err(Problem {
                reason: Reason::SecretNotFound,
                message: format!(
                    "Secret {name}, which {field}.secretRef names, does not exist in this namespace."
                ),
            });
        }
        Named::Present(secret) => secret,
    };
    let data = secret
        .data
        .iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.0.clone()));
    let usable = Credentials::from_secret(&data.collect::<BTreeMap<_, _>>()).and_then(|credentials| {
        let credentials = credentials.from_origin(format!("Secret {}", secret.name_any()));
        Remote::new(url.clone())
            .with_credentials(credentials.clone())
            .check()?;
        Ok(credentials)
    });
    usable.map_err(|error| Problem {
        reason: reason(error.kind()),
        message: format!(
            "Secret {}, which {field}.secretRef names: {error}",
            secret.name_any()
        ),
    })
}

#[cfg(test)]
impl ObservedSecrets {
    /// Secrets of this version without problems.
    pub(crate) fn for_tests(version: &str) -> Self {
        Self {
            version: version.into(),
            output_problem: None,
            source: Ok(Credentials::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn present(version: &str, data: serde_json::Value) -> Named {
        let secret = json!({
            "metadata": { "name": "git", "uid": "u", "resourceVersion": version },
            "data": data,
        });
        Named::Present(Box::new(serde_json::from_value(secret).unwrap()))
    }

    #[test]
    fn the_version_changes_with_every_change_of_a_secret() {
        let missing = || Named::Missing("git".into());
        let versions = [
            version_of(&[&Named::Nothing, &Named::Nothing]),
            version_of(&[&missing(), &Named::Nothing]),
            version_of(&[&Named::Nothing, &missing()]),
            version_of(&[&present("1", json!({})), &Named::Nothing]),
            version_of(&[&present("2", json!({})), &Named::Nothing]),
        ];
        let distinct: std::collections::BTreeSet<_> = versions.iter().collect();
        assert_eq!(distinct.len(), versions.len());
    }

    #[test]
    fn a_secret_of_no_use_for_the_url_is_a_problem_that_names_it() {
        // base64 of "heddle"
        let basic = || present("1", json!({ "username": "aGVkZGxl", "password": "aGVkZGxl" }));
        let https = "https://git.example/idl.git".parse().unwrap();
        let ssh = "ssh://git@git.example/idl.git".parse().unwrap();
        assert!(credentials("source", &https, &basic()).is_ok());
        let problem = credentials("source", &ssh, &basic()).unwrap_err();
        assert_eq!(problem.reason, Reason::SecretInvalid);
        for words in ["Secret git", "source.secretRef", "identity"] {
            assert!(problem.message.contains(words), "{words} in {}", problem.message);
        }
        assert!(!problem.message.contains("heddle"));
    }
}
