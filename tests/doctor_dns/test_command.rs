//! `smtpcred test`: what works, what the store knows of what does not, and what is
//! there instead of a mail server.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use serde_json::Value;

use crate::support::desk::{Desk, TO, USER, at, at_tls, text};
use crate::support::mail::Place;
use crate::support::mail::tls::HOST;
use crate::support::serve::{Serve, sql, store};
use crate::support::{self, free_port, mail, serve};

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn what_the_store_knows_is_said() {
    let sandbox = store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let postfix = serve::postfix(&sandbox, &place);
    let desk = Desk::new(&sandbox, &place);
    let right = desk.password.as_str();
    let server = at(postfix.submission);

    // Sent, on both kinds of ports.
    for (server, encryption) in [(&server, "starttls"), (&at_tls(postfix.submissions), "tls")] {
        let args = ["--server", server, "--to", TO, "--subject", "Grüße"];
        let (code, test) = desk.json(&args, right);
        assert_eq!(code, 0, "{test:#}");
        assert_eq!(test["sent"], true);
        let port = &test["ports"][0];
        assert_eq!(port["encryption"], encryption);
        assert_eq!(port["tls"]["version"], "TLS 1.3");
        assert_eq!(port["tls"]["certificate"]["names"][0], HOST);
        let steps = port["steps"].as_array().unwrap();
        let said = |name: &str| {
            let step = steps.iter().find(|step| step["step"] == name);
            text(&step.unwrap_or_else(|| panic!("no {name}: {port:#}"))["said"]).to_owned()
        };
        assert!(said("greeting").starts_with("220 mail.test"), "{port:#}");
        assert!(said("auth").contains("235 2.7.0"), "{port:#}");
        assert!(said("data").contains("queued as"), "{port:#}");
    }
    support::wait_for("both messages", || (postfix.delivered() == 2).then_some(()));
    assert!(postfix.log().contains(&format!("from=<{USER}>")));
    assert!(postfix.log().contains(&format!("to=<{TO}>")));

    // Nothing is sent, and nothing counts.
    let args = ["--server", &server, "--to", TO, "--dry-run"];
    let (code, test) = desk.json(&args, right);
    assert_eq!((code, &test["sent"]), (0, &Value::Bool(false)), "{test:#}");
    let steps = test["ports"][0]["steps"].as_array().unwrap();
    assert_eq!(steps.last().unwrap()["step"], "rcpt_to");

    // A person sees each step.
    let run = desk.run(&["--server", &server, "--dry-run"], right);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.contains("ok  "), "{run:?}");
    assert!(
        run.stdout.contains("235 2.7.0 Authentication successful"),
        "{run:?}"
    );
    assert!(
        !run.stdout.contains(right) && run.stderr.is_empty(),
        "{run:?}"
    );

    let send = ["--to", TO];
    let wrong = "not-the-password-1";
    desk.fails(&server, &send, wrong, 6, "wrong_password");
    let mut mistyped = right.to_owned();
    mistyped.replace_range(10..11, if &right[10..11] == "x" { "y" } else { "x" });
    desk.fails(&server, &send, &mistyped, 6, "mistyped_password");
    let new = sandbox.ok(&["user", "reset", USER, "--quiet"]);
    let port = desk.fails(&server, &send, right, 6, "old_password");
    let key = sandbox.json(&["user", "show", USER])["passwords"][0]["id"].clone();
    assert!(
        text(&port["fault"]["cause"]).contains(text(&key)),
        "{port:#}"
    );
    assert!(text(&port["fault"]["said"]).starts_with("535 "), "{port:#}");
    let right = new.trim_end();

    sandbox.noted(&["user", "suspend", USER]);
    let port = desk.fails(&server, &send, right, 4, "suspended");
    assert_eq!(
        port["fault"]["next"][0],
        format!("smtpcred user resume {USER}")
    );
    sandbox.noted(&["user", "resume", USER]);
    sql(&sandbox, "UPDATE users SET expires_at = 1600000000");
    desk.fails(&server, &send, right, 4, "expired");
    sql(&sandbox, "UPDATE users SET expires_at = NULL");

    sandbox.require_verified_domain();
    let port = desk.fails(&server, &send, right, 4, "domain_not_verified");
    assert!(text(&port["fault"]["said"]).starts_with("554 "), "{port:#}");
    let next = "smtpcred domain verify example.com";
    assert_eq!(port["fault"]["next"][0], next);
    sandbox.noted(&["set-settings", "--require-verified-domains", "no"]);

    let foreign = ["--to", TO, "--from", "boss@bank.example"];
    let port = desk.fails(&server, &foreign, right, 4, "sender_not_owned");
    assert!(text(&port["fault"]["said"]).starts_with("553 "), "{port:#}");
    sandbox.noted(&["user", "set", USER, "--limit", "messages/hour=3"]);
    let (code, test) = desk.json(&["--server", &server, "--to", TO], right);
    assert_eq!(code, 0, "{test:#}");
    let port = desk.fails(&server, &send, right, 4, "limit_reached");
    assert!(text(&port["fault"]["said"]).starts_with("450 "), "{port:#}");
    assert!(
        text(&port["fault"]["cause"]).contains("none left until 20"),
        "{port:#}"
    );
    sandbox.noted(&["user", "set", USER, "--limit", "messages/hour=none"]);

    // A limit of new recipients keeps back a part of its mail alone.
    sandbox.noted(&["user", "set", USER, "--limit", "new-recipients/day=1"]);
    let (code, test) = desk.json(&["--server", &server, "--to", TO], right);
    assert_eq!(code, 0, "{test:#}");
    let other = ["--to", "another@inbound.test"];
    let port = desk.fails(&server, &other, right, 4, "limit_reached");
    let raise = format!("smtpcred user set {USER} --limit new-recipients/day=2");
    assert_eq!(port["fault"]["next"][0], raise);
    let why = sandbox.json(&["why", USER]);
    assert_eq!(why["can_send"], true, "{why:#}");
    assert_eq!(why["limits"][0]["used_up"], true, "{why:#}");
}

#[test]
fn what_is_no_mail_server_is_said() {
    let sandbox = support::Sandbox::new();
    let folder = sandbox.folder.path();
    let trusted = folder.join("trusted.pem");
    std::fs::write(&trusted, mail::tls::SOME_CA).unwrap();
    let password = sandbox.create(USER);
    let desk = Desk {
        sandbox: &sandbox,
        trusted,
        password,
    };
    let right = desk.password.as_str();
    desk.fails(
        &at(free_port()),
        &["--dry-run"],
        right,
        75,
        "connection_refused",
    );

    let quick = ["--dry-run", "--timeout", "1s"];
    let patient = ["--dry-run", "--timeout", "60s"];
    // One that accepts and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = at(silent.local_addr().unwrap().port());
    desk.fails(&server, &quick, right, 75, "timed_out");
    desk.fails(&format!("{server}/tls"), &quick, right, 75, "timed_out");
    // One that hangs up at once, and one that is no mail server.
    let speaks = |words: &'static [u8]| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = stream.unwrap().write_all(words);
            }
        });
        at(port)
    };
    desk.fails(&speaks(b""), &patient, right, 75, "hung_up");
    desk.fails(
        &speaks(b"SSH-2.0-OpenSSH_9.2\r\n"),
        &patient,
        right,
        1,
        "protocol",
    );
    desk.fails(
        &speaks(b"554 5.7.1 Go away\r\n"),
        &patient,
        right,
        1,
        "refused",
    );
    desk.fails(
        &speaks(b"421 4.3.2 Shutting down\r\n"),
        &patient,
        right,
        75,
        "server_closing",
    );
    desk.fails(&speaks(&[b'2'; 10_000]), &patient, right, 1, "protocol");

    // A full queue of connections drops those that come, as a firewall does.
    let full = TcpListener::bind("127.0.0.1:0").unwrap();
    nix::sys::socket::listen(&full, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    let address = full.local_addr().unwrap();
    let soon = Duration::from_millis(200);
    let mut held = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, soon) {
        held.push(stream);
        assert!(held.len() < 100, "it never fills");
    }
    desk.fails(&at(address.port()), &quick, right, 75, "timed_out");
}

#[test]
#[ignore = "needs root: run tests/run"]
fn a_name_that_is_not_there_is_not_one_that_nobody_tells() {
    let sandbox = support::Sandbox::new();
    let password = sandbox.folder.path().join("password");
    std::fs::write(&password, sandbox.create(USER)).unwrap();
    mail::open(&password, 0o600);
    let trusted = sandbox.folder.path().join("trusted.pem");
    std::fs::write(&trusted, mail::tls::SOME_CA).unwrap();
    // The resolver of the C library, with files of its own below it.
    let asks = |hosts: &str| {
        let script = format!(
            "echo 'hosts: {hosts}' > nsswitch && echo nameserver 127.0.0.1 > resolv &&
             mount --bind nsswitch /etc/nsswitch.conf && mount --bind resolv /etc/resolv.conf &&
             exec {} test {USER} --server smtp.nowhere.test:587 --dry-run --password-file password --json",
            support::PROGRAM
        );
        let mut command = sandbox.other_command("unshare", &["-m", "sh", "-c", &script]);
        command.env("SSL_CERT_FILE", &trusted);
        let run = support::finished(command.output().unwrap());
        let test: Value =
            serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {run:?}"));
        (
            run.code,
            text(&test["ports"][0]["fault"]["code"]).to_owned(),
        )
    };
    assert_eq!(asks("files"), (1, "no_such_host".to_owned()));
    // Nobody answers on that port of that address.
    let (code, fault) = asks("dns");
    assert_eq!((code, fault.as_str()), (75, "dns_failed"));
}

/// Two of the four ports lead to Postfix, from a network of their own.
const PORTS: &str = "
import socket, subprocess, sys, threading
def bridge(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
        b.shutdown(socket.SHUT_WR)
    except OSError:
        pass
def serve(listener, path):
    while True:
        client, _ = listener.accept()
        server = socket.socket(socket.AF_UNIX)
        server.connect(path)
        for pair in ((client, server), (server, client)):
            threading.Thread(target=bridge, args=pair, daemon=True).start()
for port in (587, 465):
    listener = socket.create_server(('127.0.0.1', port))
    args = (listener, str(port))
    threading.Thread(target=serve, args=args, daemon=True).start()
sys.exit(subprocess.call(sys.argv[1:]))
";

/// From a socket file to a port outside.
fn bridge(path: &std::path::Path, port: u16) {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        for inside in listener.incoming() {
            let inside = inside.unwrap();
            let outside = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (mut from, mut to) = (inside.try_clone().unwrap(), outside.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                to.shutdown(std::net::Shutdown::Write)
            });
            let (mut from, mut to) = (outside, inside);
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                to.shutdown(std::net::Shutdown::Write)
            });
        }
    });
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn all_ports_are_tried_and_one_message_is_sent() {
    let sandbox = store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let postfix = serve::postfix(&sandbox, &place);
    let folder = sandbox.folder.path();
    for (name, port) in [("587", postfix.submission), ("465", postfix.submissions)] {
        bridge(&folder.join(name), port);
    }
    sandbox.noted(&["set-settings", "--host", "localhost"]);
    let password = folder.join("password");
    std::fs::write(&password, sandbox.create(USER)).unwrap();
    mail::open(&password, 0o600);
    std::fs::write(folder.join("ports.py"), PORTS).unwrap();
    let run = |more: &str| {
        let script = format!(
            "ip link set lo up && exec python3 ports.py {} test {USER} --to {TO} --all-ports \
             --address 127.0.0.1 --password-file password --json {more}",
            support::PROGRAM
        );
        let mut command = sandbox.other_command("unshare", &["-n", "sh", "-c", &script]);
        command.env("SSL_CERT_FILE", &place.certificate.file);
        let run = support::finished(command.output().unwrap());
        let test: Value =
            serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {run:?}"));
        (run.code, test)
    };
    let (code, test) = run("");
    let ports = test["ports"].as_array().unwrap();
    let told: Vec<_> = ports
        .iter()
        .map(|port| (port["port"].as_u64().unwrap(), port["ok"] == true))
        .collect();
    assert_eq!(told, [(587, true), (465, true), (2525, false), (25, false)]);
    assert_eq!(code, 7, "two of four: {test:#}");
    let sent = |port: &Value| {
        let steps = port["steps"].as_array().unwrap();
        steps.iter().any(|step| step["step"] == "data")
    };
    assert!(sent(&ports[0]) && !sent(&ports[1]), "{test:#}");
    // What is not offered need not be there.
    sandbox.noted(&["set-settings", "--ports", "587,465"]);
    let (code, test) = run("--dry-run");
    assert_eq!(code, 0, "{test:#}");
    assert_eq!(test["ports"][2]["offered"], false);
    // A wrong password is tried once.
    std::fs::write(&password, "not-the-password-1").unwrap();
    let (code, test) = run("");
    assert_eq!(code, 6, "{test:#}");
    let faults: Vec<_> = (0..2)
        .map(|i| test["ports"][i]["fault"]["code"].clone())
        .collect();
    assert_eq!(faults, [Value::from("wrong_password"), Value::Null]);
    support::wait_for("the sign-in to be written down", || {
        let refused = sandbox.json(&["audit", "failures"]);
        (refused[0]["count"] == 1).then_some(())
    });
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn an_address_that_refuses_is_passed_over() {
    let sandbox = store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let postfix = serve::postfix(&sandbox, &place);
    let password = sandbox.folder.path().join("password");
    std::fs::write(&password, sandbox.create(USER)).unwrap();
    mail::open(&password, 0o600);
    let script = format!(
        "echo 'hosts: files' > nsswitch && printf '::1 localhost\\n127.0.0.1 localhost\\n' > hosts &&
         mount --bind nsswitch /etc/nsswitch.conf && mount --bind hosts /etc/hosts &&
         exec {} test {USER} --server localhost:{} --to {TO} --password-file password --json",
        support::PROGRAM,
        postfix.submission
    );
    let mut command = sandbox.other_command("unshare", &["-m", "sh", "-c", &script]);
    command.env("SSL_CERT_FILE", &place.certificate.file);
    let run = support::finished(command.output().unwrap());
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.contains("not [::1]:"), "{run:?}");
}
