-- What users sent, and its end for each recipient. In a file of its own: the reader of
-- the log has no access to passwords. Times of the log are microseconds since 1970.

-- `changed_at` is the last time that the log had something new about it: a log that is
-- read again changes nothing. `later_ids` and `open_ids` have spaces between.
CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    queue_id TEXT NOT NULL,
    host TEXT NOT NULL,
    at INTEGER NOT NULL,
    username TEXT NOT NULL,
    domain TEXT NOT NULL,
    sender TEXT,
    message_id TEXT,
    size INTEGER,
    later_ids TEXT NOT NULL,
    open_ids TEXT NOT NULL,
    settled INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    password_id TEXT,
    UNIQUE (queue_id, host, at)
) STRICT;

CREATE INDEX messages_by_time ON messages (at, id);
CREATE INDEX messages_by_user ON messages (username, at, id);
CREATE INDEX messages_by_domain ON messages (domain, at, id);
CREATE INDEX messages_open ON messages (id) WHERE settled = 0;

-- `address` is NULL for those that the log counts and does not name.
CREATE TABLE message_recipients (
    message INTEGER NOT NULL,
    n INTEGER NOT NULL,
    address TEXT,
    original TEXT,
    state TEXT NOT NULL,
    dsn TEXT,
    reply TEXT,
    at INTEGER NOT NULL,
    reason TEXT,
    count INTEGER NOT NULL,
    PRIMARY KEY (message, n)
) STRICT, WITHOUT ROWID;

-- Of ASCII letters, on both engines: the column has the collation "C" there.
CREATE INDEX message_recipients_by_address ON message_recipients (lower(address));
CREATE INDEX message_recipients_by_original ON message_recipients (lower(original))
    WHERE original IS NOT NULL;
-- Most are sent.
CREATE INDEX message_recipients_unsent ON message_recipients (state, at) WHERE state <> 'sent';

-- Finds a message by the ids that it had later.
CREATE TABLE message_later_ids (
    queue_id TEXT NOT NULL,
    message INTEGER NOT NULL,
    PRIMARY KEY (queue_id, message)
) STRICT, WITHOUT ROWID;

-- What a client was refused after its data.
CREATE TABLE message_refusals (
    id INTEGER PRIMARY KEY,
    queue_id TEXT NOT NULL,
    host TEXT NOT NULL,
    at INTEGER NOT NULL,
    username TEXT NOT NULL,
    domain TEXT NOT NULL,
    dsn TEXT,
    reply TEXT NOT NULL,
    UNIQUE (queue_id, host, at)
) STRICT;

CREATE INDEX message_refusals_by_time ON message_refusals (at, id);
CREATE INDEX message_refusals_by_user ON message_refusals (username, at, id);

-- How far each log was read. `read_at` is in seconds, `log_at` the time of its last line.
CREATE TABLE log_positions (
    source TEXT NOT NULL PRIMARY KEY,
    device INTEGER,
    inode INTEGER,
    read_to INTEGER,
    cursor TEXT,
    read_at INTEGER NOT NULL,
    log_at INTEGER,
    dropped INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What the store says about messages, for the reader of the log.
CREATE TABLE message_settings (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
