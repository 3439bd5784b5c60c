use std::sync::Arc;

use super::*;
use crate::app::relay::login::Login;
use crate::app::relay::pending_writes::SignIn;
use crate::app::relay::testing::{NOW, TestStore, attempt, login_of, messages};
use crate::app::relay::{Attempt, Release, Service, SignInDecision};
use crate::model::address_rules::AddressVerdict;
use crate::model::hash::Hasher;
use crate::model::name::Username;
use crate::model::refused_sign_ins::RefusalReason;
use crate::model::stranger::WrittenName;
use crate::model::time::Time;
use crate::model::user::SentMail;
use crate::store::DailyUsage;

const SHOP: &str = "shop@example.com";
const RIGHT: &str = "vague-Otter-61";
const WRONG: &str = "vague-Otter-62";
const HOME: &str = "192.0.2.1";
const PROCESS: u32 = 4711;

/// Returns the decision, and whether a password was hashed for it.
fn sign_in(relay: &mut Relay, attempt: &Arc<Attempt>) -> (SignInDecision, bool) {
    match relay.sign_in(attempt, None, attempt.since).unwrap() {
        SignInDecision::Hash(job) => {
            let outcome = job.run(&mut Hasher::default()).unwrap();
            let decision = relay.sign_in(attempt, Some(&outcome), attempt.since);
            (decision.unwrap(), true)
        }
        decision => (decision, false),
    }
}

fn shop(password: &str) -> Arc<Attempt> {
    attempt(SHOP, password, HOME, Instant::now())
}

fn written(relay: Relay, unwritten: &PendingWrites) -> Vec<u8> {
    let mut bytes = Vec::new();
    relay.carry_over(&mut bytes, unwritten, 42).unwrap();
    bytes
}

fn read(mut bytes: &[u8]) -> io::Result<CarriedOver> {
    CarriedOver::read(&mut bytes, MemorySize::mib(1), 2)
}

fn login(relay: &mut Relay) -> Login {
    login_of(relay, SHOP, PROCESS, HOME)
}

/// A relay in which a user has signed in, and another client has guessed.
fn used(store: &mut TestStore) -> Relay {
    store.add_user(SHOP, RIGHT);
    let mut relay = store.relay();
    let (right, wrong) = (shop(RIGHT), shop(WRONG));
    let (SignInDecision::Accept(accepted), true) = sign_in(&mut relay, &right) else {
        panic!("not accepted");
    };
    let service = Service {
        process: Some(PROCESS),
        is_here: false,
        connection: 1,
    };
    relay.record_accepted(accepted, service, right.address);
    let (decision, hashed) = sign_in(&mut relay, &wrong);
    assert!(hashed && matches!(decision, SignInDecision::Refuse(..)));
    relay
}

#[test]
fn nothing_is_hashed_again_and_sessions_stay_bound() {
    let mut store = TestStore::new();
    let bytes = written(used(&mut store), &PendingWrites::default());
    let mut relay = store.relay();
    let memory = read(&bytes).unwrap();
    assert_eq!(memory.connections, 42);
    assert_eq!(login(&mut relay), Login::Unknown);
    relay.take_over(memory);
    assert_eq!(relay.remembering().passwords, 1);
    let (decision, hashed) = sign_in(&mut relay, &shop(RIGHT));
    assert!(!hashed && matches!(decision, SignInDecision::Accept(_)));
    let (decision, hashed) = sign_in(&mut relay, &shop(WRONG));
    let SignInDecision::Refuse(RefusalReason::WrongPassword, _) = decision else {
        panic!("not refused");
    };
    assert!(!hashed);
    assert_eq!(login(&mut relay), Login::Works);
    store.reset(SHOP, "other-Otter-63");
    assert_eq!(login(&mut relay), Login::Ended);
}

#[test]
fn p3_what_was_stopped_before_it_is_taken_over_stays_stopped() {
    let mut store = TestStore::new();
    let bytes = written(used(&mut store), &PendingWrites::default());
    store.reset(SHOP, "other-Otter-63");
    let mut relay = store.relay();
    relay.take_over(read(&bytes).unwrap());
    assert_eq!(login(&mut relay), Login::Ended);
    let (decision, _) = sign_in(&mut relay, &shop(RIGHT));
    assert!(matches!(decision, SignInDecision::Refuse(..)));
}

#[test]
fn guesses_are_not_forgotten() {
    let mut store = TestStore::new();
    let mut relay = used(&mut store);
    for n in 0..6 {
        sign_in(&mut relay, &shop(&format!("guess number {n}")));
    }
    // The delay of the next answer to this network.
    let delay = |relay: &mut Relay| {
        let now = Instant::now();
        relay.malformed(HOME.parse().ok(), now).duration_since(now)
    };
    assert!(delay(&mut relay) > delay(&mut store.relay()));
    let before = delay(&mut relay);
    let bytes = written(relay, &PendingWrites::default());
    let mut relay = store.relay();
    relay.take_over(read(&bytes).unwrap());
    assert_eq!(delay(&mut relay), before);
}

#[test]
fn what_the_store_could_not_take_is_written_by_the_next_program() {
    let mut store = TestStore::new();
    let relay = used(&mut store);
    let user: Username = SHOP.parse().unwrap();
    let at = Time::from_epoch(NOW);
    let mut unwritten = PendingWrites::default();
    let id = crate::model::password::PasswordId::stored("AAAAAAAA".into());
    let one = |address: &str| SignIn {
        at,
        address: address.parse().ok(),
        verdict: AddressVerdict::Learn { tell: true },
    };
    unwritten.signed_in(user.clone(), id.clone(), &one(HOME));
    unwritten.signed_in(user.clone(), id.clone(), &one(HOME));
    unwritten.signed_in(user.clone(), id.clone(), &one("2001:db8::1"));
    unwritten.refused_address(user.clone(), HOME.parse().ok(), at);
    unwritten.refused_address(user.clone(), None, at);
    let with_it = SentMail {
        last_at: Some(at),
        messages: 2,
        recipients: 5,
    };
    unwritten.sent_with(&user, &id, &with_it);
    let sent = DailyUsage {
        amount: messages(2),
        bytes: 7,
        refusals: 1,
    };
    unwritten.sent.insert((user.clone(), 20_000), sent);
    unwritten.uncounted.insert((user.clone(), at), messages(3));
    unwritten.sent_to(&user, 9, at);
    unwritten.releases.push(Release {
        username: user.clone(),
        left: messages(1),
        held: messages(4),
        new_recipients: vec![5, 6],
        at,
    });
    let stranger = WrittenName::shown("x@y.org");
    unwritten.refused(&stranger, None, RefusalReason::UnknownUser, at);
    let bytes = written(relay, &unwritten);
    let mut relay = store.relay();
    relay.take_over(read(&bytes).unwrap());
    let found = relay.take_pending();
    assert_eq!(found.seen, unwritten.seen);
    assert_eq!(found.refused_addresses, unwritten.refused_addresses);
    assert_eq!(found.sent_with, unwritten.sent_with);
    assert_eq!(found.sent, unwritten.sent);
    assert_eq!(found.uncounted, unwritten.uncounted);
    assert_eq!(found.recipients, unwritten.recipients);
    assert_eq!(found.refused, unwritten.refused);
    let [release] = &found.releases[..] else {
        panic!("{} releases", found.releases.len());
    };
    assert_eq!((release.left, release.held), (messages(1), messages(4)));
    assert_eq!((&release.new_recipients[..], release.at), (&[5, 6][..], at));
}

/// A shorter, longer or changed one is refused as a whole, and never believed.
#[test]
fn damage_anywhere_is_found() {
    let mut store = TestStore::new();
    let bytes = written(used(&mut store), &PendingWrites::default());
    assert!(read(&bytes).is_ok());
    for at in 0..bytes.len() {
        assert!(read(&bytes[..at]).is_err(), "cut off at {at}");
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        assert!(read(&changed).is_err(), "changed at {at}");
    }
    assert!(read(&[&bytes[..], b"x"].concat()).is_err());
}
