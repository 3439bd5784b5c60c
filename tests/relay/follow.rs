//! `messages follow`: what it records from logs that are written meanwhile.

mod delivery;
mod journal;
mod traffic;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rusqlite::Connection;
use smtpcred::model::duration::Duration;
use smtpcred::model::message_rules::MessageRules;
use smtpcred::store::{Access, Location, MessageStore};

use crate::support::{Sandbox, Server, wait_for};

/// Messages are kept from now on.
pub fn keep_messages(sandbox: &Sandbox) {
    let store = Location::File(sandbox.store());
    let mut messages = MessageStore::open(&store, Access::Create).expect("our folder");
    let rules = MessageRules {
        keep: Some(Duration::days(3650)),
        ..MessageRules::default()
    };
    messages.set_rules(&rules).expect("our file");
}

/// The file of the messages.
pub fn messages_file(sandbox: &Sandbox) -> PathBuf {
    MessageStore::file_of(&Location::File(sandbox.store())).expect("a file")
}

/// The address and state of each recipient of each message, sorted.
pub fn states(sandbox: &Sandbox) -> Vec<(String, String)> {
    let file = Connection::open(messages_file(sandbox)).expect("our file");
    let mut query = file
        .prepare(
            "SELECT coalesce(r.address, '?'), r.state FROM messages m
             JOIN message_recipients r ON r.message = m.id ORDER BY 1, 2",
        )
        .expect("SQL");
    let rows = query
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("rows");
    rows.map(|row| row.expect("a row")).collect()
}

/// A `messages follow` that runs.
pub struct Follower {
    child: Server,
    said: PathBuf,
}

impl Follower {
    /// Starts it with these arguments; what it says is appended to a file in the sandbox.
    pub fn start(sandbox: &Sandbox, args: &[&str]) -> Self {
        Self::start_with(sandbox, args, &[])
    }

    /// Does the same with these environment variables.
    pub fn start_with(sandbox: &Sandbox, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let said = sandbox.folder.path().join("follow.log");
        let file = File::options().create(true).append(true).open(&said);
        let printed = File::create(sandbox.folder.path().join("printed")).expect("our folder");
        let child = sandbox
            .command(&[&["messages", "follow"], args].concat())
            .envs(variables.iter().copied())
            .stdout(printed)
            .stderr(Stdio::from(file.expect("our folder")))
            .spawn()
            .expect("it runs");
        Self {
            child: Server(child),
            said,
        }
    }

    /// What it and those before it said.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// Waits until it has said this.
    pub fn says(&mut self, text: &str) {
        wait_for(text, || {
            if self.said().contains(text) {
                return Some(());
            }
            let ended = self.child.0.try_wait().expect("our child");
            assert!(ended.is_none(), "it ended: {}", self.said());
            None
        });
    }

    /// Without a word.
    pub fn kill(mut self) {
        self.child.0.kill().expect("it runs");
        self.child.0.wait().expect("our child");
    }

    /// Asks it to end; it must do so well.
    pub fn stop(mut self) {
        let pid = self.child.0.id().try_into().expect("a process id");
        // If it was only just started, the signal would still kill it.
        wait_for("it to catch SIGTERM", || {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let caught = status
                .lines()
                .find_map(|line| line.strip_prefix("SigCgt:"))?;
            let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
            (caught >> (Signal::SIGTERM as u32 - 1) & 1 == 1).then_some(())
        });
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it runs");
        let status = wait_for("its end", || self.child.0.try_wait().expect("ours"));
        assert!(status.success(), "{status}: {}", self.said());
    }
}

/// A recording of Postfix.
fn recording(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/maillogs");
    fs::read(folder.join(name)).expect("a recording")
}

fn append(log: &Path, bytes: &[u8]) {
    let file = File::options().create(true).append(true).open(log);
    file.and_then(|mut file| file.write_all(bytes))
        .expect("our folder");
}

fn is_recorded(sandbox: &Sandbox, address: &str, state: &str) {
    wait_for(address, || {
        let states = states(sandbox);
        let wanted = (address.to_owned(), state.to_owned());
        states.contains(&wanted).then_some(())
    });
}

#[test]
fn a_log_is_followed_from_its_beginning_and_over_a_restart() {
    let sandbox = Sandbox::new();
    keep_messages(&sandbox);
    let log = sandbox.folder.path().join("mail.log");
    let lines = recording("p02-mixed.log");
    // Before the last attempt for the one that was deferred.
    let (first, rest) = lines.split_at(lines.len() - 700);
    append(&log, first);
    let args = ["--log", log.to_str().unwrap()];
    let follower = Follower::start(&sandbox, &args);
    is_recorded(&sandbox, "ok1@remote.test", "sent");
    follower.kill();
    fs::rename(&log, log.with_extension("log.1")).unwrap();
    append(&log.with_extension("log.1"), rest);
    append(&log, &recording("p06-postsuper-d.log"));
    let follower = Follower::start(&sandbox, &args);
    is_recorded(&sandbox, "r450x@remote.test", "deleted");
    is_recorded(&sandbox, "once-m@remote.test", "sent");
    is_recorded(&sandbox, "r550a@remote.test", "bounced");
    follower.stop();
    assert_eq!(states(&sandbox).len(), 5, "{:?}", states(&sandbox));
}

#[test]
fn nothing_is_lost_while_the_store_is_locked() {
    let sandbox = Sandbox::new();
    keep_messages(&sandbox);
    let log = sandbox.folder.path().join("mail.log");
    let mut follower = Follower::start(&sandbox, &["--log", log.to_str().unwrap()]);
    let lock = Connection::open(messages_file(&sandbox)).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    append(&log, &recording("p02-mixed.log"));
    follower.says("messages cannot be recorded");
    let second = sandbox.run(&["messages", "follow", "--log", log.to_str().unwrap()]);
    assert_eq!(second.code, 75, "{second:?}");
    assert!(second.stderr.contains("another process"), "{second:?}");
    assert_eq!(states(&sandbox), []);
    append(&log, &recording("p06-postsuper-d.log"));
    lock.execute_batch("COMMIT").unwrap();
    follower.says("messages can be recorded again");
    is_recorded(&sandbox, "r450x@remote.test", "deleted");
    follower.stop();
    assert_eq!(states(&sandbox).len(), 5, "{:?}", states(&sandbox));
}

#[test]
fn states_are_printed_as_they_come() {
    let sandbox = Sandbox::new();
    let log = sandbox.folder.path().join("mail.log");
    append(&log, &recording("p06-postsuper-d.log"));
    let args = ["--print", "--json", "--log", log.to_str().unwrap()];
    let mut follower = Follower::start(&sandbox, &args);
    follower.says("nothing is recorded");
    let printed = || fs::read_to_string(sandbox.folder.path().join("printed")).unwrap();
    // What was there before it looked first is not printed.
    let lines = recording("p02-mixed.log");
    wait_for("the states", || {
        append(&log, &lines);
        printed().contains("r550a@remote.test").then_some(())
    });
    wait_for("the last one", || {
        printed().contains("once-m@").then_some(())
    });
    follower.stop();
    assert!(!printed().contains("r450x@remote.test"), "{}", printed());
    for line in printed().lines() {
        let state: serde_json::Value = serde_json::from_str(line).expect("an object");
        assert_eq!(state["username"], "alice@example.com");
        let is_sent = state["address"] != "r550a@remote.test";
        assert_eq!(state["state"], if is_sent { "sent" } else { "bounced" });
    }
}

#[test]
fn what_is_missing_is_said_with_what_to_do() {
    let sandbox = Sandbox::new();
    let log = sandbox.folder.path().join("mail.log");
    let run = sandbox.run(&["messages", "follow", "--log", "mail.log"]);
    assert_eq!(run.code, 4, "{run:?}");
    assert!(run.stderr.contains("--keep-messages 30d"), "{run:?}");
    keep_messages(&sandbox);
    fs::create_dir(&log).unwrap();
    let run = sandbox.run(&["messages", "follow", "--log", "mail.log"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("not a regular file"), "{run:?}");
}
