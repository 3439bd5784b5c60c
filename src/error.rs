//! What can go wrong. `table.rs` has the message, the hint, the code and the exit code of
//! each error. A long file: it lists every error.

mod exit;
mod place;
mod table;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use self::exit::Exit;
pub use self::place::Place;
pub use self::table::put_back;

/// The result of anything that can fail with an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Every error of smtpcred. Texts in it are escaped already: they may come from anywhere.
#[derive(Debug)]
pub enum Error {
    // The command line.
    /// The command line is wrong, with the reason.
    Usage(String),
    /// A value does not follow its rule.
    Invalid {
        /// The kind of value.
        what: &'static str,
        /// Already escaped: it may come from anywhere.
        value: String,
        /// The rule, for people.
        rule: String,
    },

    /// An expiry is in the past: this time.
    ExpiryPassed(String),

    // Something does not exist, or exists already.
    /// No domain has this name.
    DomainNotFound(String),
    /// No user has this name.
    UserNotFound(String),
    /// The user of this name was renamed.
    UserRenamed {
        /// The old name.
        username: String,
        /// The new name.
        new: String,
        /// When, for people.
        at: String,
        /// When the old name stops working, for people; `None` if it no longer works.
        until: Option<String>,
    },
    /// A user cannot get this name: it is an old one of another user.
    OldNameTaken {
        /// The name.
        username: String,
        /// The name of the user now.
        new: String,
        /// When the old name stops working, for people; `None` if it no longer works.
        until: Option<String>,
    },
    /// An old name no longer works, and an overlap cannot revive it.
    OldNameStopped {
        /// The old name.
        username: String,
        /// The name of the user now.
        new: String,
    },
    /// A domain already has this name.
    DomainExists(String),
    /// A user already has this name.
    UserExists(String),

    // A rule does not allow it.
    /// The domain has as many users as it may have.
    UserLimit {
        /// Its name.
        domain: String,
        /// The most users it may have.
        limit: u32,
    },
    /// A list of allowed addresses is as long as it may be.
    TooManyAddresses {
        /// The owner of the list.
        owner: String,
        /// The most networks it may have.
        most: usize,
    },
    /// A domain with users cannot be removed.
    DomainNotEmpty {
        /// Its name.
        domain: String,
        /// The number of its users.
        users: u64,
    },
    /// A domain cannot be removed, because users of other domains still sign in with their old
    /// names in it.
    OldNamesWork {
        /// Its name.
        domain: String,
        /// The old names, each with the name of its user now.
        names: Vec<(String, String)>,
    },
    /// A chosen password is too easy to guess, for this reason.
    WeakPassword(String),
    /// A user already has two live passwords.
    OverlapRunning {
        /// The user.
        username: String,
        /// When the older one retires, for people.
        until: String,
    },
    /// A user that cannot sign in would get a password.
    UserStopped {
        /// The user.
        username: String,
        /// Its status.
        status: &'static str,
    },
    /// A user has as many temporary passwords as it can have.
    TooManyTemporary {
        /// The user.
        username: String,
        /// How many that are.
        most: usize,
        /// The one that ends next.
        password_id: String,
    },
    /// An earlier rotation of the user is unfinished.
    RotationUnfinished {
        /// The user.
        username: String,
        /// Why it is unfinished.
        reason: String,
        /// The ways out, each as a command.
        ways_out: String,
    },
    /// Another process rotates passwords.
    RotationRunning,
    /// No destination is set for the new password of this user.
    NoDelivery(String),
    /// A file to write holds another user's live password.
    PlaceTaken {
        /// The user whose password was to be written.
        username: String,
        /// The rest of the sentence that begins with the user's name.
        why: String,
    },
    /// Root does not run commands from a store that others can write.
    UntrustedDelivery {
        /// Why the store is not trusted: another user can write it.
        reason: String,
        /// What prevents that, for the hint.
        cure: String,
    },
    /// This user's only password would be stopped without a new one.
    LastPassword(String),
    /// The state that a person confirmed has changed.
    ChangedMeanwhile(String),
    /// The user has no live password with this ID.
    NoSuchPassword {
        /// The user.
        username: String,
        /// The ID that was given.
        password_id: String,
    },
    /// This holder has no role.
    RoleNotFound(String),
    /// The role of this holder does not allow it.
    NotPermitted {
        /// The holder.
        holder: String,
        /// What was asked for.
        what: String,
        /// What the role allows.
        allowed: String,
    },
    /// The role of this holder was changed or revoked while the command ran.
    RoleChanged(String),
    /// A holder has made all its changes of this hour.
    TooManyChanges {
        /// The holder.
        holder: String,
        /// The most changes within an hour.
        most: u32,
        /// When there are more.
        until: String,
    },
    /// Something could not be searched, and nothing was found in the rest; with its number.
    NotSearched(u64),
    /// A stolen password was not replaced, and still works.
    NotClosed {
        /// Its user.
        username: String,
        /// Why the new password did not arrive.
        reason: String,
    },
    /// Rotations failed; with their number.
    RotationsFailed(u64),
    /// No server name is set, and this needs one.
    HostNotSet(&'static str),
    /// The user cannot sign in.
    CannotSignIn {
        /// The user.
        username: String,
        /// The name of its status.
        status: &'static str,
    },

    /// An import has invalid rows.
    BadRows {
        /// Their number.
        rows: u64,
        /// Whether `--skip-bad` can skip them.
        can_skip: bool,
    },
    /// A plan has problems; each was printed.
    BadPlan,
    /// Changes of a plan failed; with their number.
    NotApplied(u64),

    // Confirmations and interruptions.
    /// This needs a confirmation, and there is no terminal to ask at.
    NeedsConfirmation(&'static str),
    /// A person answered no.
    Cancelled,
    /// A signal came before anything changed.
    Interrupted,
    /// A signal came; with the number of users that are not processed.
    Stopped(u64),
    /// Creating many users ended early.
    PartlyCreated {
        /// The users that were created.
        made: u64,
        /// The users that were not.
        left: u64,
        /// Why it ended.
        cause: Box<Error>,
    },
    /// Work in batches ended early.
    PartlyDone {
        /// What was done with each user, as a participle.
        what: &'static str,
        /// The users that were processed.
        done: u64,
        /// The users that were not.
        left: u64,
        /// Why it ended.
        cause: Box<Error>,
    },
    /// Changes of several named users ended early.
    PartlyNamed {
        /// What was done with each user, as a participle.
        what: &'static str,
        /// The users that were changed.
        done: String,
        /// The users that were not.
        left: String,
        /// Why it ended.
        cause: Box<Error>,
    },
    /// The output is printed and says everything; only the exit code is left.
    Answered(Exit),

    /// The password of this user is wrong.
    WrongPassword(String),
    /// A password could not be checked.
    CannotTell(Box<Error>),

    // New passwords that cannot be handed over.
    /// A new password cannot be handed over, for this reason. Found before it is made.
    Undeliverable(String),
    /// The folder for many new passwords cannot be used, for this reason.
    NoFolder(String),
    /// A file to create exists already.
    OutputExists(PathBuf),
    /// Handing over a new password failed, for this reason. Nothing changed.
    Undelivered(String),
    /// A password was handed over and then not stored.
    NotStored(Box<Error>),

    // Output other than passwords.
    /// A file cannot be written; nothing has changed yet.
    FileUnwritten {
        /// The file.
        path: PathBuf,
        /// Why it could not be written.
        reason: String,
    },
    /// A mail was not sent; nothing has changed.
    Unmailed {
        /// Where it was to go.
        to: String,
        /// Why it was not sent.
        reason: String,
    },
    /// The reader of stdout closed it, as `head` does.
    OutputClosed,
    /// Writing to stdout failed, for this reason.
    Output(String),
    /// The output failed after a change.
    Unrecorded {
        /// Where the output was to go.
        to: String,
        /// Why it could not be written.
        reason: String,
    },

    // The store.
    /// Another process locks the store.
    StoreBusy(Place),
    /// The store has no space left.
    StoreFull(Place),
    /// No messages are kept.
    MessagesNotKept,
    /// Messages are kept, and their file is gone.
    MessagesMissing(PathBuf),
    /// The messages beside a store cannot be read, with the reason.
    MessagesUnreadable {
        /// Their file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// No message has this queue id.
    MessageNotFound(String),
    /// The store does not exist.
    StoreMissing(Place),
    /// The store was replaced while it was open.
    StoreReplaced(Place),
    /// Two paths lead to the store, so two programs might not see each other's changes.
    StoreNotUnique {
        /// The store.
        store: Place,
        /// Why it is refused.
        reason: String,
        /// What to do about it.
        cure: String,
    },
    /// A database that cannot hold a store until an admin changes it.
    StoreUnfit {
        /// The store.
        store: Place,
        /// What it lacks.
        reason: String,
        /// What to do about it.
        cure: String,
    },
    /// The store cannot be reached.
    StoreUnreachable {
        /// The store.
        store: Place,
        /// Why it cannot be reached.
        reason: String,
    },
    /// A statement failed; the database is reachable and not known to be damaged.
    StoreFailed {
        /// The store.
        store: Place,
        /// The database's message.
        said: String,
        /// Whether the same statement may succeed later.
        passes: bool,
    },
    /// The file or database belongs to something else.
    StoreForeign {
        /// Where it is.
        store: Place,
        /// How that shows.
        reason: String,
    },
    /// The store contradicts itself, as this sentence says.
    Inconsistent(String),
    /// The store is damaged.
    StoreDamaged {
        /// The store.
        store: Place,
        /// How that shows.
        reason: String,
    },
    /// A newer version of smtpcred changed the schema.
    StoreTooNew {
        /// The store.
        store: Place,
        /// The version of its schema.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The schema has to be migrated first.
    StoreTooOld {
        /// The store.
        store: Place,
        /// The version of its schema.
        found: i64,
        /// The version that this program needs.
        known: i64,
    },
    /// There is no backup of this name.
    BackupMissing(Place),
    /// A backup cannot be restored.
    BackupUnfit {
        /// The backup.
        backup: Place,
        /// Why not.
        reason: String,
        /// What to do about it.
        cure: String,
    },
    /// A backup is of another installation than the store.
    BackupOfOther {
        /// The backup.
        backup: Place,
        /// The store.
        store: Place,
    },
    /// The database user has no right to read hashes.
    HashesHidden,
    /// The destination of a copy is not empty: it has this.
    StoreNotEmpty(&'static str),
    /// The database user lacks a right.
    StoreForbidden {
        /// The store.
        store: Place,
        /// The database's message.
        reason: String,
        /// What to do, if `store grant` cannot give the missing right.
        cure: Option<String>,
    },
    /// The connection broke during a commit: the change may have been made.
    CommitUnknown {
        /// The store.
        store: Place,
        /// How the connection broke.
        reason: String,
    },
    /// A value that must be unique exists already, or what it refers to is missing:
    /// the database enforced a rule; the store is not damaged.
    StoreRefused {
        /// The store.
        store: Place,
        /// The database's message.
        reason: String,
    },
    /// Other users can change the store's file.
    StoreUnsafe {
        /// The store.
        store: Place,
        /// How they can.
        reason: String,
    },

    /// `serve` cannot listen on a socket, as this sentence says.
    Socket(String),
    /// `serve` runs as root.
    RunsAsRoot,

    /// No log of a mail server was found.
    NoMailLog,
    /// A log cannot be read.
    LogUnreadable {
        /// The log.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Another process records messages.
    FollowerRunning,
    /// This user may not read the journal.
    JournalForbidden,

    /// No DNS server answers, or the one that answers has no result, as this sentence says.
    DnsFailed(String),
    /// A domain's token is not in its DNS.
    NotVerified {
        /// The domain.
        domain: String,
        /// The name of the record.
        name: String,
        /// What was found there.
        found: String,
        /// The record to publish.
        record: String,
    },

    /// Changing the system needs root; with what is to be changed.
    NeedsRoot(&'static str),
    /// Setup found something that it does not change.
    SetupRefused {
        /// What it found.
        reason: String,
        /// What to do about it.
        cure: String,
    },
    /// Setup failed, and its changes were undone, or some were not.
    SetupFailed {
        /// Why it failed.
        reason: String,
        /// Why some changes could not be undone.
        stays: Option<String>,
        /// Where copies of the original files are.
        copies: PathBuf,
    },
    /// Another setup of this server is running.
    SetupRunning,
    /// A mail server's configuration differs; with the number of points.
    Differs(usize),

    // The configuration files.
    /// A configuration file has a bad key or value.
    BadConfig {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: Option<usize>,
        /// What is wrong.
        reason: String,
    },
    /// A configuration file cannot be changed.
    ConfigUnwritten {
        /// The file.
        file: PathBuf,
        /// Why not.
        reason: String,
    },

    // This machine.
    /// The environment names no home folder.
    NoHome,
    /// The clock shows this time, which cannot be right.
    Clock(String),
    /// An import without a store needs a temporary one.
    NoTemporaryStore {
        /// The folder for temporary files.
        folder: String,
        /// Why it cannot be created there.
        reason: String,
    },
    /// The operating system failed, as this sentence says.
    System(String),
}
