//! Dovecot's configuration, as `doveconf` tells it, where it reads the store itself.

use std::fs;
use std::path::Path;

use super::access::Who;
use super::findings::{Area, Compared, Findings};
use super::store::{Examined, beside, size};
use super::{files, tool};
use crate::error::Result;

pub struct Dovecot {
    file: Option<String>,
    config: String,
}

impl Dovecot {
    pub fn read(file: Option<&Path>) -> Result<Self> {
        let file = file.map(|path| path.display().to_string());
        let from = file.iter().flat_map(|file| ["-c", file.as_str()]);
        let args: Vec<_> = from.chain(["-n"]).collect();
        let mut config = tool::ask("doveconf", &args)?.stdout;
        // 2.3 keeps the queries in files of their own.
        let more: Vec<_> = config
            .lines()
            .filter_map(|line| line.trim().strip_prefix("args = "))
            .filter_map(|path| files::text(Path::new(path.trim())))
            .collect();
        config.push_str(&more.join("\n"));
        Ok(Self { file, config })
    }

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
            // "10M", or "0" with whatever unit.
            Compared::new(place, "auth_cache_size = 0", cache, cache.starts_with('0')),
        ]
    }

    /// It reads a store of smtpcred's itself.
    pub fn is_set_up(&self, store: Option<&Path>) -> bool {
        let named = |store: &Path| {
            let store = store.display().to_string();
            self.lines().any(|line| names(line, &store))
        };
        self.names("dovecot_users") || store.is_some_and(named)
    }

    pub fn examine(&self, findings: &mut Findings, store: &Examined) {
        let mut area = findings.area("dovecot");
        let Some(file) = &store.file else {
            area.cannot_tell("passdb", "how it reads a database is not looked at");
            return;
        };
        for one in self.compare(&file.display().to_string()) {
            let advice = "smtpcred show-server-config dovecot says how it should be";
            let check = match one.wanted.split_once(" = ") {
                Some(("auth_cache_size", _)) => {
                    let advice = "auth_cache_size = 0: from a cache, who was suspended or reset \
                                  still signs in";
                    area.judge("auth_cache_size", one.good, &one.found, advice);
                    continue;
                }
                _ => one.wanted.as_str(),
            };
            area.judge(check, one.good, &one.found, advice);
        }
        schemes(&mut area);
        self.memory(&mut area, store);
        self.rights(&mut area, file);
    }

    /// The workers compute the hashes. Where they may have too little, every sign-in
    /// is refused and nothing is logged.
    fn memory(&self, area: &mut Area, store: &Examined) {
        // Beside the hash: m=19456 works in 28 MiB and not in 26; in 44 where Dovecot
        // has its module for PostgreSQL, too.
        const LEAST: u64 = 9 << 20;
        const AMPLE: u64 = 25 << 20;
        const CHECK: &str = "service auth-worker vsz_limit";
        let asked = |name| self.asked(name).and_then(|text| limit(&text));
        let most = match asked("service/auth-worker/vsz_limit") {
            // By itself it says so, and means the default.
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
            format!("{}, and a hash takes {}", size(most), size(m))
        };
        let advice = format!("vsz_limit = {}M in it", (m >> 20) + 64);
        if most < m + LEAST {
            area.fail(CHECK, &found, &advice);
        } else if most < m + AMPLE {
            area.warn(CHECK, &found, &advice);
        } else {
            area.ok(CHECK, &found);
        }
    }

    /// In SQLite's WAL mode a reader writes, too: the index of the log.
    fn rights(&self, area: &mut Area, store: &Path) {
        let worker = self.asked("service/auth-worker/user").unwrap_or_default();
        let worker = match worker.as_str() {
            "" => "root".to_owned(),
            "$default_internal_user" => self.asked("default_internal_user").unwrap_or_default(),
            _ => worker,
        };
        let Some(who) = Who::named(&worker) else {
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
                &format!("{worker} may read the store"),
            ),
            Ok(Some(closed)) => area.fail(
                "service auth-worker user",
                &format!("{worker} may not read the store: {closed}"),
                "user = root in it, as Dovecot has it by itself: every sign-in is refused",
            ),
            // The store is not there, or not for us to see: that was said.
            Err(_) => {}
        }
    }

    /// One setting with its default.
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
            "use a Dovecot that was built with libsodium",
        ),
        Err(error) => area.cannot_tell("ARGON2ID", &error.to_string()),
    }
}

/// `256 M`, `18446744073709551615 B`
fn limit(text: &str) -> Option<u64> {
    if text.starts_with("unlimited") {
        return Some(u64::MAX);
    }
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let shift = match unit.trim() {
        "B" => 0,
        "k" | "K" | "kB" | "KB" => 10,
        "M" | "MB" => 20,
        "G" | "GB" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
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
