//! The figures this program promises, measured: `cargo bench --bench figures`,
//! or only some of them: `cargo bench --bench figures -- list million`.
//!
//! Clocks of shared machines wander by more than the margins asked for here.
//! So both sides of a comparison run in turn, round by round, and what counts
//! is the ratio of their medians. Exits with 1 if a figure is missed.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, Version};
use rusqlite::Connection;
use tempfile::TempDir;

/// As the linker left it; [`Store::command`] runs a copy, as an installation
/// would have it: the system maps that file in larger pieces, and a process
/// starts a tenth faster.
const LINKED: &str = env!("CARGO_BIN_EXE_smtpcred");
const MILLION: u32 = 1_000_000;
/// Rounds of processes that take a millisecond, of such that hash, and of full
/// lists.
const QUICK: usize = 301;
const HASHED: usize = 61;
const LISTS: usize = 31;
/// This program again, as a process that makes one hash and nothing else.
const ONE_HASH: &str = "one-hash";
/// In both stores, made by the program, with this password.
const KNOWN: &str = "known@one.example";
const PASSWORD: &str = "vague-Otter-61-h";

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if wanted.iter().any(|arg| arg == ONE_HASH) {
        println!("{}", one_hash().as_nanos());
        return ExitCode::SUCCESS;
    }
    let wanted = |name: &str| {
        let mut names = wanted.iter().filter(|arg| !arg.starts_with('-')).peekable();
        names.peek().is_none() || names.any(|arg| arg == name)
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::copy(LINKED, folder.path().join("smtpcred")).expect("a copy of the program");
    let ten = Store::ten(&folder);
    let mut report = Report { all_met: true };
    if wanted("list") {
        list(&ten, &mut report);
    }
    if wanted("create") {
        create(&ten, &mut report);
    }
    if wanted("one") || wanted("million") {
        println!("building a store of {MILLION} users …");
        let million = Store::million(&folder);
        if wanted("one") {
            one_of_many(&ten, &million, &mut report);
        }
        if wanted("million") {
            full_lists(&million, &mut report);
        }
    }
    if report.all_met {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

// --- The figures -----------------------------------------------------------

/// Ten users listed, beside the `sqlite3` shell with the same query.
fn list(ten: &Store, report: &mut Report) {
    const QUERY: &str = "SELECT u.username, u.label, u.suspended_at, u.created_at, p.key_id,
            p.created_at, l.seen_at, l.address
        FROM users u LEFT JOIN passwords p ON p.username = u.username
        LEFT JOIN last_connections l ON l.username = p.username AND l.key_id = p.key_id
        ORDER BY u.username";
    let goal = if cfg!(target_feature = "crt-static") {
        0.75
    } else {
        0.90
    };
    let shell = || {
        let mut command = Command::new("sqlite3");
        command.arg(&ten.path).arg(QUERY);
        clean(&mut command, ten);
        command
    };
    if shell().output().is_err() {
        return report.line(
            "user list, ten users",
            "not measured: install sqlite3",
            false,
        );
    }
    let (ours, theirs) = paired(
        QUICK,
        || wall(&mut ten.command(&["user", "list"])),
        || wall(&mut shell()),
    );
    report.ratio("user list, ten users / sqlite3", ours, theirs, goal);
}

/// What a new user costs beside its hash, on the disk that TMPDIR names.
fn create(ten: &Store, report: &mut Report) {
    const GOAL: Duration = Duration::from_millis(5);
    let mut made = 0;
    let (whole, hash) = paired(
        HASHED,
        || {
            made += 1;
            let username = format!("made-{made}@one.example");
            wall(&mut ten.command(&["user", "create", &username]))
        },
        hash_in_a_process,
    );
    let more = whole.saturating_sub(hash);
    let found = format!(
        "{} - {} = {} (goal {})",
        ms(whole),
        ms(hash),
        ms(more),
        ms(GOAL)
    );
    report.line("user create - one hash", &found, more <= GOAL);
}

/// One user is found as fast among a million as among ten.
fn one_of_many(ten: &Store, million: &Store, report: &mut Report) {
    const GOAL: f64 = 1.10;
    let mut names = (1..u64::from(MILLION)).step_by(2017).map(name).cycle();
    let (many, few) = paired(
        QUICK,
        || {
            let name = names.next().expect("it has users");
            wall(&mut million.command(&["user", "show", &name]))
        },
        || wall(&mut ten.command(&["user", "show", KNOWN])),
    );
    report.ratio("user show, 1,000,000 / ten users", many, few, GOAL);
    let (many, few) = paired(HASHED, || million.verify(), || ten.verify());
    report.ratio("verify, 1,000,000 / ten users", many, few, GOAL);
}

/// Everything there is, in each format.
fn full_lists(million: &Store, report: &mut Report) {
    const GOAL: Duration = Duration::from_secs(2);
    const PEAK_KIB: u64 = 32 * 1024;
    // Lines beside those of the users: brackets, or a header.
    for (format, around) in [("json", 2), ("csv", 1), ("table", 1)] {
        let args = ["user", "list", "--format", format];
        // Beside nothing to compare with the fastest counts: what else the
        // machine does can only add to it.
        let time = (0..LISTS).map(|_| wall(million.command(&args).stdout(Stdio::null())));
        let time = time.min().unwrap_or_default();
        let rate = f64::from(MILLION) / time.as_secs_f64();
        let found = format!("{} = {rate:.0} rows/s (goal {})", ms(time), ms(GOAL));
        let what = format!("user list, 1,000,000 as {format}");
        // Only of JSON a speed was promised.
        report.line(&what, &found, format != "json" || time <= GOAL);

        let (lines, peak) = lines_and_peak(&mut million.command(&args));
        assert_eq!(lines, MILLION + around, "{what}: not all of them");
        let found = format!("{peak} KiB at most (goal {PEAK_KIB})");
        report.line(&what, &found, peak < PEAK_KIB);
    }
}

// --- Measuring -------------------------------------------------------------

struct Report {
    all_met: bool,
}

impl Report {
    fn line(&mut self, what: &str, found: &str, met: bool) {
        self.all_met &= met;
        println!("{:6} {what:34} {found}", if met { "ok" } else { "MISSED" });
    }

    fn ratio(&mut self, what: &str, ours: Duration, theirs: Duration, goal: f64) {
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        let found = format!(
            "{} / {} = {ratio:.3} (goal {goal:.2})",
            ms(ours),
            ms(theirs)
        );
        self.line(what, &found, ratio <= goal);
    }
}

/// The medians of both sides, run in turn; which goes first changes with each
/// round, and the first rounds only warm up.
fn paired(
    rounds: usize,
    mut one: impl FnMut() -> Duration,
    mut other: impl FnMut() -> Duration,
) -> (Duration, Duration) {
    const WARM_UP: usize = 3;
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for round in 0..rounds + WARM_UP {
        let (a, b) = if round % 2 == 0 {
            let a = one();
            (a, other())
        } else {
            let b = other();
            (one(), b)
        };
        if round >= WARM_UP {
            ones.push(a);
            others.push(b);
        }
    }
    (median(ones), median(others))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// From before the process is made until it is gone.
fn wall(command: &mut Command) -> Duration {
    let start = Instant::now();
    let output = command
        .spawn()
        .and_then(std::process::Child::wait_with_output);
    let time = start.elapsed();
    let output = output.expect("the program runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    time
}

/// How many lines a process prints, and the most memory it holds meanwhile, in
/// KiB. Read from the system while it runs: what is known of a process that
/// has ended includes the one it was forked from.
fn lines_and_peak(command: &mut Command) -> (u32, u64) {
    let mut child = command.spawn().expect("the program runs");
    let mut stdout = child.stdout.take().expect("a pipe");
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let (mut lines, mut peak) = (0, 0);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = stdout.read(&mut buffer).expect("output");
        if read == 0 {
            break;
        }
        lines += buffer[..read]
            .iter()
            .map(|b| u32::from(*b == b'\n'))
            .sum::<u32>();
        let text = fs::read_to_string(&status).expect("Linux's /proc");
        let kib = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        // A process that has just ended has no memory, and none to tell of.
        if let Some(kib) = kib.and_then(|rest| rest.trim().strip_suffix(" kB")) {
            peak = peak.max(kib.parse().expect("a number"));
        }
    }
    assert!(child.wait().expect("it ends").success(), "{command:?}");
    (lines, peak)
}

/// One hash at the program's own cost, in memory fresh from the system, as in
/// a process that makes only one.
fn one_hash() -> Duration {
    let start = Instant::now();
    let params = Params::new(19_456, 2, 1, Some(32)).expect("good parameters");
    let mut tag = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(PASSWORD.as_bytes(), &[7; 16], &mut tag)
        .expect("a hash");
    assert_ne!(tag, [0; 32]);
    start.elapsed()
}

/// The hash alone: that process tells the time itself, without its start.
fn hash_in_a_process() -> Duration {
    let this = std::env::current_exe().expect("this program");
    let output = Command::new(this).arg(ONE_HASH).output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("a number");
    Duration::from_nanos(text.trim().parse().expect("a number"))
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

// --- The stores ------------------------------------------------------------

struct Store {
    path: PathBuf,
}

impl Store {
    /// Ten users, made by the program.
    fn ten(folder: &TempDir) -> Self {
        let store = Self::begun(folder.path().join("ten.db"));
        for i in 1..10 {
            let (name, label) = (format!("app-{i}@one.example"), format!("App {i}"));
            wall(&mut store.command(&["user", "create", &name, "--label", &label]));
        }
        store
    }

    /// One user made by the program, the others beside it: a million hashes
    /// would take hours.
    fn million(folder: &TempDir) -> Self {
        let store = Self::begun(folder.path().join("million.db"));
        let fast = "PRAGMA synchronous = OFF; PRAGMA cache_size = -400000";
        let connection = Connection::open(&store.path).expect("a store");
        connection
            .execute_batch(&format!("{fast}; BEGIN; {FILL} COMMIT"))
            .expect("it can be filled");
        store
    }

    fn begun(path: PathBuf) -> Self {
        let store = Self { path };
        let args = ["user", "create", KNOWN, "--add-domain", "--password-stdin"];
        store.with_password(&args);
        store
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.path.with_file_name("smtpcred"));
        command.args(args);
        clean(&mut command, self);
        command
    }

    fn verify(&self) -> Duration {
        self.with_password(&["verify", KNOWN])
    }

    fn with_password(&self, args: &[&str]) -> Duration {
        let start = Instant::now();
        let mut command = self.command(args);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("it runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(PASSWORD.as_bytes()).expect("it reads");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let time = start.elapsed();
        assert!(output.status.success(), "{command:?}: {output:?}");
        time
    }
}

/// Nothing in the environment that one side has and the other has not.
fn clean(command: &mut Command, store: &Store) {
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", store.path.parent().unwrap_or(Path::new("/")))
        .env("SMTPCRED_STORE", &store.path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
}

/// The names of the users that [`FILL`] makes.
fn name(i: u64) -> String {
    format!(
        "app-{:08x}@domain-{}.example",
        (i * 2_654_435_761) % (1 << 32),
        i % 50
    )
}

/// The odd factor shuffles the names: pages come to be as full and as scattered
/// as after years of use. Half of the users have connected; one in sixteen has
/// an old password that still works, another one in sixteen an erased one.
const FILL: &str = "
    CREATE TEMP TABLE made AS
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999999)
        SELECT i, 1700000000 + (i * 7919) % 50000000 AS at,
            printf('app-%08x@domain-%d.example', (i * 2654435761) % 4294967296, i % 50) AS name,
            printf('K%07x', (i * 40503) % 268435456) AS key
        FROM n;
    INSERT INTO domains (name, created_at)
        SELECT DISTINCT printf('domain-%d.example', i % 50), 1700000000 FROM made;
    INSERT INTO users (username, domain, label, created_at)
        SELECT name, printf('domain-%d.example', i % 50), printf('Application %d', i % 9973), at
        FROM made;
    INSERT INTO passwords (username, key_id, hash, created_at)
        SELECT name, key, printf('$argon2id$v=19$m=19456,t=2,p=1$%.22s$%.43s',
            hex(randomblob(16)), hex(randomblob(32))), at
        FROM made;
    INSERT INTO passwords (username, key_id, hash, created_at, retires_at)
        SELECT name, 'Old' || key, hash, created_at - 9, 4000000000
        FROM made JOIN passwords ON username = name WHERE i % 16 = 0;
    INSERT INTO passwords (username, key_id, hash, created_at, retires_at)
        SELECT name, 'Old' || key, NULL, at - 9, at FROM made WHERE i % 16 = 1;
    INSERT INTO last_connections (username, key_id, seen_at, address)
        SELECT name, key, at + 60, printf('192.0.2.%d', i % 256) FROM made WHERE i % 2 = 0;";
