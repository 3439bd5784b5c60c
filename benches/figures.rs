//! The figures this program promises, measured: `cargo bench --bench figures`,
//! or only some of them: `cargo bench --bench figures -- list million`.
//!
//! Clocks of shared machines wander by more than the margins asked for here.
//! So both sides of a comparison run in turn, round by round, and what counts
//! is the ratio of their medians. Exits with 1 if a figure is missed.

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, Version};
use smtpcred::store::{Access, Location};

#[path = "figures/stores.rs"]
mod stores;
use stores::{Store, clean, name};

/// As the linker left it; [`Store::command`] runs a copy, as an installation
/// would have it: the system maps that file in larger pieces, and a process
/// starts a tenth faster.
const LINKED: &str = env!("CARGO_BIN_EXE_smtpcred");
const MILLION: u32 = 1_000_000;
/// Rounds of processes that take a millisecond, of such that hash, and of full
/// lists.
const QUICK: usize = 301;
const HASHED: usize = 61;
const LISTS: usize = 7;
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
    if ["one", "point", "million"].into_iter().any(wanted) {
        println!("building a store of {MILLION} users …");
        let million = Store::million(&folder);
        if wanted("one") {
            one_of_many(&ten, &million, &mut report);
        }
        if wanted("point") {
            point(&million, &mut report);
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

/// For the `sqlite3` shell: what a list tells, in its order.
const SHELL_LIST: &str = "SELECT u.username, u.label, u.suspended_at, u.created_at, p.password_id,
            p.created_at, l.seen_at, l.address
        FROM users u LEFT JOIN passwords p ON p.username = u.username
        LEFT JOIN last_connections l ON l.username = p.username AND l.password_id = p.password_id
        ORDER BY u.username";

/// Ten users listed, beside the `sqlite3` shell with the same query.
fn list(ten: &Store, report: &mut Report) {
    let goal = if cfg!(target_feature = "crt-static") {
        0.75
    } else {
        0.90
    };
    let shell = || {
        let mut command = Command::new("sqlite3");
        command.arg(&ten.path).arg(SHELL_LIST);
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

/// For the `sqlite3` shell: what `user list --json` tells, in the same form, though with a
/// row for each password.
const SHELL_SAME: &str = "SELECT u.username, u.domain, u.label,
            CASE WHEN u.suspended_at IS NOT NULL THEN 'suspended'
                WHEN u.expires_at <= 1800000000 THEN 'expired'
                WHEN p.retires_at > 1800000000 THEN 'overlap' ELSE 'active' END AS status,
            p.password_id AS key, strftime('%Y-%m-%dT%H:%M:%SZ', p.created_at, 'unixepoch')
                AS password_created_at,
            1800000000 - p.created_at AS password_age_seconds,
            strftime('%Y-%m-%dT%H:%M:%SZ', p.retires_at, 'unixepoch') AS retires_at,
            strftime('%Y-%m-%dT%H:%M:%SZ', l.seen_at, 'unixepoch') AS last_connection_at,
            l.address AS last_connection_address, u.daily_limit,
            strftime('%Y-%m-%dT%H:%M:%SZ', u.expires_at, 'unixepoch') AS expires_at,
            strftime('%Y-%m-%dT%H:%M:%SZ', u.suspended_at, 'unixepoch') AS suspended_at,
            strftime('%Y-%m-%dT%H:%M:%SZ', u.created_at, 'unixepoch') AS created_at
        FROM users u LEFT JOIN passwords p ON p.username = u.username
        LEFT JOIN last_connections l ON l.username = p.username AND l.password_id = p.password_id
        ORDER BY u.username";

/// Everything there is, in each format, beside the `sqlite3` shell sorted the same way:
/// telling the same, and telling bare columns, which is less than half of it.
fn full_lists(million: &Store, report: &mut Report) {
    const GOAL: f64 = 0.45;
    const PEAK_KIB: u64 = 12 * 1024;
    let shell = |form: &str, sql: &str| {
        let mut command = Command::new("sqlite3");
        command.arg(form).arg(&million.path).arg(sql);
        clean(&mut command, million);
        command.stdout(Stdio::null());
        command
    };
    // Lines beside those of the users: brackets, or a header.
    for (format, around) in [("json", 2), ("csv", 1), ("table", 1)] {
        let args = ["user", "list", "--format", format];
        let what = format!("user list, 1,000,000 as {format}");
        let form = if format == "json" { "-json" } else { "-csv" };
        for (sql, beside, rounds) in [(SHELL_SAME, "the same", LISTS), (SHELL_LIST, "less", 3)] {
            // Only of JSON a speed was promised.
            let goal = if format == "json" && sql == SHELL_SAME {
                GOAL
            } else {
                f64::INFINITY
            };
            let (ours, theirs) = paired(
                rounds,
                || wall(million.command(&args).stdout(Stdio::null())),
                || wall(&mut shell(form, sql)),
            );
            let what = format!("{what} / sqlite3, {beside}");
            report.ratio(&what, ours, theirs, goal);
        }

        let (lines, peak) = lines_and_peak(&mut million.command(&args));
        assert_eq!(lines, MILLION + around, "{what}: not all of them");
        let found = format!("{peak} KiB at most (goal {PEAK_KIB})");
        report.line(&what, &found, peak < PEAK_KIB);
    }
}

/// One user among a million, found in this process.
fn point(million: &Store, report: &mut Report) {
    const GOAL: Duration = Duration::from_micros(12);
    const LOOK_UPS: u64 = 200_000;
    let location = Location::File(million.path.clone());
    let mut store = smtpcred::store::Store::open(&location, Access::Existing).expect("a store");
    let mut times: Vec<_> = (1..=LOOK_UPS)
        .map(|i| {
            let wanted = name(i * 7_919 % 999_999 + 1).parse().expect("a name");
            let start = Instant::now();
            let found = store.sign_in_row(&wanted).expect("it can be read");
            let time = start.elapsed();
            assert!(found.is_some(), "{wanted}");
            time
        })
        .collect();
    times.sort_unstable();
    let [p50, p99] = [50, 99].map(|p| times[times.len() * p / 100]);
    let found = format!("{p50:?} p50, {p99:?} p99 (goal {GOAL:?} p50)");
    report.line("look-up for a sign-in, 1,000,000", &found, p50 <= GOAL);
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
        let wanted = match goal {
            f64::INFINITY => String::new(),
            goal => format!(" (goal {goal:.2})"),
        };
        let found = format!("{} / {} = {ratio:.3}{wanted}", ms(ours), ms(theirs));
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
