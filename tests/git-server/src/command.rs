//! Running Debian's git and its neighbours, without regard to anybody's own configuration.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// Settings for every git that is run, given by environment as `git config` pairs. Repositories of test folders
/// and mounted volumes often belong to another user than the process, and a collection of garbage in the background
/// would outlive the test, or be left to a process 1 that never waits for it.
const SETTINGS: [(&str, &str); 4] = [
    ("safe.directory", "*"),
    ("init.defaultBranch", "main"),
    ("gc.auto", "0"),
    ("receive.autogc", "false"),
];

/// The environment that makes git independent of the machine, with `more` settings.
pub(crate) fn environment(more: &[(&str, &str)]) -> Vec<(String, String)> {
    let settings: Vec<_> = SETTINGS.iter().chain(more).collect();
    let mut variables = vec![
        ("GIT_CONFIG_GLOBAL".to_owned(), "/dev/null".to_owned()),
        ("GIT_CONFIG_NOSYSTEM".to_owned(), "1".to_owned()),
        ("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned()),
        ("LC_ALL".to_owned(), "C".to_owned()),
        ("GIT_CONFIG_COUNT".to_owned(), settings.len().to_string()),
    ];
    for (index, (key, value)) in settings.into_iter().enumerate() {
        variables.push((format!("GIT_CONFIG_KEY_{index}"), (*key).to_owned()));
        variables.push((format!("GIT_CONFIG_VALUE_{index}"), (*value).to_owned()));
    }
    variables.extend(std::env::var("PATH").map(|path| ("PATH".to_owned(), path)));
    variables
}

/// `git` in `directory`, ready for arguments.
pub(crate) fn git(directory: &Path, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new("git");
    command
        .env_clear()
        .envs(environment(settings))
        .current_dir(directory)
        .stdin(Stdio::null());
    command
}

/// Runs `command` to its end, and returns what it printed.
pub(crate) fn run(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| cannot_start(command))?;
    finish(command, output)
}

/// [`run`] with `input` on standard input.
pub(crate) fn run_with_input(command: &mut Command, input: &[u8]) -> Result<Vec<u8>> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| cannot_start(command))?;
    let written = child
        .stdin
        .take()
        .map_or(Ok(()), |mut stdin| stdin.write_all(input));
    let output = child.wait_with_output().context("failed to wait for a command")?;
    let printed = finish(command, output)?;
    written.context("failed to write to a command")?;
    Ok(printed)
}

/// [`run`], with what it printed as text without the last line end.
pub(crate) fn run_text(command: &mut Command) -> Result<String> {
    let printed = String::from_utf8(run(command)?).context("a command printed something else than text")?;
    Ok(printed.trim_end().to_owned())
}

fn cannot_start(command: &Command) -> String {
    let program = command.get_program().display();
    format!("failed to start {program}; on Debian: apt-get install git openssh-server openssh-client")
}

fn finish(command: &Command, output: Output) -> Result<Vec<u8>> {
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        // Not the environment: it holds credentials.
        let arguments: Vec<_> = command
            .get_args()
            .map(|argument| argument.to_string_lossy())
            .collect();
        let program = command.get_program().display();
        bail!(
            "{program} {} failed ({}): {}",
            arguments.join(" "),
            output.status,
            words.trim()
        );
    }
    Ok(output.stdout)
}
