-- Whether smtpcred generated the password: then its checksum is always right.
-- 0 if it was chosen or if that is unknown.
ALTER TABLE passwords ADD COLUMN generated INTEGER NOT NULL DEFAULT 0;
