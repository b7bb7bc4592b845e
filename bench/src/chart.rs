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
    pub(crate) title: &'static str,
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

/// Draws the groups below one another, on one scale.
pub(crate) fn draw(title: &str, unit: &str, groups: &[Group]) -> String {
    let bars = groups.iter().flat_map(|group| &group.bars);
    let largest = bars.map(|bar| bar.high).fold(f64::MIN_POSITIVE, f64::max);
    let scale = PLOT_WIDTH / largest;
    let mut body = String::new();
    let mut top = MARGIN + TITLE_HEIGHT;
    for group in groups {
        body.push_str(&text(MARGIN, top + 18.0, "head", group.title));
        top += GROUP_HEAD;
        for bar in &group.bars {
            push_bar(&mut body, bar, top, scale, unit);
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
.head{font-weight:bold}.page{fill:#fff}.ours{fill:#0969da}.peer{fill:#afb8c1}.range{stroke:#57606a;stroke-width:1.5}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.page{fill:#0d1117}.peer{fill:#484f58}.ours{fill:#4493f8}.range{stroke:#9198a1}}";

fn push_bar(body: &mut String, bar: &Bar, top: f64, scale: f64, unit: &str) {
    let left = MARGIN + LABEL_WIDTH;
    let class = if bar.is_ours { "ours" } else { "peer" };
    let (width, middle) = (bar.value * scale, top + BAR_HEIGHT / 2.0);
    let (low, high) = (left + bar.low * scale, left + bar.high * scale);
    body.push_str(&text(MARGIN, top + 14.0, "label", &bar.label));
    let drawn = writeln!(
        body,
        "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{BAR_HEIGHT}\" rx=\"2\"/>\
         <line class=\"range\" x1=\"{low:.1}\" x2=\"{high:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\"/>"
    );
    debug_assert!(drawn.is_ok(), "writing to a String cannot fail");
    body.push_str(&text(
        high + 8.0,
        top + 14.0,
        "value",
        &format!("{:.0} {unit}", bar.value),
    ));
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
            "ns",
            &[Group {
                title: "group",
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
}
