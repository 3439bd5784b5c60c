//! How a relay begins, is told things, and ends: its sockets, its signals, and
//! what a service manager is told.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::geteuid;

use crate::support::relay::{Client, Relay, auth_socket, policy_socket, until};
use crate::support::{self, Sandbox, ended, relay};

const SHOP: &str = "shop@example.com";
const HOME: &str = "192.0.2.1";
const OK: Option<&str> = Some("OK\t1\tuser=shop@example.com");
const ASK: &str = "protocol_state=RCPT\nsasl_username=shop@example.com\nsender=a@b.example\n\n";
const NOT_OWNED: Option<&str> = Some("action=553 5.7.1 Sender address not owned by this login");

#[test]
fn sigterm_answers_who_has_asked() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(SHOP);
    let relay = relay::start(&sandbox, &[], &[]);
    let [mut wrong, mut right, mut idle] = [(); 3].map(|()| Client::auth(&sandbox));
    let mut policy = Client::policy(&sandbox);
    wrong.sign_in(7, SHOP, "wrong", HOME);
    until("its check", relay::PATIENCE, || {
        relay.count("sign-in refused") > 0
    });
    right.sign_in(1, SHOP, &password, HOME);
    policy.send(ASK.as_bytes());
    relay.signal(Signal::SIGTERM);
    assert_eq!(wrong.line().as_deref(), Some("FAIL\t7"));
    assert_eq!(right.line().as_deref(), OK);
    assert_eq!(policy.line().as_deref(), NOT_OWNED);
    assert_eq!(policy.line().as_deref(), Some(""));
    for client in [&mut wrong, &mut right, &mut idle, &mut policy] {
        assert_eq!(client.line(), None);
    }
    let (code, log) = relay.ended();
    assert_eq!(code, Some(0));
    assert_eq!(log.last().map(String::as_str), Some("stopped"));
    assert!(!auth_socket(&sandbox).exists() && !policy_socket(&sandbox).exists());
}

#[test]
fn a_health_check_asks_the_sockets_and_reads_the_store() {
    let sandbox = Sandbox::new();
    let relay = relay::start(&sandbox, &[], &[]);
    let [auth, policy] = [auth_socket(&sandbox), policy_socket(&sandbox)];
    // With what serve was started with.
    let auth = format!("{},mode=0666", auth.display());
    let args = ["serve", "--check", "--auth", &auth, "--policy"];
    let check = || sandbox.run(&[&args[..], &[policy.to_str().unwrap()]].concat());
    let healthy = check();
    assert_eq!((healthy.code, healthy.stderr.as_str()), (0, ""));
    assert_eq!(healthy.stdout.matches("answers").count(), 2);

    let data = sandbox.store().parent().unwrap().to_owned();
    fs::rename(&data, data.with_extension("away")).unwrap();
    let unread = check();
    assert_eq!(unread.stdout, healthy.stdout);
    assert!(unread.code != 0 && !unread.stderr.is_empty(), "{unread:?}");
    fs::rename(data.with_extension("away"), &data).unwrap();
    assert_eq!(check().code, 0);

    relay.signal(Signal::SIGTERM);
    relay.ended();
    let gone = check();
    assert_eq!((gone.code, gone.stdout.matches("FAIL").count()), (1, 2));
}

#[test]
fn sigusr2_starts_it_anew_and_nobody_is_refused() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(SHOP);
    let relay = relay::start(&sandbox, &[], &[]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let connecting = scope.spawn(|| {
            let (mut connected, mut greeted, mut longest) = (0, 0, Duration::ZERO);
            while !stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let stream = UnixStream::connect(auth_socket(&sandbox)).expect("it listens");
                connected += 1;
                // Told to start anew in between, it hangs up.
                greeted += i32::from(Client::greeted(stream).is_some());
                longest = longest.max(begun.elapsed());
            }
            (connected, greeted, longest)
        });
        for round in 1..=5 {
            let mut wrong = Client::auth(&sandbox);
            wrong.sign_in(7, SHOP, &format!("wrong {round}"), HOME);
            until("its check", relay::PATIENCE, || {
                relay.count("sign-in refused") >= round
            });
            relay.signal(Signal::SIGUSR2);
            assert_eq!(wrong.line().as_deref(), Some("FAIL\t7"), "asked before");
            until("it to be back", relay::PATIENCE, || {
                relay.count("ready: ") > round
            });
            let mut client = Client::auth(&sandbox);
            client.sign_in(1, SHOP, &password, HOME);
            assert_eq!(client.line().as_deref(), OK);
        }
        stop.store(true, Ordering::Relaxed);
        let (connected, greeted, longest) = connecting.join().expect("no connect() failed");
        println!("{connected} connections, {greeted} greeted, the slowest after {longest:?}");
        assert!(connected - greeted <= 10, "{greeted} of {connected}");
    });
    relay.signal(Signal::SIGTERM);
    assert_eq!(relay.ended().0, Some(0));
}

#[test]
fn signals_in_a_row_do_not_end_it() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(SHOP);
    let relay = relay::start(&sandbox, &[], &[]);
    // Into every moment of starting anew.
    for wait in 0..40 {
        relay.signal(Signal::SIGUSR2);
        relay.signal(Signal::SIGHUP);
        std::thread::sleep(Duration::from_millis(wait % 20));
    }
    let mut client = Client::auth(&sandbox);
    while !client.sign_in(1, SHOP, &password, HOME) || client.line().as_deref() != OK {
        client = Client::auth(&sandbox);
    }
    until("all of them", relay::PATIENCE, || {
        relay.count("reading the store") > 0
    });
    relay.signal(Signal::SIGTERM);
    assert_eq!(relay.ended().0, Some(0));
}

#[test]
fn told_to_end_while_it_starts_anew_it_ends() {
    let sandbox = Sandbox::new();
    sandbox.create(SHOP);
    let relay = relay::start(&sandbox, &[], &[]);
    // Waited for, as it may be about to ask for something.
    let _silent = UnixStream::connect(auth_socket(&sandbox)).expect("it listens");
    relay.signal(Signal::SIGUSR2);
    until("it to let go", relay::PATIENCE, || {
        relay.count("restarting: ") > 0
    });
    relay.signal(Signal::SIGTERM);
    assert_eq!(relay.ended().0, Some(0));
}

#[test]
fn a_socket_in_use_is_refused_a_stale_one_taken_over_a_file_left_alone() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(SHOP);
    let first = relay::start(&sandbox, &[], &[]);
    let path = auth_socket(&sandbox);
    let socket = path.to_str().unwrap();
    let start = || {
        let child = relay::command(&sandbox, &[], &["--auth", socket])
            .stderr(Stdio::piped())
            .spawn();
        ended(support::Server(child.expect("the program runs")))
    };
    let second = start();
    assert_ne!(second.code, 0);
    assert!(
        second.stderr.contains("another process already answers on"),
        "{}",
        second.stderr
    );
    let mut client = Client::auth(&sandbox);
    client.sign_in(1, SHOP, &password, HOME);
    assert_eq!(client.line().as_deref(), OK);

    // Killed, it leaves its sockets.
    drop(first);
    assert!(path.exists() && UnixStream::connect(&path).is_err());
    let third = relay::start(&sandbox, &[], &[]);
    let mut client = Client::auth(&sandbox);
    client.sign_in(1, SHOP, &password, HOME);
    assert_eq!(client.line().as_deref(), OK);
    drop(third);

    fs::remove_file(&path).unwrap();
    fs::write(&path, "mine").unwrap();
    let fourth = start();
    assert_ne!(fourth.code, 0);
    assert!(
        fourth.stderr.contains("is not a socket"),
        "{}",
        fourth.stderr
    );
    assert_eq!(fs::read(&path).unwrap(), b"mine");
}

/// A cleaner of old files removes them.
#[test]
fn removed_sockets_are_bound_again_and_stay_reserved_meanwhile() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(SHOP);
    let (auth, policy) = (auth_socket(&sandbox), policy_socket(&sandbox));
    let spec = format!("{},mode=0604", auth.display());
    let args = ["--auth", &spec, "--policy", policy.to_str().unwrap()];
    let relay = Relay::run(relay::command(&sandbox, &[], &args));
    let signs_in = |client: &mut Client| {
        client.sign_in(1, SHOP, &password, HOME);
        assert_eq!(client.line().as_deref(), OK);
    };
    let mut before = Client::auth(&sandbox);
    for round in 1..=3_usize {
        fs::remove_file(&auth).unwrap();
        let child = relay::command(&sandbox, &[], &["--auth", &spec])
            .stderr(Stdio::piped())
            .spawn();
        let second = ended(support::Server(child.expect("the program runs")));
        let cure = format!("kill -HUP {}", relay.pid());
        assert!(
            second.code == 1 && second.stderr.contains(&cure),
            "{second:?}"
        );
        let doctor = ["doctor", "--json", "--auth", auth.to_str().unwrap()];
        let doctor = sandbox.run(&doctor).stdout;
        assert!(
            doctor.contains("the socket file was removed") && doctor.contains(&cure),
            "{doctor}"
        );
        if round < 3 {
            relay.signal(Signal::SIGHUP);
        }
        // Without a signal, too.
        until("it to be bound again", Duration::from_secs(60), || {
            relay.count("was removed, and is bound again") == round
        });
        let mode = fs::metadata(&auth).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o604);
        signs_in(&mut Client::auth(&sandbox));
        signs_in(&mut before);
        if round == 1 {
            // After a restart, too.
            relay.signal(Signal::SIGUSR2);
            until("it to be back", relay::PATIENCE, || {
                relay.count("ready: ") > 1
            });
            before = Client::auth(&sandbox);
        }
    }
    assert!(policy.exists());
    // A socket that it cannot bind again is logged once.
    fs::remove_file(&auth).unwrap();
    fs::write(&auth, "mine").unwrap();
    for _ in 0..3 {
        relay.signal(Signal::SIGHUP);
        signs_in(&mut before);
    }
    until("the log to say why", relay::PATIENCE, || {
        relay.count("is not a socket") == 1
    });
    relay.signal(Signal::SIGTERM);
    assert_eq!(relay.ended().0, Some(0));
    assert_eq!(fs::read(&auth).unwrap(), b"mine");
    assert!(!policy.exists());
}

#[test]
fn sockets_have_the_rights_they_are_given() {
    let sandbox = Sandbox::new();
    let (auth, policy) = (auth_socket(&sandbox), policy_socket(&sandbox));
    let args = [
        "--auth",
        auth.to_str().unwrap(),
        "--policy",
        &format!("{},mode=0606", policy.display()),
    ];
    let _relay = Relay::run(relay::command(&sandbox, &[], &args));
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(auth), mode(policy)), (0o660, 0o606));
    // Nothing is left of how they were made.
    let sockets = fs::read_dir(sandbox.folder.path())
        .unwrap()
        .filter(|entry| {
            use std::os::unix::fs::FileTypeExt as _;
            entry.as_ref().unwrap().file_type().unwrap().is_socket()
        });
    assert_eq!(sockets.count(), 2);
}

/// As `sd_listen_fds(3)` has it: from file 3 on, named, for this process.
fn activated(sandbox: &Sandbox, names: &str) -> std::process::Command {
    let script = format!(
        "exec 3<&0 4<&1 </dev/null >/dev/null
        LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES={names} exec \"$@\""
    );
    let mut command = relay::command(sandbox, &["sh", "-c", &script, "sh"], &[]);
    let mut given = [auth_socket(sandbox), policy_socket(sandbox)]
        .map(|path| Stdio::from(OwnedFd::from(UnixListener::bind(path).expect("a socket"))))
        .into_iter();
    command
        .stdin(given.next().unwrap())
        .stdout(given.next().unwrap());
    command
}

#[test]
fn sockets_are_taken_from_a_service_manager() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(SHOP);
    let relay = Relay::run(activated(&sandbox, "auth:policy"));
    for round in 1..=3 {
        let mut client = Client::auth(&sandbox);
        client.sign_in(1, SHOP, &password, HOME);
        assert_eq!(client.line().as_deref(), OK);
        let mut client = Client::policy(&sandbox);
        client.send(ASK.as_bytes());
        assert_eq!(client.line().as_deref(), NOT_OWNED);
        relay.signal(Signal::SIGUSR2);
        until("it to be back", relay::PATIENCE, || {
            relay.count("ready: ") > round
        });
    }
    relay.signal(Signal::SIGTERM);
    assert_eq!(relay.ended().0, Some(0));
    // They are not ours to remove.
    assert!(auth_socket(&sandbox).exists() && policy_socket(&sandbox).exists());
}

#[test]
fn sockets_that_are_not_named_or_meant_for_another_are_refused() {
    let sandbox = Sandbox::new();
    let child = activated(&sandbox, "auth:smtp")
        .stderr(Stdio::piped())
        .spawn();
    let run = ended(support::Server(child.expect("the program runs")));
    assert_ne!(run.code, 0);
    assert!(run.stderr.contains("passed on as 'smtp'"), "{}", run.stderr);

    let mut command = relay::command(&sandbox, &[], &[]);
    command
        .env("LISTEN_FDS", "1")
        .env("LISTEN_PID", "1")
        .stderr(Stdio::piped());
    let run = ended(support::Server(command.spawn().expect("the program runs")));
    assert_eq!(run.code, 2, "it listens nowhere: {}", run.stderr);
}

#[test]
fn a_service_manager_is_told_how_it_is() {
    let sandbox = Sandbox::new();
    let path = sandbox.folder.path().join("notify");
    let notified = UnixDatagram::bind(&path).expect("a socket");
    notified.set_read_timeout(Some(relay::PATIENCE)).unwrap();
    let auth = auth_socket(&sandbox);
    let mut command = relay::command(&sandbox, &[], &["--auth", auth.to_str().unwrap()]);
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "200000");
    let relay = Relay::run(command);
    let mut told = Vec::new();
    let mut wait_until_told = |what: &[&str]| {
        let mut buffer = [0; 4096];
        while !what
            .iter()
            .all(|what| told.iter().any(|line: &String| line.starts_with(what)))
        {
            let read = notified
                .recv(&mut buffer)
                .unwrap_or_else(|e| panic!("{what:?}: {e}: {told:?}"));
            told.extend(
                String::from_utf8_lossy(&buffer[..read])
                    .lines()
                    .map(str::to_owned),
            );
        }
        std::mem::take(&mut told)
    };
    let first = wait_until_told(&["READY=1", "STATUS=", "WATCHDOG=1"]);
    assert_eq!(first[0], "READY=1");
    // Again and again, in less than the time it is given; a machine that stands still
    // for a moment is not what is looked for.
    let quickest = (0..5).map(|_| {
        let begun = Instant::now();
        wait_until_told(&["WATCHDOG=1"]);
        begun.elapsed()
    });
    let quickest = quickest.min().unwrap();
    assert!(quickest < Duration::from_secs(1), "{quickest:?}");
    relay.signal(Signal::SIGUSR2);
    let anew = wait_until_told(&["RELOADING=1", "READY=1"]);
    assert!(!anew.contains(&"STOPPING=1".to_owned()));
    relay.signal(Signal::SIGTERM);
    wait_until_told(&["STOPPING=1"]);
    assert_eq!(relay.ended().0, Some(0));
}

#[test]
fn it_does_not_run_as_root_unasked() {
    let sandbox = Sandbox::new();
    let auth = auth_socket(&sandbox);
    let mut line = vec![support::PROGRAM, "serve", "--auth", auth.to_str().unwrap()];
    if !geteuid().is_root() {
        line.splice(0..0, ["unshare", "--user", "--map-root-user"]);
    }
    let child = sandbox
        .other_command(line[0], &line[1..])
        .stderr(Stdio::piped())
        .spawn();
    let run = ended(support::Server(child.expect("the program runs")));
    assert_eq!(run.code, 4, "{}", run.stderr);
    assert!(
        run.stderr.contains("--allow-root") && !auth.exists(),
        "{}",
        run.stderr
    );
}
