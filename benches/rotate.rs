//! How fast `user rotate --due` goes through ten thousand users, and with how much
//! memory: `cargo bench --bench rotate`.
//!
//! Beside it, in turn, the same number of hashes on all processors and nothing
//! else. What counts is the ratio of the medians. Exits with 1 if a figure is
//! missed.

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

#[path = "support/hashes.rs"]
mod hashes;

const LINKED: &str = env!("CARGO_BIN_EXE_smtpcred");
const USERS: u32 = 10_000;
const ROUNDS: u32 = 5;
const A_ROUND: u32 = USERS / ROUNDS;
const GOAL: f64 = 0.95;
/// Argon2's, of each processor that hashes, in KiB.
const SLOT: u64 = 19 * 1024;
/// For all else, in KiB.
const ROOM: u64 = 64 * 1024;

fn main() -> ExitCode {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = folder.path().join("smtpcred");
    fs::copy(LINKED, &program).expect("a copy of the program");
    let store = folder.path().join("data").join("smtpcred.db");
    fill(&program, &store);
    let files = folder.path().join("files");
    fs::create_dir(&files).expect("our folder");
    let processors = thread::available_parallelism().map_or(1, NonZero::get);

    let (mut ratios, mut peak) = (Vec::new(), 0);
    for round in 0..ROUNDS {
        // Which goes first changes with each round.
        let before = (round % 2 == 0).then(|| hashes::pure(processors, A_ROUND));
        let (rotated, memory) = rotate(&program, &store, &files);
        let pure = before.unwrap_or_else(|| hashes::pure(processors, A_ROUND));
        let ratio = pure.as_secs_f64() / rotated.as_secs_f64();
        println!(
            "round {round}: {:.1} users a second, {:.1} hashes a second, {:.1} %",
            f64::from(A_ROUND) / rotated.as_secs_f64(),
            f64::from(A_ROUND) / pure.as_secs_f64(),
            ratio * 100.0
        );
        ratios.push(ratio);
        peak = peak.max(memory);
    }
    let delivered = fs::read_dir(&files).expect("our folder").count();
    assert_eq!(delivered, USERS as usize, "each user has its password");
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[ratios.len() / 2];
    let most = SLOT * processors as u64 + ROOM;
    println!(
        "of what {processors} processors can hash: {:.1} % (goal {} %)",
        ratio * 100.0,
        GOAL * 100.0
    );
    println!("memory: {peak} KiB (goal below {most} KiB)");
    if ratio >= GOAL && peak < most {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Users with passwords as old as can be. Nobody signs in with them.
fn fill(program: &Path, store: &Path) {
    let made = Command::new(program)
        .args(["domain", "add", "example.com", "--quiet", "--store"])
        .arg(store)
        .status();
    assert!(made.expect("the program runs").success());
    let mut db = Connection::open(store).expect("our store");
    let tx = db.transaction().expect("our store");
    for n in 0..USERS {
        let name = format!("user{n:05}@example.com");
        tx.execute(
            "INSERT INTO users (username, domain, created_at) VALUES (?1, 'example.com', 1600000000)",
            [&name],
        )
        .expect("a user");
        tx.execute(
            "INSERT INTO passwords (username, password_id, hash, created_at)
            VALUES (?1, 'key00001', '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$7FfsnA6vUe7qLpL/3Kqc3uR48ZJyFbUVt7jWZlf0Htk', 1600000000)",
            [&name],
        )
        .expect("a password");
    }
    tx.commit().expect("our store");
}

/// From before the process is made until it is gone, and the most memory it held,
/// in KiB.
fn rotate(program: &Path, store: &Path, files: &Path) -> (Duration, u64) {
    let start = Instant::now();
    let mut child = Command::new(program)
        .args(["user", "rotate", "--due", "--older-than", "30d", "--quiet"])
        .args(["--limit", &A_ROUND.to_string(), "--write-file"])
        .arg(files.join("{username}"))
        .arg("--store")
        .arg(store)
        .stdout(Stdio::null())
        .spawn()
        .expect("the program runs");
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait().expect("our child") {
            break ended;
        }
        let text = fs::read_to_string(&status).unwrap_or_default();
        let kib = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(kib) = kib.and_then(|rest| rest.trim().strip_suffix(" kB")) {
            peak = peak.max(kib.parse().expect("a number"));
        }
        thread::sleep(Duration::from_millis(20));
    };
    assert!(ended.success(), "{ended}");
    (start.elapsed(), peak)
}
