//! The machine itself: its clock, and what a hash costs on it.

use std::fs;
use std::time::{Duration, Instant};

use super::findings::{Area, Findings};
use super::store::{Examined, size};
use super::{advice, tool};
use crate::app::World;
use crate::model::hash::Hasher;

/// As much as clocks of relays that share a store may differ, in seconds.
const SLACK: i64 = 300;
/// Mail servers give up at 10 s, and a few may wait for each other.
const SLOW: Duration = Duration::from_secs(1);
/// So many guesses a second are worth an attacker's while.
const CHEAP: Duration = Duration::from_millis(4);

pub fn examine(findings: &mut Findings, store: &mut Examined, world: World) {
    let mut area = findings.area("machine");
    clock(&mut area, store, world);
    hash(&mut area, store);
}

fn clock(area: &mut Area, store: &mut Examined, world: World) {
    const ADVICE: &str = "set the clock: expiry, overlaps and limits depend on it";
    let now = (world.now)();
    if let Err(error) = now.plausible() {
        return area.fail("clock", &error.to_string(), ADVICE);
    }
    let newest = store.app.as_mut().map(|app| app.store.newest_event());
    match newest {
        Some(Ok(Some(newest))) if newest.epoch() > now.epoch() + SLACK => {
            let found = format!("{now}, before the newest event of the store ({newest})");
            return area.fail("clock", &found, ADVICE);
        }
        Some(Err(error)) => area.fail("events", &error.to_string(), &advice(&error)),
        _ => {}
    }
    let synchronised = tool::run(
        "timedatectl",
        &["show", "--property=NTPSynchronized", "--value"],
    );
    match synchronised {
        Ok((true, said)) if said.stdout.trim() == "no" => area.warn(
            "clock",
            &format!("{now}, and not synchronised"),
            "install chrony, or: timedatectl set-ntp true",
        ),
        _ => area.ok("clock", &now.to_string()),
    }
}

fn hash(area: &mut Area, store: &Examined) {
    let cost = store.settings.argon2;
    let mut hasher = Hasher::default();
    let begun = Instant::now();
    if let Err(error) = hasher.pretend(b"doctor", cost) {
        return area.fail("hash", &error.to_string(), "is there memory for it?");
    }
    let first = begun.elapsed();
    let begun = Instant::now();
    // The first one also gets its memory from the system. One that is slow is
    // not done twice.
    let took = match first {
        slow if slow > SLOW => slow,
        _ if hasher.pretend(b"doctor", cost).is_ok() => begun.elapsed(),
        _ => first,
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let all = (u64::from(cost.m) << 10) * workers;
    let said = format!("{cost}: {} ms here", took.as_millis());
    let lower = "smtpcred set-settings --argon2 m=19456,t=2,p=1 is what OWASP asks for";
    if took > SLOW {
        area.warn("hash", &format!("{said}, which is slow"), lower);
    } else if took < CHEAP {
        area.warn(
            "hash",
            &format!("{said}, which is little"),
            "this machine can do more: smtpcred set-settings --argon2 m=65536,t=3,p=1",
        );
    } else {
        area.ok("hash", &said);
    }
    let said = format!("{} for {workers} hashes at a time", size(all));
    match memory() {
        Some(free) if free < all => area.warn(
            "memory",
            &format!("{said}, and {} are free", size(free)),
            lower,
        ),
        _ => area.ok("memory", &said),
    }
}

/// What is to be had without swapping, in bytes.
fn memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}
