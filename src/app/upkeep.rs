//! What is forgotten after a while: by a running relay a little at a time, and all
//! of it by `store maintain`.

use std::thread;
use std::time::{Duration, Instant};

use super::App;
use crate::error::Result;
use crate::model::duration;
use crate::model::name::Username;
use crate::model::password::KeyId;
use crate::model::time::Time;
use crate::model::usage::Usage;
use crate::store::{Space, Store, Tx};

/// How long is kept what was found out, in days.
const USAGE_KEPT: u16 = 400;
const REFUSALS_KEPT: u16 = 30;
const MOST_REFUSALS: u32 = 10_000;
/// A clock that ran ahead for a day or two must not cost anybody a password.
const RETIRED_KEPT: u16 = 30;
/// Rows in one transaction: some milliseconds.
const PIECE: u32 = 1000;
/// In bytes. Smaller stores are written anew in less time than others wait.
const SMALL: u64 = 16 << 20;
/// What is not worth it, in bytes.
const LITTLE: u64 = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    Usage,
    Failures,
    Counts,
    Hashes,
    Statistics,
    Space,
}

impl Task {
    /// What is forgotten by itself, by whoever comes by.
    const FORGOTTEN: [Self; 3] = [Self::Usage, Self::Failures, Self::Counts];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Failures => "failures",
            Self::Counts => "counts",
            Self::Hashes => "hashes",
            Self::Statistics => "statistics",
            Self::Space => "space",
        }
    }
}

/// What came of a task, or would.
#[derive(Debug)]
pub struct Done {
    pub task: Task,
    /// For people.
    pub what: String,
    pub rows: Option<u64>,
    pub bytes: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
pub struct Upkeep {
    pub dry_run: bool,
    /// Even if nobody else can write for long.
    pub vacuum: bool,
}

/// From when on things are kept.
struct Kept {
    now: Time,
    usage: i64,
    refusals: Time,
    hashes: Time,
}

impl Kept {
    fn at(store: &mut Store, now: Time) -> Result<Self> {
        let ago = |days| Time::from_epoch(now.epoch() - duration::Duration::days(days).seconds());
        Ok(Self {
            now,
            usage: Usage::day_of(now, &store.settings()?.day) - i64::from(USAGE_KEPT),
            refusals: ago(REFUSALS_KEPT),
            hashes: ago(RETIRED_KEPT),
        })
    }

    fn old(&self, task: Task, store: &mut Store) -> Result<u64> {
        match task {
            Task::Usage => store.old_usage(self.usage),
            Task::Failures => store.old_refusals(self.refusals, MOST_REFUSALS),
            Task::Counts => store.old_counts(self.now),
            Task::Hashes => store.old_hashes(self.hashes),
            Task::Statistics | Task::Space => Ok(0),
        }
    }

    fn forget(&self, task: Task, tx: &mut Tx) -> Result<u64> {
        match task {
            Task::Usage => tx.forget_old_usage(self.usage, PIECE),
            Task::Failures => tx.forget_old_refusals(self.refusals, MOST_REFUSALS, PIECE),
            Task::Counts => tx.forget_old_counts(self.now, PIECE),
            Task::Hashes | Task::Statistics | Task::Space => Ok(0),
        }
    }
}

/// Forgets a piece of all that is past its time, in a change that is under way
/// anyway. Says whether there may be more.
pub(crate) fn forget_some(tx: &mut Tx, now: Time) -> Result<bool> {
    let kept = Kept::at(tx.store(), now)?;
    let mut more = false;
    for task in Task::FORGOTTEN {
        more |= kept.forget(task, tx)? >= u64::from(PIECE);
    }
    Ok(more)
}

impl App {
    pub fn keep_up(
        &mut self,
        upkeep: Upkeep,
        each: &mut dyn FnMut(Done) -> Result<()>,
    ) -> Result<()> {
        let now = self.now().plausible()?;
        let kept = Kept::at(&mut self.store, now)?;
        for task in [Task::Usage, Task::Failures, Task::Counts, Task::Hashes] {
            let rows = if upkeep.dry_run {
                kept.old(task, &mut self.store)?
            } else if task == Task::Hashes {
                self.erase_retired(kept.hashes)?
            } else {
                self.forget(task, &kept)?
            };
            each(Done {
                task,
                what: described(task),
                rows: Some(rows),
                bytes: None,
            })?;
        }
        if !upkeep.dry_run {
            self.store.analyze()?;
        }
        each(Done {
            task: Task::Statistics,
            what: described(Task::Statistics),
            rows: None,
            bytes: None,
        })?;
        match self.store.space()? {
            Some(space) => each(self.give_back(upkeep, space)?),
            None => Ok(()),
        }
    }

    fn forget(&mut self, task: Task, kept: &Kept) -> Result<u64> {
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
            // What is erased is not found again; the last one may have more.
            from = last.to_string();
            let began = Instant::now();
            all += self.erase(&found, before)?;
            let_others(began);
        }
    }

    fn erase(&mut self, found: &[(Username, KeyId)], before: Time) -> Result<u64> {
        let mut erased = 0;
        let mut tx = self.begin()?;
        for (username, key) in found {
            erased += tx.erase_retired(username, key, before)?;
        }
        tx.commit()?;
        Ok(erased)
    }

    fn give_back(&mut self, upkeep: Upkeep, space: Space) -> Result<Done> {
        let Space { whole, unused, .. } = space;
        let much = unused > LITTLE && unused > whole / 4;
        let worth_it = much || upkeep.vacuum && unused > 0;
        let anew = upkeep.vacuum || whole <= SMALL;
        let what = if !worth_it {
            "little of the store holds nothing: it stays as it is"
        } else if space.gradually || anew {
            "what held nothing, given back to the system"
        } else {
            "what holds nothing: --vacuum would give it back; nobody can write meanwhile"
        };
        let mut done = Done {
            task: Task::Space,
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

    /// Until nothing is left, or others make room as fast as it is given back.
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

/// Whoever waits for the lock looks again and again: it is free half of the time.
fn let_others(began: Instant) {
    const LEAST: Duration = Duration::from_millis(5);
    thread::sleep(began.elapsed().max(LEAST));
}

fn described(task: Task) -> String {
    match task {
        Task::Usage => format!("what was sent more than {USAGE_KEPT} days ago"),
        Task::Failures => {
            format!("refused sign-ins from more than {REFUSALS_KEPT} days ago, or too many")
        }
        Task::Counts => "counts that no limit looks at any more".into(),
        Task::Hashes => format!("of passwords that retired more than {RETIRED_KEPT} days ago"),
        Task::Statistics => "of what the tables hold".into(),
        Task::Space => String::new(),
    }
}
