//! The time zone of the person at the terminal. Files of zones are read directly: the
//! database of jiff looks at hundreds of files first, which takes longer than a command.

use std::io::Read as _;
use std::path::Path;

use jiff::tz::TimeZone;

use crate::files;
use crate::model::near::nearest;
use crate::model::text::quoted;

/// Where systems keep the files of zones.
const FOLDERS: [&str; 3] = [
    "/usr/share/zoneinfo",
    "/usr/share/lib/zoneinfo",
    "/etc/zoneinfo",
];
/// The zone of the machine.
const LOCALTIME: &str = "/etc/localtime";
/// The largest file of a zone, in bytes; they have about 2 KiB.
const MAX_SIZE: u64 = 256 * 1024;

/// Returns the zone of this name, or the machine's zone. If the name is unknown, UTC and a
/// warning; `place` is where it comes from.
pub fn find(named: Option<(&str, &str)>) -> (TimeZone, Option<String>) {
    let Some((name, place)) = named else {
        return (
            read(Path::new(LOCALTIME), "").unwrap_or(TimeZone::UTC),
            None,
        );
    };
    if let Some(zone) = zone(name) {
        return (zone, None);
    }
    let name = quoted(name);
    let warning = format!("the time zone {name} ({place}) is unknown; times are shown in UTC");
    (TimeZone::UTC, Some(warning))
}

/// Returns the zone in which programs on this machine write local times: that of `TZ`, or the
/// machine's.
pub fn of_machine() -> TimeZone {
    let named = std::env::var("TZ").ok().filter(|name| !name.is_empty());
    find(named.as_deref().map(|name| (name, "TZ"))).0
}

/// Returns whether this can be the name of a zone: never a path out of their folder.
pub fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-+.".contains(&b))
    };
    name.len() <= 100 && name.split('/').all(part)
}

/// Says that no zone of this machine has the name, and which one was meant; `None` if one has
/// it, or if the machine has no zones to compare.
pub fn unknown(name: &str) -> Option<String> {
    if zone(name).is_some()
        || !FOLDERS
            .iter()
            .any(|folder| files::is_there(Path::new(folder)))
    {
        return None;
    }
    let known: Vec<_> = jiff::tz::db()
        .available()
        .map(|name| name.to_string())
        .collect();
    let meant = nearest(name, known.iter().map(String::as_str));
    let meant = meant.map(|meant| format!("; did you mean {meant}?"));
    Some(format!(
        "is not a time zone known on this machine: {}{}",
        quoted(name),
        meant.unwrap_or_default()
    ))
}

/// Finds a zone by its name, by a rule such as `CET-1CEST,M3.5.0,M10.5.0/3`, or by the path
/// of its file: all that `TZ` may be.
fn zone(said: &str) -> Option<TimeZone> {
    let name = said.strip_prefix(':').unwrap_or(said);
    let below = |folder: &&str| Path::new(name).strip_prefix(folder).ok();
    if name == LOCALTIME {
        return read(Path::new(LOCALTIME), "");
    }
    if let Some(name) = FOLDERS.iter().find_map(below) {
        return name.to_str().and_then(zone_file);
    }
    zone_file(name).or_else(|| match name {
        "UTC" | "Etc/UTC" => Some(TimeZone::UTC),
        rule => TimeZone::posix(rule).ok(),
    })
}

fn zone_file(name: &str) -> Option<TimeZone> {
    let folders = FOLDERS.iter().filter(|_| is_name(name));
    folders
        .map(|folder| Path::new(folder).join(name))
        .find_map(|path| read(&path, name))
}

fn read(path: &Path, name: &str) -> Option<TimeZone> {
    if !files::is_there(path) {
        return None;
    }
    let file = files::open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MAX_SIZE).read_to_end(&mut bytes).ok()?;
    TimeZone::tzif(name, &bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder() {
        for name in [
            "UTC",
            "Europe/Berlin",
            "America/Port-au-Prince",
            "Etc/GMT+3",
        ] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "",
            "/",
            "..",
            "../passwd",
            "a/../b",
            "/etc/passwd",
            "a//b",
            "a b",
            "ä",
        ] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn a_bad_zone_is_utc_with_a_warning() {
        let (zone, warning) = find(Some(("Mars/Phobos", "TZ")));
        assert_eq!(zone, TimeZone::UTC);
        assert_eq!(
            warning.unwrap(),
            "the time zone 'Mars/Phobos' (TZ) is unknown; times are shown in UTC"
        );
        for bad in [
            "/etc/passwd",
            "../../../etc/passwd",
            "\u{1b}",
            ":",
            "Europe",
        ] {
            assert!(zone_of(bad).1.is_some(), "{bad}");
        }
        for good in ["UTC", ":UTC", "CET-1CEST,M3.5.0,M10.5.0/3"] {
            assert_eq!(zone_of(good).1, None, "{good}");
        }
    }

    fn zone_of(name: &str) -> (TimeZone, Option<String>) {
        find(Some((name, "TZ")))
    }
}
