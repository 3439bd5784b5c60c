-- A history that shows tampering: each event has the hash of its columns and of the event
-- before it. The migration chains the events that are there.
ALTER TABLE events ADD COLUMN hash TEXT;

-- Places in the chain: `head` is the last event, `archived` the last one that was archived,
-- `begun` the last one of a version without a chain.
CREATE TABLE event_marks (
    mark TEXT NOT NULL PRIMARY KEY,
    event INTEGER NOT NULL,
    hash TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
