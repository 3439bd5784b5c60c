//! How fast a mail log is read and followed: `cargo bench --bench maillog`.
//!
//! A log of a million lines, as Postfix writes them (one message in five is deferred once,
//! one in ten bounces), is read by `grep -c status=`, by the parser alone, and by the
//! parser and the follower, which gives out each message twice or more. All run in turn on
//! one core; what counts is the median of the rounds. Both must read a million lines a second,
//! and the parser take four times as long as grep at most. Exits with 1 if a figure is missed.

#[path = "support/mail_log.rs"]
mod mail_log;

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use smtpcred::app::messages::follower::{DEFAULT_LIMIT, Follower};
use smtpcred::formats::maillog::clock::LogClock;
use smtpcred::formats::maillog::log_reader::LogReader;
use smtpcred::model::time::Time;

const LINES: usize = 1_000_000;
const ROUNDS: usize = 5;
/// Lines a second.
const GOAL: f64 = 1_000_000.0;
/// Times as long as grep.
const MOST: f64 = 4.0;

fn main() -> ExitCode {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mail.log");
    let log = mail_log::mail_log(LINES);
    println!("{LINES} lines, {} MB", log.len() / 1_000_000);
    fs::write(&path, log).expect("written");
    let (mut grep, mut parsed, mut followed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        grep.push(timed(|| count_with_grep(&path)));
        parsed.push(timed(|| parse(&path)));
        followed.push(timed(|| follow(&path)));
    }
    let (grep, parsed, followed) = (median(grep), median(parsed), median(followed));
    let mut is_met = true;
    println!("grep -c     {grep:.3?}");
    for (name, took) in [("parse", parsed), ("and follow", followed)] {
        let (rate, times) = (
            1_000_000.0 / took.as_secs_f64(),
            took.as_secs_f64() / grep.as_secs_f64(),
        );
        println!("{name:<11} {took:.3?}  {rate:.0} lines/s  {times:.1} × grep");
        is_met &= rate >= GOAL && (name != "parse" || times <= MOST);
    }
    ExitCode::from(u8::from(!is_met))
}

fn timed(run: impl FnOnce() -> usize) -> Duration {
    let start = Instant::now();
    assert!(run() > LINES / 20, "too little was found");
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn count_with_grep(path: &Path) -> usize {
    let grep = Command::new("grep")
        .args(["-c", "status="])
        .arg(path)
        .output();
    let count = String::from_utf8(grep.expect("grep").stdout).expect("a number");
    count.trim().parse().expect("a number")
}

fn pieces(path: &Path, mut take: impl FnMut(&mut LogReader, &[u8])) {
    let newest: Time = "2026-12-01T00:00:00Z".parse().expect("a time");
    let mut reader = LogReader::new(LogClock::new(TimeZone::UTC, newest));
    let mut file = fs::File::open(path).expect("the log");
    let mut piece = vec![0; 256 * 1024];
    loop {
        let length = file.read(&mut piece).expect("readable");
        if length == 0 {
            return;
        }
        take(&mut reader, &piece[..length]);
    }
}

fn parse(path: &Path) -> usize {
    let mut events = 0;
    pieces(path, |reader, bytes| reader.push(bytes, |_| events += 1));
    events
}

fn follow(path: &Path) -> usize {
    let mut follower = Follower::new(DEFAULT_LIMIT, |user| user.ends_with("@example.com"));
    let mut messages = 0;
    pieces(path, |reader, bytes| {
        reader.push(bytes, |entry| follower.entry(entry));
        follower.drain(|_| messages += 1);
    });
    messages
}
