-- See SQLite's 0011.sql.
ALTER TABLE smtpcred.users ADD COLUMN note TEXT;

CREATE TABLE smtpcred.tags (
    username TEXT COLLATE "C" NOT NULL REFERENCES smtpcred.users (username) ON DELETE CASCADE,
    key TEXT COLLATE "C" NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (username, key)
);

ALTER TABLE smtpcred.users ADD COLUMN digest_name TEXT COLLATE "C";

CREATE TABLE smtpcred.old_names (
    old_name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    username TEXT COLLATE "C" NOT NULL REFERENCES smtpcred.users (username) ON DELETE CASCADE,
    renamed_at BIGINT NOT NULL,
    until BIGINT
);

CREATE INDEX old_names_by_user ON smtpcred.old_names (username);

CREATE OR REPLACE VIEW smtpcred.dovecot_users AS
    SELECT n.name AS username,
        CASE WHEN substr(p.hash, 1, 1) = '{' THEN p.hash ELSE '{ARGON2ID}' || p.hash END AS password
    FROM (SELECT username AS name, username FROM smtpcred.users
        UNION ALL SELECT old_name, username FROM smtpcred.old_names
            WHERE until > CAST(extract(epoch FROM now()) AS BIGINT)) n
    JOIN smtpcred.users u ON u.username = n.username
    JOIN smtpcred.passwords p ON p.username = u.username
    LEFT JOIN smtpcred.rotations r ON r.username = p.username AND r.password_id = p.password_id
    WHERE u.suspended_at IS NULL
        AND (u.expires_at IS NULL OR u.expires_at > CAST(extract(epoch FROM now()) AS BIGINT))
        AND p.hash IS NOT NULL AND p.retires_at IS NULL AND r.username IS NULL;

CREATE OR REPLACE VIEW smtpcred.dovecot_overlap AS
    SELECT n.name AS username,
        CASE WHEN substr(p.hash, 1, 1) = '{' THEN p.hash ELSE '{ARGON2ID}' || p.hash END AS password
    FROM (SELECT username AS name, username FROM smtpcred.users
        UNION ALL SELECT old_name, username FROM smtpcred.old_names
            WHERE until > CAST(extract(epoch FROM now()) AS BIGINT)) n
    JOIN smtpcred.users u ON u.username = n.username
    JOIN smtpcred.passwords p ON p.username = u.username
    LEFT JOIN smtpcred.rotations r ON r.username = p.username AND r.password_id = p.password_id
    WHERE u.suspended_at IS NULL
        AND (u.expires_at IS NULL OR u.expires_at > CAST(extract(epoch FROM now()) AS BIGINT))
        AND p.hash IS NOT NULL
        AND (p.retires_at > CAST(extract(epoch FROM now()) AS BIGINT) OR r.username IS NOT NULL);

-- Roles may do with tags and old names what they may do with senders.
DO $$
DECLARE
    given record;
BEGIN
    FOR given IN SELECT a.grantee, a.privilege_type
        FROM pg_catalog.pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'smtpcred.senders'::regclass AND a.grantee <> c.relowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT %s ON smtpcred.tags, smtpcred.old_names TO %s',
            given.privilege_type, given.grantee::regrole);
    END LOOP;
END $$;
