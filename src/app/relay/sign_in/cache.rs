//! What sign-ins keep in memory: users as they were read, right passwords as keyed hashes,
//! wrong ones together with what they were compared with.

use std::io;

use zeroize::Zeroizing;

use super::digest::{Digest, HalfDigest, digest_of, keyed};
use super::remembered::Remembered;
use crate::app::relay::carry_over::format::{CarryOverReader, CarryOverWriter, damaged};
use crate::app::relay::two_generation_cache::TwoGenerationCache;
use crate::model::address_rules::AddressPolicy;
use crate::model::network::Networks;
use crate::model::password::{PasswordId, PasswordKind, classify};
use crate::model::refused_sign_ins::RefusalReason;
use crate::model::size::MemorySize;
use crate::model::time::Time;
use crate::store::SignInRow;

/// The memory of sign-ins.
pub struct SignInCache {
    pub users: TwoGenerationCache<Box<str>, CachedUser>,
    pub right: Remembered,
    pub wrong: TwoGenerationCache<Digest, RefusalReason>,
    /// Never leaves memory: without it the remembered hashes are useless.
    pub secret: Zeroizing<Digest>,
}

/// A user as it was read.
pub struct CachedUser {
    /// The generation of the store in which it was read.
    pub generation: u64,
    pub expires_at: Option<Time>,
    pub suspended: bool,
    /// From where it may sign in; `None` without any rule.
    pub addresses: Option<Box<AddressPolicy>>,
    /// The earlier addresses of this user were read from the store.
    pub addresses_loaded: bool,
    pub passwords: Box<[CachedPassword]>,
}

/// A password of a cached user.
pub struct CachedPassword {
    pub id: PasswordId,
    /// Of the stored hash.
    pub digest: HalfDigest,
    pub retires_at: Option<Time>,
    /// Issued beside the others.
    pub temporary: bool,
    /// From where a temporary one works; `None`: from where its user may sign in.
    pub networks: Option<Networks>,
}

/// How many users are cached. They are read again after each change of the store, which
/// happens twice a second while users sign in, so the cache helps only users who sign in
/// more often. Each half just fits into a table of 1,024.
const USERS: usize = 2 * 896;
/// How many wrong passwords.
const WRONG: usize = 40_000;

impl SignInCache {
    pub fn new(secret: Zeroizing<Digest>, remember: MemorySize) -> Self {
        Self {
            users: TwoGenerationCache::new(USERS),
            right: Remembered::new(remember),
            wrong: TwoGenerationCache::new(WRONG),
            secret,
        }
    }

    /// Writes the right and the wrong passwords, and forgets the right ones meanwhile.
    pub fn carry_over(&mut self, to: &mut CarryOverWriter<'_>) -> io::Result<()> {
        for (digest, reason) in self.wrong.entries() {
            to.u8(1)?;
            to.bytes(digest)?;
            to.text(reason.name())?;
        }
        to.u8(0)?;
        self.right.carry_over(to)
    }

    /// Reads them, in addition to those it has.
    pub fn take_over(&mut self, from: &mut CarryOverReader<'_>) -> io::Result<()> {
        while from.u8()? != 0 {
            let digest = from.array()?;
            let reason = from
                .text()?
                .parse()
                .map_err(|_| damaged("a reason is not valid"))?;
            self.wrong.insert(digest, reason);
        }
        self.right.take_over(from)
    }

    /// Returns a keyed hash of a name, which stands for it.
    pub fn name(&self, name: &str) -> u64 {
        let digest = keyed(&self.secret, b'u', &[name.as_bytes()]);
        u64::from_le_bytes(std::array::from_fn(|i| digest[i]))
    }
}

impl CachedUser {
    pub fn new(
        row: &SignInRow,
        addresses: Option<AddressPolicy>,
        generation: u64,
        addresses_loaded: bool,
    ) -> Self {
        let passwords = row.hashes.iter().map(|stored| CachedPassword {
            id: stored.password_id.clone(),
            digest: digest_of(&stored.hash),
            retires_at: stored.retires_at,
            temporary: stored.temporary,
            networks: (!stored.networks.is_empty())
                .then(|| stored.networks.iter().copied().collect()),
        });
        Self {
            generation,
            expires_at: row.expires_at,
            suspended: row.suspended_at.is_some(),
            addresses: addresses.map(Box::new),
            addresses_loaded,
            passwords: passwords.collect(),
        }
    }

    /// Returns why a right password is refused, or `None` if it is not.
    pub fn refusal(&self, now: Time) -> Option<RefusalReason> {
        match self.expires_at {
            _ if self.suspended => Some(RefusalReason::Suspended),
            Some(at) if at <= now => Some(RefusalReason::Expired),
            _ => None,
        }
    }

    /// Returns the temporary password that this one is, if it is right: those are generated, and
    /// name themselves.
    pub fn temporary(&self, tried: &[u8], now: Time) -> Option<&CachedPassword> {
        let mut issued = self.live(now).filter(|own| own.temporary).peekable();
        issued.peek()?;
        match classify(tried) {
            PasswordKind::Generated(id) => issued.find(|own| own.id == id),
            PasswordKind::Mistyped | PasswordKind::Chosen => None,
        }
    }

    /// Returns the passwords that have not retired.
    pub fn live(&self, now: Time) -> impl Iterator<Item = &CachedPassword> {
        self.passwords
            .iter()
            .filter(move |password| password.retires_at.is_none_or(|at| now < at))
    }
}
