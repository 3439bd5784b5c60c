//! Names that the parts of this setup share.

/// Where the sockets are: not in /run/smtpcred, which Exim's user cannot enter.
pub const SOCKETS: &str = "/run/smtpcred-exim";

/// Returns what to do about what setup does not change.
pub const fn by_hand() -> &'static str {
    "see what is needed, and configure it by hand: smtpcred show-server-config exim"
}
