//! Saying what goes on: bars on a terminal, a line now and then in a log.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a step that takes its time says so where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(15);
/// Redraw interval of a bar that nobody advances.
const SPIN_INTERVAL: Duration = Duration::from_millis(120);

const SPINNER: &str = "{spinner} {prefix} {elapsed:.dim} {wide_msg:.dim}";
const BAR: &str = "{spinner} {prefix} [{bar:30}] {pos}/{len} {wide_msg:.dim}";

/// Where words and bars go: standard error.
#[derive(Debug)]
pub struct Progress {
    bars: MultiProgress,
    terminal: bool,
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress {
    /// Bars when standard error is a terminal, lines otherwise.
    #[must_use]
    pub fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            bars: MultiProgress::with_draw_target(target),
            terminal,
        }
    }

    /// One line of text, above the bars.
    pub fn say(&self, text: &str) {
        self.bars.suspend(|| eprintln!("{text}"));
    }

    /// Announces a step; the caller ends it with [`Step::done`], or drops it on failure.
    #[must_use]
    pub fn step(&self, title: &str) -> Step<'_> {
        let bar = self
            .bars
            .add(ProgressBar::new_spinner().with_style(style(SPINNER)));
        if self.terminal {
            bar.set_prefix(title.to_owned());
            bar.enable_steady_tick(SPIN_INTERVAL);
        } else {
            self.say(&format!("… {title}"));
        }
        let now = Instant::now();
        Step {
            progress: self,
            bar,
            title: title.to_owned(),
            started: now,
            counted_since: now,
            last_line: now,
            message: String::new(),
        }
    }
}

/// One piece of work in progress.
#[derive(Debug)]
pub struct Step<'a> {
    progress: &'a Progress,
    bar: ProgressBar,
    title: String,
    started: Instant,
    /// When units began to be counted; what went before says nothing about their pace.
    counted_since: Instant,
    last_line: Instant,
    message: String,
}

impl Step<'_> {
    /// Turns the spinner into a bar of `total` units, with an estimate of the time left.
    pub fn total(&mut self, total: u64) {
        self.bar.set_length(total);
        self.bar.set_style(style(BAR));
        self.counted_since = Instant::now();
    }

    /// One unit is done; `what` names it.
    pub fn advance(&mut self, what: &str) {
        self.bar.inc(1);
        self.note(what);
    }

    /// What is being done right now.
    pub fn note(&mut self, what: &str) {
        what.clone_into(&mut self.message);
        let left = self
            .left()
            .map_or_else(String::new, |left| format!("{left} left, "));
        self.bar.set_message(format!("{left}{what}"));
        self.tick();
    }

    /// Time went by; prints a line where there is no terminal to draw on.
    pub fn tick(&mut self) {
        if !self.progress.terminal && self.last_line.elapsed() >= LINE_INTERVAL {
            self.last_line = Instant::now();
            let line = self.line();
            self.progress.say(&line);
        }
    }

    /// Ends the step and says how long it took.
    pub fn done(self, words: &str) -> Duration {
        let took = self.started.elapsed();
        self.bar.finish_and_clear();
        self.progress.say(&format!("✓ {words} ({})", human(took)));
        took
    }

    /// Ends the step without a word: there was nothing to do.
    pub fn nothing(self) {
        self.bar.finish_and_clear();
    }

    fn line(&self) -> String {
        let elapsed = human(self.started.elapsed());
        let share = self
            .bar
            .length()
            .map(|total| format!(", {} of {total}", self.bar.position()));
        let left = self.left().map(|left| format!(", about {left} left"));
        let (share, left) = (share.unwrap_or_default(), left.unwrap_or_default());
        format!("  {} ({elapsed}{share}{left}) {}", self.title, self.message)
            .trim_end()
            .to_owned()
    }

    fn left(&self) -> Option<String> {
        let left = estimate(
            self.counted_since.elapsed(),
            self.bar.position(),
            self.bar.length()?,
        )?;
        Some(human(left))
    }
}

/// The pace so far, kept up; units differ too much for the pace of the last few to mean anything.
fn estimate(elapsed: Duration, done: u64, total: u64) -> Option<Duration> {
    let rest = u32::try_from(total.saturating_sub(done)).ok()?;
    elapsed.checked_div(u32::try_from(done).ok()?)?.checked_mul(rest)
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A duration as a person says it: tenths below ten seconds, then seconds, then minutes.
#[must_use]
pub fn human(duration: Duration) -> String {
    match duration.as_secs() {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        seconds @ 10..120 => format!("{seconds} s"),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_a_person_says_them() {
        let said: Vec<String> = [0.34, 9.9, 17.6, 119.0, 754.0]
            .into_iter()
            .map(|seconds| human(Duration::from_secs_f64(seconds)))
            .collect();
        assert_eq!(said, ["0.3 s", "9.9 s", "17 s", "119 s", "12 min 34 s"]);
    }

    #[test]
    fn both_styles_are_valid_templates() {
        for template in [SPINNER, BAR] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }

    #[test]
    fn the_estimate_keeps_up_the_pace_so_far() {
        assert_eq!(
            estimate(Duration::from_secs(10), 5, 20),
            Some(Duration::from_secs(30))
        );
        assert_eq!(estimate(Duration::from_secs(10), 0, 20), None);
        assert_eq!(estimate(Duration::from_secs(10), 20, 20), Some(Duration::ZERO));
    }

    #[test]
    fn a_line_tells_how_far_a_step_is() {
        let progress = Progress::new();
        let mut step = progress.step("building");
        step.total(4);
        step.advance("k8s.io/api");
        assert!(step.line().contains("1 of 4") && step.line().ends_with("k8s.io/api"));
    }
}
