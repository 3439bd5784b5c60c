//! Bars as SVG. The width is that of a phone, so that the text stays readable on one.

use std::fmt::Write as _;

use super::escape::Safe;
use super::{Bars, Chart, grouped};

const WIDTH: u64 = 360;
/// The height of a bar across, with its label above.
const ROW: u64 = 34;
/// The height of the room for bars upright.
const HEIGHT: u64 = 120;
/// The height of the legend.
const LEGEND: u64 = 24;

/// Returns the chart as an element.
pub fn svg(chart: &Chart, id: &str) -> String {
    let most = chart.points.iter().flat_map(|(_, values)| values).max();
    let most = most.copied().unwrap_or(0).max(1);
    let (body, height) = match chart.bars {
        Bars::Across => across(chart, most),
        Bars::Upright => upright(chart, most),
    };
    let title = Safe(&chart.title);
    format!(
        "<svg role=\"img\" aria-labelledby=\"{id}-title\" viewBox=\"0 0 {WIDTH} {height}\">\n\
        <title id=\"{id}-title\">{title}</title>\n{body}</svg>\n"
    )
}

/// Returns the part of a length; something that is not nothing is seen.
fn part(value: u64, most: u64, length: u64) -> u64 {
    let part = u128::from(value) * u128::from(length) / u128::from(most);
    let part = u64::try_from(part).unwrap_or(length);
    part.max(u64::from(value > 0) * 2)
}

fn across(chart: &Chart, most: u64) -> (String, u64) {
    let mut out = String::new();
    for (row, (label, values)) in (0..).zip(&chart.points) {
        let y = row * ROW;
        let value = values.first().copied().unwrap_or(0);
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "<text x=\"0\" y=\"{}\">{}</text><text x=\"{WIDTH}\" y=\"{}\" class=\"end\">{}</text>\
            <rect x=\"0\" y=\"{}\" width=\"{WIDTH}\" height=\"10\" class=\"room\"/>\
            <rect x=\"0\" y=\"{}\" width=\"{}\" height=\"10\" class=\"bar0\"/>",
            y + 13,
            Safe(&shortened(label)),
            y + 13,
            grouped(value),
            y + 18,
            y + 18,
            part(value, most, WIDTH),
        );
    }
    (out, ROW * chart.points.len() as u64)
}

fn upright(chart: &Chart, most: u64) -> (String, u64) {
    let mut out = String::new();
    for (number, name) in (0..).zip(&chart.series) {
        let x = number * WIDTH / 2;
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"3\" width=\"10\" height=\"10\" class=\"bar{number}\"/>\
            <text x=\"{}\" y=\"12\">{}</text>",
            x + 15,
            Safe(name),
        );
    }
    let floor = LEGEND + 14 + HEIGHT;
    let _ = writeln!(
        out,
        "<text x=\"0\" y=\"{}\">{}</text><path d=\"M0 {}H{WIDTH}M0 {floor}H{WIDTH}\" class=\"axis\"/>",
        LEGEND + 10,
        grouped(most),
        LEGEND + 14,
    );
    let points = chart.points.len().max(1) as u64;
    let slot = WIDTH / points;
    let bar = slot.saturating_sub(4) / (chart.series.len().max(1) as u64);
    for (place, (label, values)) in (0..).zip(&chart.points) {
        let left = place * WIDTH / points + 2;
        for (number, value) in (0..).zip(values) {
            let height = part(*value, most, HEIGHT);
            let _ = writeln!(
                out,
                "<rect x=\"{}\" y=\"{}\" width=\"{bar}\" height=\"{height}\" class=\"bar{number}\"/>",
                left + number * bar,
                floor - height,
            );
        }
        // The first and the last, and some between, which leave room for each other.
        let last = points - 1;
        if place == 0 || place == last || (place % 4 == 0 && place + 3 < last) {
            let (x, class) = if place == last && place > 0 {
                (WIDTH, " class=\"end\"")
            } else {
                (left, "")
            };
            let _ = writeln!(
                out,
                "<text x=\"{x}\" y=\"{}\"{class}>{}</text>",
                floor + 15,
                Safe(&shortened(label)),
            );
        }
    }
    (out, floor + 20)
}

/// Returns a label that fits beside a number.
fn shortened(label: &str) -> String {
    const MOST: usize = 40;
    if label.chars().count() <= MOST {
        return label.to_owned();
    }
    let start: String = label.chars().take(MOST - 1).collect();
    start + "…"
}
