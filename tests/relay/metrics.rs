//! Metrics of a running relay: what they say, and that no one who scrapes them is in the way.

use std::collections::HashMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::support::relay::{Client, Relay, until};
use crate::support::{Sandbox, relay, wait_for};

const SHOP: &str = "shop@example.com";
const HOME: &str = "192.0.2.1";
const OK: Option<&str> = Some("OK\t1\tuser=shop@example.com");

fn socket(sandbox: &Sandbox) -> PathBuf {
    sandbox.folder.path().join("metrics")
}

fn start(sandbox: &Sandbox) -> Relay {
    let socket = format!("unix:{}", socket(sandbox).display());
    relay::start(sandbox, &[], &["--metrics", &socket])
}

fn connect(sandbox: &Sandbox) -> UnixStream {
    let stream = UnixStream::connect(socket(sandbox)).expect("it listens");
    stream.set_read_timeout(Some(relay::PATIENCE)).unwrap();
    stream
}

/// The status and the rest of an answer; an empty status where it was hung up on.
fn answer(mut stream: UnixStream) -> (String, String) {
    let mut text = Vec::new();
    // A reset comes after the answer, if anything.
    let _ = stream.read_to_end(&mut text);
    let text = String::from_utf8(text).expect("UTF-8");
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return (String::new(), text);
    };
    let length = format!("Content-Length: {}", body.len());
    assert!(head.lines().any(|line| line == length), "{head}");
    let status = head.strip_prefix("HTTP/1.1 ").expect("a status");
    (status[..3].to_owned(), body.to_owned())
}

fn asked(sandbox: &Sandbox, request: &[u8]) -> (String, String) {
    let mut stream = connect(sandbox);
    // It may be hung up on before all is sent.
    let _ = stream.write_all(request);
    answer(stream)
}

fn get(sandbox: &Sandbox, path: &str) -> (String, String) {
    asked(
        sandbox,
        format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes(),
    )
}

/// What is scraped, by name and labels.
fn values(sandbox: &Sandbox) -> HashMap<String, String> {
    let (status, text) = get(sandbox, "/metrics");
    assert_eq!(status, "200");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let values = lines.map(|line| line.rsplit_once(' ').expect("a value"));
    values
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Waits until a metric has this value: a page is written once a second.
fn becomes(sandbox: &Sandbox, name: &str, value: &str) {
    wait_for(&format!("{name} to be {value}"), || {
        (values(sandbox).get(name).map(String::as_str) == Some(value)).then_some(())
    });
}

/// A message that this user wants to send as this sender.
pub fn message(instance: u32, user: &str, sender: &str) -> String {
    format!(
        "protocol_state=END-OF-MESSAGE\nsasl_username={user}\nsender={sender}\n\
        recipient=a@example.net\nrecipient_count=1\nsize=100\ninstance={instance}.1\n\n"
    )
}

#[test]
fn they_count_what_was_answered() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(SHOP);
    let relay = start(&sandbox);
    let mut client = Client::auth(&sandbox);
    for id in 1..=3 {
        client.sign_in(id, SHOP, &password, HOME);
        assert!(client.line().unwrap().starts_with("OK\t"));
    }
    client.sign_in(4, SHOP, "wrong-Otter-62", HOME);
    assert!(client.line().unwrap().starts_with("FAIL\t"));
    let mut policy = Client::policy(&sandbox);
    for (n, sender) in [(1, SHOP), (2, SHOP), (3, "ceo@example.org")] {
        policy.send(message(n, SHOP, sender).as_bytes());
        assert!(policy.line().unwrap().starts_with("action="));
        policy.line();
    }
    becomes(
        &sandbox,
        "smtpcred_policy_decisions_total{decision=\"allow\",reason=\"none\"}",
        "2",
    );
    let found = values(&sandbox);
    for (name, value) in [
        ("smtpcred_store_up", "1"),
        ("smtpcred_sign_ins_total{result=\"accepted\"}", "3"),
        ("smtpcred_sign_ins_total{result=\"wrong-password\"}", "1"),
        ("smtpcred_sign_ins_total{result=\"deferred\"}", "0"),
        ("smtpcred_sign_in_seconds_count", "3"),
        ("smtpcred_sign_in_seconds_bucket{le=\"+Inf\"}", "3"),
        (
            "smtpcred_policy_decisions_total{decision=\"refuse\",reason=\"sender-not-owned\"}",
            "1",
        ),
        ("smtpcred_messages_total{user=\"shop@example.com\"}", "2"),
        ("smtpcred_hashes_in_flight", "0"),
        ("smtpcred_hashes_total", "2"),
        ("smtpcred_connections", "2"),
        ("smtpcred_users{status=\"active\"}", "1"),
        ("smtpcred_rotation_unfinished", "0"),
    ] {
        assert_eq!(found.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(found.contains_key(&format!("smtpcred_password_age_seconds{{user=\"{SHOP}\"}}")));
    assert!(
        found["process_resident_memory_bytes"]
            .parse::<u64>()
            .unwrap()
            > 1_000_000
    );
    // As the store says.
    wait_for("the usage", || {
        let usage = sandbox.json(&["usage"]);
        (usage[0]["messages"] == 2).then_some(())
    });
    relay.signal(Signal::SIGTERM);
    assert_eq!(relay.ended().0, Some(0));
    assert!(!socket(&sandbox).exists());
}

#[test]
fn only_two_pages_are_there_and_only_to_get() {
    let sandbox = Sandbox::new();
    let _relay = start(&sandbox);
    let long = format!(
        "GET /metrics HTTP/1.1\r\na: {}\r\n\r\n",
        "x".repeat(100_000)
    );
    let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(1000));
    for (request, status) in [
        ("GET /metrics HTTP/1.1\r\n\r\n", "200"),
        ("GET /metrics?name=x HTTP/1.0\r\n\r\n", "200"),
        ("GET /healthz HTTP/1.1\r\n\r\n", "200"),
        ("GET / HTTP/1.1\r\n\r\n", "404"),
        ("GET /metrics/../../etc/passwd HTTP/1.1\r\n\r\n", "404"),
        (
            "POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
            "405",
        ),
        ("HEAD /metrics HTTP/1.1\r\n\r\n", "405"),
        ("\u{0}\u{1}\r\n\r\n", "400"),
        ("VERSION\t1\t1\nCPID\t1\n", "400"),
        (&long, "431"),
        (&many, "431"),
    ] {
        let (found, _) = asked(&sandbox, request.as_bytes());
        assert_eq!(found, status, "{request:.60}");
    }
    // In pieces.
    let mut stream = connect(&sandbox);
    for byte in b"GET /healthz HTTP/1.1\r\n\r\n" {
        stream.write_all(&[*byte]).unwrap();
    }
    assert_eq!(answer(stream), ("200".into(), "ok\n".into()));
    // Without an end of the request, there is no answer.
    let mut half = connect(&sandbox);
    half.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
    half.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(answer(half), (String::new(), String::new()));
    let newer = b"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text\r\n\r\n";
    assert!(asked(&sandbox, newer).1.ends_with("\n# EOF\n"));
}

#[test]
fn p10_a_thousand_that_scrape_delay_no_sign_in() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(SHOP);
    let _relay = start(&sandbox);
    let mut client = Client::auth(&sandbox);
    client.sign_in(1, SHOP, &password, HOME);
    assert_eq!(client.line().as_deref(), OK);
    let mut idle = Vec::new();
    for n in 0..1000 {
        let mut stream = connect(&sandbox);
        // Half of them begin a request and never end it. An older one makes room.
        if n % 2 == 0 {
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nA: ");
        }
        idle.push(stream);
        if n % 100 == 99 {
            let begun = Instant::now();
            client.sign_in(1, SHOP, &password, HOME);
            assert_eq!(client.line().as_deref(), OK);
            println!("after {n}: a sign-in took {:?}", begun.elapsed());
        }
    }
    // The oldest ones made room.
    let mut gone = [0; 1];
    assert!(matches!(idle[0].read(&mut gone), Ok(0) | Err(_)));
    assert_eq!(get(&sandbox, "/healthz").0, "200");
    assert_eq!(get(&sandbox, "/metrics").0, "200");
    // None is kept for long.
    let last = idle.pop().unwrap();
    assert_eq!(answer(last).0, "");
    becomes(&sandbox, "smtpcred_connections", "1");
}

#[test]
fn p4_they_tell_that_the_store_is_away() {
    let sandbox = Sandbox::new();
    let _relay = start(&sandbox);
    assert_eq!(get(&sandbox, "/healthz"), ("200".into(), "ok\n".into()));
    let data = sandbox.store().parent().unwrap().to_owned();
    fs::rename(&data, data.with_extension("away")).unwrap();
    until("it to be unwell", relay::PATIENCE, || {
        get(&sandbox, "/healthz").0 == "503"
    });
    becomes(&sandbox, "smtpcred_store_up", "0");
    fs::rename(data.with_extension("away"), &data).unwrap();
    until("it to be well", relay::PATIENCE, || {
        get(&sandbox, "/healthz").0 == "200"
    });
    becomes(&sandbox, "smtpcred_store_up", "1");
}

#[test]
fn an_upgrade_keeps_the_socket() {
    let sandbox = Sandbox::new();
    let relay = start(&sandbox);
    for round in 1..=3 {
        assert_eq!(get(&sandbox, "/metrics").0, "200");
        relay.signal(Signal::SIGUSR2);
        until("it to be back", relay::PATIENCE, || {
            relay.count("ready: ") > round
        });
    }
    assert_eq!(get(&sandbox, "/metrics").0, "200");
    assert_eq!(relay.count("metrics"), 4, "the same one, four times");
}

#[test]
fn other_machines_are_let_in_only_if_that_is_said() {
    let sandbox = Sandbox::new();
    let auth = relay::auth_socket(&sandbox);
    let auth = ["--auth", auth.to_str().unwrap()];
    for (metrics, part) in [
        ("0.0.0.0:9590", "is not on the loopback interface"),
        ("[::]:9590", "--allow-remote-metrics"),
        ("localhost:9590", "an IP address and a port"),
        ("unix:", "PATH"),
    ] {
        let more = [&auth[..], &["--metrics", metrics]].concat();
        let run = crate::support::finished(relay::command(&sandbox, &[], &more).output().unwrap());
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stderr.contains(part), "{}", run.stderr);
    }
    // Metrics alone are no service.
    let metrics = format!("unix:{}", socket(&sandbox).display());
    let run = relay::command(&sandbox, &[], &["--metrics", &metrics]).output();
    assert_eq!(run.unwrap().status.code(), Some(2));
    // A service manager binds the port, so that no other program takes it before.
    let (port, address) = bound("0.0.0.0:0");
    let more = [
        &auth[..],
        &["--metrics", &address, "--allow-remote-metrics"],
    ]
    .concat();
    let relay = Relay::run(given(&sandbox, port, &more));
    assert_eq!(relay.count(&address), 1);
}

/// A port that listens, and its address.
pub fn bound(address: &str) -> (TcpListener, String) {
    let port = TcpListener::bind(address).expect("a free port");
    let address = port.local_addr().unwrap().to_string();
    (port, address)
}

/// A relay that gets the port as `sd_listen_fds(3)` has it.
pub fn given(sandbox: &Sandbox, port: TcpListener, more: &[&str]) -> Command {
    const SCRIPT: &str = "exec 3<&0 </dev/null
        LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=metrics exec \"$@\"";
    let mut command = relay::command(sandbox, &["sh", "-c", SCRIPT, "sh"], more);
    command.stdin(OwnedFd::from(port));
    command
}

#[test]
fn a_port_is_taken_from_a_service_manager_and_kept() {
    let sandbox = Sandbox::new();
    let (port, address) = bound("127.0.0.1:0");
    let auth = relay::auth_socket(&sandbox);
    let more = ["--auth", auth.to_str().unwrap(), "--metrics", &address];
    let relay = Relay::run(given(&sandbox, port, &more));
    for round in 1..=3 {
        let mut stream = TcpStream::connect(&address).expect("it listens");
        stream.set_read_timeout(Some(relay::PATIENCE)).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        relay.signal(Signal::SIGUSR2);
        until("it to be back", relay::PATIENCE, || {
            relay.count("ready: ") > round
        });
    }
}
