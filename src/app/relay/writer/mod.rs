//! The writing side of a running relay: counts messages in transactions, and writes what the
//! relay found out.

mod guesses;
mod networks;
mod quota_ledger;
mod recipients;
mod renamed_users;

use std::time::{Duration, Instant};

use guesses::GuessCounter;
use quota_ledger::QuotaLedger;
use renamed_users::RenamedUsers;

use super::pending_writes::PendingWrites;
use super::policy::reservation::{RenewedLease, Reservation, ReservationOutcome};
use super::{Opener, Upgrade};
use crate::app::World;
use crate::app::rotation::apply_due_changes;
use crate::app::store_admin::maintain::delete_some;
use crate::error::{Error, Result};
use crate::model::event::EventStamp;
use crate::model::hash::Hash;
use crate::model::name::Username;
use crate::model::session::SessionReport;
use crate::model::time::Time;
use crate::model::usage_window::Count;
use crate::store::{Scope, Seen, Store, Tx};

/// Writes what a running relay counts and finds out.
pub struct StoreWriter {
    connection: WriteConnection,
    ledger: QuotaLedger,
    guesses: GuessCounter,
    tidied: Option<Instant>,
    /// One batch was not enough to tidy up.
    untidy: bool,
    /// Not written yet.
    pending: PendingWrites,
}

/// How long a write waits for others that have the store locked. Mail servers
/// wait for 100 s before they give up.
const PATIENCE: Duration = Duration::from_secs(5);
const TIDY_EVERY: Duration = Duration::from_secs(300);
/// The pause between batches, in which others can write; a batch takes less time.
const NEXT_PIECE: Duration = Duration::from_millis(50);
/// What could not be written down is tried again this often.
const AGAIN: Duration = Duration::from_millis(500);
/// At most this many entries are discarded at once: the store itself may be the
/// problem.
const MOST_LOST: u32 = 32;

impl StoreWriter {
    /// Returns a writer that opens the store when it first writes.
    pub fn new(open: Opener, world: World) -> Self {
        Self {
            connection: WriteConnection {
                open,
                store: None,
                world,
            },
            ledger: QuotaLedger::new(),
            guesses: GuessCounter::new(),
            tidied: None,
            untidy: false,
            pending: PendingWrites::default(),
        }
    }

    /// Answers all reservations in one transaction. An error means that none was counted.
    pub fn reserve(
        &mut self,
        wanted: &[Reservation],
        pending: PendingWrites,
        alerts: &mut Vec<String>,
    ) -> Result<Vec<ReservationOutcome>> {
        self.pending.merge(pending);
        let outcome = self.try_to_reserve(wanted, alerts);
        let counts = !self.pending.releases.is_empty() || !self.pending.uncounted.is_empty();
        match outcome {
            Err(error) if counts && !concerns_all(&error) => {
                let counts = self.pending.take_counts();
                self.write_apart(counts, alerts)?;
                self.try_to_reserve(wanted, alerts)
            }
            outcome => outcome,
        }
    }

    fn try_to_reserve(
        &mut self,
        wanted: &[Reservation],
        alerts: &mut Vec<String>,
    ) -> Result<Vec<ReservationOutcome>> {
        let (ledger, pending) = (&mut self.ledger, &self.pending);
        let outcome = loop {
            ledger.begin(pending);
            let mut unjust = false;
            let outcome = self.connection.write(|tx, now| {
                // First, because it may free or use up room.
                let names = RenamedUsers::look_up(tx, pending, now)?;
                settle(tx, pending, &names)?;
                let all = wanted.iter().map(|wanted| ledger.reserve(tx, wanted, now));
                let all = all.collect::<Result<Vec<_>>>()?;
                // A count can be taken back later, but not a suspension.
                let mut both = all.iter().zip(wanted);
                unjust =
                    both.any(|(reserved, wanted)| reserved.punishes_unanswered(&wanted.requester));
                if unjust {
                    return Err(Error::System("the mail server did not wait".into()));
                }
                Ok(all)
            });
            if !unjust {
                break outcome;
            }
            ledger.roll_back(pending);
        };
        match &outcome {
            Ok(_) => {
                alerts.append(&mut self.ledger.alerts);
                self.pending.releases.clear();
                self.pending.uncounted.clear();
            }
            Err(error) => self.failed(error),
        }
        outcome
    }

    /// Discards what cannot be written and writes the rest.
    fn write_apart(&mut self, pending: PendingWrites, alerts: &mut Vec<String>) -> Result<()> {
        self.ledger.begin(&pending);
        let mut pieces = vec![pending];
        let mut lost = 0;
        while let Some(piece) = pieces.pop() {
            let outcome = self.connection.write(|tx, now| write_down(tx, &piece, now));
            let Err(error) = outcome else { continue };
            if !concerns_all(&error) && lost < MOST_LOST {
                if piece.things() > 1 {
                    pieces.extend(piece.halves());
                } else {
                    lost += 1;
                    alerts.push(format!("cannot record {}: {error}", piece.what()));
                }
                continue;
            }
            self.pending.merge(piece);
            for piece in pieces {
                self.pending.merge(piece);
            }
            self.failed(&error);
            return Err(error);
        }
        Ok(())
    }

    fn failed(&mut self, error: &Error) {
        if matches!(error, Error::CommitUnknown { .. }) {
            // Taken off twice it would let too much through. As after a crash a count
            // is rather too high.
            self.pending.releases.clear();
        }
        self.ledger.roll_back(&self.pending);
    }

    /// Returns when to call [`Self::note`] again without new findings; `None` if nothing is
    /// left to do.
    pub fn again(&self) -> Option<Duration> {
        if self.untidy {
            return Some(NEXT_PIECE);
        }
        (!self.pending.is_empty()).then_some(AGAIN)
    }

    /// Writes what was found out, and keeps it for later if that fails. Renews the leases of
    /// busy users and returns them; `None` if there was nothing to do.
    pub fn note(
        &mut self,
        pending: PendingWrites,
        busy: &[(Username, Count)],
        alerts: &mut Vec<String>,
    ) -> Result<Option<Vec<RenewedLease>>> {
        self.pending.merge(pending);
        let tidy = self.tidied.is_none_or(|then| then.elapsed() >= TIDY_EVERY);
        if self.pending.is_empty() && !tidy {
            return Ok(None);
        }
        // A failure is not retried at once.
        self.untidy = false;
        let (ledger, pending) = (&mut self.ledger, &self.pending);
        let guesses = &mut self.guesses;
        ledger.begin(pending);
        let mut more = false;
        let outcome = self.connection.write(|tx, now| {
            write_down(tx, pending, now)?;
            guesses.raise(tx, pending, now)?;
            if tidy {
                let forgotten = delete_some(tx, now)?;
                more = apply_due_changes(tx)? || forgotten;
            }
            busy.iter()
                .map(|(username, amount)| {
                    let ahead = ledger.renew(tx, username, *amount, now)?;
                    Ok((username.clone(), ahead, now))
                })
                .collect()
        });
        let renewed = match outcome {
            Ok(renewed) => renewed,
            Err(error) => {
                self.failed(&error);
                if !concerns_all(&error) {
                    // What strangers call themselves may be more than a database
                    // takes; it must not keep the rest from being written.
                    let pending = std::mem::take(&mut self.pending);
                    self.write_apart(pending, alerts)?;
                }
                return Err(error);
            }
        };
        alerts.append(&mut self.ledger.alerts);
        let now = (self.connection.world.now)();
        self.guesses.add(&self.pending, now);
        self.pending = PendingWrites::default();
        if tidy && !more {
            self.tidied = Some(Instant::now());
        }
        self.untidy = more;
        Ok(Some(renewed))
    }

    /// Returns what could not be written.
    pub fn into_unwritten(self) -> PendingWrites {
        self.pending
    }

    /// Writes the open sessions of this relay. Forgets the relays of this machine that were
    /// killed.
    pub fn report_sessions(&mut self, mut report: SessionReport) -> Result<()> {
        let runs = self.connection.world.runs;
        self.connection.write(|tx, now| {
            for relay in tx.store().relays_of(&report.host)? {
                let process = relay.split_once('-').and_then(|(id, _)| id.parse().ok());
                if process.is_some_and(|process| !runs(process)) {
                    tx.forget_relay(&relay)?;
                }
            }
            let names = report.sessions.iter().map(|session| &session.username);
            let names = RenamedUsers::of(tx, names.collect(), now)?;
            for session in &mut report.sessions {
                session.username = names.now(&session.username).clone();
            }
            tx.report_sessions(&report)
        })
    }

    /// Removes a relay that stops from those that tell their sessions.
    pub fn forget_relay(&mut self, relay: &str) -> Result<()> {
        self.connection.write(|tx, _| tx.forget_relay(relay))
    }

    /// The same password under today's cost.
    pub fn upgrade(&mut self, upgrade: &Upgrade, hash: &Hash) -> Result<()> {
        self.connection
            .write(|tx, _| tx.rehash(&upgrade.username, &upgrade.password_id, &upgrade.old, hash))
    }
}

/// Trying each one alone would not help and may take long.
pub const fn concerns_all(error: &Error) -> bool {
    matches!(
        error,
        Error::StoreBusy(_)
            | Error::StoreFull(_)
            | Error::StoreUnreachable { .. }
            | Error::StoreUnfit { .. }
            | Error::StoreFailed { passes: true, .. }
            | Error::CommitUnknown { .. }
            | Error::StoreMissing(_)
            | Error::StoreReplaced(_)
            | Error::StoreNotUnique { .. }
            | Error::StoreForeign { .. }
            | Error::StoreForbidden { .. }
            | Error::StoreUnsafe { .. }
            | Error::StoreTooNew { .. }
            | Error::StoreTooOld { .. }
            | Error::Clock(_)
            | Error::System(_)
    )
}

/// A connection to the store that is opened again when it is lost.
struct WriteConnection {
    open: Opener,
    store: Option<Store>,
    world: World,
}

impl WriteConnection {
    fn write<T>(&mut self, change: impl FnOnce(&mut Tx, Time) -> Result<T>) -> Result<T> {
        let at = (self.world.now)().plausible()?;
        let stamp = EventStamp {
            at,
            actor: (self.world.actor)(),
        };
        let outcome = self.opened().and_then(|store| {
            let mut tx = store.begin(stamp)?;
            let done = change(&mut tx, at)?;
            tx.commit()?;
            Ok(done)
        });
        if outcome
            .as_ref()
            .is_err_and(|error| !matches!(error, Error::StoreBusy(_)))
        {
            // It may have been replaced: open it again next time.
            self.store = None;
        }
        outcome
    }

    fn opened(&mut self) -> Result<&mut Store> {
        // What is written to a store that was moved away is lost.
        let lost = |store: &mut Store| store.version().is_err();
        if self.store.as_mut().is_some_and(lost) {
            self.store = None;
        }
        match &mut self.store {
            Some(store) => Ok(store),
            none => Ok(none.insert((self.open)(PATIENCE)?)),
        }
    }
}

/// Brings the counts in line with what was sent.
fn settle(tx: &mut Tx, pending: &PendingWrites, names: &RenamedUsers) -> Result<()> {
    for ((username, at), amount) in &pending.uncounted {
        for owner in Scope::all(names.now(username)) {
            tx.count(owner, *amount, *at)?;
        }
    }
    // After the counts: some of them may be released in the same batch.
    for release in &pending.releases {
        let username = names.now(&release.username);
        for owner in Scope::all(username) {
            if release.left != Count::default() {
                tx.uncount(owner, release.left, release.at)?;
            }
            if release.held != Count::default() {
                tx.release(owner, release.held, release.at)?;
            }
        }
        for digest in &release.new_recipients {
            tx.delete_recipient(username, *digest)?;
        }
    }
    Ok(())
}

fn write_down(tx: &mut Tx, pending: &PendingWrites, now: Time) -> Result<()> {
    let names = RenamedUsers::look_up(tx, pending, now)?;
    settle(tx, pending, &names)?;
    // In their order: neighbours share a page, which is then written once.
    let mut seen: Vec<_> = pending.seen.iter().collect();
    seen.sort_unstable_by_key(|(username, _)| *username);
    for (username, passwords) in seen {
        let username = names.now(username);
        for password in passwords {
            let seen = Seen {
                at: password.at,
                address: password.address.map(|address| address.to_string()),
            };
            tx.set_last_connection(username, &password.id, &seen)?;
        }
    }
    networks::write(tx, pending, &names, now)?;
    recipients::write(tx, pending, &names, now)?;
    for (username, passwords) in &pending.sent_with {
        for (password_id, sent) in passwords {
            tx.add_sent(names.now(username), password_id, sent)?;
        }
    }
    for refusals in pending.refused.values() {
        tx.add_refusals(refusals)?;
    }
    let sent = pending.sent.iter();
    tx.add_usage(sent.map(|((username, day), sent)| (names.now(username), *day, *sent)))
}

#[cfg(test)]
mod tests;
