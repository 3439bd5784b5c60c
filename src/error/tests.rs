//! A long file: it lists every error with its code and exit code.

use super::*;

fn file() -> Place {
    Place::File("/data/smtpcred.db".into())
}

fn text() -> String {
    "text".into()
}

/// Codes and exit codes are promised to scripts.
#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn codes_and_exit_codes_do_not_change() {
    let store = file;
    let (reason, cure, username) = (text, text, text);
    let table = [
        (Error::Usage(text()), "usage", 2),
        (
            Error::Invalid {
                what: "domain",
                value: text(),
                rule: text(),
            },
            "invalid_value",
            2,
        ),
        (Error::ExpiryPassed(text()), "expiry_passed", 2),
        (Error::DomainNotFound(text()), "domain_not_found", 3),
        (Error::UserNotFound(text()), "user_not_found", 3),
        (Error::DomainExists(text()), "domain_exists", 4),
        (Error::UserExists(text()), "user_exists", 4),
        (
            Error::UserLimit {
                domain: text(),
                limit: 1,
            },
            "user_limit_reached",
            4,
        ),
        (
            Error::TooManyAddresses {
                owner: text(),
                most: 1,
            },
            "too_many_addresses",
            4,
        ),
        (
            Error::DomainNotEmpty {
                domain: text(),
                users: 2,
            },
            "domain_not_empty",
            4,
        ),
        (
            Error::OldNamesWork {
                domain: text(),
                names: vec![(username(), text())],
            },
            "old_names_work",
            4,
        ),
        (Error::WeakPassword(text()), "weak_password", 4),
        (
            Error::OverlapRunning {
                username: username(),
                until: text(),
            },
            "overlap_running",
            4,
        ),
        (
            Error::RotationUnfinished {
                username: username(),
                reason: reason(),
                ways_out: "to set a new password instead: smtpcred user reset shop@example.com"
                    .into(),
            },
            "rotation_unfinished",
            4,
        ),
        (Error::RotationRunning, "rotation_running", 75),
        (
            Error::UserRenamed {
                username: username(),
                new: text(),
                at: text(),
                until: None,
            },
            "user_not_found",
            3,
        ),
        (
            Error::OldNameStopped {
                username: username(),
                new: text(),
            },
            "old_name_stopped",
            4,
        ),
        (
            Error::NoTemporaryStore {
                folder: text(),
                reason: text(),
            },
            "no_temporary_store",
            75,
        ),
        (
            Error::OldNameTaken {
                username: username(),
                new: text(),
                until: None,
            },
            "old_name_taken",
            4,
        ),
        (Error::NoDelivery(text()), "no_delivery", 4),
        (
            Error::PlaceTaken {
                username: username(),
                why: text(),
            },
            "place_taken",
            4,
        ),
        (
            Error::UntrustedDelivery {
                reason: reason(),
                cure: cure(),
            },
            "untrusted_delivery",
            4,
        ),
        (
            Error::UserStopped {
                username: username(),
                status: "suspended",
            },
            "user_stopped",
            4,
        ),
        (
            Error::TooManyTemporary {
                username: username(),
                most: 20,
                password_id: text(),
            },
            "too_many_temporary",
            4,
        ),
        (Error::LastPassword(text()), "last_password", 4),
        (Error::ChangedMeanwhile(text()), "changed_meanwhile", 4),
        (
            Error::NoSuchPassword {
                username: username(),
                password_id: text(),
            },
            "password_id_not_found",
            3,
        ),
        (Error::RoleNotFound(text()), "role_not_found", 3),
        (
            Error::NotPermitted {
                holder: text(),
                what: text(),
                allowed: text(),
            },
            "not_permitted",
            4,
        ),
        (Error::RoleChanged(text()), "role_changed", 4),
        (
            Error::TooManyChanges {
                holder: text(),
                most: 1,
                until: text(),
            },
            "too_many_changes",
            4,
        ),
        (Error::NotSearched(1), "not_searched", 1),
        (
            Error::NotClosed {
                username: "x@y.org".into(),
                reason: "no".into(),
            },
            "not_closed",
            1,
        ),
        (Error::RotationsFailed(1), "rotations_failed", 1),
        (Error::HostNotSet("this"), "host_not_set", 4),
        (
            Error::CannotSignIn {
                username: username(),
                status: "suspended",
            },
            "cannot_sign_in",
            4,
        ),
        (
            Error::BadRows {
                rows: 1,
                can_skip: true,
            },
            "bad_rows",
            2,
        ),
        (Error::BadPlan, "bad_plan", 2),
        (Error::NotApplied(1), "not_applied", 1),
        (Error::NeedsConfirmation("this"), "needs_confirmation", 5),
        (Error::Cancelled, "cancelled", 5),
        (Error::Interrupted, "interrupted", 130),
        (Error::Stopped(1), "interrupted", 130),
        (
            Error::PartlyCreated {
                made: 1,
                left: 1,
                cause: Box::new(Error::Undelivered(text())),
            },
            "partly_created",
            1,
        ),
        (
            Error::PartlyDone {
                what: "imported",
                done: 1,
                left: 1,
                cause: Box::new(Error::StoreBusy(store())),
            },
            "partly_done",
            75,
        ),
        (
            Error::PartlyNamed {
                what: "suspended",
                done: text(),
                left: text(),
                cause: Box::new(Error::StoreBusy(store())),
            },
            "partly_done",
            75,
        ),
        (Error::Answered(Exit::Attention), "attention", 7),
        (Error::WrongPassword(text()), "wrong_password", 6),
        (
            Error::CannotTell(Box::new(Error::StoreFull(store()))),
            "store_full",
            75,
        ),
        (Error::Undeliverable(text()), "undeliverable", 74),
        (Error::NoFolder(text()), "undeliverable", 74),
        (Error::OutputExists("/f".into()), "output_exists", 74),
        (Error::Undelivered(text()), "undelivered", 74),
        (
            Error::FileUnwritten {
                path: "/f".into(),
                reason: reason(),
            },
            "undelivered",
            74,
        ),
        (
            Error::NotStored(Box::new(Error::StoreBusy(store()))),
            "not_stored",
            75,
        ),
        (Error::OutputClosed, "output_failed", 0),
        (Error::Output(text()), "output_failed", 1),
        (
            Error::Unrecorded {
                to: text(),
                reason: reason(),
            },
            "output_failed",
            1,
        ),
        (Error::StoreBusy(store()), "store_busy", 75),
        (Error::StoreFull(store()), "store_full", 75),
        (Error::MessagesNotKept, "messages_not_kept", 4),
        (Error::BackupMissing(store()), "backup_missing", 1),
        (
            Error::BackupUnfit {
                backup: store(),
                reason: reason(),
                cure: cure(),
            },
            "backup_unfit",
            1,
        ),
        (
            Error::BackupOfOther {
                backup: store(),
                store: store(),
            },
            "backup_of_other",
            4,
        ),
        (Error::MessagesMissing("/x".into()), "messages_missing", 75),
        (
            Error::MessagesUnreadable {
                file: "/x".into(),
                reason: "no".into(),
            },
            "messages_unreadable",
            75,
        ),
        (Error::MessageNotFound("4bX".into()), "message_not_found", 3),
        (Error::StoreMissing(store()), "store_missing", 75),
        (Error::StoreReplaced(store()), "store_replaced", 75),
        (
            Error::StoreNotUnique {
                store: store(),
                reason: reason(),
                cure: cure(),
            },
            "store_not_unique",
            75,
        ),
        (
            Error::StoreUnfit {
                store: store(),
                reason: reason(),
                cure: cure(),
            },
            "store_unfit",
            75,
        ),
        (
            Error::StoreUnreachable {
                store: store(),
                reason: reason(),
            },
            "store_unreachable",
            75,
        ),
        (
            Error::StoreFailed {
                store: store(),
                said: text(),
                passes: true,
            },
            "store_failed",
            75,
        ),
        (
            Error::StoreFailed {
                store: store(),
                said: text(),
                passes: false,
            },
            "store_failed",
            1,
        ),
        (
            Error::StoreForeign {
                store: store(),
                reason: reason(),
            },
            "store_foreign",
            1,
        ),
        (Error::Inconsistent(text()), "store_damaged", 1),
        (
            Error::StoreDamaged {
                store: store(),
                reason: reason(),
            },
            "store_damaged",
            1,
        ),
        (
            Error::StoreTooNew {
                store: store(),
                found: 2,
                known: 1,
            },
            "store_too_new",
            1,
        ),
        (
            Error::StoreTooOld {
                store: store(),
                found: 1,
                known: 2,
            },
            "store_too_old",
            1,
        ),
        (Error::HashesHidden, "store_forbidden", 4),
        (Error::StoreNotEmpty("users"), "store_not_empty", 4),
        (
            Error::StoreForbidden {
                store: store(),
                reason: reason(),
                cure: None,
            },
            "store_forbidden",
            4,
        ),
        (
            Error::CommitUnknown {
                store: store(),
                reason: reason(),
            },
            "commit_unknown",
            75,
        ),
        (
            Error::StoreRefused {
                store: store(),
                reason: reason(),
            },
            "store_refused",
            4,
        ),
        (
            Error::StoreUnsafe {
                store: store(),
                reason: reason(),
            },
            "store_unsafe",
            1,
        ),
        (Error::Socket(text()), "socket", 1),
        (Error::RunsAsRoot, "runs_as_root", 4),
        (Error::NoMailLog, "no_mail_log", 1),
        (
            Error::LogUnreadable {
                path: "/x".into(),
                reason: reason(),
            },
            "log_unreadable",
            1,
        ),
        (Error::FollowerRunning, "follower_running", 75),
        (Error::JournalForbidden, "journal_forbidden", 1),
        (Error::DnsFailed(text()), "dns_failed", 75),
        (
            Error::NotVerified {
                domain: text(),
                name: text(),
                found: text(),
                record: text(),
            },
            "not_verified",
            7,
        ),
        (
            Error::NeedsRoot("the mail server's configuration"),
            "needs_root",
            4,
        ),
        (
            Error::SetupRefused {
                reason: reason(),
                cure: cure(),
            },
            "setup_refused",
            4,
        ),
        (
            Error::SetupFailed {
                reason: reason(),
                stays: None,
                copies: "/var/lib/smtpcred-setup/postfix".into(),
            },
            "setup_failed",
            1,
        ),
        (Error::SetupRunning, "setup_running", 75),
        (Error::Differs(1), "differs", 7),
        (
            Error::BadConfig {
                file: "/config.toml".into(),
                line: Some(3),
                reason: reason(),
            },
            "bad_config",
            2,
        ),
        (
            Error::ConfigUnwritten {
                file: "/config.toml".into(),
                reason: reason(),
            },
            "config_unwritten",
            1,
        ),
        (Error::NoHome, "no_home", 1),
        (Error::Clock(text()), "clock_wrong", 1),
        (Error::System(text()), "failed", 1),
    ];
    for (error, code, exit) in &table {
        assert_eq!(
            (error.code(), error.exit() as u8),
            (*code, *exit),
            "{error:?}"
        );
    }
}
