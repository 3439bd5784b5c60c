//! `smtpcred serve`: does it answer, and does it use this store?

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::access::{self, Identity};
use super::files::{beside, size};
use super::findings::{Area, Cause, CheckState, Findings, quoted};
use super::mail_servers::MailServers;
use super::sockets::{self, Endpoint, KnownSockets, SocketError, greeting, ruling};
use super::store::{ExaminedStore, UNREAD};
use crate::model::cache_status::CacheStatus;
use crate::model::text::count;

const START: &str = "systemctl enable --now smtpcred-auth.socket smtpcred-policy.socket; \
                     if it listens elsewhere, name its sockets with --auth and --policy";

/// Checks that serve answers on its sockets and uses this store.
pub fn examine(
    findings: &mut Findings,
    known: &KnownSockets,
    servers: &MailServers,
    store: &ExaminedStore,
) {
    let unowned = findings.failure(|one| {
        one.area == "store" && ["file", "mode", "owner"].contains(&one.check.as_str())
    });
    let mut area = findings.area("serve");
    let mut processes = Vec::new();
    for endpoint in &known.auth {
        match greeting(endpoint) {
            Ok(greeting) => {
                let process = greeting.pid.map(Process);
                let dovecot = process.as_ref().is_some_and(Process::is_dovecot);
                if dovecot && servers.dovecot.is_none() {
                    let found = format!(
                        "{endpoint}: Dovecot answers, which is not configured for smtpcred"
                    );
                    area.fail("auth", &found, START);
                    continue;
                }
                let who = if dovecot { "Dovecot " } else { "" };
                area.ok("auth", &format!("{endpoint}: {who}answers"));
                if let Some(process) = process.filter(Process::is_ours) {
                    if !processes.contains(&process) {
                        remembering(&mut area, endpoint);
                    }
                    processes.push(process);
                }
            }
            Err(trouble) => silent(&mut area, "auth", endpoint, trouble, store),
        }
    }
    for endpoint in &known.policy {
        match ruling(endpoint) {
            Ok(()) => area.ok("policy", &format!("{endpoint}: answers")),
            Err(trouble) => silent(&mut area, "policy", endpoint, trouble, store),
        }
    }
    processes.dedup_by_key(|process| process.0);
    let Some(file) = &store.file else {
        return;
    };
    for process in processes {
        match &store.unread {
            Some(cause) => area.follows("store", UNREAD, cause),
            None => process.examine(&mut area, file, unowned.as_ref()),
        }
    }
}

/// Adds why a socket does not answer. Without a store, serve does not start, or closes each
/// connection.
fn silent(
    area: &mut Area,
    check: &str,
    endpoint: &Endpoint,
    trouble: SocketError,
    store: &ExaminedStore,
) {
    match trouble {
        SocketError::Forbidden if !access::is_root() => {
            area.cannot_tell(check, &format!("this user cannot connect to {endpoint}"));
        }
        SocketError::Forbidden => area.fail(check, &format!("{endpoint}: forbidden"), START),
        SocketError::Removed(process) => {
            let (who, cure) = match process {
                Some(process) => (
                    format!("the process {process}"),
                    format!("kill -HUP {process} makes it bind the socket again"),
                ),
                None => (
                    "systemd".to_owned(),
                    format!("systemctl restart smtpcred-{check}.socket"),
                ),
            };
            let found =
                format!("{endpoint}: the socket file was removed while {who} listens on it");
            area.fail(check, &found, &cure);
        }
        SocketError::Other(what) => {
            let found = format!("{endpoint}: {what}");
            match store.broken() {
                Some(cause) => area.follows(check, &found, cause),
                // One serve has both sockets.
                None => area.add_once(&what, CheckState::Fail, [check, &found, START]),
            }
        }
    }
}

/// Reports the cache of correct passwords, which are not hashed again.
fn remembering(area: &mut Area, endpoint: &Endpoint) {
    const CHECK: &str = "remembered passwords";
    let Ok(state) = sockets::remembering(endpoint) else {
        let found = "cannot tell: the running serve is older than this program";
        return area.warn(CHECK, found, "systemctl restart smtpcred");
    };
    let CacheStatus {
        passwords,
        used,
        most,
        crowded,
        ..
    } = state;
    if most == 0 {
        let found = "none: each sign-in is hashed (serve --remember 0)";
        return area.ok(CHECK, found);
    }
    let found = format!("{passwords}, in {} of {}", size(used), size(most));
    if crowded == 0 {
        return area.ok(CHECK, &found);
    }
    let found = format!(
        "{found}: it is full, so these were not remembered: {}",
        count(crowded, "sign-in")
    );
    let more = most.div_ceil(1 << 20) * 2;
    let advice = format!("give serve more memory: --remember {more}M");
    area.warn(CHECK, &found, &advice);
}

/// A process by the number that it gives: inside a container, another process may have it.
#[derive(PartialEq)]
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

    /// Returns the files that it has open together with a log, empty if that is unknown.
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

    fn examine(&self, area: &mut Area, store: &Path, unowned: Option<&Cause>) {
        let store = fs::canonicalize(store).unwrap_or_else(|_| store.to_owned());
        let stores = self.stores();
        if let Some(other) = stores.first()
            && !stores.contains(&store)
        {
            let found = format!("it uses {}, not {}", other.display(), store.display());
            let other = quoted(other);
            let advice = format!(
                "check that one with --store {other}, or set SMTPCRED_STORE where serve is started"
            );
            return area.fail("store", &found, &advice);
        }
        if let Some(cause) = unowned {
            return area.follows("store", UNREAD, cause);
        }
        let Some(who) = self.user().and_then(|name| Identity::named(&name)) else {
            return;
        };
        match who.kept_from_writing(&store) {
            Ok(None) => area.ok("store", &format!("{} may use it", who.name)),
            Ok(Some(closed)) => {
                let whose = fs::metadata(&store).map(|file| access::user(file.uid()));
                let advice = format!(
                    "run it as {}, the owner of the store; or, to run it as {}: chown {}: {}*",
                    whose.unwrap_or_default(),
                    who.name,
                    who.name,
                    quoted(&store)
                );
                let found = format!("it runs as {}, which cannot use it: {closed}", who.name);
                area.fail("store", &found, &advice);
            }
            Err(error) => area.cannot_tell("store", &error.to_string()),
        }
    }
}
