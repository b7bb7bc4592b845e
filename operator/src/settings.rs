//! Everything that can be set, read and checked in one place before anything starts.

mod sidecars;
mod subscriptions;

use clap::builder::PossibleValuesParser;
use clap::{ArgAction, Args, Parser};
use heddle_git_remote::AddressPolicy;
use heddle_telemetry::settings::{LogFormat, LogWriting, SettingsError, TelemetrySettings};
use ipnet::IpNet;
use k8s_openapi::api::core::v1::ResourceRequirements;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use sidecars::SidecarArguments;
pub(crate) use sidecars::SidecarsSettings;
use subscriptions::SubscriptionArguments;
pub(crate) use subscriptions::SubscriptionsSettings;

/// Which spans exist unless somebody asks for others. kube's own spans would make a trace of every look at an object,
/// also of those that find nothing.
const SPAN_FILTER: &str = "info,kube_runtime=off,kube_client=off";

/// Hexadecimal digits of the digest of settings.
const VERSION_DIGITS: usize = 32;

/// Watches repositories of protobuf IDL and has Jobs deliver the code generated from them.
#[derive(Debug, Parser)]
#[command(name = "heddle-operator", version, about)]
pub(crate) struct Arguments {
    #[command(flatten)]
    jobs: JobArguments,
    #[command(flatten)]
    lease: LeaseArguments,
    #[command(flatten)]
    sidecars: SidecarArguments,
    #[command(flatten)]
    subscriptions: SubscriptionArguments,
    /// Namespaces to look after, separated by commas; all, if empty
    #[arg(
        long,
        env = "HEDDLE_WATCH_NAMESPACES",
        value_delimiter = ',',
        value_name = "NAMES"
    )]
    watch_namespaces: Vec<String>,
    /// How many objects are reconciled at the same time
    #[arg(long, env = "HEDDLE_CONCURRENCY", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
    /// Networks that neither the operator nor its Jobs connect to, as CIDRs separated by commas. If absent: loopback,
    /// link-local, multicast and unspecified addresses and the metadata services of clouds; if empty: none
    #[arg(long, env = "HEDDLE_DENIED_CIDRS", value_name = "CIDRS")]
    denied_cidrs: Option<Cidrs>,
    /// Address and port of /livez, /readyz and /metrics
    #[arg(
        long,
        env = "HEDDLE_LISTEN",
        default_value = "0.0.0.0:8080",
        value_name = "ADDRESS"
    )]
    listen: SocketAddr,
    /// Name of this replica, which no other may have; its host name and some random digits, if absent
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pod_name: Option<String>,
    /// Seconds that work in progress gets to finish when the operator is stopped
    #[arg(long, env = "HEDDLE_SHUTDOWN_TIMEOUT", default_value_t = 20, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    shutdown_timeout: u64,
    /// What is logged, for operator and Jobs: `level` or `target=level`, separated by commas
    #[arg(long, env = "HEDDLE_LOG", default_value = "info", value_name = "FILTER")]
    log_level: String,
    /// How it is written, for operator and Jobs
    #[arg(long, env = "HEDDLE_LOG_FORMAT", default_value = "auto", value_parser = PossibleValuesParser::new(["auto", "json", "human"]))]
    log_format: String,
}

#[derive(Args, Debug)]
struct JobArguments {
    /// Image of the Jobs that generate code
    #[arg(long, env = "HEDDLE_CODEGEN_IMAGE", value_name = "IMAGE")]
    codegen_image: String,
    /// When nodes pull it
    #[arg(long, env = "HEDDLE_CODEGEN_IMAGE_PULL_POLICY", default_value = "IfNotPresent", value_parser = PossibleValuesParser::new(["Always", "IfNotPresent", "Never"]))]
    codegen_image_pull_policy: String,
    /// Secrets to pull it with, in the IdlRepo's namespace, separated by commas
    #[arg(
        long,
        env = "HEDDLE_IMAGE_PULL_SECRETS",
        value_delimiter = ',',
        value_name = "NAMES"
    )]
    image_pull_secrets: Vec<String>,
    /// Requests and limits of the Jobs' container where the IdlRepo sets none, as in a pod, in JSON
    #[arg(long, env = "HEDDLE_JOB_RESOURCES", value_name = "JSON")]
    job_resources: Option<Resources>,
    /// The most that a Job may write to its work folder, as a quantity
    #[arg(long, env = "HEDDLE_JOB_WORK_SIZE_LIMIT", default_value = "1Gi", value_name = "QUANTITY", value_parser = quantity)]
    job_work_size_limit: String,
}

#[derive(Args, Debug)]
struct LeaseArguments {
    /// Whether replicas agree on one that works; without it there must never be two
    #[arg(long, env = "HEDDLE_LEADER_ELECT", default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    leader_elect: bool,
    /// Namespace of the Lease that they agree by
    #[arg(long, env = "POD_NAMESPACE", default_value = "default", value_name = "NAME")]
    lease_namespace: String,
    /// Name of that Lease
    #[arg(
        long,
        env = "HEDDLE_LEASE_NAME",
        default_value = "heddle-operator",
        value_name = "NAME"
    )]
    lease_name: String,
    /// Seconds after which a leader that has not been heard of is replaced
    #[arg(long, env = "HEDDLE_LEASE_DURATION", default_value_t = 15, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(3..=3600))]
    lease_duration: u32,
}

/// What the operator works by.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) telemetry: TelemetrySettings,
    pub(crate) job_defaults: JobDefaults,
    pub(crate) address_policy: AddressPolicy,
    /// Absent where there is no election.
    pub(crate) lease: Option<LeaseSettings>,
    /// All namespaces, if empty.
    pub(crate) watch_namespaces: Vec<String>,
    pub(crate) concurrency: u16,
    pub(crate) listen: SocketAddr,
    pub(crate) replica: String,
    pub(crate) shutdown_timeout: Duration,
    /// Absent where WsRoutes are not looked after.
    pub(crate) sidecars: Option<SidecarsSettings>,
    /// Absent where SseSubscriptions are not looked after.
    pub(crate) subscriptions: Option<SubscriptionsSettings>,
}

/// What every Job gets.
#[derive(Clone, Debug)]
pub(crate) struct JobDefaults {
    pub(crate) image: String,
    pub(crate) image_pull_policy: String,
    pub(crate) image_pull_secrets: Vec<String>,
    pub(crate) resources: Option<ResourceRequirements>,
    /// A quantity.
    pub(crate) work_size_limit: String,
    /// The default of the Job's own, if absent.
    pub(crate) denied_cidrs: Option<Vec<IpNet>>,
    /// Names and values of variables.
    pub(crate) environment: Vec<(String, String)>,
}

impl JobDefaults {
    /// A digest of what can decide whether a source answers and a run succeeds: when it changes, what failed is worth
    /// another try.
    pub(crate) fn version(&self) -> String {
        let Self {
            image,
            resources,
            work_size_limit,
            denied_cidrs,
            image_pull_policy: _,
            image_pull_secrets: _,
            environment: _,
        } = self;
        let settings = (
            env!("CARGO_PKG_VERSION"),
            image,
            resources,
            work_size_limit,
            denied_cidrs.as_ref().map(|cidrs| format!("{cidrs:?}")),
        );
        // Serialising plain structs with string keys to memory has no way to fail.
        let bytes = serde_json::to_vec(&settings).unwrap_or_default();
        let digits = Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>();
        digits[..VERSION_DIGITS].to_owned()
    }
}

/// The Lease that decides which replica leads.
#[derive(Clone, Debug)]
pub(crate) struct LeaseSettings {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) duration: Duration,
}

impl Settings {
    /// Reads what the process was started with.
    ///
    /// # Errors
    /// [`SettingsError`] for variables of telemetry; clap has checked the rest.
    pub(crate) fn new(
        arguments: Arguments,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        let variables: Vec<_> = variables.into_iter().collect();
        let lookup = |name: &str| {
            variables
                .iter()
                .find(|(variable, _)| variable == name)
                .map(|(_, value)| value.clone())
        };
        let mut telemetry =
            TelemetrySettings::from_variables("heddle-operator", env!("CARGO_PKG_VERSION"), lookup)?;
        telemetry.log_filter = arguments.log_level.clone();
        // Neither reconciles nor sessions wait for whoever reads the log.
        telemetry.log_writing = LogWriting::Queued;
        telemetry.log_format = arguments
            .log_format
            .parse::<LogFormat>()
            .map_err(SettingsError::LogFormat)?;
        if lookup("HEDDLE_SPANS").is_none() {
            telemetry.span_filter = SPAN_FILTER.to_owned();
        }
        let denied_cidrs = arguments.denied_cidrs.clone().map(|cidrs| cidrs.0);
        let address_policy = denied_cidrs.map_or_else(AddressPolicy::default, AddressPolicy::denying);
        Ok(Self {
            telemetry,
            job_defaults: job_defaults(&arguments, &variables),
            sidecars: sidecars::settings(&arguments, &variables),
            subscriptions: subscriptions::settings(&arguments, &address_policy),
            address_policy,
            lease: lease(arguments.lease),
            watch_namespaces: not_empty(arguments.watch_namespaces),
            concurrency: arguments.concurrency,
            listen: arguments.listen,
            replica: arguments.pod_name.unwrap_or_else(random_name),
            shutdown_timeout: Duration::from_secs(arguments.shutdown_timeout),
        })
    }
}

fn job_defaults(arguments: &Arguments, variables: &[(String, String)]) -> JobDefaults {
    JobDefaults {
        image: arguments.jobs.codegen_image.clone(),
        image_pull_policy: arguments.jobs.codegen_image_pull_policy.clone(),
        image_pull_secrets: not_empty(arguments.jobs.image_pull_secrets.clone()),
        resources: arguments.jobs.job_resources.clone().map(|resources| resources.0),
        work_size_limit: arguments.jobs.job_work_size_limit.clone(),
        denied_cidrs: arguments.denied_cidrs.clone().map(|cidrs| cidrs.0),
        environment: environment(arguments, variables),
    }
}

/// What Jobs are told about logs and traces: the same as the operator was, but for whose they are.
fn environment(arguments: &Arguments, variables: &[(String, String)]) -> Vec<(String, String)> {
    let telemetry = variables
        .iter()
        .filter(|(name, value)| is_for_jobs(name) && !holds_credentials(value))
        .cloned();
    let logs = [
        ("HEDDLE_LOG", &arguments.log_level),
        ("HEDDLE_LOG_FORMAT", &arguments.log_format),
    ]
    .map(|(name, value)| (name.to_owned(), value.clone()));
    let mut environment: Vec<_> = telemetry.chain(logs).collect();
    environment.sort();
    environment
}

/// Jobs are in namespaces of others, who can read what is in them: headers and keys of the exporter are the operator's
/// secrets, its certificates are files that a Job does not have, and its name and attributes say whose spans they are.
fn is_for_jobs(variable: &str) -> bool {
    const OF_THE_EXPORTER: [&str; 5] = ["ENDPOINT", "PROTOCOL", "TIMEOUT", "COMPRESSION", "INSECURE"];
    const OTHERS: [&str; 4] = [
        "OTEL_SDK_DISABLED",
        "OTEL_TRACES_EXPORTER",
        "OTEL_TRACES_SAMPLER",
        "OTEL_TRACES_SAMPLER_ARG",
    ];
    match variable.strip_prefix("OTEL_EXPORTER_OTLP_") {
        Some(setting) => OF_THE_EXPORTER.contains(&setting.strip_prefix("TRACES_").unwrap_or(setting)),
        None => OTHERS.contains(&variable) || variable.starts_with("OTEL_BSP_"),
    }
}

/// An address such as `https://user:password@collector`.
fn holds_credentials(value: &str) -> bool {
    value.contains('@')
}

fn lease(arguments: LeaseArguments) -> Option<LeaseSettings> {
    arguments.leader_elect.then(|| LeaseSettings {
        namespace: arguments.lease_namespace,
        name: arguments.lease_name,
        duration: Duration::from_secs(arguments.lease_duration.into()),
    })
}

/// `--flag=` is how a chart says nothing.
fn not_empty(names: Vec<String>) -> Vec<String> {
    names
        .into_iter()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

/// Two processes on one host must never take each other for themselves when they agree on a leader.
fn random_name() -> String {
    let host = hostname::get()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_default();
    format!("{host}_{:08x}", rand::random::<u32>())
}

/// A list of networks, as one argument, so that it can be empty.
#[derive(Clone, Debug)]
struct Cidrs(Vec<IpNet>);

impl FromStr for Cidrs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let cidrs = parts.map(|part| part.parse().map_err(|error| format!("{part:?}: {error}")));
        cidrs.collect::<Result<_, _>>().map(Self)
    }
}

#[derive(Clone, Debug)]
struct Resources(ResourceRequirements);

impl FromStr for Resources {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text).map(Self)
    }
}

/// The forms that Kubernetes reads; it would refuse every Job for another.
fn quantity(text: &str) -> Result<String, String> {
    const SUFFIXES: [&str; 13] = [
        "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "k", "M", "G", "T", "P", "E",
    ];
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match is_number && SUFFIXES.contains(&&text[digits.len()..]) {
        true => Ok(text.to_owned()),
        false => Err("expected a number of bytes with a suffix such as Mi or Gi".into()),
    }
}

#[cfg(test)]
mod tests;
