//! A name that is left out is chosen on a terminal, and nowhere else.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use nix::sys::signal::Signal;

use crate::support::pty::{CTRL_C, ENTER, NORMAL, Pty};
use crate::support::{Sandbox, finished};

const ESCAPE: &str = "\x1b";
const ASKED: &str = "type part of the name";

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
        &["user", "list", "--sort"],
        &["user", "delete", "--yes"],
    ] {
        let ended = Pty::run(&sandbox.command(args)).end();
        let shown = ended.screen().screen().contents();
        assert_eq!(ended.code, 2, "{args:?}: {shown}");
        assert!(!shown.contains(ASKED), "{args:?}: {shown}");
    }
    // A terminal that cannot show it.
    for term in ["dumb", ""] {
        let mut command = sandbox.command(&["user", "show"]);
        let ended = Pty::run(command.env("TERM", term)).end();
        let shown = ended.screen().screen().contents();
        assert_eq!(ended.code, 2, "{shown}");
        assert!(shown.contains("<USERNAME>"), "{shown}");
    }
    let mut pty = Pty::open(24, 10);
    pty.start(&sandbox.command(&["user", "show"]));
    assert_eq!(pty.end().code, 2);
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

#[test]
fn what_comes_after_a_name_is_asked_for() {
    let sandbox = three_users();
    let mut pty = Pty::run(&sandbox.command(&["user", "rename"]));
    pty.see(ASKED);
    pty.press("wiki");
    pty.press(ENTER);
    pty.see("New name");
    pty.press("docs@example.com\r");
    let ended = pty.end();
    let shown = ended.screen().screen().contents();
    assert!(
        shown.contains("renamed wiki@example.com to docs@example.com"),
        "{shown}"
    );
    // Without an answer, nothing is changed.
    let mut pty = Pty::run(&sandbox.command(&["user", "copy"]));
    pty.see(ASKED);
    pty.press("shop");
    pty.press(ENTER);
    pty.see("New name");
    pty.press(ENTER);
    assert_eq!(pty.end().code, 5);
    let mut pty = Pty::run(&sandbox.command(&["test", "--subject", "Hello"]));
    pty.see(ASKED);
    pty.press("shop");
    pty.press(ENTER);
    pty.see("Send to");
    pty.press(CTRL_C);
    assert_eq!(pty.end().code, 130);
}

#[test]
fn a_part_of_a_name_offers_those_that_have_it() {
    let sandbox = three_users();
    sandbox.create("web-shop@example.com");
    // Exactly one, mistyped or begun: a question that Enter answers with no.
    for (typed, code) in [("wik", 2), ("wiik@example.com", 3), ("handb", 2)] {
        let show = ["user", "show", typed];
        for (answer, shows) in [
            ("y\r", true),
            ("yess\x7f\r", true),
            (ENTER, false),
            ("n\r", false),
        ] {
            let mut pty = Pty::run(&sandbox.command(&show));
            pty.see("did you mean wiki@example.com? [y/N]");
            pty.press(answer);
            let ended = pty.end();
            let shown = ended.screen().screen().contents();
            assert_eq!(shown.contains("Handbook"), shows, "{shown}");
            // The question is not asked again as a hint.
            assert_eq!(shown.matches("did you mean").count(), 1, "{shown}");
            let lists = shown.contains("list all users with: smtpcred user list");
            assert_eq!(lists, !shows, "{shown}");
            assert_eq!(ended.code, if shows { 0 } else { code }, "{shown}");
        }
        // A script gets the error.
        let run = sandbox.run(&show);
        assert_eq!((run.code, run.stdout.as_str()), (code, ""));
    }
    // Several.
    for args in [&["user", "suspend", "shop"][..], &["why", "sho"]] {
        let mut pty = Pty::run(&sandbox.command(args));
        pty.see("choose");
        pty.press("web");
        pty.press(ENTER);
        let ended = pty.end();
        let shown = ended.screen().screen().contents();
        assert!(shown.contains("web-shop@example.com"), "{shown}");
        assert!(!shown.contains("crm@example.com"), "{shown}");
    }
    let mut pty = Pty::run(&sandbox.command(&["domain", "show", "exmaple.com"]));
    pty.see("did you mean example.com?");
    pty.press("y\r");
    assert_eq!(pty.end().code, 0);
    // What is no name is an error as before.
    let ended = Pty::run(&sandbox.command(&["test", "--port", "x"])).end();
    assert_eq!(ended.code, 2);
}

#[test]
fn only_users_that_a_command_is_for_are_offered() {
    let sandbox = three_users();
    let nobody = Pty::run(&sandbox.command(&["user", "resume"])).end();
    let shown = nobody.screen().screen().contents();
    assert_eq!(nobody.code, 2);
    assert!(shown.contains("no user is suspended"), "{shown}");
    sandbox.noted(&["user", "suspend", "wiki@example.com"]);
    let reset = ["user", "reset", "shop@example.com", "--overlap", "1d"];
    assert_eq!(sandbox.run(&reset).code, 0);
    // The last one that is offered, which is drawn after the others.
    for (command, offered, others, typed) in [
        ("suspend", "shop@example.com  overlap", 1, "crm"),
        ("resume", "wiki@example.com  suspended  Handbook", 0, "wiki"),
        ("retire", "shop@example.com  overlap", 0, "shop"),
    ] {
        let mut pty = Pty::run(&sandbox.command(&["user", command]));
        let screen = pty.see(offered);
        assert_eq!(
            screen.matches("@example.com").count(),
            others + 1,
            "{screen}"
        );
        pty.press(typed);
        pty.press(ENTER);
        let ended = pty.end();
        let shown = ended.screen().screen().contents();
        assert_eq!(ended.code, 0, "{shown}");
        assert!(shown.contains(&format!("{typed}@example.com")), "{shown}");
        if command == "suspend" {
            sandbox.noted(&["user", "resume", "crm@example.com"]);
        }
    }
}

#[test]
fn parts_of_several_names_are_asked_one_after_the_other() {
    let sandbox = three_users();
    let mut pty = Pty::run(&sandbox.command(&["user", "suspend", "wik", "cr"]));
    pty.see("did you mean wiki@example.com?");
    pty.press("y\r");
    pty.see("did you mean crm@example.com?");
    pty.press("y\r");
    assert_eq!(pty.end().code, 0);
    let suspended = sandbox.json(&["user", "list", "--status", "suspended"]);
    assert_eq!(suspended.as_array().map(Vec::len), Some(2));
    // A part of the old name, and no new one.
    let mut pty = Pty::run(&sandbox.command(&["user", "rename", "wik"]));
    pty.see("did you mean wiki@example.com?");
    pty.press("y\r");
    pty.see("New name: ");
    pty.press("docs@example.com\r");
    let ended = pty.end();
    let shown = ended.screen().screen().contents();
    assert!(
        shown.contains("renamed wiki@example.com to docs@example.com"),
        "{shown}"
    );
}

/// The Enter behind it belongs to the answer, not to the next question.
#[test]
fn an_answer_ends_with_enter() {
    let sandbox = three_users();
    let mut pty = Pty::run(&sandbox.command(&["verify", "wik"]));
    pty.see("did you mean wiki@example.com? [y/N]");
    pty.press("y");
    pty.see("[y/N] y");
    pty.press(ENTER);
    pty.see("Password:");
    pty.press(ENTER);
    let ended = pty.end();
    let shown = ended.screen().screen().contents();
    assert!(shown.contains("no password was typed"), "{shown}");
    assert_eq!(ended.code, 2, "as with an empty stdin: {shown}");
    let mut pty = Pty::run(&sandbox.command(&["user", "delete", "wik@example.com"]));
    pty.see("[y/N]");
    pty.press("y\r");
    pty.see("Type wiki@example.com to continue: ");
    pty.press("wiki@example.com\r");
    assert_eq!(pty.end().code, 0);
}

#[test]
fn a_filter_without_a_match_chooses_nothing() {
    let sandbox = three_users();
    let mut pty = Pty::run(&sandbox.command(&["user", "suspend"]));
    pty.see(ASKED);
    pty.press("zzz");
    pty.press(ENTER);
    pty.press(ENTER);
    pty.press(ESCAPE);
    assert_eq!(pty.end().code, 5);
    let suspended = sandbox.json(&["user", "list", "--status", "suspended"]);
    assert_eq!(suspended.as_array().map(Vec::len), Some(0));
}

#[test]
fn rows_wider_than_the_terminal_leave_what_stood_above() {
    let sandbox = three_users();
    let label = "会計".repeat(50);
    sandbox.noted(&["user", "set", "wiki@example.com", "--label", &label]);
    let mut pty = Pty::open(24, 60);
    let mut shell = std::process::Command::new("sh");
    let line = format!("echo before; {} user show", crate::support::PROGRAM);
    shell.args(["-c", &line]);
    for (name, value) in sandbox.command::<&str>(&[]).get_envs() {
        shell.env(name, value.unwrap());
    }
    pty.start(&shell);
    pty.see("User");
    pty.press("wiki");
    pty.press(ENTER);
    let ended = pty.end();
    let shown = ended.screen().screen().contents();
    assert_eq!(ended.code, 0, "{shown}");
    assert!(shown.starts_with("before\n"), "{shown}");
}

#[test]
fn after_it_signals_end_the_command() {
    type Leave = fn(&mut Pty);
    let ways: [(&str, Leave); 3] = [
        ("", |pty| pty.press(CTRL_C)),
        ("", |pty| pty.signal(Signal::SIGTERM)),
        ("handb", |pty| pty.signal(Signal::SIGHUP)),
    ];
    let sandbox = three_users();
    let password = sandbox.folder.path().join("password");
    std::fs::write(&password, "not-the-right-one").unwrap();
    std::fs::set_permissions(&password, Permissions::from_mode(0o600)).unwrap();
    // It accepts and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("localhost:{}", silent.local_addr().unwrap().port());
    for (typed, leave) in ways {
        let mut command = sandbox.command(&["test", "--server", &server, "--dry-run"]);
        command.args(["--timeout", "60s", "--password-file"]);
        command.arg(&password);
        if typed.is_empty() {
            let mut pty = Pty::run(&command);
            pty.see(ASKED);
            pty.press("wiki");
            pty.press(ENTER);
            ended_by(pty, &silent, leave);
        } else {
            let mut pty = Pty::run(command.arg(typed));
            pty.see("did you mean wiki@example.com?");
            pty.press("y\r");
            ended_by(pty, &silent, leave);
        }
    }
}

/// Sends a signal once the command waits for the server.
fn ended_by(mut pty: Pty, silent: &TcpListener, leave: impl FnOnce(&mut Pty)) {
    let _waits = silent.accept().unwrap();
    assert_eq!(pty.modes(), NORMAL);
    leave(&mut pty);
    pty.end_by_signal();
}
