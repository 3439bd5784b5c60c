//! Questions at a terminal: hidden passwords, and names typed before something
//! that cannot be undone. And no question where nobody can answer.
//! Long, because each question is asked on a real terminal.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::pty::{CTRL_C, CTRL_D, ENTER, Ended, NORMAL, Pty};
use crate::support::{self, Sandbox, pty, wait_for};

const USER: &str = "shop@example.com";
const CHOSEN: &str = "vague-Otter-61-harbour";
const DELETE: &[&str] = &["user", "delete", USER];
const REMOVE: &[&str] = &["domain", "remove", "example.com"];
const CREATE: &[&str] = &["user", "create", USER, "--choose-password"];
const RESET: &[&str] = &["user", "reset", USER, "--choose-password"];

fn history(sandbox: &Sandbox) -> Value {
    sandbox.json(&["audit", "list"])
}

fn said(ended: &Ended) -> String {
    ended.screen().screen().contents()
}

/// Answers a hidden prompt, once it is there and nothing is echoed.
fn answer(pty: &mut Pty, prompt: &str, keys: &str) {
    pty.see(prompt);
    assert!(!pty.modes().echo);
    pty.press(keys);
}

#[test]
fn p2_a_chosen_password_is_asked_twice_and_not_echoed() {
    let sandbox = Sandbox::new();
    let mut pty = Pty::run(&sandbox.command(CREATE));
    // Corrected on the way: backspace takes a whole character, Ctrl-U all.
    answer(
        &mut pty,
        "New password:",
        "wrong\x15vaguer\x7fé\x7f-Otter-61-harbour\r",
    );
    answer(&mut pty, "Repeat it:", &format!("{CHOSEN}\r"));
    let ended = pty.end();
    assert_eq!(ended.code, 0, "{}", said(&ended));
    assert_eq!(ended.modes, NORMAL);
    let everything = String::from_utf8_lossy(&ended.printed).into_owned();
    assert!(!pty::tells(&everything, CHOSEN), "{everything}");
    assert!(everything.contains("created shop@example.com"));
    assert_eq!(sandbox.verify(USER, CHOSEN), 0);
}

#[test]
fn p2_two_different_ones_change_nothing() {
    let sandbox = Sandbox::new();
    let old = sandbox.create(USER);
    let before = history(&sandbox);
    let mut pty = Pty::run(&sandbox.command(RESET));
    answer(&mut pty, "New password:", &format!("{CHOSEN}\r"));
    answer(&mut pty, "Repeat it:", "vague-Otter-61-harbor\r");
    let ended = pty.end();
    assert_eq!(ended.code, 2);
    assert_eq!(ended.modes, NORMAL);
    assert!(said(&ended).contains("the two passwords differ"));
    assert_eq!(history(&sandbox), before);
    assert_eq!(sandbox.verify(USER, &old), 0);
}

#[test]
fn p2_leaving_the_hidden_prompt_changes_nothing() {
    type Leave = fn(&mut Pty);
    let ways: [(i32, Leave); 4] = [
        (130, |pty| pty.press(CTRL_C)),
        (130, |pty| pty.signal(Signal::SIGTERM)),
        (130, |pty| pty.signal(Signal::SIGHUP)),
        (5, |pty| pty.press(CTRL_D)),
    ];
    for (code, leave) in ways {
        for second in [false, true] {
            let sandbox = Sandbox::new();
            let old = sandbox.create(USER);
            let before = history(&sandbox);
            let mut pty = Pty::run(&sandbox.command(RESET));
            if second {
                answer(&mut pty, "New password:", &format!("{CHOSEN}\r"));
                answer(&mut pty, "Repeat it:", "");
            } else {
                answer(&mut pty, "New password:", "");
            }
            leave(&mut pty);
            let ended = pty.end();
            assert_eq!(ended.code, code, "{}", said(&ended));
            assert_eq!(ended.modes, NORMAL);
            assert!(said(&ended).contains("nothing was changed"));
            assert_eq!(history(&sandbox), before);
            assert_eq!(sandbox.verify(USER, &old), 0);
        }
    }
}

#[test]
fn verify_asks_without_echo() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(USER);
    for (typed, code) in [(password.as_str(), 0), ("smtpc_wrong", 6)] {
        let mut pty = Pty::run(&sandbox.command(&["verify", USER]));
        answer(&mut pty, "Password:", &format!("{typed}\r"));
        let ended = pty.end();
        assert_eq!(ended.code, code);
        assert_eq!(ended.modes, NORMAL);
        let everything = String::from_utf8_lossy(&ended.printed).into_owned();
        assert!(!pty::tells(&everything, typed), "{everything}");
    }
}

#[test]
fn what_was_typed_ahead_answers_no_hidden_prompt() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(USER);
    let mut pty = Pty::open(24, 80);
    pty.press("something else\r");
    pty.start(&sandbox.command(&["verify", USER]));
    answer(&mut pty, "Password:", &format!("{password}\r"));
    assert_eq!(pty.end().code, 0);
}

/// Not even the right name: it was typed before what it would do could be read.
#[test]
fn what_was_typed_ahead_confirms_nothing() {
    for args in [DELETE, REMOVE] {
        let sandbox = Sandbox::new();
        if args == DELETE {
            sandbox.create(USER);
        }
        let before = history(&sandbox);
        let mut pty = Pty::open(24, 80);
        pty.press(&format!("{}\r", args[2]));
        pty.start(&sandbox.command(args));
        pty.see(&format!("Type {}", args[2]));
        pty.press(ENTER);
        assert_eq!(pty.end().code, 5);
        assert_eq!(history(&sandbox), before);
    }
}

#[test]
fn the_name_typed_right_deletes() {
    for (args, name) in [(DELETE, USER), (REMOVE, "example.com")] {
        let sandbox = Sandbox::new();
        if args == DELETE {
            sandbox.create(USER);
        }
        let mut pty = Pty::run(&sandbox.command(args));
        let asked = pty.see(&format!("Type {name}"));
        assert!(asked.contains("warning:"), "{asked}");
        pty.press(&format!("{name}\r"));
        let ended = pty.end();
        assert_eq!(ended.code, 0, "{}", said(&ended));
        assert_eq!(ended.modes, NORMAL);
        assert_eq!(sandbox.json(&["user", "list"]), json!([]));
    }
    let sandbox = Sandbox::new();
    sandbox.create(USER);
    let mut pty = Pty::run(&sandbox.command(&[REMOVE, &["--with-users"]].concat()));
    pty.see("Type example.com");
    pty.press("example.com\r");
    assert_eq!(pty.end().code, 0);
    assert_eq!(sandbox.json(&["domain", "list"]), json!([]));
}

#[test]
fn the_name_typed_wrong_deletes_nothing() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(USER);
    let before = history(&sandbox);
    for typed in ["y", "yes", "", "SHOP@example.com", "shop@example.co"] {
        let mut pty = Pty::run(&sandbox.command(DELETE));
        pty.see("Type shop@example.com");
        pty.press(typed);
        pty.press(ENTER);
        let ended = pty.end();
        assert_eq!(ended.code, 5, "{typed}: {}", said(&ended));
        assert!(said(&ended).contains("cancelled: nothing was changed"));
    }
    assert_eq!(history(&sandbox), before);
    assert_eq!(sandbox.verify(USER, &password), 0);
}

#[test]
fn who_came_after_the_question_is_not_deleted() {
    type Meanwhile = &'static [&'static [&'static str]];
    const AGAIN: Meanwhile = &[
        &["user", "delete", USER, "--yes"],
        &["user", "create", USER],
    ];
    const MORE: Meanwhile = &[
        &["user", "create", "crm@example.com"],
        &["user", "create", "web@example.com"],
    ];
    let remove = [REMOVE, &["--with-users"]].concat();
    let prune = ["user", "import", "users.csv", "--from", "csv", "--prune"];
    let cases: [(&[&str], &str, Meanwhile, &str); 5] = [
        (
            DELETE,
            USER,
            AGAIN,
            "another user was created with its name",
        ),
        (
            &remove,
            "example.com",
            MORE,
            ": 4 now, 2 when you confirmed",
        ),
        (
            &remove,
            "example.com",
            &[
                &["user", "delete", USER, "--yes"],
                &["user", "create", "crm@example.com"],
            ],
            "are not the ones",
        ),
        (&prune, "1", MORE, ": 3 now, 1 when you confirmed"),
        (
            &prune,
            "1",
            &[
                &["user", "delete", USER, "--yes"],
                &["user", "create", "crm@example.com"],
            ],
            ": 1 now, 1 when you confirmed",
        ),
    ];
    for (args, typed, meanwhile, why) in cases {
        let sandbox = Sandbox::new();
        sandbox.create(USER);
        sandbox.create("kept@example.com");
        std::fs::write(
            sandbox.folder.path().join("users.csv"),
            "username\nkept@example.com\n",
        )
        .unwrap();
        let mut pty = Pty::run(&sandbox.command(args));
        pty.see(&format!("Type {typed} to continue"));
        for command in meanwhile {
            let run = sandbox.run(command);
            assert_eq!(run.code, 0, "{run:?}");
        }
        let stored = || {
            let mut users = sandbox.json(&["user", "list"]);
            for user in users.as_array_mut().unwrap() {
                // It grows while the test runs.
                user["password_age_seconds"].take();
            }
            (history(&sandbox), users)
        };
        let before = stored();
        pty.press(typed);
        pty.press(ENTER);
        let ended = pty.end();
        assert_eq!(ended.code, 4, "{args:?}: {}", said(&ended));
        let said = said(&ended).replace('\n', " ");
        assert!(said.contains(why), "{said}");
        assert!(said.contains("nothing was changed"), "{said}");
        assert_eq!(stored(), before, "{args:?}");
    }
    // With --yes nobody was shown a number.
    let sandbox = Sandbox::new();
    sandbox.create(USER);
    sandbox.noted(&[&remove[..], &["--yes"]].concat());
    assert_eq!(sandbox.json(&["user", "list"]), json!([]));
}

#[test]
fn leaving_the_question_deletes_nothing() {
    type Leave = fn(&mut Pty);
    let ways: [(i32, Leave); 5] = [
        (130, |pty| pty.press(CTRL_C)),
        (130, |pty| pty.signal(Signal::SIGINT)),
        (130, |pty| pty.signal(Signal::SIGTERM)),
        (130, |pty| pty.signal(Signal::SIGHUP)),
        // It is taken for a letter, which makes the name a wrong one.
        (5, |pty| {
            pty.press(CTRL_D);
            pty.press(ENTER);
        }),
    ];
    let sandbox = Sandbox::new();
    sandbox.create(USER);
    let before = history(&sandbox);
    for (way, (code, leave)) in ways.into_iter().enumerate() {
        // More than once: two threads must not race for the exit code.
        for _ in 0..8 {
            let mut pty = Pty::run(&sandbox.command(DELETE));
            pty.see("Type shop@example.com");
            // It waits for a key now.
            wait_for("raw mode", || (!pty.modes().echo).then_some(()));
            leave(&mut pty);
            let ended = pty.end();
            assert_eq!(ended.code, code, "way {way}: {}", said(&ended));
            assert_eq!(ended.modes, NORMAL, "way {way}");
            assert!(!ended.screen().screen().hide_cursor());
            let said = said(&ended);
            let messages = said.matches("nothing was changed").count();
            assert_eq!(messages, 1, "way {way}: {said}");
        }
    }
    assert_eq!(history(&sandbox), before);
}

#[test]
fn p8_without_a_person_nothing_is_asked() {
    let sandbox = Sandbox::new();
    sandbox.create(USER);
    let before = history(&sandbox);
    for (args, code, flag) in [
        (DELETE, 5, "--yes"),
        (
            &["domain", "remove", "example.com", "--with-users"],
            5,
            "--yes",
        ),
        (RESET, 2, "--password-stdin"),
        (&["user", "reset", USER, "--password-stdin"], 2, "stdin"),
        (&["verify", USER], 2, "stdin"),
    ] {
        // From /dev/null, and from a pipe with a yes in it.
        let run = sandbox.run(args);
        assert_eq!(run.code, code, "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(flag), "{}", run.stderr);
        assert_eq!(run.stdout, "");
        if code == 5 {
            let run = sandbox.run_with_stdin(args, b"y\nshop@example.com\nexample.com\n");
            assert_eq!(run.code, code, "{}", run.stderr);
        }
        // At a terminal whose keyboard is not ours: stdin closed or elsewhere.
        for closed in ["<&-", "</dev/null", "2>/dev/null"] {
            let script = format!("\"$0\" \"$@\" {closed}");
            let mut shell = std::process::Command::new("sh");
            shell.args(["-c", &script, support::PROGRAM]).args(args);
            for (name, value) in sandbox.command(args).get_envs() {
                if let Some(value) = value {
                    shell.env(name, value);
                }
            }
            let pty = Pty::run(&shell);
            let ended = pty.end();
            assert_eq!(ended.code, code, "{args:?} {closed}: {}", said(&ended));
            if !closed.starts_with('2') {
                assert!(said(&ended).contains(flag), "{}", said(&ended));
            }
        }
    }
    assert_eq!(history(&sandbox), before);
}

/// Caught while a password is typed, signals have to end the program afterwards.
#[test]
fn ctrl_c_ends_a_test_that_waits_for_its_server() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(USER);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("localhost:{}", silent.local_addr().unwrap().port());
    let test = ["test", USER, "--server", &server, "--dry-run"];
    let mut pty = Pty::run(&sandbox.command(&test));
    answer(&mut pty, "Password:", &format!("{password}\r"));
    pty.see("connect");
    pty.press(CTRL_C);
    let ended = pty.end();
    assert_eq!(ended.code, 130, "{}", said(&ended));
    assert_eq!(ended.modes, NORMAL);
}

/// To a terminal nothing goes that it would obey; a program gets all as it is.
#[test]
fn csv_on_a_terminal_is_spelled_out() {
    let sandbox = Sandbox::new();
    let args = [
        "doctor",
        "--format",
        "csv",
        "--port",
        "1",
        "--store",
        "/no\x1b]0;x\x07where",
    ];
    let ended = Pty::run(&sandbox.command(&args)).end();
    let printed = String::from_utf8_lossy(&ended.printed).into_owned();
    assert!(printed.contains(r"/no\u{1b}]0;x\u{7}where"), "{printed}");
    assert!(!printed.contains("\x1b]0;"), "{printed}");
    let run = sandbox.run(&args);
    assert!(run.stdout.contains("/no\x1b]0;x\x07where"), "{run:?}");
}

#[test]
fn p1_json_on_a_terminal_leaves_no_password_there() {
    let sandbox = Sandbox::new();
    sandbox.create(USER);
    let before = history(&sandbox);
    for args in [
        &["user", "create", "new@example.com", "--json"][..],
        &["user", "reset", USER, "--json"],
        &["user", "reset", USER, "--format", "csv"],
    ] {
        let ended = Pty::run(&sandbox.command(args)).end();
        assert_eq!(ended.code, 2, "{}", said(&ended));
        let said = said(&ended).replace('\n', "");
        assert!(said.contains("--reveal"), "{said}");
        assert!(!said.contains("smtpc_"), "{said}");
        assert_eq!(history(&sandbox), before);
    }
    let reveal = ["user", "reset", USER, "--json", "--reveal", "json"];
    let ended = Pty::run(&sandbox.command(&reveal)).end();
    assert_eq!(ended.code, 0);
    assert!(said(&ended).contains("smtpc_"));
    // A question is asked all the same.
    let mut pty = Pty::run(&sandbox.command(&[DELETE, &["--json"]].concat()));
    pty.see(&format!("Type {USER}"));
    pty.press("no\r");
    assert_eq!(pty.end().code, 5);
}
