//! Everything that can be set, read and checked in one place before anything starts.

use crate::config::files::Paths;
use crate::config_stream::StreamSettings;
use crate::tls::Secrets;
use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};
use heddle_telemetry::settings::{LogFormat, LogWriting, SettingsError, TelemetrySettings};
use http::Uri;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Proxies WebSocket connections by the WsRoutes that it is given.
#[derive(Debug, Parser)]
#[command(name = "heddle-proxy", version, about)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve routes until told to stop
    Run(Box<RunArguments>),
    /// Check manifests and print what they say
    Check(CheckArguments),
    /// Have the proxy that runs beside this command end every session in order, and wait until it has
    Drain(DrainArguments),
}

#[derive(Args, Debug)]
pub(crate) struct DrainArguments {
    /// The folder that the proxy was started with
    #[arg(long, env = "HEDDLE_STATE_DIR", value_name = "FOLDER")]
    pub(crate) state_dir: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct CheckArguments {
    /// Files with WsRoute manifests, each of one or several YAML documents
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct RunArguments {
    /// Files with WsRoute manifests, each of one or several YAML documents; they are watched
    #[arg(
        short,
        long = "file",
        value_name = "FILE",
        required_unless_present = "configuration_url",
        conflicts_with = "configuration_url"
    )]
    files: Vec<PathBuf>,
    #[command(flatten)]
    stream: StreamArguments,
    /// Address that routes' ports are opened at; all, if absent
    #[arg(long, env = "HEDDLE_LISTEN_ADDRESS", value_name = "ADDRESS")]
    listen_address: Option<IpAddr>,
    /// Address and port of /livez, /readyz and /metrics; no route may have the port
    #[arg(
        long,
        env = "HEDDLE_ADMIN",
        default_value = "127.0.0.1:19437",
        value_name = "ADDRESS"
    )]
    admin: SocketAddr,
    /// Encoded descriptor set that stands for what an IdlRepo has published; it is watched
    #[arg(long = "descriptors", value_name = "IDLREPO=FILE", value_parser = name_and_path)]
    descriptors: Vec<(String, PathBuf)>,
    /// Folder of Secrets, each in a folder of its name, with `tls.crt`, `tls.key` and `ca.crt`
    #[arg(long, env = "HEDDLE_SECRETS_DIR", value_name = "FOLDER")]
    secrets_dir: Option<PathBuf>,
    /// Folder in which `heddle-proxy drain` finds this process, and in which what came from the operator is kept
    #[arg(long, env = "HEDDLE_STATE_DIR", value_name = "FOLDER")]
    state_dir: Option<PathBuf>,
    /// Threads that serve connections; as many as there are processors for this process, if absent
    #[arg(long, env = "HEDDLE_THREADS", value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// What is logged: `level` or `target=level`, separated by commas. Sessions are of target `heddle_proxy::access`
    #[arg(long, env = "HEDDLE_LOG", default_value = "info", value_name = "FILTER")]
    log_level: String,
    /// How it is written
    #[arg(long, env = "HEDDLE_LOG_FORMAT", default_value = "auto", value_parser = PossibleValuesParser::new(["auto", "json", "human"]))]
    log_format: String,
}

#[derive(Args, Debug)]
struct StreamArguments {
    /// Where routes come from instead of files: the operator, such as `https://heddle-configuration.heddle-system.svc`
    #[arg(long, env = "HEDDLE_CONFIGURATION_URL", value_name = "URL", requires_all = ["trust_bundle", "token_file", "state_dir"])]
    configuration_url: Option<Uri>,
    /// The authorities, in PEM, that the operator's certificate may be signed by, until it names others itself
    #[arg(long, env = "HEDDLE_TRUST_BUNDLE", value_name = "PEM", hide_env_values = true)]
    trust_bundle: Option<String>,
    /// File with authorities, in PEM, that it may be signed by besides; it is read again for each connection, and need not be
    /// there
    #[arg(long, env = "HEDDLE_TRUST_BUNDLE_FILE", value_name = "FILE")]
    trust_bundle_file: Option<PathBuf>,
    /// File with the service-account token that is shown to the operator
    #[arg(long, env = "HEDDLE_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl StreamArguments {
    /// `None` where routes come from files.
    fn settings(self, state_dir: Option<&PathBuf>) -> Option<StreamSettings> {
        Some(StreamSettings {
            url: self.configuration_url?,
            trust_bundle: self.trust_bundle?,
            trust_bundle_file: self.trust_bundle_file,
            token_file: self.token_file?,
            state_dir: state_dir?.clone(),
        })
    }
}

/// What the proxy works by.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) telemetry: TelemetrySettings,
    pub(crate) paths: Paths,
    /// Absent where routes come from files.
    pub(crate) stream: Option<StreamSettings>,
    pub(crate) secrets: Secrets,
    pub(crate) state_dir: Option<PathBuf>,
    /// Every address, if absent.
    pub(crate) listen_address: Option<IpAddr>,
    pub(crate) admin: SocketAddr,
    pub(crate) threads: usize,
}

impl Settings {
    /// Reads what the process was started with.
    ///
    /// # Errors
    /// [`SettingsError`] for variables of telemetry; clap has checked the rest.
    pub(crate) fn new(
        arguments: RunArguments,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let version = env!("CARGO_PKG_VERSION");
        let mut telemetry = TelemetrySettings::from_variables("heddle-proxy", version, variable)?;
        telemetry.log_filter = arguments.log_level;
        // Neither reconciles nor sessions wait for whoever reads the log.
        telemetry.log_writing = LogWriting::Queued;
        telemetry.log_format = arguments
            .log_format
            .parse::<LogFormat>()
            .map_err(SettingsError::LogFormat)?;
        Ok(Self {
            telemetry,
            paths: Paths {
                manifests: arguments.files,
                descriptors: arguments.descriptors,
            },
            stream: arguments.stream.settings(arguments.state_dir.as_ref()),
            secrets: Secrets::new(arguments.secrets_dir),
            state_dir: arguments.state_dir,
            listen_address: arguments.listen_address,
            admin: arguments.admin,
            threads: arguments.threads.map_or_else(processors, usize::from),
        })
    }
}

fn name_and_path(text: &str) -> Result<(String, PathBuf), &'static str> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((name.to_owned(), path.into())),
        _ => Err("expected the name of an IdlRepo, '=' and a file"),
    }
}

/// The processors that this process may use: the standard library asks the affinity mask and the control group.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
