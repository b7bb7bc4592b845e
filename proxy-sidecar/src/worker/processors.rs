//! How much of the machine nobody uses.

use std::fs;

/// Where the kernel tells (proc_stat(5)).
const STATISTICS: &str = "/proc/stat";

/// The time of all processors together, in ticks since the machine began.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Ticks {
    all: u64,
    idle: u64,
    processors: usize,
}

/// Compares what the kernel tells with what it told before.
#[derive(Debug, Default)]
pub(super) struct Processors {
    before: Option<Ticks>,
}

impl Processors {
    /// How many processors have had nothing to do since this was asked before; none the first time. Where the kernel does
    /// not tell, as many as one likes.
    pub(super) fn free(&mut self) -> Option<f64> {
        let text = fs::read_to_string(STATISTICS).unwrap_or_default();
        let Some(now) = Ticks::parse(&text) else {
            return Some(f64::INFINITY);
        };
        now.free_since(self.before.replace(now)?)
    }

    /// Nobody wants to know for now.
    pub(super) fn forget(&mut self) -> Option<f64> {
        self.before = None;
        None
    }
}

impl Ticks {
    /// Reads `cpu user nice system idle iowait irq softirq steal guest guest_nice`; guests are in `user` and `nice` too.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let sum = lines.next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> = sum
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()
            .ok()?;
        let processors = lines.take_while(|line| line.starts_with("cpu")).count();
        let idle = ticks.get(3)? + ticks.get(4)?;
        let all = ticks.iter().take(8).sum();
        (all > 0 && processors > 0).then_some(Self {
            all,
            idle,
            processors,
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "a share of some ticks")]
    fn free_since(self, before: Self) -> Option<f64> {
        let all = self.all.checked_sub(before.all).filter(|all| *all > 0)?;
        let idle = self.idle.saturating_sub(before.idle);
        Some(idle as f64 / all as f64 * self.processors as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 50 0 25 400 25 0 0 0 0 0\ncpu1 50 0 25 400 25 0 0 0 0 0\nintr 5 0\n";

    #[test]
    fn what_is_free_is_the_share_of_idle_ticks_of_all_processors() {
        let before = Ticks::parse(BEFORE).unwrap();
        let now = Ticks {
            all: before.all + 20,
            idle: before.idle + 5,
            ..before
        };
        assert_eq!((before.all, before.idle, before.processors), (1000, 850, 2));
        assert_eq!(now.free_since(before), Some(0.5));
        assert_eq!(before.free_since(before), None, "no time has passed");
    }

    #[test]
    fn where_the_kernel_tells_nothing_nothing_is_read_from_it() {
        for text in [
            "",
            "cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 0 0 0 0\n",
            "cpu  a b\n",
            "cpu  1 2\n",
        ] {
            assert_eq!(Ticks::parse(text), None, "{text:?}");
        }
    }
}
