//! Commands that change several users: all are checked first, and each is changed on its own.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::support::pty::{CTRL_C, ENTER, Pty};
use crate::support::{PROGRAM, Sandbox, finished};

fn with(names: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    for name in names {
        sandbox.create(&format!("{name}@example.com"));
    }
    sandbox
}

fn status(sandbox: &Sandbox, name: &str) -> String {
    let user = sandbox.json(&["user", "show", &format!("{name}@example.com")]);
    user["status"].as_str().unwrap().to_owned()
}

fn events(sandbox: &Sandbox, action: &str) -> usize {
    let events = sandbox.json(&["audit", "list"]);
    let events = events.as_array().unwrap().iter();
    events.filter(|event| event["action"] == action).count()
}

const ALL: [&str; 3] = ["a@example.com", "b@example.com", "c@example.com"];

fn typed<'a>(command: &'a [&'a str], names: &'a [&'a str]) -> Vec<&'a str> {
    [command, names].concat()
}

#[test]
fn several_users_are_suspended_and_resumed_each_with_its_event() {
    let sandbox = with(&["a", "b", "c"]);
    let said = sandbox.run(&typed(&["user", "suspend"], &ALL)).stderr;
    assert_eq!(said.lines().count(), 3, "{said}");
    assert!(said.contains("suspended b@example.com: it can no longer sign in\n"));
    assert_eq!(events(&sandbox, "user.suspend"), 3);
    let list = sandbox.json(&typed(&["user", "resume"], &ALL));
    let names: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|user| &user["username"])
        .collect();
    assert_eq!(names, ALL);
    assert_eq!(list[1]["status"], "active");
    // One user is an object, as ever; twice the same is one.
    let one = sandbox.json(&["user", "suspend", "a@example.com", "a@example.com"]);
    assert_eq!(one["username"], "a@example.com");
}

/// The first command of an incident: nobody of this domain signs in any more.
#[test]
fn all_users_of_a_domain_are_suspended_and_resumed() {
    let sandbox = with(&["a", "b", "c"]);
    sandbox.noted(&["user", "create", "other@example.org", "--add-domain"]);
    sandbox.noted(&["user", "suspend", "a@example.com"]);
    let suspend = ["user", "suspend", "--domain", "example.com"];
    assert_eq!(sandbox.run(&suspend).code, 5, "a script has to say --yes");
    assert_eq!(status(&sandbox, "b"), "active");
    let mut pty = Pty::run(&sandbox.command(&suspend));
    pty.see("suspending the 2 users of example.com");
    pty.see("Type 2 to continue");
    pty.press("2\r");
    assert_eq!(pty.end().code, 0);
    for name in ["a", "b", "c"] {
        assert_eq!(status(&sandbox, name), "suspended");
    }
    let other = sandbox.json(&["user", "show", "other@example.org"]);
    assert_eq!(other["status"], "active");
    // Nothing is left to do, and nothing is asked.
    let run = sandbox.run(&suspend);
    assert_eq!(run.stderr, "suspended 0 users of example.com\n");
    let list = sandbox.json(&["user", "resume", "--domain", "example.com", "--yes"]);
    assert_eq!(list.as_array().unwrap().len(), 3);
    assert_eq!(events(&sandbox, "user.resume"), 3);
    // One is a list, too.
    sandbox.noted(&["user", "suspend", "c@example.com"]);
    let list = sandbox.json(&["user", "resume", "--domain", "example.com", "--yes"]);
    assert_eq!(list[0]["username"], "c@example.com");
    let both = [&suspend[..], &["a@example.com"]].concat();
    assert_eq!(sandbox.run(&both).code, 2, "names or a domain");
    let none = ["user", "suspend", "--domain", "none.invalid"];
    assert_eq!(sandbox.run(&none).code, 3, "no such domain");
}

#[test]
fn if_one_does_not_exist_none_is_changed() {
    let sandbox = with(&["a", "b"]);
    for command in [
        &["user", "suspend"][..],
        &["user", "delete", "--yes"],
        &["user", "reset", "--reveal", "json"],
    ] {
        let run = sandbox.run(&typed(
            command,
            &["a@example.com", "x@example.com", "b@example.com"],
        ));
        assert_eq!(run.code, 3, "{run:?}");
        assert!(run.stderr.contains("x@example.com"), "{run:?}");
        assert_eq!(run.stdout, "");
        assert_eq!(status(&sandbox, "a"), "active");
    }
}

#[test]
fn a_failure_says_which_were_changed() {
    let sandbox = with(&["a", "c"]);
    sandbox.noted(&["user", "create", "b@example.org", "--add-domain"]);
    let names = ["a@example.com", "b@example.org", "c@example.com"];
    sandbox.sql("UPDATE domains SET host = 'no host' WHERE name = 'example.org'");
    let folder = sandbox.folder.path().join("new");
    std::fs::create_dir(&folder).unwrap();
    let dir = folder.to_str().unwrap();
    let run = sandbox.run(&typed(
        &["user", "reset", "--quiet", "--output-dir", dir],
        &names,
    ));
    assert_eq!(run.code, 1, "{run:?}");
    let said = "reset: a@example.com; not reset: b@example.org, c@example.com";
    assert!(run.stderr.contains(said), "{run:?}");
    assert_eq!(events(&sandbox, "user.reset"), 1);
    let password = std::fs::read_to_string(folder.join("a@example.com")).unwrap();
    assert_eq!(sandbox.verify("a@example.com", password.trim_end()), 0);
    assert_eq!(
        std::fs::read_dir(&folder).unwrap().count(),
        1,
        "no other file"
    );
    // What was done is printed as a whole document.
    std::fs::remove_file(folder.join("a@example.com")).unwrap();
    let run = sandbox.run(&typed(
        &["user", "reset", "--json", "--output-dir", dir],
        &names,
    ));
    let printed: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(printed.as_array().unwrap().len(), 1);
}

#[test]
fn several_domains_are_removed_after_one_question() {
    let sandbox = with(&["a", "b"]);
    for name in ["one.example", "two.example", "three.example"] {
        sandbox.noted(&["domain", "add", name]);
    }
    let remove = ["domain", "remove"];
    // One that cannot be removed, or does not exist, ends it before the first.
    for (other, code) in [("example.com", 4), ("none.example", 3)] {
        let run = sandbox.run(&typed(&remove, &["one.example", other, "--yes"]));
        assert_eq!(run.code, code, "{run:?}");
    }
    let both = typed(
        &remove,
        &["one.example", "example.com", "one.example", "--with-users"],
    );
    assert_eq!(sandbox.run(&both).code, 5, "a script has to say --yes");
    let mut pty = Pty::run(&sandbox.command(&both));
    pty.see("removing one.example, example.com also deletes their 2 users");
    pty.see("Type 2 to continue");
    pty.press("2\r");
    assert_eq!(pty.end().code, 0);
    let list = sandbox.json(&typed(&remove, &["two.example", "three.example", "--yes"]));
    assert_eq!(list[1]["domain"], "three.example");
    assert_eq!(events(&sandbox, "domain.remove"), 4);
    sandbox.noted(&["domain", "add", "one.example"]);
    let mut pty = Pty::run(&sandbox.command(&typed(&remove, &["one.example"])));
    pty.see("removing one.example cannot be undone");
    pty.see("Type one.example to continue");
    pty.press("one.example\r");
    assert_eq!(pty.end().code, 0);
}

#[test]
fn several_are_deleted_after_one_question() {
    let sandbox = with(&["a", "b", "c"]);
    let run = sandbox.run(&typed(&["user", "delete"], &ALL));
    assert_eq!(run.code, 5, "a script has to say --yes: {run:?}");
    let mut pty = Pty::run(&sandbox.command(&typed(&["user", "delete"], &ALL[..2])));
    pty.see("Type 2 to continue");
    pty.press("2\r");
    assert_eq!(pty.end().code, 0);
    let list = sandbox.json(&["user", "list"]);
    assert_eq!(list.as_array().unwrap().len(), 1);
    sandbox.noted(&["user", "delete", "c@example.com", "--yes"]);
}

#[test]
fn p2_several_passwords_go_where_the_flags_say() {
    let sandbox = with(&["a", "b", "c"]);
    let run = sandbox.run(&typed(&["user", "reset"], &ALL));
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stderr.contains("--output-dir DIR"), "{run:?}");

    let run = sandbox.run(&typed(&["user", "reset", "--reveal", "json"], &ALL));
    assert_eq!(run.code, 0, "{run:?}");
    let lines: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let passwords: Vec<_> = lines
        .iter()
        .filter(|line| line["password"].is_string())
        .collect();
    assert_eq!(passwords.len(), 3);
    assert_eq!(lines.last().unwrap()["reset"], 3);
    for line in passwords {
        let password = line["password"].as_str().unwrap();
        assert_eq!(
            sandbox.verify(line["username"].as_str().unwrap(), password),
            0
        );
    }

    let folder = sandbox.folder.path().join("new");
    std::fs::create_dir(&folder).unwrap();
    let dir = folder.to_str().unwrap();
    let said = sandbox.run(&typed(
        &["user", "reset", "--json", "--output-dir", dir],
        &ALL[..2],
    ));
    assert_eq!(said.code, 0, "{said:?}");
    let users: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(users.as_array().unwrap().len(), 2);
    for name in &ALL[..2] {
        let file = folder.join(name);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let password = std::fs::read_to_string(&file).unwrap();
        assert_eq!(sandbox.verify(name, password.trim_end()), 0);
    }
    // Files are never overwritten: found before the first change.
    let before = sandbox.json(&["user", "show", "c@example.com"]);
    let run = sandbox.run(&[
        "user",
        "reset",
        "c@example.com",
        "a@example.com",
        "--output-dir",
        dir,
    ]);
    assert_eq!(run.code, 74, "{run:?}");
    assert_eq!(
        sandbox.json(&["user", "show", "c@example.com"])["passwords"],
        before["passwords"]
    );
    for flag in ["--output", "--password-file"] {
        let run = sandbox.run(&typed(
            &["user", "reset", flag, "/x", "--output-dir", dir],
            &ALL,
        ));
        assert_eq!(run.code, 2, "{run:?}");
    }
}

#[test]
fn p2_a_panel_that_is_cancelled_ends_the_command() {
    let sandbox = with(&["a", "b", "c"]);
    let mut pty = Pty::run(&sandbox.command(&typed(&["user", "reset"], &ALL)));
    pty.see("a@example.com");
    pty.answer(ENTER);
    pty.see("b@example.com");
    pty.answer(CTRL_C);
    let ended = pty.end();
    assert_eq!(ended.code, 130);
    ended.assert_restored();
    let said = ended.left().replace('\n', " ");
    assert!(said.contains("reset: a@example.com"), "{said}");
    assert_eq!(events(&sandbox, "user.reset"), 1);
}

#[test]
fn p2_panels_come_one_after_the_other() {
    let sandbox = with(&["a", "b"]);
    let mut pty = Pty::run(&sandbox.command(&typed(&["user", "reset"], &ALL[..2])));
    pty.see("a@example.com");
    pty.answer(ENTER);
    pty.see("b@example.com");
    pty.answer(ENTER);
    let ended = pty.end();
    assert_eq!(ended.code, 0);
    ended.assert_restored();
    assert_eq!(events(&sandbox, "user.reset"), 2);
}

/// What is committed is told as done, whoever has left in the meantime.
#[test]
fn p2_a_reader_that_leaves_is_told_who_was_reset() {
    let sandbox = with(&["a", "b", "c"]);
    let script = "exec 3>&2; \"$0\" user reset a@example.com b@example.com c@example.com \
        --reveal json 2>&3 | (read -r line; exec 0<&-; sleep 1)";
    let run = sandbox
        .other_command("sh", &["-c", script, PROGRAM])
        .output();
    let run = finished(run.expect("a shell"));
    let reset = events(&sandbox, "user.reset");
    assert!((1..3).contains(&reset), "{run:?}");
    let (done, left) = run.stderr.split_once("; not reset: ").expect("both");
    let named = |text: &str| text.matches("@example.com").count();
    let done = done.rsplit_once("; reset: ").expect("who was reset").1;
    assert_eq!(
        (named(done), named(left.lines().next().unwrap())),
        (reset, 3 - reset)
    );
}
