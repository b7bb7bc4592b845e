//! A pod's volumes as folders of the host.

use super::Node;
use anyhow::{Context, Result, bail};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeSource, Pod, Secret, ServiceAccount, Volume, VolumeProjection,
};
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders of the host, by the path that they are mounted at.
pub(super) type Mounts = BTreeMap<String, PathBuf>;

/// Makes the folders of the pod's first container.
pub(super) async fn mount(node: &Node, pod: &Pod, folder: &Path) -> Result<Mounts> {
    let spec = pod.spec.as_ref().context("a pod without spec")?;
    let container = spec.containers.first().context("a pod without containers")?;
    let mut mounts = Mounts::new();
    for mount in container.volume_mounts.iter().flatten() {
        let volume = spec
            .volumes
            .iter()
            .flatten()
            .find(|volume| volume.name == mount.name);
        let volume = volume.with_context(|| format!("failed to find volume {}", mount.name))?;
        let path = folder.join("volumes").join(&mount.name);
        fs::create_dir_all(&path)?;
        fill(node, pod, volume, &path).await?;
        mounts.insert(mount.mount_path.clone(), path);
    }
    Ok(mounts)
}

async fn fill(node: &Node, pod: &Pod, volume: &Volume, path: &Path) -> Result<()> {
    match volume {
        Volume {
            downward_api: Some(source),
            ..
        } => write_annotations(pod, source, path),
        Volume {
            secret: Some(source), ..
        } => {
            let name = source.secret_name.as_deref().unwrap_or_default();
            let api = Api::<Secret>::namespaced(node.client.clone(), &node.namespace);
            for (key, value) in api.get(name).await?.data.unwrap_or_default() {
                fs::write(path.join(key), value.0)?;
            }
            Ok(())
        }
        Volume {
            projected: Some(source),
            ..
        } => {
            for projection in source.sources.iter().flatten() {
                project(node, pod, projection, path).await?;
            }
            Ok(())
        }
        Volume {
            empty_dir: Some(_), ..
        } => Ok(()),
        _ => bail!(
            "failed to mount {}: a kind of volume that Jobs do not have",
            volume.name
        ),
    }
}

/// A token of the pod's account, or a part of a ConfigMap.
async fn project(node: &Node, pod: &Pod, projection: &VolumeProjection, path: &Path) -> Result<()> {
    if let Some(token) = &projection.service_account_token {
        let account = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.service_account_name.clone());
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: token.audience.iter().cloned().collect(),
                expiration_seconds: token.expiration_seconds,
                bound_object_ref: None,
            },
            ..TokenRequest::default()
        };
        let api = Api::<ServiceAccount>::namespaced(node.client.clone(), &node.namespace);
        let granted = api
            .create_token_request(
                &account.context("a pod without account")?,
                &PostParams::default(),
                &request,
            )
            .await?;
        let granted = granted.status.context("no token was granted")?;
        fs::write(path.join(&token.path), granted.token)?;
    }
    if let Some(source) = &projection.config_map {
        let api = Api::<ConfigMap>::namespaced(node.client.clone(), &node.namespace);
        let data = api.get(&source.name).await?.data.unwrap_or_default();
        for item in source.items.iter().flatten() {
            let value = data.get(&item.key).context("a key that is not there")?;
            fs::write(path.join(&item.path), value)?;
        }
    }
    Ok(())
}

fn write_annotations(pod: &Pod, source: &DownwardAPIVolumeSource, path: &Path) -> Result<()> {
    for item in source.items.iter().flatten() {
        let field = item.field_ref.as_ref().context("an item without field")?;
        let name = field
            .field_path
            .strip_prefix("metadata.annotations['")
            .and_then(|rest| rest.strip_suffix("']"));
        let value = name.and_then(|name| pod.annotations().get(name));
        let value = value.with_context(|| format!("failed to find {}", field.field_path))?;
        fs::write(path.join(&item.path), value)?;
    }
    Ok(())
}

/// The argument with mounted paths replaced by the folders of the host.
pub(super) fn translate(argument: &str, mounts: &Mounts) -> String {
    let translated = mounts.iter().find_map(|(mounted, path)| {
        let rest = argument.strip_prefix(mounted.as_str())?;
        (rest.is_empty() || rest.starts_with('/')).then(|| format!("{}{rest}", path.display()))
    });
    translated.unwrap_or_else(|| argument.to_owned())
}
