//! Running other programs: every one with a time limit, and with its own words in the error.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// For commands that answer at once unless something is badly wrong.
pub(crate) const SHORT: Duration = Duration::from_secs(30);
/// For commands that copy files about.
pub(crate) const LONG: Duration = Duration::from_secs(10 * 60);

/// Where administration tools live; PATH of an ordinary user leaves these out.
const ADMINISTRATION: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// How often a streamed command's caller hears that time goes by.
const TICK: Duration = Duration::from_millis(200);
/// Lines of output an error repeats.
const REMEMBERED_LINES: usize = 30;

/// One event of a running command.
#[derive(Debug)]
pub(crate) enum Event {
    /// A line of standard output.
    Out(String),
    /// A line of standard error.
    Error(String),
    /// Time went by.
    Tick,
}

/// A program with its arguments and the longest it may take.
pub(crate) struct Run {
    program: String,
    command: Command,
    limit: Duration,
    input: Option<Vec<u8>>,
}

impl Run {
    /// `program`, found on PATH or by path, killed after [`SHORT`].
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let found = program.as_ref().to_str().and_then(find);
        let mut command = Command::new(found.as_deref().map_or(program.as_ref(), Path::as_os_str));
        command.env("LC_ALL", "C.UTF-8");
        let name = Path::new(program.as_ref())
            .file_name()
            .unwrap_or(program.as_ref());
        Self {
            program: name.to_string_lossy().into_owned(),
            command,
            limit: SHORT,
            input: None,
        }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn current_dir(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Replaces the limit of [`SHORT`].
    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Text for the command's standard input, which is empty otherwise.
    pub(crate) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// Runs to the end and returns standard output.
    ///
    /// # Errors
    /// When the program is missing, fails or takes too long; the text repeats what it said last.
    pub(crate) fn output(self) -> Result<String> {
        let mut output = String::new();
        self.watched(|event| {
            if let Event::Out(line) = event {
                output.push_str(line);
                output.push('\n');
            }
        })?;
        Ok(output)
    }

    /// Runs to the end for its effect alone.
    ///
    /// # Errors
    /// As [`Run::output`].
    pub(crate) fn done(self) -> Result<()> {
        self.output().map(drop)
    }

    /// Runs to the end, handing over every line as it comes, and a tick when none came for a while.
    ///
    /// # Errors
    /// As [`Run::output`].
    pub(crate) fn watched(mut self, mut watch: impl FnMut(&Event)) -> Result<()> {
        let program = self.program.clone();
        let context = || format!("failed to run {program}");
        let mut child = self.spawn().with_context(context)?;
        let lines = forward_lines(&mut child);
        feed(&mut child, self.input.take()).with_context(context)?;
        let mut last = VecDeque::new();
        let ended = follow(&lines, Instant::now() + self.limit, |event| {
            remember(&mut last, event);
            watch(event);
        });
        if !ended {
            child.kill().with_context(context)?;
        }
        let status = child.wait().with_context(context)?;
        if !ended {
            bail!(
                "failed to run {program}: it took longer than {} s{}",
                self.limit.as_secs(),
                repeat(&last)
            );
        }
        check(&program, status, &last)
    }

    fn spawn(&mut self) -> std::io::Result<Child> {
        let input = if self.input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        };
        self.command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }
}

fn feed(child: &mut Child, input: Option<Vec<u8>>) -> std::io::Result<()> {
    match (child.stdin.take(), input) {
        (Some(mut stdin), Some(bytes)) => stdin.write_all(&bytes),
        _ => Ok(()),
    }
}

/// The readers end when both pipes do; nobody needs to wait for them after that.
fn forward_lines(child: &mut Child) -> Receiver<Event> {
    let (sender, receiver) = mpsc::channel();
    if let Some(out) = child.stdout.take() {
        forward(out, sender.clone(), Event::Out);
    }
    if let Some(errors) = child.stderr.take() {
        forward(errors, sender, Event::Error);
    }
    receiver
}

fn forward(pipe: impl Read + Send + 'static, lines: Sender<Event>, event: fn(String) -> Event) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { return };
            if lines
                .send(event(String::from_utf8_lossy(&line).into_owned()))
                .is_err()
            {
                return;
            }
        }
    });
}

/// True when both pipes came to their end, false when the deadline did.
fn follow(lines: &Receiver<Event>, deadline: Instant, mut watch: impl FnMut(&Event)) -> bool {
    loop {
        match lines.recv_timeout(TICK) {
            Ok(event) => watch(&event),
            Err(RecvTimeoutError::Timeout) => watch(&Event::Tick),
            Err(RecvTimeoutError::Disconnected) => return true,
        }
        if Instant::now() >= deadline {
            return false;
        }
    }
}

fn remember(last: &mut VecDeque<String>, event: &Event) {
    if let Event::Error(line) | Event::Out(line) = event {
        if last.len() == REMEMBERED_LINES {
            last.pop_front();
        }
        last.push_back(line.clone());
    }
}

fn repeat(last: &VecDeque<String>) -> String {
    last.iter().map(|line| format!("\n    {line}")).collect()
}

fn check(program: &str, status: ExitStatus, last: &VecDeque<String>) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    bail!("failed to run {program}: {status}{}", repeat(last))
}

/// The path of `program`, looked for on PATH and in the folders where administration tools live. A path is taken as
/// it is.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(ADMINISTRATION.iter().map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_repeats_what_it_said() {
        let error = Run::new("sh")
            .args(["-c", "echo out of cheese >&2; exit 3"])
            .done()
            .unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.contains("failed to run sh") && text.contains("out of cheese"),
            "{text}"
        );
    }

    #[test]
    fn a_command_that_hangs_is_killed() {
        let error = Run::new("sh")
            .args(["-c", "exec tail -f /dev/null"])
            .limit(Duration::from_millis(300))
            .done();
        assert!(format!("{:#}", error.unwrap_err()).contains("took longer"));
    }

    #[test]
    fn input_reaches_the_command() {
        assert_eq!(Run::new("cat").input("one\ntwo").output().unwrap(), "one\ntwo\n");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Run::new("no-such-program").done().unwrap_err();
        assert!(error.to_string().contains("failed to run no-such-program"));
    }
}
