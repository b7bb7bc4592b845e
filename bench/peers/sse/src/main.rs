//! `heddle-bench-sse-peers <subject>`: one parser of event streams as a process that is told by standard input what to do and
//! answers each command with one line.
//!
//! | command | answer |
//! | --- | --- |
//! | `check <case>` | events and bytes of data in the case's stream, as the subject finds them |
//! | `bytes <case>` | how long the stream is |
//! | `run <case> <times>` | processor time of parsing the stream so often, in nanoseconds |
//! | `allocations <case>` | how often one parsing of the stream asks the allocator |

mod cases;
mod subjects;

use allocation_counter::measure;
use anyhow::{Context, Result, bail};
use nix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::io::{BufRead, Write};
use subjects::{Count, Parse};

fn main() -> Result<()> {
    let subject = std::env::args().nth(1).context("give the name of a subject")?;
    let parse = subjects::named(&subject).with_context(|| format!("there is no subject {subject:?}"))?;
    let mut answers = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line.context("failed to read a command")?;
        match answer(parse, &line) {
            Ok(answer) => writeln!(answers, "{answer}"),
            Err(error) => writeln!(answers, "error {error:#}"),
        }
        .context("failed to answer")?;
        answers.flush().context("failed to answer")?;
    }
    Ok(())
}

fn answer(parse: Parse, line: &str) -> Result<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let (command, case) = match words.as_slice() {
        [command, case] | [command, case, _] => (*command, cases::named(case)?),
        _ => bail!("{line:?} is no command"),
    };
    match command {
        "check" => {
            let Count { events, data_bytes } = parse(case)?;
            Ok(format!("{events} {data_bytes}"))
        }
        "bytes" => Ok(case.iter().map(bytes::Bytes::len).sum::<usize>().to_string()),
        "run" => {
            let times: u64 = words.get(2).context("how often?")?.parse()?;
            let started = processor_nanoseconds()?;
            for _ in 0..times {
                black_box(parse(black_box(case))?);
            }
            Ok((processor_nanoseconds()? - started).to_string())
        }
        "allocations" => {
            parse(case)?;
            let mut result = Ok(Count::default());
            let information = measure(|| result = parse(case));
            result?;
            Ok(information.count_total.to_string())
        }
        command => bail!("there is no command {command:?}"),
    }
}

fn processor_nanoseconds() -> Result<i64> {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).context("failed to read the clock")?;
    Ok(time.tv_sec() * 1_000_000_000 + time.tv_nsec())
}
