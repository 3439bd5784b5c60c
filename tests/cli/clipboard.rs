//! The desktop's clipboard, with real desktops: X11 under Xvfb, Wayland under
//! sway without a screen.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::nobody::{as_nobody, give_to_nobody, program_in};
use crate::support::pty::{CTRL_C, ENTER, Pty, password_on};
use crate::support::{self, PROGRAM, Sandbox, Server, pty, wait_for};

const USER: &str = "shop@example.com";

/// An X server that nobody looks at.
struct X {
    display: String,
    server: Server,
}

impl X {
    fn start() -> Self {
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-nolisten", "tcp"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map(Server)
            .expect("Xvfb is installed");
        let mut number = String::new();
        // It chooses a free number, and says which once it is ready.
        BufReader::new(server.0.stdout.take().unwrap())
            .read_line(&mut number)
            .unwrap();
        Self {
            display: format!(":{}", number.trim()),
            server,
        }
    }

    fn xclip(&self) -> Command {
        let mut command = Command::new("timeout");
        command.args(["60", "xclip", "-selection", "clipboard"]);
        command.env("DISPLAY", &self.display);
        command
    }

    /// What is in the clipboard; empty if nothing is.
    fn paste(&self) -> String {
        let output = self.xclip().arg("-o").output().expect("xclip is installed");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Somebody else copies something.
    fn copy(&self, text: &str) -> Server {
        let mut xclip = self.xclip();
        xclip.args(["-quiet", "-i"]).stdin(Stdio::piped());
        xclip.stderr(Stdio::null());
        let mut xclip = Server(xclip.spawn().expect("xclip is installed"));
        let stdin = xclip.0.stdin.take().unwrap();
        write!({ stdin }, "{text}").unwrap();
        wait_for("the other text", || (self.paste() == text).then_some(()));
        xclip
    }
}

/// `user create` at a terminal on this display.
fn on_desktop(sandbox: &Sandbox, display: &str, args: &[&str]) -> Command {
    let mut command = sandbox.command(&["user", "create", USER]);
    command.args(args);
    command.env("DISPLAY", display);
    command
}

/// Up to the panel that says that the password was copied. Returns the
/// password, and the process that has the clipboard.
fn copied(pty: &Pty) -> (String, u32) {
    let text = pty.see("Clipboard     copied; cleared in");
    let owner = wait_for("the owner", || owner_of(pty.pid()));
    (password_on(&text).expect("a password"), owner)
}

/// The processes that have a clipboard.
fn owners() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        line.contains("clipboard-owner").then_some(pid)
    })
}

fn owner_of(parent: i32) -> Option<u32> {
    owners().find(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        rest.split_whitespace().nth(1) == Some(&parent.to_string())
    })
}

fn owner_at(display: &str) -> Option<u32> {
    owners().find(|pid| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let own = format!("DISPLAY={display}");
        environ
            .split(|b| *b == 0)
            .any(|entry| entry == own.as_bytes())
    })
}

fn send(process: u32, signal: Signal) {
    kill(Pid::from_raw(process.try_into().unwrap()), signal).unwrap();
}

fn wait_for_end_of(owner: u32) {
    wait_for("the end of the clipboard's owner", || {
        let stat = fs::read_to_string(format!("/proc/{owner}/stat"));
        // Where nobody reaps orphans, a dead one stays.
        stat.map_or(true, |stat| stat.contains(") Z "))
            .then_some(())
    });
}

#[test]
#[ignore = "needs Xvfb and xclip: run tests/run"]
fn what_is_said_to_be_copied_is_and_outlives_the_program() {
    let (x, sandbox) = (X::start(), Sandbox::new());
    let mut pty = Pty::run(&on_desktop(&sandbox, &x.display, &[]));
    let (password, owner) = copied(&pty);
    assert_eq!(x.paste(), password);
    pty.answer(ENTER);
    assert_eq!(pty.end().code, 0);
    assert_eq!(x.paste(), password);
    assert_eq!(sandbox.verify(USER, &password), 0);
    // Not by waiting 45 seconds.
    send(owner, Signal::SIGTERM);
    wait_for_end_of(owner);
    assert_eq!(x.paste(), "");
}

#[test]
#[ignore = "needs Xvfb and xclip: run tests/run"]
fn it_is_cleared_in_time() {
    let (x, sandbox) = (X::start(), Sandbox::new());
    let mut pty = Pty::run(&on_desktop(&sandbox, &x.display, &["--copy-timeout", "8s"]));
    let (_, owner) = copied(&pty);
    pty.answer(ENTER);
    assert_eq!(pty.end().code, 0);
    wait_for_end_of(owner);
    assert_eq!(x.paste(), "");
}

#[test]
#[ignore = "needs Xvfb and xclip: run tests/run"]
fn what_somebody_else_copied_is_left_alone() {
    let (x, sandbox) = (X::start(), Sandbox::new());
    for (key, timeout) in [(CTRL_C, "1h"), (ENTER, "8s")] {
        let command = on_desktop(&sandbox, &x.display, &["--copy-timeout", timeout]);
        let mut pty = Pty::run(&command);
        let (_, owner) = copied(&pty);
        let _other = x.copy("not the password");
        pty.answer(key);
        pty.end();
        wait_for_end_of(owner);
        assert_eq!(x.paste(), "not the password");
    }
}

#[test]
#[ignore = "needs Xvfb and xclip: run tests/run"]
fn p2_a_password_that_is_not_valid_is_taken_back() {
    type Leave = fn(Pty) -> i32;
    let ways: [Leave; 2] = [
        |mut pty| {
            pty.press(CTRL_C);
            pty.end().code
        },
        Pty::hang_up,
    ];
    let (x, sandbox) = (X::start(), Sandbox::new());
    for leave in ways {
        let pty = Pty::run(&on_desktop(&sandbox, &x.display, &["--copy-timeout", "1h"]));
        let (password, owner) = copied(&pty);
        assert_eq!(x.paste(), password);
        assert_eq!(leave(pty), 130);
        wait_for_end_of(owner);
        assert_eq!(x.paste(), "");
    }
}

#[test]
#[ignore = "needs Xvfb and xclip: run tests/run"]
fn p1_its_owner_tells_nothing() {
    let (x, sandbox) = (X::start(), Sandbox::new());
    let mut command = on_desktop(&sandbox, &x.display, &[]);
    command.env("OF_NO_CONCERN", "to it");
    let mut pty = Pty::run(&command);
    let (password, owner) = copied(&pty);
    for file in ["cmdline", "environ"] {
        let bytes = fs::read(format!("/proc/{owner}/{file}")).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains(if file == "cmdline" {
            "clipboard-owner"
        } else {
            "DISPLAY"
        }));
        assert!(
            !pty::tells(&text, &password) && !text.contains("OF_NO_CONCERN"),
            "{text}"
        );
    }
    pty.press(CTRL_C);
    pty.end();
}

#[test]
#[ignore = "needs Xvfb: run tests/run"]
fn a_dead_desktop_is_not_said_to_have_it() {
    let sandbox = Sandbox::new();
    // One that is not there, and one that takes the call and never answers.
    let deaf = X::start();
    send(deaf.server.0.id(), Signal::SIGSTOP);
    for display in [":4242", &deaf.display] {
        for (term, said) in [("xterm", "sent to your terminal"), ("dumb", "not copied: ")] {
            let mut command = on_desktop(&sandbox, display, &[]);
            command.env("TERM", term);
            let mut pty = Pty::run(&command);
            let text = pty.see(&format!("Clipboard     {said}"));
            assert!(!text.contains("Clipboard     copied"), "{text}");
            pty.press(CTRL_C);
            let program = pty.pid();
            assert_eq!(pty.end().code, 130);
            assert_eq!(owner_of(program), None);
        }
    }
}

#[test]
#[ignore = "needs Xvfb, xclip and root: run tests/run"]
fn its_owner_holds_nothing_that_others_wait_for() {
    let (x, sandbox) = (X::start(), Sandbox::new());
    let script = r#"
        exec 9>"$HOME/lock"; flock 9
        password=$("$0" user create shop@example.com --copy desktop --copy-timeout 40s)
        printf %s "$password" >"$HOME/password""#;
    let mut shell = Command::new("sh");
    shell
        .args(["-c", script, PROGRAM])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", sandbox.folder.path())
        .env("SMTPCRED_STORE", sandbox.store())
        .env("DISPLAY", &x.display)
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    let run = support::ended(Server(shell.spawn().unwrap()));
    assert!(
        run.stderr.contains("clipboard: copied; cleared in 40s"),
        "{}",
        run.stderr
    );
    let password = fs::read_to_string(sandbox.folder.path().join("password")).unwrap();
    assert_eq!(x.paste(), password);
    let mut flock = Command::new("flock");
    flock
        .args(["--nonblock", "lock", "true"])
        .current_dir(sandbox.folder.path());
    assert!(flock.status().unwrap().success(), "the lock is still held");
    let owner = owner_at(&x.display).expect("root reads every environment");
    send(owner, Signal::SIGTERM);
    wait_for_end_of(owner);
}

#[test]
#[ignore = "needs Xvfb, xclip and sudo: run tests/run"]
fn behind_sudo_it_is_the_same_clipboard() {
    let (x, sandbox) = (X::start(), Sandbox::new());
    let store = sandbox.store();
    let args = [
        "--non-interactive",
        PROGRAM,
        "--store",
        store.to_str().unwrap(),
    ];
    // At a desktop, and over SSH with a forwarded display, where sudo takes
    // away what tells one from the other.
    for ssh in [false, true] {
        let mut command = Command::new("sudo");
        command.args(args).args(["user", "create", USER]);
        command.env("PATH", std::env::var_os("PATH").unwrap());
        command.env("DISPLAY", &x.display);
        if ssh {
            command.env("SSH_CONNECTION", pty::SSH);
        }
        let mut pty = Pty::run(&command);
        let said = if ssh {
            "sent to your terminal"
        } else {
            "copied; cleared in"
        };
        let text = pty.see(&format!("Clipboard     {said}"));
        let password = password_on(&text).unwrap();
        assert_eq!(x.paste(), if ssh { "" } else { &password });
        pty.press(CTRL_C);
        assert_eq!(pty.end().code, 130);
        wait_for("the clipboard to be cleared", || {
            x.paste().is_empty().then_some(())
        });
    }
}

/// A Wayland desktop that nobody looks at. Neither it nor its programs are run
/// as root, which sway refuses.
struct Wayland {
    runtime: PathBuf,
    _server: Server,
}

impl Wayland {
    fn start(folder: &Path) -> Self {
        let runtime = folder.join("runtime");
        fs::create_dir(&runtime).unwrap();
        fs::set_permissions(&runtime, fs::Permissions::from_mode(0o700)).unwrap();
        give_to_nobody(&runtime);
        let server = as_nobody("sway")
            .args(["--config", "/dev/null"])
            .env("XDG_RUNTIME_DIR", &runtime)
            .env("WLR_BACKENDS", "headless")
            .env("WLR_RENDERER", "pixman")
            .env("WLR_LIBINPUT_NO_DEVICES", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Server)
            .expect("sway is installed");
        wait_for("sway", || runtime.join("wayland-1").exists().then_some(()));
        Self {
            runtime,
            _server: server,
        }
    }

    fn client(&self, program: &str) -> Command {
        let mut command = as_nobody(program);
        command.env("WAYLAND_DISPLAY", "wayland-1");
        command.env("XDG_RUNTIME_DIR", &self.runtime);
        command
    }

    fn paste(&self) -> String {
        let mut paste = self.client("timeout");
        let output = paste.args(["60", "wl-paste", "-n"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

#[test]
#[ignore = "needs sway and wl-clipboard: run tests/run"]
fn wayland_has_it_until_it_is_cleared() {
    let sandbox = Sandbox::empty();
    let folder = sandbox.folder.path();
    give_to_nobody(folder);
    let program = program_in(folder);
    let program = program.to_str().unwrap();
    let desktop = Wayland::start(folder);
    for (key, code) in [(ENTER, 0), (CTRL_C, 130)] {
        let mut command = desktop.client(program);
        command.args(["user", "create", "--domain", "example.com", "--add-domain"]);
        command.args(["--copy-timeout", if code == 0 { "8s" } else { "1h" }]);
        command.env("SMTPCRED_STORE", sandbox.store());
        command.env("HOME", folder);
        command.current_dir(folder);
        let mut pty = Pty::run(&command);
        let (password, owner) = copied(&pty);
        if code == 130 {
            assert_eq!(desktop.paste(), password);
        }
        pty.answer(key);
        assert_eq!(pty.end().code, code);
        wait_for_end_of(owner);
        assert_eq!(desktop.paste(), "");
    }
}
