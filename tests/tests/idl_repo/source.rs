//! What can be wrong with a source, and how that is told.

use super::world;
use anyhow::{Context, Result};
use heddle_crds::condition::{ConditionStatus, find};
use heddle_tests::world::{PASSWORD, USERNAME, World};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// So many questions to a host that says nothing take longer than this, four at a time and 15 s each.
const SILENT: usize = 24;
const SILENCE_LIMIT: Duration = Duration::from_secs(80);

/// One question to it takes longer than this.
const STOP_LIMIT: Duration = Duration::from_secs(12);

/// Applies a specification that cannot work, and waits until the status says so in every place it should.
async fn refuses(world: &World, changes: &[(&str, Value)], reason: &str, words: &[&str]) -> Result<()> {
    world.namespace.apply("shop", &world.spec_with(changes)).await?;
    let source = world
        .namespace
        .wait_for_reason("shop", "SourceReady", reason)
        .await?;
    assert_eq!(source.status, ConditionStatus::False);
    for word in words {
        assert!(source.message.contains(word), "{word:?} in {}", source.message);
    }
    let status = world.namespace.status("shop").await?;
    let ready = find(&status.conditions, "Ready").context("Ready")?;
    assert_eq!(
        (ready.status, ready.reason.as_str()),
        (ConditionStatus::False, reason)
    );
    assert_eq!(ready.message, source.message);
    assert!(world.namespace.jobs().await?.is_empty());
    Ok(())
}

/// Whether the status says that a try follows by itself, or that a change is needed.
async fn assert_retries(world: &World, retries: bool) -> Result<()> {
    let status = world.namespace.status("shop").await?;
    assert_eq!(
        find(&status.conditions, "Reconciling").is_some(),
        retries,
        "{status:?}"
    );
    assert_eq!(
        find(&status.conditions, "Stalled").is_some(),
        !retries,
        "{status:?}"
    );
    assert_eq!(status.next_check_at.is_some(), retries, "{status:?}");
    Ok(())
}

#[tokio::test]
async fn a_host_that_does_not_exist() -> Result<()> {
    let world = world().await?;
    let _operator = world.operator().await?;
    let url = json!("https://git.invalid/idl.git");
    refuses(
        &world,
        &[("/source/url", url)],
        "HostUnknown",
        &["git.invalid", "spelling"],
    )
    .await?;
    assert_retries(&world, true).await?;
    world.namespace.wait_for_events("shop", &["HostUnknown"]).await?;
    Ok(())
}

#[tokio::test]
async fn wrong_credentials_until_the_secret_is_mended() -> Result<()> {
    let world = world().await?;
    let _operator = world.operator().await?;
    let wrong = [
        ("username", USERNAME),
        ("password", "wrong"),
        ("ca.crt", world.git.ca_pem()),
    ];
    world.namespace.secret("source", &wrong).await?;
    let secret = json!({ "name": "source" });
    refuses(
        &world,
        &[("/source/secretRef", secret)],
        "AuthenticationFailed",
        &["authenticate", "check Secret source"],
    )
    .await?;
    assert_retries(&world, true).await?;

    let right = [
        ("username", USERNAME),
        ("password", PASSWORD),
        ("ca.crt", world.git.ca_pem()),
    ];
    world.namespace.secret("source", &right).await?;
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;
    world
        .namespace
        .wait_for_events(
            "shop",
            &["AuthenticationFailed", "RevisionFound", "Running", "Committed"],
        )
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_branch_that_does_not_exist_with_one_that_may_be_meant() -> Result<()> {
    let world = world().await?;
    let _operator = world.operator().await?;
    let reference = json!({ "branch": "mian" });
    refuses(
        &world,
        &[("/source/ref", reference)],
        "RefNotFound",
        &["branch mian", "did you mean main?"],
    )
    .await?;
    assert_retries(&world, true).await
}

#[tokio::test]
async fn a_repository_that_does_not_exist() -> Result<()> {
    let world = world().await?;
    let _operator = world.operator().await?;
    let url = json!(world.git.url("missing.git"));
    refuses(
        &world,
        &[("/source/url", url)],
        "RepositoryNotFound",
        &["missing.git"],
    )
    .await
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts() -> Result<()> {
    let world = world().await?;
    let _operator = world.operator().await?;
    world
        .namespace
        .secret("source", &[("username", USERNAME), ("password", PASSWORD)])
        .await?;
    let secret = json!({ "name": "source" });
    refuses(
        &world,
        &[("/source/secretRef", secret)],
        "TlsNotTrusted",
        &["ca.crt"],
    )
    .await
}

#[tokio::test]
async fn an_address_that_the_policy_refuses() -> Result<()> {
    let world = world().await?;
    let _operator = world
        .operator_with("operator-0", &["--denied-cidrs=127.0.0.0/8,::1/128"])
        .await?;
    refuses(&world, &[], "AddressRefused", &["refuses"]).await?;
    assert_retries(&world, true).await
}

#[tokio::test]
async fn a_secret_without_the_keys_that_are_needed() -> Result<()> {
    let world = world().await?;
    let _operator = world.operator().await?;
    world
        .namespace
        .secret("source", &[("username", USERNAME)])
        .await?;
    let secret = json!({ "name": "source" });
    refuses(
        &world,
        &[("/source/secretRef", secret)],
        "SecretInvalid",
        &["Secret source", "password"],
    )
    .await?;
    assert_retries(&world, false).await
}

#[tokio::test]
async fn a_secret_that_is_missing_and_then_created() -> Result<()> {
    let world = world().await?;
    let _operator = world.operator().await?;
    let changes = [
        ("/source/secretRef", json!({ "name": "later" })),
        ("/output/secretRef", json!({ "name": "later" })),
    ];
    refuses(
        &world,
        &changes,
        "SecretNotFound",
        &["Secret later", "source.secretRef"],
    )
    .await?;
    assert_retries(&world, false).await?;

    let data = [
        ("username", USERNAME),
        ("password", PASSWORD),
        ("ca.crt", world.git.ca_pem()),
    ];
    world.namespace.secret("later", &data).await?;
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;
    Ok(())
}

#[tokio::test]
async fn a_secret_of_the_output_that_is_missing_blocks_the_run_until_it_is_there() -> Result<()> {
    let world = world().await?;
    let _operator = world.operator().await?;
    let spec = world.spec_with(&[("/output/secretRef", json!({ "name": "later" }))]);
    world.namespace.apply("shop", &spec).await?;
    let generated = world
        .namespace
        .wait_for_reason("shop", "Generated", "SecretNotFound")
        .await?;
    assert!(
        generated.message.contains("output.secretRef"),
        "{}",
        generated.message
    );
    world
        .namespace
        .wait_for_reason("shop", "Stalled", "SecretNotFound")
        .await?;
    assert!(world.namespace.jobs().await?.is_empty());

    let data = [
        ("username", USERNAME),
        ("password", PASSWORD),
        ("ca.crt", world.git.ca_pem()),
    ];
    world.namespace.secret("later", &data).await?;
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;
    Ok(())
}

#[tokio::test]
async fn what_the_schema_cannot_refuse_is_refused_by_the_controller() -> Result<()> {
    let world = world().await?;
    let _operator = world.operator().await?;
    let changes = [
        ("/source/ref", json!({ "branch": "a..b" })),
        ("/source/include", json!(["a/[b"])),
        ("/output/messageTemplate", json!("${nmae}")),
    ];
    world.namespace.apply("shop", &world.spec_with(&changes)).await?;
    let stalled = world
        .namespace
        .wait_for_reason("shop", "Stalled", "InvalidSpec")
        .await?;
    for field in ["source.ref.branch", "source.include[0]", "output.messageTemplate"] {
        assert!(stalled.message.contains(field), "{field} in {}", stalled.message);
    }

    world.namespace.apply("shop", &world.spec()).await?;
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;
    Ok(())
}

#[tokio::test]
async fn a_host_that_never_answers_holds_up_no_other_and_no_stop() -> Result<()> {
    let world = world().await?;
    let mut operator = world.operator_with("operator-0", &["--concurrency=4"]).await?;
    // The kernel completes the handshake, and that is all.
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    let url = json!(format!(
        "https://localhost:{}/idl.git",
        silent.local_addr()?.port()
    ));
    let spec = world.spec_with(&[("/source/url", url)]);
    for number in 0..SILENT {
        world.namespace.apply(&format!("silent-{number}"), &spec).await?;
    }
    let spec = world.spec_with(&[(
        "/source/url",
        json!(world.git.url("idl.git").replace("localhost", "127.0.0.1")),
    )]);
    let started = Instant::now();
    world.namespace.apply("shop", &spec).await?;
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;
    assert!(
        started.elapsed() < SILENCE_LIMIT,
        "it took {:?}",
        started.elapsed()
    );

    let started = Instant::now();
    operator.terminate()?;
    assert!(operator.wait().await?.success());
    assert!(started.elapsed() < STOP_LIMIT, "it took {:?}", started.elapsed());
    // That the operator went away is not the source's failure.
    let status = world.namespace.status("silent-0").await?;
    let source = find(&status.conditions, "SourceReady");
    assert!(
        source.is_none_or(|source| !source.message.contains("cancel")),
        "{source:?}"
    );
    Ok(())
}
