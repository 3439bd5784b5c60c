-- Passwords issued beside a user's own until `retires_at`. `networks` are those
-- from which one works, with spaces between; NULL: those of the user.
ALTER TABLE passwords ADD COLUMN temporary INTEGER NOT NULL DEFAULT 0;
ALTER TABLE passwords ADD COLUMN label TEXT;
ALTER TABLE passwords ADD COLUMN networks TEXT;

-- `status` counts overlaps without them.
DROP INDEX passwords_by_retirement;
CREATE INDEX passwords_by_retirement ON passwords (retires_at, temporary)
    WHERE retires_at IS NOT NULL;

-- Dovecot's own look-up knows no addresses of a password, and takes one row of a user.
DROP VIEW dovecot_overlap;

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
        AND p.hash IS NOT NULL AND p.temporary = 0
        AND (p.retires_at > CAST(strftime('%s', 'now') AS INTEGER) OR r.username IS NOT NULL);
