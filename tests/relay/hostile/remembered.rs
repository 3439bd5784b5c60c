//! serve remembers right passwords within a limit, and only as long as the store holds their
//! hashes.

use serde_json::Value;
use smtpcred::model::hash::{Cost, Hasher};

use crate::support::Sandbox;
use crate::support::relay::{self, Client, auth_socket, request, until};

const SHOP: &str = "shop@example.com";
const HOME: &str = "192.0.2.1";

/// Imports users with this password and a cheap hash.
fn import(sandbox: &Sandbox, count: u32, password: &str) {
    let salt = |bytes: &mut [u8]| {
        bytes.fill(7);
        Ok(())
    };
    let cheap = Cost { m: 8, t: 1, p: 1 };
    let hash = Hasher::default().hash(password.as_bytes(), cheap, salt);
    let hash = hash.unwrap().as_str().to_owned();
    let rows = (0..count).map(|i| format!("u{i}@example.com,\"{hash}\"\n"));
    let csv = format!("username,hash\n{}", rows.collect::<String>());
    let import = ["user", "import", "-", "--from", "csv"];
    let run = sandbox.run_with_stdin(&import, csv.as_bytes());
    assert_eq!(run.code, 0, "{}", run.stderr);
}

/// Signs all of them in, one after another.
fn all_sign_in(client: &mut Client, count: u32, password: &str, id: &mut u32) {
    const AT_ONCE: u32 = 32;
    for first in (0..count).step_by(AT_ONCE as usize) {
        let users = first..count.min(first + AT_ONCE);
        let mut asked = String::new();
        for user in users.clone() {
            *id += 1;
            asked += &request(*id, &format!("u{user}@example.com"), password, HOME);
        }
        client.send(asked.as_bytes());
        for _ in users {
            let answer = client.line();
            assert!(
                answer.as_ref().is_some_and(|line| line.starts_with("OK\t")),
                "{answer:?}"
            );
        }
    }
}

/// Doctor's finding about remembered passwords: state, found and advice.
fn remembered(sandbox: &Sandbox) -> [String; 3] {
    let auth = auth_socket(sandbox);
    let run = sandbox.run(&["doctor", "--json", "--auth", auth.to_str().unwrap()]);
    let findings: Vec<Value> = serde_json::from_str(&run.stdout).unwrap();
    let mut findings = findings.iter();
    let finding = findings.find(|one| one["check"] == "remembered passwords");
    let finding = finding.unwrap_or_else(|| panic!("{}", run.stdout));
    ["state", "found", "advice"].map(|field| finding[field].as_str().unwrap_or("").to_owned())
}

#[test]
fn remembered_passwords_are_limited_and_reported() {
    const PASSWORD: &str = "vague-Otter-61-harbour";
    // Room for 3,276.
    const MANY: u32 = 3_600;
    const FULL: &str = "the memory for right passwords is full";
    let sandbox = Sandbox::new();
    import(&sandbox, MANY, PASSWORD);
    let relay = relay::start(&sandbox, &[], &["--remember", "64K"]);
    let said = remembered(&sandbox);
    assert_eq!(said, ["ok", "0, in 0 B of 64 KiB", ""]);
    let (mut client, mut id) = (Client::auth(&sandbox), 0);
    all_sign_in(&mut client, 1000, PASSWORD, &mut id);
    let [state, found, _] = remembered(&sandbox);
    assert_eq!(state, "ok");
    // A few may have a new hash by now, and are remembered twice.
    let (passwords, _) = found.split_once(", in 2").unwrap();
    assert!(
        (1000..1100).contains(&passwords.parse().unwrap()),
        "{found}"
    );
    assert_eq!(relay.count(FULL), 0);
    for _ in 0..2 {
        all_sign_in(&mut client, MANY, PASSWORD, &mut id);
    }
    until("the warning", relay::PATIENCE, || relay.count(FULL) == 1);
    let [state, found, advice] = remembered(&sandbox);
    assert_eq!(state, "warn");
    assert!(found.starts_with("3276, in 64 KiB of 64 KiB: "), "{found}");
    assert_eq!(advice, "give serve more memory: --remember 2M");
    drop(relay);

    let _relay = relay::start(&sandbox, &[], &["--remember", "0"]);
    let mut client = Client::auth(&sandbox);
    for _ in 0..2 {
        all_sign_in(&mut client, 10, PASSWORD, &mut id);
    }
    let none = "none: each sign-in is hashed (serve --remember 0)";
    assert_eq!(remembered(&sandbox), ["ok", none, ""]);
}

#[test]
fn p3_a_remembered_password_stops_with_its_hash() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(SHOP);
    let _relay = relay::start(&sandbox, &[], &[]);
    let mut client = Client::auth(&sandbox);
    for id in 1..=2 {
        client.sign_in(id, SHOP, &password, HOME);
        assert_eq!(client.line(), Some(format!("OK\t{id}\tuser={SHOP}")));
    }
    let [state, found, _] = remembered(&sandbox);
    assert_eq!((state.as_str(), &found[..3]), ("ok", "1, "));
    let new = sandbox.ok(&["user", "reset", SHOP, "--quiet"]);
    client.sign_in(3, SHOP, &password, HOME);
    assert_eq!(client.line().as_deref(), Some("FAIL\t3"));
    client.sign_in(4, SHOP, new.trim(), HOME);
    assert_eq!(client.line(), Some(format!("OK\t4\tuser={SHOP}")));
}
