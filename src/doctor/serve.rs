//! `smtpcred serve`: does it answer, and with the store that this is about?

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Servers;
use super::access::{self, Who};
use super::findings::{Area, Findings, quoted};
use super::sockets::{Endpoint, Known, Trouble, greeting, ruling};
use super::store::{Examined, beside};

const START: &str = "systemctl enable --now smtpcred-auth.socket smtpcred-policy.socket; \
                     where it listens elsewhere, name its sockets with --auth and --policy";

pub fn examine(findings: &mut Findings, known: &Known, servers: &Servers, store: &Examined) {
    let owned = !findings.fails_in(&["store"]);
    let mut area = findings.area("serve");
    let mut processes = Vec::new();
    for endpoint in &known.auth {
        match greeting(endpoint) {
            Ok(greeting) => {
                let process = greeting.pid.map(Process);
                let dovecot = process.as_ref().is_some_and(Process::is_dovecot);
                if dovecot && servers.dovecot.is_none() {
                    let found = format!("{endpoint}: Dovecot answers, which has no part in this");
                    area.fail("auth", &found, START);
                    continue;
                }
                let who = if dovecot { "Dovecot " } else { "" };
                area.ok("auth", &format!("{endpoint}: {who}answers"));
                processes.extend(process.filter(Process::is_ours));
            }
            Err(trouble) => silent(&mut area, "auth", endpoint, trouble),
        }
    }
    for endpoint in &known.policy {
        match ruling(endpoint) {
            Ok(()) => area.ok("policy", &format!("{endpoint}: answers")),
            Err(trouble) => silent(&mut area, "policy", endpoint, trouble),
        }
    }
    processes.dedup_by_key(|process| process.0);
    if let (Some(_), Some(file)) = (&store.app, &store.file) {
        for process in processes {
            process.examine(&mut area, file, owned);
        }
    }
}

fn silent(area: &mut Area, check: &str, endpoint: &Endpoint, trouble: Trouble) {
    match trouble {
        Trouble::Forbidden if !access::is_root() => {
            area.cannot_tell(check, &format!("this user may not connect to {endpoint}"));
        }
        Trouble::Forbidden => area.fail(check, &format!("{endpoint}: forbidden"), START),
        Trouble::Other(what) => area.fail(check, &format!("{endpoint}: {what}"), START),
    }
}

/// By the number that it says is its own: in a container that is another's.
struct Process(u32);

impl Process {
    fn file(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.0.to_string()).join(name)
    }

    fn command(&self) -> String {
        let command = fs::read_to_string(self.file("comm")).unwrap_or_default();
        command.trim().to_owned()
    }

    fn is_ours(&self) -> bool {
        self.command() == "smtpcred"
    }

    fn is_dovecot(&self) -> bool {
        ["auth", "dovecot"].contains(&self.command().as_str())
    }

    fn user(&self) -> Option<String> {
        let status = fs::read_to_string(self.file("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        // Real, effective, …
        let effective = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(access::user(effective))
    }

    /// What it has open with a log beside it; nothing where we may not look.
    fn stores(&self) -> Vec<PathBuf> {
        let Ok(open) = fs::read_dir(self.file("fd")) else {
            return Vec::new();
        };
        let open: Vec<_> = open
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .collect();
        let is_store = |path: &&PathBuf| open.contains(&beside(path, "-wal"));
        open.iter().filter(is_store).cloned().collect()
    }

    fn examine(&self, area: &mut Area, store: &Path, owned: bool) {
        let store = fs::canonicalize(store).unwrap_or_else(|_| store.to_owned());
        let stores = self.stores();
        if let Some(other) = stores.first()
            && !stores.contains(&store)
        {
            let found = format!(
                "it has {} open, and not {}",
                other.display(),
                store.display()
            );
            let other = quoted(other);
            let advice = format!(
                "examine that one with --store {other}, or set SMTPCRED_STORE where it is started"
            );
            return area.fail("store", &found, &advice);
        }
        if !owned {
            return; // What is wrong with it was said.
        }
        let Some(who) = self.user().and_then(|name| Who::named(&name)) else {
            return;
        };
        match who.kept_from_writing(&store) {
            Ok(None) => area.ok("store", &format!("{} may use it", who.name)),
            Ok(Some(closed)) => {
                let whose = fs::metadata(&store).map(|file| access::user(file.uid()));
                let advice = format!(
                    "run it as {}, whose the store is; or, if {} is who should run it: chown {}: {}*",
                    whose.unwrap_or_default(),
                    who.name,
                    who.name,
                    quoted(&store)
                );
                let found = format!("it runs as {}, who may not use it: {closed}", who.name);
                area.fail("store", &found, &advice);
            }
            Err(error) => area.cannot_tell("store", &error.to_string()),
        }
    }
}
