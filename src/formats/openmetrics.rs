//! Metrics as text, for Prometheus and everything that reads its formats: `OpenMetrics` 1.0, and the
//! older text format. They differ in the names of counters, in units and in the end.
//! <https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md>

use std::fmt::Write as _;

use crate::model::duration_histogram::DurationHistogram;

/// Which of the two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpositionForm {
    /// `application/openmetrics-text; version=1.0.0`
    OpenMetrics,
    /// `text/plain; version=0.0.4`
    Prometheus,
}

/// Metrics that are being written.
#[derive(Debug)]
pub struct Exposition {
    form: ExpositionForm,
    text: String,
}

/// A metric that gets its values: one for each combination of labels.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
    /// What the names of its values end with.
    end: &'static str,
}

/// A value: counts stay exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A count.
    Whole(u64),
    /// Anything else.
    Real(f64),
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<usize> for Number {
    fn from(number: usize) -> Self {
        Self::Whole(number as u64)
    }
}

impl From<bool> for Number {
    fn from(yes: bool) -> Self {
        Self::Whole(yes.into())
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

/// Units that names end with, as the specification demands.
const UNITS: [&str; 3] = ["seconds", "bytes", "ratio"];

impl ExpositionForm {
    /// Returns the value of `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

impl Exposition {
    /// Begins a text.
    pub const fn new(form: ExpositionForm) -> Self {
        Self {
            form,
            text: String::new(),
        }
    }

    /// Begins a value that goes up and down.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.begin(name, "", "gauge", help)
    }

    /// Begins a value that only grows until the program starts again. The name is without
    /// `_total`, which each value gets.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.begin(name, "_total", "counter", help)
    }

    /// Writes how often something took how long, in seconds.
    pub fn histogram(&mut self, name: &'static str, help: &str, times: &DurationHistogram) {
        let text = self.begin(name, "", "histogram", help).text;
        for (bound, count) in times.cumulated() {
            let bound = match bound {
                // "1.0", as the specification writes it.
                Some(bound) => format!("{:?}", bound.as_secs_f64()),
                None => "+Inf".to_owned(),
            };
            let _ = writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {count}");
        }
        let (count, sum) = (times.count(), times.sum().as_secs_f64());
        let _ = writeln!(text, "{name}_count {count}\n{name}_sum {sum}");
    }

    /// Returns what was written so far, for [`Self::append`].
    pub fn part(self) -> String {
        self.text
    }

    /// Appends metrics that were written in the same format.
    pub fn append(&mut self, part: &str) {
        self.text.push_str(part);
    }

    /// Ends the text.
    pub fn end(mut self) -> String {
        if self.form == ExpositionForm::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn begin(
        &mut self,
        name: &'static str,
        end: &'static str,
        kind: &str,
        help: &str,
    ) -> Family<'_> {
        let (text, is_open) = (&mut self.text, self.form == ExpositionForm::OpenMetrics);
        let shown_end = if is_open { "" } else { end };
        let _ = writeln!(text, "# TYPE {name}{shown_end} {kind}");
        let unit = UNITS.iter().find(|unit| ends_with(name, unit));
        if let (Some(unit), true) = (unit, is_open) {
            let _ = writeln!(text, "# UNIT {name} {unit}");
        }
        let _ = write!(text, "# HELP {name}{shown_end} ");
        escape(help, is_open, text);
        text.push('\n');
        Family { text, name, end }
    }
}

impl Family<'_> {
    /// Adds the value of these labels.
    pub fn value(&mut self, labels: &[(&str, &str)], number: impl Into<Number>) -> &mut Self {
        let _ = write!(self.text, "{}{}", self.name, self.end);
        for (i, (name, value)) in labels.iter().enumerate() {
            let before = if i == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{name}=\"");
            escape(value, true, self.text);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = match number.into() {
            Number::Whole(number) => writeln!(self.text, " {number}"),
            Number::Real(number) => writeln!(self.text, " {}", real(number)),
        };
        self
    }
}

/// The name is the unit, or ends with it as a word of its own.
fn ends_with(name: &str, unit: &str) -> bool {
    name.strip_suffix(unit)
        .is_some_and(|before| before.ends_with('_'))
}

fn real(number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        (if number > 0.0 { "+Inf" } else { "-Inf" }).to_owned()
    } else {
        number.to_string()
    }
}

/// Both formats know only these three; everything else is UTF-8 as it is.
fn escape(from: &str, quotes: bool, to: &mut String) {
    for character in from.chars() {
        match character {
            '\\' => to.push_str("\\\\"),
            '\n' => to.push_str("\\n"),
            '"' if quotes => to.push_str("\\\""),
            other => to.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn written(form: ExpositionForm) -> String {
        let mut metrics = Exposition::new(form);
        metrics
            .counter("x_sign_ins", "Sign-ins \"now\".")
            .value(&[("result", "accepted")], 3_u64)
            .value(&[("result", "a\"b\\c\nd"), ("user", "")], u64::MAX);
        metrics
            .gauge("x_used_ratio", "Part.")
            .value(&[], 0.25)
            .value(&[("a", "ü")], f64::INFINITY);
        let mut times = DurationHistogram::default();
        for millis in [0, 1, 2, 60_000] {
            times.add(Duration::from_millis(millis));
        }
        metrics.histogram("x_seconds", "Time.", &times);
        metrics.gauge("x_build_info", "Build.").value(&[], true);
        metrics.end()
    }

    #[test]
    fn openmetrics_has_units_and_an_end() {
        let text = written(ExpositionForm::OpenMetrics);
        let expected = "# TYPE x_sign_ins counter\n\
            # HELP x_sign_ins Sign-ins \\\"now\\\".\n\
            x_sign_ins_total{result=\"accepted\"} 3\n\
            x_sign_ins_total{result=\"a\\\"b\\\\c\\nd\",user=\"\"} 18446744073709551615\n\
            # TYPE x_used_ratio gauge\n\
            # UNIT x_used_ratio ratio\n\
            # HELP x_used_ratio Part.\n\
            x_used_ratio 0.25\n\
            x_used_ratio{a=\"ü\"} +Inf\n\
            # TYPE x_seconds histogram\n\
            # UNIT x_seconds seconds\n";
        assert!(text.starts_with(expected), "{text}");
        assert!(
            text.contains("x_seconds_bucket{le=\"0.001\"} 2\n"),
            "{text}"
        );
        assert!(text.contains("x_seconds_bucket{le=\"10.0\"} 3\n"), "{text}");
        assert!(text.contains("x_seconds_bucket{le=\"+Inf\"} 4\n"), "{text}");
        let end = "x_seconds_count 4\nx_seconds_sum 60.003\n# TYPE x_build_info gauge\n\
            # HELP x_build_info Build.\nx_build_info 1\n# EOF\n";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn the_older_format_names_counters_in_full() {
        let text = written(ExpositionForm::Prometheus);
        let expected = "# TYPE x_sign_ins_total counter\n\
            # HELP x_sign_ins_total Sign-ins \"now\".\n\
            x_sign_ins_total{result=\"accepted\"} 3\n";
        assert!(text.starts_with(expected), "{text}");
        assert!(
            !text.contains("# UNIT") && !text.contains("# EOF"),
            "{text}"
        );
    }
}
