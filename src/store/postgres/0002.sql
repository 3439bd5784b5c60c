-- Refused names from earlier versions may be passwords. Usernames stay, and so do names
-- that are too short for a password; the counts of all others are kept without a name.
-- An emptied table gets a new file: the old one is deleted with all its contents.
CREATE TABLE smtpcred.failures_cleaned AS
    SELECT CASE
            WHEN username IN (SELECT username FROM smtpcred.users) THEN username
            WHEN substr(username, position('@' IN username) + 1)
                    IN (SELECT name FROM smtpcred.domains)
                AND position('@' IN username) BETWEEN 2 AND 12
                AND username NOT ILIKE '%smtpc%' THEN username
            ELSE '(hidden)' END AS username,
        address, reason, first_at, last_at, count
    FROM smtpcred.failures;
TRUNCATE smtpcred.failures;
INSERT INTO smtpcred.failures (username, address, reason, first_at, last_at, count)
    SELECT username, address, reason, min(first_at), max(last_at), CAST(sum(count) AS BIGINT)
    FROM smtpcred.failures_cleaned GROUP BY username, address, reason;
DROP TABLE smtpcred.failures_cleaned;
