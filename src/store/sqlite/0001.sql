-- Everything is found by its name, and kept in the order of names: a list
-- sorted by name is a walk, and a user with all that is its own is close by.

CREATE TABLE domains (
    name TEXT NOT NULL PRIMARY KEY,
    host TEXT,
    max_users INTEGER,
    daily_limit INTEGER,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    username TEXT NOT NULL PRIMARY KEY,
    domain TEXT NOT NULL REFERENCES domains (name),
    label TEXT,
    daily_limit INTEGER,
    expires_at INTEGER,
    suspended_at INTEGER,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX users_by_domain ON users (domain);

-- A password whose hash is NULL was stopped: it keeps its key and its last
-- connection, and can never sign in again.
CREATE TABLE passwords (
    username TEXT NOT NULL REFERENCES users (username) ON DELETE CASCADE,
    key_id TEXT NOT NULL,
    hash TEXT,
    created_at INTEGER NOT NULL,
    retires_at INTEGER,
    PRIMARY KEY (username, key_id)
) STRICT, WITHOUT ROWID;

-- Beside the passwords, because it is written far more often than they are.
CREATE TABLE last_connections (
    username TEXT NOT NULL,
    key_id TEXT NOT NULL,
    seen_at INTEGER NOT NULL,
    address TEXT,
    PRIMARY KEY (username, key_id),
    FOREIGN KEY (username, key_id) REFERENCES passwords (username, key_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The audit trail outlives what it tells about, so it refers to nothing.
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    run_as TEXT,
    host TEXT NOT NULL,
    action TEXT NOT NULL,
    domain TEXT,
    username TEXT,
    fields TEXT NOT NULL
) STRICT;
