-- See SQLite's 0016.sql.
ALTER TABLE smtpcred.events ADD COLUMN hash TEXT;

CREATE TABLE smtpcred.event_marks (
    mark TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    event BIGINT NOT NULL,
    hash TEXT NOT NULL,
    at BIGINT NOT NULL
);

-- The number is part of the hash, so the program gives it; here it is what the program
-- computes, too, and a role cannot reserve later numbers.
CREATE OR REPLACE FUNCTION smtpcred.own_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF smtpcred.is_owner() THEN
        RETURN NEW;
    END IF;
    IF NEW.actor <> session_user THEN
        NEW.run_as := NEW.actor || COALESCE(' as ' || NEW.run_as, '');
    END IF;
    NEW.actor := session_user;
    NEW.id := 1 + GREATEST(
        COALESCE((SELECT max(id) FROM smtpcred.events), 0),
        COALESCE((SELECT event FROM smtpcred.event_marks WHERE mark = 'head'), 0));
    RETURN NEW;
END $$;

-- Roles record the last event, and only that.
CREATE FUNCTION smtpcred.only_advance() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF smtpcred.is_owner() THEN
        RETURN NEW;
    END IF;
    IF NEW.mark <> 'head'
        OR (TG_OP = 'UPDATE' AND (OLD.mark <> 'head' OR NEW.event < OLD.event))
        OR NEW.event < (SELECT max(id) FROM smtpcred.events)
        OR NOT EXISTS (SELECT 1 FROM smtpcred.events WHERE id = NEW.event AND hash = NEW.hash) THEN
        RAISE insufficient_privilege USING MESSAGE = 'permission denied to change the chain of events';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER only_advance BEFORE INSERT OR UPDATE ON smtpcred.event_marks
    FOR EACH ROW EXECUTE FUNCTION smtpcred.only_advance();

REVOKE ALL ON FUNCTION smtpcred.only_advance() FROM PUBLIC;

-- Who may read events may read these, and who may write events may write these.
DO $$
DECLARE
    given record;
BEGIN
    FOR given IN SELECT a.grantee, a.privilege_type
        FROM pg_catalog.pg_class c
        CROSS JOIN LATERAL aclexplode(c.relacl) a
        WHERE c.oid = 'smtpcred.events'::regclass AND a.grantee <> c.relowner AND a.grantee <> 0
            AND a.privilege_type IN ('SELECT', 'INSERT')
    LOOP
        EXECUTE format('GRANT %s ON smtpcred.event_marks TO %s',
            CASE given.privilege_type WHEN 'INSERT' THEN 'INSERT, UPDATE' ELSE 'SELECT' END,
            given.grantee::regrole);
    END LOOP;
END $$;
