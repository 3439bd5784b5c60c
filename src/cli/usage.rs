//! `smtpcred usage`

use anyhow::Result;
use clap::Args;

use super::output::{Format, Record};
use super::{Context, help};
use crate::model::duration::Duration;
use crate::model::usage::{Usage as Sum, UsageBy};
use crate::store::{Access, Page};

/// Show what was sent: messages, recipients, bytes and refusals
#[derive(Debug, Args)]
#[command(after_long_help = help::USAGE)]
pub struct Usage {
    /// Add up by user, domain or day
    #[arg(long, value_name = "WHAT", default_value = "user")]
    by: UsageBy,

    /// So far back, today included
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "30d",
        allow_hyphen_values = true
    )]
    since: Duration,

    /// Only those that sent most, or the first days
    #[arg(long, visible_alias = "limit", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    top: Option<u32>,

    /// Only those behind this one: a username, domain or date
    #[arg(long, value_name = "NAME")]
    after: Option<String>,
}

impl Usage {
    pub fn run(self, context: &mut Context) -> Result<()> {
        /// Of a table, where nothing else is said.
        const TOP: u32 = 20;
        let mut app = context.app(Access::Existing)?;
        let is_table = context.out.format() == Format::Table;
        let most = match self.top {
            None if is_table && self.by != UsageBy::Day => Some(TOP),
            top => top,
        };
        let after = self.after.unwrap_or_default();
        let page = Page {
            after: &after,
            most,
        };
        let mut list = context.out.list::<Row>();
        if is_table && self.by == UsageBy::Day {
            // A bar is a share of the most, which may come last. Of days there are few.
            let mut kept = Vec::new();
            app.usage(self.by, self.since, &page, &mut |sum| {
                kept.push(sum);
                Ok(())
            })?;
            let most = kept.iter().map(|sum| sum.messages).max().unwrap_or(0);
            for sum in kept {
                list.push(&Row { sum, most })?;
            }
        } else {
            let mut most = 0;
            app.usage(self.by, self.since, &page, &mut |sum| {
                // The first has the most.
                most = sum.messages.max(most);
                list.push(&Row { sum, most })
            })?;
        }
        Ok(list.end("nothing was sent")?)
    }
}

#[derive(serde::Serialize)]
struct Row {
    #[serde(flatten)]
    sum: Sum,
    #[serde(skip)]
    most: u64,
}

impl Record for Row {
    const COLUMNS: &'static [&'static str] =
        &["Name", "Messages", "", "Recipients", "Size", "Refused"];

    fn cells(&self) -> Vec<String> {
        let sum = &self.sum;
        vec![
            sum.name.clone(),
            sum.messages.to_string(),
            bar(sum.messages, self.most),
            sum.recipients.to_string(),
            size(sum.bytes),
            sum.refusals.to_string(),
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

fn bar(n: u64, most: u64) -> String {
    const WIDTH: u64 = 20;
    let length = (n * WIDTH).div_ceil(most.max(1));
    "█".repeat(usize::try_from(length).unwrap_or(0))
}

/// In the unit that leaves at most four digits; 1 kB are 1000 bytes (IEC 80000-13).
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
        assert_eq!(bar(10, 10).chars().count(), 20);
        assert_eq!(bar(1, 1000).chars().count(), 1, "something is not nothing");
        assert_eq!(bar(0, 0), "");
        assert_eq!(size(9_999), "9999 B");
        assert_eq!(size(12_345), "12 kB");
        assert_eq!(size(u64::MAX), "18446744 TB");
    }
}
