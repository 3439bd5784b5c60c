-- What names a password, and is no key to anything.
ALTER TABLE passwords RENAME COLUMN key_id TO password_id;
ALTER TABLE last_connections RENAME COLUMN key_id TO password_id;
ALTER TABLE rotations RENAME COLUMN key_id TO password_id;
