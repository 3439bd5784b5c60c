//! The kinds of SQLite files: the store, and the messages beside it.

/// Each one migrates a store from one version to the next. After a release they are
/// never changed, only added to.
const MIGRATIONS: [&str; 17] = [
    include_str!("0001.sql"),
    include_str!("0002.sql"),
    include_str!("0003.sql"),
    include_str!("0004.sql"),
    include_str!("0005.sql"),
    include_str!("0006.sql"),
    include_str!("0007.sql"),
    include_str!("0008.sql"),
    include_str!("0009.sql"),
    include_str!("0010.sql"),
    include_str!("0011.sql"),
    include_str!("0012.sql"),
    include_str!("0013.sql"),
    include_str!("0014.sql"),
    include_str!("0015.sql"),
    include_str!("0016.sql"),
    include_str!("0017.sql"),
];

/// See [`FileKind::analyzed`].
const ANALYZED: [&str; 29] = [
    "domains",
    "users",
    "passwords",
    "last_connections",
    "settings",
    "senders",
    "tags",
    "old_names",
    "limits",
    "counts",
    "recipients",
    "usage",
    "usage_by_domain",
    "failures",
    "rotation_rules",
    "rotations",
    "event_names",
    "event_marks",
    "totals",
    "limits_near",
    "address_rules",
    "allowed_addresses",
    "seen_addresses",
    "alerts",
    "alert_deliveries",
    "session_reports",
    "sessions",
    "roles",
    "role_domains",
];

/// The objects of a store as a fingerprint.
const AS_MADE: &str = "c5e745de6a14eb649d2f00e4e9475b5661095203c680dc964d03625dbde5d0d2";

/// What the files of a kind have in common.
#[derive(Debug)]
pub struct FileKind {
    /// The application id in the header, by which file(1) and this program recognise it:
    /// <https://www.sqlite.org/fileformat.html#the_database_header>
    pub application_id: u32,
    /// The statement that writes it.
    pub set_application_id: &'static str,
    /// Each one migrates a file from one version to the next. After a release they are never
    /// changed, only added to.
    pub migrations: &'static [&'static str],
    /// The first version whose events are chained; `None` if it has no events.
    pub chained: Option<i64>,
    /// Its tables, indexes and views as a fingerprint.
    pub as_made: &'static str,
    /// The tables with an index of all their rows. ANALYZE counts all rows of any other
    /// table, whatever its limit, and blocks writers meanwhile.
    /// <https://www.sqlite.org/lang_analyze.html#approx>
    pub analyzed: &'static [&'static str],
    /// How much is synced to the disk. `secure_delete`: what is erased is overwritten.
    /// `cell_size_check`: damage is found when a page is read, not later.
    pub pragmas: &'static str,
}

impl FileKind {
    /// The version of its tables that this program knows.
    #[allow(clippy::cast_possible_wrap, reason = "a handful")]
    pub const fn known(&self) -> i64 {
        self.migrations.len() as i64
    }
}

/// A store. "SMTP" in ASCII.
pub const STORE: FileKind = FileKind {
    application_id: 0x534d_5450,
    set_application_id: "PRAGMA application_id = 0x534d5450",
    migrations: &MIGRATIONS,
    chained: Some(16),
    as_made: AS_MADE,
    analyzed: &ANALYZED,
    pragmas: "PRAGMA cell_size_check = ON; PRAGMA foreign_keys = ON;
        PRAGMA secure_delete = ON; PRAGMA synchronous = FULL;",
};

/// What users sent. "SMTM" in ASCII. A crash of the system may undo the last changes, and
/// the position in the log with them: they are read again.
pub const MESSAGES: FileKind = FileKind {
    application_id: 0x534d_544d,
    set_application_id: "PRAGMA application_id = 0x534d544d",
    migrations: &[include_str!("messages/0001.sql")],
    chained: None,
    as_made: "99a61abff3a97e706b6eb28f199ce0497919641534d723d2bef4d0fceed91b21",
    analyzed: &[
        "messages",
        "message_recipients",
        "message_later_ids",
        "message_refusals",
        "log_positions",
        "message_settings",
    ],
    pragmas: "PRAGMA cell_size_check = ON; PRAGMA foreign_keys = OFF;
        PRAGMA secure_delete = ON; PRAGMA synchronous = NORMAL;",
};
