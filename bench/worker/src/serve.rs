//! Operations, and the loop that answers commands.

use crate::{Case, Corpus};
use anyhow::{Context, Result, bail};
use nix::time::{ClockId, clock_gettime};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hint::black_box;
use std::io::{BufRead, Write};

/// What is measured. What each touches stands in the table of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Bytes to a message with every field reachable.
    Decode,
    /// The same, and then every scalar is read through the API.
    DecodeWalk,
    /// Bytes to a message to bytes.
    Reencode,
    /// The same, with one deep scalar changed in between.
    ReencodeOne,
    /// One deep scalar of the bytes.
    Get,
    /// The bytes with one deep scalar changed.
    Set,
    /// Bytes to JSON.
    ToJson,
    /// JSON to bytes.
    FromJson,
    /// The bytes with only what a field mask names.
    Trim,
}

impl Operation {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 9] = [
        Self::Decode,
        Self::DecodeWalk,
        Self::Reencode,
        Self::ReencodeOne,
        Self::Get,
        Self::Set,
        Self::ToJson,
        Self::FromJson,
        Self::Trim,
    ];

    /// What it is called in commands and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::DecodeWalk => "decode-walk",
            Self::Reencode => "reencode",
            Self::ReencodeOne => "reencode-one",
            Self::Get => "get",
            Self::Set => "set",
            Self::ToJson => "to-json",
            Self::FromJson => "from-json",
            Self::Trim => "trim",
        }
    }

    /// The operation of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }
}

/// Where an operation puts what it results in; the storage is there again the next time.
#[derive(Debug, Default)]
pub struct Output {
    /// A message or JSON. Whoever writes to it clears it first.
    pub bytes: Vec<u8>,
    /// A scalar, or the sum of all scalars: integers as they are with their sign extended, enums by number, booleans
    /// as 0 and 1, floating point as the bits of a double, strings and bytes by length; keys and values of maps alike.
    pub number: u64,
}

/// One operation on one message, ready to be performed again and again.
pub type Perform<'a> = Box<dyn FnMut(&mut Output) -> Result<()> + 'a>;

/// A subject.
pub trait Engine {
    /// Makes ready for an operation on a message, with all that can be done once. `None` when there is no such
    /// operation.
    ///
    /// # Errors
    /// When the message is not what the engine takes.
    fn prepare<'a>(&'a self, operation: Operation, case: &'a Case) -> Result<Option<Perform<'a>>>;

    /// Another command than those of every worker; `None` when there is none of that name.
    ///
    /// # Errors
    /// When the command fails.
    fn extra(&self, _command: &str, _operation: Operation, _case: &Case) -> Result<Option<String>> {
        Ok(None)
    }
}

/// Answers commands until standard input ends.
///
/// # Errors
/// When standard input or output fails.
pub fn serve(engine: &dyn Engine, corpus: &Corpus) -> Result<()> {
    let mut prepared = HashMap::new();
    let mut output = Output::default();
    let mut answers = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line.context("failed to read a command")?;
        let answer = answer(engine, corpus, &mut prepared, &mut output, &line)
            .unwrap_or_else(|error| format!("error {error:#}").replace('\n', " "));
        writeln!(answers, "{answer}").context("failed to answer")?;
        answers.flush().context("failed to answer")?;
    }
    Ok(())
}

fn answer<'a>(
    engine: &'a dyn Engine,
    corpus: &'a Corpus,
    prepared: &mut HashMap<(Operation, String), Option<Perform<'a>>>,
    output: &mut Output,
    line: &str,
) -> Result<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let [command, operation, message, argument] = words[..] else {
        bail!("a command has four words: {line:?}");
    };
    let operation = Operation::named(operation).with_context(|| format!("no operation {operation}"))?;
    let case = corpus.cases.iter().find(|case| case.name == message);
    let case = case.with_context(|| format!("no message {message}"))?;
    if let Some(answer) = engine.extra(command, operation, case)? {
        return Ok(answer);
    }
    let perform = match prepared.entry((operation, message.to_owned())) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => entry.insert(engine.prepare(operation, case)?),
    };
    let Some(perform) = perform else {
        return Ok("none".to_owned());
    };
    match command {
        "run" => Ok(run(
            perform,
            output,
            argument.parse().context("failed to read how often")?,
        )?
        .to_string()),
        "show" => show(perform, output, argument),
        _ => bail!("no command {command}"),
    }
}

/// Processor time in nanoseconds.
fn run(perform: &mut Perform<'_>, output: &mut Output, times: u64) -> Result<u64> {
    let started = processor_time()?;
    for _ in 0..times {
        perform(black_box(output))?;
    }
    Ok(processor_time()? - started)
}

fn processor_time() -> Result<u64> {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).context("failed to read the clock")?;
    Ok(time.tv_sec().cast_unsigned() * 1_000_000_000 + time.tv_nsec().cast_unsigned())
}

fn show(perform: &mut Perform<'_>, output: &mut Output, file: &str) -> Result<String> {
    *output = Output::default();
    perform(output)?;
    let shown = match output.bytes.is_empty() {
        true => output.number.to_string().into_bytes(),
        false => std::mem::take(&mut output.bytes),
    };
    std::fs::write(file, shown).with_context(|| format!("failed to write {file}"))?;
    Ok("ok".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Copies messages, and can do nothing else.
    struct Copier;

    impl Engine for Copier {
        fn prepare<'a>(&'a self, operation: Operation, case: &'a Case) -> Result<Option<Perform<'a>>> {
            Ok(match operation {
                Operation::Reencode => Some(Box::new(|output| {
                    output.bytes.clone_from(&case.wire);
                    Ok(())
                })),
                Operation::Get => Some(Box::new(|_| bail!("nothing\nis there"))),
                _ => None,
            })
        }
    }

    fn corpus() -> Corpus {
        let case = Case {
            name: "small".to_owned(),
            message_type: "test.Small".to_owned(),
            path: Vec::new(),
            path_by_name: String::new(),
            new_value: 1,
            mask: Vec::new(),
            wire: b"wire".to_vec(),
            json: Vec::new(),
        };
        Corpus {
            schema: Vec::new(),
            cases: vec![case],
        }
    }

    fn ask(line: &str) -> Result<String> {
        answer(
            &Copier,
            &corpus(),
            &mut HashMap::new(),
            &mut Output::default(),
            line,
        )
    }

    #[test]
    fn an_operation_is_timed_shown_or_unknown() {
        assert!(ask("run reencode small 1000").unwrap().parse::<u64>().unwrap() > 0);
        assert_eq!(ask("run trim small 1").unwrap(), "none");
        assert!(ask("run get small 1").is_err());
        assert!(ask("run reencode large 1").is_err());
        assert!(ask("run").is_err());
    }

    #[test]
    fn what_an_operation_results_in_is_written_to_a_file() {
        let file = std::env::temp_dir().join(format!("heddle-bench-worker-{}", std::process::id()));
        assert_eq!(
            ask(&format!("show reencode small {}", file.display())).unwrap(),
            "ok"
        );
        assert_eq!(std::fs::read(&file).unwrap(), b"wire");
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn every_operation_is_found_by_its_name() {
        for operation in Operation::ALL {
            assert_eq!(Operation::named(operation.name()), Some(operation));
        }
    }
}
