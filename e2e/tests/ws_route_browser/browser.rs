//! A real browser without a window: Debian's Chromium, told what to do in the DevTools protocol over two named pipes.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PROGRAM: &str = "chromium";

/// Descriptors 3 and 4 are where it reads commands and writes answers; a shell can give them to it.
const SCRIPT: &str = r#"exec "$0" "$@" 3<commands 4>answers"#;

/// What it is started with. Tests run as root, where its own sandbox does not work; they open our own page alone.
const OPTIONS: [&str; 6] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
    "--user-data-dir=profile",
];

/// Ends each message of the protocol on a pipe.
const END: u8 = 0;

/// How long a page may take to say something.
const LIMIT: Duration = Duration::from_secs(60);

/// A running browser with one page. It is killed when dropped.
pub(crate) struct Browser {
    process: Child,
    commands: File,
    answers: BufReader<File>,
    /// The session with the page, once it is there.
    session: Option<String>,
    last_id: u64,
    _folder: TempDir,
}

impl Browser {
    /// Starts one with cookies of its own.
    pub(crate) fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        for pipe in ["commands", "answers"] {
            let made = Command::new("mkfifo").arg(folder.path().join(pipe)).status()?;
            ensure!(made.success(), "mkfifo ended with {made}");
        }
        let process = Command::new("sh")
            .args(["-c", SCRIPT, PROGRAM])
            .args(OPTIONS)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stderr(File::create(folder.path().join("log"))?)
            .spawn()
            .context("failed to start the browser")?;
        // Each waits for the other end, in the order in which the shell opens them.
        let commands = open(&folder.path().join("commands"), true)?;
        let answers = BufReader::new(open(&folder.path().join("answers"), false)?);
        let mut browser = Self {
            process,
            commands,
            answers,
            session: None,
            last_id: 0,
            _folder: folder,
        };
        let page = browser.ask("Target.createTarget", json!({"url": "about:blank"}))?;
        let attached = browser.ask(
            "Target.attachToTarget",
            json!({"targetId": page["targetId"], "flatten": true}),
        )?;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        Ok(browser)
    }

    /// Goes to another page.
    pub(crate) fn open(&mut self, url: &str) -> Result<()> {
        self.ask("Page.navigate", json!({"url": url})).map(drop)
    }

    /// Waits until the page's text has all of these, and returns it.
    pub(crate) fn await_text(&mut self, parts: &[&str]) -> Result<String> {
        let started = Instant::now();
        loop {
            let text = self.text()?;
            if parts.iter().all(|part| text.contains(part)) {
                return Ok(text);
            }
            ensure!(
                started.elapsed() < LIMIT,
                "the page does not say {parts:?}:\n{text}"
            );
        }
    }

    /// The page answers a tenth of a second later, so that nobody asks all the time.
    fn text(&mut self) -> Result<String> {
        let expression = "new Promise(done => setTimeout(() => done(document.body?.innerText ?? ''), 100))";
        let answer = self.ask(
            "Runtime.evaluate",
            json!({"expression": expression, "awaitPromise": true, "returnByValue": true}),
        );
        // Between two pages there is none that could answer.
        let text = answer
            .ok()
            .and_then(|answer| answer["result"]["value"].as_str().map(str::to_owned));
        Ok(text.unwrap_or_default())
    }

    fn ask(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.last_id += 1;
        let mut command = json!({"id": self.last_id, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(END);
        self.commands
            .write_all(&bytes)
            .context("failed to talk to the browser")?;
        loop {
            let answer = self.answer()?;
            if answer["id"] != self.last_id {
                continue;
            }
            match answer.get("error") {
                Some(error) => bail!("the browser refused {method}: {error}"),
                None => return Ok(answer["result"].clone()),
            }
        }
    }

    /// The next message: an answer, or news of the page.
    fn answer(&mut self) -> Result<Value> {
        let mut bytes = Vec::new();
        self.answers.read_until(END, &mut bytes)?;
        ensure!(bytes.pop() == Some(END), "the browser has ended");
        serde_json::from_slice(&bytes).context("failed to read what the browser says")
    }
}

fn open(pipe: &Path, is_written: bool) -> Result<File> {
    File::options()
        .read(!is_written)
        .write(is_written)
        .open(pipe)
        .with_context(|| format!("failed to open {}", pipe.display()))
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its children end with it.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
