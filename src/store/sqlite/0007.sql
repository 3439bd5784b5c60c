-- Refused names from earlier versions may be passwords. Usernames stay, and so do names
-- that are too short for a password; the counts of all others are kept without a name.
CREATE TEMP TABLE cleaned AS
    SELECT CASE
            WHEN username IN (SELECT username FROM users) THEN username
            WHEN substr(username, instr(username, '@') + 1) IN (SELECT name FROM domains)
                AND instr(username, '@') BETWEEN 2 AND 12
                AND username NOT LIKE '%smtpc%' THEN username
            ELSE '(hidden)' END AS username,
        address, reason, min(first_at) AS first_at, max(last_at) AS last_at, sum(count) AS count
    FROM failures GROUP BY 1, 2, 3;
DELETE FROM failures;
INSERT INTO failures (username, address, reason, first_at, last_at, count)
    SELECT username, address, reason, first_at, last_at, count FROM cleaned;
DROP TABLE cleaned;
