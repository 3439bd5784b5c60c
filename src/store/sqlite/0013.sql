-- Whether anyone was renamed lately, or by a clock that is ahead, is asked often.
CREATE INDEX old_names_by_time ON old_names (renamed_at);
