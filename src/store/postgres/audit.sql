-- Creates the auditors' schema again, as the migrations leave it. Auditors see everything
-- except the hashes.
CREATE SCHEMA IF NOT EXISTS smtpcred_audit;

CREATE OR REPLACE VIEW smtpcred_audit.passwords AS
    SELECT username, password_id,
        CASE WHEN hash IS NULL THEN NULL
            WHEN substr(hash, 1, 1) = '{' THEN substr(hash, 1, strpos(hash, '}'))
            WHEN split_part(hash, '$', 3) = 'v=19'
                THEN '$' || split_part(hash, '$', 2) || '$v=19$' || split_part(hash, '$', 4)
            ELSE '' END AS hash,
        created_at, retires_at, retiring_since, retire_unused, retire_latest,
        CAST(NULL AS TEXT) AS imported, generated, temporary, label, networks
    FROM smtpcred.passwords;
