//! The dynamic protobuf engine against protobuf's official conformance suite, with no failure excused.

use anyhow::{Context, Result};
use heddle_tests::protobuf_tools::ProtobufTools;
use std::path::Path;
use std::process::Stdio;

/// The example program of the engine that answers the suite.
const TESTEE: &str = env!("CARGO_BIN_EXE_heddle-conformance-under-test");
/// What the suite may fail: nothing, and the file says so.
const KNOWN_FAILURES: &str = "fixtures/protobuf_tools/known_failures.txt";

/// How many lines of the runner an error repeats, and how many characters of each.
const EXCERPT_LINES: usize = 60;
const EXCERPT_CHARS: usize = 600;

/// How many tests version 33.2 of the suite has, binary and JSON first, then text format.
struct Tests {
    binary_and_json: u32,
    text: u32,
}

#[test]
fn every_test_of_proto2_and_proto3_passes() -> Result<()> {
    let tests = Tests {
        binary_and_json: 2779,
        text: 434,
    };
    expect_success(&[], &tests)
}

#[test]
fn every_test_up_to_edition_2023_passes() -> Result<()> {
    let tests = Tests {
        binary_and_json: 5567,
        text: 883,
    };
    expect_success(&["--maximum_edition", "2023"], &tests)
}

/// The runner knows two suites and goes on to the second only when the first has passed. `--enforce_recommended` makes
/// failures of what it would only warn of.
fn expect_success(arguments: &[&str], tests: &Tests) -> Result<()> {
    let tools = ProtobufTools::ensure()?;
    let descriptors = tools.conformance_descriptors()?;
    let scratch = tempfile::tempdir()?;
    let known_failures = Path::new(env!("CARGO_MANIFEST_DIR")).join(KNOWN_FAILURES);
    let output = tools
        .conformance_runner()?
        .arg("--enforce_recommended")
        .arg("--failure_list")
        .arg(&known_failures)
        .arg("--text_format_failure_list")
        .arg(&known_failures)
        .arg("--output_dir")
        .arg(scratch.path())
        .args(arguments)
        .arg(TESTEE)
        .arg(&descriptors)
        .stdin(Stdio::null())
        .output()
        .context("failed to start the conformance runner")?;
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let verdicts: Vec<&str> = told
        .lines()
        .filter(|line| line.starts_with("CONFORMANCE SUITE"))
        .collect();
    verdicts.iter().for_each(|verdict| println!("{verdict}"));
    let expected = [tests.binary_and_json, tests.text].map(all_passed);
    assert_eq!(verdicts, expected, "{}", excerpt(&told));
    assert!(output.status.success(), "{}: {}", output.status, excerpt(&told));
    Ok(())
}

/// Enough of what the runner told to see what fails; all of it is megabytes.
fn excerpt(told: &str) -> String {
    let lines = told.lines().filter(|line| !line.is_empty()).take(EXCERPT_LINES);
    let cut = lines.map(|line| line.chars().take(EXCERPT_CHARS).chain(['\n']).collect::<String>());
    cut.collect()
}

fn all_passed(tests: u32) -> String {
    format!(
        "CONFORMANCE SUITE PASSED: {tests} successes, 0 skipped, 0 expected failures, 0 unexpected failures."
    )
}
