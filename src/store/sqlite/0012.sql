-- What `status` reads with a million users in a few milliseconds.
CREATE INDEX users_suspended ON users (suspended_at) WHERE suspended_at IS NOT NULL;
CREATE INDEX users_by_expiry ON users (expires_at, suspended_at)
    WHERE expires_at IS NOT NULL;
CREATE INDEX passwords_by_retirement ON passwords (retires_at) WHERE retires_at IS NOT NULL;

-- How many rows a table has: counting a million takes longer than all the rest.
CREATE TABLE totals (
    what TEXT NOT NULL PRIMARY KEY,
    n INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO totals (what, n) SELECT 'users', count(*) FROM users;

-- Daily limits of which 80 % were used at some time today. Whether that is still so is
-- looked up; those that are far from it again are deleted from time to time.
CREATE TABLE limits_near (
    owner TEXT NOT NULL,
    kind TEXT NOT NULL,
    PRIMARY KEY (owner, kind)
) STRICT, WITHOUT ROWID;

INSERT OR IGNORE INTO limits_near (owner, kind)
    SELECT CASE whose WHEN 'the installation' THEN '' ELSE whose END,
        substr(kind, 1, instr(kind, '=') - 1)
    FROM (SELECT json_extract(fields, '$.of') AS whose, json_extract(fields, '$.limit') AS kind
        FROM events
        WHERE id > (SELECT COALESCE(max(id), 0) FROM events) - 100000
            AND at >= unixepoch() - 172800 AND action IN ('limit.near', 'limit.reached'))
    WHERE whose IS NOT NULL AND kind LIKE '%/day=%';
