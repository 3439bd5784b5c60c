//! serve remembers right passwords within a limit, and only as long as the store holds their
//! hashes.

use serde_json::Value;

use crate::support::Sandbox;
use crate::support::relay::{self, Client, all_sign_in, auth_socket, import, until};

const SHOP: &str = "shop@example.com";
const HOME: &str = "192.0.2.1";

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
