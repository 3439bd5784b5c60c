-- Rotation: how often a password is replaced, where the new one goes, and what
-- is under way.

-- Of a user, a domain, or the installation ('').
CREATE TABLE rotation_rules (
    owner TEXT NOT NULL PRIMARY KEY,
    every INTEGER,
    -- A JSON list of words.
    command TEXT,
    write_file TEXT,
    write_env TEXT,
    env_name TEXT,
    timeout INTEGER
) STRICT, WITHOUT ROWID;

-- Those that are not finished. Without a key the new password was withdrawn.
CREATE TABLE rotations (
    username TEXT NOT NULL PRIMARY KEY REFERENCES users (username) ON DELETE CASCADE,
    key_id TEXT,
    state TEXT NOT NULL,
    began_at INTEGER NOT NULL,
    -- Until when somebody may be handing it over.
    settles_at INTEGER,
    reason TEXT,
    -- Where it was to go: files can be looked into.
    with_command INTEGER NOT NULL,
    write_file TEXT,
    write_env TEXT,
    env_name TEXT
) STRICT, WITHOUT ROWID;

-- A clock that was set back shows by a password that retires since later than now.
ALTER TABLE passwords ADD COLUMN retiring_since INTEGER;
-- One that is kept while it is used: so long after each use, and no longer than until.
ALTER TABLE passwords ADD COLUMN retire_unused INTEGER;
ALTER TABLE passwords ADD COLUMN retire_latest INTEGER;

-- That it has expired was written to the events.
ALTER TABLE users ADD COLUMN expiry_told INTEGER;

-- While a rotation is unfinished, two passwords retire at no set time.
DROP VIEW dovecot_users;
DROP VIEW dovecot_overlap;

CREATE VIEW dovecot_users AS
    SELECT u.username AS username, '{ARGON2ID}' || p.hash AS password
    FROM users u JOIN passwords p ON p.username = u.username
    LEFT JOIN rotations r ON r.username = p.username AND r.key_id = p.key_id
    WHERE u.suspended_at IS NULL
        AND (u.expires_at IS NULL OR u.expires_at > CAST(strftime('%s', 'now') AS INTEGER))
        AND p.hash IS NOT NULL AND p.retires_at IS NULL AND r.username IS NULL;

CREATE VIEW dovecot_overlap AS
    SELECT u.username AS username, '{ARGON2ID}' || p.hash AS password
    FROM users u JOIN passwords p ON p.username = u.username
    LEFT JOIN rotations r ON r.username = p.username AND r.key_id = p.key_id
    WHERE u.suspended_at IS NULL
        AND (u.expires_at IS NULL OR u.expires_at > CAST(strftime('%s', 'now') AS INTEGER))
        AND p.hash IS NOT NULL
        AND (p.retires_at > CAST(strftime('%s', 'now') AS INTEGER) OR r.username IS NOT NULL);
