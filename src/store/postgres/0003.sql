-- The database itself limits what each role may change: anyone who connects as a role can
-- send other statements than the program's. Functions qualify all names they use, whatever
-- the search path of the caller; they run as the owner of the store and check who logged in
-- (session_user). None of them applies to the owner.

CREATE FUNCTION smtpcred.is_owner() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT pg_has_role(session_user, (SELECT relowner FROM pg_class
        WHERE oid = 'smtpcred.store'::regclass), 'USAGE')
$$;

-- Memory times passes of one of our hashes; 0 for a hash of another system and for
-- none.
CREATE FUNCTION smtpcred.work(hash text) RETURNS bigint
LANGUAGE sql IMMUTABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT COALESCE(m[1]::bigint * m[2]::bigint, 0)
    FROM (SELECT regexp_match(hash,
        '^\$argon2id\$v=19\$m=(\d{1,8}),t=(\d{1,4}),p=\d{1,4}\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+$') AS m) AS read
$$;

CREATE OR REPLACE FUNCTION smtpcred.only_suspend() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.suspended_at IS NULL AND OLD.suspended_at IS NOT NULL
        AND NOT has_table_privilege(session_user, 'smtpcred.users', 'UPDATE') THEN
        RAISE insufficient_privilege USING MESSAGE = 'permission denied to resume a user';
    END IF;
    RETURN NEW;
END $$;

-- A role that may not change every column of a password can only strengthen its hash
-- and shorten its life. A password that is kept while it is used ends later with each
-- use, but not after its latest time; the hash of a retired one may be erased.
CREATE FUNCTION smtpcred.only_strengthen() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- As much as the clocks of relays may differ, in seconds.
    slack CONSTANT bigint := 300;
    moment CONSTANT bigint := extract(epoch FROM clock_timestamp());
BEGIN
    IF has_table_privilege(session_user, 'smtpcred.passwords', 'UPDATE') THEN
        RETURN NEW;
    END IF;
    IF NEW.hash IS DISTINCT FROM OLD.hash
        AND NOT (OLD.hash IS NOT NULL AND smtpcred.work(NEW.hash) > smtpcred.work(OLD.hash))
        AND NOT (NEW.hash IS NULL AND OLD.retires_at < moment) THEN
        RAISE insufficient_privilege USING MESSAGE = 'permission denied to replace a password';
    END IF;
    IF NEW.retires_at IS DISTINCT FROM OLD.retires_at
        AND NOT COALESCE(NEW.retires_at <= OLD.retires_at,
            OLD.retires_at IS NULL AND NEW.retires_at IS NOT NULL)
        AND NOT COALESCE(OLD.retires_at > moment - slack
            AND NEW.retires_at <= OLD.retire_latest
            AND NEW.retires_at <= moment + slack + OLD.retire_unused, false) THEN
        RAISE insufficient_privilege USING MESSAGE = 'permission denied to keep a password longer';
    END IF;
    IF NEW.retire_latest IS DISTINCT FROM OLD.retire_latest
        AND NOT COALESCE(NEW.retire_latest <= OLD.retire_latest, false) THEN
        RAISE insufficient_privilege USING MESSAGE = 'permission denied to keep a password longer';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER only_strengthen BEFORE UPDATE ON smtpcred.passwords
    FOR EACH ROW EXECUTE FUNCTION smtpcred.only_strengthen();

-- An event names the user who logged in; the user that the program gives is kept
-- beside it. Its number is the next one: later numbers cannot be reserved.
CREATE FUNCTION smtpcred.own_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF smtpcred.is_owner() THEN
        RETURN NEW;
    END IF;
    IF NEW.actor <> session_user THEN
        NEW.run_as := NEW.actor || COALESCE(' as ' || NEW.run_as, '');
    END IF;
    NEW.actor := session_user;
    NEW.id := nextval(pg_get_serial_sequence('smtpcred.events', 'id'));
    RETURN NEW;
END $$;

CREATE TRIGGER own_events BEFORE INSERT ON smtpcred.events
    FOR EACH ROW EXECUTE FUNCTION smtpcred.own_events();

-- Only triggers use them.
REVOKE ALL ON FUNCTION smtpcred.is_owner(), smtpcred.work(text), smtpcred.only_suspend(),
    smtpcred.only_strengthen(), smtpcred.own_events() FROM PUBLIC;
