-- What an admin notes about users, and by what it sorts them.
ALTER TABLE users ADD COLUMN note TEXT;

CREATE TABLE tags (
    username TEXT NOT NULL REFERENCES users (username) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (username, key)
) STRICT, WITHOUT ROWID;

-- The name in the digests of its recipients, if the user was renamed since.
ALTER TABLE users ADD COLUMN digest_name TEXT;

-- Earlier names of users. Until then the name works for sign-in, if at all; afterwards it
-- is only known. No user has such a name.
CREATE TABLE old_names (
    old_name TEXT NOT NULL PRIMARY KEY,
    username TEXT NOT NULL REFERENCES users (username) ON DELETE CASCADE,
    renamed_at INTEGER NOT NULL,
    until INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX old_names_by_user ON old_names (username);

DROP VIEW dovecot_users;
DROP VIEW dovecot_overlap;

CREATE VIEW dovecot_users AS
    SELECT n.name AS username,
        CASE WHEN substr(p.hash, 1, 1) = '{' THEN p.hash ELSE '{ARGON2ID}' || p.hash END AS password
    FROM (SELECT username AS name, username FROM users
        UNION ALL SELECT old_name, username FROM old_names
            WHERE until > CAST(strftime('%s', 'now') AS INTEGER)) n
    JOIN users u ON u.username = n.username
    JOIN passwords p ON p.username = u.username
    LEFT JOIN rotations r ON r.username = p.username AND r.password_id = p.password_id
    WHERE u.suspended_at IS NULL
        AND (u.expires_at IS NULL OR u.expires_at > CAST(strftime('%s', 'now') AS INTEGER))
        AND p.hash IS NOT NULL AND p.retires_at IS NULL AND r.username IS NULL;

CREATE VIEW dovecot_overlap AS
    SELECT n.name AS username,
        CASE WHEN substr(p.hash, 1, 1) = '{' THEN p.hash ELSE '{ARGON2ID}' || p.hash END AS password
    FROM (SELECT username AS name, username FROM users
        UNION ALL SELECT old_name, username FROM old_names
            WHERE until > CAST(strftime('%s', 'now') AS INTEGER)) n
    JOIN users u ON u.username = n.username
    JOIN passwords p ON p.username = u.username
    LEFT JOIN rotations r ON r.username = p.username AND r.password_id = p.password_id
    WHERE u.suspended_at IS NULL
        AND (u.expires_at IS NULL OR u.expires_at > CAST(strftime('%s', 'now') AS INTEGER))
        AND p.hash IS NOT NULL
        AND (p.retires_at > CAST(strftime('%s', 'now') AS INTEGER) OR r.username IS NOT NULL);
