//! The state of the right passwords that `serve` remembers.

/// How many passwords are remembered, and their memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatus {
    /// How many are remembered.
    pub passwords: u64,
    /// In bytes.
    pub used: u64,
    /// In bytes.
    pub most: u64,
    /// How often a right password was hashed and found no room.
    pub crowded: u64,
    /// How many passwords were hashed since the program started.
    pub hashes: u64,
}
