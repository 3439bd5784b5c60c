-- Read every few minutes, while no other process can write.
CREATE INDEX users_to_expire ON users (expires_at)
    WHERE expires_at IS NOT NULL AND expiry_told IS NULL;
CREATE INDEX passwords_retiring ON passwords (retiring_since)
    WHERE retiring_since IS NOT NULL;
