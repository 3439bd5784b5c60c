-- See SQLite's 0017.sql.
ALTER TABLE smtpcred.passwords ADD COLUMN temporary BIGINT NOT NULL DEFAULT 0;
ALTER TABLE smtpcred.passwords ADD COLUMN label TEXT COLLATE "C";
ALTER TABLE smtpcred.passwords ADD COLUMN networks TEXT COLLATE "C";

DROP INDEX smtpcred.passwords_by_retirement;
CREATE INDEX passwords_by_retirement ON smtpcred.passwords (retires_at, temporary)
    WHERE retires_at IS NOT NULL;

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
        AND p.hash IS NOT NULL AND p.temporary = 0
        AND (p.retires_at > CAST(extract(epoch FROM now()) AS BIGINT) OR r.username IS NOT NULL);

-- Auditors see everything except the hashes.
CREATE SCHEMA IF NOT EXISTS smtpcred_audit;

CREATE OR REPLACE VIEW smtpcred_audit.passwords AS
    SELECT username, password_id,
        CASE WHEN hash IS NULL THEN NULL
            WHEN substr(hash, 1, 1) = '{' THEN substr(hash, 1, strpos(hash, '}'))
            WHEN split_part(hash, '$', 3) = 'v=19'
                THEN '$' || split_part(hash, '$', 2) || '$v=19$' || split_part(hash, '$', 4)
            ELSE '' END AS hash,
        created_at, retires_at, retiring_since, retire_unused, retire_latest,
        CAST(NULL AS TEXT) AS imported, generated, temporary, label, networks
    FROM smtpcred.passwords;
