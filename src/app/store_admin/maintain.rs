//! Deletes old data: a running relay does so a little at a time, `store maintain` deletes
//! all of it.
//! Long, because all tasks share one run.

use std::time::Instant;

use super::backfill::backfill_some;
use crate::app::App;
use crate::app::pause::let_others;
use crate::error::{Error, Result};
use crate::model::day::Day;
use crate::model::duration;
use crate::model::name::Username;
use crate::model::password::PasswordId;
use crate::model::time::Time;
use crate::model::usage::Usage;
use crate::store::{Location, Space, Store, Tx};

/// How long data is kept, in days.
const USAGE_KEPT: u16 = 400;
const REFUSALS_KEPT: u16 = 30;
const MOST_REFUSALS: u32 = 10_000;
const ALERTS_KEPT: u16 = 90;
const MOST_ALERTS: u32 = 100_000;
/// Longer than a clock runs ahead, so that a wrong clock erases no password.
const RETIRED_KEPT: u16 = 30;
/// How many rows share a transaction, which takes some milliseconds.
const PIECE: u32 = 1000;
/// The size in bytes below which a store is rewritten in less time than others wait.
const SMALL: u64 = 16 << 20;
/// How many unused bytes are not worth reclaiming.
const LITTLE: u64 = 1 << 20;

/// A task of `store maintain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaintenanceTask {
    /// Entries with a future time are set to the present.
    Ahead,
    /// Old usage is deleted.
    Usage,
    /// Old refused sign-ins are deleted.
    Failures,
    /// Old alerts are deleted.
    Alerts,
    /// Counts that no limit needs are deleted.
    Counts,
    /// Hashes of passwords that retired long ago are erased.
    Hashes,
    /// Wrong sums of usage are corrected.
    Sums,
    /// Messages that are not kept any more are deleted.
    Messages,
    /// Missing indexes are created.
    Indexes,
    /// The statistics of the tables are collected.
    Statistics,
    /// Unused space is returned to the system.
    Space,
}

impl MaintenanceTask {
    /// Tasks that a running relay does as well.
    const FORGOTTEN: [Self; 4] = [Self::Usage, Self::Failures, Self::Alerts, Self::Counts];

    /// Returns the name in JSON and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ahead => "ahead",
            Self::Usage => "usage",
            Self::Failures => "failures",
            Self::Alerts => "alerts",
            Self::Counts => "counts",
            Self::Hashes => "hashes",
            Self::Sums => "sums",
            Self::Messages => "messages",
            Self::Indexes => "indexes",
            Self::Statistics => "statistics",
            Self::Space => "space",
        }
    }
}

/// What a task did, or would do in a dry run.
#[derive(Debug)]
pub struct TaskReport {
    /// The task.
    pub task: MaintenanceTask,
    /// A description for people.
    pub what: String,
    /// How many rows it changed, `None` if it does not count rows.
    pub rows: Option<u64>,
    /// How many bytes it returned to the system, `None` for other tasks.
    pub bytes: Option<u64>,
}

/// How tasks are done.
#[derive(Clone, Copy, Debug)]
pub struct MaintainOptions {
    /// Report what would be done, and change nothing.
    pub dry_run: bool,
    /// Rewrite the store even if that blocks other writers for long.
    pub vacuum: bool,
}

/// From when on data is kept.
struct Cutoffs {
    now: Time,
    day: Day,
    usage: i64,
    refusals: Time,
    alerts: Time,
    hashes: Time,
}

impl Cutoffs {
    fn at(store: &mut Store, now: Time) -> Result<Self> {
        let ago = |days| Time::from_epoch(now.epoch() - duration::Duration::days(days).seconds());
        let day = store.settings()?.day;
        Ok(Self {
            now,
            usage: Usage::day_of(now, &day) - i64::from(USAGE_KEPT),
            day,
            refusals: ago(REFUSALS_KEPT),
            alerts: ago(ALERTS_KEPT),
            hashes: ago(RETIRED_KEPT),
        })
    }

    fn old(&self, task: MaintenanceTask, store: &mut Store) -> Result<u64> {
        match task {
            MaintenanceTask::Usage => store.old_usage(self.usage),
            MaintenanceTask::Failures => store.old_refusals(self.refusals, MOST_REFUSALS),
            MaintenanceTask::Alerts => store.old_alerts(self.alerts, MOST_ALERTS),
            MaintenanceTask::Counts => store.old_counts(self.now, &self.day),
            MaintenanceTask::Hashes => store.old_hashes(self.hashes),
            MaintenanceTask::Ahead
            | MaintenanceTask::Messages
            | MaintenanceTask::Sums
            | MaintenanceTask::Indexes
            | MaintenanceTask::Statistics
            | MaintenanceTask::Space => Ok(0),
        }
    }

    fn forget(&self, task: MaintenanceTask, tx: &mut Tx) -> Result<u64> {
        match task {
            MaintenanceTask::Usage => tx.forget_old_usage(self.usage, PIECE),
            MaintenanceTask::Failures => {
                tx.forget_old_refusals(self.refusals, MOST_REFUSALS, PIECE)
            }
            // A relay may not be allowed to: `store maintain` does it then.
            MaintenanceTask::Alerts if !tx.may_delete_alerts()? => Ok(0),
            MaintenanceTask::Alerts => tx.forget_old_alerts(self.alerts, MOST_ALERTS, PIECE),
            MaintenanceTask::Counts => tx.forget_old_counts(self.now, &self.day, PIECE),
            MaintenanceTask::Ahead
            | MaintenanceTask::Messages
            | MaintenanceTask::Hashes
            | MaintenanceTask::Sums
            | MaintenanceTask::Indexes
            | MaintenanceTask::Statistics
            | MaintenanceTask::Space => Ok(0),
        }
    }
}

/// Deletes a batch of old data within a given change. Returns whether there may be more.
pub(crate) fn delete_some(tx: &mut Tx, now: Time) -> Result<bool> {
    tx.move_future_counts()?;
    let kept = Cutoffs::at(tx.store(), now)?;
    let mut more = false;
    for task in MaintenanceTask::FORGOTTEN {
        more |= kept.forget(task, tx)? >= u64::from(PIECE);
    }
    // One task at a time: others wait for this change.
    Ok(more || backfill_some(tx, now)?)
}

impl App {
    /// Does all tasks and reports each. Returns false if this database user may not do all
    /// of them.
    pub fn maintain(
        &mut self,
        upkeep: MaintainOptions,
        each: &mut dyn FnMut(TaskReport) -> Result<()>,
    ) -> Result<bool> {
        let now = self.now().plausible()?;
        // Reported only if there are any, because nearly all clocks are right.
        if let Some(later) = self.store.future_rows(now)? {
            if !upkeep.dry_run {
                let mut tx = self.begin()?;
                tx.move_future_counts()?;
                tx.move_future_rows()?;
                tx.commit()?;
            }
            each(TaskReport {
                task: MaintenanceTask::Ahead,
                what: described(MaintenanceTask::Ahead),
                rows: Some(later.rows),
                bytes: None,
            })?;
        }
        let kept = Cutoffs::at(&mut self.store, now)?;
        for task in [
            MaintenanceTask::Usage,
            MaintenanceTask::Failures,
            MaintenanceTask::Alerts,
            MaintenanceTask::Counts,
            MaintenanceTask::Hashes,
        ] {
            let rows = if upkeep.dry_run {
                kept.old(task, &mut self.store)?
            } else if task == MaintenanceTask::Hashes {
                self.erase_retired(kept.hashes)?
            } else {
                self.forget(task, &kept)?
            };
            each(TaskReport {
                task,
                what: described(task),
                rows: Some(rows),
                bytes: None,
            })?;
        }
        let complete = self.backfill_and_analyze(upkeep, each)?;
        if let Some(space) = self.store.space()? {
            each(self.give_back(upkeep, space)?)?;
        }
        // Last, because it reads the usage of all users: nothing else waits for it.
        let wrong = self.correct_sums(upkeep, kept.usage)?;
        // Rarely necessary, so only then reported.
        if wrong > 0 {
            each(TaskReport {
                task: MaintenanceTask::Sums,
                what: described(MaintenanceTask::Sums),
                rows: Some(wrong),
                bytes: None,
            })?;
        }
        Ok(complete)
    }

    /// Deletes messages that are not kept any more; `None` if there are none.
    pub fn maintain_messages(
        &mut self,
        store: &Location,
        dry_run: bool,
    ) -> Result<Option<TaskReport>> {
        let mut messages = match self.messages(store) {
            Err(Error::MessagesNotKept) => return Ok(None),
            opened => opened?,
        };
        let task = MaintenanceTask::Messages;
        let rows = self.forget_messages(&mut messages, dry_run)?;
        Ok(Some(TaskReport {
            task,
            what: described(task),
            rows: Some(rows),
            bytes: None,
        }))
    }

    fn backfill_and_analyze(
        &mut self,
        upkeep: MaintainOptions,
        each: &mut dyn FnMut(TaskReport) -> Result<()>,
    ) -> Result<bool> {
        let missing = self.store.missing_indexes()?;
        if !upkeep.dry_run {
            match self.backfill(&mut |_| ()) {
                // Only the owner of the tables can create indexes.
                Err(Error::StoreForbidden { cure: Some(_), .. }) => {}
                filled => filled?,
            }
        }
        let is_owner = self.store.may_analyze()?;
        if !upkeep.dry_run {
            self.store.analyze()?;
        }
        let mut report = |task, what, rows| {
            each(TaskReport {
                task,
                what,
                rows,
                bytes: None,
            })
        };
        if !missing.is_empty() {
            let task = MaintenanceTask::Indexes;
            let what = if is_owner {
                described(task)
            } else {
                format!(
                    "missing: {}; the owner of the tables creates them with: smtpcred store migrate",
                    missing.join(", ")
                )
            };
            report(task, what, Some(missing.len() as u64))?;
        }
        let task = MaintenanceTask::Statistics;
        let what = if is_owner {
            described(task)
        } else {
            "not collected: run smtpcred store maintain as the owner of the tables".into()
        };
        report(task, what, None)?;
        Ok(is_owner)
    }

    /// Corrects the usage of domains that is not the sum of their users' usage, and the total
    /// of users; returns how many sums were wrong.
    fn correct_sums(&mut self, upkeep: MaintainOptions, first_day: i64) -> Result<u64> {
        let mut wrong = 0;
        if self.store.missing_in_total()? != 0 {
            wrong += 1;
            if !upkeep.dry_run {
                let mut tx = self.begin()?;
                tx.correct_user_total()?;
                tx.commit()?;
            }
        }
        let mut last = first_day - 1;
        while let Some(day) = self.store.next_usage_day(last)? {
            last = day;
            let began = Instant::now();
            let found = self.store.wrong_usage_sums(day)?;
            if found == 0 {
                continue;
            }
            wrong += found;
            if !upkeep.dry_run {
                let mut tx = self.begin()?;
                tx.correct_usage_sums(day)?;
                tx.commit()?;
                let_others(began);
            }
        }
        Ok(wrong)
    }

    fn forget(&mut self, task: MaintenanceTask, kept: &Cutoffs) -> Result<u64> {
        let mut all = 0;
        loop {
            let began = Instant::now();
            let mut tx = self.begin()?;
            let rows = kept.forget(task, &mut tx)?;
            tx.commit()?;
            all += rows;
            if rows < u64::from(PIECE) {
                return Ok(all);
            }
            let_others(began);
        }
    }

    fn erase_retired(&mut self, before: Time) -> Result<u64> {
        let mut from = String::new();
        let mut all = 0;
        loop {
            let found = self.store.retired_before(before, &from, PIECE)?;
            let Some((last, _)) = found.last() else {
                return Ok(all);
            };
            // Erased passwords are not found again; the last user may have more.
            from = last.to_string();
            let began = Instant::now();
            all += self.erase(&found, before)?;
            let_others(began);
        }
    }

    fn erase(&mut self, found: &[(Username, PasswordId)], before: Time) -> Result<u64> {
        let mut erased = 0;
        let mut tx = self.begin()?;
        for (username, password_id) in found {
            erased += tx.erase_retired(username, password_id, before)?;
        }
        tx.commit()?;
        Ok(erased)
    }

    fn give_back(&mut self, upkeep: MaintainOptions, space: Space) -> Result<TaskReport> {
        let Space { whole, unused, .. } = space;
        let much = unused > LITTLE && unused > whole / 4;
        let worth_it = much || upkeep.vacuum && unused > 0;
        let anew = upkeep.vacuum || whole <= SMALL;
        let what = if !worth_it {
            "nothing to do: only a small part of the file is unused"
        } else if space.gradually || anew {
            "unused space, returned to the system"
        } else {
            "unused space: --vacuum would return it, and blocks all writers meanwhile"
        };
        let mut done = TaskReport {
            task: MaintenanceTask::Space,
            what: what.to_owned(),
            rows: None,
            bytes: Some(0),
        };
        if !worth_it {
            return Ok(done);
        }
        done.bytes = Some(unused);
        if upkeep.dry_run || !(space.gradually || anew) {
            return Ok(done);
        }
        if upkeep.vacuum || !space.gradually {
            self.store.rewrite()?;
        } else {
            self.shrink(unused)?;
        }
        let after = self.store.space()?.map_or(0, |space| space.whole);
        done.bytes = Some(whole.saturating_sub(after));
        Ok(done)
    }

    /// Shrinks the file until no space is unused, or others free as much as it reclaims.
    fn shrink(&mut self, mut unused: u64) -> Result<()> {
        while unused > 0 {
            let began = Instant::now();
            self.store.shrink()?;
            let left = self.store.space()?.map_or(0, |space| space.unused);
            if left >= unused {
                break;
            }
            unused = left;
            let_others(began);
        }
        Ok(())
    }
}

fn described(task: MaintenanceTask) -> String {
    match task {
        MaintenanceTask::Ahead => {
            "entries with a future time, from a clock that was ahead: set to now".into()
        }
        MaintenanceTask::Usage => format!("usage from more than {USAGE_KEPT} days ago"),
        MaintenanceTask::Failures => {
            format!("refused sign-ins from more than {REFUSALS_KEPT} days ago, or too many")
        }
        MaintenanceTask::Alerts => {
            format!("alerts from more than {ALERTS_KEPT} days ago, or too many")
        }
        MaintenanceTask::Counts => "counts that no limit needs any more".into(),
        MaintenanceTask::Hashes => {
            format!("hashes of passwords that retired more than {RETIRED_KEPT} days ago")
        }
        MaintenanceTask::Sums => {
            "totals of usage or users that an older smtpcred left wrong: corrected".into()
        }
        MaintenanceTask::Messages => {
            "messages that are too old, too many, or of names without a user".into()
        }
        MaintenanceTask::Indexes => "missing indexes of events".into(),
        MaintenanceTask::Statistics => "query statistics of the tables".into(),
        MaintenanceTask::Space => String::new(),
    }
}
