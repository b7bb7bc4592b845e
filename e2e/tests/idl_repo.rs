//! The main job on a whole cluster: what users see of an IdlRepo.

use anyhow::{Context, Result, ensure};
use heddle_e2e::{CANARY, Scenario, trace_lines};
use serde_json::json;

const USER: (&str, &str) = (
    "shop/user.proto",
    "syntax = \"proto3\";\npackage shop;\noption go_package = \"shop.example/gen/shop\";\nmessage User { string name = 1; }\n",
);

#[test]
fn each_push_of_idl_becomes_one_commit_of_code_under_one_trace() -> Result<()> {
    let scenario = Scenario::new("delivery")?;
    let commit = scenario.push(&[USER], "Describe users")?;
    scenario.apply(|_| ())?;
    let status = scenario.await_delivery(&commit)?;
    let run = status.last_run.context("there was no run")?;
    let trace = run.trace_id.context("the run has no trace")?;

    let output = scenario.output()?;
    ensure!(output.git(&["rev-parse", "HEAD"])? == status.output_revision.context("no output revision")?);
    let message = output.git(&["log", "-1", "--format=%B"])?;
    for part in [
        commit.as_str(),
        &trace,
        "Heddle-Plugin: prost",
        "Heddle-Plugin: go",
    ] {
        ensure!(
            message.contains(part),
            "the commit's message lacks {part:?}:\n{message}"
        );
    }
    let files = output.git(&["ls-files"])?;
    ensure!(files.contains("README.md"), "a person's file is gone: {files}");
    ensure!(
        files.contains("go/shop/user.pb.go") && files.contains("rust/"),
        "files are missing: {files}"
    );
    ensure!(
        !trace_lines(&scenario.operator_log()?, &trace).is_empty(),
        "the operator's log lacks trace {trace}"
    );
    ensure!(
        !trace_lines(&scenario.job_log()?, &trace).is_empty(),
        "the Job's log lacks trace {trace}"
    );

    let log = scenario.operator_log()?;
    ensure!(
        !log.contains("is forbidden: User"),
        "the chart grants less than the operator needs:\n{log}"
    );

    let second = scenario.push(
        &[("shop/user.proto", &USER.1.replace("name", "full_name"))],
        "Rename a field",
    )?;
    scenario.await_delivery(&second)?;
    let generated = scenario
        .output()?
        .git(&["log", "--format=%s", "--grep=Heddle-Source-Commit"])?;
    ensure!(
        generated.lines().count() == 2,
        "expected one generated commit for each push:\n{generated}"
    );
    Ok(())
}

#[test]
fn a_commit_that_changes_no_code_makes_no_commit() -> Result<()> {
    let scenario = Scenario::new("unchanged")?;
    let first = scenario.push(&[USER], "Describe users")?;
    scenario.apply(|_| ())?;
    let before = scenario.await_delivery(&first)?.output_revision;
    let second = scenario.push(&[("NOTES.md", "Nothing that is compiled.\n")], "Take notes")?;
    let after = scenario.await_delivery(&second)?.output_revision;
    ensure!(before == after, "{before:?} became {after:?}");
    Ok(())
}

#[test]
fn a_syntax_error_is_shown_with_its_place_and_mended_by_the_next_push() -> Result<()> {
    let scenario = Scenario::new("syntax")?;
    scenario.push(
        &[(
            "shop/user.proto",
            "syntax = \"proto3\";\nmessage User { string name = ; }\n",
        )],
        "Break it",
    )?;
    scenario.apply(|_| ())?;
    let condition = scenario.await_reason("Generated", "CompilationFailed")?;
    ensure!(
        condition.message.contains("shop/user.proto:2:"),
        "no place: {}",
        condition.message
    );
    ensure!(
        condition.message.contains("string name = ;"),
        "no excerpt: {}",
        condition.message
    );
    scenario.wait("condition=Stalled")?;
    let mended = scenario.push(&[USER], "Mend it")?;
    scenario.await_delivery(&mended)?;
    Ok(())
}

#[test]
fn an_unknown_plugin_is_named_beside_those_there_are() -> Result<()> {
    let scenario = Scenario::new("plugin")?;
    scenario.push(&[USER], "Describe users")?;
    scenario.apply(|object| object["spec"]["generate"][0]["plugin"] = json!("cobol"))?;
    let condition = scenario.await_reason("Generated", "PluginNotFound")?;
    ensure!(
        condition.message.contains("cobol") && condition.message.contains("go-grpc"),
        "{}",
        condition.message
    );
    Ok(())
}

#[test]
fn a_missing_import_says_where_it_was_looked_for() -> Result<()> {
    let scenario = Scenario::new("import")?;
    let text = "syntax = \"proto3\";\nimport \"shop/adress.proto\";\n";
    scenario.push(
        &[("shop/user.proto", text), ("shop/address.proto", USER.1)],
        "Mistype it",
    )?;
    scenario.apply(|_| ())?;
    let condition = scenario.await_reason("Generated", "ImportNotFound")?;
    for part in ["shop/user.proto:2:", "shop/adress.proto", "shop/address.proto"] {
        ensure!(
            condition.message.contains(part),
            "{part:?} is missing: {}",
            condition.message
        );
    }
    Ok(())
}

#[test]
fn a_repository_without_proto_files_says_what_was_looked_for() -> Result<()> {
    let scenario = Scenario::new("no-proto")?;
    scenario.push(
        &[("README.md", "No IDL yet.\n"), ("old/user.proto", USER.1)],
        "Begin",
    )?;
    scenario.apply(|object| object["spec"]["source"]["include"] = json!(["api/**/*.proto"]))?;
    let condition = scenario.await_reason("Generated", "NoProtoFiles")?;
    ensure!(
        condition.message.contains("api/**/*.proto"),
        "{}",
        condition.message
    );
    Ok(())
}

#[test]
fn a_plugin_that_fails_is_quoted() -> Result<()> {
    let scenario = Scenario::new("plugin-fails")?;
    scenario.push(&[USER], "Describe users")?;
    scenario.apply(|object| object["spec"]["generate"][1]["options"] = json!(["colour=blue"]))?;
    let condition = scenario.await_reason("Generated", "PluginFailed")?;
    ensure!(
        condition.message.contains("colour") && condition.message.contains("go"),
        "{}",
        condition.message
    );
    Ok(())
}

#[test]
fn wrong_credentials_are_told_and_never_shown() -> Result<()> {
    let scenario = Scenario::new("credentials")?;
    let commit = scenario.push(&[USER], "Describe users")?;
    scenario.apply_credentials("wrong", &format!("{CANARY}-wrong"))?;
    scenario.apply(|object| object["spec"]["source"]["secretRef"]["name"] = json!("wrong"))?;
    let condition = scenario.await_reason("SourceReady", "AuthenticationFailed")?;
    ensure!(
        condition.message.contains("wrong"),
        "the Secret is not named: {}",
        condition.message
    );
    scenario.apply_credentials("wrong", &scenario.environment().git_password.clone())?;
    scenario.await_delivery(&commit)?;
    let seen = [
        scenario.operator_log()?,
        scenario.job_log()?,
        scenario
            .kubectl()
            .get(&["idlrepos,jobs,pods,events", "--namespace", scenario.namespace()])?
            .to_string(),
    ];
    ensure!(
        !seen.iter().any(|text| text.contains(CANARY)),
        "a password got out"
    );
    Ok(())
}

#[test]
fn a_secret_that_appears_is_acted_on_at_once() -> Result<()> {
    let scenario = Scenario::new("late-secret")?;
    let commit = scenario.push(&[USER], "Describe users")?;
    // An interval this long cannot be what starts the run.
    scenario.apply(|object| {
        object["spec"]["interval"] = json!("1h");
        object["spec"]["output"]["secretRef"]["name"] = json!("late");
    })?;
    scenario.await_reason("Ready", "SecretNotFound")?;
    scenario.apply_credentials("late", &scenario.environment().git_password.clone())?;
    scenario.await_delivery(&commit)?;
    Ok(())
}

#[test]
fn deleting_the_object_ends_its_run_and_leaves_the_output() -> Result<()> {
    let scenario = Scenario::new("deleted")?;
    scenario.push(&[USER], "Describe users")?;
    scenario.apply(|_| ())?;
    scenario.await_reason("Generated", "Running")?;
    let namespace = scenario.namespace();
    scenario.kubectl().run(&[
        "delete",
        "idlrepo",
        "idl",
        "--namespace",
        namespace,
        "--timeout=60s",
    ])?;
    scenario.kubectl().run(&[
        "wait",
        "--for=delete",
        "jobs",
        "--all",
        "--namespace",
        namespace,
        "--timeout=60s",
    ])?;
    ensure!(scenario.output()?.git(&["ls-files"])?.contains("README.md"));
    Ok(())
}

#[test]
fn the_jobs_account_can_do_nothing_in_the_api_but_publish() -> Result<()> {
    let scenario = Scenario::new("rights")?;
    let commit = scenario.push(&[USER], "Describe users")?;
    scenario.apply(|_| ())?;
    scenario.await_delivery(&commit)?;
    let namespace = scenario.namespace();
    let pods = scenario.kubectl().get(&[
        "pods",
        "--namespace",
        namespace,
        "--selector",
        "heddle.dev/idlrepo",
    ])?;
    let pod = &pods["items"][0]["spec"];
    ensure!(pod["automountServiceAccountToken"] == false, "a token is mounted");
    let account = pod["serviceAccountName"].as_str().context("no account")?;
    let user = format!("--as=system:serviceaccount:{namespace}:{account}");
    for (verb, resource) in [
        ("get", "secrets"),
        ("list", "pods"),
        ("patch", "idlrepos.heddle.dev"),
        ("create", "pods"),
        ("patch", "configmaps"),
        ("get", "configmaps"),
        ("create", "configmaps"),
        ("delete", "configmaps/idl-descriptors"),
    ] {
        let answer =
            scenario
                .kubectl()
                .run(&["auth", "can-i", verb, resource, "--namespace", namespace, &user]);
        ensure!(answer.is_err(), "{account} may {verb} {resource}");
    }
    scenario.kubectl().run(&[
        "auth",
        "can-i",
        "patch",
        "configmaps/idl-descriptors",
        "--namespace",
        namespace,
        &user,
    ])?;
    Ok(())
}

#[test]
fn the_descriptor_set_of_what_is_delivered_is_in_the_cluster() -> Result<()> {
    let scenario = Scenario::new("published")?;
    let commit = scenario.push(&[USER], "Describe users")?;
    scenario.apply(|_| ())?;
    let published = scenario
        .await_delivery(&commit)?
        .published
        .context("nothing is published")?;
    let namespace = scenario.namespace();
    let config_map = scenario
        .kubectl()
        .get(&["configmap", "idl-descriptors", "--namespace", namespace])?;
    let annotations = &config_map["metadata"]["annotations"];
    ensure!(
        annotations["heddle.dev/source-commit"] == *commit,
        "of another commit: {annotations}"
    );
    ensure!(
        annotations["heddle.dev/descriptors-digest"] == *published.digest,
        "another set: {annotations}"
    );
    ensure!(
        config_map["binaryData"]["descriptors.binpb.zst"].is_string(),
        "there is no set: {config_map}"
    );
    Ok(())
}

#[test]
fn a_breaking_push_is_refused_and_then_let_through_by_somebody() -> Result<()> {
    let scenario = Scenario::new("breaking")?;
    let first = scenario.push(&[USER], "Describe users")?;
    scenario.apply(|object| object["spec"]["compatibility"] = json!({}))?;
    let before = scenario.await_delivery(&first)?.output_revision;

    let text = USER.1.replace("string name", "int32 name");
    let second = scenario.push(&[("shop/user.proto", &text)], "Number them")?;
    let condition = scenario.await_reason("Compatible", "BreakingChanges")?;
    ensure!(
        condition
            .message
            .contains("shop/user.proto:4:16: FIELD_SAME_TYPE"),
        "no place: {}",
        condition.message
    );
    scenario.wait("condition=Stalled")?;
    let tip = scenario.output()?.git(&["rev-parse", "HEAD"])?;
    ensure!(Some(tip) == before, "the output was touched");

    let annotation = format!("heddle.dev/accept-breaking={second}");
    let namespace = scenario.namespace();
    scenario
        .kubectl()
        .run(&["annotate", "idlrepo/idl", "--namespace", namespace, &annotation])?;
    let status = scenario.await_delivery(&second)?;
    let accepted = status.accepted_breaking.context("it is not on record")?;
    ensure!(accepted.commit == second && accepted.breaking_changes == 1);
    ensure!(
        accepted.accepted_by.as_deref() == Some("kubectl-annotate"),
        "{accepted:?}"
    );
    let trailer = ["log", "-1", "--format=%(trailers:key=Heddle-Breaking-Changes)"];
    let trailer = scenario.output()?.git(&trailer)?;
    ensure!(trailer.contains(&first), "no trailer: {trailer:?}");
    Ok(())
}
