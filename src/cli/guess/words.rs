//! Words of other programs, and the commands that they stand for. A long file: it is all tables.
//!
//! A command may have flags: they follow the names that were typed. Of several, the first that
//! exists is meant. Aliases of ours are not here.

/// What a word stands for: alone, with a username, with a domain.
pub struct Topic {
    pub words: &'static [&'static str],
    pub alone: &'static [&'static str],
    pub user: &'static [&'static str],
    pub domain: &'static [&'static str],
}

const fn topic(words: &'static [&'static str], ours: &'static [&'static str]) -> Topic {
    Topic {
        words,
        alone: ours,
        user: ours,
        domain: ours,
    }
}

/// Verbs, after a noun and alone. A noun has the first of these commands that begins with it.
pub const VERBS: &[(&[&str], &[&str])] = &[
    (
        &[
            "activate",
            "on",
            "reactivate",
            "restore",
            "start",
            "unban",
            "unblock",
            "unfreeze",
        ],
        &["user resume"],
    ),
    (
        &[
            "ban",
            "block",
            "deactivate",
            "freeze",
            "kill",
            "mask",
            "off",
            "reject",
            "revoke",
            "stop",
        ],
        &["user suspend"],
    ),
    (
        &["change", "chuser", "configure", "mod", "patch"],
        &["user set", "domain set"],
    ),
    (
        &["limit", "limits", "quota", "ratelimit"],
        &["user set --daily-limit N", "domain set --daily-limit N"],
    ),
    (
        &[
            "allow",
            "allow-from",
            "allow-ip",
            "allowlist",
            "permit",
            "restrict",
            "whitelist",
        ],
        &["user allow", "domain allow", "set-settings --allow CIDR"],
    ),
    (
        &["deny", "deny-ip", "disallow", "forbid", "unlist"],
        &["user disallow", "domain disallow"],
    ),
    (
        &["addresses", "ip", "ips", "networks", "seen"],
        &["user addresses"],
    ),
    (
        &["learn"],
        &["user set --addresses learn", "domain set --addresses learn"],
    ),
    (
        &["compromised", "hacked", "incident", "leaked", "stolen"],
        &["user close"],
    ),
    (&["expire"], &["user set --expires-in 30d"]),
    (
        &[
            "change-password",
            "changepassword",
            "chpass",
            "chpasswd",
            "chpw",
            "htpasswd",
            "new-password",
            "passwd",
            "password",
            "pw",
            "regenerate",
            "renew",
            "reset-password",
            "saslpasswd2",
            "set-password",
            "setpassword",
        ],
        &["user reset"],
    ),
    (&["roll"], &["user rotate"]),
    (
        &["find", "grep", "query", "search"],
        &["user list TEXT", "domain list", "audit list"],
    ),
    (&["count"], &["user list", "domain list"]),
    (
        &[
            "describe", "cat", "detail", "details", "finger", "lookup", "view", "whois",
        ],
        &["user show", "domain show", "config list"],
    ),
    (&["state", "stat", "status"], &["user show", "domain check"]),
    (&["config"], &["user set", "domain set", "store status"]),
    (&["size"], &["store status"]),
    (&["comment", "note", "notes"], &["user set --note TEXT"]),
    (&["label", "title"], &["user set --label TEXT"]),
    (&["tag", "tags"], &["user set --tag KEY=VALUE"]),
    (
        &["delete-tag", "remove-tag", "rm-tag", "untag"],
        &["user set --remove-tag KEY"],
    ),
    (&["get", "show"], &["audit list"]),
    (
        &["alias", "aliases", "sender", "senders", "sendas"],
        &["user set --sender ADDRESS"],
    ),
    (&["move"], &["user rename"]),
    (&["clone", "duplicate", "dup"], &["user copy"]),
    (&["stale", "unused"], &["user list --never-used"]),
    (&["expired"], &["user list --status expired"]),
    (&["expiring"], &["user list --expiring 14d"]),
    (
        &["who", "w", "last", "lastlog", "logins"],
        &["user list --sort used"],
    ),
    (
        &["dump", "tocsv", "backup"],
        &["user export", "config list"],
    ),
    (&["load", "upload", "bulk"], &["user import"]),
    (&["dns", "records", "dkim", "spf"], &["domain check"]),
    (&["upgrade"], &["store migrate"]),
    (
        &["clean", "gc", "optimize", "prune", "purge", "vacuum"],
        &["store maintain"],
    ),
    (
        &["delete", "del", "remove", "reset", "rm"],
        &["config unset"],
    ),
    (&["add", "put", "update", "edit"], &["config set"]),
    (
        &["file", "files", "location", "path", "where"],
        &["config path", "store status"],
    ),
    (
        &["check", "fsck", "integrity", "test", "verify"],
        &["store status"],
    ),
    (
        &[
            "apikey",
            "connections",
            "key",
            "keys",
            "passwords",
            "token",
            "tokens",
        ],
        &["user show"],
    ),
    (
        &["follow", "tail", "watch", "monitor"],
        &["audit list --follow"],
    ),
    (&["errors", "failed", "failure"], &["audit failures"]),
];

/// Nouns of other programs, and ours.
pub const NOUNS: [(&str, &str); 43] = [
    ("account", "user"),
    ("accounts", "user"),
    ("alert", "alert"),
    ("alerts", "alert"),
    ("apikey", "user"),
    ("config", "config"),
    ("configuration", "config"),
    ("cred", "user"),
    ("credential", "user"),
    ("credentials", "user"),
    ("creds", "user"),
    ("database", "store"),
    ("db", "store"),
    ("domain", "domain"),
    ("domains", "domain"),
    ("event", "audit"),
    ("events", "audit"),
    ("history", "audit"),
    ("identity", "user"),
    ("journal", "audit"),
    ("key", "user"),
    ("keys", "user"),
    ("log", "audit"),
    ("login", "user"),
    ("logins", "user"),
    ("logs", "audit"),
    ("mailbox", "user"),
    ("mailboxes", "user"),
    ("mailuser", "user"),
    ("mails", "messages"),
    ("message", "messages"),
    ("messages", "messages"),
    ("sasl", "user"),
    ("session", "session"),
    ("sessions", "session"),
    ("smtp", "user"),
    ("smtpuser", "user"),
    ("token", "user"),
    ("tokens", "user"),
    ("user", "user"),
    ("users", "user"),
    ("usr", "user"),
    ("vhost", "domain"),
];

/// The first verb of a noun that is typed without one, alone and with a name.
pub const OVERVIEWS: [&str; 3] = ["list", "status", "show"];

/// Words that are not verbs of any one noun.
pub const TOPICS: &[Topic] = &[
    topic(&["version", "ver"], &["--version"]),
    topic(
        &[
            "topics",
            "commands",
            "man",
            "manual",
            "docs",
            "examples",
            "usage-examples",
        ],
        &["--help"],
    ),
    topic(
        &[
            "auth-log", "authlog", "failed", "failures", "refused", "bans", "banned", "rejected",
            "rejects",
        ],
        &["audit failures"],
    ),
    topic(
        &[
            "blocked",
            "disabled",
            "locked",
            "suspended",
            "suspended-users",
        ],
        &["user list --status suspended"],
    ),
    topic(
        &["overlap", "overlaps", "rotations"],
        &["user list --overlap"],
    ),
    topic(&["server", "service"], &["status"]),
    topic(
        &[
            "breach",
            "compromised",
            "hacked",
            "incident",
            "stolen",
            "theft",
        ],
        &["user close"],
    ),
    topic(
        &[
            "alert-mail",
            "email",
            "notification",
            "notifications",
            "notify",
            "subscribe",
            "webhook",
        ],
        &["set-settings --alert-mail ADDRESS"],
    ),
    topic(
        &[
            "detect-secrets",
            "find-leaks",
            "find-password",
            "find-passwords",
            "gitleaks",
            "leak",
            "leaked",
            "leaks",
            "scan-git",
            "scanner",
            "secrets",
            "trufflehog",
        ],
        &["scan PATH"],
    ),
    topic(&["undo", "uninstall"], &["setup postfix --undo"]),
    topic(
        &[
            "cert",
            "certificate",
            "fix",
            "policy",
            "repair",
            "ssl",
            "starttls",
            "tls",
        ],
        &["doctor"],
    ),
    topic(
        &["server-config", "postfix-config"],
        &["show-server-config"],
    ),
    topic(&["install", "bootstrap", "integrate"], &["setup"]),
    topic(&["postfix", "postconf"], &["show-server-config postfix"]),
    topic(&["exim", "exim4"], &["show-server-config exim"]),
    topic(&["dovecot", "doveconf"], &["show-server-config dovecot"]),
    topic(
        &["stats", "statistics", "stat", "traffic", "counts", "sent"],
        &["usage"],
    ),
    Topic {
        words: &["quota", "quotas", "limits"],
        alone: &["usage"],
        user: &["user show"],
        domain: &["domain show"],
    },
    topic(&["daemon", "run", "listen", "up"], &["serve"]),
    topic(
        &[
            "settings",
            "setting",
            "snippet",
            "client",
            "options",
            "get-settings",
            "get-setting",
            "ports",
            "list-settings",
            "connection",
            "connect",
        ],
        &["show-settings"],
    ),
    Topic {
        words: &["host", "hostname"],
        alone: &["show-settings"],
        user: &["show-settings"],
        domain: &["set-settings --host HOST"],
    },
    topic(
        &["send", "mail", "ping", "sendmail", "swaks", "send-test"],
        &["test"],
    ),
    Topic {
        words: &["set", "change", "configure"],
        alone: &["set-settings"],
        user: &["user set"],
        domain: &["domain set"],
    },
    Topic {
        words: &["dns", "dkim", "spf", "dmarc", "mx", "records"],
        alone: &["domain check"],
        user: &["why"],
        domain: &["domain check"],
    },
    Topic {
        words: &[
            "check",
            "health",
            "healthcheck",
            "diagnose",
            "debug",
            "validate",
            "troubleshoot",
            "explain",
        ],
        alone: &["doctor"],
        user: &["why"],
        domain: &["domain check"],
    },
    topic(
        &[
            "auth",
            "login",
            "check-password",
            "verify-password",
            "authenticate",
            "auth-test",
        ],
        &["verify"],
    ),
    Topic {
        words: &["info", "overview", "dashboard", "summary", "ps", "state"],
        alone: &["status"],
        user: &["user show"],
        domain: &["domain show"],
    },
    topic(&["top", "watch", "monitor"], &["status --watch"]),
    topic(&["tail", "follow", "journalctl"], &["audit list --follow"]),
    Topic {
        words: &["last", "lastlog"],
        alone: &["user list --sort used"],
        user: &["user show"],
        domain: &["user list --sort used"],
    },
    topic(
        &[
            "delivered",
            "deliveries",
            "delivery",
            "mail-log",
            "maillog",
            "trace",
            "track",
            "tracking",
        ],
        &["messages list"],
    ),
    topic(
        &["bounce", "bounced", "bounces"],
        &["messages list --state bounced"],
    ),
    topic(&["deferred"], &["messages list --state deferred"]),
    Topic {
        words: &["who", "w", "sessions", "connections", "logged-in"],
        alone: &["session list"],
        user: &["session list"],
        domain: &["session list"],
    },
    Topic {
        words: &[
            "kick",
            "kill-session",
            "end-session",
            "logout",
            "logoff",
            "disconnect",
        ],
        alone: &["session end"],
        user: &["session end"],
        domain: &["session end --domain"],
    },
    topic(&["lint", "plan", "diff", "preview"], &["apply --dry-run"]),
    topic(&["deploy", "sync"], &["apply"]),
    topic(&["todo", "warnings", "attention", "review"], &["report"]),
    topic(
        &["completions", "autocomplete", "bash-completion"],
        &["completion"],
    ),
    topic(
        &["is-active", "is-enabled", "is-locked", "is-suspended"],
        &["why"],
    ),
    topic(&["configtest", "selftest", "self-test"], &["doctor"]),
    topic(&["metrics", "prometheus"], &["status --json"]),
];

/// Words that together stand for a command.
pub const PHRASES: &[(&[&str], &str)] = &[
    (
        &[
            "add alert …",
            "alert add …",
            "alert create …",
            "alert enable …",
            "alert set …",
            "alerts add …",
        ],
        "set-settings --alert-mail ADDRESS",
    ),
    (
        &[
            "log mail",
            "mail list",
            "mail log",
            "mail logs",
            "mail status",
        ],
        "messages list",
    ),
    (
        &["server status", "service status", "daemon status"],
        "status",
    ),
    (
        &[
            "check-config",
            "config check",
            "config test",
            "config validate",
            "config verify",
            "server check",
            "server test",
            "service check",
            "service test",
            "test-config",
        ],
        "doctor",
    ),
    (
        &[
            "find leak …",
            "find leaks …",
            "find password …",
            "find passwords …",
            "find secrets …",
            "search password …",
            "search passwords …",
        ],
        "scan PATH",
    ),
];

/// Words for what no command of ours does, and how it is done. Anything may follow those with `…`.
pub const ELSEWHERE: &[(&[&str], &str)] = &[
    (
        &[
            "get-password …",
            "show-password …",
            "user get-password …",
            "user print-password …",
            "user show-password …",
            "user view-password …",
        ],
        "a password is shown once, when it is created; to replace it by a new one: smtpcred user \
            reset NAME",
    ),
    (
        &["start", "server start", "service start", "daemon start"],
        "to start the service: systemctl start smtpcred-auth.socket smtpcred-policy.socket",
    ),
    (
        &["stop", "server stop", "service stop", "daemon stop"],
        "to stop the service: systemctl stop 'smtpcred*'",
    ),
    (
        &[
            "domain move …",
            "domain mv …",
            "domain rename …",
            "rename domain …",
            "rename-domain …",
        ],
        "a domain cannot be renamed: add the new one (smtpcred domain add), and rename each user: \
            smtpcred user rename OLD NEW",
    ),
    (
        &["mailq", "postqueue", "queue", "queue list"],
        "Postfix has the queue: postqueue -p",
    ),
    (
        &["cron", "crontab", "schedule", "timer", "timers"],
        "smtpcred-rotate.timer, smtpcred-maintain.timer and smtpcred-backup.timer run each night, smtpcred-report.timer each week: \
            systemctl list-timers 'smtpcred*'; an example for cron: /usr/share/doc/smtpcred/examples",
    ),
    (
        &["fail2ban", "jail"],
        "the packages install a filter, and an example of a jail in /usr/share/doc/smtpcred/examples; what they count: \
            smtpcred audit failures",
    ),
];

/// Words for a password, after a verb.
pub const PASSWORD: [&str; 4] = ["passphrase", "passwd", "password", "pw"];

/// Verbs that only show.
pub const SHOWING: [&str; 5] = ["display", "get", "print", "show", "view"];

/// Verbs with a noun in them.
pub const JOINED: [(&str, &str); 9] = [
    ("adduser", "create"),
    ("deluser", "delete"),
    ("lsuser", "list"),
    ("mkuser", "create"),
    ("moduser", "set"),
    ("rmuser", "delete"),
    ("useradd", "create"),
    ("userdel", "delete"),
    ("usermod", "set"),
];

/// Words for copies of the store, for restoring them, and for the service: no command of ours
/// has such a name at the top.
pub const BACKUP: [&str; 4] = ["backup", "dump", "snapshot", "save"];
pub const RESTORE: [&str; 3] = ["restore", "recover", "rollback"];
pub const SERVICE: [&str; 3] = ["daemon-reload", "reload", "restart"];
pub const SERVICES: [&str; 3] = ["daemon", "server", "service"];
