//! The store: every SQL statement of the program, and the only way to change
//! anything: a [`Tx`], which writes the event of each change beside it.

mod copying;
mod domains;
mod engine;
mod events;
mod examine;
mod noteworthy;
mod page;
mod passwords;
#[cfg(feature = "postgres")]
mod postgres;
mod roll;
mod roster;
mod rotation_rules;
mod rotations;
mod sending;
mod settings;
mod side_by_side;
mod sign_ins;
mod sqlite;
mod upkeep;
mod usage;
mod users;

use std::thread;
use std::time::{Duration, Instant};

use engine::Engine;

pub use copying::{Copied, Table};
pub use domains::DomainChange;
pub use engine::{Integrity, Space};
pub use events::EventFilter;
pub use examine::Schema;
pub use noteworthy::{Concerns, Noteworthy};
pub use page::Page;
pub use passwords::{NewPassword, OldPasswords, StoredHash};
pub use roll::UserFilter;
pub use roster::Arrival;
pub use rotations::Candidate;
pub use sending::{Owner, SendingChange, SendingRules};
pub use settings::SettingsChange;
pub use sign_ins::{RefusalKey, Seen, SignInRow};
pub use usage::Sent;
pub use users::{NewUser, UserChange};

use crate::error::{Error, Result};
use crate::model::event::Stamp;
pub use crate::model::location::Location;

/// What a command needs the store for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It must be there.
    Existing,
    /// It is made where there is none.
    Create,
    /// It must be there, and is brought to this program's version.
    Migrate,
    /// To say what is wrong with it: nothing is changed, be it old or unsafe.
    Look,
}

/// Of a command. Longer than any transaction of ours; a lock that outlasts it is
/// a backup tool or a hung process.
const PATIENCE: Duration = Duration::from_secs(30);

/// For a server that was lost in the moment of a commit: so long it is waited for.
const RETURN: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(100);

pub struct Store {
    engine: Box<dyn Engine>,
    /// What the admin should know about it.
    pub warnings: Vec<String>,
}

impl Store {
    pub fn open(location: &Location, access: Access) -> Result<Self> {
        Self::open_within(location, access, PATIENCE)
    }

    /// Opens the store, and waits so long at most for others that have it locked,
    /// then and later.
    pub fn open_within(location: &Location, access: Access, patience: Duration) -> Result<Self> {
        let (engine, warnings): (Box<dyn Engine>, _) = match location {
            Location::File(path) => {
                let (engine, warnings) = sqlite::open(path, access, patience)?;
                (Box::new(engine), warnings)
            }
            #[cfg(feature = "postgres")]
            Location::Postgres(_) => {
                let engine = postgres::open(location, access, patience)?;
                (Box::new(engine), Vec::new())
            }
            #[cfg(not(feature = "postgres"))]
            Location::Postgres(_) => {
                return Err(Error::Usage(
                    "this smtpcred was built without PostgreSQL: the store has to be a file".into(),
                ));
            }
        };
        Ok(Self { engine, warnings })
    }

    /// Takes less memory, for a process that stays; reads of much take longer.
    pub fn keep_little(&mut self) -> Result<()> {
        self.engine.keep_little()
    }

    /// Another number than last time if anybody else changed anything, and an
    /// error if this is not the store any more that its location names.
    pub fn version(&mut self) -> Result<i64> {
        self.engine.version()
    }

    /// What a statement finds from `prefix` on. A prefix is a range, because
    /// LIKE means different things to different engines.
    fn names(&mut self, sql: &'static str, prefix: &str, limit: u32) -> Result<Vec<String>> {
        let end = format!("{prefix}\u{10ffff}");
        let mut names = Vec::new();
        let args = [prefix.into(), end.as_str().into(), limit.into()];
        self.engine.query(sql, &args, &mut |row| {
            names.push(row.text(0)?.to_owned());
            Ok(())
        })?;
        Ok(names)
    }

    /// Begins a change. Dropped without [`Tx::commit`], nothing happened.
    pub fn begin(&mut self, stamp: Stamp) -> Result<Tx<'_>> {
        self.engine.begin()?;
        Ok(Tx::new(self, stamp))
    }

    /// For what can as well be done another time: fails at once where another
    /// change is under way.
    pub fn begin_now(&mut self, stamp: Stamp) -> Result<Tx<'_>> {
        self.engine.begin_now()?;
        Ok(Tx::new(self, stamp))
    }
}

/// A change under way. No other process can change the store meanwhile, so it
/// must not wait for a person.
pub struct Tx<'a> {
    store: &'a mut Store,
    stamp: Stamp,
    /// The last event of it: by that it is known again.
    told: Option<events::Told>,
    /// A hash was deleted.
    scrub: bool,
    open: bool,
}

impl<'a> Tx<'a> {
    const fn new(store: &'a mut Store, stamp: Stamp) -> Self {
        Self {
            store,
            stamp,
            told: None,
            scrub: false,
            open: true,
        }
    }
}

impl Tx<'_> {
    /// To read what is true now, this change included.
    pub fn store(&mut self) -> &mut Store {
        self.store
    }

    /// Finds most of what could make the commit fail, before it.
    pub fn flush(&mut self) -> Result<()> {
        self.store.engine.flush()
    }

    pub fn commit(mut self) -> Result<()> {
        match self.store.engine.commit() {
            Err(unknown @ Error::CommitUnknown { .. }) => self.find_out(unknown)?,
            committed => committed?,
        }
        self.open = false;
        if self.scrub {
            self.store.engine.scrub();
        }
        Ok(())
    }
}

impl Tx<'_> {
    /// Whether the change was made, as far as that can be found out soon.
    fn find_out(&mut self, unknown: Error) -> Result<()> {
        let (Some(told), Error::CommitUnknown { store, reason }) = (&self.told, &unknown) else {
            return Err(unknown);
        };
        let since = Instant::now();
        // Whoever may change the store waits until the lost change has ended,
        // one way or the other.
        while self.store.engine.begin().is_err() {
            if since.elapsed() > RETURN {
                return Err(unknown);
            }
            thread::sleep(AGAIN);
        }
        match self.store.was_told(told) {
            Ok(true) => {
                self.store.engine.rollback();
                Ok(())
            }
            Ok(false) => Err(Error::StoreUnreachable {
                store: store.clone(),
                reason: format!("{reason}; nothing was changed"),
            }),
            Err(_) => Err(unknown),
        }
    }
}

impl Drop for Tx<'_> {
    fn drop(&mut self) {
        if self.open {
            self.store.engine.rollback();
        }
    }
}
