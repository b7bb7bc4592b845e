//! Whatever an event says, it is one line and one JSON object that says it back.

use crate::captured::{Captured, settings};
use heddle_telemetry::{LogFormat, TelemetrySettings};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tracing::{Level, info_span, warn};
use tracing_log::log;

const ROUNDS: u64 = 2_000;
const MAX_CHARACTERS: usize = 40;

/// What has ended lines, strings or terminals before.
const TROUBLE: [char; 20] = [
    '\n',
    '\r',
    '\t',
    '\0',
    '"',
    '\\',
    '/',
    '{',
    '}',
    '\u{7}',
    '\u{1b}',
    '\u{7f}',
    '\u{85}',
    '\u{9b}',
    '\u{a0}',
    '\u{2028}',
    '\u{2029}',
    '\u{202e}',
    '\u{feff}',
    '\u{10ffff}',
];

fn any_text(random: &mut StdRng) -> String {
    let length = random.random_range(0..MAX_CHARACTERS);
    let mut character = || match random.random_range(0..3) {
        0 => TROUBLE[random.random_range(0..TROUBLE.len())],
        1 => random.random_range(' '..='~'),
        _ => random.random(),
    };
    (0..length).map(|_| character()).collect()
}

/// A reader that takes every line end of Unicode for one, as Python's `splitlines` does.
fn lines_to_the_strictest_reader(text: &str) -> usize {
    let ends = [
        '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}',
    ];
    text.matches(ends).count()
}

#[test]
fn any_text_comes_back_from_its_one_line() {
    for seed in 0..ROUNDS {
        let mut random = StdRng::seed_from_u64(seed);
        let [message, value, shown, debugged, in_span] = [(); 5].map(|()| any_text(&mut random));
        let captured = Captured::with_filter("info");
        captured.run(|| {
            let _span = info_span!("span", in_span).entered();
            warn!(value, shown = %shown, debugged = ?debugged, "{message}");
        });
        let text = captured.written.text();
        assert_eq!(lines_to_the_strictest_reader(&text), 1, "seed {seed}: {text:?}");
        let line = captured.only_line();
        let read =
            ["message", "value", "shown", "debugged", "in_span"].map(|name| line[name].as_str().unwrap());
        assert_eq!(
            read,
            [&message, &value, &shown, &format!("{debugged:?}"), &in_span],
            "seed {seed}"
        );
    }
}

#[test]
fn any_target_of_the_log_crate_comes_back() {
    for seed in 0..ROUNDS {
        let mut random = StdRng::seed_from_u64(seed);
        let (target, message) = (any_text(&mut random), any_text(&mut random));
        let captured = Captured::with_filter("info");
        captured.run(|| {
            let args = format_args!("{message}");
            let record = log::Record::builder()
                .level(log::Level::Error)
                .target(&target)
                .args(args)
                .build();
            tracing_log::format_trace(&record).unwrap();
        });
        let line = captured.only_line();
        assert_eq!(
            [&line["target"], &line["message"]],
            [&target, &message],
            "seed {seed}"
        );
        assert_eq!(line["level"], Level::ERROR.as_str());
        assert!(line.get("log.target").is_none());
    }
}

#[test]
fn any_text_is_one_line_for_the_eye_and_moves_no_cursor() {
    for seed in 0..ROUNDS {
        let mut random = StdRng::seed_from_u64(seed);
        let captured = Captured::new(TelemetrySettings {
            log_format: LogFormat::Human,
            ..settings()
        });
        let (message, value) = (any_text(&mut random), any_text(&mut random));
        captured.run(|| warn!(value, "{message}"));
        let text = captured.written.text();
        let controls = text.chars().filter(|character| character.is_control()).count();
        assert_eq!(
            (controls, lines_to_the_strictest_reader(&text)),
            (1, 1),
            "seed {seed}: {text:?}"
        );
    }
}
