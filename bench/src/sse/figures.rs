//! What is told of the whole path, and what was promised of it.

/// A figure.
pub(super) struct Figure {
    pub(super) part: &'static str,
    /// As whoever measures calls it.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) show: fn(f64) -> String,
    pub(super) bar: Option<Bar>,
}

/// What was promised.
#[derive(Clone, Copy)]
pub(super) enum Bar {
    AtLeast(f64),
    AtMost(f64),
}

/// All of them, in the order of the table.
pub(super) const FIGURES: [Figure; 15] = [
    figure("throughput", "events_per_second", "events/s", whole).at_least(100_000.0),
    figure(
        "throughput",
        "operator_seconds_per_million",
        "operator's processor time for a million",
        seconds,
    ),
    figure("throughput", "events_per_request", "events in a request", whole),
    figure("throughput", "operator_cores", "operator", cores),
    figure("throughput", "source_cores", "source", cores),
    figure("throughput", "sink_cores", "sink", cores),
    figure("latency", "percentile99_seconds", "99th percentile", milliseconds).at_most(0.020),
    figure("latency", "median_seconds", "median", milliseconds),
    figure("latency", "events_per_second", "events/s", whole),
    figure("latency", "operator_cores", "operator", cores),
    figure("writes", "writes_per_second", "writes/s", hundredths).at_most(1.0),
    figure("writes", "events_per_second", "events/s", whole),
    figure("idle", "bytes_each", "memory of a subscription", kilobytes).at_most(30_000.0),
    figure("idle", "operator_cores", "operator", cores).at_most(0.02),
    figure("idle", "subscriptions", "subscriptions", whole),
];

const fn figure(
    part: &'static str,
    name: &'static str,
    title: &'static str,
    show: fn(f64) -> String,
) -> Figure {
    Figure {
        part,
        name,
        title,
        show,
        bar: None,
    }
}

impl Figure {
    const fn at_least(mut self, value: f64) -> Self {
        self.bar = Some(Bar::AtLeast(value));
        self
    }

    const fn at_most(mut self, value: f64) -> Self {
        self.bar = Some(Bar::AtMost(value));
        self
    }
}

impl Bar {
    pub(super) fn shown(self, show: fn(f64) -> String) -> String {
        match self {
            Self::AtLeast(value) => format!("≥ {}", show(value)),
            Self::AtMost(value) => format!("≤ {}", show(value)),
        }
    }

    pub(super) fn verdict(self, found: f64) -> &'static str {
        let is_met = match self {
            Self::AtLeast(value) => found >= value,
            Self::AtMost(value) => found <= value,
        };
        if is_met { "met" } else { "**missed**" }
    }
}

fn whole(value: f64) -> String {
    format!("{value:.0}")
}

fn hundredths(value: f64) -> String {
    format!("{value:.2}")
}

fn seconds(value: f64) -> String {
    format!("{value:.2} s")
}

fn milliseconds(value: f64) -> String {
    format!("{:.2} ms", value * 1e3)
}

fn cores(value: f64) -> String {
    format!("{value:.3} cores")
}

fn kilobytes(value: f64) -> String {
    format!("{:.1} KB", value / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_met_on_its_own_side() {
        assert_eq!(Bar::AtLeast(2.0).verdict(2.0), "met");
        assert_eq!(Bar::AtLeast(2.0).verdict(1.9), "**missed**");
        assert_eq!(Bar::AtMost(2.0).verdict(2.0), "met");
        assert_eq!(Bar::AtMost(2.0).verdict(2.1), "**missed**");
    }
}
