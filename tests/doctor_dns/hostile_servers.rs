//! `smtpcred test` at servers, or at whoever is on the way to them, that mean harm or
//! were written in a hurry.

use serde_json::Value;

use crate::support::desk::{Desk, TO, USER, at, text};
use crate::support::fake_smtp::Script;
use crate::support::mail::tls::Certificate;
use crate::support::{self, Sandbox, fake_smtp};

const SEND: &[&str] = &["--to", TO, "--timeout", "5s"];

/// What it says instead, and what comes of it.
const WRONG: &[(Script, i32, &str)] = &[
    // Answers in clear, for commands inside TLS.
    (
        &[
            (
                "EHLO",
                b"250 STARTTLS\r\n220 go\r\n250 AUTH PLAIN\r\n235 injected\r\n250 a\r\n250 b\r\n",
            ),
            ("tls AUTH", b"535 no\r\n"),
        ],
        1,
        "protocol",
    ),
    (
        &[
            ("STARTTLS", b"220 go\r\n250 AUTH PLAIN\r\n235 injected\r\n"),
            ("tls AUTH", b"535 no\r\n"),
        ],
        1,
        "protocol",
    ),
    // The line that it did not understand, with the password in it.
    (&[("tls AUTH", b"ECHO")], 1, "no_auth"),
    // In a language of its own.
    (
        &[("tls AUTH", b"535 Mot de passe erron\xe9\r\n")],
        1,
        "server_asks_elsewhere",
    ),
    (&[("greeting", b"554 Adi\xf3s\r\n")], 1, "refused"),
    // A yes to something else.
    (&[("tls AUTH", b"250 fine\r\n")], 1, "protocol"),
    (
        &[
            ("tls EHLO", b"250 AUTH LOGIN\r\n"),
            ("tls AUTH", b"250 fine\r\n"),
        ],
        1,
        "protocol",
    ),
    (&[("tls RCPT", b"354 go\r\n")], 1, "protocol"),
    (&[(".", b"354 go on\r\n")], 1, "protocol"),
    (&[("STARTTLS", b"250 fine\r\n")], 1, "protocol"),
    // No TLS after STARTTLS.
    (&[("handshake", b"")], 1, "tls_failed"),
    (&[("EHLO", b"502 5.5.2 Unknown\r\n")], 1, "no_auth"),
    // Whose address is refused.
    (
        &[("tls MAIL", b"550 5.1.8 Domain not found\r\n")],
        4,
        "sender_refused",
    ),
    (
        &[("tls RCPT", b"550 5.1.1 No such user\r\n")],
        4,
        "recipient_refused",
    ),
];

fn desk<'a>(sandbox: &'a Sandbox, certificate: &Certificate) -> Desk<'a> {
    Desk {
        sandbox,
        trusted: certificate.file.clone(),
        password: sandbox.create(USER),
    }
}

#[test]
#[ignore = "needs openssl: run tests/run"]
fn what_is_said_wrongly_is_not_taken_for_right() {
    let sandbox = Sandbox::new();
    let certificate = Certificate::new(sandbox.folder.path());
    let desk = desk(&sandbox, &certificate);
    for (script, exit, code) in WRONG {
        let server = at(fake_smtp::start(&certificate, script));
        let port = desk.fails(&server, SEND, &desk.password, *exit, code);
        let plain = format!("\0{USER}\0{}", desk.password);
        let encoded = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, plain);
        assert!(!port.to_string().contains(&encoded), "{port:#}");
    }
    // Not what they say, but how: in any case, over several lines.
    let odd: Script = &[
        ("EHLO", b"250-fake\r\n250 starttls\r\n"),
        ("STARTTLS", b"220-now\r\n220 go\r\n"),
        ("tls EHLO", b"250-fake\r\n250 auth plain\r\n"),
        ("tls AUTH", b"235-yes\r\n235 \x1b[31mred\x07\r\n"),
    ];
    let server = at(fake_smtp::start(&certificate, odd));
    let args = [&["--server", &server][..], SEND].concat();
    let run = desk.run(&args, &desk.password);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(!run.stdout.contains(['\x1b', '\x07']), "{run:?}");
}

#[test]
#[ignore = "needs openssl: run tests/run"]
fn a_line_without_end_takes_no_memory() {
    let sandbox = Sandbox::new();
    let certificate = Certificate::new(sandbox.folder.path());
    let desk = desk(&sandbox, &certificate);
    let endless = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = at(endless.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for stream in endless.incoming() {
            let mut stream = stream.unwrap();
            while std::io::Write::write_all(&mut stream, &[b'2'; 4096]).is_ok() {}
        }
    });
    let limited = format!(
        "ulimit -v 400000; exec {} test {USER} --server {server} --dry-run --timeout 20s --json",
        support::PROGRAM
    );
    let mut command = sandbox.other_command("sh", &["-c", &limited]);
    let file = sandbox.folder.path().join("password");
    std::fs::write(&file, &desk.password).unwrap();
    command.stdin(std::fs::File::open(file).unwrap());
    let run = support::finished(command.output().unwrap());
    let test: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {run:?}"));
    assert_eq!(
        text(&test["ports"][0]["fault"]["code"]),
        "protocol",
        "{test:#}"
    );
}
