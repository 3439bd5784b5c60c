//! `apply` at a terminal: a person is asked, once, and knows about what.

use crate::support::PROGRAM;
use crate::support::apply::Ground;
use crate::support::pty::{CTRL_C, NORMAL, Pty};

const DOMAIN: &str = "[domains.\"example.com\"]\n";

#[test]
fn a_person_is_asked_once() {
    let ground = Ground::new();
    ground.sandbox.noted(&["domain", "add", "example.com"]);
    ground.sandbox.create("a@example.com");
    let before = ground.actions();
    let plan = ground.plan(&format!("{DOMAIN}daily_limit = 5\n"));
    let args = |more: &[&'static str]| [&["apply", plan.to_str().unwrap()], more].concat();
    for (more, question, keys, code) in [
        (&[][..], "Type yes to continue", "no\r", 5),
        (&[], "Type yes to continue", "\r", 5),
        (&[], "Type yes to continue", CTRL_C, 130),
        (&["--prune"], "Type 1 to continue", "yes\r", 5),
    ] {
        let mut pty = Pty::run(&ground.sandbox.command(&args(more)));
        let screen = pty.see(question);
        assert!(
            screen.contains("~ domain example.com: daily_limit none -> 5"),
            "{screen}"
        );
        pty.press(keys);
        let ended = pty.end();
        let said = ended.screen().screen().contents();
        assert_eq!((ended.code, ended.modes), (code, NORMAL), "{said}");
        assert_eq!(ground.actions(), before, "{said}");
    }
    let mut pty = Pty::run(&ground.sandbox.command(&args(&["--prune"])));
    let screen = pty.see("Type 1 to continue");
    assert!(
        screen.contains("1 user will be deleted permanently"),
        "{screen}"
    );
    pty.press("1\r");
    assert_eq!(pty.end().code, 0);
    assert_eq!(ground.users(), [""; 0]);
    // Nothing to change, nothing to ask.
    let ended = Pty::run(&ground.sandbox.command(&args(&[]))).end();
    assert_eq!(ended.code, 0);
    assert!(
        ended
            .screen()
            .screen()
            .contents()
            .contains("nothing to change")
    );
    let plan = ground.plan(&format!("{DOMAIN}daily_limit = 6\n"));
    let yes = ["apply", plan.to_str().unwrap(), "--yes"];
    let ended = Pty::run(&ground.sandbox.command(&yes)).end();
    assert_eq!(ended.code, 0, "{PROGRAM}");
}

#[test]
fn whoever_is_asked_has_seen_what_about() {
    let ground = Ground::new();
    ground.sandbox.noted(&["domain", "add", "example.com"]);
    ground.sandbox.create("a@example.com");
    let plan = ground.plan(&format!("{DOMAIN}daily_limit = 5\n"));
    let plan = plan.to_str().unwrap();
    for more in ["--json", "--format=csv", "--quiet", "--format=table > out"] {
        let line = format!("exec {PROGRAM} apply {plan} --prune {more}");
        let mut pty = Pty::run(&ground.sandbox.other_command("sh", &["-c", &line]));
        let screen = pty.see("Type 1 to continue");
        for shown in [
            "~ domain example.com: daily_limit none -> 5",
            "- user a@example.com",
        ] {
            assert_eq!(screen.matches(shown).count(), 1, "{more}: {screen}");
        }
        pty.press("no\r");
        assert_eq!(pty.end().code, 5);
    }
    // Nobody is asked: nothing but the document.
    let line = format!("exec {PROGRAM} apply {plan} --prune --json --yes 2>&1 >out");
    let ended = Pty::run(&ground.sandbox.other_command("sh", &["-c", &line])).end();
    let said = ended.screen().screen().contents();
    assert!(!said.contains("~ domain"), "{said}");
}
