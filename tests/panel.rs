//! The panel that shows a password once: what is on it, what ends it, and what
//! is left on the terminal afterwards.

use nix::sys::signal::Signal;
use serde_json::Value;

mod support;
use support::{Sandbox, wait_for};

#[path = "support/pty.rs"]
mod pty;
use pty::{CTRL_C, ENTER, NORMAL, Pty, password_on};

const USER: &str = "shop@example.com";
const CREATE: &[&str] = &["user", "create", USER];
const RESET: &[&str] = &["user", "reset", USER];
/// The last thing to come: what became of the clipboard.
const SENT: &str = "sent to your terminal";

/// All that a change would change: each leaves an event, and another password
/// has another key.
fn state(sandbox: &Sandbox) -> (Value, Vec<(Value, Value)>) {
    let users = sandbox.json(&["user", "list"]);
    let keys = |user: &Value| (user["username"].clone(), user["keys"].clone());
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

#[test]
fn it_shows_all_that_is_needed_to_sign_in() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["set-settings", "--host", "smtp.example.com"]);
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
        "Clipboard  sent to your terminal",
        "Enter",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    pty.press(ENTER);
    assert_eq!(pty.end().code, 0);
}

#[test]
fn p2_enter_makes_the_shown_password_work() {
    for args in [CREATE, RESET] {
        let sandbox = Sandbox::new();
        let old = (args == RESET).then(|| sandbox.create(USER));
        let (mut pty, password) = panel(&sandbox, args);
        pty.press(ENTER);
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
            pty.press(key);
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
    pty.press(ENTER);
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
            assert!(said.contains("nothing was changed"), "{said}");
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
    pty.press(OTHERS);
    pty.press(CTRL_C);
    assert_eq!(pty.end().code, 130);
    assert_eq!(sandbox.json(&["user", "list"]), serde_json::json!([]));
    // … or cancelled before Enter did.
    let (mut pty, password) = panel(&sandbox, CREATE);
    pty.press(OTHERS);
    pty.press(ENTER);
    assert_eq!(pty.end().code, 0);
    assert_eq!(sandbox.verify(USER, &password), 0);
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
        pty.press(ENTER);
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
    sandbox.ok(&["domain", "add", &domain]);
    sandbox.ok(&["set-settings", "--host", &domain]);
    let (mut pty, password) = panel(&sandbox, &["user", "create", &user]);
    let text = pty.screen().screen().contents();
    let joined: String = text.split_whitespace().collect();
    assert!(joined.contains(&format!("Username{user}")), "{text}");
    pty.press(ENTER);
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
