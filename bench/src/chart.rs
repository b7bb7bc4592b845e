//! Bar charts in SVG, readable on a light and on a dark page.

use std::fmt::Write as _;

/// Sizes, in pixels.
const LABEL_WIDTH: f64 = 300.0;
const PLOT_WIDTH: f64 = 380.0;
const VALUE_WIDTH: f64 = 90.0;
const BAR_HEIGHT: f64 = 18.0;
const ROW_HEIGHT: f64 = 28.0;
const GROUP_HEAD: f64 = 34.0;
const TITLE_HEIGHT: f64 = 36.0;
const MARGIN: f64 = 12.0;

/// Bars to be compared with each other.
pub(crate) struct Group {
    pub(crate) title: String,
    pub(crate) bars: Vec<Bar>,
}

/// A value, and the range that half of the rounds were in.
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) is_ours: bool,
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// How values become lengths, and what is written beside them.
pub(crate) enum Scale {
    /// Lengths are values; all groups share the scale.
    Linear {
        /// Of the values.
        unit: &'static str,
    },
    /// Lengths are orders of magnitude; all groups share the scale, which begins at a power of ten.
    Logarithmic {
        /// What is written beside a value.
        label: fn(f64) -> String,
    },
}

/// A scale once the values are known.
struct Axis<'a> {
    scale: &'a Scale,
    smallest: f64,
    largest: f64,
}

impl<'a> Axis<'a> {
    fn new(scale: &'a Scale, groups: &[Group]) -> Self {
        let bars = || groups.iter().flat_map(|group| &group.bars);
        let smallest = bars().map(|bar| bar.low).fold(f64::MAX, f64::min);
        Self {
            scale,
            smallest: 10_f64.powf(smallest.max(f64::MIN_POSITIVE).log10().floor()),
            largest: bars().map(|bar| bar.high).fold(f64::MIN_POSITIVE, f64::max),
        }
    }

    fn length(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear { .. } => PLOT_WIDTH * value / self.largest,
            Scale::Logarithmic { .. } => {
                PLOT_WIDTH * (value / self.smallest).log10() / (self.largest / self.smallest).log10()
            }
        }
    }

    fn label(&self, value: f64) -> String {
        match self.scale {
            Scale::Linear { unit } => format!("{value:.0} {unit}"),
            Scale::Logarithmic { label } => label(value),
        }
    }

    /// The powers of ten that lengths can be compared with; a linear scale begins at nothing and needs none.
    fn marks(&self) -> Vec<f64> {
        let mut marks = Vec::new();
        let mut mark = self.smallest;
        while matches!(self.scale, Scale::Logarithmic { .. }) && mark <= self.largest {
            marks.push(mark);
            mark *= 10.0;
        }
        marks
    }
}

/// Draws the groups below one another, on one scale.
pub(crate) fn draw(title: &str, scale: &Scale, groups: &[Group]) -> String {
    let axis = Axis::new(scale, groups);
    let mut body = String::new();
    let mut top = MARGIN + TITLE_HEIGHT;
    for group in groups {
        body.push_str(&text(MARGIN, top + 18.0, "head", &group.title));
        top += GROUP_HEAD;
        push_marks(&mut body, &axis, top, top + ROW_HEIGHT * group.bars.len() as f64);
        for bar in &group.bars {
            push_bar(&mut body, bar, top, &axis);
            top += ROW_HEIGHT;
        }
    }
    let (width, height) = (
        LABEL_WIDTH + PLOT_WIDTH + VALUE_WIDTH + 2.0 * MARGIN,
        top + MARGIN,
    );
    let title = text(MARGIN, MARGIN + 16.0, "title", title);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n\
         <style>{STYLE}</style>\n<rect class=\"page\" width=\"{width}\" height=\"{height}\"/>\n{title}{body}</svg>\n"
    )
}

const STYLE: &str = "text{font:13px sans-serif;fill:#1f2328}.title{font-size:16px;font-weight:bold}\
.head{font-weight:bold}.page{fill:#fff}.ours{fill:#0969da}.peer{fill:#afb8c1}.range{stroke:#57606a;stroke-width:1.5}.mark{stroke:#d0d7de}.scale{font-size:10px;fill:#57606a}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.page{fill:#0d1117}.peer{fill:#484f58}.ours{fill:#4493f8}.range{stroke:#9198a1}.mark{stroke:#30363d}.scale{fill:#9198a1}}";

fn push_marks(body: &mut String, axis: &Axis<'_>, top: f64, bottom: f64) {
    for mark in axis.marks() {
        let x = MARGIN + LABEL_WIDTH + axis.length(mark);
        body.push_str(&format!(
            "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top:.1}\" y2=\"{bottom:.1}\"/>\n"
        ));
        body.push_str(&text(x + 2.0, top - 4.0, "scale", &axis.label(mark)));
    }
}

fn push_bar(body: &mut String, bar: &Bar, top: f64, axis: &Axis<'_>) {
    let left = MARGIN + LABEL_WIDTH;
    let class = if bar.is_ours { "ours" } else { "peer" };
    let (width, middle) = (axis.length(bar.value), top + BAR_HEIGHT / 2.0);
    let (low, high) = (left + axis.length(bar.low), left + axis.length(bar.high));
    body.push_str(&text(MARGIN, top + 14.0, "label", &bar.label));
    let drawn = writeln!(
        body,
        "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{BAR_HEIGHT}\" rx=\"2\"/>\
         <line class=\"range\" x1=\"{low:.1}\" x2=\"{high:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\"/>"
    );
    debug_assert!(drawn.is_ok(), "writing to a String cannot fail");
    body.push_str(&text(high + 8.0, top + 14.0, "value", &axis.label(bar.value)));
}

fn text(x: f64, y: f64, class: &str, content: &str) -> String {
    let content = content.replace('&', "&amp;").replace('<', "&lt;");
    format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{content}</text>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_ends_where_the_plot_does() {
        let bar = |value: f64| Bar {
            label: "a < b".to_owned(),
            is_ours: true,
            value,
            low: value,
            high: value,
        };
        let drawn = draw(
            "title",
            &Scale::Linear { unit: "ns" },
            &[Group {
                title: "group".to_owned(),
                bars: vec![bar(50.0), bar(100.0)],
            }],
        );
        assert!(
            drawn.contains("width=\"190.0\"") && drawn.contains("width=\"380.0\""),
            "{drawn}"
        );
        assert!(
            drawn.contains("a &lt; b") && drawn.ends_with("</svg>\n"),
            "{drawn}"
        );
    }

    #[test]
    fn a_logarithmic_scale_begins_at_a_power_of_ten_and_marks_them_all() {
        let bar = |value: f64| Bar {
            label: String::new(),
            is_ours: false,
            value,
            low: value,
            high: value,
        };
        let scale = Scale::Logarithmic {
            label: |value| format!("{value:.0}"),
        };
        let group = Group {
            title: String::new(),
            bars: vec![bar(30.0), bar(1000.0)],
        };
        let drawn = draw("title", &scale, &[group]);
        assert!(
            drawn.contains("width=\"90.7\"") && drawn.contains("width=\"380.0\""),
            "{drawn}"
        );
        assert_eq!(drawn.matches("class=\"mark\"").count(), 3, "{drawn}");
    }
}
