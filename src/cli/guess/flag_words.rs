//! Flags of other programs, and ours.

/// The first of ours that a command has is meant.
pub const FLAGS: &[(&[&str], &[&str])] = &[
    (&["domain", "d"], &["domain"]),
    (
        &["db", "database", "dbfile", "db-path", "store-path", "path"],
        &["store"],
    ),
    (
        &["f", "F", "follow", "tail", "watch", "w", "refresh", "loop"],
        &["follow", "watch"],
    ),
    (&["f", "file", "input", "from-file", "bulk"], &["file"]),
    (
        &[
            "force",
            "f",
            "assume-yes",
            "confirm",
            "no-confirm",
            "non-interactive",
            "no-input",
            "batch",
        ],
        &["yes"],
    ),
    (
        &[
            "quota",
            "max-messages",
            "messages",
            "rate-limit",
            "ratelimit",
            "rate",
            "limit-daily",
            "day-limit",
        ],
        &["daily-limit"],
    ),
    (
        &["users", "max", "mailboxes", "max-mailboxes", "max-accounts"],
        &["max-users"],
    ),
    (
        &[
            "expire",
            "expires",
            "expiry",
            "expiration",
            "ttl",
            "valid",
            "valid-for",
            "expire-in",
        ],
        &["expires-in"],
    ),
    (&["until", "expire-at", "valid-until"], &["expires-at"]),
    (
        &["note", "comment", "comments", "remark"],
        &["note", "label"],
    ),
    (
        &[
            "description",
            "desc",
            "title",
            "display-name",
            "app",
            "comment",
        ],
        &["label"],
    ),
    (&["l"], &["label"]),
    (&["tags", "t", "labels", "add-tag"], &["tag"]),
    (&["untag", "delete-tag", "rm-tag"], &["remove-tag"]),
    (
        &[
            "email",
            "mail",
            "notify",
            "notify-email",
            "notify-mail",
            "alert-email",
            "alert-to",
        ],
        &["alert-mail"],
    ),
    (&["webhook", "hook", "notify-exec"], &["alert-exec"]),
    (&["ip", "cidr", "network", "from", "source"], &["address"]),
    (
        &["ip", "allow-ip", "allowed-ips", "restrict", "ip-restrict"],
        &["addresses"],
    ),
    (
        &[
            "from",
            "mail-from",
            "senders",
            "allow-sender",
            "send-as",
            "alias",
        ],
        &["sender"],
    ),
    (
        &[
            "dry",
            "simulate",
            "noop",
            "check",
            "test",
            "just-print",
            "preview",
        ],
        &["dry-run", "check"],
    ),
    (&["silent", "s"], &["quiet"]),
    (&["state"], &["status"]),
    (&["L", "max", "max-results", "page-size"], &["limit"]),
    (&["grace", "keep-old", "keep"], &["overlap"]),
    (&["server", "hostname", "smtp-host"], &["host"]),
    (
        &[
            "r",
            "recursive",
            "cascade",
            "purge",
            "users",
            "delete-users",
        ],
        &["with-users"],
    ),
    (&["delete", "remove", "clean"], &["prune"]),
    (&["recipient", "rcpt", "rcpt-to"], &["to"]),
    (&["output", "out", "o"], &["output", "output-dir"]),
    (&["show", "show-password", "print"], &["reveal"]),
    (&["all", "a", "l", "long", "full", "A"], &["wide"]),
    (&["fields", "cols", "c", "select"], &["columns"]),
    (&["order", "order-by", "sort-by", "S"], &["sort"]),
    (&["inactive", "unused"], &["never-used", "stale"]),
    (&["type", "lang", "language", "app", "client"], &["for"]),
    (&["email", "username", "name", "u"], &["user"]),
    (&["from", "newer", "days", "after-date"], &["since"]),
];

/// Flags for a password.
pub const PASSWORDS: [&str; 7] = [
    "password",
    "pass",
    "passwd",
    "pw",
    "p",
    "secret",
    "new-password",
];

/// Values that negate a flag, in lower case.
pub const NO: [&str; 5] = ["0", "false", "n", "no", "off"];

/// Values of a flag for a user that may not sign in, and of one that may.
pub const OFF: [&str; 5] = ["blocked", "disabled", "inactive", "locked", "suspended"];
pub const ON: [&str; 7] = ["1", "active", "enabled", "on", "true", "y", "yes"];

/// Flags for a name.
pub const NAMES: [&str; 10] = [
    "user", "username", "name", "email", "mail", "address", "login", "account", "u", "id",
];

/// Flags for a format.
pub const FORMATS: [&str; 4] = ["o", "output", "output-format", "out"];

/// Flags for a password that is generated, as it is without a flag.
pub const GENERATED: [&str; 7] = [
    "auto",
    "generate",
    "g",
    "length",
    "no-password",
    "random",
    "random-password",
];

/// Statuses of users, and ours.
pub const STATUSES: [(&str, &str); 8] = [
    ("active", "active"),
    ("blocked", "suspended"),
    ("disabled", "suspended"),
    ("enabled", "active"),
    ("expired", "expired"),
    ("inactive", "suspended"),
    ("locked", "suspended"),
    ("suspended", "suspended"),
];

/// Flags for more output.
pub const VERBOSE: [&str; 5] = ["v", "vv", "verbose", "debug", "trace"];
