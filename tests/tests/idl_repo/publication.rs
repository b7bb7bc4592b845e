//! The descriptor set in the cluster: who finds it there, who may write it, and what becomes of it when things go wrong.

use super::world;
use anyhow::{Context, Result};
use heddle_codegen::publish;
use heddle_crds::condition::find;
use heddle_crds::idl_repo::{IdlRepoStatus, Published};
use heddle_crds::publication::{CHUNK_BYTES, digest};
use heddle_tests::eventually::{Probe, eventually};
use heddle_tests::kubelet::Stage;
use heddle_tests::namespace::SOON;
use heddle_tests::world::{GREETER, World};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use serde_json::json;
use std::fmt::Write as _;
use tokio::process::Command;

fn config_maps(world: &World) -> Api<ConfigMap> {
    Api::namespaced(world.namespace.client.clone(), &world.namespace.name)
}

async fn read(world: &World) -> Result<Vec<u8>> {
    let client = world.namespace.client.clone();
    Ok(publish::read(client, &world.namespace.name, "shop").await?)
}

fn contains(set: &[u8], text: &str) -> bool {
    set.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Waits until the descriptor set of this commit is published.
async fn wait_for_publication(world: &World, commit: &str) -> Result<Published> {
    let is_published = |status: &IdlRepoStatus| {
        let published = find(&status.conditions, "Published");
        published.is_some_and(|published| published.reason == "DescriptorsPublished")
            && status
                .published
                .as_ref()
                .is_some_and(|published| published.source_commit == commit)
    };
    let what = format!("the descriptor set of {commit} is published");
    let status = world.namespace.wait_for("shop", &what, is_published).await?;
    status.published.context("a publication")
}

#[tokio::test]
async fn what_is_delivered_is_published_with_its_digest() -> Result<()> {
    let world = world().await?;
    let _operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    let first = world.head()?;
    world.namespace.wait_for_delivery("shop", &first).await?;

    let published = wait_for_publication(&world, &first).await?;
    let set = read(&world).await?;
    assert_eq!(published.digest, digest(&set));
    assert_eq!(published.bytes, i64::try_from(set.len())?);
    assert_eq!(
        (published.chunks, &*published.config_map),
        (1, "shop-descriptors")
    );
    assert!(contains(&set, "Greeting"));
    let index = config_maps(&world).get("shop-descriptors").await?;
    assert_eq!(index.annotations()["heddle.dev/source-commit"], first);
    assert_eq!(index.labels()["heddle.dev/idlrepo"], "shop");
    let run = world.namespace.status("shop").await?.last_run.context("a run")?;
    let trace_id = run.trace_id.context("a trace")?;
    assert!(index.annotations()["heddle.dev/traceparent"].contains(&trace_id));

    let commented = GREETER.replace("message", "// Says hello.\nmessage");
    let second = world.push("Explain", "greeter/v1/greeter.proto", &commented)?;
    let again = wait_for_publication(&world, &second).await?;
    assert_eq!(again.digest, published.digest, "a comment is nobody's schema");
    Ok(())
}

#[tokio::test]
async fn people_read_messages_by_what_an_idl_repo_publishes() -> Result<()> {
    let world = world().await?;
    let _operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    wait_for_publication(&world, &world.head()?).await?;
    let message = tempfile::NamedTempFile::new()?;
    std::fs::write(message.path(), b"\x0a\x05hello")?;
    let run = |idl_repo: String| {
        Command::new(env!("CARGO_BIN_EXE_heddle-codegen-under-test"))
            .args([
                "get",
                "text",
                "--type",
                "Greeting",
                "--idl-repo",
                &idl_repo,
                "--input",
            ])
            .arg(message.path())
            .env("KUBECONFIG", world.server.kubeconfig())
            .output()
    };
    let output = run(format!("{}/shop", world.namespace.name)).await?;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "\"hello\"\n");

    let output = run(format!("{}/nothing", world.namespace.name)).await?;
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("ConfigMap nothing-descriptors"), "{stderr}");
    assert!(!stderr.contains("hello"), "{stderr}");
    Ok(())
}

/// A client with the rights of the Job.
async fn client_of_job(world: &World) -> Result<Client> {
    let (client, namespace) = (&world.namespace.client, &world.namespace.name);
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), namespace);
    let request = TokenRequest {
        spec: TokenRequestSpec {
            expiration_seconds: Some(600),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let granted = accounts
        .create_token_request("shop-heddle-codegen", &PostParams::default(), &request)
        .await?;
    let mut kubeconfig = Kubeconfig::read_from(world.server.kubeconfig())?;
    let token = granted.status.context("a token")?.token;
    for user in &mut kubeconfig.auth_infos {
        user.auth_info = Some(AuthInfo {
            token: Some(token.clone().into()),
            ..AuthInfo::default()
        });
    }
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

fn is_forbidden<T>(result: Result<T, kube::Error>) -> bool {
    matches!(result, Err(kube::Error::Api(status)) if status.code == 403)
}

#[tokio::test]
async fn the_job_may_write_to_its_own_config_map_and_touch_nothing_else() -> Result<()> {
    let world = world().await?;
    let _operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    wait_for_publication(&world, &world.head()?).await?;
    let other = ConfigMap {
        metadata: kube::api::ObjectMeta {
            name: Some("other-descriptors".into()),
            ..Default::default()
        },
        ..ConfigMap::default()
    };
    config_maps(&world).create(&PostParams::default(), &other).await?;

    let (client, namespace) = (client_of_job(&world).await?, &world.namespace.name);
    let own = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    let nothing = Patch::Merge(json!({ "metadata": { "annotations": { "a": "b" } } }));
    let parameters = PatchParams::default();
    own.get("shop-descriptors").await?;
    own.patch("shop-descriptors", &parameters, &nothing).await?;

    assert!(is_forbidden(own.get("other-descriptors").await));
    assert!(is_forbidden(
        own.patch("other-descriptors", &parameters, &nothing).await
    ));
    assert!(is_forbidden(own.list(&Default::default()).await));
    assert!(is_forbidden(own.create(&PostParams::default(), &other).await));
    assert!(is_forbidden(
        own.delete("shop-descriptors", &DeleteParams::default()).await
    ));
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    assert!(is_forbidden(secrets.get("git").await));
    let idl_repos = Api::<heddle_crds::IdlRepo>::namespaced(client.clone(), namespace);
    assert!(is_forbidden(idl_repos.get("shop").await));
    let roles = Api::<Role>::namespaced(client, namespace);
    assert!(is_forbidden(
        roles.patch("shop-heddle-codegen", &parameters, &nothing).await
    ));
    Ok(())
}

/// IDL whose descriptors take so many bytes whatever is done to compress them.
fn bulky(bytes: usize, seed: u64) -> String {
    let mut text = String::from("syntax = \"proto3\";\npackage bulky.v1;\n\nmessage Bulk {\n");
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut random = || {
        // xorshift64, as good as noise for a compressor.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    // A hexadecimal digit holds half a byte of noise.
    for number in 1..=bytes / 512 {
        let name: String = (0..64).fold(String::new(), |mut name, _| {
            write!(name, "{:016x}", random()).ok();
            name
        });
        writeln!(text, "  string f{number} = {number} [json_name = \"{name}\"];").ok();
    }
    text + "}\n"
}

#[tokio::test]
async fn a_set_past_a_config_map_s_size_is_cut_and_read_as_one() -> Result<()> {
    let world = world().await?;
    let _operator = world.operator().await?;
    let first = world.push("Grow", "bulky/v1/bulky.proto", &bulky(CHUNK_BYTES * 3 / 2, 1))?;
    world.namespace.apply("shop", &world.spec()).await?;
    let published = wait_for_publication(&world, &first).await?;
    world.namespace.wait_for_delivery("shop", &first).await?;
    assert_eq!(published.chunks, 2);
    assert_eq!(published.digest, digest(&read(&world).await?));
    // The first run found that there were no ConfigMaps for chunks; the second one delivered nothing again.
    assert_eq!(world.delivered()?.len(), 1);
    assert_eq!(world.kubelet.pods().len(), 2);

    // Who read the index before the next set still finds the chunks that it names.
    let before = read_index(&world).await?;
    let second = world.push("Change", "bulky/v1/bulky.proto", &bulky(CHUNK_BYTES * 3 / 2, 2))?;
    let published = wait_for_publication(&world, &second).await?;
    assert_eq!(published.digest, digest(&read(&world).await?));
    let after = read_index(&world).await?;
    for chunk in &before.chunks {
        assert!(after.chunks.iter().all(|new| new.config_map != chunk.config_map));
        let slot = config_maps(&world).get(&chunk.config_map).await?;
        chunk.check(&slot.binary_data.context("a chunk")?["chunk"].0)?;
    }

    let third = world.push("Shrink", "bulky/v1/bulky.proto", &bulky(512, 3))?;
    let published = wait_for_publication(&world, &third).await?;
    assert_eq!(published.chunks, 1);
    eventually("the chunks are deleted", SOON, || async {
        let left = config_maps(&world).list_metadata(&Default::default()).await?;
        let left: Vec<_> = left.items.iter().map(ResourceExt::name_any).collect();
        Ok(
            match left.iter().any(|name| name.starts_with("shop-descriptors-")) {
                true => Probe::NotYet(left.join(", ")),
                false => Probe::Seen(()),
            },
        )
    })
    .await?;
    assert_eq!(published.digest, digest(&read(&world).await?));
    Ok(())
}

async fn read_index(world: &World) -> Result<heddle_crds::publication::Index> {
    let index = config_maps(world).get("shop-descriptors").await?;
    let data = index.data.context("an index")?;
    Ok(heddle_crds::publication::Index::parse(&data["index.json"])?)
}

#[tokio::test]
async fn killed_between_push_and_publication_the_next_pod_publishes_without_a_new_commit() -> Result<()> {
    let world = world().await?;
    let _operator = world.operator().await?;
    // The server kills the run as soon as it has its push.
    let pids = world.kubelet.folder().join("*/pid");
    let script = format!("#!/bin/sh\nkill -9 $(cat {})\nrm -f \"$0\"\n", pids.display());
    world.output.install_hook("post-receive", &script)?;
    world.namespace.apply("shop", &world.spec()).await?;

    let commit = world.head()?;
    world.namespace.wait_for_delivery("shop", &commit).await?;
    let published = wait_for_publication(&world, &commit).await?;
    assert_eq!(published.digest, digest(&read(&world).await?));
    assert_eq!(world.kubelet.pods().len(), 2, "the first was killed");
    assert_eq!(world.delivered()?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn without_the_right_to_publish_the_code_is_delivered_and_the_right_is_mended() -> Result<()> {
    let world = world().await?;
    world.kubelet.set_stage(Stage::Hang);
    let _operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    world
        .namespace
        .wait_for_jobs("there is a Job", |jobs| jobs.len() == 1)
        .await?;
    let bindings = Api::<RoleBinding>::namespaced(world.namespace.client.clone(), &world.namespace.name);
    bindings
        .delete("shop-heddle-codegen", &DeleteParams::default())
        .await?;
    world.kubelet.set_stage(Stage::Run);

    let published = world
        .namespace
        .wait_for_reason("shop", "Published", "PublicationUnprepared")
        .await?;
    assert!(published.message.contains("shop-descriptors"), "{published:?}");
    let status = world.namespace.status("shop").await?;
    assert_eq!(status.generated_revision.as_deref(), Some(&*world.head()?));
    wait_for_publication(&world, &world.head()?).await?;
    assert_eq!(world.delivered()?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_publication_that_somebody_deletes_is_made_again_without_a_commit() -> Result<()> {
    let world = world().await?;
    let _operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    let commit = world.head()?;
    let before = wait_for_publication(&world, &commit).await?;
    world.namespace.wait_for_delivery("shop", &commit).await?;

    config_maps(&world)
        .delete("shop-descriptors", &DeleteParams::default())
        .await?;
    world
        .namespace
        .wait_for_reason("shop", "Published", "PublicationLost")
        .await?;
    let after = wait_for_publication(&world, &commit).await?;
    assert_eq!(before, after);
    assert_eq!(world.delivered()?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn switched_off_nothing_of_the_publication_and_no_right_is_left() -> Result<()> {
    let world = world().await?;
    let _operator = world.operator().await?;
    world.namespace.apply("shop", &world.spec()).await?;
    wait_for_publication(&world, &world.head()?).await?;
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;

    let spec = world.spec_with(&[("/publish", json!({ "enabled": false }))]);
    world.namespace.apply("shop", &spec).await?;
    world
        .namespace
        .wait_for("shop", "nothing is published", |status| {
            find(&status.conditions, "Published").is_none() && status.published.is_none()
        })
        .await?;
    let (client, namespace) = (&world.namespace.client, &world.namespace.name);
    let roles = Api::<Role>::namespaced(client.clone(), namespace);
    let bindings = Api::<RoleBinding>::namespaced(client.clone(), namespace);
    eventually("everything is gone", SOON, || async {
        let left = (
            config_maps(&world)
                .get_metadata_opt("shop-descriptors")
                .await?
                .is_some(),
            roles.get_metadata_opt("shop-heddle-codegen").await?.is_some(),
            bindings.get_metadata_opt("shop-heddle-codegen").await?.is_some(),
        );
        Ok(match left {
            (false, false, false) => Probe::Seen(()),
            left => Probe::NotYet(format!("{left:?}")),
        })
    })
    .await?;
    let jobs = world.namespace.jobs().await?;
    assert_eq!(jobs.len(), 1, "that is no reason for a run");
    Ok(())
}

#[tokio::test]
async fn a_config_map_of_somebody_else_is_not_taken_over() -> Result<()> {
    let world = world().await?;
    let _operator = world.operator().await?;
    let foreign = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "shop-descriptors" }, "data": { "a": "b" },
    });
    let foreign: ConfigMap = serde_json::from_value(foreign)?;
    config_maps(&world)
        .create(&PostParams::default(), &foreign)
        .await?;
    world.namespace.apply("shop", &world.spec()).await?;
    let ready = world
        .namespace
        .wait_for_reason("shop", "Ready", "PublicationUnprepared")
        .await?;
    assert!(
        ready.message.contains("ConfigMap shop-descriptors exists"),
        "{ready:?}"
    );

    config_maps(&world)
        .delete("shop-descriptors", &DeleteParams::default())
        .await?;
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;
    Ok(())
}
