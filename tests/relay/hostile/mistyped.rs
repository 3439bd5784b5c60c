//! Guesses with generated passwords that are not whole: they cost a hash only where
//! a password was chosen, and no answer tells where that is.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use smtpcred::app::World;
use smtpcred::app::relay::{Attempt, LATEST, Relay, SignInDecision, Ticket};
use smtpcred::model::actor::Actor;
use smtpcred::model::refused_sign_ins::RefusalReason;
use smtpcred::model::size::MemorySize;
use smtpcred::model::time::Time;
use smtpcred::store::{Access, Location, Store};

use crate::support::Sandbox;
use crate::support::relay::{self, Client, until};

/// A generated password that is not whole.
const MISTYPED: &str = "smtpc_222222222222222222222222222222";
const CHOSEN: &str = "vague-Otter-61-harbour";
/// Of another password.
const SLOW: &str = "$argon2id$v=19$m=65536,t=16,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Whoever guesses with generated passwords that are not whole.
struct Guesser {
    relay: Relay,
    at: Instant,
}

impl Guesser {
    fn new(sandbox: &Sandbox) -> Self {
        let location = Location::parse(sandbox.store().as_ref()).unwrap();
        let open = move |patience| Store::open_within(&location, Access::Existing, patience);
        let random = |bytes: &mut [u8]| {
            bytes.fill(7);
            Ok(())
        };
        let world = World {
            now,
            random,
            actor: || Actor {
                name: "relay".into(),
                run_as: None,
                host: "here".into(),
            },
            runs: |_| true,
        };
        let mut relay = Relay::new(Box::new(open), world, 2, MemorySize::mib(1)).unwrap();
        let at = Instant::now();
        relay.refresh(at).unwrap();
        Self { relay, at }
    }

    /// Whether it is hashed, and what becomes of it.
    fn guess(&mut self, username: &str, password: &str) -> (bool, RefusalReason, Duration) {
        let attempt = Arc::new(Attempt {
            username: username.into(),
            password: password.as_bytes().to_vec().into(),
            address: None,
            secured: true,
            since: self.at,
            latest: self.at + LATEST,
        });
        let (relay, at) = (&mut self.relay, self.at);
        relay.refresh(Instant::now()).unwrap();
        let SignInDecision::Hash(job) = relay.sign_in(&attempt, None, at).unwrap() else {
            panic!("{username}: decided at once");
        };
        // It takes a slot, as all do.
        let ticket = Ticket {
            number: 0,
            serial: 1,
        };
        assert!(relay.queue_hash(ticket, &job, at));
        assert_eq!(relay.next_hash(at), Some(ticket));
        let outcome = job.wrong();
        let hashed = job.may_match;
        let took = hashed.then_some(Duration::from_millis(30));
        relay.hash_done(&job, &Ok(outcome.clone()), took, at);
        let next = relay.sign_in(&attempt, Some(&outcome), at).unwrap();
        // The next one is no worse off for it.
        self.at += Duration::from_secs(100_000);
        match next {
            SignInDecision::Refuse(reason, answer) => (hashed, reason, answer - at),
            _ => panic!("{username}: not refused"),
        }
    }
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Time::from_epoch(since.as_secs().try_into().unwrap())
}

/// Those with generated passwords, with chosen ones, with both, and nobody.
fn users_of_all_kinds(sandbox: &Sandbox) -> [(&'static str, bool, RefusalReason); 4] {
    const RESET: [&str; 6] = ["user", "reset", "both@example.com", "--overlap", "1h", "-q"];
    let create = ["user", "create", "chosen@example.com", "-q"];
    let chosen = [&create[..], &["--password-stdin"]].concat();
    sandbox.create("generated@example.com");
    sandbox.create("both@example.com");
    for args in [chosen, [&RESET[..], &["--password-stdin"]].concat()] {
        assert_eq!(sandbox.run_with_stdin(&args, CHOSEN.as_bytes()).code, 0);
    }
    [
        ("generated@example.com", false, RefusalReason::Mistyped),
        ("chosen@example.com", true, RefusalReason::Mistyped),
        ("both@example.com", true, RefusalReason::Mistyped),
        ("nobody@example.com", false, RefusalReason::UnknownUser),
    ]
}

#[test]
fn p9_what_is_mistyped_is_hashed_only_where_it_may_have_been_chosen() {
    let sandbox = Sandbox::new();
    let users = users_of_all_kinds(&sandbox);
    let mut guesser = Guesser::new(&sandbox);
    let mut delays = HashSet::new();
    for (username, hashed, reason) in users {
        let found = guesser.guess(username, MISTYPED);
        assert_eq!((found.0, found.1), (hashed, reason), "{username}");
        delays.insert(found.2);
        // What is whole, or meant to be another one, is always hashed.
        for password in [
            CHOSEN.to_uppercase(),
            sandbox.create(&format!("x{username}")),
        ] {
            let found = guesser.guess(username, &password);
            assert!(found.0, "{username}");
            delays.insert(found.2);
        }
    }
    assert_eq!(delays.len(), 1, "{delays:?}");
    // Once the chosen one has stopped, all that is left was generated.
    sandbox.ok(&["user", "reset", "chosen@example.com", "-q"]);
    assert!(!guesser.guess("chosen@example.com", MISTYPED).0);
    // What was chosen may have that form.
    sandbox.sql("UPDATE passwords SET generated = 0");
    let another = MISTYPED.replace('2', "3");
    assert!(guesser.guess("generated@example.com", &another).0);
}

#[test]
fn p9_what_is_mistyped_is_answered_as_all_others_and_costs_nothing() {
    let sandbox = Sandbox::new();
    let users = users_of_all_kinds(&sandbox);
    // Long enough to be seen.
    sandbox.ok(&["set-settings", "--argon2", "m=65536,t=16,p=1", "-q"]);
    for username in ["generated@example.com", "chosen@example.com"] {
        sandbox.sql(&format!(
            "UPDATE passwords SET hash = '{SLOW}' WHERE username = '{username}'"
        ));
    }
    let relay = relay::start(&sandbox, &[], &[]);
    let mut client = Client::auth(&sandbox);
    let mut guess = |id: u32, username: &str| {
        let (begun, before) = (Instant::now(), relay.processor_time());
        client.sign_in(id, username, MISTYPED, &format!("192.0.2.{id}"));
        let answer = client.line().unwrap();
        assert!(answer.starts_with(&format!("FAIL\t{id}")), "{answer}");
        assert!(begun.elapsed() >= Duration::from_secs(1), "at once");
        relay.processor_time().saturating_sub(before)
    };
    let [generated, chosen, _, nobody] = users.map(|(username, ..)| username);
    let hashed = guess(1, chosen);
    let not_hashed = guess(2, generated) + guess(3, nobody);
    println!("{hashed:?} of the processor, and {not_hashed:?} for two that are not hashed");
    assert!(not_hashed < hashed / 2, "{not_hashed:?} of {hashed:?}");
    until("the log", relay::PATIENCE, || {
        relay.count("reason=mistyped user=") == 2 && relay.count("reason=unknown-user user=") == 1
    });
}
