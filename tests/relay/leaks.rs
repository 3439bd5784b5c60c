//! Passwords that clients put where a name belongs are written down nowhere, and
//! the tests look for them everywhere.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::Signal;

use crate::support::leaks::found;
use crate::support::postgres::Postgres;
use crate::support::relay::{Client, Relay, request};
use crate::support::{self, Sandbox, relay, wait_for};

const USER: &str = "shop@example.com";
/// As an admin may choose one: it could be an address.
const CHOSEN: &str = "My-Secret.2026@work.example";
/// It could be the local part of one.
const WORDS: &str = "Quokka.Zeppelin-77";

/// A store with a generated, a short and a chosen password.
fn passwords(sandbox: &Sandbox) -> Vec<String> {
    let generated = sandbox.create(USER);
    let short = [
        "user",
        "create",
        "till@example.com",
        "--short-password",
        "--quiet",
    ];
    let short = sandbox.ok(&short).trim_end().to_owned();
    for (user, chosen) in [("desk@example.com", CHOSEN), ("hall@example.com", WORDS)] {
        let create = ["user", "create", user, "--password-stdin", "--quiet"];
        let run = sandbox.run_with_stdin(&create, chosen.as_bytes());
        assert_eq!(run.code, 0, "{}", run.stderr);
    }
    vec![generated, short, CHOSEN.to_owned(), WORDS.to_owned()]
}

/// Ways in which a password ends up in a name.
fn names(password: &str) -> Vec<String> {
    let swapped = password.chars().map(|c| {
        if c.is_ascii_lowercase() {
            c.to_ascii_uppercase()
        } else {
            c.to_ascii_lowercase()
        }
    });
    let written = [
        password.to_owned(),
        password.to_lowercase(),
        password.to_uppercase(),
        swapped.collect(),
        password.chars().rev().collect(),
        STANDARD.encode(password),
    ];
    let mut names = Vec::new();
    for word in written {
        names.push(word.clone());
        names.push(format!(" {word} "));
        for around in [
            "{}@example.com",
            "{}@EXAMPLE.com.",
            "{}@smtp.example.com",
            "x{}@example.com",
            "{}.@example.com",
            "shop@example.com:{}",
            "shop@example.com {}",
            "shop:{}@example.com",
            "smtp://shop@example.com:{}@smtp.example.com",
            "shop@example.com/{}",
            "\"shop@example.com\" \"{}\"",
            "shop@{}.example.com",
            "shop@example.com\u{a0}{}",
            "user={} ",
            "<{}@example.com>",
            "\0shop@example.com\0{}",
        ] {
            names.push(around.replace("{}", &word));
        }
        names.push(format!("{}{word}{}", "x".repeat(140), "y".repeat(140)));
        names.push(format!("{}{word}{}", "x".repeat(2500), "y".repeat(2500)));
    }
    names.push(STANDARD.encode(format!("\0{USER}\0{password}")));
    names
}

/// As a client of LOGIN would: a name of any bytes. Most without TLS, which is
/// refused before anything is hashed.
fn login(client: &mut Client, id: u32, name: &str, password: &str, secured: &str) {
    let begin = format!("AUTH\t{id}\tLOGIN\tservice=smtp\trip=192.0.2.{id}{secured}\n");
    client.send(begin.as_bytes());
    for word in [name, password] {
        match client.line() {
            Some(line) if line.starts_with("CONT") => {
                client.send(format!("CONT\t{id}\t{}\n", STANDARD.encode(word)).as_bytes());
            }
            // Longer than a name may be.
            answer => panic!("{answer:?}"),
        }
        if word.len() > 320 {
            return;
        }
    }
}

fn refused(client: &mut Client) {
    let answer = client.line().expect("an answer");
    assert!(answer.starts_with("FAIL\t"), "{answer}");
}

fn failures(sandbox: &Sandbox) -> Vec<String> {
    let failures = sandbox.json(&["audit", "failures"]);
    let failures = failures.as_array().expect("a list");
    let name = |refused: &serde_json::Value| refused["username"].as_str().map(str::to_owned);
    failures.iter().filter_map(name).collect()
}

/// All that was refused is in the store.
fn written_down(sandbox: &Sandbox, relay: &Relay) {
    let refused = relay.count("sign-in refused: ");
    wait_for("the refusals to be written down", || {
        let failures = sandbox.json(&["audit", "failures"]);
        let counts = failures.as_array().expect("a list").iter();
        let sum: u64 = counts.filter_map(|one| one["count"].as_u64()).sum();
        (sum == refused as u64).then_some(())
    });
}

fn garbled(sandbox: &Sandbox) {
    let passwords = passwords(sandbox);
    let relay = relay::start(sandbox, &[], &[]);
    let all: Vec<_> = passwords.iter().flat_map(|one| names(one)).collect();
    // Answers come late: they are waited for together.
    for chunk in all.chunks(100) {
        let mut clients: Vec<_> = chunk.iter().map(|_| Client::auth(sandbox)).collect();
        for (i, (client, name)) in (1..).zip(clients.iter_mut().zip(chunk)) {
            let secured = if i % 10 == 0 { "\tsecured" } else { "" };
            login(client, i, name, "whatever else", secured);
        }
        clients.iter_mut().for_each(refused);
    }
    // The fields are swapped.
    let mut client = Client::auth(sandbox);
    for (id, password) in (1..).zip(&passwords) {
        login(&mut client, id, password, USER, "\tsecured");
    }
    for _ in &passwords {
        refused(&mut client);
    }
    // Who may send is asked with names of strangers, too.
    let mut policy = Client::policy(sandbox);
    for name in &all {
        if name.contains(['\0', '\n']) {
            continue;
        }
        for (user, sender) in [(USER, name.as_str()), (name, USER), (name, name)] {
            let request = format!(
                "request=smtpd_access_policy\nprotocol_state=RCPT\nsasl_username={user}\n\
                 sender={sender}\nrecipient={name}\nclient_address=192.0.2.1\ninstance=1.2\n\n"
            );
            policy.send(request.as_bytes());
            match policy.line() {
                Some(answer) => {
                    // Of its own domain it may send as anybody.
                    assert!(answer.starts_with("action="), "{answer}");
                    assert_eq!(policy.line().as_deref(), Some(""));
                }
                // Longer than a request may be.
                None => policy = Client::policy(sandbox),
            }
        }
    }
    written_down(sandbox, &relay);
    for line in ["user=(hidden:", "sender='(hidden:"] {
        wait_for(line, || (relay.count(line) > 100).then_some(()));
    }
    let written = failures(sandbox).join("\n");
    assert_eq!(found(written.as_bytes()), None, "{written}");
    relay.signal(Signal::SIGTERM);
    let (code, log) = relay.ended();
    assert_eq!(code, Some(0));
    assert_eq!(found(log.join("\n").as_bytes()), None);
}

#[test]
fn p1_a_password_in_a_name_is_written_nowhere() {
    garbled(&Sandbox::new());
}

#[test]
#[ignore = "needs root and PostgreSQL: run tests/run"]
fn p1_a_password_in_a_name_is_in_no_database() {
    let server = Postgres::start();
    let sandbox = server.sandbox_with_domain();
    garbled(&sandbox);
    let database = sandbox.database.as_ref().expect("PostgreSQL");
    let all = database.sql("SELECT f::text FROM failures f UNION ALL SELECT e::text FROM events e");
    assert_eq!(found(all.as_bytes()), None, "{all}");
}

#[test]
fn p1_ten_thousand_garbled_sign_ins_leave_no_password() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(USER);
    let relay = relay::start(&sandbox, &[], &[]);
    let fillers = [
        "",
        " ",
        ":",
        "/",
        "@",
        "\t",
        "a",
        "shop@example.com",
        "@example.com",
        "%3A",
    ];
    // Connections of their own, as no answer is waited for in turn.
    let mut clients: Vec<_> = (0..200).map(|_| Client::auth(&sandbox)).collect();
    let mut asked = 0;
    for (i, client) in clients.iter_mut().enumerate() {
        for (id, j) in (1..).zip(0..50) {
            let (before, behind) = (fillers[i % 10], fillers[(i / 10 + j) % 10]);
            let name = match j % 3 {
                0 => format!("{before}{password}{behind}"),
                1 => format!("{before}{}{behind}", password.to_lowercase()),
                _ => format!("{before}{}{behind}", password.to_uppercase()),
            };
            let address = format!(
                "10.{}.{}.{}",
                asked / 65_536,
                asked / 256 % 256,
                asked % 256
            );
            // One without TLS is refused before anything is hashed.
            let line = request(id, &name, "x", &address).replace("\tsecured", "");
            assert!(client.send(line.as_bytes()));
            asked += 1;
        }
    }
    for client in &mut clients {
        (0..50).for_each(|_| refused(client));
    }
    wait_for("the log", || {
        (relay.count("sign-in refused: ") == 10_000).then_some(())
    });
    relay.signal(Signal::SIGTERM);
    let (code, log) = relay.ended();
    assert_eq!(code, Some(0));
    assert_eq!(found(log.join("\n").as_bytes()), None);
    let written = failures(&sandbox).join("\n");
    assert!(written.contains("(hidden:"), "{written}");
    assert_eq!(found(written.as_bytes()), None);
}

#[test]
fn names_that_tell_an_admin_something_are_shown() {
    let sandbox = Sandbox::new();
    sandbox.create(USER);
    let relay = relay::start(&sandbox, &[], &[]);
    let mut client = Client::auth(&sandbox);
    let names = [
        "shop@example.com ",
        "shop@example.com.",
        "SHOP@example.com",
        "shpo@example.com",
        "nobody@other.example",
    ];
    for (id, name) in (1..).zip(names) {
        login(&mut client, id, name, "wrong", "\tsecured");
    }
    for _ in names {
        refused(&mut client);
    }
    for shown in [
        "user='shop@example.com '",
        "user='shop@example.com.'",
        "user=shop@example.com",
        "user=shpo@example.com",
        "user=(hidden:",
    ] {
        wait_for(shown, || (relay.count(shown) > 0).then_some(()));
    }
    assert_eq!(relay.count("other.example"), 0);
    written_down(&sandbox, &relay);
    let table = sandbox.ok(&["audit", "failures"]);
    for shown in [
        "'shop@example.com '",
        "'shop@example.com.'",
        "shpo@example.com",
    ] {
        assert!(table.contains(shown), "{table}");
    }
    // They are all hers; the last was with a dot, a space, or her own name.
    let own = sandbox.json(&["audit", "failures", "--user", USER]);
    assert_eq!(own.as_array().expect("a list").len(), 3, "{own}");
    let shown = sandbox.ok(&["user", "show", USER]);
    assert!(shown.contains("as 'shop@example.com '"), "{shown}");
    sandbox.sql("DELETE FROM failures WHERE username <> 'shop@example.com '");
    let why = sandbox.run(&["why", USER]).stdout;
    assert!(why.contains("as 'shop@example.com '"), "{why}");
    let why = sandbox.json(&["why", USER]);
    assert_eq!(why["last_refusal"]["username"], "shop@example.com ");
}

#[test]
fn the_same_name_has_the_same_hash_and_another_has_another() {
    let sandbox = Sandbox::new();
    let relay = relay::start(&sandbox, &[], &[]);
    let mut client = Client::auth(&sandbox);
    for name in ["a:b@c", "a:b@c", "other", "a:b@c"] {
        login(&mut client, 1, name, "wrong", "");
        refused(&mut client);
    }
    written_down(&sandbox, &relay);
    let failures = sandbox.json(&["audit", "failures"]);
    let mut counts: Vec<_> = failures.as_array().expect("a list").iter().collect();
    counts.sort_by_key(|one| one["count"].as_u64());
    assert_eq!(counts.len(), 2, "{failures}");
    assert_eq!(
        (&counts[0]["count"], &counts[1]["count"]),
        (&1.into(), &3.into())
    );
    let name = counts[0]["username"].as_str().expect("a name");
    assert_eq!(name.len(), "(hidden:12345678)".len(), "{name}");
}

/// The tests see what they look for.
#[test]
fn p1_a_password_is_found_wherever_it_stands() {
    let sandbox = Sandbox::new();
    let all = passwords(&sandbox);
    for password in &all {
        for written in [
            password.clone(),
            password.to_lowercase(),
            password.to_uppercase(),
            STANDARD.encode(password),
            STANDARD.encode(format!("\0{USER}\0{password}")),
            STANDARD.encode(format!("x\0{USER}\0{password}")),
            STANDARD.encode(format!("xx\0{USER}\0{password}")),
        ] {
            let log = format!("sign-in refused: user={written}@example.com\n");
            assert!(found(log.as_bytes()).is_some(), "{log}");
            assert!(found(format!("\0{written}\0").as_bytes()).is_some());
        }
    }
    let nothing = format!(
        "{} smtpc_x (hidden:0a1b2c3d) $argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ",
        all.len()
    );
    assert_eq!(found(nothing.as_bytes()), None);
}

#[test]
#[should_panic(expected = "a password was written down")]
fn p1_a_test_that_leaves_a_password_in_the_store_fails() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(USER);
    sandbox.sql(&format!(
        "INSERT INTO failures VALUES ('{password}@example.com', '', 'unknown-user', 1, 1, 1)"
    ));
}

#[test]
#[should_panic(expected = "a password was written down")]
fn p1_a_test_that_leaves_a_password_in_a_log_fails() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(USER);
    let log = sandbox.folder.path().join("serve.log");
    let mut file = std::fs::File::create(&log).unwrap();
    writeln!(file, "user={}", password.to_lowercase()).unwrap();
    support::leaks::look_into(&log);
}
