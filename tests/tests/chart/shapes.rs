//! Shapes of the chart.

use super::rendered::{RELEASE, Rendered};
use anyhow::{Context, Result, ensure};
use heddle_e2e_cluster::Progress;
use heddle_e2e_cluster::tools::{Tool, Tools};
use heddle_tests::api_server::ApiServer;
use heddle_tests::namespace::TestNamespace;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

const CERT_MANAGER: &str =
    "certificates.issuer=cert-manager,certificates.certManager.issuerRef.name=internal";

/// Every value is at something else than its default in one of them.
const SHAPES: [&str; 9] = [
    "",
    "proxy.enabled=false",
    "webhook.enabled=false,fullnameOverride=weaver",
    "webhook.failurePolicy=Fail,webhook.timeoutSeconds=10,webhook.namespaceSelector.matchLabels.mesh=on,\
     webhook.namespaceSelector.matchExpressions[0].key=team,webhook.namespaceSelector.matchExpressions[0].operator=Exists,\
     webhook.objectSelector.matchLabels.app=chat",
    "certificates.issuer=cert-manager,certificates.certManager.issuerRef.name=internal,\
     certificates.certManager.issuerRef.kind=ClusterIssuer,metrics.podMonitor.enabled=true,\
     metrics.proxyPodMonitor.enabled=true,metrics.proxyPodMonitor.labels.release=prometheus",
    "replicas=3,otlp.endpoint=http://collector:4317,otlp.samplerArg=0.5,priorityClassName=high,nameOverride=loom,\
     nodeSelector.disk=ssd,podLabels.a=b,podAnnotations.c=d",
    "watchNamespaces={default,kube-system},network.deniedCidrs={10.0.0.0/8},subscriptions.deniedCidrs={fd00::/8},rbac.aggregate=false,\
     metrics.proxyPodMonitor.enabled=true",
    "serviceAccount.create=false,networkPolicy.enabled=false,imagePullSecrets={a},codegen.imagePullSecrets={a,b},codegen.workSizeLimit=2Gi,\
     proxy.imagePullSecrets={a,b},proxy.adminPort=15999,proxy.image.registry=registry.example/,crds.enabled=false",
    "rbac.create=false,certificates.additionalAuthorities=PEM,extraEnv[0].name=A,extraEnv[0].value=b",
];

/// As much of kinds of others as the chart writes.
fn foreign_kind(group: &str, version: &str, kind: &str, spec: &Value) -> Value {
    let plural = format!("{}s", kind.to_lowercase());
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{group}") },
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": { "kind": kind, "plural": plural, "singular": kind.to_lowercase() },
            "versions": [{
                "name": version, "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "properties": {
                    "spec": { "type": "object", "properties": spec },
                } } },
            }],
        },
    })
}

fn foreign_kinds() -> [Value; 2] {
    let text = json!({ "type": "string" });
    let texts = json!({ "type": "array", "items": text });
    let certificate = json!({
        "secretName": text,
        "dnsNames": texts,
        "usages": texts,
        "privateKey": { "type": "object", "properties": {
            "algorithm": { "type": "string", "enum": ["RSA", "ECDSA", "Ed25519"] },
            "rotationPolicy": { "type": "string", "enum": ["Never", "Always"] },
        } },
        "issuerRef": { "type": "object", "required": ["name"], "properties": {
            "name": text, "kind": text, "group": text,
        } },
    });
    let labels = json!({ "type": "object", "additionalProperties": text });
    let pod_monitor = json!({
        "selector": { "type": "object", "properties": { "matchLabels": labels } },
        "namespaceSelector": { "type": "object", "properties": { "any": { "type": "boolean" }, "matchNames": texts } },
        "podMetricsEndpoints": { "type": "array", "items": { "type": "object", "properties": {
            "port": text, "path": text, "interval": text,
        } } },
    });
    [
        foreign_kind("cert-manager.io", "v1", "Certificate", &certificate),
        foreign_kind("monitoring.coreos.com", "v1", "PodMonitor", &pod_monitor),
    ]
}

fn kubectl(kubeconfig: &Path, arguments: &[&str], input: &str) -> Result<()> {
    let program = Tools::ensure(&Progress::new(), &[Tool::Kubectl])?.path(Tool::Kubectl);
    let mut child = Command::new(program)
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("failed to start kubectl")?;
    let mut stdin = child.stdin.take().context("an input")?;
    stdin.write_all(input.as_bytes())?;
    drop(stdin);
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    Ok(())
}

#[tokio::test]
async fn every_shape_of_the_chart_is_accepted_by_the_api_server() -> Result<()> {
    let server = ApiServer::shared().await?;
    let namespace = TestNamespace::create(server).await?;
    let kubeconfig = server.kubeconfig();
    for kind in foreign_kinds() {
        kubectl(&kubeconfig, &["apply", "--filename=-"], &kind.to_string())?;
    }
    let established = [
        "wait",
        "--for=condition=Established",
        "crd",
        "--all",
        "--timeout=60s",
    ];
    kubectl(&kubeconfig, &established, "")?;
    for shape in SHAPES {
        let rendered = Rendered::new(&namespace.name, shape).with_context(|| shape.to_owned())?;
        let apply = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "--validate=strict",
            "--filename=-",
        ];
        kubectl(&kubeconfig, &apply, &rendered.text).with_context(|| format!("{shape:?}"))?;
    }
    Ok(())
}

#[test]
fn without_sidecars_nothing_is_there_for_them() -> Result<()> {
    let rendered = Rendered::new(
        "system",
        "proxy.enabled=false,metrics.proxyPodMonitor.enabled=true",
    )?;
    for kind in [
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
        "Service",
        "PodMonitor",
    ] {
        assert!(rendered.names(kind).is_empty(), "{kind}");
    }
    assert_eq!(rendered.names("Role"), ["heddle-leader"]);
    assert!(!rendered.text.contains("tokenreviews"));
    let arguments = rendered.arguments()?;
    let about = |word: &str| arguments.iter().any(|argument| argument.contains(word));
    assert!(!about("proxy") && !about("webhook") && !about("certificate"));
    Ok(())
}

#[test]
fn without_the_webhook_sidecars_of_before_are_still_configured() -> Result<()> {
    let rendered = Rendered::new("system", "webhook.enabled=false")?;
    assert!(rendered.names("MutatingWebhookConfiguration").is_empty());
    assert!(rendered.names("ValidatingWebhookConfiguration").is_empty());
    assert_eq!(rendered.names("Service"), ["heddle-configuration"]);
    assert!(!rendered.text.contains("mutatingwebhookconfigurations"));
    let arguments = rendered.arguments()?;
    assert!(
        !arguments
            .iter()
            .any(|argument| argument.starts_with("--webhook-configuration"))
    );
    Ok(())
}

#[test]
fn the_webhook_fails_as_it_is_told_and_is_never_asked_about_its_own_namespace() -> Result<()> {
    for policy in ["Ignore", "Fail"] {
        let values = format!(
            "webhook.failurePolicy={policy},webhook.namespaceSelector.matchLabels.mesh=on,watchNamespaces={{shop}}"
        );
        let rendered = Rendered::new("system", &values)?;
        let webhook = &rendered.the("MutatingWebhookConfiguration")?["webhooks"][0];
        assert_eq!(webhook["failurePolicy"], policy);
        let name = "kubernetes.io/metadata.name";
        let selector = json!({
            "matchLabels": { "mesh": "on" },
            "matchExpressions": [
                { "key": name, "operator": "NotIn", "values": ["kube-system", "system"] },
                { "key": name, "operator": "In", "values": ["shop"] },
            ],
        });
        assert_eq!(webhook["namespaceSelector"], selector);
    }
    Ok(())
}

#[test]
fn cert_manager_keeps_the_secret_and_the_operator_reads_it_only() -> Result<()> {
    let rendered = Rendered::new("system", CERT_MANAGER)?;
    let certificate = rendered.the("Certificate")?;
    assert_eq!(certificate["spec"]["secretName"], "heddle-certificates");
    assert!(rendered.arguments()?.contains(&"--certificate-issuer=external"));
    let injected = format!("system/{RELEASE}-certificates");
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        let annotations = &rendered.the(kind)?["metadata"]["annotations"];
        assert_eq!(annotations["cert-manager.io/inject-ca-from"], injected.as_str());
    }
    let roles = rendered.of("Role");
    let rules = roles
        .iter()
        .flat_map(|role| role["rules"].as_array().into_iter().flatten());
    for rule in rules.filter(|rule| rule["resources"] == json!(["secrets"])) {
        assert_eq!(rule["verbs"], json!(["get", "list", "watch"]));
    }
    Ok(())
}

#[test]
fn cert_manager_without_the_name_of_an_issuer_is_refused() {
    for values in [
        "certificates.issuer=cert-manager",
        "certificates.issuer=cert-manager,certificates.certManager.issuerRef.kind=ClusterIssuer",
    ] {
        let error = Rendered::new("system", values)
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("certificates.certManager.issuerRef.name"),
            "{error}"
        );
    }
}

#[test]
fn sidecars_are_scraped_in_the_namespaces_that_are_looked_after() -> Result<()> {
    let everywhere = Rendered::new("system", "metrics.proxyPodMonitor.enabled=true")?;
    let monitor = everywhere.the("PodMonitor")?;
    assert_eq!(monitor["spec"]["namespaceSelector"], json!({ "any": true }));
    assert_eq!(monitor["spec"]["podMetricsEndpoints"][0]["port"], "heddle-admin");
    let some = Rendered::new(
        "system",
        "metrics.proxyPodMonitor.enabled=true,watchNamespaces={shop}",
    )?;
    let selector = &some.the("PodMonitor")?["spec"]["namespaceSelector"];
    assert_eq!(*selector, json!({ "matchNames": ["shop"] }));
    Ok(())
}

#[test]
fn what_sidecars_are_made_by_reaches_the_operator() -> Result<()> {
    let rendered = Rendered::new("system", "proxy.imagePullSecrets={a,b},proxy.adminPort=15999")?;
    let arguments = rendered.arguments()?;
    assert!(arguments.contains(&"--proxy-image-pull-secrets=a,b"));
    assert!(arguments.contains(&"--proxy-admin-port=15999"));
    Ok(())
}

#[test]
fn a_sampler_argument_of_zero_is_one() -> Result<()> {
    for (value, expected) in [("0", json!("0")), ("0.5", json!("0.5")), ("", json!(null))] {
        let rendered = Rendered::new("system", &format!("otlp.samplerArg={value}"))?;
        let container = &rendered.the("Deployment")?["spec"]["template"]["spec"]["containers"][0];
        let variables = container["env"].as_array().context("variables")?;
        let found = variables
            .iter()
            .find(|variable| variable["name"] == "OTEL_TRACES_SAMPLER_ARG");
        let found = found.map_or(&Value::Null, |variable| &variable["value"]);
        assert_eq!(*found, expected, "{value:?}");
    }
    Ok(())
}

#[test]
fn kinds_that_are_not_looked_after_are_not_written_to() -> Result<()> {
    let patched = |values: &str| -> Result<Vec<String>> {
        let rendered = Rendered::new("system", &format!("rbac.aggregate=false,{values}"))?;
        let roles = rendered.of("ClusterRole");
        let rules = roles
            .iter()
            .flat_map(|role| role["rules"].as_array().into_iter().flatten());
        let rules = rules
            .filter(|rule| rule["apiGroups"] == json!(["heddle.dev"]) && rule["verbs"] == json!(["patch"]));
        let resources = rules.flat_map(|rule| rule["resources"].as_array().into_iter().flatten());
        Ok(resources.filter_map(Value::as_str).map(str::to_owned).collect())
    };
    assert_eq!(
        patched("replicas=1")?,
        [
            "idlrepos/status",
            "ssesubscriptions/status",
            "wsroutes/status",
            "idlrepos"
        ]
    );
    assert_eq!(
        patched("subscriptions.enabled=false")?,
        ["idlrepos/status", "wsroutes/status"]
    );
    assert_eq!(
        patched("proxy.enabled=false")?,
        ["idlrepos/status", "ssesubscriptions/status", "idlrepos"]
    );
    Ok(())
}
