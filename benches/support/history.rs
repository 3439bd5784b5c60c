//! Fills stores with years of history: writes rows directly into a store that `store init`
//! created. Names are in order, so that pages fill up; the users of a domain are spread
//! among them.

use postgres::{Client, NoTls};
use rusqlite::Connection;

/// The store to fill: empty, and of this version.
pub enum Target<'a> {
    Sqlite(&'a std::path::Path),
    /// A connection string.
    Postgres(&'a str),
}

#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub users: u32,
    pub domains: u32,
    pub events: u32,
    pub days: u32,
    /// How many of the users send on each day.
    pub senders: u32,
}

impl Size {
    /// A million users, and years of history.
    pub const LARGE: Self = Self {
        users: 1_000_000,
        domains: 10_000,
        events: 5_000_000,
        days: 400,
        senders: 100_000,
    };
}

/// The statements for both, which differ only in how they make numbers and names.
/// `{numbers N}` are the numbers i from 0 to N - 1, `{now}` is the time, `{user}` the name of
/// user i.
const STATEMENTS: [&str; 6] = [
    "INSERT INTO domains (name, created_at)
        SELECT {domain}, {now} - 50000000 FROM {numbers DOMAINS}",
    "INSERT INTO users (username, domain, label, created_at)
        SELECT {user}, {domain}, 'Application', {now} - 40000000 + i FROM {numbers USERS}",
    "INSERT INTO passwords (username, password_id, hash, created_at)
        SELECT {user}, 'K0000001',
            '$argon2id$v=19$m=1024,t=2,p=1$c29tZXNhbHQ$7FfsnA6vUe7qLpL/3Kqc3uR48ZJyFbUVt7jWZlf0Htk',
            {now} - 40000000 + i FROM {numbers USERS}",
    // The odd factor scatters the users of one day's events.
    "INSERT INTO events (at, actor, host, action, domain, username, fields)
        SELECT {now} - EVENTS + n, CASE n % 8 WHEN 0 THEN 'ana' ELSE 'cron' END, 'relay',
            'user.reset', {domain}, {user}, '{\"password_id\":\"K0000001\",\"overlap\":86400}'
        FROM (SELECT i AS n, (i * 7919) % USERS AS i FROM {numbers EVENTS}) scattered",
    "INSERT INTO usage (username, day, domain, messages, recipients, bytes, refusals)
        SELECT {user}, {now} / 86400 - d, {domain}, 1 + (i + d) % 90, 2 + (i + d) % 170,
            20000 + i % 7000, i % 3
        FROM {numbers SENDERS} CROSS JOIN (SELECT i AS d FROM {numbers DAYS}) days",
    "UPDATE totals SET n = (SELECT count(*) FROM users)",
];

pub fn fill(target: &Target, size: Size) {
    let statements = STATEMENTS.map(|statement| written(statement, target, size));
    match target {
        Target::Sqlite(path) => {
            let store = Connection::open(path).expect("a store");
            store
                .execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -400000")
                .expect("it is one");
            for statement in statements {
                store.execute_batch(&statement).expect("it can be filled");
            }
        }
        Target::Postgres(connection) => {
            let mut store = Client::connect(connection, NoTls).expect("it lets us in");
            store
                .batch_execute("SET search_path = smtpcred; SET synchronous_commit = off")
                .expect("a schema");
            for statement in statements {
                store.batch_execute(&statement).expect("it can be filled");
            }
            store.batch_execute("ANALYZE").expect("it can be analyzed");
        }
    }
}

fn written(statement: &str, target: &Target, size: Size) -> String {
    let (user, domain, now, numbers) = match target {
        Target::Sqlite(_) => (
            "printf('user-%07d@domain-%d.example', i, i % DOMAINS)",
            "printf('domain-%d.example', i % DOMAINS)",
            "unixepoch()",
            "(WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {})
                SELECT i FROM n) ",
        ),
        Target::Postgres(_) => (
            "'user-' || lpad(CAST(i AS TEXT), 7, '0') || '@domain-' || i % DOMAINS || '.example'",
            "'domain-' || i % DOMAINS || '.example'",
            "CAST(extract(epoch FROM now()) AS BIGINT)",
            "(SELECT i FROM generate_series(CAST(0 AS BIGINT), {} - 1) i) ",
        ),
    };
    let mut sql = statement.to_owned();
    for (name, count) in [
        ("DOMAINS", size.domains),
        ("USERS", size.users),
        ("EVENTS", size.events),
        ("SENDERS", size.senders),
        ("DAYS", size.days),
    ] {
        let alias = name.to_lowercase();
        let numbers = numbers.replace("{}", name) + &alias + "_i";
        sql = sql.replace(&format!("{{numbers {name}}}"), &numbers);
        sql = sql
            .replace("{user}", user)
            .replace("{domain}", domain)
            .replace("{now}", now)
            .replace(name, &count.to_string());
    }
    sql
}
