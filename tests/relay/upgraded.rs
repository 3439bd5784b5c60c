//! What a running relay remembers goes over to the program that replaces it: no password is
//! hashed again, open sessions still end with their password, and nobody is put off.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};

use crate::support::mail::Place;
use crate::support::relay::{
    self, Client, Relay, all_sign_in, auth_socket, import, remembering, until,
};
use crate::support::serve::{Serve, postfix, store};
use crate::support::{PROGRAM, Sandbox, wait_for};

const SHOP: &str = "shop@example.com";
const HOME: &str = "192.0.2.1";
const OK: Option<&str> = Some("OK\t1\tuser=shop@example.com");
const TOOK_OVER: &str = "took over what the previous program remembered: ";
const NOT_USED: &str = "what the previous program remembered is not used: ";

fn restart(relay: &Relay) {
    let before = relay.count("ready: ");
    relay.signal(Signal::SIGUSR2);
    until("it to be back", relay::PATIENCE, || {
        relay.count("ready: ") > before
    });
}

fn signs_in(sandbox: &Sandbox, password: &str) {
    let mut client = Client::auth(sandbox);
    client.sign_in(1, SHOP, password, HOME);
    assert_eq!(client.line().as_deref(), OK);
}

#[test]
fn ten_thousand_users_are_not_hashed_again() {
    const PASSWORD: &str = "vague-Otter-61-harbour";
    const MANY: u32 = 10_000;
    let sandbox = Sandbox::new();
    import(&sandbox, MANY, PASSWORD);
    let relay = relay::start(&sandbox, &[], &[]);
    let mut id = 0;
    all_sign_in(&mut Client::auth(&sandbox), MANY, PASSWORD, &mut id);
    let [remembered, hashed] = remembering(&sandbox);
    assert!(remembered >= u64::from(MANY) && hashed >= u64::from(MANY));
    for round in 1..=2 {
        restart(&relay);
        assert_eq!(relay.count(TOOK_OVER), round);
        all_sign_in(&mut Client::auth(&sandbox), MANY, PASSWORD, &mut id);
        let [remembered, hashed] = remembering(&sandbox);
        assert!(remembered >= u64::from(MANY), "{remembered}");
        assert_eq!(hashed, 0);
    }
}

#[test]
fn p3_a_session_from_before_still_ends_with_its_password() {
    let ask = "request=smtpd_access_policy\nprotocol_state=RCPT\nsasl_username=shop@example.com\n\
        sender=shop@example.com\nrecipient=one@elsewhere.test\ninstance=1.6b007f0a.2.0\n\n";
    let sandbox = Sandbox::new();
    let password = sandbox.create(SHOP);
    let relay = relay::start(&sandbox, &[], &[]);
    signs_in(&sandbox, &password);
    let asks = || {
        let mut policy = Client::policy(&sandbox);
        policy.send(ask.as_bytes());
        policy.line().expect("an answer")
    };
    for _ in 0..2 {
        assert_eq!(asks(), "action=DUNNO");
        restart(&relay);
    }
    assert_eq!(asks(), "action=DUNNO");
    // While the programs change, too.
    relay.signal(Signal::SIGUSR2);
    sandbox.ok(&["user", "reset", SHOP, "--quiet"]);
    until("it to be back", relay::PATIENCE, || {
        relay.count("ready: ") > 3
    });
    let said = asks();
    assert!(said.starts_with("action=421 4.7.0"), "{said}");
    let mut client = Client::auth(&sandbox);
    client.sign_in(2, SHOP, &password, HOME);
    assert_eq!(client.line().as_deref(), Some("FAIL\t2"));
}

/// Runs `serve` with this file as what was carried over to the process that `for_process`
/// names (`$$` is itself).
fn given(sandbox: &Sandbox, file: OwnedFd, value: &str) -> Relay {
    let script = format!("exec 9<&0 </dev/null; SMTPCRED_CARRIED_OVER={value} exec \"$@\"");
    let auth = auth_socket(sandbox);
    let before = ["sh", "-c", &script, "sh"];
    let mut command = relay::command(sandbox, &before, &["--auth", auth.to_str().unwrap()]);
    command.stdin(Stdio::from(file));
    Relay::run(command)
}

fn memory(content: &[u8], seals: SealFlags) -> File {
    let file = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING);
    let mut file = File::from(file.unwrap());
    file.write_all(content).unwrap();
    fcntl_add_seals(&file, seals).unwrap();
    file
}

#[test]
fn what_is_not_ours_or_damaged_is_not_used_and_it_starts() {
    let sealed = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    let sandbox = Sandbox::new();
    let password = sandbox.create(SHOP);
    let huge = memory(b"smtpcred", SealFlags::empty());
    ftruncate(&huge, 1 << 40).unwrap();
    fcntl_add_seals(&huge, sealed).unwrap();
    let path = sandbox.folder.path().join("file");
    fs::write(&path, b"smtpcred").unwrap();
    let (reader, _writer) = std::io::pipe().unwrap();
    // The format of today.
    let begun = [&b"smtpcred"[..], &4_u32.to_le_bytes()].concat();
    let foreign = "it is not sealed memory of this user";
    let cases: [(&str, OwnedFd, &str); 8] = [
        (
            "$$:9",
            memory(b"other program", sealed).into(),
            "it is of another program",
        ),
        (
            "$$:9",
            memory(b"smtpcred\x09\x09\x09\x09", sealed).into(),
            "it has another format",
        ),
        ("$$:9", memory(&begun, sealed).into(), "it is cut off"),
        ("$$:9", huge.into(), "it is too large"),
        ("$$:9", memory(&begun, SealFlags::empty()).into(), foreign),
        ("$$:9", File::open(&path).unwrap().into(), foreign),
        ("$$:9", reader.into(), foreign),
        ("$$:8", memory(&begun, sealed).into(), "No such file"),
    ];
    for (value, file, why) in cases {
        let relay = given(&sandbox, file, value);
        let line = format!("{NOT_USED}{why}");
        assert_eq!(
            relay.count(&line),
            1,
            "{why}: {:?}",
            relay.log.lock().unwrap()
        );
        assert_eq!(relay.count("the previous program"), 1);
        signs_in(&sandbox, &password);
        assert_eq!(remembering(&sandbox), [1, 1]);
    }
    // For another process, or in another form: left alone.
    for value in ["1:9", "9", "", "$$:", "$$:x", "$$:1"] {
        let relay = given(&sandbox, memory(&begun, sealed).into(), value);
        assert_eq!(relay.count("the previous program"), 0, "{value}");
        signs_in(&sandbox, &password);
    }
}

/// How many files in memory the relay has open.
fn open_memory(relay: &Relay) -> usize {
    let open = fs::read_dir(format!("/proc/{}/fd", relay.pid())).unwrap();
    let open = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    open.filter(|target| target.to_string_lossy().contains("memfd:"))
        .count()
}

/// An earlier version, which does not know what is carried over: it starts as before, and
/// gets nothing.
#[test]
fn a_program_that_takes_nothing_over_is_given_nothing() {
    const EARLIER: &str = r#"
        use std::os::unix::process::CommandExt as _;
        fn main() {
            if std::env::args().any(|arg| arg == "--check-start") {
                println!("smtpcred can start, version 0.0.9");
                return;
            }
            assert_eq!(std::env::var("SMTPCRED_CARRIED_OVER").as_deref(), Ok(""));
            let program = std::env::var("REAL").unwrap();
            panic!("{}", std::process::Command::new(program).args(std::env::args().skip(1)).exec());
        }"#;
    let sandbox = Sandbox::new();
    let password = sandbox.create(SHOP);
    let program = sandbox.folder.path().join("smtpcred");
    // A file that this process has written cannot be run while another test starts one.
    let copied = Command::new("cp").arg(PROGRAM).arg(&program).status();
    assert!(copied.expect("cp runs").success());
    let auth = auth_socket(&sandbox);
    let command = relay::command(&sandbox, &[], &["--auth", auth.to_str().unwrap()]);
    let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let mut command = sandbox.other_command(program.to_str().unwrap(), &args);
    command.env("REAL", PROGRAM);
    let relay = Relay::run(command);
    signs_in(&sandbox, &password);
    compile(EARLIER, &program);
    restart(&relay);
    assert_eq!((relay.count(TOOK_OVER), open_memory(&relay)), (0, 0));
    signs_in(&sandbox, &password);
    assert_eq!(remembering(&sandbox), [1, 1]);
    // And on to this version again.
    restart(&relay);
    assert_eq!((relay.count(TOOK_OVER), open_memory(&relay)), (1, 0));
    signs_in(&sandbox, &password);
    assert_eq!(remembering(&sandbox), [1, 0]);
}

/// As a package replaces a program: renamed over it.
fn compile(source: &str, program: &Path) {
    let [text, beside] = ["rs", "new"].map(|end| program.with_extension(end));
    fs::write(&text, source).unwrap();
    let made = Command::new("rustc")
        .args(["--edition", "2024", "-o"])
        .args([&beside, &text])
        .status();
    assert!(made.expect("rustc runs").success());
    fs::rename(&beside, program).unwrap();
}

/// The load ends, also where a client fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Ten applications sign in and send all the time, while the program is replaced twenty times.
#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p4_twenty_upgrades_under_load_put_nobody_off() {
    const CLIENTS: usize = 10;
    const UPGRADES: usize = 20;
    let sandbox = store();
    let users: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let name = format!("app{n}@example.com");
            let password = sandbox.create(&name);
            (name, password)
        })
        .collect();
    let place = Place::new();
    let mut serve = Serve::start(&sandbox, &place);
    let postfix = postfix(&sandbox, &place);
    let done = AtomicBool::new(false);
    let session = |(name, password): &(String, String), done_steps: &AtomicU32| {
        let mut smtp = postfix.try_client().expect("Postfix");
        let reply = smtp.try_auth_plain(name, password, true).expect("Postfix");
        assert_eq!(reply.code, 235, "{reply:?}");
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        done_steps.fetch_add(1, Ordering::Relaxed);
        let sent = smtp.try_send_message(name, "one@elsewhere.test");
        let sent = sent.expect("Postfix");
        assert_eq!(sent.code, 250, "{sent:?}");
        done_steps.fetch_add(1, Ordering::Relaxed);
        at.as_secs()
    };
    let steps = [const { AtomicU32::new(0) }; CLIENTS];
    let last: Vec<_> = thread::scope(|scope| {
        let clients: Vec<_> = users
            .iter()
            .zip(&steps)
            .map(|(user, steps)| {
                let (session, done) = (&session, &done);
                scope.spawn(move || {
                    let _end = End(done);
                    let mut signed_in = 0;
                    while !done.load(Ordering::Relaxed) {
                        signed_in = session(user, steps);
                    }
                    signed_in
                })
            })
            .collect();
        // A mail server tries twice, so that each has to begin anew before the next one.
        let go_on = || {
            for count in &steps {
                let wanted = count.load(Ordering::Relaxed) + 2;
                wait_for("each to sign in and send", || {
                    let is_there = count.load(Ordering::Relaxed) >= wanted;
                    (is_there || done.load(Ordering::Relaxed)).then_some(())
                });
            }
        };
        go_on();
        for _ in 0..UPGRADES {
            if !done.load(Ordering::Relaxed) {
                serve.restart_in_place();
                go_on();
            }
        }
        done.store(true, Ordering::Relaxed);
        let ended = clients.into_iter().map(thread::ScopedJoinHandle::join);
        ended
            .map(|client| client.expect("nobody is put off"))
            .collect()
    });
    let log = serve.log();
    assert_eq!(log.matches(TOOK_OVER).count(), UPGRADES);
    assert!(!log.contains(" hung up on"), "{log}");
    // Each was found right; no sign-in was lost, whichever program has noted it.
    for ((name, _), signed_in) in users.iter().zip(&last) {
        wait_for("the last connection", || {
            let sql = format!(
                "SELECT CASE WHEN max(seen_at) >= {signed_in} THEN 'noted' ELSE 'lost' END
                FROM last_connections WHERE username = '{name}'"
            );
            (sandbox.texts(&sql) == ["noted"]).then_some(())
        });
    }
}
