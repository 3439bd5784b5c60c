-- What a running relay needs, and what it finds out.

-- What a user may use in MAIL FROM; without a row, every address of its domain.
CREATE TABLE senders (
    username TEXT NOT NULL REFERENCES users (username) ON DELETE CASCADE,
    sender TEXT NOT NULL,
    PRIMARY KEY (username, sender)
) STRICT, WITHOUT ROWID;

-- Of a user, a domain, or the installation (''). Messages a day of users and
-- domains stand beside them: lists show them.
CREATE TABLE limits (
    owner TEXT NOT NULL,
    kind TEXT NOT NULL,
    most INTEGER NOT NULL,
    PRIMARY KEY (owner, kind)
) STRICT, WITHOUT ROWID;

ALTER TABLE users ADD COLUMN on_limit TEXT;
ALTER TABLE domains ADD COLUMN on_limit TEXT;

-- What an owner sent, in pieces of time; of a minute, an hour and a day back.
CREATE TABLE counts (
    owner TEXT NOT NULL,
    span TEXT NOT NULL,
    at INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    recipients INTEGER NOT NULL,
    new_recipients INTEGER NOT NULL,
    PRIMARY KEY (owner, span, at)
) STRICT, WITHOUT ROWID;

CREATE INDEX counts_by_age ON counts (span, at);

-- To whom a user has sent; only where new recipients are limited.
CREATE TABLE recipients (
    username TEXT NOT NULL REFERENCES users (username) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    first_at INTEGER NOT NULL,
    PRIMARY KEY (username, digest)
) STRICT, WITHOUT ROWID;

-- By day since 1970. Like the events, it outlives the users it is about.
CREATE TABLE usage (
    username TEXT NOT NULL,
    day INTEGER NOT NULL,
    domain TEXT NOT NULL,
    messages INTEGER NOT NULL,
    recipients INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    refusals INTEGER NOT NULL,
    PRIMARY KEY (username, day)
) STRICT, WITHOUT ROWID;

CREATE INDEX usage_by_day ON usage (day);

-- Refused sign-ins, of users that may not exist.
CREATE TABLE failures (
    username TEXT NOT NULL,
    address TEXT NOT NULL,
    reason TEXT NOT NULL,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (username, address, reason)
) STRICT, WITHOUT ROWID;

CREATE INDEX failures_by_age ON failures (last_at);

-- For Dovecot's own look-ups (passdb sql): users that may sign in, each with
-- its password, and with the old one while both work.
CREATE VIEW dovecot_users AS
    SELECT u.username AS username, '{ARGON2ID}' || p.hash AS password
    FROM users u JOIN passwords p ON p.username = u.username
    WHERE u.suspended_at IS NULL
        AND (u.expires_at IS NULL OR u.expires_at > CAST(strftime('%s', 'now') AS INTEGER))
        AND p.hash IS NOT NULL AND p.retires_at IS NULL;

CREATE VIEW dovecot_overlap AS
    SELECT u.username AS username, '{ARGON2ID}' || p.hash AS password
    FROM users u JOIN passwords p ON p.username = u.username
    WHERE u.suspended_at IS NULL
        AND (u.expires_at IS NULL OR u.expires_at > CAST(strftime('%s', 'now') AS INTEGER))
        AND p.hash IS NOT NULL AND p.retires_at > CAST(strftime('%s', 'now') AS INTEGER);
