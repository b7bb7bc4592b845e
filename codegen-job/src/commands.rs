//! The commands for people and for the Job: telemetry, signals, the run, and the last words.

use crate::cli::{CheckArguments, Command, PluginArguments, RunArguments};
use crate::message_commands;
use crate::outcome::{EXPLAINED, Voice, print, report, tell_rehearsal, write_report};
use crate::signals::Signals;
use heddle_codegen::deliver::Delivered;
use heddle_codegen::failure::Failure;
use heddle_codegen::gate::{Compared, write_findings};
use heddle_codegen::plugin::version_of;
use heddle_codegen::redact::Redactor;
use heddle_codegen::request::Request;
use heddle_codegen::run::{Progress, Run};
use heddle_codegen::stop::Stop;
use heddle_crds::codegen::EXIT_BREAKING;
use heddle_telemetry::{ContinueTrace, ErrorChain, LogFormat, Telemetry, TelemetrySettings, TraceParent};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;
use tracing::Instrument;

/// How long the last spans may take to be exported.
const EXPORT_DEADLINE: Duration = Duration::from_secs(5);
/// How long listing plugins may take.
const LISTING_TIMEOUT: Duration = Duration::from_secs(120);

/// Executes a command on a runtime of its own.
pub(crate) fn execute(command: Command) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&error),
    };
    let code = runtime.block_on(execute_here(command));
    // A Git operation that was told to stop may still be waiting for its server.
    runtime.shutdown_background();
    code
}

async fn execute_here(command: Command) -> ExitCode {
    let (voice, telemetry) = match start_telemetry(&command) {
        Ok(started) => started,
        Err(code) => return code,
    };
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return refuse(&error),
    };
    let code = match command {
        Command::Run(arguments) => run(&arguments, voice, signals).await,
        Command::Check(arguments) => check(&arguments, voice, signals).await,
        Command::Plugins(arguments) => list_plugins(&arguments, voice).await,
        Command::Decode(arguments) => message_commands::decode_message(&arguments).await,
        Command::Encode(arguments) => message_commands::encode_message(&arguments).await,
        Command::Get(arguments) => message_commands::get_values(&arguments).await,
        Command::Set(arguments) => message_commands::set_values(&arguments).await,
        Command::Diff(arguments) => message_commands::compare_messages(&arguments).await,
        // Handled before there was a runtime.
        Command::Confine(_) | Command::Builtin { .. } => ExitCode::FAILURE,
    };
    if let Err(error) = telemetry.shutdown(EXPORT_DEADLINE).await {
        tracing::warn!(error = %ErrorChain(&error), "the last spans were not exported");
    }
    code
}

/// A Job speaks to machines. Everybody else is a person, or the log of a pull request that a person reads.
fn start_telemetry(command: &Command) -> Result<(Voice, Telemetry), ExitCode> {
    let settings = TelemetrySettings::from_environment("heddle-codegen", env!("CARGO_PKG_VERSION"));
    let mut settings = settings.map_err(|error| refuse(&error))?;
    let in_job = matches!(command, Command::Run(arguments) if arguments.termination_message.is_some());
    let is_human = match settings.log_format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => !in_job || std::io::stderr().is_terminal(),
    };
    if is_human {
        settings.log_format = LogFormat::Human;
        settings.log_filter.push_str(&format!(",{EXPLAINED}=off"));
    } else {
        settings.log_format = LogFormat::Json;
    }
    let telemetry = heddle_telemetry::init(settings).map_err(|error| refuse(&error))?;
    Ok((Voice { is_human }, telemetry))
}

fn refuse(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprintln!("error: {}", ErrorChain(error));
    ExitCode::FAILURE
}

/// The span of everything, continuing the trace of whoever started us.
fn root_span(command: &'static str) -> tracing::Span {
    let span = tracing::info_span!("codegen", command);
    if let Some(parent) = TraceParent::from_process_environment()
        && let Err(error) = span.continue_from(&parent)
    {
        tracing::debug!(%error, "this run is a trace of its own");
    }
    span
}

async fn run(arguments: &RunArguments, voice: Voice, signals: Signals) -> ExitCode {
    let redactor = arguments.redactor();
    let mut progress = Progress::default();
    let attempt = async {
        let result = attempt_run(arguments, voice, signals, &mut progress).await;
        result.inspect_err(|failure| voice.log(failure, &redactor))
    };
    let result = attempt.instrument(root_span("run")).await;
    let error = result
        .as_ref()
        .err()
        .map(|failure| failure.to_run_error(&redactor));
    write_report(
        &report(&progress, error),
        arguments.termination_message.as_deref(),
    );
    finish(result, voice, &redactor)
}

async fn attempt_run(
    arguments: &RunArguments,
    voice: Voice,
    signals: Signals,
    progress: &mut Progress,
) -> Result<Delivered, Failure> {
    progress.commit = arguments.common.commit;
    let request = Request::read(&arguments.common.file)?;
    let work_folder = arguments.common.create_work_folder()?;
    let stop = Stop::after(arguments.common.timeout.unwrap_or(request.timeout));
    let run = Run::new(
        request.clone(),
        arguments.surroundings(request.compatibility.as_ref(), work_folder.path())?,
        stop.clone(),
    );
    let work = async {
        if arguments.dry_run {
            let rehearsal = run.rehearse(&arguments.origin()).await?;
            tell_rehearsal(&rehearsal).map_err(Failure::Print)?;
            return Ok(Delivered {
                commit: None,
                committed: false,
                counts: rehearsal.plan.counts,
            });
        }
        let resolved = run.resolve(arguments.common.commit).await?;
        let pushed = |progress: &Progress| {
            write_report(&report(progress, None), arguments.termination_message.as_deref());
        };
        let delivered = run.deliver(resolved, progress, &pushed).await?;
        voice.tell_delivered(&request, &delivered);
        Ok(delivered)
    };
    signals.cancel_during(&stop.cancelled, work).await
}

async fn check(arguments: &CheckArguments, voice: Voice, signals: Signals) -> ExitCode {
    let redactor = arguments.redactor();
    let attempt = async {
        let result = attempt_check(arguments, signals).await;
        result.inspect_err(|failure| voice.log(failure, &redactor))
    };
    match attempt.instrument(root_span("check")).await {
        Ok(Some(compared)) if compared.needs_acceptance() => exit_code(EXIT_BREAKING),
        result => finish(result, voice, &redactor),
    }
}

async fn attempt_check(arguments: &CheckArguments, signals: Signals) -> Result<Option<Compared>, Failure> {
    let request = Request::read(&arguments.common.file)?;
    let work_folder = arguments.common.create_work_folder()?;
    let stop = Stop::after(arguments.common.timeout.unwrap_or(request.timeout));
    let surroundings = arguments.surroundings(request.compatibility.as_ref(), work_folder.path())?;
    let run = Run::new(request, surroundings, stop.clone());
    let (compiled, compared) = signals
        .cancel_during(&stop.cancelled, run.check(&arguments.origin()))
        .await?;
    let mut text = String::new();
    if let Some(compared) = &compared {
        // Writing to a String has no way to fail.
        write_findings(&mut text, compared).ok();
    }
    text.push_str(&format!("{} files compile\n", compiled.files_to_generate.len()));
    print(&text).map_err(Failure::Print)?;
    Ok(compared)
}

async fn list_plugins(arguments: &PluginArguments, voice: Voice) -> ExitCode {
    let result = async {
        let parent = std::env::temp_dir();
        let empty = tempfile::tempdir().map_err(|source| Failure::Work {
            folder: parent,
            source,
        })?;
        let workshop = arguments.workshop(empty.path().to_owned(), Redactor::default())?;
        let stop = Stop::after(LISTING_TIMEOUT);
        for plugin in arguments.registry().all() {
            let version = version_of(&plugin, &workshop, &stop).await?;
            let place = plugin
                .path()
                .map_or("built in".into(), |path| path.display().to_string());
            println!("{:<20} {:<20} {place}", version.plugin, version.version);
        }
        Ok(())
    };
    finish(result.await, voice, &Redactor::default())
}

fn finish<T>(result: Result<T, Failure>, voice: Voice, redactor: &Redactor) -> ExitCode {
    match result {
        Ok(_) => ExitCode::SUCCESS,
        Err(failure) => {
            voice.explain(&failure, redactor);
            exit_code(failure.exit_code())
        }
    }
}

fn exit_code(code: i32) -> ExitCode {
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}
