-- See SQLite's 0015.sql.
-- What those may do who are not the store's owner. `reach` is all, domains or user.
CREATE TABLE smtpcred.roles (
    holder TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    role TEXT COLLATE "C" NOT NULL,
    reach TEXT COLLATE "C" NOT NULL,
    username TEXT COLLATE "C",
    granted_at BIGINT NOT NULL,
    hourly_changes BIGINT NOT NULL,
    hour_from BIGINT NOT NULL,
    changes BIGINT NOT NULL
);

CREATE TABLE smtpcred.role_domains (
    holder TEXT COLLATE "C" NOT NULL REFERENCES smtpcred.roles (holder) ON DELETE CASCADE,
    domain TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (holder, domain)
);

-- Database users may do with it what they may do with other rules of an admin.
DO $$
DECLARE
    given record;
BEGIN
    FOR given IN SELECT t.name, a.grantee, a.privilege_type
        FROM pg_catalog.pg_class c
        CROSS JOIN LATERAL aclexplode(c.relacl) a
        JOIN (VALUES ('roles'), ('role_domains')) AS t (name)
            ON c.oid = 'smtpcred.rotation_rules'::regclass
        WHERE a.grantee <> c.relowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT %s ON smtpcred.%I TO %s',
            given.privilege_type, given.name, given.grantee::regrole);
    END LOOP;
END $$;
