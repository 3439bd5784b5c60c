//! The names of settings in the store.

pub(super) const HOST: &str = "host";
pub(super) const PORTS: &str = "ports";
pub(super) const ARGON2: &str = "argon2";
pub(super) const ACCEPT_HASH: &str = "accept_hash";
pub(super) const ALLOW_INSECURE: &str = "allow_insecure";
pub(super) const REQUIRE_VERIFIED: &str = "require_verified_domains";
pub(super) const DAY: &str = "day";
pub(super) const ON_LIMIT: &str = "on_limit";
pub(super) const ALERT_EXEC: &str = "alert_exec";
pub(super) const ALERT_MAIL: &str = "alert_mail";
pub(super) const LIMIT_ALERT: &str = "alert.limit";
pub(super) const NEW_RECIPIENTS_ALERT: &str = "alert.new-recipients";
/// Before the name of a kind.
pub(super) const ALERT: &str = "alert.";
pub(super) const IGNORE_ADDRESSES: &str = "ignore_addresses";
/// When the last good backup was made, and where it is.
pub(super) const LAST_BACKUP: &str = "last_backup";
/// What identifies the installation, once its first event was archived.
pub(super) const INSTALLATION: &str = "installation";
/// In a backup: when it was made.
pub(super) const BACKUP_AT: &str = "backup_at";
/// The value of a setting that is on.
pub(super) const YES: &str = "yes";
pub(super) const KEEP_MESSAGES: &str = "keep_messages";
pub(super) const KEEP_RECIPIENTS: &str = "keep_recipients";
