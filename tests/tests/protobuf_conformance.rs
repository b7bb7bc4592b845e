//! The dynamic protobuf engine against protobuf's official conformance suite, with no failure excused.

use anyhow::{Context, Result};
use heddle_tests::protobuf_tools::ProtobufTools;
use std::io::Write as _;
use std::process::{Output, Stdio};

/// The example program of the engine that answers the suite.
const TESTEE: &str = env!("CARGO_BIN_EXE_heddle-conformance-under-test");
/// What the suite may fail: nothing, and the file says so.
const KNOWN_FAILURES: &str = "fixtures/protobuf_tools/known_failures.txt";

/// How many lines of the runner an error repeats, and how many characters of each.
const EXCERPT_LINES: usize = 60;
const EXCERPT_CHARS: usize = 600;

/// What is run, and how many tests version 33.2 of the suite then has.
struct Suite {
    runner_arguments: &'static [&'static str],
    testee_arguments: &'static [&'static str],
    binary_and_json: u32,
    text: u32,
}

/// Without a word on editions the runner knows proto2 and proto3 alone.
const BY_DEFAULT: Suite = Suite {
    runner_arguments: &[],
    testee_arguments: &[],
    binary_and_json: 2779,
    text: 434,
};
const UP_TO_EDITION_2023: Suite = Suite {
    runner_arguments: &["--maximum_edition", "2023"],
    testee_arguments: &[],
    binary_and_json: 5567,
    text: 883,
};

#[test]
fn every_test_of_proto2_and_proto3_passes() -> Result<()> {
    BY_DEFAULT.expect_success()
}

#[test]
fn every_test_up_to_edition_2023_passes() -> Result<()> {
    UP_TO_EDITION_2023.expect_success()
}

#[test]
fn every_test_passes_when_nothing_is_copied_and_json_comes_byte_by_byte() -> Result<()> {
    let suite = Suite {
        testee_arguments: &["--piecemeal"],
        ..UP_TO_EDITION_2023
    };
    suite.expect_success()
}

impl Suite {
    fn expect_success(&self) -> Result<()> {
        let output = self.run()?;
        let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        let verdicts: Vec<&str> = told
            .lines()
            .filter(|line| line.starts_with("CONFORMANCE SUITE"))
            .collect();
        // Past the test harness, which shows what tests print only when they fail.
        for verdict in &verdicts {
            writeln!(std::io::stderr(), "{verdict}")?;
        }
        let expected = [self.binary_and_json, self.text].map(all_passed);
        assert_eq!(verdicts, expected, "{}", excerpt(&told));
        assert!(output.status.success(), "{}: {}", output.status, excerpt(&told));
        Ok(())
    }

    /// The runner has two suites and goes on to the second only when the first has passed. `--enforce_recommended` makes
    /// failures of what it would only warn of.
    fn run(&self) -> Result<Output> {
        let tools = ProtobufTools::ensure()?;
        let scratch = tempfile::tempdir()?;
        let known_failures = heddle_e2e_cluster::checkout().join("tests").join(KNOWN_FAILURES);
        let mut command = tools.conformance_runner()?;
        command.arg("--enforce_recommended");
        command.arg("--failure_list").arg(&known_failures);
        command.arg("--text_format_failure_list").arg(&known_failures);
        command.arg("--output_dir").arg(scratch.path());
        command.args(self.runner_arguments);
        command.arg(TESTEE).arg(tools.conformance_descriptors()?);
        command.args(self.testee_arguments).stdin(Stdio::null());
        command.output().context("failed to start the conformance runner")
    }
}

fn all_passed(tests: u32) -> String {
    format!(
        "CONFORMANCE SUITE PASSED: {tests} successes, 0 skipped, 0 expected failures, 0 unexpected failures."
    )
}

/// Enough of what the runner told to see what fails; all of it is megabytes.
fn excerpt(told: &str) -> String {
    let lines = told.lines().filter(|line| !line.is_empty()).take(EXCERPT_LINES);
    let cut = lines.map(|line| line.chars().take(EXCERPT_CHARS).chain(['\n']).collect::<String>());
    cut.collect()
}
