-- See SQLite's 0012.sql.
CREATE INDEX users_suspended ON smtpcred.users (suspended_at) WHERE suspended_at IS NOT NULL;
CREATE INDEX users_by_expiry ON smtpcred.users (expires_at, suspended_at)
    WHERE expires_at IS NOT NULL;
CREATE INDEX passwords_by_retirement ON smtpcred.passwords (retires_at) WHERE retires_at IS NOT NULL;

CREATE TABLE smtpcred.totals (
    what TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    n BIGINT NOT NULL
);

INSERT INTO smtpcred.totals (what, n) SELECT 'users', count(*) FROM smtpcred.users;

CREATE TABLE smtpcred.limits_near (
    owner TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (owner, kind)
);

INSERT INTO smtpcred.limits_near (owner, kind)
    SELECT DISTINCT CASE whose WHEN 'the installation' THEN '' ELSE whose END, split_part(kind, '=', 1)
    FROM (SELECT CAST(fields AS JSON) ->> 'of' AS whose, CAST(fields AS JSON) ->> 'limit' AS kind
        FROM smtpcred.events
        WHERE id > (SELECT COALESCE(max(id), 0) FROM smtpcred.events) - 100000
            AND at >= extract(epoch FROM now()) - 172800
            AND action IN ('limit.near', 'limit.reached')) e
    WHERE whose IS NOT NULL AND kind LIKE '%/day=%';

-- Roles may do with the limits that are near what they may do with the counts, and with the
-- total what they may do with the users.
DO $$
DECLARE
    given record;
BEGIN
    FOR given IN SELECT CASE c.relname WHEN 'counts' THEN 'limits_near' ELSE 'totals' END AS name,
            a.grantee, a.privilege_type
        FROM pg_catalog.pg_class c, aclexplode(c.relacl) a
        WHERE c.oid IN ('smtpcred.counts'::regclass, 'smtpcred.users'::regclass)
            AND a.grantee <> c.relowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT %s ON smtpcred.%I TO %s',
            given.privilege_type, given.name, given.grantee::regrole);
    END LOOP;
END $$;
