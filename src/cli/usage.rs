//! `smtpcred usage`

use anyhow::Result;
use clap::Args;

use super::args::view::{COLUMNS, ViewArgs};
use super::args::{number, one_of};
use super::complete;
use super::context::Context;
use super::terminal::column::{BAR, Cell, Column};
use super::terminal::output::OutputFormat;
use super::terminal::record::Record;
use crate::model::duration::Duration;
use crate::model::usage::{Usage, UsageBy};
use crate::store::{Access, Page};

const HELP: &str = "\
Examples:
  smtpcred usage                                         of the last 30 days, by user
  smtpcred usage --by day --since 7d
  smtpcred usage --by domain --since 1y --json
  smtpcred usage --limit 100 --after shop@example.com    the next page

JSON:
  A list of {name, messages, recipients, bytes, refusals}; name is a username, a domain or a date.
  Usage is kept for 400 days. A day is a day in UTC, or in the time zone of `set-settings --day`.
  Refusals are messages refused because of a limit, a foreign sender or an unverified domain.";

/// Show what was sent: messages, recipients, bytes and refusals
#[derive(Debug, Args)]
#[command(after_long_help = HELP, mut_arg(COLUMNS, complete::columns::<UsageRow>))]
pub struct ShowUsage {
    /// Group the usage by this
    #[arg(long, value_name = "WHAT", default_value = "user", value_parser = one_of::<UsageBy, _>(["user", "domain", "day"]))]
    by: UsageBy,

    /// Show usage of this period, which includes today
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "30d",
        allow_hyphen_values = true
    )]
    since: Duration,

    /// Show only the N with the most messages, or the first N days
    #[arg(long, visible_alias = "limit", value_name = "N", value_parser = number::within(1..=u32::MAX))]
    top: Option<u32>,

    /// Show only entries after this one: a username, domain or date
    #[arg(long, value_name = "NAME")]
    after: Option<String>,

    #[command(flatten)]
    view: ViewArgs,
}

impl ShowUsage {
    pub fn run(self, context: &mut Context) -> Result<()> {
        /// The default for tables.
        const TOP: u32 = 20;
        let mut app = context.app(Access::Existing)?;
        let is_table = context.out.format() == OutputFormat::Table;
        let most = match self.top {
            None if is_table && self.by != UsageBy::Day => Some(TOP),
            top => top,
        };
        let after = self.after.unwrap_or_default();
        let page = Page {
            after: &after,
            most,
        };
        let width = if context.out.is_for_people() { BAR } else { 20 };
        let mut list = self.view.apply(context.out.list::<UsageRow>())?;
        if is_table && self.by == UsageBy::Day {
            // The longest bar is for the maximum, which may come last. There are few days.
            let mut kept = Vec::new();
            app.usage(self.by, self.since, &page, &mut |sum| {
                kept.push(sum);
                Ok(())
            })?;
            let most = kept.iter().map(|sum| sum.messages).max().unwrap_or(0);
            for sum in kept {
                list.push(&UsageRow { sum, most, width })?;
            }
        } else {
            let mut most = 0;
            app.usage(self.by, self.since, &page, &mut |sum| {
                // The first entry has the most messages.
                most = sum.messages.max(most);
                list.push(&UsageRow { sum, most, width })
            })?;
        }
        Ok(list.end("nothing was sent")?)
    }
}

#[derive(serde::Serialize)]
struct UsageRow {
    #[serde(flatten)]
    sum: Usage,
    #[serde(skip)]
    most: u64,
    /// Of the longest bar.
    #[serde(skip)]
    width: usize,
}

impl Record for UsageRow {
    const COLUMNS: &'static [Column] = &[
        Column::new("Name"),
        Column::new("Messages").right(),
        Column::new("").rank(3).bar(4),
        Column::new("Recipients").right().rank(2),
        Column::new("Size").right().rank(1),
        Column::new("Refused").right(),
    ];

    fn cells(&self) -> Vec<Cell> {
        let sum = &self.sum;
        vec![
            sum.name.as_str().into(),
            sum.messages.to_string().into(),
            bar(sum.messages, self.most, self.width).into(),
            sum.recipients.to_string().into(),
            size(sum.bytes).into(),
            sum.refusals.to_string().into(),
        ]
    }

    const FIELDS: &'static [&'static str] =
        &["name", "messages", "recipients", "bytes", "refusals"];

    fn fields(&self) -> Vec<String> {
        let sum = &self.sum;
        let mut fields = vec![sum.name.clone()];
        let numbers = [sum.messages, sum.recipients, sum.bytes, sum.refusals];
        fields.extend(numbers.iter().map(ToString::to_string));
        fields
    }
}

fn bar(n: u64, most: u64, width: usize) -> String {
    let length = (u128::from(n) * width as u128).div_ceil(most.max(1).into());
    "█".repeat(usize::try_from(length).unwrap_or(0))
}

/// Returns the size in the unit that leaves at most four digits; 1 kB is 1000 bytes (IEC 80000-13).
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut n = bytes;
    let mut unit = 0;
    while n >= 10_000 && unit + 1 < UNITS.len() {
        n /= 1000;
        unit += 1;
    }
    format!("{n} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::{bar, size};

    #[test]
    fn bars_and_sizes() {
        assert_eq!(bar(10, 10, 20).chars().count(), 20);
        assert_eq!(
            bar(1, 1000, 20).chars().count(),
            1,
            "something is not nothing"
        );
        assert_eq!(bar(0, 0, 20), "");
        assert_eq!(bar(u64::MAX, u64::MAX, 20).chars().count(), 20);
        assert_eq!(size(9_999), "9999 B");
        assert_eq!(size(12_345), "12 kB");
        assert_eq!(size(u64::MAX), "18446744 TB");
    }
}
