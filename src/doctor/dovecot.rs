//! Dovecot's configuration, as `doveconf` tells it, where it reads the store itself.

use std::fs;
use std::path::Path;

use super::{Compared, tool};
use crate::error::Result;

pub struct Dovecot {
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
            .filter_map(|path| fs::read_to_string(path.trim()).ok())
            .collect();
        config.push_str(&more.join("\n"));
        Ok(Self { config })
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

    fn lines(&self) -> impl Iterator<Item = &str> {
        self.config.lines().map(str::trim)
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
