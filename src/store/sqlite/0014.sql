-- What bounds, notices and ends the use of a stolen password.

-- From where users may sign in. The nearest owner decides, for each column by itself.
CREATE TABLE address_rules (
    owner TEXT NOT NULL PRIMARY KEY,
    addresses TEXT,
    unknown_address TEXT,
    learn INTEGER,
    learning_since INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE allowed_addresses (
    owner TEXT NOT NULL,
    network TEXT NOT NULL,
    learned INTEGER NOT NULL,
    added_at INTEGER NOT NULL,
    PRIMARY KEY (owner, network)
) STRICT, WITHOUT ROWID;

-- From which networks each password was used.
CREATE TABLE seen_addresses (
    username TEXT NOT NULL,
    password_id TEXT NOT NULL,
    network TEXT NOT NULL,
    address TEXT NOT NULL,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    sign_ins INTEGER NOT NULL,
    PRIMARY KEY (username, network, password_id),
    FOREIGN KEY (username, password_id) REFERENCES passwords (username, password_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- What was sent with each password.
ALTER TABLE last_connections ADD COLUMN sent_at INTEGER;
ALTER TABLE last_connections ADD COLUMN messages INTEGER NOT NULL DEFAULT 0;
ALTER TABLE last_connections ADD COLUMN recipients INTEGER NOT NULL DEFAULT 0;

-- What the admin is told. `matter` is the same for what is told once an hour.
CREATE TABLE alerts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    domain TEXT,
    username TEXT,
    address TEXT,
    matter TEXT NOT NULL,
    text TEXT NOT NULL,
    next TEXT,
    more INTEGER NOT NULL,
    acked_at INTEGER,
    acked_by TEXT
) STRICT;

CREATE INDEX alerts_by_matter ON alerts (matter, at);
CREATE INDEX alerts_open ON alerts (username, acked_at) WHERE acked_at IS NULL;

-- Each alert, for each command and mail address it goes to. `next_at` is NULL once it was
-- sent or given up.
CREATE TABLE alert_deliveries (
    alert INTEGER NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
    way TEXT NOT NULL,
    tries INTEGER NOT NULL,
    next_at INTEGER,
    sent_at INTEGER,
    reason TEXT,
    PRIMARY KEY (alert, way)
) STRICT, WITHOUT ROWID;

CREATE INDEX alert_deliveries_due ON alert_deliveries (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX alert_deliveries_sent ON alert_deliveries (sent_at) WHERE sent_at IS NOT NULL;

-- Sessions that an admin ended: those that began before, by number and not by a clock.
CREATE TABLE session_ends (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    domain TEXT,
    username TEXT,
    password_id TEXT,
    network TEXT
) STRICT;

-- The open sessions of each relay, which it writes when it is asked.
CREATE TABLE session_requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL
) STRICT;

CREATE TABLE session_reports (
    relay TEXT NOT NULL PRIMARY KEY,
    request INTEGER NOT NULL,
    at INTEGER NOT NULL,
    host TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    relay TEXT NOT NULL REFERENCES session_reports (relay) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    username TEXT NOT NULL,
    password_id TEXT NOT NULL,
    address TEXT,
    since INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    recipients INTEGER NOT NULL,
    PRIMARY KEY (relay, number)
) STRICT, WITHOUT ROWID;
