-- The usage of a domain on a day: the sum over its users. Ordered by domain, because all
-- usage rows of a user belong to one domain: summing them in their order writes few pages.
CREATE TABLE usage_by_domain (
    domain TEXT NOT NULL,
    day INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    recipients INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    refusals INTEGER NOT NULL,
    PRIMARY KEY (domain, day)
) STRICT, WITHOUT ROWID;

-- One row: the days from first_day to before end_day are not summed yet, or only partly. A
-- pass over all users adds the days before pass_end; the user in behind is the last one
-- done. The next two days are summed later, too: an earlier version may still be running
-- and does not write the sums.
CREATE TABLE summing (
    first_day INTEGER NOT NULL,
    end_day INTEGER NOT NULL,
    pass_end INTEGER NOT NULL,
    behind TEXT NOT NULL
) STRICT;

INSERT INTO summing (first_day, end_day, pass_end, behind)
    SELECT 0, unixepoch() / 86400 + 2, 0, '';

-- A clock that was ahead may have written a few rows of later days.
INSERT INTO usage_by_domain (domain, day, messages, recipients, bytes, refusals)
    SELECT domain, day, sum(messages), sum(recipients), sum(bytes), sum(refusals)
    FROM usage WHERE day >= (SELECT end_day FROM summing) GROUP BY domain, day;

-- An index of the events by the names in them. Creating a real index would block writers
-- for seconds, so this one is written in blocks of consecutive events, each sorted by name.
-- The first name of a block is '', with the latest time of its events.
CREATE TABLE event_names (
    block INTEGER NOT NULL,
    name TEXT NOT NULL,
    event INTEGER NOT NULL,
    PRIMARY KEY (block, name, event)
) STRICT, WITHOUT ROWID;
