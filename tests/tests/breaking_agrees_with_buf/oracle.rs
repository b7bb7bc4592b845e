//! What buf says of the same change.

use anyhow::{Context, Result, ensure};
use heddle_dynamic_protobuf::breaking::{Finding, Level};
use heddle_tests::protobuf_tools::ProtobufTools;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A finding as both tools tell it: the rule, and the file, line and column. What each says in words is its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Told {
    pub(crate) file: String,
    pub(crate) line: u64,
    pub(crate) column: u64,
    pub(crate) rule: String,
}

impl From<&Finding> for Told {
    fn from(finding: &Finding) -> Self {
        let location = finding.location.as_ref();
        Self {
            file: location.map(|location| location.file.clone()).unwrap_or_default(),
            line: location.map_or(1, |location| location.line.into()),
            column: location.map_or(1, |location| location.column.into()),
            rule: finding.rule.to_string(),
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.rule)
    }
}

/// How often each finding was told.
pub(crate) type Counted = BTreeMap<Told, usize>;

pub(crate) fn counted(all: impl Iterator<Item = Told>) -> Counted {
    let mut counted = Counted::new();
    for told in all {
        *counted.entry(told).or_default() += 1;
    }
    counted
}

/// buf, with a folder for what it keeps.
pub(crate) struct Buf {
    program: PathBuf,
    home: tempfile::TempDir,
}

impl Buf {
    pub(crate) fn ensure() -> Result<Self> {
        Ok(Self {
            program: ProtobufTools::ensure()?.buf(),
            home: tempfile::tempdir()?,
        })
    }

    fn run(&self, arguments: &[&str], folder: &Path) -> Result<Output> {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .current_dir(folder)
            .env("BUF_CACHE_DIR", self.home.path())
            .env("HOME", self.home.path())
            .stdin(Stdio::null());
        command.output().context("failed to start buf")
    }

    /// Compiles all files in `folder`: a descriptor set with imports and places, or the first folders of the files that are wrong.
    pub(crate) fn build(&self, folder: &Path, to: &Path) -> Result<BTreeSet<String>> {
        let to = to.to_string_lossy();
        let arguments = [
            "build",
            "--as-file-descriptor-set",
            "--error-format",
            "json",
            "--output",
            &to,
        ];
        let output = self.run(&arguments, folder)?;
        if output.status.success() {
            return Ok(BTreeSet::new());
        }
        let complaints = [output.stdout, output.stderr].concat();
        let folder = |line: &Value| Some(line["path"].as_str()?.split('/').next()?.to_owned());
        let wrong = lines(&complaints)?.iter().filter_map(folder).collect();
        ensure!(
            wrong != BTreeSet::new(),
            "buf build failed:\n{}",
            String::from_utf8_lossy(&complaints)
        );
        Ok(wrong)
    }

    /// The first package in a descriptor set that buf cannot read although it has compiled it: Go's own runtime, in which buf
    /// is written, accepts less.
    pub(crate) fn refused(&self, set: &Path) -> Result<BTreeSet<String>> {
        let set = set.to_string_lossy();
        let output = self.run(&["breaking", &set, "--against", &set], self.home.path())?;
        if output.status.success() {
            return Ok(BTreeSet::new());
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        let quoted = complaint
            .split('"')
            .nth(1)
            .and_then(|name| name.split('.').next());
        let package = quoted.with_context(|| format!("buf breaking failed:\n{complaint}"))?;
        Ok(BTreeSet::from([package.to_owned()]))
    }

    /// What breaks the rules of any of the levels between two descriptor sets, with what buf says of it.
    pub(crate) fn breaking(
        &self,
        against: &Path,
        new: &Path,
        levels: &[Level],
    ) -> Result<Vec<(Told, String)>> {
        let levels: Vec<&str> = levels.iter().map(|level| level.as_str()).collect();
        let configuration = json!({"version": "v2", "breaking": {"use": levels}}).to_string();
        let (against, new) = (against.to_string_lossy(), new.to_string_lossy());
        let arguments = [
            "breaking",
            &new,
            "--against",
            &against,
            "--error-format",
            "json",
            "--config",
            &configuration,
        ];
        let output = self.run(&arguments, self.home.path())?;
        // 100 is how buf says that it found something.
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(
            matches!(output.status.code(), Some(0 | 100)),
            "buf breaking failed:\n{complaint}"
        );
        lines(&output.stdout)?.iter().map(told).collect()
    }

    /// All rules with the categories they are in.
    pub(crate) fn rules(&self) -> Result<BTreeMap<String, BTreeSet<String>>> {
        let arguments = [
            "config",
            "ls-breaking-rules",
            "--version",
            "v2",
            "--format",
            "json",
        ];
        let output = self.run(&arguments, self.home.path())?;
        let rule = |line: &Value| {
            let id = line["id"].as_str().context("a rule without a name")?;
            let categories = line["categories"]
                .as_array()
                .context("a rule without categories")?;
            let names = categories.iter().filter_map(Value::as_str).map(str::to_owned);
            Ok((id.to_owned(), names.collect()))
        };
        lines(&output.stdout)?.iter().map(rule).collect()
    }
}

fn lines(output: &[u8]) -> Result<Vec<Value>> {
    let text = String::from_utf8_lossy(output);
    let parsed = text
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("buf printed {line}")));
    parsed.collect()
}

fn told(line: &Value) -> Result<(Told, String)> {
    let number = |name: &str| {
        line[name]
            .as_u64()
            .with_context(|| format!("no {name} in {line}"))
    };
    let text = |name: &str| {
        line[name]
            .as_str()
            .with_context(|| format!("no {name} in {line}"))
    };
    let told = Told {
        // What was in a file that is gone has no path.
        file: line["path"].as_str().unwrap_or_default().to_owned(),
        line: number("start_line")?,
        column: number("start_column")?,
        rule: text("type")?.to_owned(),
    };
    Ok((told, text("message")?.to_owned()))
}
