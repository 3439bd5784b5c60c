//! The panel that shows a password once: what is on it, what ends it, and what
//! is left on the terminal afterwards.
//! Long, because each key that ends the panel is one test.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::pty::{CTRL_C, ENTER, NORMAL, Pty, password_on};
use crate::support::{self, Lock, Sandbox, wait_for};

const USER: &str = "shop@example.com";
const CREATE: &[&str] = &["user", "create", USER];
const RESET: &[&str] = &["user", "reset", USER];
/// Said before the question is asked.
const SENT: &str = "sent to your terminal";

/// All that a change would change: each leaves an event, and another password
/// has another key.
fn state(sandbox: &Sandbox) -> (Value, Vec<(Value, Value)>) {
    let users = sandbox.json(&["user", "list"]);
    let keys = |user: &Value| (user["username"].clone(), user["passwords"].clone());
    let users = users.as_array().unwrap().iter().map(keys).collect();
    (sandbox.json(&["audit", "list"]), users)
}

/// Runs the command up to its panel; returns the password on it as well.
fn panel(sandbox: &Sandbox, args: &[&str]) -> (Pty, String) {
    let pty = Pty::run(&sandbox.command(args));
    let password = password_on(&pty.see(SENT)).expect("a password");
    (pty, password)
}

/// The same in a window that may have no room for all of it.
fn small_panel(sandbox: &Sandbox, lines: u16, columns: u16) -> (Pty, String) {
    let mut pty = Pty::open(lines, columns);
    pty.start(&sandbox.command(CREATE));
    let password = wait_for("the password, in full", || {
        password_on(&pty.screen().screen().contents())
    });
    (pty, password)
}

/// Five lines have no room for the question.
fn answer_small(pty: &mut Pty, lines: u16, key: &str) {
    if lines > 5 {
        pty.answer(key);
    } else {
        pty.answer_unasked(key);
    }
}

#[test]
fn it_shows_all_that_is_needed_to_sign_in() {
    let sandbox = Sandbox::new();
    sandbox.noted(&["set-settings", "--host", "smtp.example.com"]);
    let (mut pty, password) = panel(&sandbox, CREATE);
    let screen = pty.screen();
    let screen = screen.screen();
    assert!(screen.alternate_screen() && screen.hide_cursor());
    let text = screen.contents();
    for part in [
        "shown once",
        "smtp.example.com",
        "587 (STARTTLS, recommended)",
        "465 (TLS)",
        "2525",
        "25 ",
        USER,
        &password,
        "Clipboard     sent to your terminal (unconfirmed)",
        "cleared when you press Enter; paste it first",
        "Password ID",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    pty.answer(ENTER);
    assert_eq!(pty.end().code, 0);
}

#[test]
fn p2_enter_makes_the_shown_password_work() {
    for args in [CREATE, RESET] {
        let sandbox = Sandbox::new();
        let old = (args == RESET).then(|| sandbox.create(USER));
        let (mut pty, password) = panel(&sandbox, args);
        pty.answer(ENTER);
        let ended = pty.end();
        assert_eq!(ended.code, 0);
        assert_eq!(sandbox.verify(USER, &password), 0);
        if let Some(old) = old {
            assert_eq!(sandbox.verify(USER, &old), 6);
        }
        ended.assert_restored();
    }
}

#[test]
fn p1_nothing_of_it_is_left_on_the_terminal() {
    for (lines, columns) in [(24, 80), (8, 40), (5, 20)] {
        for key in [ENTER, CTRL_C] {
            let sandbox = Sandbox::new();
            let (mut pty, password) = small_panel(&sandbox, lines, columns);
            answer_small(&mut pty, lines, key);
            let ended = pty.end();
            ended.assert_restored();
            ended.assert_forgotten(&password);
        }
    }
}

#[test]
fn what_was_on_the_screen_before_is_kept() {
    let sandbox = Sandbox::new();
    let script = "seq 40; exec \"$0\" user create shop@example.com";
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", script, support::PROGRAM]);
    shell.env("SMTPCRED_STORE", sandbox.store());
    shell.env("PATH", std::env::var_os("PATH").unwrap());
    let mut pty = Pty::run(&shell);
    pty.see(SENT);
    pty.answer(ENTER);
    let ended = pty.end();
    let missing = |text: &str| {
        let kept: Vec<&str> = text.lines().collect();
        (1..=40).find(|n| !kept.contains(&n.to_string().as_str()))
    };
    assert_eq!(missing(&ended.left()), None);
    // Also where only scrolling keeps it, as in GNU screen by default.
    assert_eq!(missing(&ended.left_without_alternate_screen()), None);
}

#[test]
fn p2_leaving_it_changes_nothing() {
    type Leave = fn(&mut Pty);
    let ways: [Leave; 5] = [
        |pty| pty.press(CTRL_C),
        |pty| pty.signal(Signal::SIGTERM),
        |pty| pty.signal(Signal::SIGHUP),
        |pty| pty.signal(Signal::SIGINT),
        |pty| pty.signal(Signal::SIGQUIT),
    ];
    for leave in ways {
        for args in [CREATE, RESET] {
            let sandbox = Sandbox::new();
            let old = (args == RESET).then(|| sandbox.create(USER));
            let before = state(&sandbox);
            let (mut pty, password) = panel(&sandbox, args);
            assert_ne!(pty.modes(), NORMAL);
            leave(&mut pty);
            let ended = pty.end();
            assert_eq!(ended.code, 130);
            ended.assert_restored();
            ended.assert_forgotten(&password);
            let said = ended.screen().screen().contents();
            assert!(said.contains("interrupted: nothing was changed"), "{said}");
            assert!(!said.contains("error"), "{said}");
            assert_eq!(state(&sandbox), before);
            if let Some(old) = old {
                assert_eq!(sandbox.verify(USER, &old), 0);
                assert_eq!(sandbox.verify(USER, &password), 6);
            }
        }
    }
}

#[test]
fn p2_a_closed_window_changes_nothing() {
    let sandbox = Sandbox::new();
    let old = sandbox.create(USER);
    let before = state(&sandbox);
    let (pty, _) = panel(&sandbox, RESET);
    assert_eq!(pty.hang_up(), 130);
    assert_eq!(state(&sandbox), before);
    assert_eq!(sandbox.verify(USER, &old), 0);
}

#[test]
fn p2_a_kill_at_the_panel_changes_nothing() {
    let sandbox = Sandbox::new();
    let old = sandbox.create(USER);
    let before = state(&sandbox);
    let (pty, _) = panel(&sandbox, RESET);
    pty.signal(Signal::SIGKILL);
    drop(pty);
    assert_eq!(state(&sandbox), before);
    assert_eq!(sandbox.verify(USER, &old), 0);
}

#[test]
fn p2_other_keys_neither_accept_nor_cancel() {
    const OTHERS: &str = "q yYn\t\x1b\x1b[A\x7f\x04\x1a";
    let sandbox = Sandbox::new();
    // Keys arrive in order: these would have accepted before Ctrl-C came …
    let (mut pty, _) = panel(&sandbox, CREATE);
    pty.see("Saved it?");
    pty.press(OTHERS);
    pty.press(CTRL_C);
    assert_eq!(pty.end().code, 130);
    assert_eq!(sandbox.json(&["user", "list"]), serde_json::json!([]));
    // … or cancelled before Enter did.
    let (mut pty, password) = panel(&sandbox, CREATE);
    pty.see("Saved it?");
    pty.press(OTHERS);
    pty.answer(ENTER);
    assert_eq!(pty.end().code, 0);
    assert_eq!(sandbox.verify(USER, &password), 0);
}

/// Pressed by accident, q and Esc lose nothing: they ask.
#[test]
fn p2_q_and_esc_cancel_only_if_pressed_twice() {
    const ESC: &str = "\x1b";
    for (first, again) in [("q", "q"), (ESC, ESC), ("Q", ESC)] {
        let sandbox = Sandbox::new();
        let old = sandbox.create(USER);
        let before = state(&sandbox);
        let (mut pty, password) = panel(&sandbox, RESET);
        pty.answer(first);
        pty.see("Cancel? Press q again (nothing changes)");
        pty.press(again);
        let ended = pty.end();
        assert_eq!(ended.code, 5);
        ended.assert_restored();
        ended.assert_forgotten(&password);
        let said = ended.screen().screen().contents();
        assert!(said.contains("cancelled: nothing was changed"), "{said}");
        assert!(!said.contains("error"), "{said}");
        assert_eq!(state(&sandbox), before);
        assert_eq!(sandbox.verify(USER, &old), 0);
    }
    for between in [ENTER, "x", "\x1b[A"] {
        let sandbox = Sandbox::new();
        let (mut pty, password) = panel(&sandbox, CREATE);
        pty.answer("q");
        pty.see("Cancel?");
        pty.press(between);
        pty.see("Saved it?");
        pty.press(ENTER);
        assert_eq!(pty.end().code, 0);
        assert_eq!(sandbox.verify(USER, &password), 0);
    }
}

#[test]
fn p2_it_is_drawn_again_in_a_window_of_another_size() {
    let sandbox = Sandbox::new();
    let (mut pty, password) = panel(&sandbox, CREATE);
    pty.see("Saved it?");
    // Without its title, which a larger one has room for again.
    let shown = |pty: &Pty, parts: &[&str]| {
        wait_for("the panel in its new size", || {
            let text = pty.screen().screen().contents();
            let all = parts.iter().all(|part| text.contains(part));
            (all && password_on(&text).as_ref() == Some(&password)).then_some(text)
        })
    };
    pty.resize(7, 50);
    let text = shown(&pty, &["Saved it?"]);
    assert!(!text.contains("shown once"), "{text}");
    pty.resize(24, 100);
    shown(
        &pty,
        &["New user shop@example.com: shown once", "Saved it?"],
    );
    // At spaces, below what they belong to.
    pty.resize(24, 45);
    let text = shown(&pty, &["Saved it?", "shown once"]);
    for line in [
        "  Password\n",
        "  Saved it? Press Enter to activate it, or q",
        "  Clipboard     sent to your terminal",
        "                (unconfirmed)",
    ] {
        assert!(text.contains(line), "{line:?} is not in:\n{text}");
    }
    // Where not even a password has room it was shown before, and is shown again.
    pty.resize(1, 10);
    pty.see("Too small");
    pty.resize(24, 80);
    shown(&pty, &["shown once", "Saved it?"]);
    pty.press(ENTER);
    let ended = pty.end();
    assert_eq!(ended.code, 0);
    ended.assert_restored();
    assert_eq!(sandbox.verify(USER, &password), 0);
}

#[test]
fn the_password_is_bold_unless_colours_are_unwanted() {
    let sandbox = Sandbox::new();
    for (more, bold) in [(&[][..], true), (&["--color", "never"], false)] {
        let (mut pty, _) = panel(&sandbox, &[CREATE, more].concat());
        let screen = pty.screen();
        let screen = screen.screen();
        let text = screen.contents();
        let line = text.lines().position(|line| line.contains("smtpc_"));
        let line = u16::try_from(line.expect("a password")).unwrap();
        let column = 16;
        assert_eq!(screen.cell(line, column).unwrap().bold(), bold, "{text}");
        pty.answer(CTRL_C);
        assert_eq!(pty.end().code, 130);
    }
}

#[test]
fn p2_keys_typed_ahead_do_not_answer_it() {
    let sandbox = Sandbox::new();
    let mut pty = Pty::open(24, 80);
    pty.press("\r\r\n");
    pty.start(&sandbox.command(CREATE));
    pty.see(SENT);
    pty.press(CTRL_C);
    assert_eq!(pty.end().code, 130);
    assert_eq!(sandbox.json(&["user", "list"]), serde_json::json!([]));
}

#[test]
fn p2_a_small_window_shows_username_and_password_whole() {
    for (lines, columns) in [(8, 40), (6, 80), (12, 50), (24, 40), (5, 20)] {
        let sandbox = Sandbox::new();
        let (mut pty, password) = small_panel(&sandbox, lines, columns);
        let text = pty.screen().screen().contents();
        let joined: String = text.split_whitespace().collect();
        assert!(joined.contains(&format!("Username{USER}")), "{text}");
        answer_small(&mut pty, lines, ENTER);
        assert_eq!(pty.end().code, 0);
        let verdict = sandbox.verify(USER, &password);
        assert_eq!(verdict, 0, "{lines}x{columns}: {password} of:\n{text}");
    }
}

#[test]
fn p2_the_longest_username_is_shown_whole() {
    let sandbox = Sandbox::empty();
    let label = "d".repeat(63);
    let domain = format!("{label}.{label}.{}.example", &label[..53]);
    let user = format!("{}@{domain}", "u".repeat(64));
    sandbox.noted(&["domain", "add", &domain]);
    sandbox.noted(&["set-settings", "--host", &domain]);
    let (mut pty, password) = panel(&sandbox, &["user", "create", &user]);
    let text = pty.screen().screen().contents();
    let joined: String = text.split_whitespace().collect();
    assert!(joined.contains(&format!("Username{user}")), "{text}");
    pty.answer(ENTER);
    let ended = pty.end();
    assert_eq!(ended.code, 0);
    ended.assert_forgotten(&password);
    assert_eq!(sandbox.verify(&user, &password), 0);
}

#[test]
fn without_a_terminal_of_its_own_it_is_refused_before_anything() {
    let sandbox = Sandbox::new();
    let before = state(&sandbox);
    // Its stdout is a terminal, but not one it could ask on.
    let mut pty = Pty::open(24, 80);
    let mut detached = std::process::Command::new("setsid");
    detached.arg("--wait").arg(support::PROGRAM).args(CREATE);
    detached.env("SMTPCRED_STORE", sandbox.store());
    detached.env("PATH", std::env::var_os("PATH").unwrap());
    detached.env("HOME", sandbox.folder.path());
    pty.start(&detached);
    let ended = pty.end();
    assert_eq!(ended.code, 74);
    let said = ended.screen().screen().contents();
    assert!(said.contains("the terminal cannot be used"), "{said}");
    assert_eq!(state(&sandbox), before);
}

#[test]
fn p2_enter_before_the_question_is_no_answer() {
    let sandbox = Sandbox::new();
    let old = sandbox.create(USER);
    let before = state(&sandbox);
    let mut pty = Pty::run(&sandbox.command(RESET));
    let text = pty.see(SENT);
    assert!(!text.contains("Saved it?"), "{text}");
    pty.press("\r\n\r");
    pty.answer(CTRL_C);
    assert_eq!(pty.end().code, 130);
    assert_eq!(state(&sandbox), before);
    assert_eq!(sandbox.verify(USER, &old), 0);
}

#[test]
fn it_says_what_becomes_of_the_old_password() {
    let sandbox = Sandbox::new();
    sandbox.create(USER);
    for (overlap, said) in [
        (
            &[][..],
            "Old password  stops working when you press Enter\n",
        ),
        (&["--overlap", "24h"], ":00 at the earliest, then stops"),
    ] {
        let mut pty = Pty::run(&sandbox.command(&[RESET, overlap].concat()));
        let text = pty.see("Saved it?");
        assert!(text.contains(said), "{text}");
        pty.press(CTRL_C);
        assert_eq!(pty.end().code, 130);
    }
    let mut pty = Pty::run(&sandbox.command(&["user", "create", "new@example.com"]));
    let text = pty.see("Saved it?");
    assert!(!text.contains("Old password"), "{text}");
    pty.press(CTRL_C);
    pty.end();
}

/// The change fails after the person has said that the password is saved.
fn fails_after_the_answer(
    args: &[&str],
    code: i32,
    why: &str,
    spoil: impl FnOnce(&Sandbox) -> Option<Lock>,
) {
    let sandbox = Sandbox::new();
    sandbox.create("old@example.com");
    let (mut pty, password) = panel(&sandbox, args);
    pty.see("Saved it?");
    let lock = spoil(&sandbox);
    pty.press(ENTER);
    if lock.is_some() {
        // While it waits, nothing ends it without a word.
        wait_for("the panel to close", || {
            (!pty.screen().screen().alternate_screen()).then_some(())
        });
        pty.signal(Signal::SIGINT);
        pty.signal(Signal::SIGTERM);
    }
    let ended = pty.end();
    assert_eq!(ended.code, code);
    let said = ended.screen().screen().contents().replace('\n', "");
    assert!(said.contains("was not stored and does not work"), "{said}");
    assert!(said.contains(why), "{said}");
    ended.assert_restored();
    ended.assert_forgotten(&password);
    let empty = format!("]52;c;{}", "IA==");
    assert!(String::from_utf8_lossy(&ended.printed).contains(&empty));
}

#[test]
fn p2_what_fails_after_the_answer_withdraws_the_password() {
    let reset = ["user", "reset", "old@example.com"];
    fails_after_the_answer(&reset, 3, "no user", |sandbox| {
        sandbox.noted(&["user", "delete", "old@example.com", "--yes"]);
        None
    });
    fails_after_the_answer(CREATE, 4, "already exists", |sandbox| {
        sandbox.create(USER);
        None
    });
}

#[test]
fn p2_an_expiry_that_passes_at_the_panel_makes_no_user() {
    let args = ["user", "create", USER, "--expires-in", "4s"];
    fails_after_the_answer(&args, 2, "is in the past", |sandbox| {
        // From here on, at the latest, it is four seconds.
        let shown = std::time::Instant::now();
        wait_for("the expiry", || {
            (shown.elapsed().as_secs() > 4).then_some(())
        });
        assert_eq!(sandbox.run(&["user", "show", USER]).code, 3);
        None
    });
}

/// What is written into a file without its name is lost to all who open the store next.
#[test]
fn p2_a_store_moved_away_meanwhile_takes_no_password() {
    let reset = ["user", "reset", "old@example.com"];
    for args in [&reset[..], CREATE] {
        let away = |sandbox: &Sandbox| {
            let store = sandbox.store();
            fs::rename(&store, store.with_extension("away")).unwrap();
        };
        fails_after_the_answer(args, 75, "there is no store", |sandbox| {
            away(sandbox);
            None
        });
        fails_after_the_answer(args, 75, "replaced by another", |sandbox| {
            away(sandbox);
            sandbox.noted(&["store", "init"]);
            None
        });
    }
}

#[test]
#[ignore = "waits 30 s for a lock: run tests/run"]
fn p2_a_store_locked_after_the_answer_withdraws_the_password() {
    let reset = ["user", "reset", "old@example.com"];
    fails_after_the_answer(&reset, 75, "locked", |sandbox| Some(sandbox.lock()));
}

#[test]
fn p2_what_is_not_as_it_was_shown_is_refused() {
    type Meanwhile = &'static [&'static [&'static str]];
    const OLD: &str = "old@example.com";
    const REMOVED: &[&str] = &["domain", "remove", "example.com", "--with-users", "--yes"];
    const RESET_OLD: &[&str] = &["user", "reset", OLD];
    let cases: [(&[&str], Meanwhile, i32, &str); 5] = [
        (CREATE, &[REMOVED], 3, "no domain example.com"),
        (
            &["user", "create", USER, "--add-domain"],
            &[REMOVED],
            3,
            "no domain example.com",
        ),
        (
            CREATE,
            &[REMOVED, &["domain", "add", "example.com"]],
            4,
            "removed and added again meanwhile",
        ),
        (
            RESET_OLD,
            &[&["user", "delete", OLD, "--yes"], &["user", "create", OLD]],
            4,
            "another user was created with its name",
        ),
        (
            RESET_OLD,
            &[RESET_OLD],
            4,
            "the password of old@example.com was replaced meanwhile",
        ),
    ];
    for (args, meanwhile, code, why) in cases {
        let sandbox = Sandbox::new();
        sandbox.create(OLD);
        let (mut pty, password) = panel(&sandbox, args);
        pty.see("Saved it?");
        for command in meanwhile {
            let run = sandbox.run(command);
            assert_eq!(run.code, 0, "{run:?}");
        }
        let before = (state(&sandbox), sandbox.json(&["domain", "list"]));
        pty.press(ENTER);
        let ended = pty.end();
        let said = ended.screen().screen().contents().replace('\n', " ");
        assert_eq!(ended.code, code, "{said}");
        assert!(
            said.contains(why) && said.contains("does not work"),
            "{said}"
        );
        ended.assert_forgotten(&password);
        let after = (state(&sandbox), sandbox.json(&["domain", "list"]));
        assert_eq!(after, before, "{args:?}");
    }
}

#[test]
fn p2_a_domain_that_somebody_else_adds_is_taken_as_it_is() {
    let sandbox = Sandbox::new();
    let user = "shop@new.example";
    let (mut pty, password) = panel(&sandbox, &["user", "create", user, "--add-domain"]);
    pty.see("Saved it?");
    let add = ["domain", "add", "new.example", "--max-users", "1", "-q"];
    assert_eq!(sandbox.run(&add).code, 0);
    pty.press(ENTER);
    assert_eq!(pty.end().code, 0);
    assert_eq!(sandbox.verify(user, &password), 0);
    let domain = sandbox.json(&["domain", "show", "new.example"]);
    assert_eq!(domain["max_users"], 1);
}
