//! What setup calls what it creates on a machine.

/// The user that `serve` runs as, and its group.
pub const USER: &str = "smtpcred";
/// The folder of the store.
pub const STORE_FOLDER: &str = "/var/lib/smtpcred";
/// Postfix's queue directory, where the sockets of the units are.
pub const QUEUE: &str = "/var/spool/postfix";
/// Where units of an admin are.
pub const UNITS: &str = "/etc/systemd/system";
/// The units of the two sockets.
pub const SOCKETS: [&str; 2] = ["smtpcred-auth.socket", "smtpcred-policy.socket"];
/// The unit of `serve`.
pub const SERVICE: &str = "smtpcred.service";
/// The unit that sends alerts, which starts and stops with that one.
pub const ALERTS: &str = "smtpcred-alerts.service";
