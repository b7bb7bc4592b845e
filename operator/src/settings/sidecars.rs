//! What WsRoutes need: the sidecar, the webhook, the configuration stream, and certificates for both.

use super::{Arguments, Resources, environment, not_empty};
use crate::certificates::{CertificateIssuer, CertificateSettings, Lifetimes, authorities};
use crate::config_stream::{ConfigStreamSettings, ServiceSettings};
use crate::webhook::SidecarSettings;
use clap::Args;
use clap::builder::PossibleValuesParser;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// What WsRoutes need.
#[derive(Clone, Debug)]
pub(crate) struct SidecarsSettings {
    pub(crate) sidecar: SidecarSettings,
    /// Where the webhook listens.
    pub(crate) webhook_listen: SocketAddr,
    /// How long it is served on after the replica has begun to stop.
    pub(crate) webhook_linger: Duration,
    pub(crate) stream: ConfigStreamSettings,
    pub(crate) certificates: CertificateSettings,
}

#[derive(Args, Debug)]
pub(super) struct SidecarArguments {
    /// Image of the sidecars of pods that WsRoutes select; without it, WsRoutes are not looked after
    #[arg(long, env = "HEDDLE_PROXY_IMAGE", value_name = "IMAGE")]
    proxy_image: Option<String>,
    /// When nodes pull it
    #[arg(long, env = "HEDDLE_PROXY_IMAGE_PULL_POLICY", default_value = "IfNotPresent", value_parser = PossibleValuesParser::new(["Always", "IfNotPresent", "Never"]))]
    proxy_image_pull_policy: String,
    /// Secrets to pull it with, in the pods' namespaces, separated by commas
    #[arg(
        long,
        env = "HEDDLE_PROXY_IMAGE_PULL_SECRETS",
        value_delimiter = ',',
        value_name = "NAMES"
    )]
    proxy_image_pull_secrets: Vec<String>,
    /// Port of the pod at which sidecars answer probes and scrapes; neither routes nor containers may have it
    #[arg(long, env = "HEDDLE_PROXY_ADMIN_PORT", default_value_t = 19437, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1024..))]
    proxy_admin_port: u16,
    /// Requests and limits of the sidecars' container, as in a pod, in JSON
    #[arg(long, env = "HEDDLE_PROXY_RESOURCES", value_name = "JSON")]
    proxy_resources: Option<Resources>,
    /// Address and port of the admission webhook
    #[arg(
        long,
        env = "HEDDLE_WEBHOOK_LISTEN",
        default_value = "0.0.0.0:9443",
        value_name = "ADDRESS"
    )]
    webhook_listen: SocketAddr,
    /// Seconds that the webhook is served on after the replica was told to stop: until its address is out of the Service
    #[arg(long, env = "HEDDLE_WEBHOOK_LINGER", default_value_t = 5, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=60))]
    webhook_linger: u64,
    /// Name of the MutatingWebhookConfiguration and of the ValidatingWebhookConfiguration whose `caBundle` is kept up to
    /// date; none, if absent
    #[arg(long, env = "HEDDLE_WEBHOOK_CONFIGURATION", value_name = "NAME")]
    webhook_configuration: Option<String>,
    /// Address and port of the configuration stream, while this replica leads
    #[arg(
        long,
        env = "HEDDLE_CONFIGURATION_LISTEN",
        default_value = "0.0.0.0:9444",
        value_name = "ADDRESS"
    )]
    configuration_listen: SocketAddr,
    /// Where sidecars connect to it
    #[arg(
        long,
        env = "HEDDLE_CONFIGURATION_URL",
        default_value = "https://heddle-configuration",
        value_name = "URL"
    )]
    configuration_url: String,
    /// Name of the Service without selector that is to lead to the leader's configuration stream; needs --pod-ip
    #[arg(
        long,
        env = "HEDDLE_CONFIGURATION_SERVICE",
        value_name = "NAME",
        requires = "pod_ip"
    )]
    configuration_service: Option<String>,
    /// File with a service-account token for the audience heddle-broadcasts, by which replicas know each other: those that
    /// do not lead have the leader relay messages to sidecars
    #[arg(long, env = "HEDDLE_BROADCAST_TOKEN_FILE", value_name = "FILE")]
    broadcast_token_file: Option<PathBuf>,
    /// Address of this pod
    #[arg(long, env = "POD_IP", value_name = "ADDRESS")]
    pod_ip: Option<IpAddr>,
    #[command(flatten)]
    certificates: CertificateArguments,
}

#[derive(Args, Debug)]
struct CertificateArguments {
    /// Name of the Secret with the certificate of webhook and configuration stream
    #[arg(
        long,
        env = "HEDDLE_CERTIFICATE_SECRET",
        default_value = "heddle-certificates",
        value_name = "NAME"
    )]
    certificate_secret: String,
    /// Who fills it: the leader, or somebody else such as cert-manager
    #[arg(long, env = "HEDDLE_CERTIFICATE_ISSUER", default_value = "heddle", value_parser = PossibleValuesParser::new(["heddle", "external"]))]
    certificate_issuer: String,
    /// Authorities to trust besides those that sign the certificate now, in PEM: those of an issuer that is to come
    #[arg(long, env = "HEDDLE_ADDITIONAL_AUTHORITIES", default_value = "", hide_env_values = true, value_name = "PEM", value_parser = authorities)]
    additional_authorities: String,
    /// Names and addresses that the certificate is for, separated by commas
    #[arg(
        long,
        env = "HEDDLE_CERTIFICATE_NAMES",
        value_delimiter = ',',
        default_value = "heddle-configuration,heddle-webhook",
        value_name = "NAMES"
    )]
    certificate_names: Vec<String>,
    /// Seconds that an authority lasts; it is replaced when a third of that is left
    #[arg(long, env = "HEDDLE_AUTHORITY_LIFETIME", default_value_t = 365 * 24 * 3600, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(30..=10 * 365 * 24 * 3600))]
    authority_lifetime: u64,
    /// Seconds that a certificate lasts; it is replaced when a third of that is left
    #[arg(long, env = "HEDDLE_CERTIFICATE_LIFETIME", default_value_t = 30 * 24 * 3600, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(10..=365 * 24 * 3600))]
    certificate_lifetime: u64,
    /// Seconds that a new authority is announced before it signs; at most a sixth of its lifetime
    #[arg(long, env = "HEDDLE_AUTHORITY_ANNOUNCEMENT", default_value_t = 24 * 3600, value_name = "SECONDS")]
    authority_announcement: u64,
}

/// `None` without an image to give to pods.
pub(super) fn settings(arguments: &Arguments, variables: &[(String, String)]) -> Option<SidecarsSettings> {
    let sidecars = &arguments.sidecars;
    let namespace = &arguments.lease.lease_namespace;
    let image = sidecars.proxy_image.clone().filter(|image| !image.is_empty())?;
    let service = sidecars.configuration_service.as_ref().zip(sidecars.pod_ip);
    Some(SidecarsSettings {
        sidecar: SidecarSettings {
            image,
            image_pull_policy: sidecars.proxy_image_pull_policy.clone(),
            image_pull_secrets: not_empty(sidecars.proxy_image_pull_secrets.clone()),
            admin_port: sidecars.proxy_admin_port,
            resources: sidecars.proxy_resources.clone().map(|resources| resources.0),
            configuration_url: sidecars.configuration_url.clone(),
            environment: environment(arguments, variables),
        },
        webhook_listen: sidecars.webhook_listen,
        webhook_linger: Duration::from_secs(sidecars.webhook_linger),
        stream: ConfigStreamSettings {
            listen: sidecars.configuration_listen,
            broadcast_token_file: sidecars.broadcast_token_file.clone(),
            service: service.map(|(name, pod_address)| ServiceSettings {
                namespace: namespace.clone(),
                name: name.clone(),
                pod_name: arguments.pod_name.clone().unwrap_or_default(),
                pod_address,
            }),
        },
        certificates: certificates(sidecars, namespace),
    })
}

fn certificates(sidecars: &SidecarArguments, namespace: &str) -> CertificateSettings {
    /// So that an authority is announced and promoted well before the older one ends.
    const ANNOUNCEMENT_SHARE: u32 = 6;
    let arguments = &sidecars.certificates;
    let authority = Duration::from_secs(arguments.authority_lifetime);
    let announcement = Duration::from_secs(arguments.authority_announcement);
    CertificateSettings {
        namespace: namespace.to_owned(),
        secret: arguments.certificate_secret.clone(),
        issuer: match arguments.certificate_issuer.as_str() {
            "external" => CertificateIssuer::External,
            _ => CertificateIssuer::Heddle(Lifetimes {
                authority,
                serving: Duration::from_secs(arguments.certificate_lifetime),
                announcement: announcement.min(authority / ANNOUNCEMENT_SHARE),
            }),
        },
        names: not_empty(arguments.certificate_names.clone()),
        additional_authorities: arguments.additional_authorities.clone(),
        webhook_configuration: sidecars.webhook_configuration.clone(),
    }
}
