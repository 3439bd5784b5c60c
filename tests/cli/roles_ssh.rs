//! Roles through the real sshd: forced commands of an operator, a viewer and an application.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::mail::Place;
use crate::support::postgres::Postgres;
use crate::support::pty::{ENTER, Pty, password_on};
use crate::support::serve::{Auth, Serve, store};
use crate::support::{PROGRAM, Run, Sandbox, Server, finished, free_port, is_long, wait_for};

const SHOP: &str = "shop@example.com";

/// An sshd for root with a key for each holder.
struct Sshd<'a> {
    sandbox: &'a Sandbox,
    port: u16,
    _child: Server,
}

impl<'a> Sshd<'a> {
    fn start(sandbox: &'a Sandbox) -> Self {
        sandbox.noted(&["domain", "add", "other.org"]);
        sandbox.create(SHOP);
        sandbox.create("boss@other.org");
        for role in [
            &["ana", "--role", "operator", "--domain", "example.com"][..],
            &["vic", "--role", "viewer", "--domain", "example.com"],
            &[
                "app",
                "--role",
                "self",
                "--user",
                SHOP,
                "--hourly-changes",
                "1000",
            ],
        ] {
            sandbox.noted(&[&["role", "grant"], role].concat());
        }
        let folder = sandbox.folder.path();
        // Where sshd separates its privileges; a unit would create it.
        fs::create_dir_all("/run/sshd").expect("root: run tests/run");
        let mut keys = String::new();
        for name in ["host", "ana", "vic", "app"] {
            key(&folder.join(name));
            let public = fs::read_to_string(folder.join(format!("{name}.pub"))).unwrap();
            let store = sandbox.location().into_string().unwrap();
            let command = format!("'{PROGRAM}' --store '{store}' as {name}");
            writeln!(
                keys,
                "restrict,pty,command=\"{command}\" {}",
                public.trim_end()
            )
            .unwrap();
        }
        fs::write(folder.join("authorized_keys"), keys).unwrap();
        let port = free_port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nPidFile none\n\
             AuthorizedKeysFile {0}/authorized_keys\nStrictModes no\nUsePAM no\n\
             PermitRootLogin forced-commands-only\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nExposeAuthInfo yes\nAcceptEnv SMTPCRED_* PAGER TZ\n\
             MaxStartups 100\n",
            folder.display()
        );
        fs::write(folder.join("sshd_config"), config).unwrap();
        let log = File::create(folder.join("sshd.log")).unwrap();
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(folder.join("sshd_config"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("sshd: run tests/run");
        let child = Server(child);
        wait_for("sshd to listen", || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self {
            sandbox,
            port,
            _child: child,
        }
    }

    /// What a holder types elsewhere.
    fn ssh(&self, holder: &str, more: &[&str], words: &str) -> Command {
        let folder = self.sandbox.folder.path();
        let mut ssh = Command::new("/usr/bin/ssh");
        ssh.env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("TERM", "xterm-256color")
            .env("SMTPCRED_STORE", "/tmp/of-the-caller.db")
            .env("PAGER", "touch paged")
            .env("TZ", "Asia/Tokyo");
        ssh.args(["-F", "none", "-i"]).arg(folder.join(holder));
        for option in [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "SendEnv=SMTPCRED_STORE PAGER TZ",
        ] {
            ssh.args(["-o", option]);
        }
        ssh.arg("-p").arg(self.port.to_string()).args(more);
        ssh.args(["root@127.0.0.1", "--"]).arg(words);
        ssh.stdin(Stdio::null());
        ssh
    }

    fn run(&self, holder: &str, words: &str) -> Run {
        finished(self.ssh(holder, &[], words).output().expect("ssh"))
    }
}

fn key(path: &Path) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path)
        .status();
    assert!(made.expect("ssh-keygen: run tests/run").success());
}

/// As `ssh-keygen -l` has it.
fn fingerprint(sandbox: &Sandbox, name: &str) -> String {
    let shown = Command::new("ssh-keygen")
        .arg("-lf")
        .arg(sandbox.folder.path().join(format!("{name}.pub")))
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    shown.split(' ').nth(1).unwrap().to_owned()
}

/// Each role does what it may, and the shell of the account never runs for it.
fn roles_over_ssh(sandbox: &Sandbox) {
    let sshd = Sshd::start(sandbox);
    let reset = sshd.run("ana", &format!("user reset {SHOP}"));
    assert_eq!(reset.code, 0, "{}", reset.stderr);
    assert_eq!(sandbox.verify(SHOP, reset.stdout.trim_end()), 0);
    let events = sandbox.json(&["audit", "list", "--actor", "ana"]);
    assert_eq!(events[0]["fields"]["key"], fingerprint(sandbox, "ana"));
    assert_eq!(events[0]["run_as"], "root");
    let listed = sshd.run("vic", "user list --columns username");
    assert_eq!(
        listed.stdout,
        format!("USERNAME\n{SHOP}\n"),
        "{}",
        listed.stderr
    );
    let made = sandbox.folder.path().join("made");
    let touch = format!("touch {}", made.display());
    for (holder, line, code) in [
        ("vic", format!("user reset {SHOP}"), 4),
        ("vic", "user show boss@other.org".into(), 3),
        ("ana", "user reset boss@other.org".into(), 3),
        ("ana", "user list --store /tmp/of-the-caller.db".into(), 4),
        (
            "ana",
            format!("user reset {SHOP} --output {}", made.display()),
            4,
        ),
        ("ana", format!("user list; {touch}"), 2),
        ("ana", format!("user list $({touch})"), 2),
        ("ana", format!("user list `{touch}`"), 2),
        ("ana", touch.clone(), 2),
        ("ana", "sh".into(), 2),
        ("ana", String::new(), 2),
        ("app", "user list".into(), 4),
        ("app", "user reset boss@other.org".into(), 3),
    ] {
        let said = sshd.run(holder, &line);
        assert_eq!(
            (said.code, said.stdout.as_str()),
            (code, ""),
            "{line}: {}",
            said.stderr
        );
    }
    assert!(!made.exists());
    let renewed = sshd.run("app", &format!("user reset {SHOP} --overlap 1h"));
    assert_eq!(sandbox.verify(SHOP, renewed.stdout.trim_end()), 0);
    assert_eq!(
        sandbox.verify(SHOP, reset.stdout.trim_end()),
        0,
        "an overlap"
    );
    sandbox.noted(&["role", "revoke", "ana"]);
    assert_eq!(sshd.run("ana", "user list").code, 3);
}

#[test]
#[ignore = "needs sshd: run tests/run"]
fn holders_do_over_ssh_what_they_may() {
    roles_over_ssh(&Sandbox::new());
}

#[test]
#[ignore = "needs sshd and PostgreSQL: run tests/run"]
fn holders_do_the_same_with_a_database() {
    let server = Postgres::start();
    let sandbox = server.sandbox();
    sandbox.noted(&["domain", "add", "example.com"]);
    roles_over_ssh(&sandbox);
}

/// The panel, and the clipboard at the other end; also where the account has a desktop or tmux.
#[test]
#[ignore = "needs sshd: run tests/run"]
fn p1_on_a_terminal_the_panel_shows_it_and_the_holders_clipboard_has_it() {
    let sandbox = Sandbox::new();
    let sshd = Sshd::start(&sandbox);
    let mut pty = Pty::run(&sshd.ssh("ana", &["-tt"], &format!("user reset {SHOP}")));
    let text = pty.see("Clipboard     sent to your terminal");
    let password = password_on(&text).unwrap();
    let told = format!("\x1b]52;c;{}\x07", STANDARD.encode(&password));
    let printed = pty.printed();
    assert!(
        printed
            .windows(told.len())
            .any(|part| part == told.as_bytes())
    );
    assert_ne!(sandbox.verify(SHOP, &password), 0, "before it is confirmed");
    pty.answer(ENTER);
    let ended = pty.end();
    assert_eq!(ended.code, 0);
    assert_eq!(sandbox.verify(SHOP, &password), 0);
    // A long list is not paged: a pager runs what is typed into it.
    for number in 0..40 {
        sandbox.create(&format!("u{number}@example.com"));
    }
    let ended = Pty::run(&sshd.ssh("vic", &["-tt"], "user list")).end();
    assert_eq!(ended.code, 0);
    assert!(!Path::new("/root/paged").exists());
}

/// An application that uses its password all the time, while cron renews it.
#[test]
#[ignore = "needs sshd: run tests/run"]
fn p6_an_application_that_renews_its_password_is_never_refused() {
    const WORKERS: usize = 4;
    let renewals = if is_long() { 100 } else { 10 };
    let sandbox = store();
    let place = Place::new();
    let sshd = Sshd::start(&sandbox);
    let file = sandbox.folder.path().join("smtp.password");
    let first = sshd.run("app", &format!("user reset {SHOP}"));
    fs::write(&file, first.stdout).unwrap();
    crate::support::serve::own_again(&sandbox);
    let _serve = Serve::start(&sandbox, &place);
    let done = AtomicBool::new(false);
    let used: Vec<_> = (0..WORKERS).map(|_| Mutex::new(String::new())).collect();
    thread::scope(|threads| {
        for used in &used {
            threads.spawn(|| {
                let mut auth = Auth::connect(&place.auth()).unwrap();
                while !done.load(Ordering::Relaxed) {
                    let password = fs::read_to_string(&file).unwrap();
                    let right = auth.plain("192.0.2.1", SHOP, password.trim_end()).unwrap();
                    if right != Some(true) {
                        done.store(true, Ordering::Relaxed);
                        panic!("refused: {right:?}");
                    }
                    *used.lock().unwrap() = password;
                }
            });
        }
        for _ in 0..renewals {
            let new = sandbox.folder.path().join("new");
            let mut ssh = sshd.ssh("app", &[], &format!("user reset {SHOP} --overlap 24h"));
            let ran = ssh.stdout(File::create(&new).unwrap()).status().unwrap();
            if !ran.success() {
                done.store(true, Ordering::Relaxed);
                panic!("{ran}");
            }
            let password = fs::read_to_string(&new).unwrap();
            fs::rename(&new, &file).unwrap();
            wait_for("all workers to use it", || {
                let all = used.iter().all(|used| *used.lock().unwrap() == password);
                (all || done.load(Ordering::Relaxed)).then_some(())
            });
            // In place of a day that passes.
            sandbox.noted(&["user", "retire", SHOP]);
        }
        done.store(true, Ordering::Relaxed);
    });
}
