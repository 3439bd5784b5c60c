//! The journal, as a `journalctl` in its place says it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::{Follower, keep_messages, recording, states};
use crate::support::{Sandbox, wait_for};

/// A folder with a `journalctl` that runs this script.
fn journalctl(sandbox: &Sandbox, script: &str) -> String {
    let folder = sandbox.folder.path().join("bin");
    fs::create_dir_all(&folder).unwrap();
    let program = folder.join("journalctl");
    let log = sandbox.folder.path().join("entries");
    let asked = sandbox.folder.path().join("asked");
    let script = format!(
        "#!/bin/sh\nentries={} asked={}\necho \"$*\" >> $asked\n{script}\n",
        log.display(),
        asked.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    format!("{}:{path}", folder.display())
}

fn asked(sandbox: &Sandbox) -> Vec<String> {
    let asked = fs::read_to_string(sandbox.folder.path().join("asked"));
    asked
        .unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_journalctl_that_dies_is_started_again_where_it_was() {
    let sandbox = Sandbox::new();
    keep_messages(&sandbox);
    let lines = recording("j01-journal-json.log");
    let half = lines.len() / 2;
    fs::write(sandbox.folder.path().join("entries"), &lines).unwrap();
    // The first one dies within a line.
    let script = format!(
        "case \"$*\" in
         *--cursor=*)
             cursor=$(echo \"$*\" | sed 's/.*--cursor=\\([^ ]*\\).*/\\1/')
             grep -nF \"$cursor\" $entries | head -n 1 | cut -d: -f1 > $entries.line
             tail -n +$(cat $entries.line) $entries; exec sleep 600 ;;
         *) head -c {half} $entries; echo 'it broke' >&2; exit 3 ;;
         esac"
    );
    let path = journalctl(&sandbox, &script);
    let mut follower = Follower::start_with(&sandbox, &["--journal"], &[("PATH", &path)]);
    follower.says("journalctl ended and is started again: it broke");
    wait_for("all of them", || {
        (states(&sandbox).len() == 12).then_some(())
    });
    let said = follower.said();
    follower.stop();
    assert!(!said.contains("is gone"), "{said}");
    assert!(asked(&sandbox)[0].contains("--since=@"));
}

#[test]
fn what_was_dropped_or_is_gone_is_said() {
    let sandbox = Sandbox::new();
    keep_messages(&sandbox);
    let lines = recording("j04-journal-ratelimited.log");
    fs::write(sandbox.folder.path().join("entries"), &lines).unwrap();
    let path = journalctl(&sandbox, "cat $entries; exec sleep 600");
    let variables = [("PATH", path.as_str())];
    let mut follower = Follower::start_with(&sandbox, &["--journal"], &variables);
    follower.says("33 lines were dropped by journald at 2026-11-30T");
    wait_for("the messages", || {
        (!states(&sandbox).is_empty()).then_some(())
    });
    let before = states(&sandbox).len();
    follower.kill();
    // The entry where it stopped is gone.
    let rest = recording("j01-journal-json.log");
    fs::write(sandbox.folder.path().join("entries"), &rest).unwrap();
    let mut follower = Follower::start_with(&sandbox, &["--journal"], &variables);
    follower.says("the entry where reading stopped is gone");
    wait_for("the rest", || {
        (states(&sandbox).len() >= before + 12).then_some(())
    });
    assert_eq!(follower.said().matches("were dropped").count(), 1);
    assert!(
        asked(&sandbox)[1].contains("--cursor="),
        "{:?}",
        asked(&sandbox)
    );
    follower.stop();
}

#[test]
fn without_rights_the_groups_are_named() {
    let sandbox = Sandbox::new();
    keep_messages(&sandbox);
    let script = "echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1";
    let path = journalctl(&sandbox, script);
    let run = sandbox
        .command(&["messages", "follow", "--journal"])
        .env("PATH", path)
        .output()
        .unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(said.contains("systemd-journal"), "{said}");
    assert_eq!(states(&sandbox), []);
}
