//! One user among a million, found in PostgreSQL by way of the store, beside the
//! same statement by way of the crate `postgres`: `cargo bench --bench postgres`.
//! Runs a server of its own: needs root and the package postgresql. Exits with 1
//! if the figure is missed.

use std::process::ExitCode;
use std::time::{Duration, Instant};

#[path = "../tests/support/mod.rs"]
mod support;

use postgres::{Client, NoTls};
use smtpcred::store::{Access, Location, Store};
use support::postgres::Postgres;

const USERS: u32 = 1_000_000;
const LOOK_UPS: u32 = 20_000;
const ROUNDS: u32 = 5;
const GOAL: f64 = 1.3;

/// As `src/store/sign_ins.rs` has it.
const SQL: &str = "SELECT u.expires_at, u.suspended_at, p.password_id, p.hash, p.retires_at
    FROM users u
    LEFT JOIN passwords p ON p.username = u.username AND p.hash IS NOT NULL
    WHERE u.username = $1 ORDER BY p.created_at DESC, p.password_id";

fn name(i: u32) -> String {
    format!("app-{}@example.com", i.wrapping_mul(7_919) % USERS)
}

fn main() -> ExitCode {
    let server = Postgres::start();
    let sandbox = server.sandbox_with_domain();
    let database = sandbox.database.as_ref().expect("it is in a database");
    database.sql(&format!(
        "INSERT INTO users (username, domain, created_at)
            SELECT 'app-' || i || '@example.com', 'example.com', 1700000000
            FROM generate_series(0, {USERS} - 1) i"
    ));
    database.sql(
        "INSERT INTO passwords (username, password_id, hash, created_at)
            SELECT username, 'K0000001', '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$'
                || repeat('A', 43), 1700000000 FROM users",
    );
    database.sql("ANALYZE users");
    database.sql("ANALYZE passwords");
    let location = Location::Postgres(database.url.clone());
    let mut store = Store::open(&location, Access::Existing).expect("a store");
    let mut bare = Client::connect(&database.connection, NoTls).expect("it lets us in");
    bare.batch_execute("SET search_path = smtpcred")
        .expect("a schema");
    let statement = bare.prepare(SQL).expect("good SQL");

    let mut ours = |i: u32| {
        let wanted = name(i).parse().expect("a name");
        let start = Instant::now();
        let found = store.sign_in_row(&wanted).expect("it can be read");
        let time = start.elapsed();
        assert!(found.is_some(), "{wanted}");
        time
    };
    let mut theirs = |i: u32| {
        let wanted = name(i);
        let start = Instant::now();
        let found = bare.query(&statement, &[&wanted]).expect("it can be read");
        let hash: &str = found[0].get(3);
        let time = start.elapsed();
        assert!(hash.starts_with("$argon2id$"));
        time
    };
    let mut ratios = Vec::new();
    for round in 0..=ROUNDS {
        let range = round * LOOK_UPS..(round + 1) * LOOK_UPS;
        // In turn, each first half of the time: of what the other has just read the
        // server knows where it is.
        let mut times = [Vec::new(), Vec::new()];
        for i in range {
            if i % 2 == 0 {
                times[0].push(ours(i));
                times[1].push(theirs(i));
            } else {
                times[1].push(theirs(i));
                times[0].push(ours(i));
            }
        }
        let [ours, theirs] = times.map(median);
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        println!("round {round}: {ours:?} p50 / {theirs:?} p50 = {ratio:.3}");
        // The first only warms up.
        if round > 0 {
            ratios.push(ratio);
        }
    }
    ratios.sort_unstable_by(f64::total_cmp);
    let ratio = ratios[ratios.len() / 2];
    let met = ratio <= GOAL;
    let state = if met { "ok" } else { "MISSED" };
    println!(
        "{state:6} look-up for a sign-in, {USERS} users, / postgres = {ratio:.3} (goal {GOAL})"
    );
    if met {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
