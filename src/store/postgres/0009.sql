-- See SQLite's 0013.sql.
CREATE INDEX old_names_by_time ON smtpcred.old_names (renamed_at);
