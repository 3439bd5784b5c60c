//! What can go wrong: one message that says what happened, one hint that says
//! what to do, one stable code for scripts, one exit code. A long file on purpose:
//! what belongs to one error stands in one place.

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub type Result<T> = std::result::Result<T, Error>;

/// The exit codes. They are promised to scripts and never change meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    NotFound = 3,
    Refused = 4,
    Unconfirmed = 5,
    WrongPassword = 6,
    Attention = 7,
    WouldChange = 8,
    Undelivered = 74,
    TryAgain = 75,
    Interrupted = 130,
}

impl Exit {
    /// The one table behind `--help`, the man page and the README.
    pub const TABLE: [(Self, &str); 12] = [
        (Self::Done, "done"),
        (Self::Failed, "failed"),
        (Self::Usage, "the command line or a value in it is wrong"),
        (Self::NotFound, "no such domain or user"),
        (Self::Refused, "refused: exists, limit reached, policy"),
        (Self::Unconfirmed, "needs confirmation, or was cancelled"),
        (Self::WrongPassword, "wrong password"),
        (Self::Attention, "something to look at"),
        (Self::WouldChange, "something would change: apply --dry-run"),
        (
            Self::Undelivered,
            "the output could not be delivered; nothing changed",
        ),
        (
            Self::TryAgain,
            "try again: the store is busy, full, missing or unreachable",
        ),
        (Self::Interrupted, "interrupted; nothing changed"),
    ];
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Where a store is, as errors name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    File(PathBuf),
    Database(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Database(url) => f.write_str(url),
        }
    }
}

impl From<PathBuf> for Place {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&Path> for Place {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

#[derive(Debug, Error)]
pub enum Error {
    // What was asked for cannot be meant.
    #[error("{0}")]
    Usage(String),
    #[error("{value} is not a valid {what}: {rule}")]
    Invalid {
        what: &'static str,
        /// Already escaped: it may come from anywhere.
        value: String,
        rule: String,
    },

    // What was asked about does not exist, or exists already.
    #[error("no domain {0}")]
    DomainNotFound(String),
    #[error("no user {0}")]
    UserNotFound(String),
    #[error("the domain {0} exists already")]
    DomainExists(String),
    #[error("the user {0} exists already")]
    UserExists(String),

    // What was asked for is against a rule.
    #[error("{domain} has its limit of {limit} users")]
    UserLimit { domain: String, limit: u32 },
    #[error("{domain} still has {users} users")]
    DomainNotEmpty { domain: String, users: u64 },
    #[error("this password is refused: {0}")]
    WeakPassword(String),
    #[error("{username} has two live passwords already; the older one retires {until}")]
    OverlapRunning { username: String, until: String },
    #[error("the rotation of {username} is unfinished: {reason}")]
    RotationUnfinished { username: String, reason: String },
    #[error("another rotation is running")]
    RotationRunning,
    #[error("nothing says where the new password of {0} should go")]
    NoDelivery(String),
    #[error("{username} {why}")]
    PlaceTaken { username: String, why: String },
    #[error("what the store says about deliveries would run as root, and {0} can write the store")]
    UntrustedDelivery(String),
    #[error("{0} has one password only, which nothing replaces")]
    LastPassword(String),
    #[error("{username} has no live password {key}")]
    NoSuchKey { username: String, key: String },
    #[error("{0} of the rotations failed; the old passwords work")]
    RotationsFailed(u64),
    #[error("no server name is set, and {0} needs one")]
    HostNotSet(&'static str),
    #[error("the password is right, but {username} is {status}")]
    CannotSignIn {
        username: String,
        status: &'static str,
    },

    #[error("rows that cannot be taken: {0}; nothing was changed")]
    BadRows(u64),
    /// The same, where none can be put aside.
    #[error("rows that cannot be taken: {0}; nothing was changed")]
    BadUsers(u64),
    #[error("the plan cannot be taken as it is; nothing was changed")]
    BadPlan,
    #[error("changes that could not be made: {0}")]
    NotApplied(u64),

    // A person has to say yes, or said no.
    #[error("{0} needs a confirmation, and there is no terminal to ask at")]
    NeedsConfirmation(&'static str),
    #[error("cancelled: nothing was changed")]
    Cancelled,
    #[error("interrupted: nothing was changed")]
    Interrupted,
    #[error("interrupted; users that were not begun: {0}")]
    Stopped(u64),
    #[error("{}; users created: {made}, not created: {left}", without_claim(cause))]
    Partly {
        made: u64,
        left: u64,
        cause: Box<Error>,
    },
    /// What was asked for is printed, and says it all but for the exit code.
    #[error("something to look at")]
    Answered(Exit),

    #[error("wrong password for {0}")]
    WrongPassword(String),
    #[error("whether the password is right cannot be told: {0}")]
    CannotTell(Box<Error>),

    // The password would not reach anybody.
    #[error("the new password cannot be handed over: {0}")]
    Undeliverable(String),
    /// For many of them.
    #[error("the new passwords cannot be handed over: {0}")]
    NoFolder(String),
    #[error("{0} exists already, and files are never overwritten")]
    OutputExists(PathBuf),
    #[error("the new password could not be handed over ({0}); nothing was changed")]
    Undelivered(String),
    #[error("NOT stored: the password handed over just now is not valid ({0})")]
    NotStored(Box<Error>),

    /// Whoever read our output has seen enough.
    #[error("the output was closed")]
    OutputClosed,
    #[error("the output could not be written: {0}")]
    Output(String),

    // The store.
    #[error("the store {0} is locked by another process")]
    StoreBusy(Place),
    #[error("no space left for the store {0}")]
    StoreFull(Place),
    #[error("there is no store at {0}")]
    StoreMissing(Place),
    #[error("the store {0} was replaced by another one")]
    StoreReplaced(Place),
    #[error("the store {store} cannot be reached: {reason}")]
    StoreUnreachable { store: Place, reason: String },
    #[error("{store} is not a store of smtpcred: {reason}")]
    StoreForeign { store: Place, reason: String },
    #[error("{0}")]
    Inconsistent(String),
    #[error("the store {store} is damaged: {reason}")]
    StoreDamaged { store: Place, reason: String },
    #[error(
        "the store {store} was written by a newer smtpcred (schema {found}; this program knows {known})"
    )]
    StoreTooNew {
        store: Place,
        found: i64,
        known: i64,
    },
    #[error(
        "the store {store} was made by an older smtpcred (schema {found}; this program knows {known})"
    )]
    StoreTooOld {
        store: Place,
        found: i64,
        known: i64,
    },
    #[error("this database user may not see the hashes")]
    HashesHidden,
    #[error("the store to copy to is not empty: it has {0}")]
    StoreNotEmpty(&'static str),
    #[error("the store {store} does not let this database user do that: {reason}")]
    StoreForbidden { store: Place, reason: String },
    #[error(
        "whether the change was made is not known: the store {store} was lost in that moment ({reason})"
    )]
    CommitUnknown { store: Place, reason: String },
    #[error("the store {store} is not safe: {reason}")]
    StoreUnsafe { store: Place, reason: String },

    /// Of `serve`: one it cannot listen on.
    #[error("{0}")]
    Socket(String),
    #[error("smtpcred serve should not run as root")]
    RunsAsRoot,

    /// Nobody answers, or whoever answers does not know.
    #[error("the DNS could not be asked: {0}")]
    DnsFailed(String),
    #[error("{domain} is not verified: its token is not in the DNS; found at {name}: {found}")]
    NotVerified {
        domain: String,
        name: String,
        found: String,
        /// To be published.
        record: String,
    },

    /// Of a mail server's configuration: how many things.
    #[error("{0} things in the mail server's configuration are not as they should be")]
    Differs(usize),

    // This machine.
    #[error("no home folder is known, so there is no default place for the store")]
    NoHome,
    #[error("this machine's clock says {0}, which cannot be")]
    Clock(String),
    #[error("{0}")]
    System(String),
}

/// Of what went wrong after something was changed.
fn without_claim(cause: &Error) -> String {
    match cause {
        Error::Interrupted => "interrupted".into(),
        Error::Undelivered(reason) => {
            format!("the new passwords could not be handed over ({reason})")
        }
        Error::NotStored(reason) => {
            format!("NOT stored: the passwords handed over last are not valid ({reason})")
        }
        other => other.to_string(),
    }
}

impl Error {
    /// The name scripts match on. Stable.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Usage(_) => "usage",
            Self::Invalid { .. } => "invalid_value",
            Self::DomainNotFound(_) => "domain_not_found",
            Self::UserNotFound(_) => "user_not_found",
            Self::DomainExists(_) => "domain_exists",
            Self::UserExists(_) => "user_exists",
            Self::UserLimit { .. } => "user_limit_reached",
            Self::DomainNotEmpty { .. } => "domain_not_empty",
            Self::WeakPassword(_) => "weak_password",
            Self::OverlapRunning { .. } => "overlap_running",
            Self::RotationUnfinished { .. } => "rotation_unfinished",
            Self::RotationRunning => "rotation_running",
            Self::NoDelivery(_) => "no_delivery",
            Self::PlaceTaken { .. } => "place_taken",
            Self::UntrustedDelivery(_) => "untrusted_delivery",
            Self::LastPassword(_) => "last_password",
            Self::NoSuchKey { .. } => "key_not_found",
            Self::RotationsFailed(_) => "rotations_failed",
            Self::HostNotSet(_) => "host_not_set",
            Self::CannotSignIn { .. } => "cannot_sign_in",
            Self::BadRows(_) | Self::BadUsers(_) => "bad_rows",
            Self::BadPlan => "bad_plan",
            Self::NotApplied(_) => "not_applied",
            Self::NeedsConfirmation(_) => "needs_confirmation",
            Self::Cancelled => "cancelled",
            Self::Interrupted | Self::Stopped(_) => "interrupted",
            Self::Partly { .. } => "partly_created",
            Self::Answered(_) => "attention",
            Self::WrongPassword(_) => "wrong_password",
            Self::CannotTell(cause) => cause.code(),
            Self::Undeliverable(_) | Self::NoFolder(_) => "undeliverable",
            Self::OutputExists(_) => "output_exists",
            Self::Undelivered(_) => "undelivered",
            Self::NotStored(_) => "not_stored",
            Self::OutputClosed | Self::Output(_) => "output_failed",
            Self::StoreBusy(_) => "store_busy",
            Self::StoreFull(_) => "store_full",
            Self::StoreMissing(_) => "store_missing",
            Self::StoreReplaced(_) => "store_replaced",
            Self::StoreUnreachable { .. } => "store_unreachable",
            Self::StoreForeign { .. } => "store_foreign",
            Self::StoreDamaged { .. } | Self::Inconsistent(_) => "store_damaged",
            Self::StoreTooNew { .. } => "store_too_new",
            Self::StoreTooOld { .. } => "store_too_old",
            Self::StoreNotEmpty(_) => "store_not_empty",
            Self::StoreForbidden { .. } | Self::HashesHidden => "store_forbidden",
            Self::CommitUnknown { .. } => "commit_unknown",
            Self::StoreUnsafe { .. } => "store_unsafe",
            Self::DnsFailed(_) => "dns_failed",
            Self::NotVerified { .. } => "not_verified",
            Self::Differs(_) => "differs",
            Self::Socket(_) => "socket",
            Self::RunsAsRoot => "runs_as_root",
            Self::NoHome => "no_home",
            Self::Clock(_) => "clock_wrong",
            Self::System(_) => "failed",
        }
    }

    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::OutputClosed => Exit::Done,
            Self::Usage(_)
            | Self::Invalid { .. }
            | Self::BadRows(_)
            | Self::BadUsers(_)
            | Self::BadPlan => Exit::Usage,
            Self::DomainNotFound(_) | Self::UserNotFound(_) | Self::NoSuchKey { .. } => {
                Exit::NotFound
            }
            Self::DomainExists(_)
            | Self::UserExists(_)
            | Self::UserLimit { .. }
            | Self::DomainNotEmpty { .. }
            | Self::WeakPassword(_)
            | Self::OverlapRunning { .. }
            | Self::RotationUnfinished { .. }
            | Self::NoDelivery(_)
            | Self::PlaceTaken { .. }
            | Self::UntrustedDelivery(_)
            | Self::LastPassword(_)
            | Self::HostNotSet(_)
            | Self::RunsAsRoot
            | Self::StoreNotEmpty(_)
            | Self::StoreForbidden { .. }
            | Self::HashesHidden
            | Self::CannotSignIn { .. } => Exit::Refused,
            Self::NeedsConfirmation(_) | Self::Cancelled => Exit::Unconfirmed,
            Self::Interrupted | Self::Stopped(_) => Exit::Interrupted,
            Self::Answered(exit) => *exit,
            Self::Differs(_) | Self::NotVerified { .. } => Exit::Attention,
            Self::WrongPassword(_) => Exit::WrongPassword,
            Self::Undeliverable(_)
            | Self::NoFolder(_)
            | Self::OutputExists(_)
            | Self::Undelivered(_) => Exit::Undelivered,
            Self::NotStored(cause) => cause.exit(),
            // That code says that nothing changed.
            Self::Partly { cause, .. } => match cause.exit() {
                Exit::Undelivered => Exit::Failed,
                exit => exit,
            },
            Self::StoreBusy(_)
            | Self::RotationRunning
            | Self::StoreFull(_)
            | Self::CannotTell(_)
            | Self::DnsFailed(_)
            | Self::StoreMissing(_)
            | Self::StoreReplaced(_)
            | Self::CommitUnknown { .. }
            | Self::StoreUnreachable { .. } => Exit::TryAgain,
            Self::StoreForeign { .. }
            | Self::StoreDamaged { .. }
            | Self::Inconsistent(_)
            | Self::StoreTooNew { .. }
            | Self::StoreTooOld { .. }
            | Self::StoreUnsafe { .. }
            | Self::Socket(_)
            | Self::RotationsFailed(_)
            | Self::NotApplied(_)
            | Self::NoHome
            | Self::Clock(_)
            | Self::Output(_)
            | Self::System(_) => Exit::Failed,
        }
    }

    /// What to do about it, where there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::DomainNotFound(domain) => format!(
                "add it with: smtpcred domain add {domain} (or repeat `user create` with --add-domain)"
            ),
            Self::UserNotFound(_) => "see the users there are with: smtpcred user list".into(),
            Self::DomainExists(domain) => {
                format!("change it with: smtpcred domain set {domain} …")
            }
            Self::UserExists(user) => {
                format!("for a new password: smtpcred user reset {user}")
            }
            Self::UserLimit { domain, .. } => format!(
                "delete a user, or raise the limit: smtpcred domain set {domain} --max-users N"
            ),
            Self::DomainNotEmpty { domain, .. } => format!(
                "delete them first, or all at once: smtpcred domain remove {domain} --with-users"
            ),
            Self::WeakPassword(_) => "leave the choice to smtpcred: it generates a strong one".into(),
            Self::OverlapRunning { .. } => {
                "wait until then, or reset without --overlap, which stops both at once".into()
            }
            Self::RotationUnfinished { username, .. } => format!(
                "`smtpcred user rotate {username}` takes it up again; a reset without --overlap stops both passwords"
            ),
            Self::RotationRunning => "wait for it to end; it looks after unfinished ones, too".into(),
            Self::NoDelivery(username) => format!(
                "give --deliver, --write-file or --write-env, or set it once: smtpcred user set {username} --deliver …"
            ),
            Self::PlaceTaken { username, .. } => format!(
                "send it elsewhere: smtpcred user set {username} --write-file …; if nobody needs what is there, take it out"
            ),
            Self::UntrustedDelivery(owner) => {
                format!("run it as {owner}, say --trust-store, or give --deliver here")
            }
            Self::LastPassword(username) => format!(
                "to stop it: smtpcred user suspend {username}; to replace it: smtpcred user reset {username}"
            ),
            Self::NoSuchKey { username, .. } => format!("see them with: smtpcred user show {username}"),
            Self::RotationsFailed(_) => {
                "each was named above; the next run takes them up again".into()
            }
            Self::HostNotSet(_) => "set it once: smtpcred set-settings --host smtp.example.com".into(),
            Self::CannotSignIn { username, status } => match *status {
                "suspended" => format!("let it sign in again: smtpcred user resume {username}"),
                _ => format!("extend it: smtpcred user set {username} --expires-in 180d"),
            },
            Self::BadRows(_) => {
                "each was named above; mend them, or let `user import` put them aside: --skip-bad FILE".into()
            }
            Self::BadUsers(_) => {
                "each was named above; mend them, and repeat the command".into()
            }
            Self::Partly { .. } => {
                "the same command with --skip-existing creates the others".into()
            }
            Self::BadPlan => "each was named above, with its line; mend them".into(),
            Self::NotApplied(_) => "each was named above; the same command takes them up again".into(),
            Self::NeedsConfirmation(_) => "repeat the command with --yes".into(),
            Self::Undeliverable(_) => {
                "pipe it somewhere, or write it to a new file with --output FILE; nothing was changed".into()
            }
            Self::NoFolder(_) => {
                "name a folder that is there, yours to write, and used by no other run; `mkdir -m 700 DIR` makes one; nothing was changed".into()
            }
            Self::OutputExists(_) => "choose another name; nothing was changed".into(),
            Self::Undelivered(_) => {
                "make room or mend the way it went, and repeat the command".into()
            }
            Self::DnsFailed(_) => "try again, or ask another server: --resolver 192.0.2.53".into(),
            Self::NotVerified { domain, record, .. } => format!(
                "publish: {record}; then, maybe some minutes later: smtpcred domain verify {domain}"
            ),
            Self::Differs(_) => {
                "see what it should be with the same command without --check".into()
            }
            Self::RunsAsRoot => {
                "give it a user of its own (dist/smtpcred.service does), or say --allow-root".into()
            }
            Self::Socket(_) => {
                "see that its folder exists and is yours to write, and that no other serve is running".into()
            }
            Self::NoHome => "name a place with --store PATH or SMTPCRED_STORE".into(),
            Self::Clock(_) => "set the clock first: expiry and overlap depend on it".into(),
            Self::NotStored(cause) | Self::CannotTell(cause) => return cause.hint(),
            _ => return self.store_hint(),
        };
        Some(hint)
    }

    fn store_hint(&self) -> Option<String> {
        let hint = match self {
            Self::StoreBusy(_) => "try again; a long lock is a backup or a hung process",
            Self::StoreFull(_) => "free some space and try again; nothing was changed",
            Self::StoreMissing(Place::Database(_)) => "create it with: smtpcred store init",
            Self::StoreMissing(Place::File(_)) => {
                "`smtpcred domain add example.com` creates it; another place: --store PATH or SMTPCRED_STORE"
            }
            Self::StoreUnreachable {
                store: Place::Database(_),
                ..
            } => {
                "is the server running, and does it let this machine in? psql with the same URL says more"
            }
            Self::StoreUnreachable { .. } => {
                "its owner, or root by sudo, can read and write it; is its disk there and well?"
            }
            Self::StoreForeign { .. } => {
                "it was left untouched; name another place with --store PATH or SMTPCRED_STORE"
            }
            Self::StoreDamaged { .. } | Self::Inconsistent(_) => {
                "restore the store from a backup, and check the disk"
            }
            Self::StoreTooOld { .. } => {
                "once all programs that use it are of this version: smtpcred store migrate"
            }
            Self::StoreNotEmpty(_) => "copy to a new one; nothing was changed",
            Self::StoreForbidden { .. } | Self::HashesHidden => {
                "the owner of the database gives rights with: smtpcred store grant"
            }
            Self::CommitUnknown { .. } => {
                "once it is back, `smtpcred audit list` says what was changed, and `smtpcred verify` whether a password holds"
            }
            Self::StoreTooNew { .. } => "it was left untouched; upgrade this program",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
