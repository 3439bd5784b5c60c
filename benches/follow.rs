//! How fast `messages follow` records a log, and how much memory it takes:
//! `cargo bench --bench follow`.
//!
//! A log of a million lines is followed from its beginning into a new store. At least 50,000
//! lines a second must be recorded, with at most 32 MB of memory. Exits with 1 if a figure is
//! missed.

#[path = "support/mail_log.rs"]
mod mail_log;

use std::fs;
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use smtpcred::model::duration::Duration as Keep;
use smtpcred::model::message_rules::MessageRules;
use smtpcred::store::{Access, Location, MessageStore};

const LINES: usize = 1_000_000;
/// Lines a second.
const GOAL: f64 = 50_000.0;
/// In bytes.
const MEMORY: u64 = 32_000_000;

fn main() -> ExitCode {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("mail.log");
    fs::write(&log, mail_log::mail_log(LINES)).expect("written");
    let path = folder.path().join("s.db");
    let store = Location::File(path.clone());
    let mut messages = MessageStore::open(&store, Access::Create).expect("a store");
    let rules = MessageRules {
        keep: Some(Keep::days(30)),
        ..MessageRules::default()
    };
    messages.set_rules(&rules).expect("rules");
    let began = Instant::now();
    let mut follower = Command::new(env!("CARGO_BIN_EXE_smtpcred"))
        .args(["messages", "follow", "--log"])
        .arg(&log)
        .env("SMTPCRED_STORE", &path)
        .stdin(Stdio::null())
        .spawn()
        .expect("it runs");
    // The times in the log end with this second.
    let end = (LINES - 1) / 1000;
    let end = format!(":{:02}:{:02}Z", end / 60 % 60, end % 60);
    loop {
        sleep(Duration::from_millis(20));
        let positions = messages.positions().expect("readable");
        let at = positions.first().and_then(|position| position.log_at);
        if at.is_some_and(|at| at.time().to_string().ends_with(&end)) {
            break;
        }
    }
    let status = fs::read_to_string(format!("/proc/{}/status", follower.id())).expect("it runs");
    let pid = i32::try_from(follower.id()).expect("a number");
    // The rest of the last second is written, too.
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it runs");
    assert!(follower.wait().expect("it ends").success());
    let took = began.elapsed();
    let rate = 1_000_000.0 / took.as_secs_f64();
    let memory = memory(&status);
    println!("{took:.3?}  {rate:.0} lines/s  {} kB", memory / 1000);
    ExitCode::from(u8::from(rate < GOAL || memory > MEMORY))
}

/// The most that a process had, in bytes.
fn memory(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|kb| kb.parse::<u64>().ok())
        .unwrap_or(u64::MAX / 1024)
        * 1024
}
