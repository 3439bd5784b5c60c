-- See SQLite's 0009.sql. The events have real indexes here, which are created outside a
-- transaction, while others write.
CREATE TABLE smtpcred.usage_by_domain (
    domain TEXT COLLATE "C" NOT NULL,
    day BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    recipients BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    refusals BIGINT NOT NULL,
    PRIMARY KEY (domain, day)
);

CREATE TABLE smtpcred.summing (
    first_day BIGINT NOT NULL,
    end_day BIGINT NOT NULL,
    pass_end BIGINT NOT NULL,
    behind TEXT COLLATE "C" NOT NULL
);

INSERT INTO smtpcred.summing (first_day, end_day, pass_end, behind)
    SELECT 0, CAST(extract(epoch FROM now()) AS BIGINT) / 86400 + 2, 0, '';

INSERT INTO smtpcred.usage_by_domain (domain, day, messages, recipients, bytes, refusals)
    SELECT domain, day, LEAST(sum(messages), 1125899906842624),
        LEAST(sum(recipients), 1125899906842624), LEAST(sum(bytes), 1125899906842624),
        LEAST(sum(refusals), 1125899906842624)
    FROM smtpcred.usage WHERE day >= (SELECT end_day FROM smtpcred.summing)
    GROUP BY domain, day;

-- Roles may do with the sums what they may do with the rows.
DO $$
DECLARE
    given record;
BEGIN
    FOR given IN SELECT a.grantee, a.privilege_type
        FROM pg_catalog.pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'smtpcred.usage'::regclass AND a.grantee <> c.relowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT %s ON smtpcred.usage_by_domain, smtpcred.summing TO %s',
            given.privilege_type, given.grantee::regrole);
    END LOOP;
END $$;
