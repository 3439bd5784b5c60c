//! Reads what the page of a report shows.

use super::{LATELY, ReportRequest, ReportSummary};
use crate::app::App;
use crate::app::status::StatusReport;
use crate::error::Result;
use crate::model::duration::Duration;
use crate::model::followed_message::MessageState;
use crate::model::log_time::LogTime;
use crate::model::time::Time;
use crate::model::usage::{Usage, UsageBy};
use crate::store::{FigureRange, Location, StoreFigures};

/// How many entries each list has.
pub const LISTED: u32 = 10;
/// How many days are counted one by one, today included.
pub const DAYS: u16 = 14;
/// How many weeks ahead expiries are counted.
pub const WEEKS: u16 = 12;
const DAY: i64 = 86_400;

/// What the page of a report shows.
pub struct ReportFigures {
    /// What was looked for.
    pub wanted: ReportRequest,
    /// What matters now.
    pub status: StatusReport,
    /// What needs attention.
    pub found: ReportSummary,
    /// Counts of the store.
    pub counts: StoreFigures,
    /// The days that are counted one by one, the first one as a number since 1970.
    pub first_day: i64,
    /// What was sent on each day on which anything was.
    pub days: Vec<Usage>,
    /// The users that sent the most within [`LATELY`].
    pub senders: Vec<Usage>,
    /// How many users sent within [`LATELY`] and are not listed.
    pub other_senders: bool,
    /// How many recipients are in each state; `None` if messages are not kept or cannot be read.
    pub messages: Option<Vec<(MessageState, u64)>>,
}

impl App {
    /// Reads it. `store` is where messages are beside.
    pub fn report_figures(
        &mut self,
        wanted: ReportRequest,
        store: &Location,
    ) -> Result<ReportFigures> {
        let status = self.status()?;
        let now = status.now;
        let today = now.epoch().div_euclid(DAY);
        let first_day = today - i64::from(DAYS) + 1;
        let counts = self.store.figures(FigureRange {
            now,
            first_day: Time::from_epoch(first_day * DAY),
            networks_since: now.minus(LATELY),
            weeks: WEEKS,
            networks: LISTED,
        })?;
        let mut days = Vec::new();
        let of_days = Duration::days(DAYS);
        self.usage(
            UsageBy::Day,
            of_days,
            &page(u32::from(DAYS) + 1),
            &mut |day| {
                days.push(day);
                Ok(())
            },
        )?;
        let mut senders = Vec::new();
        self.usage(UsageBy::User, LATELY, &page(LISTED + 1), &mut |user| {
            senders.push(user);
            Ok(())
        })?;
        let other_senders = senders.len() > LISTED as usize;
        senders.truncate(LISTED as usize);
        Ok(ReportFigures {
            wanted,
            found: self.report_summary(wanted, LISTED as usize)?,
            messages: self.message_states(store, now)?,
            status,
            counts,
            first_day,
            days,
            senders,
            other_senders,
        })
    }

    fn message_states(
        &mut self,
        store: &Location,
        now: Time,
    ) -> Result<Option<Vec<(MessageState, u64)>>> {
        if self.settings()?.messages.keep.is_none() {
            return Ok(None);
        }
        // `doctor` tells what is wrong with them.
        let Ok(mut messages) = self.messages(store) else {
            return Ok(None);
        };
        let since = LogTime::of(now.minus(LATELY));
        Ok(Some(messages.states_since(since)?))
    }
}

const fn page(most: u32) -> crate::store::Page<'static> {
    crate::store::Page {
        after: "",
        most: Some(most),
    }
}
