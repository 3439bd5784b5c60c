//! The one thread that writes to the store, so that nobody waits for a disk.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::Waker;

use super::log::{Level, Log};
use crate::app::World;
use crate::app::relay::keeper::Keeper;
use crate::app::relay::{Found, Opener, Renewed, Reservation, Reserved, Upgrade};
use crate::error::{Error, Result};
use crate::model::hash::Hash;
use crate::model::name::Username;
use crate::model::tally::Amount;

enum Task {
    Reserve(usize, Wanted, Found),
    /// And who is busy: for them it is counted ahead anew.
    Note(Found, Vec<(Username, Amount)>),
    Upgrade(Upgrade, Hash),
}

struct Wanted {
    reservation: Reservation,
    asked: Instant,
}

pub enum Kept {
    Reserved(usize, Result<Reserved>),
    /// Nobody if it failed.
    Renewed(Vec<Renewed>),
}

pub struct Keeping {
    tasks: Sender<Task>,
    done: Receiver<Kept>,
    thread: JoinHandle<()>,
}

/// What could not be written down is tried again this often.
const AGAIN: Duration = Duration::from_millis(500);
/// Who asked before that has been hung up on, and what it asked for does not count.
const LATEST: Duration = Duration::from_secs(8);

impl Keeping {
    pub fn start(open: Opener, world: World, waker: Arc<Waker>, log: Log) -> Self {
        let (tasks, queue) = channel();
        let (sender, done) = channel();
        let thread = thread::spawn(move || {
            let mut work = Work {
                keeper: Keeper::new(open, world),
                done: sender,
                log,
                failing: false,
            };
            while let Some((wanted, renewed)) = work.gather(&queue) {
                let answered = renewed || !wanted.is_empty();
                if !wanted.is_empty() {
                    work.reserve(wanted);
                }
                if answered {
                    // Gone only once the whole program ends.
                    let _ = waker.wake();
                }
            }
        });
        Self {
            tasks,
            done,
            thread,
        }
    }

    /// The answer comes with `done`, under the same number.
    pub fn reserve(&self, number: usize, reservation: Reservation, found: Found) {
        let wanted = Wanted {
            reservation,
            asked: Instant::now(),
        };
        let _ = self.tasks.send(Task::Reserve(number, wanted, found));
    }

    /// An answer comes if there is somebody busy.
    pub fn note(&self, found: Found, busy: Vec<(Username, Amount)>) {
        let _ = self.tasks.send(Task::Note(found, busy));
    }

    pub fn upgrade(&self, upgrade: Upgrade, hash: Hash) {
        let _ = self.tasks.send(Task::Upgrade(upgrade, hash));
    }

    pub fn done(&self) -> impl Iterator<Item = Kept> {
        self.done.try_iter()
    }

    /// With everything written down that can be.
    pub fn stop(self) {
        drop(self.tasks);
        // It does not panic, and if it did we would be gone.
        let _ = self.thread.join();
    }
}

type Asked = (usize, Wanted, Found);

struct Work {
    keeper: Keeper,
    done: Sender<Kept>,
    log: Log,
    /// Said once, until it works again.
    failing: bool,
}

impl Work {
    /// Waits for work, until there will be none, and takes all there is: many wait for the disk together.
    fn gather(&mut self, queue: &Receiver<Task>) -> Option<(Vec<Asked>, bool)> {
        let first = self.next(queue)?;
        let (mut wanted, mut renewed) = (Vec::new(), false);
        for task in std::iter::once(first).chain(queue.try_iter()) {
            match task {
                Task::Reserve(number, reservation, found) => {
                    wanted.push((number, reservation, found));
                }
                Task::Note(found, busy) => {
                    let mut alerts = Vec::new();
                    let outcome = self.keeper.note(found, &busy, &mut alerts);
                    self.alert(alerts);
                    // Nothing tried is no success.
                    if !matches!(outcome, Ok(None)) {
                        self.report(&outcome);
                    }
                    let outcome = outcome.map(Option::unwrap_or_default);
                    if !busy.is_empty() {
                        renewed = true;
                        let _ = self.done.send(Kept::Renewed(outcome.unwrap_or_default()));
                    }
                }
                Task::Upgrade(upgrade, hash) => {
                    let outcome = self.keeper.upgrade(&upgrade, &hash);
                    self.report(&outcome);
                }
            }
        }
        Some((wanted, renewed))
    }

    /// What is next to be done: what failed, where nothing else comes.
    fn next(&self, queue: &Receiver<Task>) -> Option<Task> {
        if !self.keeper.has_news() {
            return queue.recv().ok();
        }
        match queue.recv_timeout(AGAIN) {
            Ok(task) => Some(task),
            Err(RecvTimeoutError::Timeout) => Some(Task::Note(Found::default(), Vec::new())),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    fn reserve(&mut self, wanted: Vec<Asked>) {
        let mut found = Found::default();
        let mut numbers = Vec::with_capacity(wanted.len());
        let mut reservations = Vec::with_capacity(wanted.len());
        for (number, wanted, more) in wanted {
            found.merge(more);
            if wanted.asked.elapsed() > LATEST {
                let late = Error::System("the store did not answer in time".into());
                let _ = self.done.send(Kept::Reserved(number, Err(late)));
            } else {
                numbers.push(number);
                reservations.push(wanted.reservation);
            }
        }
        let outcome = self.keep(&reservations, found);
        let one_by_one = matches!(&outcome, Err(error) if !concerns_all(error));
        if one_by_one && reservations.len() > 1 {
            // One that the store cannot take must not be the others' trouble.
            for (number, reservation) in numbers.into_iter().zip(reservations) {
                let alone = self
                    .keep(std::slice::from_ref(&reservation), Found::default())
                    .and_then(|mut one| one.pop().ok_or_else(lost));
                let _ = self.done.send(Kept::Reserved(number, alone));
            }
            return;
        }
        // In the order they were granted in.
        let mut outcome = outcome.map(Vec::into_iter);
        for number in numbers {
            let one = match &mut outcome {
                Ok(all) => all.next().ok_or_else(lost),
                Err(error) => Err(Error::System(error.to_string())),
            };
            let _ = self.done.send(Kept::Reserved(number, one));
        }
    }

    fn keep(&mut self, wanted: &[Reservation], found: Found) -> Result<Vec<Reserved>> {
        let mut alerts = Vec::new();
        let outcome = self.keeper.reserve(wanted, found, &mut alerts);
        self.alert(alerts);
        self.report(&outcome);
        outcome
    }

    fn alert(&self, alerts: Vec<String>) {
        for alert in alerts {
            self.log.say(Level::Warning, alert);
        }
    }

    fn report<T>(&mut self, outcome: &Result<T>) {
        match outcome {
            Err(error) if !self.failing => {
                self.log
                    .say(Level::Error, format!("cannot write to the store: {error}"));
            }
            Ok(_) if self.failing => {
                self.log
                    .say(Level::Notice, "writing to the store works again".into());
            }
            _ => {}
        }
        self.failing = outcome.is_err();
    }
}

/// To try each alone would not help, and may take long.
const fn concerns_all(error: &Error) -> bool {
    matches!(
        error,
        Error::StoreBusy(_)
            | Error::StoreUnreachable { .. }
            | Error::CommitUnknown { .. }
            | Error::StoreMissing(_)
            | Error::StoreReplaced(_)
    )
}

fn lost() -> Error {
    Error::System("an answer is missing".into())
}
