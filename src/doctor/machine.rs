//! The machine: its clock, and the cost of a hash.

use std::fs;
use std::time::{Duration, Instant};

use super::files::size;
use super::findings::{Area, Findings};
use super::store::ExaminedStore;
use super::tool;
use crate::app::World;
use crate::model::hash::Hasher;
use crate::model::text::count;
use crate::model::time::CLOCKS_DIFFER;

/// Mail servers give up after 10 s, and several sign-ins may wait for each other.
const SLOW: Duration = Duration::from_secs(1);
/// Below this, guessing is cheap for an attacker.
const CHEAP: Duration = Duration::from_millis(4);

/// Checks the clock and how long a hash takes.
pub fn examine(findings: &mut Findings, store: &mut ExaminedStore, world: World) {
    let mut area = findings.area("machine");
    clock(&mut area, store, world);
    hash(&mut area, store);
}

fn clock(area: &mut Area, store: &mut ExaminedStore, world: World) {
    const ADVICE: &str = "set the clock: expiries, overlaps and limits depend on it";
    const BEHIND: &str = "set this clock if it is behind; if another clock was ahead, run: \
        smtpcred store maintain, which sets all later entries to now";
    const EVENTS: &str = "set this clock if it is behind; if another clock was ahead, there is \
        nothing to do: events stay as recorded";
    let now = (world.now)();
    if let Err(error) = now.plausible() {
        return area.fail("clock", &error.to_string(), ADVICE);
    }
    let later = store.app.as_mut().map(|app| app.store.future_rows(now));
    let newest = store.app.as_mut().map(|app| app.store.newest_event());
    match (later, newest) {
        (Some(Ok(Some(later))), _) => {
            let found = format!(
                "{now}, but the store is ahead: it has {} later entries, up to {}",
                later.rows, later.latest
            );
            return area.fail("clock", &found, BEHIND);
        }
        (_, Some(Ok(Some(newest)))) if newest.epoch() > now.epoch() + CLOCKS_DIFFER => {
            let found = format!("{now}, but the store is ahead: its newest event is from {newest}");
            return area.fail("clock", &found, EVENTS);
        }
        (Some(Err(error)), _) | (_, Some(Err(error))) => {
            area.error("events", &error);
        }
        _ => {}
    }
    let synchronised = tool::run(
        "timedatectl",
        &["show", "--property=NTPSynchronized", "--value"],
    );
    match synchronised {
        Ok((true, said)) if said.stdout.trim() == "no" => area.warn(
            "clock",
            &format!("{now}, but not synchronized"),
            "install chrony, or: timedatectl set-ntp true",
        ),
        _ => area.ok("clock", &now.to_string()),
    }
}

fn hash(area: &mut Area, store: &ExaminedStore) {
    let cost = store.settings.argon2;
    let mut hasher = Hasher::default();
    let begun = Instant::now();
    if let Err(error) = hasher.dummy_hash(b"doctor", cost) {
        return area.fail("hash", &error.to_string(), "free some memory");
    }
    let first = begun.elapsed();
    let begun = Instant::now();
    // The first hash also allocates its memory. A slow one is not repeated.
    let took = match first {
        slow if slow > SLOW => slow,
        _ if hasher.dummy_hash(b"doctor", cost).is_ok() => begun.elapsed(),
        _ => first,
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let all = (u64::from(cost.m) << 10) * workers;
    let said = format!("{cost}: {} ms here", took.as_millis());
    let lower = "smtpcred set-settings --argon2 m=19456,t=2,p=1 sets what OWASP recommends";
    if took > SLOW {
        area.warn("hash", &format!("{said}, which is slow"), lower);
    } else if took < CHEAP {
        area.warn(
            "hash",
            &format!("{said}, which is weak"),
            "this machine can afford more: smtpcred set-settings --argon2 m=65536,t=3,p=1",
        );
    } else {
        area.ok("hash", &said);
    }
    let passwords = count(workers as u64, "password");
    let said = format!("{} to hash {passwords} at a time", size(all));
    match memory() {
        Some(free) if free < all => area.warn(
            "memory",
            &format!("{said}, but {} are free", size(free)),
            lower,
        ),
        _ => area.ok("memory", &said),
    }
}

/// Returns the memory available without swapping, in bytes.
fn memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}
