//! The table of errors. Messages, hints, codes and exit codes of all errors stand here, so
//! the file is long. Codes and exit codes never change: scripts depend on them.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use super::{Error, Exit, Place};

/// What is reported of an error.
struct Entry {
    code: &'static str,
    exit: Exit,
    message: String,
    hint: Option<String>,
}

fn entry(code: &'static str, exit: Exit, message: impl Into<String>) -> Entry {
    Entry {
        code,
        exit,
        message: message.into(),
        hint: None,
    }
}

impl Entry {
    fn hint(self, hint: impl Into<String>) -> Self {
        let hint = Some(hint.into());
        Self { hint, ..self }
    }
}

impl Error {
    /// Returns the name that scripts match on.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.entry().code
    }

    /// Returns the exit code of a command that ends with this error.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.entry().exit
    }

    /// Returns what to do about it; `None` if there is nothing to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.entry().hint
    }

    #[expect(clippy::too_many_lines, reason = "it is a table")]
    fn entry(&self) -> Entry {
        match self {
            Self::Usage(what) => entry("usage", Exit::Usage, what),
            Self::Invalid { what, value, rule } => entry(
                "invalid_value",
                Exit::Usage,
                format!("{value} is not a valid {what}: {rule}"),
            ),
            Self::ExpiryPassed(time) => entry(
                "expiry_passed",
                Exit::Usage,
                format!("{time} is in the past; an expiry must be in the future"),
            )
            .hint("to stop a user from signing in now: smtpcred user suspend NAME"),
            Self::DomainNotFound(domain) => entry(
                "domain_not_found",
                Exit::NotFound,
                format!("no domain {domain}"),
            )
            .hint("list all domains with: smtpcred domain list"),
            Self::UserNotFound(username) => {
                entry("user_not_found", Exit::NotFound, format!("no user {username}"))
                    .hint("list all users with: smtpcred user list")
            }
            Self::UserRenamed {
                username,
                new,
                at,
                until,
            } => entry(
                "user_not_found",
                Exit::NotFound,
                format!("no user {username}"),
            )
            .hint(format!(
                "it was renamed to {new} on {at}{}; use the new name",
                until.as_ref().map_or(String::new(), |until| format!("; the old name still works until {until}"))
            )),
            Self::OldNameTaken {
                username,
                new,
                until: Some(until),
            } => entry(
                "old_name_taken",
                Exit::Refused,
                format!("{username} is an old name of {new} and works until {until}"),
            )
            .hint(format!(
                "choose another name, or stop the old one: smtpcred user rename {} {}",
                in_shell(username),
                in_shell(new)
            )),
            Self::OldNameTaken {
                username,
                new,
                until: None,
            } => entry(
                "old_name_taken",
                Exit::Refused,
                format!("{username} is an old name of {new}"),
            )
            .hint(format!(
                "use the new name, or create a new user with the old one: smtpcred user create {}",
                in_shell(username)
            )),
            Self::OldNameStopped { username, new } => entry(
                "old_name_stopped",
                Exit::Refused,
                format!("{username}, the old name of {new}, no longer works, and an overlap cannot revive it"),
            )
            .hint(format!(
                "use {new} in the applications; or rename the user back, so that both names work: smtpcred user rename {} {} --overlap 7d",
                in_shell(new),
                in_shell(username)
            )),
            Self::DomainExists(domain) => entry(
                "domain_exists",
                Exit::Refused,
                format!("the domain {domain} already exists"),
            )
            .hint(format!("change it with: smtpcred domain set {domain} …")),
            Self::UserExists(username) => entry(
                "user_exists",
                Exit::Refused,
                format!("the user {username} already exists"),
            )
            .hint(format!(
                "for a new password: smtpcred user reset {}",
                in_shell(username)
            )),
            Self::UserLimit { domain, limit } => entry(
                "user_limit_reached",
                Exit::Refused,
                format!("{domain} has reached its limit of {}", users(u64::from(*limit))),
            )
            .hint(format!(
                "delete a user, or raise the limit: smtpcred domain set {domain} --max-users N"
            )),
            Self::TooManyAddresses { owner, most } => entry(
                "too_many_addresses",
                Exit::Refused,
                format!("{owner} can have {most} allowed networks and single addresses"),
            )
            .hint("allow a wider network in place of single addresses"),
            Self::DomainNotEmpty { domain, users: n } => entry(
                "domain_not_empty",
                Exit::Refused,
                format!("{domain} still has {}", users(*n)),
            )
            .hint(format!(
                "remove the domain with its users: smtpcred domain remove {domain} --with-users"
            )),
            Self::OldNamesWork { domain, names } => entry(
                "old_names_work",
                Exit::Refused,
                match names.len() {
                    1 => format!("1 old name in {domain} still works"),
                    n => format!("{n} old names in {domain} still work"),
                },
            )
            .hint(format!(
                "{}; remove the domain anyway, which stops its old names: smtpcred domain remove {domain} --with-users",
                old_names(names)
            )),
            Self::WeakPassword(reason) => entry(
                "weak_password",
                Exit::Refused,
                format!("this password is refused: {reason}"),
            )
            .hint("let smtpcred generate a strong one"),
            Self::OverlapRunning { username, until } => entry(
                "overlap_running",
                Exit::Refused,
                format!(
                    "{username} already has two live passwords; the older one retires {until}"
                ),
            )
            .hint("wait until then, or reset without --overlap, which stops both at once"),
            Self::UserStopped { username, status } => entry(
                "user_stopped",
                Exit::Refused,
                format!("{username} is {status} and cannot sign in with any password"),
            )
            .hint(match *status {
                "suspended" => format!(
                    "let it sign in again first: smtpcred user resume {}",
                    in_shell(username)
                ),
                _ => format!(
                    "set a later expiry first: smtpcred user set {} --expires-in 180d",
                    in_shell(username)
                ),
            }),
            Self::TooManyTemporary {
                username,
                most,
                password_id,
            } => entry(
                "too_many_temporary",
                Exit::Refused,
                format!("{username} already has {most} temporary passwords that work"),
            )
            .hint(format!(
                "end one, such as the one that ends next: smtpcred user retire {} --password-id {password_id}",
                in_shell(username)
            )),
            Self::RotationUnfinished {
                username,
                reason,
                ways_out,
            } => entry(
                "rotation_unfinished",
                Exit::Refused,
                format!("the rotation of {username} is unfinished: {reason}"),
            )
            .hint(format!(
                "{ways_out}; `smtpcred user rotate {}` checks again whether it arrived",
                in_shell(username)
            )),
            Self::RotationRunning => entry(
                "rotation_running",
                Exit::TryAgain,
                "another rotation is running",
            )
            .hint("wait for it to end; it resumes unfinished rotations, too"),
            Self::NoDelivery(username) => entry(
                "no_delivery",
                Exit::Refused,
                format!("no delivery is set for the new password of {username}"),
            )
            .hint(format!(
                "give --deliver, --write-file or --write-env, or set it once: smtpcred user set {} --deliver …",
                in_shell(username)
            )),
            Self::PlaceTaken { username, why } => {
                entry("place_taken", Exit::Refused, format!("{username} {why}")).hint(format!(
                    "choose another file: smtpcred user set {} --write-file …; or remove the password there if it is no longer needed",
                    in_shell(username)
                ))
            }
            Self::UntrustedDelivery { reason, cure } => entry(
                "untrusted_delivery",
                Exit::Refused,
                format!("root does not run the deliveries of this store, because {reason}"),
            )
            .hint(format!("{cure}, add --trust-store, or give --deliver here")),
            Self::LastPassword(username) => entry(
                "last_password",
                Exit::Refused,
                format!("{username} has only one live password; without it, the user could not sign in"),
            )
            .hint(format!(
                "to stop it: smtpcred user suspend {0}; to replace it: smtpcred user reset {0}",
                in_shell(username)
            )),
            Self::ChangedMeanwhile(what) => entry(
                "changed_meanwhile",
                Exit::Refused,
                format!("{what}; nothing was changed"),
            )
            .hint("check the current state and run the command again"),
            Self::NoSuchPassword {
                username,
                password_id,
            } => entry(
                "password_id_not_found",
                Exit::NotFound,
                format!("{username} has no live password with the ID {password_id}"),
            )
            .hint(format!(
                "list them with: smtpcred user show {}",
                in_shell(username)
            )),
            Self::RoleNotFound(holder) => entry(
                "role_not_found",
                Exit::NotFound,
                format!("{holder} has no role"),
            )
            .hint("the owner of the store grants one with: smtpcred role grant"),
            Self::NotPermitted {
                holder,
                what,
                allowed,
            } => entry(
                "not_permitted",
                Exit::Refused,
                format!("{holder} may not use {what} here"),
            )
            .hint(allowed),
            Self::RoleChanged(holder) => entry(
                "role_changed",
                Exit::Refused,
                format!("the role of {holder} was changed or revoked meanwhile; nothing was changed"),
            ),
            Self::TooManyChanges {
                holder,
                most,
                until,
            } => entry(
                "too_many_changes",
                Exit::Refused,
                format!("{holder} may make {most} changes within an hour, and has made them"),
            )
            .hint(format!(
                "there are more after {until}; the owner of the store grants more with the flag --hourly-changes of: smtpcred role grant"
            )),
            Self::NotSearched(1) => entry(
                "not_searched",
                Exit::Failed,
                "1 path could not be searched; in the rest, no password was found".to_owned(),
            ),
            Self::NotSearched(n) => entry(
                "not_searched",
                Exit::Failed,
                format!("{n} paths could not be searched; in the rest, no password was found"),
            ),
            Self::NotClosed { username, reason } => entry(
                "not_closed",
                Exit::Failed,
                format!("the new password of {username} did not arrive: {reason}; the old one still works"),
            )
            .hint(format!(
                "to stop it now, and the application with it: smtpcred user close {} --suspend",
                in_shell(username)
            )),
            Self::RotationsFailed(1) => entry(
                "rotations_failed",
                Exit::Failed,
                "1 rotation failed; the old password works",
            )
            .hint("it is listed above; once its cause is gone, the same command tries again"),
            Self::RotationsFailed(n) => entry(
                "rotations_failed",
                Exit::Failed,
                format!("{n} rotations failed; the old passwords work"),
            )
            .hint("they are listed above; once the causes are gone, the same command tries again"),
            Self::HostNotSet(what) => entry(
                "host_not_set",
                Exit::Refused,
                format!("no server name is set, and {what} needs one"),
            )
            .hint("set it once: smtpcred set-settings --host smtp.example.com"),
            Self::CannotSignIn { username, status } => entry(
                "cannot_sign_in",
                Exit::Refused,
                format!("the password is right, but {username} is {status}"),
            )
            .hint(match *status {
                "suspended" => format!(
                    "let it sign in again: smtpcred user resume {}",
                    in_shell(username)
                ),
                _ => format!(
                    "extend it: smtpcred user set {} --expires-in 180d",
                    in_shell(username)
                ),
            }),
            Self::BadRows { rows, can_skip } => {
                let message = format!("{}; nothing was changed", invalid_rows(*rows));
                entry("bad_rows", Exit::Usage, message).hint(if *can_skip {
                    "fix the rows listed above and run the command again, or let `user import` put them into another file: --skip-bad FILE"
                } else {
                    "fix the rows listed above and run the command again"
                })
            }
            Self::BadPlan => entry(
                "bad_plan",
                Exit::Usage,
                "the plan is invalid; nothing was changed",
            )
            .hint("fix the lines listed above"),
            Self::NotApplied(1) => entry("not_applied", Exit::Failed, "1 change failed")
                .hint("it is listed above; run the same command again to retry"),
            Self::NotApplied(n) => entry("not_applied", Exit::Failed, format!("{n} changes failed"))
                .hint("they are listed above; run the same command again to retry"),
            Self::NeedsConfirmation(what) => entry(
                "needs_confirmation",
                Exit::Unconfirmed,
                format!("{what} needs a confirmation, and there is no terminal to ask at"),
            )
            .hint("repeat the command with --yes"),
            Self::Cancelled => entry(
                "cancelled",
                Exit::Unconfirmed,
                "cancelled: nothing was changed",
            ),
            Self::Interrupted => entry(
                "interrupted",
                Exit::Interrupted,
                "interrupted: nothing was changed",
            ),
            Self::Stopped(left) => entry(
                "interrupted",
                Exit::Interrupted,
                format!("interrupted; {} not processed", users(*left)),
            ),
            Self::PartlyCreated { made, left, cause } => entry(
                "partly_created",
                after_changes(cause),
                format!(
                    "{}; users created: {made}, not created: {left}",
                    without_claim(cause)
                ),
            )
            .hint("the same command with --skip-existing creates the others"),
            Self::PartlyDone {
                what,
                done,
                left,
                cause,
            } => entry(
                "partly_done",
                after_changes(cause),
                format!(
                    "{}; users {what}: {done}, not yet: {left}",
                    without_claim(cause)
                ),
            )
            .hint("run the same command again for the rest"),
            Self::PartlyNamed {
                what,
                done,
                left,
                cause,
            } => {
                let done = format!("{}; {what}: {done}", without_claim(cause));
                let exit = after_changes(cause);
                if left.is_empty() {
                    entry("partly_done", exit, done)
                } else {
                    entry("partly_done", exit, format!("{done}; not {what}: {left}"))
                        .hint("repeat the command for those that are left")
                }
            }
            Self::Answered(exit) => entry("attention", *exit, "something needs attention"),
            Self::WrongPassword(username) => entry(
                "wrong_password",
                Exit::WrongPassword,
                format!("wrong password for {username}"),
            ),
            Self::CannotTell(cause) => Entry {
                exit: Exit::TryAgain,
                message: format!("the password could not be checked: {cause}"),
                ..cause.entry()
            },
            Self::Undeliverable(reason) => entry(
                "undeliverable",
                Exit::Undelivered,
                format!("the new password cannot be handed over: {reason}"),
            )
            .hint("pipe it somewhere, or write it to a new file with --output FILE; nothing was changed"),
            Self::NoFolder(reason) => entry(
                "undeliverable",
                Exit::Undelivered,
                format!("the new passwords cannot be handed over: {reason}"),
            )
            .hint("specify an existing folder that you can write to and that no other run uses (`mkdir -m 700 DIR` creates one); nothing was changed"),
            Self::OutputExists(path) => entry(
                "output_exists",
                Exit::Undelivered,
                format!(
                    "{} already exists, and files are never overwritten",
                    path.display()
                ),
            )
            .hint("choose another name; nothing was changed"),
            Self::Undelivered(reason) => entry(
                "undelivered",
                Exit::Undelivered,
                format!("the new password could not be handed over ({reason}); nothing was changed"),
            )
            .hint("free some space or fix the destination, then run the command again"),
            Self::NotStored(cause) => Entry {
                code: "not_stored",
                message: format!(
                    "the password that was just handed over was not stored and does not work ({cause})"
                ),
                ..cause.entry()
            },
            Self::FileUnwritten { path, reason } => entry(
                "undelivered",
                Exit::Undelivered,
                format!(
                    "{} could not be written ({reason}); nothing was changed",
                    path.display()
                ),
            )
            .hint("free some space or write elsewhere, and run the command again"),
            Self::Unmailed { to, reason } => entry(
                "undelivered",
                Exit::Undelivered,
                format!("the mail to {to} was not sent: {reason}"),
            )
            .hint("the mail server of this machine has to take it: sendmail, or 127.0.0.1 port 25"),
            Self::OutputClosed => entry("output_failed", Exit::Done, "the output was closed"),
            Self::Output(reason) => entry(
                "output_failed",
                Exit::Failed,
                format!("stdout could not be written: {reason}"),
            )
            .hint("free some space or write elsewhere, and run the command again"),
            Self::Unrecorded { to, reason } => entry(
                "output_failed",
                Exit::Failed,
                format!("the changes were made, but could not be written to {to}: {reason}"),
            )
            .hint("list them with: smtpcred audit list"),
            Self::StoreBusy(store) => entry(
                "store_busy",
                Exit::TryAgain,
                format!("the store {store} is locked by another process"),
            )
            .hint("try again; a long lock is a backup or a hung process"),
            Self::StoreFull(store) => entry(
                "store_full",
                Exit::TryAgain,
                format!("no space left for the store {store}"),
            )
            .hint("free some space and try again; nothing was changed"),
            Self::MessagesNotKept => entry(
                "messages_not_kept",
                Exit::Refused,
                "messages are not kept",
            )
            .hint("keep them for 30 days from now on: smtpcred set-settings --keep-messages 30d"),
            Self::MessagesMissing(file) => entry(
                "messages_missing",
                Exit::TryAgain,
                format!("the file of the messages {} is missing", file.display()),
            )
            .hint("begin with an empty one: smtpcred set-settings --keep-messages 30d; then read past logs again: smtpcred messages read FILE"),
            Self::MessagesUnreadable { file, reason } => entry(
                "messages_unreadable",
                Exit::TryAgain,
                format!("the messages in {} cannot be read: {reason}", file.display()),
            )
            .hint("run the command as the owner of the file, or as root with sudo; if it is damaged, remove its folder, and begin with an empty one: smtpcred set-settings --keep-messages 30d"),
            Self::MessageNotFound(id) => entry(
                "message_not_found",
                Exit::NotFound,
                format!("no message {id}"),
            )
            .hint("list the last ones with: smtpcred messages list --limit 20"),
            Self::StoreMissing(store) => entry(
                "store_missing",
                Exit::TryAgain,
                format!("there is no store at {store}"),
            )
            .hint(match store {
                Place::Database(_) => "create it with: smtpcred store init",
                Place::File(_) => "create it with a domain: smtpcred domain add example.com; or create an empty one: smtpcred store init; if it is elsewhere, specify --store PATH or SMTPCRED_STORE",
            }),
            Self::StoreReplaced(store) => entry(
                "store_replaced",
                Exit::TryAgain,
                format!("the store {store} was replaced by another one"),
            ),
            Self::StoreNotUnique {
                store,
                reason,
                cure,
            } => entry(
                "store_not_unique",
                Exit::TryAgain,
                format!("the store {store} is refused: {reason}"),
            )
            .hint(cure),
            Self::StoreUnfit {
                store,
                reason,
                cure,
            } => entry(
                "store_unfit",
                Exit::TryAgain,
                format!("the store {store} is refused: {reason}"),
            )
            .hint(cure),
            Self::StoreUnreachable { store, reason } => entry(
                "store_unreachable",
                Exit::TryAgain,
                format!("the store {store} cannot be reached: {reason}"),
            )
            .hint(match store {
                Place::Database(_) => "check that the server is running and accepts connections from this machine; psql with the same URL says more",
                Place::File(_) => "run the command as its owner, or as root with sudo; check that its disk is mounted and intact",
            }),
            Self::StoreFailed {
                store,
                said,
                passes,
            } => entry(
                "store_failed",
                if *passes { Exit::TryAgain } else { Exit::Failed },
                format!("the store {store} failed; the database says: {said}"),
            )
            .hint(if *passes {
                "try again; the statement changed nothing"
            } else {
                "the statement changed nothing; see PostgreSQL's log"
            }),
            Self::StoreForeign { store, reason } => entry(
                "store_foreign",
                Exit::Failed,
                format!("{store} is not a store of smtpcred: {reason}"),
            )
            .hint("it was not touched; specify another place with --store PATH or SMTPCRED_STORE"),
            Self::Inconsistent(what) => entry("store_damaged", Exit::Failed, what).hint(RESTORE),
            Self::StoreDamaged { store, reason } => entry(
                "store_damaged",
                Exit::Failed,
                format!("the store {store} is damaged: {reason}"),
            )
            .hint(match store {
                Place::File(_) => RESTORE,
                Place::Database(_) => OF_DATABASE,
            }),
            Self::StoreTooNew {
                store,
                found,
                known,
            } => entry(
                "store_too_new",
                Exit::Failed,
                format!(
                    "the store {store} was written by a newer smtpcred (schema {found}; this program knows {known})"
                ),
            )
            .hint("it was not touched; upgrade this program"),
            Self::StoreTooOld {
                store,
                found,
                known,
            } => entry(
                "store_too_old",
                Exit::Failed,
                format!(
                    "the store {store} was made by an older smtpcred (schema {found}; this program knows {known})"
                ),
            )
            .hint("upgrade all programs that use it to this version, then run: smtpcred store migrate"),
            Self::HashesHidden => entry(
                "store_forbidden",
                Exit::Refused,
                "this database user may not see the hashes",
            )
            .hint(GRANT),
            Self::BackupMissing(backup) => entry(
                "backup_missing",
                Exit::Failed,
                format!("there is no backup at {backup}"),
            )
            .hint("list the backups in a folder with: smtpcred store verify --all FOLDER"),
            Self::BackupUnfit {
                backup,
                reason,
                cure,
            } => entry(
                "backup_unfit",
                Exit::Failed,
                format!("the backup {backup} cannot be restored: {reason}"),
            )
            .hint(cure),
            Self::BackupOfOther { backup, store } => entry(
                "backup_of_other",
                Exit::Refused,
                format!("the backup {backup} is of another installation than {store}"),
            )
            .hint("check both with smtpcred store verify; --other-installation restores it nevertheless"),
            Self::StoreNotEmpty(what) => entry(
                "store_not_empty",
                Exit::Refused,
                format!("the target store is not empty: it has {what}"),
            )
            .hint("name a new store; nothing was changed"),
            Self::StoreForbidden {
                store,
                reason,
                cure,
            } => entry(
                "store_forbidden",
                Exit::Refused,
                format!("the store {store} does not let this database user do that: {reason}"),
            )
            .hint(cure.as_deref().unwrap_or(GRANT)),
            Self::CommitUnknown { store, reason } => entry(
                "commit_unknown",
                Exit::TryAgain,
                format!(
                    "the change may or may not have been made: the connection to the store {store} was lost while it was committed ({reason})"
                ),
            )
            .hint("once it is back, `smtpcred audit list` shows what was changed, and `smtpcred verify` whether a password works"),
            Self::StoreRefused { store, reason } => entry(
                "store_refused",
                Exit::Refused,
                format!("the store {store} refused the change: {reason}"),
            )
            .hint("nothing was changed; the store is intact and needs no restore"),
            Self::StoreUnsafe { store, reason } => entry(
                "store_unsafe",
                Exit::Failed,
                format!("the store {store} is not safe: {reason}"),
            ),
            Self::Socket(what) => entry("socket", Exit::Failed, what)
                .hint("check that its folder exists and that you can write to it, and that no other serve is running"),
            Self::RunsAsRoot => entry(
                "runs_as_root",
                Exit::Refused,
                "smtpcred serve should not run as root",
            )
            .hint("give it a user of its own (dist/systemd/smtpcred.service does), or add --allow-root"),
            Self::NoMailLog => entry(
                "no_mail_log",
                Exit::Failed,
                "no log of a mail server was found on this machine",
            )
            .hint("name it, as in --log /var/log/mail.log; or --journal"),
            Self::LogUnreadable { path, reason } => entry(
                "log_unreadable",
                Exit::Failed,
                format!("{} cannot be read: {reason}", path.display()),
            )
            .hint(
                "the group of the file may read it, often adm; smtpcred-messages.service is in \
                that group",
            ),
            Self::FollowerRunning => entry(
                "follower_running",
                Exit::TryAgain,
                "another process records the messages",
            )
            .hint("smtpcred-messages.service does; to see what happens: smtpcred messages follow --print"),
            Self::JournalForbidden => entry(
                "journal_forbidden",
                Exit::Failed,
                "this user may not read the journal",
            )
            .hint(
                "the groups systemd-journal and adm may; smtpcred-messages.service is in both",
            ),
            Self::DnsFailed(what) => entry("dns_failed", Exit::TryAgain, what)
            .hint("try again, or ask another server: --resolver 192.0.2.53"),
            Self::NotVerified {
                domain,
                name,
                found,
                record,
            } => entry(
                "not_verified",
                Exit::Attention,
                format!(
                    "{domain} is not verified: its token is not in the DNS; found at {name}: {found}"
                ),
            )
            .hint(format!(
                "publish: {record}; then, perhaps some minutes later: smtpcred domain verify {domain}"
            )),
            Self::NeedsRoot(what) => entry(
                "needs_root",
                Exit::Refused,
                format!("changing {what} needs root"),
            )
            .hint("run the same command with sudo"),
            Self::SetupRefused { reason, cure } => entry(
                "setup_refused",
                Exit::Refused,
                format!("{reason}; nothing was changed"),
            )
            .hint(cure),
            Self::SetupFailed {
                reason,
                stays: None,
                copies: _,
            } => entry(
                "setup_failed",
                Exit::Failed,
                format!("{reason}; all changes were undone"),
            )
            .hint("fix that and try again, or configure it by hand: smtpcred show-server-config --help"),
            Self::SetupFailed {
                reason,
                stays: Some(stays),
                copies,
            } => entry(
                "setup_failed",
                Exit::Failed,
                format!("{reason}; and not all changes could be undone: {stays}"),
            )
            .hint(format!(
                "fix that and run the same command again: it undoes the rest first; copies of the original files are in {}",
                copies.display()
            )),
            Self::SetupRunning => entry(
                "setup_running",
                Exit::TryAgain,
                "another setup is running",
            )
            .hint("wait until it has finished"),
            Self::Differs(1) => differs("1 difference"),
            Self::Differs(n) => differs(&format!("{n} differences")),
            Self::BadConfig { file, line, reason } => {
                let line = line.map_or_else(String::new, |line| format!(":{line}"));
                entry(
                    "bad_config",
                    Exit::Usage,
                    format!("{}{line}: {reason}", file.display()),
                )
                .hint("edit the file, or remove a key: smtpcred config unset KEY")
            }
            Self::ConfigUnwritten { file, reason } => entry(
                "config_unwritten",
                Exit::Failed,
                format!("{} cannot be changed: {reason}", file.display()),
            )
            .hint("only you and root may be able to write the file and the folders above it; root changes the file for all users: smtpcred config set --system KEY VALUE"),
            Self::NoHome => entry(
                "no_home",
                Exit::Failed,
                "no home folder is known, so there is no default place for the store",
            )
            .hint("specify a place with --store PATH or SMTPCRED_STORE"),
            Self::Clock(time) => entry(
                "clock_wrong",
                Exit::Failed,
                format!("this machine's clock says {time}, which cannot be right"),
            )
            .hint("set the clock first: expiry and overlap depend on it"),
            Self::NoTemporaryStore { folder, reason } => entry(
                "no_temporary_store",
                Exit::TryAgain,
                format!("a temporary store cannot be created in {folder}: {reason}; nothing was changed"),
            )
            .hint("free some space there, or set TMPDIR to another folder"),
            Self::System(what) => entry("failed", Exit::Failed, what),
        }
    }
}

const GRANT: &str = "the owner of the database grants rights with: smtpcred store grant";
const RESTORE: &str =
    "restore the store from a backup, and check the disk: smtpcred store restore FILE";
const OF_DATABASE: &str = "restore the store from a backup to an empty database, and check the disk: smtpcred store restore FILE";

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.entry().message)
    }
}

impl std::error::Error for Error {}

/// `model::text::count` is not known here.
/// Returns some old names with their users.
fn old_names(names: &[(String, String)]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<_> = names
        .iter()
        .take(SHOWN)
        .map(|(old, new)| format!("{new} can still sign in as {old}"))
        .collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{}, and {more} more", shown.join(", ")),
    }
}

fn users(number: u64) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} user{s}")
}

fn invalid_rows(number: u64) -> String {
    match number {
        1 => "1 row is invalid".into(),
        _ => format!("{number} rows are invalid"),
    }
}

fn differs(differences: &str) -> Entry {
    entry(
        "differs",
        Exit::Attention,
        format!("{differences} found in the mail server's configuration"),
    )
    .hint("run the same command without --check to see what it should be")
}

/// Returns the exit code of what failed after something was changed: that for an
/// undelivered password promises that nothing was.
fn after_changes(cause: &Error) -> Exit {
    match cause.exit() {
        Exit::Undelivered => Exit::Failed,
        exit => exit,
    }
}

/// Returns the message of what failed after something was changed.
fn without_claim(cause: &Error) -> String {
    match cause {
        Error::Cancelled => "cancelled".into(),
        Error::Interrupted => "interrupted".into(),
        Error::Undelivered(reason) => {
            format!("the new passwords could not be handed over ({reason})")
        }
        Error::NotStored(reason) => {
            format!(
                "the passwords that were handed over last were not stored and do not work ({reason})"
            )
        }
        other => other.to_string().replace("; nothing was changed", ""),
    }
}

/// Quotes a username for a shell's command line: it may contain a quote or `&`.
fn in_shell(name: &str) -> Cow<'_, str> {
    // Fails only on NUL.
    shlex::try_quote(name).unwrap_or(Cow::Borrowed(name))
}

/// Returns how to restore a backup of a file. SQLite would replay a log that stays beside it.
pub fn put_back(store: &Path) -> String {
    let named = store.display().to_string();
    let beside = |suffix| in_shell(&format!("{named}{suffix}")).into_owned();
    format!(
        "stop all programs that use it (systemctl stop 'smtpcred*'), then: rm -f {} {} && cp BACKUP {}",
        beside("-wal"),
        beside("-shm"),
        in_shell(&named)
    )
}
