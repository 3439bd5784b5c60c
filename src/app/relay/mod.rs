//! Answers what mail servers ask a running relay: may this client sign in, may it send? The
//! answers come from memory as long as the store has not changed, and never outlive it
//! (promise 3).
//!
//! One thread asks ([`Relay`]), with a connection to the store that only
//! reads and never waits; another writes ([`writer::StoreWriter`]).

mod addresses;
#[cfg(test)]
mod alert_causes;
mod carry_over;
mod loggable_names;
mod login;
mod open_sessions;
mod pending_writes;
mod policy;
mod reconnect;
mod renamed;
mod session_ends;
mod sessions;
mod shared_rules;
mod sign_in;
mod store_reader;
#[cfg(test)]
pub(crate) mod testing;
mod two_generation_cache;
pub mod writer;

use std::sync::Arc;
use std::time::Instant;

use zeroize::Zeroizing;

pub use carry_over::{CarriedOver, FORMAT, MOST_CARRIED_OVER};
pub use pending_writes::{PendingWrites, Release, address_name};
pub use policy::charge::Charge;
pub use policy::decide::Decision;
pub use policy::envelope::{Envelope, PolicyStage, Requester};
pub use policy::refusal::Refusal;
pub use policy::reservation::{RenewedLease, Reservation, ReservationKind, ReservationOutcome};
pub use reconnect::Opener;
pub use sessions::Service;
pub use sign_in::{
    Accepted, Attempt, Digest, HashJob, HashOutcome, LATEST, SignInDecision, Ticket, Upgrade,
};

use super::World;
use crate::error::Result;
use crate::model::cache_status::CacheStatus;
use crate::model::old_name::OldName;
use crate::model::settings::Settings;
use crate::model::size::MemorySize;
use crate::store::Store;
use policy::PolicyState;
use session_ends::SessionEnds;
use sessions::Sessions;
use shared_rules::SharedRules;
use sign_in::{HashQueue, SignInCache};
use store_reader::StoreReader;
use two_generation_cache::TwoGenerationCache;

/// What one thread asks about sign-ins and messages.
pub struct Relay {
    reader: StoreReader,
    world: World,
    sign_ins: SignInCache,
    hash_queue: HashQueue,
    policy: PolicyState,
    sessions: Sessions,
    ends: SessionEnds,
    /// Which domains that strangers named exist in the store, and the generation in which
    /// this was read.
    domains: TwoGenerationCache<Box<str>, (u64, bool)>,
    /// For names without a user: the old name that the store has for each, if any, and the
    /// generation in which this was read.
    old_names: TwoGenerationCache<Box<str>, (u64, Option<OldName>)>,
    /// The rules of each domain and of the installation about addresses, and the generation in
    /// which they were read.
    shared_rules: TwoGenerationCache<Box<str>, (u64, Option<Arc<SharedRules>>)>,
    /// What is still to be written to the store.
    pub pending: PendingWrites,
}

/// How many domains that strangers named are remembered.
const DOMAINS: usize = 2000;
/// How many names without a user are remembered.
const OLD_NAMES: usize = 2000;

impl Relay {
    /// Returns a relay that opens the store when it is first asked. `workers` is the number
    /// of hashing threads, `remember` the memory for right passwords. Fails without random
    /// numbers.
    pub fn new(open: Opener, world: World, workers: usize, remember: MemorySize) -> Result<Self> {
        let mut secret = Zeroizing::new([0; 32]);
        (world.random)(&mut *secret)?;
        let mut name = [0; 8];
        (world.random)(&mut name)?;
        Ok(Self {
            reader: StoreReader::new(open),
            world,
            sign_ins: SignInCache::new(secret, remember),
            hash_queue: HashQueue::new(workers),
            policy: PolicyState::new(),
            sessions: Sessions::new(),
            ends: SessionEnds::new(std::process::id(), u64::from_le_bytes(name)),
            domains: TwoGenerationCache::new(DOMAINS),
            old_names: TwoGenerationCache::new(OLD_NAMES),
            shared_rules: TwoGenerationCache::new(DOMAINS),
            pending: PendingWrites::default(),
        })
    }

    /// Checks whether the store has changed: once for each batch of requests, after they
    /// were read, so that everything committed before a request is seen.
    pub fn refresh(&mut self, now: Instant) -> Result<()> {
        self.reader.refresh(now)
    }

    /// Reopens the store and reads its settings again. Until that is done, it is used as it
    /// is.
    pub fn reload(&mut self) {
        self.reader.reload();
    }

    /// Returns how many right passwords are remembered, how much memory they take, and how many
    /// were hashed.
    pub fn remembering(&self) -> CacheStatus {
        CacheStatus {
            hashes: self.hash_queue.hashes,
            ..self.sign_ins.right.state()
        }
    }

    /// Returns how many passwords are being hashed.
    pub const fn hashing(&self) -> usize {
        self.hash_queue.hashing()
    }

    /// Returns how many sessions seem to be open.
    pub fn session_count(&self) -> usize {
        self.sessions
            .open_count((self.world.now)(), self.world.runs)
    }

    /// Returns the name of this relay in the store, which no other has.
    pub fn name(&self) -> &str {
        &self.ends.relay
    }

    /// Returns whether there is something to write, or a lease to release.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty() || self.policy.has_leases()
    }

    fn store(&mut self) -> Result<&mut Store> {
        self.reader.store()
    }

    fn settings(&mut self) -> Result<&Settings> {
        self.reader.settings()
    }
}
