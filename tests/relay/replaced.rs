//! What is put in place of a running relay's program, and a log that nobody reads:
//! sign-ins go on.

use std::fs::{self, Permissions};
use std::io::{Read as _, pipe};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::relay::{Client, Relay, auth_socket, until};
use crate::support::{PROGRAM, Sandbox, Server, fill, relay, wait_for};

const SHOP: &str = "shop@example.com";
const HOME: &str = "192.0.2.1";
const OK: Option<&str> = Some("OK\t1\tuser=shop@example.com");

/// A copy of the program that may be replaced.
fn copy(sandbox: &Sandbox) -> PathBuf {
    let copy = sandbox.folder.path().join("smtpcred");
    put(&copy, |beside| {
        fs::copy(PROGRAM, beside).unwrap();
    });
    copy
}

/// As a package does: beside it, and renamed over it.
fn put(program: &Path, write: impl FnOnce(&Path)) {
    let beside = program.with_extension("new");
    write(&beside);
    fs::rename(&beside, program).unwrap();
}

fn script(text: &str) -> impl FnOnce(&Path) {
    move |path| {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
}

fn start(sandbox: &Sandbox, program: &Path) -> Relay {
    let auth = auth_socket(sandbox);
    let command = relay::command(sandbox, &[], &["--auth", auth.to_str().unwrap()]);
    let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    Relay::run(sandbox.other_command(program.to_str().unwrap(), &args))
}

fn signs_in(client: &mut Client, password: &str) {
    client.sign_in(1, SHOP, password, HOME);
    assert_eq!(client.line().as_deref(), OK);
}

/// What stands in place of the program, and what is said about it.
type Bad = (&'static str, fn(&Path));

const BAD: [Bad; 9] = [
    ("No such file", |program| fs::remove_file(program).unwrap()),
    ("Permission denied", |program| {
        put(program, |path| {
            fs::copy(PROGRAM, path).unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
        });
    }),
    ("it is not a program for this machine", |program| {
        // A shell would run it.
        put(program, script("touch run-by-a-shell\n"));
    }),
    ("it is not a program for this machine", |program| {
        put(
            program,
            script("#!/bin/sh\necho smtpcred can start, version 9\ntouch run-by-a-shell\n"),
        );
    }),
    ("it is not a program for this machine", |program| {
        put(program, |path| {
            // For another processor.
            let mut bytes = fs::read(PROGRAM).unwrap();
            bytes[18] ^= 0x55;
            fs::write(path, bytes).unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        });
    }),
    ("it does not start", |program| {
        put(program, |path| {
            fs::copy("/bin/false", path).unwrap();
        });
    }),
    ("it does not start", |program| {
        put(program, |path| {
            // Its end is missing. A share of the file would not do: all that runs may
            // lie in a quarter of it, before what a debugger needs.
            let bytes = fs::read(PROGRAM).unwrap();
            fs::write(path, &bytes[..1 << 16]).unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        });
    }),
    ("it is not a file", |program| {
        put(program, |path| {
            let made = Command::new("mkfifo").arg(path).status();
            assert!(made.expect("mkfifo runs").success());
        });
    }),
    ("it is not a file", |program| {
        fs::remove_file(program).unwrap();
        fs::create_dir(program).unwrap();
    }),
];

#[test]
fn a_program_that_cannot_start_is_not_started_and_nobody_notices() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(SHOP);
    let program = copy(&sandbox);
    let relay = start(&sandbox, &program);
    let (stop, asked) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        // On one connection, and on a new one each time.
        let load = scope.spawn(|| {
            let mut client = Client::auth(&sandbox);
            while !stop.load(Ordering::Relaxed) {
                signs_in(&mut client, &password);
                signs_in(&mut Client::auth(&sandbox), &password);
                asked.fetch_add(1, Ordering::Relaxed);
            }
        });
        for (i, (said, replace)) in BAD.iter().enumerate() {
            if program.is_dir() {
                fs::remove_dir(&program).unwrap();
            }
            replace(&program);
            let before = asked.load(Ordering::Relaxed);
            relay.signal(Signal::SIGUSR2);
            until("the answer", relay::PATIENCE, || {
                relay.count("not restarted") > i
            });
            let log = relay.log.lock().unwrap().clone();
            let line = log
                .iter()
                .rfind(|line| line.contains("not restarted"))
                .unwrap();
            assert!(line.contains(said), "{said}: {line}");
            until("sign-ins to go on", relay::PATIENCE, || {
                asked.load(Ordering::Relaxed) > before + 2
            });
        }
        assert_eq!(relay.count("ready: "), 1);
        assert_eq!(relay.count("hung up"), 0);
        stop.store(true, Ordering::Relaxed);
        load.join().expect("nobody was hung up on");
    });
    assert!(!sandbox.folder.path().join("run-by-a-shell").exists());
    // And what can start is started.
    fs::remove_dir(&program).unwrap();
    copy(&sandbox);
    relay.signal(Signal::SIGUSR2);
    until("it to be back", relay::PATIENCE, || {
        relay.count("ready: ") > 1
    });
    signs_in(&mut Client::auth(&sandbox), &password);
    let name = fs::read_to_string(format!("/proc/{}/comm", relay.pid())).unwrap();
    assert_eq!(name.trim(), "smtpcred");
    relay.signal(Signal::SIGTERM);
    assert_eq!(relay.ended().0, Some(0));
}

#[test]
fn a_program_that_hangs_is_given_up_on() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(SHOP);
    let program = copy(&sandbox);
    let relay = start(&sandbox, &program);
    put(&program, |path| {
        let source = sandbox.folder.path().join("hang.rs");
        fs::write(&source, "fn main() { loop { std::thread::park() } }").unwrap();
        let made = Command::new("rustc")
            .arg("-o")
            .args([path, &source])
            .status();
        assert!(made.expect("rustc runs").success());
    });
    let mut client = Client::auth(&sandbox);
    relay.signal(Signal::SIGUSR2);
    until("the answer", relay::PATIENCE, || {
        signs_in(&mut client, &password);
        relay.count("did not start within 5 s") > 0
    });
    assert_eq!(relay.count("ready: "), 1);
}

#[test]
fn a_store_that_the_program_does_not_know_keeps_the_old_one_running() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(SHOP);
    let relay = relay::start(&sandbox, &[], &[]);
    let mut client = Client::auth(&sandbox);
    signs_in(&mut client, &password);
    sandbox.sql("PRAGMA user_version = 1000");
    relay.signal(Signal::SIGUSR2);
    until("the answer", relay::PATIENCE, || {
        relay.count("not restarted") > 0
    });
    signs_in(&mut client, &password);
    sandbox.sql("PRAGMA user_version = 9");
}

/// `serve` whose stderr is a full pipe that nobody reads.
fn unread(sandbox: &Sandbox) -> (Server, std::io::PipeReader) {
    let (reader, writer) = pipe().unwrap();
    let auth = auth_socket(sandbox);
    let mut command = relay::command(sandbox, &[], &["--auth", auth.to_str().unwrap()]);
    command.stderr(Stdio::from(writer.try_clone().unwrap()));
    let server = Server(command.spawn().expect("the program runs"));
    wait_for("it to listen", || auth.exists().then_some(()));
    fill(&writer);
    (server, reader)
}

fn tell(server: &Server, signal: Signal) {
    kill(Pid::from_raw(server.0.id().cast_signed()), signal).expect("it runs");
}

#[test]
fn a_log_that_nobody_reads_keeps_nothing_from_ending_or_starting_anew() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(SHOP);
    let (mut server, mut reader) = unread(&sandbox);
    // More than a pipe takes, so that the writer of the log stands still.
    let mut clients: Vec<_> = (0..20).map(|_| Client::auth(&sandbox)).collect();
    for client in &mut clients {
        for id in 1..=50 {
            client.send(
                relay::request(id, "a:b", "x", HOME)
                    .replace("\tsecured", "")
                    .as_bytes(),
            );
        }
    }
    for client in &mut clients {
        (0..50).for_each(|_| assert!(client.line().is_some_and(|line| line.starts_with("FAIL"))));
    }
    drop(clients);
    let mut old = Client::auth(&sandbox);
    signs_in(&mut old, &password);
    tell(&server, Signal::SIGUSR2);
    // It lets go of connections that wait for nothing, and is there again.
    assert_eq!(old.line(), None);
    signs_in(&mut Client::auth(&sandbox), &password);
    tell(&server, Signal::SIGTERM);
    let status = wait_for("it to end", || server.0.try_wait().expect("ours"));
    assert!(status.success(), "{status}");
    assert!(!auth_socket(&sandbox).exists());
    // What it could not write is not kept by anybody.
    fcntl(&reader, FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).unwrap();
    assert!(reader.as_raw_fd() > 2);
    let mut all = Vec::new();
    let _ = reader.read_to_end(&mut all);
    assert!(!all.is_empty());
}
