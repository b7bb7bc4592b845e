//! Saying what goes on: bars on a terminal, a line now and then in a log.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a step that takes its time says so where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(15);
/// Redraw interval of a bar that nobody advances.
const SPIN_INTERVAL: Duration = Duration::from_millis(120);

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
        let bar = self.bars.add(ProgressBar::new_spinner().with_style(spinner()));
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
    last_line: Instant,
    message: String,
}

impl Step<'_> {
    /// Turns the spinner into a bar of `total` units, with an estimate of the time left.
    pub fn total(&mut self, total: u64) {
        self.bar.set_length(total);
        self.bar.set_style(bar());
        self.bar.reset_eta();
    }

    /// One unit is done; `what` names it.
    pub fn advance(&mut self, what: &str) {
        self.bar.inc(1);
        self.note(what);
    }

    /// What is being done right now.
    pub fn note(&mut self, what: &str) {
        what.clone_into(&mut self.message);
        self.bar.set_message(self.message.clone());
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
        let share = self.bar.length().map_or_else(String::new, |total| {
            let left = human(self.bar.eta());
            format!(", {} of {total}, about {left} left", self.bar.position())
        });
        let elapsed = human(self.started.elapsed());
        format!("  {} ({elapsed}{share}) {}", self.title, self.message)
            .trim_end()
            .to_owned()
    }
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

fn spinner() -> ProgressStyle {
    style("{spinner} {prefix} {elapsed:.dim} {wide_msg:.dim}")
}

fn bar() -> ProgressStyle {
    style("{spinner} {prefix} [{bar:30}] {pos}/{len}, {eta} left {wide_msg:.dim}")
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
        for template in [
            "{spinner} {prefix} {elapsed:.dim} {wide_msg:.dim}",
            "{bar:30} {pos}/{len}, {eta}",
        ] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
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
