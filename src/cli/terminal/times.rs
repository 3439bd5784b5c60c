//! Times on a terminal: in the person's time zone. Programs get RFC 3339 in UTC.

use std::borrow::Cow;
use std::cell::OnceCell;

use super::column::{Cell, Column, TimeForm};
use super::stream::tell;
use crate::cli::time_zone;
use crate::cli::world::WORLD;
use crate::model::local_time::LocalTimes;
use crate::model::name::{in_both_forms, in_unicode};
use crate::model::time::Time;

/// Shows times to people. The zone is looked up once it is needed.
#[derive(Clone, Default)]
pub struct Times {
    /// The name of the zone, and where it comes from; `None` for that of the machine.
    named: Option<(String, String)>,
    found: OnceCell<LocalTimes>,
}

impl Times {
    /// Shows times in this zone.
    pub const fn new(named: Option<(String, String)>) -> Self {
        Self {
            named,
            found: OnceCell::new(),
        }
    }

    fn local(&self) -> &LocalTimes {
        self.found.get_or_init(|| {
            let named = self.named.as_ref();
            let named = named.map(|(name, place)| (name.as_str(), place.as_str()));
            let (zone, warning) = time_zone::find(named);
            if let Some(warning) = warning {
                tell("warning:", &warning);
            }
            LocalTimes::new(zone, (WORLD.now)())
        })
    }

    /// Shows times in the same zone, relative to now.
    pub fn as_of_now(&self) -> Self {
        Self {
            named: self.named.clone(),
            found: OnceCell::from(self.local().at((WORLD.now)())),
        }
    }

    /// Returns a value of its own: `in 3 days, Thu 3 Dec 05:21 +01:00`.
    pub fn value(&self, at: Time) -> String {
        self.local().value(at)
    }

    /// Returns only the time there: `Thu 3 Dec 05:21 +01:00`.
    pub fn clock(&self, at: Time) -> String {
        self.local().clock(at)
    }

    /// Rewrites the times in a text for people.
    pub fn rewrite<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if LocalTimes::may_have_time(text) {
            return self.local().rewrite(text);
        }
        Cow::Borrowed(text)
    }

    /// Rewrites the times in a value of several lines, and shows an internationalized name in
    /// both forms.
    pub fn rewrite_cell(&self, cell: &mut Cell) {
        if let Some(both) = in_both_forms(&cell.text) {
            cell.text = both;
            return;
        }
        if let Some(at) = cell.since
            && let Some((_, rest)) = cell.text.split_once(" ago")
        {
            let comma = if rest.starts_with(' ') { "," } else { "" };
            cell.text = format!("{}{comma}{rest}", self.value(at));
        }
        if LocalTimes::may_have_time(&cell.text) {
            let lines = cell.text.split('\n').map(|line| self.rewrite(line));
            cell.text = lines.collect::<Vec<_>>().join("\n");
        }
    }

    /// Rewrites the times in the cells of a row.
    pub fn localize(&self, columns: &[Column], row: &mut [Cell]) {
        for (column, cell) in columns.iter().zip(row) {
            let at = || cell.text.parse::<Time>().ok();
            let written = match column.times {
                TimeForm::None => match (cell.since, cell.text.split_once(" ago")) {
                    (Some(at), Some((_, rest))) => {
                        Some(format!("{}{rest}", self.local().short(at)))
                    }
                    _ => in_unicode(&cell.text),
                },
                TimeForm::Text => {
                    self.rewrite_cell(cell);
                    None
                }
                TimeForm::Fields => {
                    LocalTimes::may_have_time(&cell.text).then(|| self.local().fields(&cell.text))
                }
                TimeForm::Stamp => at().map(|at| self.local().stamp(at)),
                TimeForm::Day => at().map(|at| self.local().day(at)),
                TimeForm::Near => at().map(|at| self.local().near(at)),
            };
            if let Some(text) = written {
                cell.text = text;
            }
        }
    }
}

/// Shortens the days in the cells of a row for programs.
pub fn shorten_days(columns: &[Column], row: &mut [Cell]) {
    const DAY: usize = "2026-12-03".len();
    for (column, cell) in columns.iter().zip(row) {
        if column.times == TimeForm::Day && cell.text.is_char_boundary(DAY) {
            cell.text.truncate(DAY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::column::Tone;
    use super::*;

    #[test]
    fn a_table_has_the_unicode_form_and_a_record_both() {
        let times = Times::new(None);
        let both = "bücher.example (xn--bcher-kva.example)";
        let cell = |text: &str| Cell::new(text, Tone::Plain);
        let mut row = [cell("xn--bcher-kva.example")];
        times.localize(&[Column::new("Domain")], &mut row);
        assert_eq!(row[0].text, "bücher.example");
        let mut value = cell("xn--bcher-kva.example");
        times.rewrite_cell(&mut value);
        assert_eq!(value.text, both);
        let command = "run: smtpcred domain verify xn--bcher-kva.example";
        let mut value = cell(command);
        times.rewrite_cell(&mut value);
        assert_eq!(value.text, command);
    }
}
