//! How fast a mail log is read and followed: `cargo bench --bench maillog`.
//!
//! A log of a million lines, as Postfix writes them (one message in five is deferred once,
//! one in ten bounces), is read by `grep -c status=`, by the parser alone, and by the
//! parser and the follower, which gives out each message twice or more. All run in turn on
//! one core; what counts is the median of the rounds. Both must read a million lines a second,
//! and the parser take four times as long as grep at most. Exits with 1 if a figure is missed.

use std::fmt::Write as _;
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
/// Messages that are under way at the same time.
const AT_ONCE: usize = 100;

fn main() -> ExitCode {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mail.log");
    let log = log();
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

/// Messages of many users, under way at the same time.
fn log() -> String {
    let mut log = String::with_capacity(170 * LINES);
    let mut under_way: Vec<std::vec::IntoIter<String>> = Vec::new();
    let (mut number, mut lines) = (0, 0);
    while lines < LINES {
        if under_way.len() < AT_ONCE {
            under_way.push(message(number).into_iter());
            number += 1;
        }
        let at = lines % under_way.len();
        match under_way[at].next() {
            Some(line) => {
                let (minute, second) = (lines / 60_000 % 60, lines / 1000 % 60);
                let _ = writeln!(log, "Nov 30 04:{minute:02}:{second:02} mail postfix/{line}");
                lines += 1;
            }
            None => drop(under_way.swap_remove(at)),
        }
    }
    log
}

fn message(n: usize) -> Vec<String> {
    let id = format!("{:05X}9CC{:03X}", n * 7919 % 0xF_FFFF, n % 0xFFF);
    let pid = 10_000 + n % 97;
    let smtpd = format!("submission/smtpd[{pid}]");
    let to = |dsn: &str, status: &str| {
        format!(
            "smtp[{pid}]: {id}: to=<user{n}@remote.test>, relay=mx.remote.test[192.0.2.7]:25, delay=0.52, delays=0.51/0.01/0/0, dsn={dsn}, status={status}"
        )
    };
    let active = format!(
        "qmgr[2823]: {id}: from=<app{}@example.com>, size=348, nrcpt=1 (queue active)",
        n % 1000
    );
    let mut lines = vec![
        format!("{smtpd}: connect from app.example.com[192.0.2.{}]", n % 250),
        format!(
            "{smtpd}: Anonymous TLS connection established from app.example.com[192.0.2.1]: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature ECDSA (prime256v1) server-digest SHA256"
        ),
        format!(
            "{smtpd}: {id}: client=app.example.com[192.0.2.1], sasl_method=PLAIN, sasl_username=app{}@example.com",
            n % 1000
        ),
        format!("cleanup[{pid}]: {id}: message-id=<{n}.10127@client.example.com>"),
        active.clone(),
        format!(
            "{smtpd}: disconnect from app.example.com[192.0.2.1] ehlo=2 starttls=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=8"
        ),
    ];
    if n.is_multiple_of(5) {
        lines.push(to("4.7.1", "deferred (host mx.remote.test[192.0.2.7] said: 450 4.7.1 greylisted, try again later (in reply to RCPT TO command))"));
        lines.push(active);
    }
    lines.push(if n.is_multiple_of(10) {
        to("5.1.1", "bounced (host mx.remote.test[192.0.2.7] said: 550 5.1.1 user unknown (in reply to RCPT TO command))")
    } else {
        to("2.0.0", &format!("sent (250 2.0.0 Ok: queued as 4C{n:09X})"))
    });
    lines.push(format!("qmgr[2823]: {id}: removed"));
    lines
}
