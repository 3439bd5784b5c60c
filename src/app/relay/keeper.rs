//! The writing side of a running relay: counts what is sent where nobody
//! races, and writes down what was found out.

use std::time::{Duration, Instant};

use super::books::Books;
use super::found::Found;
use super::sending::Refusal;
use super::{Opener, Upgrade};
use crate::app::World;
use crate::app::upkeep::forget_some;
use crate::error::{Error, Result};
use crate::model::event::Stamp;
use crate::model::hash::Hash;
use crate::model::name::Username;
use crate::model::tally::Amount;
use crate::model::time::Time;
use crate::store::{Owner, Seen, Store, Tx};

pub struct Keeper {
    writer: Writer,
    books: Books,
    tidied: Option<Instant>,
    /// Not written yet.
    found: Found,
}

/// Room for a message, wanted.
#[derive(Clone, Debug)]
pub struct Reservation {
    pub username: Username,
    pub amount: Amount,
    /// The digest of a recipient that this user never sent to.
    pub new_recipient: Option<String>,
    /// Of a message that is whole. A recipient only asks whether it would fit.
    pub counts: bool,
    /// How often it was asked for before.
    pub tries: u8,
    /// How often it was put off.
    pub waits: u8,
}

#[derive(Debug)]
pub enum Reserved {
    Granted {
        /// Counted for messages to come.
        ahead: Amount,
        at: Time,
    },
    Refused(Refusal),
    /// There may be room in what was counted ahead for others: hand it back,
    /// and ask again.
    AskAgain,
    /// Other relays hold what there is room in: ask again a little later.
    Later,
}

/// For whom how much was counted ahead, and when.
pub type Renewed = (Username, Amount, Time);

/// A line for the log.
pub type Alert = String;

/// How long a write waits for others that have the store locked. Mail servers
/// wait for 100 s before they give up.
const PATIENCE: Duration = Duration::from_secs(5);
const TIDY_EVERY: Duration = Duration::from_secs(300);

impl Keeper {
    pub fn new(open: Opener, world: World) -> Self {
        Self {
            writer: Writer {
                open,
                store: None,
                world,
            },
            books: Books::new(),
            tidied: None,
            found: Found::default(),
        }
    }

    /// All of them in one transaction, or none.
    pub fn reserve(
        &mut self,
        wanted: &[Reservation],
        found: Found,
        alerts: &mut Vec<Alert>,
    ) -> Result<Vec<Reserved>> {
        self.found.merge(found);
        let (books, found) = (&mut self.books, &self.found);
        books.begin(found);
        let outcome = self.writer.write(|tx, now| {
            // First: it may be the room that is asked for, or take it.
            settle(tx, found)?;
            wanted
                .iter()
                .map(|wanted| books.reserve(tx, wanted, now))
                .collect()
        });
        match &outcome {
            Ok(_) => {
                alerts.append(&mut self.books.alerts);
                self.found.returned.clear();
                self.found.uncounted.clear();
            }
            Err(error) => self.failed(error),
        }
        outcome
    }

    fn failed(&mut self, error: &Error) {
        if matches!(error, Error::CommitUnknown { .. }) {
            // Taken off twice it would let too much through. As after a crash a count
            // is rather too high.
            self.found.returned.clear();
        }
        self.books.roll_back(&self.found);
    }

    /// Whether there is something that could not be written down before.
    pub fn has_news(&self) -> bool {
        !self.found.is_empty()
    }

    /// Writes down what was found out. Where that fails it is kept for later.
    /// Counts ahead anew for who is busy, and says how much; nothing where there was
    /// nothing to do.
    pub fn note(
        &mut self,
        found: Found,
        busy: &[(Username, Amount)],
        alerts: &mut Vec<Alert>,
    ) -> Result<Option<Vec<Renewed>>> {
        self.found.merge(found);
        let tidy = self.tidied.is_none_or(|then| then.elapsed() >= TIDY_EVERY);
        if self.found.is_empty() && !tidy {
            return Ok(None);
        }
        let (books, found) = (&mut self.books, &self.found);
        books.begin(found);
        let mut more = false;
        let outcome = self.writer.write(|tx, now| {
            write_down(tx, found)?;
            if tidy {
                more = forget_some(tx, now)?;
                tx.mend_retirements()?;
                tx.tell_expired()?;
            }
            busy.iter()
                .map(|(username, amount)| {
                    let ahead = books.renew(tx, username, *amount, now)?;
                    Ok((username.clone(), ahead, now))
                })
                .collect()
        });
        let renewed = match outcome {
            Ok(renewed) => renewed,
            Err(error) => {
                self.failed(&error);
                if matches!(error, Error::StoreDamaged { .. }) {
                    // What strangers call themselves may be more than a database
                    // takes; it must not keep the rest from being written.
                    self.found.refused.clear();
                }
                return Err(error);
            }
        };
        alerts.append(&mut self.books.alerts);
        self.found = Found::default();
        // Next time at once where there was more than one piece.
        if tidy && !more {
            self.tidied = Some(Instant::now());
        }
        Ok(Some(renewed))
    }

    /// The same password under today's cost.
    pub fn upgrade(&mut self, upgrade: &Upgrade, hash: &Hash) -> Result<()> {
        self.writer
            .write(|tx, _| tx.rehash(&upgrade.username, &upgrade.key, &upgrade.old, hash))
    }
}

struct Writer {
    open: Opener,
    store: Option<Store>,
    world: World,
}

impl Writer {
    fn write<T>(&mut self, change: impl FnOnce(&mut Tx, Time) -> Result<T>) -> Result<T> {
        let at = (self.world.now)().plausible()?;
        let stamp = Stamp {
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
            // It may have been replaced; next time it is opened anew.
            self.store = None;
        }
        outcome
    }

    fn opened(&mut self) -> Result<&mut Store> {
        // A store that was moved away would be written to for nobody.
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

/// Brings the counts up to what was sent.
fn settle(tx: &mut Tx, found: &Found) -> Result<()> {
    for returned in &found.returned {
        for owner in Owner::all(&returned.username) {
            if returned.left != Amount::default() {
                tx.uncount(owner, returned.left, returned.at)?;
            }
            if returned.held != Amount::default() {
                tx.let_go(owner, returned.held, returned.at)?;
            }
        }
    }
    for ((username, at), amount) in &found.uncounted {
        for owner in Owner::all(username) {
            tx.count(owner, *amount, *at)?;
        }
    }
    Ok(())
}

fn write_down(tx: &mut Tx, found: &Found) -> Result<()> {
    settle(tx, found)?;
    // In their order: neighbours share a page, which is then written once.
    let mut seen: Vec<_> = found.seen.iter().collect();
    seen.sort_unstable_by_key(|(username, _)| *username);
    for (username, keys) in seen {
        for (key, at, address) in keys {
            let seen = Seen {
                at: *at,
                address: address.map(|address| address.to_string()),
            };
            tx.set_last_connection(username, key, &seen)?;
        }
    }
    for refusals in found.refused.values() {
        tx.add_refusals(refusals)?;
    }
    for ((username, day), sent) in &found.sent {
        tx.add_usage(username, *day, *sent)?;
    }
    Ok(())
}
