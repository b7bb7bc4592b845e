//! Counts what ran, and says so in one line at the end.

use anyhow::Result;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Everything that ran so far.
#[derive(Default)]
pub(super) struct Summary {
    passed: u64,
    skipped: u64,
    failures: Vec<String>,
    slowest: Vec<(Duration, String)>,
}

impl Summary {
    pub(super) fn failed(&self) -> usize {
        self.failures.len()
    }

    /// Runs a check, which counts as one test.
    pub(super) fn check(&mut self, name: &str, check: impl FnOnce() -> Result<()>) {
        println!("\n== {name}");
        let started = Instant::now();
        match check() {
            Ok(()) => self.passed += 1,
            Err(error) => {
                println!("{name} failed: {error:#}");
                self.failures.push(name.to_owned());
            }
        }
        self.slowest.push((started.elapsed(), name.to_owned()));
    }

    /// Runs an executable of Rust's test harness and counts its tests.
    pub(super) fn test_binary(&mut self, name: &str, command: &mut Command) {
        println!("\n== {name}");
        let started = Instant::now();
        if let Err(problem) = self.run(name, command) {
            println!("{name} failed: {problem:#}");
            self.failures.push(name.to_owned());
        }
        self.slowest.push((started.elapsed(), name.to_owned()));
    }

    /// Runs `cargo test --doc` and counts its tests.
    pub(super) fn doc_tests(&mut self, command: &mut Command) {
        self.test_binary("documentation", command);
    }

    fn run(&mut self, name: &str, command: &mut Command) -> Result<()> {
        let failures_before = self.failures.len();
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).lines() {
                let line = line?;
                println!("{line}");
                self.count(name, &line);
            }
        }
        let status = child.wait()?;
        if !status.success() && self.failures.len() == failures_before {
            anyhow::bail!("ended with {status} before its tests did");
        }
        Ok(())
    }

    fn count(&mut self, binary: &str, line: &str) {
        if let Some(test) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.failures.push(format!("{binary} {test}"));
        }
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        let number = |word: &str| -> u64 {
            let position = result.split_whitespace().collect::<Vec<_>>();
            let at = position
                .iter()
                .position(|part| part.trim_end_matches(';') == word);
            at.and_then(|at| at.checked_sub(1))
                .and_then(|at| position[at].parse().ok())
                .unwrap_or(0)
        };
        self.passed += number("passed");
        self.skipped += number("ignored");
    }

    /// What took longest, what failed, and the closing line.
    pub(super) fn print(&mut self) {
        self.slowest.sort();
        println!("\nLongest:");
        for (time, name) in self.slowest.iter().rev().take(8) {
            println!("  {:6.1} s  {name}", time.as_secs_f64());
        }
        for failure in &self.failures {
            println!("FAILED: {failure}");
        }
        println!(
            "\n{} passed, {} failed, {} skipped",
            self.passed,
            self.failures.len(),
            self.skipped
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_the_test_harness_are_added_up() {
        let mut summary = Summary::default();
        summary.count(
            "unit",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out",
        );
        summary.count("unit", "test a_thing_holds ... FAILED");
        summary.count(
            "unit",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured",
        );
        assert_eq!((summary.passed, summary.failed(), summary.skipped), (5, 1, 1));
    }
}
