//! Breaking changes: refused, let through by somebody, or only told of.

use super::world;
use anyhow::{Context, Result};
use heddle_crds::condition::find;
use heddle_tests::world::{GREETER, World};
use serde_json::{Value, json};
use std::process::Command;

const FILE: &str = "greeter/v1/greeter.proto";

fn gated(world: &World, gate: Value) -> Value {
    world.spec_with(&[("/compatibility", gate)])
}

/// A world in which the first commit is delivered through a gate.
async fn delivered_through(gate: Value) -> Result<World> {
    let world = world().await?;
    world.namespace.apply("shop", &gated(&world, gate)).await?;
    Ok(world)
}

fn breaking() -> String {
    GREETER.replace("string text = 1", "int32 text = 1")
}

#[tokio::test]
async fn a_breaking_change_is_refused_with_its_place_and_then_let_through_once() -> Result<()> {
    let world = delivered_through(json!({})).await?;
    let operator = world.operator().await?;
    let first = world.head()?;
    world.namespace.wait_for_delivery("shop", &first).await?;
    let compatible = world
        .namespace
        .wait_for_reason("shop", "Compatible", "NothingToCompare")
        .await?;
    assert!(compatible.message.contains(&first[..7]), "{compatible:?}");
    let tip = world.output.branch("main")?;

    let second = world.push("Count instead", FILE, &breaking())?;
    world
        .namespace
        .wait_for_reason("shop", "Stalled", "BreakingChanges")
        .await?;
    let ready = world
        .namespace
        .wait_for_reason("shop", "Ready", "BreakingChanges")
        .await?;
    let command = format!("idlrepo/shop heddle.dev/accept-breaking={second}");
    for part in [
        "greeter/v1/greeter.proto:5:3: FIELD_SAME_TYPE",
        "int32 text = 1",
        &command,
    ] {
        assert!(ready.message.contains(part), "{part:?} in {}", ready.message);
    }
    let compatible = world
        .namespace
        .wait_for_reason("shop", "Compatible", "BreakingChanges")
        .await?;
    assert!(
        compatible
            .message
            .contains("greeter/v1/greeter.proto:5:3: FIELD_SAME_TYPE"),
        "{compatible:?}"
    );
    let status = world.namespace.status("shop").await?;
    let comparison = status
        .last_run
        .and_then(|run| run.comparison)
        .context("a comparison")?;
    assert_eq!((comparison.breaking_changes, &*comparison.against), (1, &*first));
    assert_eq!(world.output.branch("main")?, tip, "the output is untouched");
    assert_eq!(world.kubelet.pods().len(), 2, "a refusal is not tried again");

    // Neither another commit's id nor the first digits of this one let it through.
    for not_enough in [&first, &second[..12]] {
        world.namespace.accept_breaking("shop", not_enough).await?;
    }
    world.namespace.accept_breaking("shop", &second).await?;
    world.namespace.wait_for_delivery("shop", &second).await?;
    assert_eq!(world.kubelet.pods().len(), 3);
    let [message, _] = world.delivered()?.try_into().expect("one commit for each");
    let trailer = format!("Heddle-Breaking-Changes: 1 since {first}, accepted");
    assert!(message.contains(&trailer), "{message}");

    let status = world.namespace.status("shop").await?;
    let accepted = status.accepted_breaking.context("a record")?;
    assert_eq!((accepted.commit, accepted.against), (second, first));
    assert_eq!(accepted.breaking_changes, 1);
    assert!(accepted.accepted_by.is_some());
    let compatible = find(&status.conditions, "Compatible").context("Compatible")?;
    assert_eq!(compatible.reason, "BreakingChangesAccepted");
    operator
        .wait_for_line("breaking changes were let through")
        .await?;
    let events = [
        "Running",
        "Committed",
        "Running",
        "BreakingChanges",
        "Running",
        "BreakingChangesAccepted",
        "Committed",
    ];
    world.namespace.wait_for_events("shop", &events).await?;
    Ok(())
}

#[tokio::test]
async fn a_refused_change_that_is_reverted_needs_nobody_s_word() -> Result<()> {
    let world = delivered_through(json!({ "level": "Wire" })).await?;
    let _operator = world.operator().await?;
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;
    world.push("Count instead", FILE, &breaking())?;
    world
        .namespace
        .wait_for_reason("shop", "Stalled", "BreakingChanges")
        .await?;

    let mended = GREETER.replace("}", "  int32 count = 2;\n}");
    let commit = world.push("Count as well", FILE, &mended)?;
    world.namespace.wait_for_delivery("shop", &commit).await?;
    world
        .namespace
        .wait_for_reason("shop", "Compatible", "NoBreakingChanges")
        .await?;
    Ok(())
}

#[tokio::test]
async fn by_the_policy_warn_a_breaking_change_is_delivered_and_told_of() -> Result<()> {
    let world = delivered_through(json!({ "policy": "Warn" })).await?;
    let _operator = world.operator().await?;
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;

    let commit = world.push("Count instead", FILE, &breaking())?;
    world.namespace.wait_for_delivery("shop", &commit).await?;
    let compatible = world
        .namespace
        .wait_for_reason("shop", "Compatible", "BreakingChangesAllowed")
        .await?;
    assert!(compatible.message.contains("FIELD_SAME_TYPE"), "{compatible:?}");
    let [message, _] = world.delivered()?.try_into().expect("one commit for each");
    assert!(message.contains(", allowed by policy"), "{message}");
    let events = [
        "Running",
        "Committed",
        "Running",
        "BreakingChangesAllowed",
        "Committed",
    ];
    world.namespace.wait_for_events("shop", &events).await?;
    Ok(())
}

#[tokio::test]
async fn a_milder_level_lets_a_refused_commit_through() -> Result<()> {
    let world = delivered_through(json!({})).await?;
    let _operator = world.operator().await?;
    world.namespace.wait_for_delivery("shop", &world.head()?).await?;
    let renamed = GREETER.replace("string text = 1", "string words = 1");
    let commit = world.push("Rename", FILE, &renamed)?;
    world
        .namespace
        .wait_for_reason("shop", "Stalled", "BreakingChanges")
        .await?;

    let spec = gated(&world, json!({ "level": "Wire" }));
    world.namespace.apply("shop", &spec).await?;
    world.namespace.wait_for_delivery("shop", &commit).await?;
    Ok(())
}

#[tokio::test]
async fn a_history_that_was_rewritten_does_not_open_the_gate() -> Result<()> {
    let world = delivered_through(json!({})).await?;
    let _operator = world.operator().await?;
    let first = world.head()?;
    world.namespace.wait_for_delivery("shop", &first).await?;

    // A branch that shares nothing with what was delivered, in a repository that has nothing else.
    world.source.delete_branch("main")?;
    let git = Command::new("git")
        .args(["-C", &world.source.path().display().to_string()])
        .args(["gc", "--quiet", "--prune=now"])
        .status()?;
    assert!(git.success());
    let second = world
        .source
        .commit("main", "Begin again", &[(FILE, Some(breaking().as_bytes()))])?;
    let stalled = world
        .namespace
        .wait_for_reason("shop", "Stalled", "BaselineUnavailable")
        .await?;
    assert!(stalled.message.contains(&first), "{stalled:?}");
    assert_eq!(world.delivered()?.len(), 1);

    world.namespace.accept_breaking("shop", &second).await?;
    world.namespace.wait_for_delivery("shop", &second).await?;
    let status = world.namespace.status("shop").await?;
    let compatible = find(&status.conditions, "Compatible").context("Compatible")?;
    assert_eq!(compatible.reason, "BreakingChangesAccepted");
    Ok(())
}
