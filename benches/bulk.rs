//! How fast many users are created: `cargo bench --bench bulk`, or only a part of it:
//! `cargo bench --bench bulk -- file` or `crowd`.
//!
//! `file`: a thousand users by one process, beside as many hashes on all processors
//! and nothing else. `crowd`: a hundred processes with a user each, beside a hundred
//! that wait for each other with SQLite's own `busy_timeout`. Both sides run in turn;
//! what counts is the ratio of the medians. Exits with 1 if a figure is missed.

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use smtpcred::error::{Error, Result};
use smtpcred::model::actor::Actor;
use smtpcred::model::address_rules::AddressChange;
use smtpcred::model::event::EventStamp;
use smtpcred::model::hash::{Cost, Hasher};
use smtpcred::model::name::Username;
use smtpcred::model::password::{Form, Password};
use smtpcred::model::rotation::RulesChange;
use smtpcred::model::time::Time;
use smtpcred::store::{Access, Location, NewPassword, NewUser, SendingChange, Store};

#[path = "support/hashes.rs"]
mod hashes;

const LINKED: &str = env!("CARGO_BIN_EXE_smtpcred");
const USERS: u32 = 1000;
const ROUNDS: u32 = 5;
const GOAL: f64 = 0.97;

const CROWD: u32 = 100;
const CROWDS: u32 = 7;
const CROWD_GOAL: f64 = 0.3;
/// Argon2's own: RFC 9106 §3.1. The store would refuse it as a setting.
const FLOOR: Cost = Cost { m: 8, t: 1, p: 1 };
/// This program again, as one of the crowd.
const OURS: &str = "one-of-ours";
const PLAIN: &str = "one-of-the-plain";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [kind, store, name] = &args[..] {
        wait_at_the_gate();
        let made = match kind.as_str() {
            OURS => ours(store.into(), name).map_err(|e| e.to_string()),
            _ => plain(Path::new(store), name).map_err(|e| e.to_string()),
        };
        if let Err(error) = &made {
            eprintln!("{error}");
        }
        return ExitCode::from(u8::from(made.is_err()));
    }
    let wanted = |name: &str| {
        let mut names = args.iter().filter(|arg| !arg.starts_with('-')).peekable();
        names.peek().is_none() || names.any(|arg| arg == name)
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = folder.path().join("smtpcred");
    fs::copy(LINKED, &program).expect("a copy of the program");
    let mut met = true;
    if wanted("file") {
        met &= file(&program, folder.path());
    }
    if wanted("crowd") {
        met &= crowd(&program, folder.path());
    }
    if met {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn begun(program: &Path, store: &Path) {
    let made = Command::new(program)
        .args(["domain", "add", "example.com", "--quiet", "--store"])
        .arg(store)
        .stdout(Stdio::null())
        .status();
    assert!(made.expect("the program runs").success());
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

// --- A file ------------------------------------------------------------------

fn file(program: &Path, folder: &Path) -> bool {
    let store = folder.join("bulk").join("smtpcred.db");
    begun(program, &store);
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        // Which goes first changes with each round.
        let before = (round % 2 == 0).then(|| hashes::pure(processors, USERS));
        let created = create(program, &store, folder, round);
        let pure = before.unwrap_or_else(|| hashes::pure(processors, USERS));
        let ratio = pure.as_secs_f64() / created.as_secs_f64();
        println!(
            "round {round}: {:.1} users a second, {:.1} hashes a second, {:.1} %",
            f64::from(USERS) / created.as_secs_f64(),
            f64::from(USERS) / pure.as_secs_f64(),
            ratio * 100.0
        );
        ratios.push(ratio);
    }
    let ratio = median(ratios);
    println!(
        "{USERS} users, of what {processors} processors can hash: {:.1} % (goal {} %)",
        ratio * 100.0,
        GOAL * 100.0
    );
    ratio >= GOAL
}

/// From before the process is made until it is gone.
fn create(program: &Path, store: &Path, folder: &Path, round: u32) -> Duration {
    let names = folder.join("names.csv");
    let mut text = String::from("username,label\n");
    for i in 0..USERS {
        writeln!(text, "app{i}-{round}@example.com,Application {i}").expect("memory");
    }
    fs::write(&names, text).expect("our folder");
    let passwords = folder.join(format!("passwords-{round}"));
    fs::create_dir(&passwords).expect("our folder");
    let start = Instant::now();
    let status = Command::new(program)
        .args(["user", "create", "--quiet", "--from"])
        .arg(&names)
        .arg("--output-dir")
        .arg(&passwords)
        .arg("--store")
        .arg(store)
        .stdout(Stdio::null())
        .status();
    let time = start.elapsed();
    assert!(status.expect("the program runs").success());
    let written = fs::read_dir(&passwords).expect("our folder").count();
    assert_eq!(written, USERS as usize, "each user has its file");
    time
}

// --- A crowd -----------------------------------------------------------------

fn crowd(program: &Path, folder: &Path) -> bool {
    let this = std::env::current_exe().expect("this program");
    let (mut ratios, mut failed) = (Vec::new(), [0, 0]);
    for round in 0..CROWDS {
        let mut times = [Duration::ZERO; 2];
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for side in order {
            let store = folder
                .join(format!("crowd-{round}-{side}"))
                .join("smtpcred.db");
            begun(program, &store);
            let (time, errors) = run(&this, [OURS, PLAIN][side], &store);
            times[side] = time;
            failed[side] += errors;
        }
        let ratio = times[0].as_secs_f64() / times[1].as_secs_f64();
        println!(
            "round {round}: {CROWD} processes {:.0} ms, with busy_timeout {:.0} ms, {ratio:.3}",
            times[0].as_secs_f64() * 1000.0,
            times[1].as_secs_f64() * 1000.0,
        );
        ratios.push(ratio);
    }
    let ratio = median(ratios);
    println!(
        "{CROWD} processes creating at once: {ratio:.3} of the time with busy_timeout=5000 (goal {CROWD_GOAL}); failed: {} of ours, {} of the others",
        failed[0], failed[1]
    );
    ratio <= CROWD_GOAL && failed[0] == 0
}

/// From when all of them may begin to the end of the last, and how many failed. That
/// they start takes as long as what they do: one after the other they would hardly meet.
fn run(this: &Path, kind: &str, store: &Path) -> (Duration, u32) {
    let (gate, opens) = std::io::pipe().expect("a pipe");
    let (mut ready, says_so) = std::io::pipe().expect("a pipe");
    let children: Vec<Child> = (0..CROWD)
        .map(|i| {
            Command::new(this)
                .arg(kind)
                .arg(store)
                .arg(format!("app{i}@example.com"))
                .stdin(gate.try_clone().expect("a pipe"))
                .stdout(says_so.try_clone().expect("a pipe"))
                .spawn()
                .expect("it runs")
        })
        .collect();
    ready
        .read_exact(&mut [0; CROWD as usize])
        .expect("they say that they are there");
    let start = Instant::now();
    drop(opens);
    let ended = children.into_iter().map(|mut child| child.wait());
    let failed = ended.filter(|ended| !ended.as_ref().is_ok_and(ExitStatus::success));
    let failed = u32::try_from(failed.count()).unwrap_or(u32::MAX);
    let time = start.elapsed();
    let users: u32 = Connection::open(store)
        .and_then(|db| db.query_row("SELECT count(*) FROM users", [], |row| row.get(0)))
        .expect("our store");
    assert_eq!(users + failed, CROWD, "{kind}: nobody is lost");
    (time, failed)
}

/// Until whoever started this process lets go of the other end.
fn wait_at_the_gate() {
    println!();
    let _ = std::io::stdin().read(&mut [0]);
}

fn hashed() -> Result<NewPassword> {
    let password = Password::generate(Form::Full, random)?;
    let bytes = password.expose().as_bytes();
    Ok(NewPassword {
        generated: true,
        password_id: password.password_id(random)?,
        hash: Hasher::default().hash(bytes, FLOOR, random)?,
    })
}

fn random(bytes: &mut [u8]) -> Result<()> {
    fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(bytes))
        .map_err(|e| Error::System(e.to_string()))
}

fn now() -> i64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
    i64::try_from(since.expect("a clock").as_secs()).expect("a clock")
}

/// As `user create` does it.
fn ours(store: PathBuf, name: &str) -> Result<()> {
    let mut store = Store::open(&Location::File(store), Access::Existing)?;
    let username: Username = name.parse()?;
    let password = hashed()?;
    let stamp = EventStamp {
        at: Time::from_epoch(now()),
        actor: Actor {
            name: "bench".into(),
            run_as: None,
            host: "here".into(),
        },
    };
    let mut tx = store.begin(stamp)?;
    let user = NewUser {
        username: &username,
        label: None,
        note: None,
        tags: &[],
        copy_of: None,
        daily_limit: None,
        expires_at: None,
        sending: &SendingChange::default(),
        addresses: &AddressChange::default(),
        rotation: &RulesChange::default(),
    };
    tx.add_user(&user, &password)?;
    tx.flush()?;
    tx.commit()
}

/// The same with nothing but `busy_timeout`.
fn plain(store: &Path, name: &str) -> rusqlite::Result<()> {
    let db = Connection::open(store)?;
    db.busy_timeout(Duration::from_secs(5))?;
    db.execute_batch(
        "PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; PRAGMA synchronous = FULL",
    )?;
    let password = hashed().expect("a hash");
    let (key, hash) = (password.password_id.as_str(), password.hash.as_str());
    let now = now();
    db.execute_batch("BEGIN IMMEDIATE")?;
    db.execute(
        "INSERT INTO users (username, domain, created_at) VALUES (?1, 'example.com', ?2)",
        (name, now),
    )?;
    db.execute(
        "INSERT INTO passwords (username, password_id, hash, created_at) VALUES (?1, ?2, ?3, ?4)",
        (name, key, hash, now),
    )?;
    db.execute(
        "INSERT INTO events (at, actor, host, action, domain, username, fields)
        VALUES (?1, 'bench', 'here', 'user.create', 'example.com', ?2, ?3)",
        (now, name, format!("{{\"password_id\":\"{key}\"}}")),
    )?;
    db.execute_batch("COMMIT")
}
