-- Users that came from elsewhere, with their hashes.

-- Of a hash that was brought along: what it was then. It is known again after it
-- was made anew, and after its password was replaced.
ALTER TABLE passwords ADD COLUMN imported TEXT;

-- What others made says itself what it is.
DROP VIEW dovecot_users;
DROP VIEW dovecot_overlap;

CREATE VIEW dovecot_users AS
    SELECT u.username AS username,
        CASE WHEN substr(p.hash, 1, 1) = '{' THEN p.hash ELSE '{ARGON2ID}' || p.hash END AS password
    FROM users u JOIN passwords p ON p.username = u.username
    LEFT JOIN rotations r ON r.username = p.username AND r.key_id = p.key_id
    WHERE u.suspended_at IS NULL
        AND (u.expires_at IS NULL OR u.expires_at > CAST(strftime('%s', 'now') AS INTEGER))
        AND p.hash IS NOT NULL AND p.retires_at IS NULL AND r.username IS NULL;

CREATE VIEW dovecot_overlap AS
    SELECT u.username AS username,
        CASE WHEN substr(p.hash, 1, 1) = '{' THEN p.hash ELSE '{ARGON2ID}' || p.hash END AS password
    FROM users u JOIN passwords p ON p.username = u.username
    LEFT JOIN rotations r ON r.username = p.username AND r.key_id = p.key_id
    WHERE u.suspended_at IS NULL
        AND (u.expires_at IS NULL OR u.expires_at > CAST(strftime('%s', 'now') AS INTEGER))
        AND p.hash IS NOT NULL
        AND (p.retires_at > CAST(strftime('%s', 'now') AS INTEGER) OR r.username IS NOT NULL);
