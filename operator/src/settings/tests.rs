use super::*;
use crate::certificates::CertificateIssuer;

fn settings(arguments: &[&str], variables: &[(&str, &str)]) -> Settings {
    let arguments = ["heddle-operator", "--codegen-image=codegen"]
        .iter()
        .chain(arguments);
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::new(Arguments::try_parse_from(arguments).unwrap(), variables).unwrap()
}

fn refusal(arguments: &[&str]) -> String {
    Arguments::try_parse_from(["heddle-operator"].iter().chain(arguments))
        .unwrap_err()
        .to_string()
}

#[test]
fn the_image_is_all_that_has_to_be_given() {
    let settings = settings(&[], &[]);
    assert!(settings.watch_namespaces.is_empty());
    assert_eq!(settings.address_policy, AddressPolicy::default());
    assert_eq!(settings.job_defaults.denied_cidrs, None);
    assert_eq!(settings.lease.unwrap().name, "heddle-operator");
    assert!(refusal(&[]).contains("--codegen-image"));
}

#[test]
fn subscriptions_are_kept_out_of_more_networks_than_others_and_of_metadata_services_by_default() {
    let permits = |arguments: &[&str], address: &str| {
        let settings = settings(arguments, &[]);
        let address = address.parse().unwrap();
        let of_subscriptions = settings.subscriptions.unwrap().policy.permits(address);
        (settings.address_policy.permits(address), of_subscriptions)
    };
    assert_eq!(permits(&[], "10.96.0.1"), (true, true));
    assert_eq!(permits(&[], "169.254.169.254"), (false, false));
    let cluster = ["--sse-denied-cidrs=10.96.0.0/12"];
    assert_eq!(permits(&cluster, "10.96.0.1"), (true, false));
    assert_eq!(permits(&cluster, "169.254.169.254"), (false, false));
}

#[test]
fn no_denied_networks_is_something_else_than_not_saying() {
    let none = settings(&["--denied-cidrs="], &[]);
    assert_eq!(none.address_policy, AddressPolicy::denying(Vec::new()));
    assert_eq!(none.job_defaults.denied_cidrs, Some(Vec::new()));
    let some = settings(&["--denied-cidrs=10.0.0.0/8, fd00::/8"], &[]);
    assert_eq!(some.job_defaults.denied_cidrs.unwrap().len(), 2);
}

#[test]
fn nonsense_is_refused_at_the_start() {
    for arguments in [
        ["--codegen-image=i", "--denied-cidrs=10.0.0.0"],
        ["--codegen-image=i", "--job-resources={\"limits\":1}"],
        ["--codegen-image=i", "--job-work-size-limit=1.5Gi"],
        ["--codegen-image=i", "--concurrency=0"],
        ["--codegen-image=i", "--codegen-image-pull-policy=Sometimes"],
        ["--codegen-image=i", "--log-format=xml"],
    ] {
        let flag = arguments[1].split('=').next().unwrap();
        assert!(refusal(&arguments).contains(flag), "{flag}");
    }
}

#[test]
fn jobs_are_told_of_logs_and_traces_what_the_operator_is_told() {
    let settings = settings(
        &["--log-level=debug", "--log-format=json"],
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317"),
            ("OTEL_SERVICE_NAME", "heddle-operator"),
            ("HOME", "/"),
        ],
    );
    let environment: Vec<_> = settings
        .job_defaults
        .environment
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(
        environment,
        [
            "HEDDLE_LOG=debug",
            "HEDDLE_LOG_FORMAT=json",
            "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4317"
        ]
    );
}

#[test]
fn no_credentials_of_the_exporter_get_into_jobs() {
    const CANARY: &str = "canary-5d1e";
    let with_canary = |text: &str| text.replace("{}", CANARY);
    let header = with_canary("authorization=Bearer {}");
    let settings = settings(
        &[],
        &[
            ("OTEL_EXPORTER_OTLP_HEADERS", &header),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", &header),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", CANARY),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", CANARY),
            ("OTEL_RESOURCE_ATTRIBUTES", &with_canary("token={}")),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                &with_canary("https://user:{}@collector"),
            ),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://collector"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
            ("OTEL_BSP_SCHEDULE_DELAY", "1000"),
            ("OTEL_TRACES_SAMPLER", "always_on"),
        ],
    );
    let environment = settings.job_defaults.environment;
    assert!(!format!("{environment:?}").contains(CANARY), "{environment:?}");
    let names: Vec<_> = environment.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "HEDDLE_LOG",
            "HEDDLE_LOG_FORMAT",
            "OTEL_BSP_SCHEDULE_DELAY",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "OTEL_TRACES_SAMPLER"
        ]
    );
}

#[test]
fn empty_lists_from_a_chart_are_no_names() {
    let settings = settings(&["--watch-namespaces=", "--image-pull-secrets=a,b"], &[]);
    assert!(settings.watch_namespaces.is_empty());
    assert_eq!(settings.job_defaults.image_pull_secrets, ["a", "b"]);
}

#[test]
fn ws_routes_are_looked_after_only_with_an_image_for_sidecars() {
    assert!(settings(&[], &[]).sidecars.is_none());
    // How a chart says nothing.
    assert!(settings(&["--proxy-image="], &[]).sidecars.is_none());
    let sidecars = settings(&["--proxy-image=proxy"], &[]).sidecars.unwrap();
    assert_eq!(sidecars.sidecar.image, "proxy");
    assert!(sidecars.stream.service.is_none());
    let log = ("HEDDLE_LOG".to_owned(), "info".to_owned());
    assert!(sidecars.sidecar.environment.contains(&log));
    let external = [
        "--proxy-image=proxy",
        "--certificate-issuer=external",
        "--configuration-service=heddle-configuration",
        "--pod-ip=10.0.0.7",
    ];
    let sidecars = settings(&external, &[]).sidecars.unwrap();
    assert!(matches!(
        sidecars.certificates.issuer,
        CertificateIssuer::External
    ));
    assert_eq!(
        sidecars.stream.service.unwrap().pod_address.to_string(),
        "10.0.0.7"
    );
    assert!(refusal(&["--codegen-image=a", "--configuration-service=a"]).contains("--pod-ip"));
}

#[test]
fn an_authority_is_promoted_well_before_the_older_one_ends() {
    let arguments = ["--proxy-image=proxy", "--authority-lifetime=3600"];
    let certificates = settings(&arguments, &[]).sidecars.unwrap().certificates;
    let CertificateIssuer::Heddle(lifetimes) = certificates.issuer else {
        panic!("{:?}", certificates.issuer)
    };
    // A day by default, which is more than this authority has.
    assert_eq!(lifetimes.announcement.as_secs(), 600);
}
