//! The clipboard of the terminal at the other end: OSC 52 as it reaches the
//! outermost terminal, by itself and through tmux and GNU screen.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::pty::{CTRL_C, ENTER, Pty, password_on};
use crate::support::{PROGRAM, Sandbox, pty, wait_for};

const USER: &str = "shop@example.com";
const CREATE: &[&str] = &["user", "create", USER];

/// What the terminal was told to put into its clipboard, in order.
fn told(printed: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(printed);
    let after = text.split("\x1b]52;").skip(1);
    after
        .filter_map(|sequence| {
            let (_, base64) = sequence.split_once(';')?;
            let (base64, _) = base64.split_once(['\x07', '\x1b'])?;
            Some(String::from_utf8(STANDARD.decode(base64).unwrap()).unwrap())
        })
        .collect()
}

fn wait_for_told(pty: &Pty, text: &str) {
    wait_for("the terminal to be told", || {
        (told(&pty.printed()).last()? == text).then_some(())
    });
}

#[test]
fn over_ssh_the_terminal_has_it_until_the_panel_ends() {
    for (key, code) in [(ENTER, 0), (CTRL_C, 130)] {
        let sandbox = Sandbox::new();
        let mut pty = Pty::run(&sandbox.command(CREATE));
        let text = pty.see("Clipboard     sent to your terminal");
        let password = password_on(&text).unwrap();
        pty.see("cleared when you press Enter; paste it first");
        assert_eq!(told(&pty.printed()), [password.as_str()]);
        pty.answer(key);
        let ended = pty.end();
        assert_eq!(ended.code, code);
        assert_eq!(told(&ended.printed), [password.as_str(), " "]);
    }
}

#[test]
fn a_forwarded_display_is_not_where_the_person_is() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(CREATE);
    command.env("DISPLAY", ":4242");
    command.env("SSH_CONNECTION", pty::SSH);
    let mut pty = Pty::run(&command);
    pty.see("Clipboard     sent to your terminal");
    pty.press(CTRL_C);
    assert_eq!(pty.end().code, 130);
}

#[test]
fn it_is_not_sent_where_it_would_be_printed_or_was_not_wanted() {
    let sandbox = Sandbox::new();
    for (term, copy, reason) in [
        ("linux", "auto", "this terminal has no clipboard"),
        ("dumb", "terminal", "this terminal has no clipboard"),
        ("xterm", "never", "--copy never"),
        ("xterm", "desktop", "there is no desktop"),
    ] {
        let mut command = sandbox.command(&[CREATE, &["--copy", copy]].concat());
        command.env("TERM", term);
        let mut pty = Pty::run(&command);
        pty.see(&format!("Clipboard     not copied: {reason}"));
        pty.press(CTRL_C);
        assert_eq!(told(&pty.end().printed), [""; 0]);
    }
}

#[test]
fn beside_a_redirected_stdout_it_is_sent_only_on_request() {
    let sandbox = Sandbox::new();
    for (copy, times) in [("", 0), ("--copy terminal", 1)] {
        let user = format!("n{times}@example.com");
        let script = format!("umask 077; \"$0\" user create {user} {copy} >\"$HOME/out\"");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, PROGRAM]);
        shell.env("SMTPCRED_STORE", sandbox.store());
        shell.env("HOME", sandbox.folder.path());
        shell.env("PATH", std::env::var_os("PATH").unwrap());
        let ended = Pty::run(&shell).end();
        assert_eq!(ended.code, 0);
        let out = fs::read_to_string(sandbox.folder.path().join("out")).unwrap();
        let password = out.strip_suffix('\n').unwrap();
        assert_eq!(sandbox.verify(&user, password), 0);
        assert_eq!(told(&ended.printed), vec![password; times]);
    }
}

/// A multiplexer of our own with a shell in it, and how to talk to it.
struct Multiplexer {
    talk: fn(&Self) -> Command,
    quit: &'static [&'static str],
    folder: PathBuf,
}

impl Multiplexer {
    fn ask(&self, args: &[&str]) -> String {
        let output = (self.talk)(self).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Multiplexer {
    fn drop(&mut self) {
        self.ask(self.quit);
    }
}

/// What is typed into the shell in there; at its end, something to wait for.
fn typed(sandbox: &Sandbox) -> String {
    let store = sandbox.store();
    format!(
        "{PROGRAM} --store {} user create {USER}; echo e'n'd $?\r",
        store.display()
    )
}

/// Fills the screen, so that what was on it is scrolled off; `last` ends it.
fn fill(pty: &mut Pty, last: u32) {
    pty.press(&format!("seq {} {last}\r", last - 50));
    // Not the line just typed.
    pty.see(&format!("{}\n{last}\n", last - 1));
}

/// The password went to the outer terminal, and is nowhere in here: `history`
/// is all that can be scrolled back to.
fn through(mut pty: Pty, sandbox: &Sandbox, key: &str, history: impl FnOnce() -> String) {
    fill(&mut pty, 100);
    pty.press(&typed(sandbox));
    let text = pty.see("Clipboard     sent to your terminal");
    let password = password_on(&text).unwrap();
    wait_for_told(&pty, &password);
    pty.answer(key);
    pty.see(if key == ENTER { "end 0" } else { "end 130" });
    wait_for_told(&pty, " ");
    fill(&mut pty, 200);
    let history = history();
    // A long path wraps the line, at the space perhaps.
    assert!(
        history.replace([' ', '\n'], "").contains("usercreate"),
        "{history}"
    );
    assert!(
        !pty::tells(&history, &password),
        "{password} is in:\n{history}"
    );
    assert!(!pty::tells(&pty.screen().screen().contents(), &password));
    if key == ENTER {
        assert_eq!(sandbox.verify(USER, &password), 0);
    }
}

fn shell_in(folder: &std::path::Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", std::env::var_os("PATH").unwrap());
    command.env("HOME", folder).env("SHELL", "/bin/sh");
    command.env("LC_ALL", "C.UTF-8").env("PS1", "$ ");
    command
}

#[test]
#[ignore = "needs tmux: run tests/run"]
fn p1_tmux_passes_it_on_and_keeps_nothing() {
    for (clipboard, key) in [("external", ENTER), ("off", ENTER), ("on", CTRL_C)] {
        let sandbox = Sandbox::new();
        let tmux = Multiplexer {
            talk: |this| {
                let mut tmux = shell_in(&this.folder, "tmux");
                tmux.env("TMUX_TMPDIR", &this.folder);
                tmux.args(["-L", "test", "-f", "/dev/null"]);
                tmux
            },
            quit: &["kill-server"],
            folder: sandbox.folder.path().to_owned(),
        };
        let mut start = (tmux.talk)(&tmux);
        start.args([
            "set-option",
            "-s",
            "set-clipboard",
            clipboard,
            ";",
            "new-session",
        ]);
        through(Pty::run(&start), &sandbox, key, || {
            assert_eq!(tmux.ask(&["list-buffers"]), "");
            tmux.ask(&["capture-pane", "-p", "-J", "-S", "-"])
        });
    }
}

#[test]
#[ignore = "needs GNU screen: run tests/run"]
fn p1_screen_passes_it_on_and_keeps_nothing() {
    // With and without an alternate screen, which it has not by default.
    for (alternate, key) in [("off", ENTER), ("off", CTRL_C), ("on", ENTER)] {
        let sandbox = Sandbox::new();
        let folder = sandbox.folder.path();
        let settings = format!("startup_message off\ndefscrollback 1000\naltscreen {alternate}\n");
        fs::write(folder.join("screenrc"), settings).unwrap();
        let screen = Multiplexer {
            talk: |this| {
                let mut screen = shell_in(&this.folder, "screen");
                screen.env("SCREENDIR", this.folder.join("sockets"));
                screen.arg("-c").arg(this.folder.join("screenrc"));
                screen.args(["-S", "test"]);
                screen
            },
            quit: &["-X", "quit"],
            folder: folder.to_owned(),
        };
        let mut start = (screen.talk)(&screen);
        start.arg("/bin/sh");
        through(Pty::run(&start), &sandbox, key, || {
            let file = folder.join("history");
            screen.ask(&["-X", "hardcopy", "-h", file.to_str().unwrap()]);
            wait_for("the history", || {
                let text = fs::read(&file).ok()?;
                let text = String::from_utf8_lossy(&text).into_owned();
                // Written in full: the last of what was printed is in it.
                text.contains("\n200\n").then_some(text)
            })
        });
    }
}
