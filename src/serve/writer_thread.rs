//! The one thread that writes to the store, so that no client waits for a disk.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};

use mio::Waker;

use super::log::{Level, Log};
use crate::app::World;
use crate::app::relay::writer::{StoreWriter, concerns_all};
use crate::app::relay::{
    Opener, PendingWrites, RenewedLease, Reservation, ReservationOutcome, Ticket, Upgrade,
};
use crate::error::{Error, Result};
use crate::model::hash::Hash;
use crate::model::name::Username;
use crate::model::session::SessionReport;
use crate::model::usage_window::Count;

enum WriteTask {
    Reserve(Ticket, Reservation, PendingWrites),
    /// With the busy users, whose quota leases are renewed.
    Note(PendingWrites, Vec<(Username, Count)>),
    Upgrade(Upgrade, Hash),
    Sessions(SessionReport),
    /// The relay stops.
    Forget(String),
}

/// What the thread has done.
pub enum WriterReply {
    Reserved(Ticket, Result<ReservationOutcome>),
    /// Empty if it failed.
    Renewed(Vec<RenewedLease>),
}

/// The thread, and the channels to it.
pub struct WriterThread {
    tasks: Sender<WriteTask>,
    done: Receiver<WriterReply>,
    thread: JoinHandle<PendingWrites>,
}

impl WriterThread {
    /// Starts the thread. `waker` is called for each reply.
    pub fn start(open: Opener, world: World, waker: Arc<Waker>, log: Log) -> Self {
        let (tasks, queue) = channel();
        let (sender, done) = channel();
        let thread = thread::spawn(move || {
            let mut work = Worker {
                writer: StoreWriter::new(open, world),
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
            work.writer.into_unwritten()
        });
        Self {
            tasks,
            done,
            thread,
        }
    }

    /// Asks for a reservation. The [`reply`](Self::reply) has the same ticket.
    pub fn reserve(&self, ticket: Ticket, reservation: Reservation, found: PendingWrites) {
        let _ = self
            .tasks
            .send(WriteTask::Reserve(ticket, reservation, found));
    }

    /// An answer comes if any user is busy.
    pub fn note(&self, found: PendingWrites, busy: Vec<(Username, Count)>) {
        let _ = self.tasks.send(WriteTask::Note(found, busy));
    }

    /// Replaces the hash of a password by a stronger one.
    pub fn upgrade(&self, upgrade: Upgrade, hash: Hash) {
        let _ = self.tasks.send(WriteTask::Upgrade(upgrade, hash));
    }

    /// Writes the open sessions.
    pub fn tell_sessions(&self, report: SessionReport) {
        let _ = self.tasks.send(WriteTask::Sessions(report));
    }

    /// Removes a relay that stops from those that tell their sessions.
    pub fn forget_relay(&self, relay: String) {
        let _ = self.tasks.send(WriteTask::Forget(relay));
    }

    /// Returns the next reply that is ready.
    pub fn reply(&self) -> Option<WriterReply> {
        self.done.try_recv().ok()
    }

    /// Writes everything that can be written, and returns the rest.
    pub fn stop(self) -> PendingWrites {
        drop(self.tasks);
        // It does not panic, and if it did we would be gone.
        self.thread.join().unwrap_or_default()
    }
}

type ReserveRequest = (Ticket, Reservation, PendingWrites);

struct Worker {
    writer: StoreWriter,
    done: Sender<WriterReply>,
    log: Log,
    /// Said once, until it works again.
    failing: bool,
}

impl Worker {
    /// Waits for work, until there will be none, and takes all there is: many wait for the disk together.
    fn gather(&mut self, queue: &Receiver<WriteTask>) -> Option<(Vec<ReserveRequest>, bool)> {
        let first = self.next(queue)?;
        let (mut wanted, mut renewed) = (Vec::new(), false);
        for task in std::iter::once(first).chain(queue.try_iter()) {
            match task {
                WriteTask::Reserve(ticket, reservation, found) => {
                    wanted.push((ticket, reservation, found));
                }
                WriteTask::Note(found, busy) => {
                    let mut alerts = Vec::new();
                    let outcome = self.writer.note(found, &busy, &mut alerts);
                    self.alert(alerts);
                    // Nothing tried is no success.
                    if !matches!(outcome, Ok(None)) {
                        self.report(&outcome);
                    }
                    let outcome = outcome.map(Option::unwrap_or_default);
                    if !busy.is_empty() {
                        renewed = true;
                        let _ = self
                            .done
                            .send(WriterReply::Renewed(outcome.unwrap_or_default()));
                    }
                }
                WriteTask::Upgrade(upgrade, hash) => {
                    let outcome = self.writer.upgrade(&upgrade, &hash);
                    self.report(&outcome);
                }
                WriteTask::Sessions(report) => {
                    let outcome = self.writer.report_sessions(report);
                    self.report(&outcome);
                }
                WriteTask::Forget(relay) => {
                    let outcome = self.writer.forget_relay(&relay);
                    self.report(&outcome);
                }
            }
        }
        Some((wanted, renewed))
    }

    /// Returns the next task; without a new one, retries what failed or is left.
    fn next(&self, queue: &Receiver<WriteTask>) -> Option<WriteTask> {
        let Some(again) = self.writer.again() else {
            return queue.recv().ok();
        };
        match queue.recv_timeout(again) {
            Ok(task) => Some(task),
            Err(RecvTimeoutError::Timeout) => {
                Some(WriteTask::Note(PendingWrites::default(), Vec::new()))
            }
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    fn reserve(&mut self, wanted: Vec<ReserveRequest>) {
        let mut found = PendingWrites::default();
        let mut tickets = Vec::with_capacity(wanted.len());
        let mut reservations = Vec::with_capacity(wanted.len());
        for (ticket, reservation, more) in wanted {
            found.merge(more);
            tickets.push(ticket);
            reservations.push(reservation);
        }
        let outcome = self.keep(&reservations, found);
        let one_by_one = matches!(&outcome, Err(error) if !concerns_all(error));
        if one_by_one && reservations.len() > 1 {
            // One that the store cannot take must not be the others' trouble.
            for (ticket, reservation) in tickets.into_iter().zip(reservations) {
                let alone = self
                    .keep(std::slice::from_ref(&reservation), PendingWrites::default())
                    .and_then(|mut one| one.pop().ok_or_else(lost));
                let _ = self.done.send(WriterReply::Reserved(ticket, alone));
            }
            return;
        }
        // In the order they were granted in.
        let mut outcome = outcome.map(Vec::into_iter);
        for ticket in tickets {
            let one = match &mut outcome {
                Ok(all) => all.next().ok_or_else(lost),
                Err(error) => Err(Error::System(error.to_string())),
            };
            let _ = self.done.send(WriterReply::Reserved(ticket, one));
        }
    }

    fn keep(
        &mut self,
        wanted: &[Reservation],
        found: PendingWrites,
    ) -> Result<Vec<ReservationOutcome>> {
        let mut alerts = Vec::new();
        let outcome = self.writer.reserve(wanted, found, &mut alerts);
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

fn lost() -> Error {
    Error::System("an answer is missing".into())
}
