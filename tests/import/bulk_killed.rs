//! `kill -9` while many users are created: a file that can be seen works, no user is
//! without a password that somebody has, and the same command brings it to its end
//! (promise 2). The moments are random; to repeat a run, set `KILL_SEED` to what it
//! printed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, pipe};
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use crate::support::bulk::{
    TO_FOLDER_AGAIN as TO_FOLDER, created, files, folder, names, sandbox, usernames, users, works,
};
use crate::support::dice::Dice;
use crate::support::{Sandbox, Server, fill, wait_for_holder};

const TO_STREAM: [&str; 7] = [
    "user",
    "create",
    "--from",
    "names.csv",
    "--reveal",
    "json",
    "--skip-existing",
];
const IMPORT: [&str; 7] = [
    "user",
    "import",
    "names.csv",
    "--from",
    "csv",
    "--output-dir",
    "passwords",
];
const KILLS: u32 = 60;

fn started(sandbox: &Sandbox, args: &[&str]) -> Server {
    let mut command = sandbox.command(args);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Server(command.spawn().unwrap())
}

/// Whether it was still running.
fn killed(running: &mut Server) -> bool {
    running.0.kill().unwrap();
    running.0.wait().unwrap().code().is_none()
}

/// The users whose password stands in a hidden file.
fn of_hidden(hidden: &BTreeSet<String>) -> BTreeMap<String, String> {
    let parts = hidden.iter().map(|name| {
        let mut parts = name.strip_prefix(".smtpcred-").unwrap().splitn(3, '-');
        let (_, key, username) = (parts.next(), parts.next().unwrap(), parts.next().unwrap());
        (username.to_owned(), key.to_owned())
    });
    parts.collect()
}

/// What holds at any moment, before anybody tidies up. Says whether it was between
/// a commit and what follows it.
fn nothing_is_lost(sandbox: &Sandbox) -> (bool, bool) {
    let (seen, hidden) = files(sandbox);
    let there = users(sandbox);
    let hidden = of_hidden(&hidden);
    for name in &seen {
        assert!(there.contains_key(name), "{name}: a file without a user");
    }
    let mut between = false;
    for (name, key) in &there {
        let has = hidden.get(name) == Some(key);
        assert!(
            has || seen.contains(name),
            "{name}: nobody knows its password"
        );
        between |= has;
    }
    let before = hidden
        .iter()
        .any(|(name, key)| there.get(name) != Some(key));
    (before, between)
}

#[test]
fn p2_killed_before_the_commit_nothing_can_be_seen() {
    for (args, import) in [(TO_FOLDER, false), (IMPORT, true)] {
        let sandbox = sandbox();
        let all = names(&sandbox, 4);
        folder(&sandbox);
        let (mut running, store) = sandbox.at_lock(&args, Stdio::null());
        assert!(killed(&mut running));
        store.execute_batch("ROLLBACK").unwrap();
        // How many it had hashed by then depends on the machine.
        let (seen, hidden) = files(&sandbox);
        let made = hidden.len();
        assert!(seen.is_empty() && (1..=4).contains(&made), "{hidden:?}");
        assert!(users(&sandbox).is_empty());
        // Another store's run has nothing to say about them.
        let other = sandbox.folder.path().join("other.db");
        let mut command = sandbox.command(&args);
        command.env("SMTPCRED_STORE", &other);
        assert!(command.output().unwrap().status.code() != Some(0));
        let elsewhere = ["domain", "add", "example.com", "-q"];
        let mut add = sandbox.command(&elsewhere);
        assert!(
            add.env("SMTPCRED_STORE", &other)
                .status()
                .unwrap()
                .success()
        );
        let one = ["user", "create", "--from", "-", "--output-dir", "passwords"];
        let run = sandbox
            .command(&one)
            .env("SMTPCRED_STORE", &other)
            .output()
            .unwrap();
        let said = String::from_utf8(run.stderr).unwrap();
        assert_eq!(
            said.matches("perhaps with another store").count(),
            made,
            "{said}"
        );
        assert_eq!(files(&sandbox).1.len(), made);

        let run = sandbox.run(&args);
        assert_eq!(run.code, 0, "{run:?}");
        let passwords = if made == 1 { "password" } else { "passwords" };
        let removed = format!("removed {made} {passwords} of an earlier run");
        assert!(run.stderr.contains(&removed), "{run:?}");
        assert_eq!(files(&sandbox), (all.clone(), BTreeSet::new()));
        assert_eq!(usernames(&sandbox), all);
        assert!(all.iter().all(|name| works(&sandbox, name)), "{import}");
    }
}

#[test]
fn p2_killed_behind_the_commit_the_next_run_gives_the_files_their_names() {
    for args in [TO_FOLDER, IMPORT] {
        let sandbox = sandbox();
        let all = names(&sandbox, 3);
        folder(&sandbox);
        // How a hidden name looks is learned from a run that is killed before.
        let (mut running, store) = sandbox.at_lock(&args, Stdio::null());
        assert!(killed(&mut running));
        store.execute_batch("ROLLBACK").unwrap();
        let sample = files(&sandbox).1.pop_first().unwrap();
        let mark = sample.split('-').nth(1).unwrap().to_owned();
        sandbox.noted(&args);
        let hidden = |name: &str| {
            let key = &users(&sandbox)[name];
            folder(&sandbox).join(format!(".smtpcred-{mark}-{key}-{name}"))
        };
        let seen = |name: &str| folder(&sandbox).join(name);
        // Committed; committed and linked; committed, and its name taken since.
        fs::rename(seen("app0@example.com"), hidden("app0@example.com")).unwrap();
        fs::hard_link(seen("app1@example.com"), hidden("app1@example.com")).unwrap();
        fs::rename(seen("app2@example.com"), hidden("app2@example.com")).unwrap();
        fs::write(seen("app2@example.com"), "of somebody else").unwrap();
        let run = sandbox.run(&args);
        assert_eq!(run.code, 0, "{run:?}");
        assert!(
            run.stderr
                .contains("an earlier run gave app0@example.com the password in "),
            "{run:?}"
        );
        assert!(run.stderr.contains("left a password in"), "{run:?}");
        assert!(works(&sandbox, "app0@example.com"));
        assert!(works(&sandbox, "app1@example.com"));
        let taken = fs::read_to_string(seen("app2@example.com")).unwrap();
        assert_eq!(taken, "of somebody else");
        assert!(hidden("app2@example.com").exists(), "never lost");
        assert_eq!(files(&sandbox).1.len(), 1);
        assert_eq!(usernames(&sandbox), all);
    }
}

#[test]
fn p2_killed_at_any_moment_exactly_those_who_were_delivered_exist() {
    let sandbox = sandbox();
    let mut dice = Dice::new();
    let (mut done, mut kills, mut befores, mut betweens) = (0, 0, 0, 0);
    let path = sandbox.folder.path().join("passwords");
    while kills < KILLS || befores < 3 || betweens == 0 {
        assert!(kills < 20 * KILLS, "{befores} {betweens}: moments not met");
        let all = names(&sandbox, 60);
        folder(&sandbox);
        let mut running = started(&sandbox, &TO_FOLDER);
        // Most of them where files are written and given their names, which takes a
        // small part of the time.
        let begun = files(&sandbox);
        let mut until = |new: &dyn Fn() -> bool| {
            while running.0.try_wait().unwrap().is_none() && !new() {
                sleep(Duration::from_micros(100));
            }
        };
        let longest = match kills % 3 {
            0 => 800_000,
            1 => {
                until(&|| !files(&sandbox).1.is_subset(&begun.1));
                100_000
            }
            _ => {
                until(&|| files(&sandbox).0.len() > begun.0.len());
                1_000
            }
        };
        sleep(Duration::from_micros(dice.below(longest)));
        kills += u32::from(killed(&mut running));
        let (before, between) = nothing_is_lost(&sandbox);
        befores += u32::from(before);
        betweens += u32::from(between);
        if usernames(&sandbox) == all && files(&sandbox).1.is_empty() {
            assert_eq!(files(&sandbox).0, all);
            assert!(works(&sandbox, "app0@example.com"));
            assert!(works(&sandbox, "app59@example.com"));
            done += 1;
            fs::remove_dir_all(&path).unwrap();
            for name in &all {
                sandbox.ok(&["user", "delete", name, "--yes", "-q"]);
            }
        }
    }
    println!("killed {kills}, before a commit {befores}, behind one {betweens}, ended {done}");
    folder(&sandbox);
    sandbox.noted(&TO_FOLDER);
    let there = usernames(&sandbox);
    assert_eq!(files(&sandbox), (there.clone(), BTreeSet::new()));
    for name in &there {
        assert!(works(&sandbox, name), "{name}");
    }
    assert_eq!(created(&sandbox), there.len() + 60 * done);
}

#[test]
fn p2_killed_at_any_moment_every_user_was_printed_whole() {
    let sandbox = sandbox();
    let mut dice = Dice::new();
    let all = names(&sandbox, 300);
    let (mut kills, mut unsaid) = (0, 0);
    // Of each user, the last line that named it.
    let mut printed: BTreeMap<String, serde_json::Value> = BTreeMap::new();
    while usernames(&sandbox) != all {
        let child = sandbox
            .command(&TO_STREAM)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut running = Server(child.unwrap());
        let mut stdout = BufReader::new(running.0.stdout.take().unwrap());
        let mut text = String::new();
        for _ in 0..=dice.below(4) {
            stdout.read_line(&mut text).unwrap();
        }
        sleep(Duration::from_micros(dice.below(60_000)));
        kills += u32::from(killed(&mut running));
        stdout.read_to_string(&mut text).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "a half of a line");
        let mut said = 0;
        let mut lines = Vec::new();
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            match line["created"].as_u64() {
                Some(count) => said = usize::try_from(count).unwrap(),
                None => lines.push(line),
            }
        }
        let there = users(&sandbox);
        for (i, line) in lines.into_iter().enumerate() {
            let name = line["username"].as_str().unwrap().to_owned();
            let is_there = there.get(&name).map(String::as_str) == line["password_id"].as_str();
            assert!(is_there || i >= said, "{name}: said to be there");
            unsaid += u32::from(is_there && i >= said);
            printed.insert(name, line);
        }
        for (name, key) in &there {
            assert_eq!(printed[name]["password_id"], **key, "{name}: never told");
        }
    }
    println!("killed {kills}, committed and not said so {unsaid}");
    assert!(kills >= 5);
    for name in all.iter().step_by(10) {
        let password = printed[name]["password"].as_str().unwrap();
        assert_eq!(sandbox.verify(name, password), 0, "{name}");
    }
    assert_eq!(created(&sandbox), all.len());
}

/// The change is made, and the passwords are not out.
#[test]
fn p2_killed_where_nobody_reads_nothing_has_changed() {
    let sandbox = sandbox();
    names(&sandbox, 5);
    let (reader, writer) = pipe().unwrap();
    let (mut running, store) = sandbox.at_lock(&TO_STREAM, writer.try_clone().unwrap());
    fill(&writer);
    store.execute_batch("ROLLBACK").unwrap();
    wait_for_holder(&store);
    assert!(killed(&mut running));
    drop(reader);
    assert!(users(&sandbox).is_empty());
    assert_eq!(created(&sandbox), 0);
}
