//! From where users may sign in, through real mail servers and on the sockets.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::mail::Place;
use crate::support::mail::smtp::{Reply, Smtp};
use crate::support::relay::{self, percentile, until};
use crate::support::serve::{Auth, Serve, exim, postfix, sql, store};
use crate::support::{Sandbox, is_long, wait_for};

const USER: &str = "shop@example.com";

fn allow(sandbox: &Sandbox, networks: &[&str]) {
    let args = [&["user", "allow", USER], networks].concat();
    sandbox.ok(&[&args[..], &["--quiet"]].concat());
}

fn set(sandbox: &Sandbox, flags: &[&str]) {
    let args = [&["user", "set", USER, "--quiet"], flags].concat();
    assert_eq!(sandbox.run(&args).code, 0, "{flags:?}");
}

/// Returns the kinds of the alerts, in the order of the alphabet.
fn alerts(sandbox: &Sandbox) -> Vec<String> {
    sandbox.texts("SELECT kind || ' ' || COALESCE(address, '') FROM alerts ORDER BY 1")
}

/// Returns the networks of the user, each with its state and how often it was used.
fn networks(sandbox: &Sandbox) -> Vec<(String, String, i64)> {
    let found = sandbox.json(&["user", "addresses", USER]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let networks = found.as_array().unwrap().iter().map(|one| {
        let sign_ins = one["sign_ins"].as_i64().unwrap();
        (text(&one["network"]), text(&one["state"]), sign_ins)
    });
    networks.collect()
}

fn holds(sandbox: &Sandbox, connect: &dyn Fn() -> Smtp) {
    let password = sandbox.create(USER);
    let sign_in = |password: &str| -> Reply { connect().auth_plain(USER, password, true) };
    assert_eq!(sign_in(&password).code, 235);
    set(sandbox, &["--addresses", "listed"]);
    allow(sandbox, &["192.0.2.0/24"]);
    let (refused, wrong) = (sign_in(&password), sign_in("wrong-Otter-61"));
    assert_eq!((refused.code, &refused.text), (535, &wrong.text));
    let login = connect().auth_login(USER, &password, false);
    assert_eq!((login.code, &login.text), (535, &wrong.text));
    allow(sandbox, &["127.0.0.1"]);
    assert_eq!(sign_in(&password).code, 235);
    sandbox.ok(&["user", "disallow", USER, "127.0.0.0/8", "--quiet"]);
    assert_eq!(sign_in(&password).code, 535);
    set(sandbox, &["--unknown-address", "alert"]);
    assert_eq!(sign_in(&password).code, 235);
    set(sandbox, &["--unknown-address", "none"]);
    assert_eq!(sign_in(&password).code, 535);
    sandbox.ok(&["set-settings", "--ignore-address", "127.0.0.1", "--quiet"]);
    assert_eq!(sign_in(&password).code, 235);

    let refused = "refused-address 127.0.0.1".to_owned();
    wait_for("the alert", || {
        (alerts(sandbox) == [refused.clone()]).then_some(())
    });
    let failures = wait_for("the refusals", || {
        let failures = sandbox.json(&["audit", "failures", "--user", USER]);
        (failures.as_array()?.len() == 2).then_some(failures)
    });
    let of = |reason: &str| {
        let mut all = failures.as_array().unwrap().iter();
        all.find(|one| one["reason"] == reason).unwrap()["count"].as_i64()
    };
    assert_eq!(of("wrong-password"), Some(1));
    wait_for("all refusals", || {
        let failures = sandbox.json(&["audit", "failures", "--user", USER]);
        let counts = failures.as_array()?.iter().map(|one| one["count"].as_i64());
        (counts.sum::<Option<i64>>() == Some(5)).then_some(())
    });
    // Three that were accepted; the last one said nothing.
    let expected = [
        ("127.0.0.0/24".to_owned(), "new".to_owned(), 3),
        ("192.0.2.0/24".to_owned(), "allowed".to_owned(), 0),
    ];
    wait_for("the sign-ins", || {
        (networks(sandbox) == expected).then_some(())
    });
    let why = sandbox.json(&["why", USER]);
    // Ignored by now, so nothing needs to be allowed.
    assert_eq!(why["next"], serde_json::json!([]));
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn through_postfix_an_address_is_refused_like_a_wrong_password() {
    let sandbox = store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let postfix = postfix(&sandbox, &place);
    holds(&sandbox, &|| postfix.client());
}

#[test]
#[ignore = "needs root and Exim: run tests/run"]
fn through_exim_an_address_is_refused_like_a_wrong_password() {
    let sandbox = store();
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let exim = exim(&sandbox, &place);
    holds(&sandbox, &|| exim.client());
}

/// Whether this relay accepts it; it must say something.
fn accepts(place: &Place, address: &str, password: &str) -> bool {
    let mut auth = Auth::connect(&place.auth()).expect("a greeting");
    let said = auth.plain(address, USER, password).expect("an answer");
    said.expect("not hung up")
}

#[test]
#[ignore = "needs root: run tests/run"]
fn what_was_learned_is_listed_afterwards_and_others_are_told() {
    let sandbox = store();
    let place = Place::new();
    let mut serve = Serve::start(&sandbox, &place);
    let password = sandbox.create(USER);
    set(&sandbox, &["--addresses", "learn"]);
    for address in ["192.0.2.1", "2001:db8::1", "192.0.2.9"] {
        assert!(accepts(&place, address, &password), "{address}");
    }
    let learned = |network: &str, sign_ins| (network.to_owned(), "learned".to_owned(), sign_ins);
    wait_for("what was learned", || {
        let mut found = networks(&sandbox);
        found.sort();
        (found == [learned("192.0.2.0/24", 2), learned("2001:db8::/64", 1)]).then_some(())
    });
    assert_eq!(alerts(&sandbox), ["new-address 2001:db8::1"]);
    // The learning time is over.
    sql(
        &sandbox,
        "UPDATE address_rules SET learning_since = learning_since - 2592000",
    );
    sql(
        &sandbox,
        "UPDATE users SET created_at = created_at - 2592000",
    );
    for _ in 0..2 {
        assert!(accepts(&place, "192.0.2.77", &password));
        assert!(!accepts(&place, "203.0.113.1", &password));
        serve.kill();
        serve.start_again();
    }
    assert!(!accepts(&place, "unknown", &password));
}

/// As many users, so that nobody has guessed before.
fn times() -> usize {
    if is_long() { 200 } else { 40 }
}

#[test]
fn p9_a_refused_address_takes_as_long_as_a_wrong_password() {
    const TOGETHER: usize = 8;
    let sandbox = Sandbox::new();
    let count = times();
    relay::import(&sandbox, u32::try_from(count).unwrap(), "vague-Otter-61");
    sandbox.ok(&[
        "set-settings",
        "--addresses",
        "listed",
        "--allow",
        "192.0.2.0/24",
        "-q",
    ]);
    let relay = relay::start(&sandbox, &[], &[]);
    let mut client = relay::Client::auth(&sandbox);
    let mut id = 0;
    // Some of them are remembered; their hashes are strengthened, and take longer.
    relay::all_sign_in(
        &mut client,
        u32::try_from(count / 10).unwrap(),
        "vague-Otter-61",
        &mut id,
    );
    let names: Vec<_> = sandbox.texts("SELECT username FROM users ORDER BY username");
    let took = |number: usize, password: &str, host: u8| -> Duration {
        let mut client = relay::Client::auth(&sandbox);
        let address = format!("10.{host}.{number}.1");
        let begun = Instant::now();
        client.sign_in(1, &names[number], password, &address);
        let answer = client.line().expect("an answer");
        assert!(answer.starts_with("FAIL\t1"), "{answer}");
        begun.elapsed()
    };
    let (mut wrong, mut refused) = (Vec::new(), Vec::new());
    for first in (0..count).step_by(TOGETHER) {
        let both = thread::scope(|scope| {
            let pairs: Vec<_> = (first..(first + TOGETHER).min(count))
                .map(|number| {
                    let wrong = scope.spawn(move || took(number, "wrong-Otter-61", 1));
                    let refused = scope.spawn(move || took(number, "vague-Otter-61", 2));
                    (wrong, refused)
                })
                .collect();
            let join = |(wrong, refused): (
                thread::ScopedJoinHandle<'_, _>,
                thread::ScopedJoinHandle<'_, _>,
            )| { (wrong.join().unwrap(), refused.join().unwrap()) };
            pairs.into_iter().map(join).collect::<Vec<_>>()
        });
        for (one, other) in both {
            wrong.push(one);
            refused.push(other);
        }
    }
    let [wrong, refused] = [wrong, refused].map(|mut times| percentile(&mut times, 50));
    println!("medians of {count}: wrong {wrong:?}, address not allowed {refused:?}");
    // Both are answered at a whole second.
    assert_eq!(wrong.as_secs(), refused.as_secs(), "{wrong:?} {refused:?}");
    until("the log", relay::PATIENCE, || {
        relay.count("reason=address-not-allowed") == count
            && relay.count("reason=wrong-password") == count
    });
}
