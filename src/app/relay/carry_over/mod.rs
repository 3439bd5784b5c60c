//! What a relay carries over to the program that replaces it, so that after an upgrade
//! no password is hashed again and no check is lost: the key with the right passwords that are
//! remembered under it, the wrong ones, the open sessions, what is known about guesses, and findings
//! that the store could not take yet. All of it was in memory already. What the store says is read
//! again, so what was revoked meanwhile stays revoked (promise 3).

pub mod format;
mod unwritten;

use std::io::{self, Read, Write};
use std::time::Instant;

use zeroize::Zeroizing;

use super::sessions::Sessions;
use super::sign_in::{SignInCache, Throttle};
use super::{PendingWrites, Relay};
use crate::model::size::MemorySize;
use format::{CarryOverReader, CarryOverWriter};

pub use format::FORMAT;

/// The memory of the previous program, read in full and found intact.
pub struct CarriedOver {
    sign_ins: SignInCache,
    /// The name of the relay.
    relay: String,
    sessions: Sessions,
    throttle: Throttle,
    unwritten: PendingWrites,
    /// The number of the last connection that it accepted.
    pub connections: u64,
}

/// The limit of what is carried over, in bytes: more than 60 million right passwords.
pub const MOST_CARRIED_OVER: u64 = 1 << 30;
/// Room for the end of each part.
const ENDS: u64 = 4096;

impl CarriedOver {
    /// Reads it; `remember` is the memory for right passwords. An error means that it is not
    /// what [`Relay::carry_over`] writes.
    pub fn read(from: &mut dyn Read, remember: MemorySize, workers: usize) -> io::Result<Self> {
        let mut from = CarryOverReader::begin(from)?;
        let now = Instant::now();
        let connections = from.u64()?;
        let secret = Zeroizing::new(from.array()?);
        let relay = from.text()?;
        let sessions = Sessions::carried_over(&mut from)?;
        let unwritten = unwritten::read(&mut from)?;
        let throttle = Throttle::carried_over(&mut from, workers, now)?;
        let mut sign_ins = SignInCache::new(secret, remember);
        sign_ins.take_over(&mut from)?;
        from.end()?;
        Ok(Self {
            sign_ins,
            relay,
            sessions,
            throttle,
            unwritten,
            connections,
        })
    }
}

impl Relay {
    /// Writes what the next program takes over: `unwritten` is what the store could not take,
    /// `connections` the number of the last connection.
    pub fn carry_over(
        mut self,
        to: &mut dyn Write,
        unwritten: &PendingWrites,
        connections: u64,
    ) -> io::Result<()> {
        let mut to = CarryOverWriter::begin(to, MOST_CARRIED_OVER - ENDS)?;
        to.u64(connections)?;
        to.bytes(&*self.sign_ins.secret)?;
        to.text(&self.ends.relay)?;
        self.sessions.carry_over(&mut to)?;
        unwritten::write(unwritten, &mut to)?;
        let throttle = &self.hash_queue.throttle;
        throttle.carry_over(&mut to, Instant::now())?;
        // Last, because they may fill all the room that is left.
        self.sign_ins.carry_over(&mut to)?;
        to.end()
    }

    /// Continues with the memory of the previous program.
    pub fn take_over(&mut self, memory: CarriedOver) {
        self.sign_ins = memory.sign_ins;
        self.ends.relay = memory.relay;
        self.sessions = memory.sessions;
        self.hash_queue.throttle = memory.throttle;
        self.pending.merge(memory.unwritten);
    }
}

#[cfg(test)]
mod tests;
