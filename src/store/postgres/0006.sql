-- See SQLite's 0010.sql. The auditors' view is missing where only the schema smtpcred was
-- restored from a backup.
ALTER TABLE smtpcred.passwords RENAME COLUMN key_id TO password_id;
ALTER TABLE smtpcred.last_connections RENAME COLUMN key_id TO password_id;
ALTER TABLE smtpcred.rotations RENAME COLUMN key_id TO password_id;
ALTER TABLE IF EXISTS smtpcred_audit.passwords RENAME COLUMN key_id TO password_id;
