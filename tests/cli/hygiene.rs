//! Promise 1: a password is in nothing that others can read, and in memory no
//! longer than it is needed.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use regex::bytes::Regex;
use rusqlite::Connection;

use crate::support::mail::Place;
use crate::support::mail::postfix::{Postfix, Setup};
use crate::support::nobody::{as_nobody, give_to_nobody, program_in};
use crate::support::pty::{CTRL_C, ENTER, Pty, password_on};
use crate::support::serve::Serve;
use crate::support::{self, PROGRAM, Sandbox, Server, mail, pty, serve, wait_for};

const USER: &str = "shop@example.com";
const CHOSEN: &str = "vague-Otter-61-harbour";
const RESET: &[&str] = &["user", "reset", USER];

/// Every file under the folder, and what is in it.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    found
}

fn count(bytes: &[u8], what: &Regex) -> usize {
    what.find_iter(bytes).count()
}

/// Finds the secret, a half of it, and the form in which a terminal was told.
fn traces_of(secret: &str) -> Regex {
    let (first, second) = secret.split_at(secret.len() / 2);
    let base64 = STANDARD.encode(secret);
    // Its end depends on what follows.
    let base64 = &base64[..base64.len() / 4 * 4 - 4];
    let any = [first, second, base64].map(regex::escape).join("|");
    Regex::new(&any).unwrap()
}

fn assert_in_no_file(sandbox: &Sandbox, secret: &str) {
    let traces = traces_of(secret);
    let files = files(sandbox.folder.path());
    assert!(files.iter().any(|(name, _)| name.ends_with("smtpcred.db")));
    for (name, bytes) in files {
        assert_eq!(count(&bytes, &traces), 0, "it is in {name}");
    }
}

#[test]
fn p1_a_password_is_in_no_file_argument_or_variable() {
    let sandbox = Sandbox::new();
    for key in [ENTER, CTRL_C] {
        let user = format!("n{}@example.com", key.len() + usize::from(key == ENTER));
        let mut pty = Pty::run(&sandbox.command(&["user", "create", &user]));
        let password = password_on(&pty.see("sent to your terminal")).unwrap();
        let traces = traces_of(&password);
        for (file, known) in [("cmdline", "create"), ("environ", "TERM=")] {
            let bytes = fs::read(format!("/proc/{}/{file}", pty.pid()));
            // Of a process that is not dumpable, only root can read it.
            let Ok(bytes) = bytes else { continue };
            assert!(String::from_utf8_lossy(&bytes).contains(known));
            assert_eq!(count(&bytes, &traces), 0, "it is in {file}");
        }
        assert_in_no_file(&sandbox, &password);
        pty.answer(key);
        pty.end();
        assert_in_no_file(&sandbox, &password);
    }
}

#[test]
fn p1_messages_do_not_repeat_it() {
    let sandbox = Sandbox::new();
    let stdin = |args: &[&str], secret: &str| {
        let run = sandbox.run_with_stdin(args, secret.as_bytes());
        assert!(!pty::tells(&run.stderr, secret), "{}", run.stderr);
        assert!(!pty::tells(&run.stdout, secret), "{}", run.stdout);
        run.code
    };
    let create = ["user", "create", USER, "--password-stdin"];
    assert_eq!(stdin(&create, "qwertyqwerty12"), 4);
    assert_eq!(stdin(&create, "with\ta tab in it"), 4);
    assert_eq!(stdin(&create, CHOSEN), 0);
    assert_eq!(stdin(&create, CHOSEN), 4);
    assert_eq!(stdin(&["verify", USER], CHOSEN), 0);
    assert_eq!(stdin(&["verify", USER], "vague-Otter-61-harbor"), 6);
    assert_eq!(stdin(&["verify", USER], "smtpc_Zq7WvR3nXk9"), 6);
    assert_in_no_file(&sandbox, CHOSEN);
}

/// One that was given as an argument is in the history of the shell; it need not be in
/// the mail of cron, too.
#[test]
fn p1_an_argument_that_is_a_password_is_not_repeated() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(USER);
    let address = format!("{password}@example.com");
    let with_user = format!("{USER}:{password}");
    for args in [
        &["verify", USER, &password][..],
        &["user", "create", &password],
        &["user", "show", &password],
        &["user", "show", &address],
        &["why", &with_user],
        &["why", &password.to_lowercase()],
        &["audit", "failures", "--user", &with_user],
        &["domain", "add", &password],
        &["user", "set", USER, "--label", &password],
        &[&password],
    ] {
        for more in [&[][..], &["--json"]] {
            let run = sandbox.run(&[args, more].concat());
            assert!([2, 3].contains(&run.code), "{args:?}: {}", run.stderr);
            let said = run.stderr.to_lowercase() + &run.stdout;
            assert!(!said.contains(&password.to_lowercase()), "{said}");
            let hidden = said.contains("********") || said.contains("it is not shown");
            assert!(hidden, "{said}");
        }
    }
    assert_in_no_file(&sandbox, &password);
}

/// How often the secret is in the memory of a process, which must stand still.
fn copies_in(pid: i32, secret: &str) -> usize {
    let traces = traces_of(secret);
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut copies = 0;
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (start, end) = fields.next().unwrap().split_once('-').unwrap();
        let start = u64::from_str_radix(start, 16).unwrap();
        let length = u64::from_str_radix(end, 16).unwrap() - start;
        if !fields.next().unwrap().starts_with('r') || line.ends_with("[vvar]") {
            continue;
        }
        let mut bytes = vec![0; length.try_into().unwrap()];
        // Some of the kernel's own pages cannot be read.
        if memory.read_exact_at(&mut bytes, start).is_ok() {
            copies += count(&bytes, &traces);
        }
    }
    copies
}

/// Waits until the process does nothing but ask for the store's lock, a
/// thousand times a second, and stops it there.
fn stop_at_lock(pid: i32) {
    const TRIES: u64 = 200;
    let sleeps = || -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse().ok()
    };
    let before = sleeps().unwrap();
    wait_for("the program to want the lock", || {
        (sleeps()? > before + TRIES).then_some(())
    });
    kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
    wait_for("it to stand still", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.contains(") T ").then_some(())
    });
}

fn locked(sandbox: &Sandbox) -> Connection {
    let store = Connection::open(sandbox.store()).unwrap();
    store.execute_batch("BEGIN IMMEDIATE").unwrap();
    store
}

#[test]
#[ignore = "needs root: run tests/run"]
fn p1_a_chosen_password_is_wiped_once_it_is_hashed() {
    let sandbox = Sandbox::new();
    sandbox.create(USER);
    let file = sandbox.folder.path().join("password");
    for way in ["--password-stdin", "--password-file=password"] {
        fs::write(&file, CHOSEN).unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let lock = locked(&sandbox);
        let mut command = sandbox.command(&[RESET, &[way]].concat());
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut program = Server(command.spawn().unwrap());
        let mut stdin = program.0.stdin.take().unwrap();
        stdin.write_all(CHOSEN.as_bytes()).unwrap();
        drop(stdin);
        let pid = program.0.id().try_into().unwrap();
        stop_at_lock(pid);
        assert_eq!(copies_in(pid, CHOSEN), 0, "{way}");
        lock.execute_batch("ROLLBACK").unwrap();
        kill(Pid::from_raw(pid), Signal::SIGCONT).unwrap();
        assert_eq!(support::ended(program).code, 0);
        assert_eq!(sandbox.verify(USER, CHOSEN), 0);
        fs::remove_file(&file).unwrap();
        assert_in_no_file(&sandbox, CHOSEN);
    }
}

#[test]
#[ignore = "needs root: run tests/run"]
fn p1_a_typed_password_is_wiped_once_it_is_hashed() {
    let sandbox = Sandbox::new();
    sandbox.create(USER);
    let mut pty = Pty::run(&sandbox.command(&[RESET, &["--choose-password"]].concat()));
    pty.see("New password:");
    pty.press(&format!("{CHOSEN}\r"));
    pty.see("Repeat it:");
    let lock = locked(&sandbox);
    pty.press(&format!("{CHOSEN}\r"));
    stop_at_lock(pty.pid());
    assert_eq!(copies_in(pty.pid(), CHOSEN), 0);
    lock.execute_batch("ROLLBACK").unwrap();
    pty.signal(Signal::SIGCONT);
    assert_eq!(pty.end().code, 0);
}

#[test]
#[ignore = "needs root: run tests/run"]
fn p1_a_shown_password_is_wiped_once_it_was_seen() {
    let sandbox = Sandbox::new();
    sandbox.create(USER);
    let mut pty = Pty::run(&sandbox.command(RESET));
    let password = password_on(&pty.see("sent to your terminal")).unwrap();
    // While it is shown it is there, and this finds it.
    assert_ne!(copies_in(pty.pid(), &password), 0);
    let lock = locked(&sandbox);
    pty.answer(ENTER);
    stop_at_lock(pty.pid());
    assert_eq!(copies_in(pty.pid(), &password), 0);
    lock.execute_batch("ROLLBACK").unwrap();
    pty.signal(Signal::SIGCONT);
    assert_eq!(pty.end().code, 0);
    assert_eq!(sandbox.verify(USER, &password), 0);
}

#[test]
#[ignore = "needs root: run tests/run"]
fn p1_others_of_the_same_user_cannot_look_into_it() {
    let sandbox = Sandbox::empty();
    let folder = sandbox.folder.path();
    give_to_nobody(folder);
    let program = program_in(folder);
    let mut command = as_nobody(program.to_str().unwrap());
    command.args(["user", "create", USER, "--add-domain"]);
    command.env("SMTPCRED_STORE", sandbox.store());
    command.current_dir(folder);
    let mut pty = Pty::run(&command);
    pty.see("sent to your terminal");
    // What a process that is not dumpable has in /proc belongs to root, and a
    // core file is not written: see proc(5).
    let owner = |pid: i32| fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid();
    let sleep = as_nobody("sleep").arg("60").spawn().map(Server).unwrap();
    let them = if geteuid().is_root() {
        User::from_name("nobody").unwrap().unwrap().uid
    } else {
        geteuid()
    };
    let sleeping = sleep.0.id().try_into().unwrap();
    wait_for("setpriv to be done", || {
        (owner(sleeping) == them.as_raw()).then_some(())
    });
    assert_eq!(owner(pty.pid()), 0);
    let mut look = as_nobody("cat");
    look.arg(format!("/proc/{}/maps", pty.pid()));
    assert!(!look.stderr(Stdio::null()).status().unwrap().success());
    pty.press(CTRL_C);
    assert_eq!(pty.end().code, 130);
}

#[test]
fn p1_only_the_owner_can_read_the_store_whatever_the_umask() {
    let sandbox = Sandbox::empty();
    let script = "umask 000; exec \"$0\" user create shop@example.com --add-domain";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, PROGRAM]);
    shell.env("SMTPCRED_STORE", sandbox.store());
    shell.env("PATH", std::env::var_os("PATH").unwrap());
    let mut pty = Pty::run(&shell);
    pty.see("sent to your terminal");
    let folder = sandbox.folder.path().join("data");
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(&folder), 0o700);
    let files = files(&folder);
    for (name, _) in &files {
        assert_eq!(mode(Path::new(name)), 0o600, "{name}");
    }
    // The log of SQLite and its index are there while the store is open.
    assert_eq!(
        files.len(),
        3,
        "{:?}",
        files.iter().map(|f| &f.0).collect::<Vec<_>>()
    );
    pty.press(CTRL_C);
    pty.end();
}

#[test]
fn p1_a_hash_that_has_stopped_is_in_no_file() {
    type Stop = fn(&Sandbox);
    let ways: [Stop; 3] = [
        |sandbox| drop(sandbox.noted(&["user", "reset", USER])),
        |sandbox| drop(sandbox.noted(&["user", "delete", USER, "--yes"])),
        |sandbox| {
            sandbox.noted(&["domain", "remove", "example.com", "--with-users", "--yes"]);
        },
    ];
    for stop in ways {
        let sandbox = Sandbox::new();
        sandbox.create("other@example.com");
        sandbox.create(USER);
        let store = Connection::open(sandbox.store()).unwrap();
        let theirs = "SELECT hash FROM passwords WHERE username = ?1";
        let hash: String = store.query_row(theirs, [USER], |row| row.get(0)).unwrap();
        let (_, tag) = hash.rsplit_once('$').unwrap();
        let tag = Regex::new(&regex::escape(tag)).unwrap();
        let folder = sandbox.folder.path().join("data");
        let everywhere = || -> usize { files(&folder).iter().map(|f| count(&f.1, &tag)).sum() };
        assert_ne!(everywhere(), 0);
        // Also while another process has the store open and reads nothing.
        stop(&sandbox);
        assert_eq!(everywhere(), 0);
    }
}

/// It is needed until the server has had its last word: it says which password it was.
#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p1_a_tested_password_is_kept_once_and_no_more() {
    let sandbox = serve::store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    // Postfix waits for it when asked about a recipient, and so do we.
    let silent = place.path().join("silent");
    let policy = UnixListener::bind(&silent).unwrap();
    mail::open(&silent, 0o666);
    let mut setup = Setup::new(&place, false);
    setup.main = format!(
        "submission_recipient_restrictions = check_policy_service unix:{}\n\
         submission_end_of_data_restrictions =\n",
        silent.display()
    );
    let postfix = Postfix::start(&place, &setup);
    let secret = sandbox.create(USER);
    let server = format!("localhost:{}", postfix.submission);
    let mut command = sandbox.command(&["test", USER, "--to", USER, "--server", &server]);
    command
        .env("SSL_CERT_FILE", &place.certificate.file)
        .stdin(Stdio::piped())
        .stdout(Stdio::null());
    let mut program = Server(command.spawn().unwrap());
    let mut stdin = program.0.stdin.take().unwrap();
    stdin.write_all(secret.as_bytes()).unwrap();
    drop(stdin);
    let _asked = policy.accept().unwrap();
    let pid = program.0.id().try_into().unwrap();
    // The two halves of it; nothing in base64, as it went to the server.
    assert_eq!(copies_in(pid, &secret), 2);
}
