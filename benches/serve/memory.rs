//! What the server holds, beside Dovecot's process that does the same.

use std::fs;
use std::path::Path;
use std::thread::available_parallelism;
use std::time::Duration;

use smtpcred::model::hash::Cost;

use crate::Report;
use crate::load::Protocol;
use crate::ours::{Ours, SignIns, cheap_hash};
use crate::peers::Dovecot;

const USERS: u32 = 10_000;
const CONNECTIONS: u32 = 2_000;
const PASSWORD: &str = "vague-Otter-61-h";
/// In KiB.
const IDLE: f64 = 8.0 * 1024.0;
const PER_CONNECTION: f64 = 1.0;

pub fn measure(report: &mut Report) {
    let hash = cheap_hash(PASSWORD);
    // As many at the full cost as make every worker hash.
    let ours = Ours::with_users(16);
    ours.add("new", USERS, hash.as_str());
    let names: Vec<_> = (0..USERS).map(|i| format!("new-{i}@example.com")).collect();
    let sign_ins = SignIns::of(names.iter().map(|name| (&**name, PASSWORD)));
    let serve = ours.serve();
    let peer = Dovecot::start(
        names
            .iter()
            .map(|name| (&**name, format!("{{PLAIN}}{PASSWORD}"))),
    );
    sign_ins.all_at(&serve.auth);
    sign_ins.all_at(&peer.socket);

    let (our_pid, peers_pid) = (serve.running.pid(), peer.pid());
    settle();
    let (ours_idle, peers_idle) = (without_argon2(our_pid), without_argon2(peers_pid));
    let what = "memory, 10,000 users signed in, without Argon2's / Dovecot";
    report.size(what, ours_idle, Some(peers_idle), IDLE);

    let each = |pid, socket: &Path, idle: f64| {
        let open: Vec<_> = (0..CONNECTIONS)
            .map(|_| Protocol::Auth.connect(socket))
            .collect();
        settle();
        let more = without_argon2(pid) - idle;
        drop(open);
        more / f64::from(CONNECTIONS)
    };
    let ours_each = each(our_pid, &serve.auth, ours_idle);
    let peers_each = each(peers_pid, &peer.socket, peers_idle);
    let what = "memory, each of 2,000 connections / Dovecot";
    report.size(what, ours_each, Some(peers_each), PER_CONNECTION);

    SignIns::users(&ours.users).all_at(&serve.auth);
    settle();
    let workers = available_parallelism().expect("processors").get();
    let hashing = f64::from(Cost::default().m) * f64::from(u32::try_from(workers).expect("few"));
    let what = format!("memory, Argon2's of {workers} workers");
    let found = argon2(our_pid);
    assert!(
        found > 0.9 * hashing,
        "{found} KiB: not all workers' memory was found"
    );
    report.size(&what, found, None, 1.05 * hashing);
}

/// What was only just used may still be given back or written away: that
/// happens every second, and with timers once they are due, within 8 s.
pub fn settle() {
    std::thread::sleep(Duration::from_secs(10));
}

pub fn without_argon2(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    kib(&status, "VmRSS:").expect("its memory") - argon2(pid)
}

/// The memory of Argon2 stands out: nothing else takes 19 MiB in one piece.
fn argon2(pid: u32) -> f64 {
    let maps = fs::read_to_string(format!("/proc/{pid}/smaps")).expect("it runs");
    let (mut sum, mut anonymous) = (0.0, false);
    for line in maps.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words[0].contains('-') {
            anonymous = words.len() == 5;
        } else if let Some(size) = kib(line, "Rss:")
            && anonymous
            && size >= f64::from(Cost::default().m)
        {
            sum += size;
        }
    }
    sum
}

fn kib(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}
