-- Proof that the domain belongs to its users: a token to publish in its DNS, and
-- when it was found there.
ALTER TABLE domains ADD COLUMN verification_token TEXT;
ALTER TABLE domains ADD COLUMN verified_at INTEGER;
