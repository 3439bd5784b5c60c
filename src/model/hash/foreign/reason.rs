//! Why a text is refused as a hash. No reason repeats the hash.

/// The rest of a sentence that begins with the name of the column.
pub type HashReason = &'static str;

/// The longest hash that is read, in bytes.
pub const MAX_LENGTH: usize = 512;

pub const MALFORMED: HashReason = "is not what its scheme says it is";
pub const TOO_MUCH: HashReason = "exceeds the cost limits: see `user import --help`";
pub const TOO_LONG: HashReason = "is too long for a hash";
pub const UNKNOWN: HashReason =
    "has an unknown scheme: write it in Dovecot's form, such as {SHA512-CRYPT}$6$…";
pub const UNSUPPORTED: HashReason =
    "has a scheme that is not supported: the user needs a new password";
