//! A name that is left out is chosen on a terminal, and nowhere else.

use nix::sys::signal::Signal;

use crate::support::pty::{CTRL_C, ENTER, NORMAL, Pty};
use crate::support::{Sandbox, finished};

const ESCAPE: &str = "\x1b";
const ASKED: &str = "type a part of the name";

fn three_users() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.create("crm@example.com");
    sandbox.create("shop@example.com");
    sandbox.create("wiki@example.com");
    sandbox.noted(&["user", "set", "wiki@example.com", "--label", "Handbook"]);
    sandbox
}

#[test]
fn each_command_that_takes_a_name_offers_those_of_the_store() {
    let sandbox = three_users();
    for (args, typed, seen) in [
        (&["user", "show"][..], "shop", "shop@example.com"),
        (&["user", "suspend"], "handb", "suspended wiki@example.com"),
        (&["user", "rotate", "--dry-run"], "crm", "crm@example.com"),
        (&["why"], "wiki", "NO: "),
        (&["domain", "show"], "exam", "example.com"),
    ] {
        let mut pty = Pty::run(&sandbox.command(args));
        pty.see(ASKED);
        pty.press(typed);
        pty.press(ENTER);
        let ended = pty.end();
        let shown = ended.screen().screen().contents();
        assert!(shown.contains(seen), "{args:?}: {shown}");
        assert_eq!(ended.modes, NORMAL);
    }
}

#[test]
fn leaving_it_changes_nothing() {
    type Leave = fn(&mut Pty);
    let ways: [(i32, Leave); 3] = [
        (130, |pty| pty.press(CTRL_C)),
        (130, |pty| pty.signal(Signal::SIGTERM)),
        (5, |pty| pty.press(ESCAPE)),
    ];
    for (code, leave) in ways {
        let sandbox = three_users();
        let mut pty = Pty::run(&sandbox.command(&["user", "suspend"]));
        pty.see(ASKED);
        leave(&mut pty);
        let ended = pty.end();
        assert_eq!(ended.code, code);
        assert_eq!(ended.modes, NORMAL);
        let suspended = sandbox.json(&["user", "list", "--status", "suspended"]);
        assert_eq!(suspended.as_array().map(Vec::len), Some(0));
    }
}

#[test]
fn nothing_is_offered_where_it_would_not_help() {
    let sandbox = three_users();
    // No terminal, a name that is new, more than a name missing, or JSON.
    let run = sandbox.run(&["user", "show"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("<USERNAME>"), "{}", run.stderr);
    for args in [
        &["domain", "add"][..],
        &["user", "show", "--json"],
        &["test", "--from", "shop@example.com"],
        &["user", "delete", "--yes"],
    ] {
        let ended = Pty::run(&sandbox.command(args)).end();
        let shown = ended.screen().screen().contents();
        assert_eq!(ended.code, 2, "{args:?}: {shown}");
        assert!(!shown.contains(ASKED), "{args:?}: {shown}");
    }
    // Nothing to choose from.
    let empty = Sandbox::new();
    finished(
        empty
            .command(&["domain", "add", "example.com"])
            .output()
            .unwrap(),
    );
    let ended = Pty::run(&empty.command(&["user", "show"])).end();
    assert_eq!(ended.code, 2);
}
