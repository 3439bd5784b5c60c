//! The store: every SQL statement of the program. A [`Tx`] is the only way to change
//! anything, and writes an event with each change.

mod access;
mod address_rules;
mod alert_outbox;
mod alert_rules;
mod alerts;
mod backup;
mod before_changes;
mod chain_end;
mod closes;
mod copy;
mod counts;
mod domains;
mod engine;
mod event_chain;
mod event_filter;
mod event_mark;
mod event_names;
mod events;
mod examine;
mod expiries;
mod figures;
mod future_rows;
mod holder_state;
mod imported_users;
mod known_users;
mod limits_near;
mod messages;
mod metrics;
mod old_names;
mod one_store;
mod page;
mod passwords;
#[cfg(feature = "postgres")]
mod postgres;
mod renames;
mod report;
mod restore;
mod restriction;
mod roles;
mod rotation_candidates;
mod rotation_rules;
mod rotations;
mod scope;
mod seen_addresses;
mod sending;
mod sessions;
mod setting_names;
mod settings;
mod sign_ins;
mod sqlite;
mod status;
mod stored_users;
mod temporary_passwords;
mod totals;
mod upkeep;
mod usage;
mod usage_sums;
mod usage_totals;
mod users;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use chain_end::ChainEnd;
use engine::Engine;
use event_mark::EventMark;
use holder_state::{HolderCount, Restriction};

pub use access::Access;
pub use alert_outbox::{AlertClaim, AlertDelivery, AlertPace, SUMMED_UP, UnsentAlerts};
pub use alerts::OpenAlerts;
pub use backup::{LastBackup, finish_backup};
pub use closes::UserClose;
pub use copy::CopiedTable;
pub use domains::DomainChange;
pub use engine::{Integrity, OwnedArg, Replica, Space};
pub use event_filter::EventFilter;
pub use examine::Schema;
pub use figures::{FigureRange, NetworkTotal, StoreFigures};
pub use future_rows::FutureRows;
pub use imported_users::ImportedUser;
pub use messages::{
    MessageBatch, MessageFilter, MessagePlace, MessageStore, StateCount, WrittenMessages,
};
pub use metrics::{OldPassword, StoreMetrics};
pub use one_store::name_below as file_system;
pub use page::Page;
pub use passwords::{NewPassword, OldPasswords, StoredHash};
pub use report::{ManyNetworks, ReportFilter, ReportRow, UserAlerts};
pub use restore::{Beside, OwnSettings, PasswordRecord, UserRecord};
pub use rotation_candidates::Candidate;
pub use scope::Scope;
pub use seen_addresses::NetworkUse;
pub use sending::{SendingChange, SendingRules};
pub use settings::SettingsChange;
pub use sign_ins::{RefusalKey, Seen, SignInRow};
pub use sqlite::{Hole, Staged, Staging, WriterKind, holes};
pub use status::{ExpiringUser, LimitNear, RefusalCount, StatusCounts, StoreStatus, UnfinishedOf};
pub use temporary_passwords::NewTemporary;
pub use usage_totals::DailyUsage;
pub use users::{NewUser, UserChange, UserFilter, UserReader, UserRules, UserScan};

use crate::error::{Error, Result};
use crate::model::alert_rules::AlertRules;
use crate::model::event::EventStamp;
use crate::model::name::Username;
use crate::model::password::PasswordId;
pub use crate::model::store_location::Location;

/// How long a command waits for a lock: longer than any transaction of ours. A lock that
/// lasts longer belongs to a backup tool or a hung process.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait for a server that was lost during a commit.
const RETURN: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(100);

/// An open store.
pub struct Store {
    engine: Box<dyn Engine>,
    /// The role that it is open for, if not for its owner.
    restriction: Option<Restriction>,
    /// Messages about it for the admin.
    pub warnings: Vec<String>,
}

impl Store {
    /// Opens the store, and waits up to 30 seconds for others that have it locked.
    pub fn open(location: &Location, access: Access) -> Result<Self> {
        Self::open_within(location, access, PATIENCE)
    }

    /// Opens the store. `patience` is how long to wait for others that have it locked, now
    /// and later.
    pub fn open_within(location: &Location, access: Access, patience: Duration) -> Result<Self> {
        let (engine, warnings): (Box<dyn Engine>, _) = match location {
            Location::File(path) => {
                let (engine, warnings) = sqlite::open(path, &sqlite::STORE, access, patience)?;
                (Box::new(engine), warnings)
            }
            #[cfg(feature = "postgres")]
            Location::Postgres(_) => {
                let engine = postgres::open(location, access, patience)?;
                (Box::new(engine), Vec::new())
            }
            #[cfg(not(feature = "postgres"))]
            Location::Postgres(_) => {
                return Err(without_postgres());
            }
        };
        Ok(Self {
            engine,
            restriction: None,
            warnings,
        })
    }

    /// Uses less memory, for a long-running process; large reads take longer.
    pub fn keep_little(&mut self) -> Result<()> {
        self.engine.keep_little()
    }

    /// Returns another number than last time if anyone else changed anything. Returns an
    /// error if the location names another store by now.
    pub fn version(&mut self) -> Result<i64> {
        self.engine.version()
    }

    /// Returns the names with this prefix that a statement finds. The prefix is a range,
    /// because LIKE differs between engines. Nothing for the holder of a role, whom it would tell
    /// names.
    fn names(&mut self, sql: &'static str, prefix: &str, limit: u32) -> Result<Vec<String>> {
        if self.restriction.is_some() {
            return Ok(Vec::new());
        }
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
    pub fn begin(&mut self, stamp: EventStamp) -> Result<Tx<'_>> {
        self.engine.begin()?;
        self.begun(stamp)
    }

    /// Begins a change that can wait. Returns an error at once if another change is under
    /// way.
    pub fn begin_now(&mut self, stamp: EventStamp) -> Result<Tx<'_>> {
        self.engine.begin_now()?;
        self.begun(stamp)
    }

    fn begun(&mut self, mut stamp: EventStamp) -> Result<Tx<'_>> {
        if let Some(restriction) = &self.restriction {
            restriction.sign(&mut stamp);
        }
        let mut tx = Tx::new(self, stamp);
        tx.begin_as_holder()?;
        Ok(tx)
    }
}

#[cfg(not(feature = "postgres"))]
fn without_postgres() -> Error {
    Error::Usage("this smtpcred was built without PostgreSQL: the store has to be a file".into())
}

/// A change under way. It blocks all other changes, so it must not wait for a person.
pub struct Tx<'a> {
    store: &'a mut Store,
    stamp: EventStamp,
    /// Its last event, by which it is recognised.
    last_event: Option<EventMark>,
    /// Once an event was written.
    chain_end: Option<ChainEnd>,
    /// A hash was deleted.
    scrub: bool,
    /// Passwords of unfinished rotations that were read ahead.
    rotating: BTreeMap<Username, Option<PasswordId>>,
    /// How many users were created, and are not in the totals yet.
    created: i64,
    /// Once an alert was raised.
    alert_rules: Option<Rc<AlertRules>>,
    /// Of the holder of a role, whose changes are counted.
    holder_count: HolderCount,
    open: bool,
}

impl<'a> Tx<'a> {
    const fn new(store: &'a mut Store, stamp: EventStamp) -> Self {
        Self {
            store,
            stamp,
            last_event: None,
            chain_end: None,
            scrub: false,
            rotating: BTreeMap::new(),
            created: 0,
            alert_rules: None,
            holder_count: HolderCount::NONE,
            open: true,
        }
    }
}

impl Tx<'_> {
    /// Returns the store, to read it with this change included.
    pub fn store(&mut self) -> &mut Store {
        self.store
    }

    /// Finds most reasons for a failing commit in advance.
    pub fn flush(&mut self) -> Result<()> {
        self.add_created()?;
        self.record_chain_end()?;
        self.store.engine.flush()
    }

    /// Commits the change. `CommitUnknown` means that it may have been made.
    pub fn commit(mut self) -> Result<()> {
        self.add_created()?;
        self.record_chain_end()?;
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
    /// Finds out whether the change was made, if that is possible soon.
    fn find_out(&mut self, unknown: Error) -> Result<()> {
        let (Some(mark), Error::CommitUnknown { store, reason }) = (&self.last_event, &unknown)
        else {
            return Err(unknown);
        };
        let since = Instant::now();
        // A new change begins only after the lost one has ended.
        while self.store.engine.begin().is_err() {
            if since.elapsed() > RETURN {
                return Err(unknown);
            }
            thread::sleep(AGAIN);
        }
        match self.store.has_event(mark) {
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
