//! What a client signs in with, and its user.

use std::net::IpAddr;
use std::time::Instant;

use zeroize::Zeroizing;

use crate::store::StoredHash;

/// What a client signs in with.
pub struct Attempt {
    /// As it was received.
    pub username: String,
    /// As it was received.
    pub password: Zeroizing<Vec<u8>>,
    /// The address of the client, if the mail server gives it.
    pub address: Option<IpAddr>,
    /// The connection of the client is encrypted.
    pub secured: bool,
    /// When it was read; it arrived before. Delays count from here.
    pub since: Instant,
    /// Later than this it is not answered. Counts from the earliest time at which it may
    /// have arrived.
    pub latest: Instant,
}

/// The user of an attempt.
pub struct LookedUp {
    pub exists: bool,
    /// Its stored hashes, if they were just read.
    pub hashes: Option<Vec<StoredHash>>,
}
