//! A `scan` that is killed half-way: what is done is done with its event, the rest is as before, and
//! the next run does it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, pipe};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::Signal;

use crate::scan::folder;
use crate::support::Sandbox;

/// Their passwords are all in the file `leak`.
fn leaked(names: &[String]) -> (Sandbox, BTreeMap<String, String>) {
    let sandbox = Sandbox::new();
    let passwords = names.iter().map(|name| {
        let run = sandbox.run(&["user", "create", name, "--add-domain", "--quiet"]);
        assert_eq!(run.code, 0, "{run:?}");
        (name.clone(), run.stdout.trim().to_owned())
    });
    let passwords: BTreeMap<_, _> = passwords.collect();
    let all: Vec<_> = passwords.values().map(String::as_str).collect();
    fs::write(sandbox.folder.path().join("leak"), all.join("\n")).unwrap();
    (sandbox, passwords)
}

/// Who has events of a kind, in order.
fn users_of(sandbox: &Sandbox, action: &str) -> Vec<String> {
    sandbox.texts(&format!(
        "SELECT username FROM events WHERE action = '{action}' ORDER BY username"
    ))
}

/// It waits after at most fifteen of the users, because nobody reads the rest of what it says.
#[test]
fn p5_suspending_is_killed_half_way() {
    const PIPE: i32 = 4096;
    let label = "x".repeat(56);
    let domain = format!("{label}.{label}.{label}.example.com");
    let names: Vec<_> = (10..34).map(|n| format!("u{n}{label}@{domain}")).collect();
    let (sandbox, passwords) = leaked(&names);
    let (reader, writer) = pipe().unwrap();
    assert_eq!(fcntl(&reader, FcntlArg::F_SETPIPE_SZ(PIPE)), Ok(PIPE));
    let mut command = sandbox.command(&["scan", "leak", "--suspend", "--yes"]);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(writer)
        .spawn()
        .unwrap();
    // The other end is the child's alone.
    drop(command);
    let mut said = BufReader::with_capacity(1, reader).lines();
    let first = said.find_map(|line| line.unwrap().contains("suspended u").then_some(()));
    assert!(first.is_some(), "the first is told");
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::SIGKILL as i32));
    let suspended = sandbox
        .texts("SELECT username FROM users WHERE suspended_at IS NOT NULL ORDER BY username");
    assert!((1..names.len()).contains(&suspended.len()), "{suspended:?}");
    assert_eq!(users_of(&sandbox, "user.suspend"), suspended);
    for (name, password) in &passwords {
        let works = sandbox.verify(name, password) == 0;
        assert_eq!(works, !suspended.contains(name), "{name}");
    }
    let run = sandbox.run(&["scan", "leak", "--suspend", "--yes"]);
    assert_eq!(run.code, 7, "{run:?}");
    assert_eq!(users_of(&sandbox, "user.suspend"), names, "one event each");
    assert!(
        passwords
            .iter()
            .all(|(name, password)| sandbox.verify(name, password) != 0)
    );
}

/// The delivery for the second of three kills the scan.
#[test]
fn p6_rotating_is_killed_half_way() {
    let names = ["a", "b", "c"].map(|name| format!("{name}@example.com"));
    let (sandbox, passwords) = leaked(&names);
    let place = folder(&sandbox, "delivered");
    for name in [&names[0], &names[2]] {
        let file = format!("{place}/{name}");
        sandbox.noted(&["user", "set", name, "--write-file", &file]);
    }
    let deliver = format!("sh -c 'cat >{place}/{} && kill -9 $PPID'", names[1]);
    sandbox.noted(&["user", "set", &names[1], "--deliver", &deliver]);
    let mut command = sandbox.command(&["scan", "leak", "--rotate", "--yes"]);
    let said = command.output().unwrap();
    assert_eq!(
        said.status.signal(),
        Some(Signal::SIGKILL as i32),
        "{said:?}"
    );
    let delivered = |name: &str| {
        let text = fs::read_to_string(format!("{place}/{name}")).ok()?;
        Some(text.trim().to_owned())
    };
    // Whatever was delivered works, and what was not is as before.
    for (name, old) in &passwords {
        if let Some(new) = delivered(name) {
            assert_eq!(sandbox.verify(name, &new), 0, "{name}: delivered");
        } else {
            assert_eq!(sandbox.verify(name, old), 0, "{name}: not delivered");
        }
    }
    // Nobody knows whether the second one arrived: both work until somebody says so.
    let leaked = &passwords[&names[1]];
    assert_eq!(sandbox.verify(&names[1], leaked), 0);
    let run = sandbox.run(&["scan", "leak", "--rotate", "--yes"]);
    assert_eq!(run.code, 1, "{run:?}");
    let told = run
        .stderr
        .split_once("if the new password arrived: smtpcred ");
    let (retire, _) = told
        .and_then(|(_, told)| told.split_once(';'))
        .expect(&run.stderr);
    assert_eq!(sandbox.verify(&names[1], leaked), 0);
    let retire: Vec<_> = retire.split(' ').collect();
    let retired = sandbox.run(&[&retire[..], &["--yes"]].concat());
    assert_eq!(retired.code, 0, "{retired:?}");
    let run = sandbox.run(&["scan", "leak", "--rotate", "--yes"]);
    assert_eq!(run.code, 7, "nothing is left to do: {run:?}");
    for (name, old) in &passwords {
        let new = delivered(name).expect("all are delivered");
        assert_eq!(sandbox.verify(name, &new), 0, "{name}");
        assert_eq!(sandbox.verify(name, old), 6, "{name}");
    }
    let begun = users_of(&sandbox, "rotation.begin");
    assert_eq!(begun, names, "one event each");
}
