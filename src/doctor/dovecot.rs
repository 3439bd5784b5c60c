//! Dovecot's configuration as `doveconf` prints it, for a Dovecot that reads the store itself.

use std::fs;
use std::path::Path;

use super::access::Identity;
use super::files::{beside, size};
use super::findings::{Area, Cause, Compared, Findings};
use super::store::{ExaminedStore, UNREAD};
use super::{files, tool};
use crate::error::Result;
use crate::model::text::number;

/// The configuration of a Dovecot.
pub struct Dovecot {
    file: Option<String>,
    config: String,
}

impl Dovecot {
    /// Reads the configuration, from `file` if given. Fails if `doveconf` does.
    pub fn read(file: Option<&Path>) -> Result<Self> {
        let file = file.map(|path| path.display().to_string());
        let from = file.iter().flat_map(|file| ["-c", file.as_str()]);
        let args: Vec<_> = from.chain(["-n"]).collect();
        let mut config = tool::ask("doveconf", &args)?.stdout;
        // Dovecot 2.3 has its queries in separate files.
        let more: Vec<_> = config
            .lines()
            .filter_map(|line| line.trim().strip_prefix("args = "))
            .filter_map(|path| files::text(Path::new(path.trim())))
            .collect();
        config.push_str(&more.join("\n"));
        Ok(Self { file, config })
    }

    /// Compares it with what show-server-config prints for a store.
    pub fn compare(&self, store: &str) -> Vec<Compared> {
        let place = "doveconf -n";
        let there = |wanted: &str, good| Compared::there(place, wanted, good);
        let cache = self.value("auth_cache_size").unwrap_or("0");
        vec![
            there(
                "driver = sql",
                self.lines().any(|line| line == "driver = sql"),
            ),
            there(
                store,
                self.lines()
                    .any(|line| line.contains(" = ") && names(line, store)),
            ),
            there("dovecot_users", self.names("dovecot_users")),
            there("dovecot_overlap", self.names("dovecot_overlap")),
            // Such as "10M", or "0" with any unit.
            Compared::new(place, "auth_cache_size = 0", cache, cache.starts_with('0')),
        ]
    }

    /// Returns whether it reads a store of smtpcred.
    pub fn is_set_up(&self, store: Option<&Path>) -> bool {
        let named = |store: &Path| {
            let store = store.display().to_string();
            self.lines().any(|line| names(line, &store))
        };
        self.names("dovecot_users") || store.is_some_and(named)
    }

    /// Adds findings on everything that sign-ins need.
    pub fn examine(&self, findings: &mut Findings, store: &ExaminedStore) {
        let mut area = findings.area("dovecot");
        let Some(file) = &store.file else {
            area.cannot_tell(
                "passdb",
                "doctor does not check how Dovecot reads PostgreSQL",
            );
            return;
        };
        for one in self.compare(&file.display().to_string()) {
            let advice = "smtpcred show-server-config dovecot shows how it should be";
            let check = match one.wanted.split_once(" = ") {
                Some(("auth_cache_size", _)) => {
                    let advice = "auth_cache_size = 0: with a cache, suspended users and old passwords \
                                  can still sign in";
                    area.judge("auth_cache_size", one.good, &one.found, advice);
                    continue;
                }
                _ => one.wanted.as_str(),
            };
            area.judge(check, one.good, &one.found, advice);
        }
        schemes(&mut area);
        self.memory(&mut area, store);
        self.rights(&mut area, file, store.unread.as_ref());
    }

    /// Checks the memory of the workers, which compute the hashes. With too little, every
    /// sign-in is refused and nothing is logged.
    fn memory(&self, area: &mut Area, store: &ExaminedStore) {
        // In addition to the hash: m=19456 works in 28 MiB and not in 26; it takes 44 MiB if
        // Dovecot has its module for PostgreSQL loaded.
        const LEAST: u64 = 9 << 20;
        const AMPLE: u64 = 25 << 20;
        const CHECK: &str = "service auth-worker vsz_limit";
        let asked = |name| self.asked(name).and_then(|text| limit(&text));
        let most = match asked("service/auth-worker/vsz_limit") {
            // It prints its own default so, and uses this one.
            Some(u64::MAX) => asked("default_vsz_limit"),
            own => own,
        };
        let Some(most) = most else {
            return area.warn(CHECK, "cannot tell", "see doveconf -h default_vsz_limit");
        };
        let m = u64::from(store.settings.argon2.m) << 10;
        let found = if most == u64::MAX {
            "no limit".to_owned()
        } else {
            format!("{}, while a hash takes {}", size(most), size(m))
        };
        let advice = format!("set vsz_limit = {}M in it", (m >> 20) + 64);
        if most < m + LEAST {
            area.fail(CHECK, &found, &advice);
        } else if most < m + AMPLE {
            area.warn(CHECK, &found, &advice);
        } else {
            area.ok(CHECK, &found);
        }
    }

    /// Checks that the workers can read the store: with SQLite's WAL, a reader writes, too,
    /// to the index of the log.
    fn rights(&self, area: &mut Area, store: &Path, unread: Option<&Cause>) {
        let worker = self.asked("service/auth-worker/user").unwrap_or_default();
        let worker = match worker.as_str() {
            "" => "root".to_owned(),
            "$default_internal_user" => self.asked("default_internal_user").unwrap_or_default(),
            _ => worker,
        };
        let Some(who) = Identity::named(&worker) else {
            return;
        };
        let real = fs::canonicalize(store).unwrap_or_else(|_| store.to_owned());
        let index = beside(&real, "-shm");
        let closed = match (real.parent(), index.exists()) {
            (_, true) => who.kept_from_writing(&index),
            (Some(folder), false) => who.kept_from_making(folder),
            (None, _) => return,
        };
        match closed {
            Ok(None) => area.ok(
                "service auth-worker user",
                &format!("{worker} can read the store"),
            ),
            Ok(Some(closed)) => area.fail(
                "service auth-worker user",
                &format!("{worker} cannot read the store, so every sign-in is refused: {closed}"),
                "set user = root in it, which is Dovecot's default",
            ),
            // The store does not exist or cannot be seen.
            Err(_) => {
                if let Some(cause) = unread {
                    area.follows("service auth-worker user", UNREAD, cause);
                }
            }
        }
    }

    /// Returns the value of a setting or its default.
    fn asked(&self, name: &str) -> Option<String> {
        let from = self.file.iter().flat_map(|file| ["-c", file.as_str()]);
        let args: Vec<_> = from.chain(["-h", name]).collect();
        let said = tool::ask("doveconf", &args).ok()?;
        Some(said.stdout.trim().to_owned())
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        let lines = self.config.lines().map(str::trim);
        lines.filter(|line| !line.starts_with('#'))
    }

    fn value(&self, name: &str) -> Option<&str> {
        let values = self.lines().filter_map(|line| line.split_once(" = "));
        values
            .filter(|(found, _)| *found == name)
            .map(|(_, value)| value)
            .next()
    }

    fn names(&self, name: &str) -> bool {
        self.lines().any(|line| names(line, name))
    }
}

fn names(line: &str, name: &str) -> bool {
    line.split_whitespace().any(|word| word == name)
}

fn schemes(area: &mut Area) {
    match tool::ask("doveadm", &["pw", "-l"]) {
        Ok(said) => area.judge(
            "ARGON2ID",
            names(&said.stdout, "ARGON2ID"),
            "what `doveadm pw -l` lists",
            "install a Dovecot that is built with libsodium",
        ),
        Err(error) => area.cannot_tell("ARGON2ID", &error.to_string()),
    }
}

/// Reads a limit in bytes: `256 M`, `18446744073709551615 B`.
fn limit(text: &str) -> Option<u64> {
    if text.starts_with("unlimited") {
        return Some(u64::MAX);
    }
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let shift = match unit.trim() {
        "B" => 0,
        "k" | "K" | "kB" | "KB" => 10,
        "M" | "MB" => 20,
        "G" | "GB" => 30,
        _ => return None,
    };
    number::<u64>(digits)?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::limit;

    #[test]
    fn limits_have_units() {
        assert_eq!(limit("256 M"), Some(256 << 20));
        assert_eq!(limit("18446744073709551615 B"), Some(u64::MAX));
        assert_eq!(limit("1G"), Some(1 << 30));
        assert_eq!(limit("unlimited"), Some(u64::MAX));
        for bad in [
            "",
            "M",
            "12",
            "99999999999999999999 M",
            "9999999999999999 G",
        ] {
            assert_eq!(limit(bad), None, "{bad}");
        }
    }
}
