use std::time::Duration;

use super::*;
use crate::app::relay::testing::{CHEAP, NOW, TestStore, attempt};
use crate::model::hash::Hasher;

const SHOP: &str = "shop@example.com";
const HOME: &str = "192.0.2.1";

/// Returns the job of a password that must be hashed.
pub(super) fn job(relay: &mut Relay, attempt: &Arc<Attempt>) -> HashJob {
    match relay.sign_in(attempt, None, attempt.since).unwrap() {
        SignInDecision::Hash(job) => *job,
        _ => panic!("{}: decided without a hash", attempt.username),
    }
}

pub(super) fn hash(job: &HashJob) -> HashOutcome {
    job.run(&mut Hasher::default()).unwrap()
}

/// Signs in completely.
pub(super) fn sign_in(relay: &mut Relay, attempt: &Arc<Attempt>) -> SignInDecision {
    let outcome = hash(&job(relay, attempt));
    relay
        .sign_in(attempt, Some(&outcome), attempt.since)
        .unwrap()
}

pub(super) fn reason(decision: &SignInDecision) -> Option<RefusalReason> {
    match decision {
        SignInDecision::Refuse(reason, _) => Some(*reason),
        _ => None,
    }
}

#[test]
fn a_right_password_is_hashed_once_and_then_remembered() {
    let mut store = TestStore::new();
    store.add_user(SHOP, "vague-Otter-61");
    let mut relay = store.relay();
    let attempt = attempt(SHOP, "vague-Otter-61", HOME, Instant::now());
    let SignInDecision::Accept(accepted) = sign_in(&mut relay, &attempt) else {
        panic!("not accepted");
    };
    assert_eq!(accepted.password_id.as_str(), "AAAAAAAA");
    let upgrade = accepted.upgrade.unwrap();
    assert!(upgrade.cost != CHEAP && upgrade.old.contains("m=8,t=1"));
    let SignInDecision::Accept(accepted) = relay.sign_in(&attempt, None, attempt.since).unwrap()
    else {
        panic!("not remembered");
    };
    assert!(accepted.upgrade.is_none());
}

#[test]
fn a_user_is_read_once_for_a_cold_sign_in() {
    let mut store = TestStore::new();
    store.add_user(SHOP, "vague-Otter-61");
    let mut relay = store.relay();
    let cold = attempt(SHOP, "vague-Otter-61", HOME, Instant::now());
    let unknown = attempt("ghost@example.com", "vague-Otter-61", HOME, cold.since);
    let outcomes = [
        hash(&job(&mut relay, &cold)),
        hash(&job(&mut relay, &unknown)),
    ];
    // Another read would see this, because the relay does not look for changes now.
    store.change(|tx| tx.delete_user(&SHOP.parse().unwrap()).unwrap());
    store.add_user("ghost@example.com", "vague-Otter-61");
    let decision = relay.sign_in(&cold, Some(&outcomes[0]), cold.since);
    assert!(matches!(decision, Ok(SignInDecision::Accept(_))));
    let decision = relay.sign_in(&unknown, Some(&outcomes[1]), cold.since);
    assert_eq!(reason(&decision.unwrap()), Some(RefusalReason::UnknownUser));
}

#[test]
fn p3_a_password_that_was_reset_while_it_was_hashed_is_wrong() {
    let mut store = TestStore::new();
    store.add_user(SHOP, "vague-Otter-61");
    let mut relay = store.relay();
    let attempt = attempt(SHOP, "vague-Otter-61", HOME, Instant::now());
    let outcome = hash(&job(&mut relay, &attempt));
    store.reset(SHOP, "other-Otter-62");
    relay.refresh(Instant::now()).unwrap();
    let decision = relay.sign_in(&attempt, Some(&outcome), attempt.since);
    let SignInDecision::Hash(again) = decision.unwrap() else {
        panic!("the outcome is of another hash");
    };
    let outcome = hash(&again);
    let decision = relay.sign_in(&attempt, Some(&outcome), attempt.since);
    assert_eq!(
        reason(&decision.unwrap()),
        Some(RefusalReason::WrongPassword)
    );
}

#[test]
fn p3_a_remembered_password_is_useless_after_a_change() {
    let mut store = TestStore::new();
    store.add_user(SHOP, "vague-Otter-61");
    let mut relay = store.relay();
    let attempt = attempt(SHOP, "vague-Otter-61", HOME, Instant::now());
    assert!(reason(&sign_in(&mut relay, &attempt)).is_none());
    store.change(|tx| tx.suspend_user(&SHOP.parse().unwrap()).unwrap());
    relay.refresh(Instant::now()).unwrap();
    let decision = relay.sign_in(&attempt, None, attempt.since).unwrap();
    assert_eq!(reason(&decision), Some(RefusalReason::Suspended));
    store.change(|tx| tx.resume_user(&SHOP.parse().unwrap()).unwrap());
    store.reset(SHOP, "other-Otter-62");
    relay.refresh(Instant::now()).unwrap();
    let decision = sign_in(&mut relay, &attempt);
    assert_eq!(reason(&decision), Some(RefusalReason::WrongPassword));
}

#[test]
fn p9_wrong_passwords_and_unknown_users_are_answered_alike() {
    let mut store = TestStore::new();
    store.add_user(SHOP, "vague-Otter-61");
    let mut relay = store.relay();
    let now = Instant::now();
    let mut refused_after = |username, address| {
        let attempt = attempt(username, "wrong-Otter-61", address, now);
        match sign_in(&mut relay, &attempt) {
            SignInDecision::Refuse(reason, at) => (reason, at - now),
            _ => panic!("{username}: not refused"),
        }
    };
    let second = Duration::from_secs(1);
    assert_eq!(
        refused_after(SHOP, HOME),
        (RefusalReason::WrongPassword, second)
    );
    let unknown = refused_after("ghost@example.com", "192.0.2.2");
    assert_eq!(unknown, (RefusalReason::UnknownUser, second));
    let malformed = refused_after("no name", "192.0.2.3");
    assert_eq!(malformed, (RefusalReason::UnknownUser, second));
}

#[test]
fn a_wrong_password_that_was_tried_before_is_not_hashed_again() {
    let mut store = TestStore::new();
    store.add_user(SHOP, "vague-Otter-61");
    let mut relay = store.relay();
    let wrong = attempt(SHOP, "wrong-Otter-61", HOME, Instant::now());
    sign_in(&mut relay, &wrong);
    let decision = relay.sign_in(&wrong, None, wrong.since).unwrap();
    assert_eq!(reason(&decision), Some(RefusalReason::WrongPassword));
    // It may be right by now.
    store.reset(SHOP, "wrong-Otter-61");
    relay.refresh(Instant::now()).unwrap();
    assert!(reason(&sign_in(&mut relay, &wrong)).is_none());
}

#[test]
fn an_unencrypted_connection_is_refused_before_its_user_is_read() {
    let store = TestStore::new();
    let mut relay = store.relay();
    let mut open = attempt(SHOP, "vague-Otter-61", HOME, Instant::now());
    Arc::get_mut(&mut open).unwrap().secured = false;
    let decision = relay.sign_in(&open, None, open.since).unwrap();
    assert_eq!(reason(&decision), Some(RefusalReason::NoTls));
}

#[test]
fn p9_all_spellings_of_a_name_share_a_hash_whether_the_user_exists_or_not() {
    let mut store = TestStore::new();
    store.add_user(SHOP, "vague-Otter-61");
    let mut relay = store.relay();
    let now = Instant::now();
    for names in [
        [SHOP, "Shop@Example.COM"],
        ["unknown@example.com", "UnKnown@Example.COM"],
    ] {
        let [one, other] = names.map(|name| attempt(name, "wrong-Otter-61", HOME, now));
        assert_eq!(job(&mut relay, &one).digest, job(&mut relay, &other).digest);
        sign_in(&mut relay, &one);
        let decision = relay.sign_in(&other, None, now).unwrap();
        assert!(reason(&decision).is_some(), "{names:?}");
    }
}

#[test]
fn p9_the_right_password_of_a_suspended_user_is_answered_like_a_wrong_one() {
    let mut store = TestStore::new();
    store.add_user(SHOP, "vague-Otter-61");
    store.change(|tx| tx.suspend_user(&SHOP.parse().unwrap()).unwrap());
    let mut relay = store.relay();
    let now = Instant::now();
    let mut refused_after = |password| {
        let attempt = attempt(SHOP, password, HOME, now);
        match sign_in(&mut relay, &attempt) {
            SignInDecision::Refuse(reason, at) => (reason, (at - now).as_secs()),
            _ => panic!("{password}: not refused"),
        }
    };
    // Answers to one network come one a second.
    assert_eq!(
        refused_after("wrong-Otter-61"),
        (RefusalReason::WrongPassword, 1)
    );
    assert_eq!(
        refused_after("vague-Otter-61"),
        (RefusalReason::Suspended, 2)
    );
    assert_eq!(
        refused_after("other-Otter-61"),
        (RefusalReason::WrongPassword, 3)
    );
}

const STORE: &str = "store@example.com";

/// Renames the shop. Its old name works for this many seconds.
fn rename(store: &mut TestStore, seconds: Option<i64>) {
    let (old, new) = (SHOP.parse().unwrap(), STORE.parse().unwrap());
    let until = seconds.map(|seconds| Time::from_epoch(NOW + seconds));
    store.change(|tx| tx.rename_user(&old, &new, until).unwrap());
}

#[test]
fn an_old_name_stands_for_its_user_while_it_works() {
    let mut store = TestStore::new();
    store.add_user(SHOP, "vague-Otter-61");
    rename(&mut store, Some(1));
    let mut relay = store.relay();
    let now = Instant::now();
    let attempts = [SHOP, STORE].map(|name| attempt(name, "vague-Otter-61", HOME, now));
    // One hash for both, and one memory of it.
    let jobs = attempts.each_ref().map(|attempt| job(&mut relay, attempt));
    assert_eq!(jobs[0].digest, jobs[1].digest);
    assert!(reason(&sign_in(&mut relay, &attempts[1])).is_none());
    let SignInDecision::Accept(accepted) = relay.sign_in(&attempts[0], None, now).unwrap() else {
        panic!("not remembered");
    };
    assert_eq!(accepted.username.as_str(), STORE);
    assert_eq!(accepted.name.as_str(), SHOP);
    // Guesses count for the user.
    let wrong = [SHOP, STORE].map(|name| attempt(name, "wrong-Otter-61", HOME, now));
    assert_eq!(relay.party(&wrong[0]), relay.party(&wrong[1]));
    sign_in(&mut relay, &wrong[0]);
    let decision = relay.sign_in(&wrong[1], None, now).unwrap();
    assert_eq!(reason(&decision), Some(RefusalReason::WrongPassword));
}

#[test]
fn p3_an_old_name_ends_with_its_overlap() {
    let mut store = TestStore::new();
    store.add_user(SHOP, "vague-Otter-61");
    let mut relay = store.relay();
    let attempt = attempt(SHOP, "vague-Otter-61", HOME, Instant::now());
    assert!(reason(&sign_in(&mut relay, &attempt)).is_none());
    rename(&mut store, Some(9));
    relay.refresh(Instant::now()).unwrap();
    let decision = relay.sign_in(&attempt, None, attempt.since).unwrap();
    assert!(matches!(decision, SignInDecision::Hash(_)), "as a new name");
    assert!(reason(&sign_in(&mut relay, &attempt)).is_none());
    // The store is the same; only the time has come.
    relay.world.now = || Time::from_epoch(NOW + 9);
    let decision = sign_in(&mut relay, &attempt);
    assert_eq!(reason(&decision), Some(RefusalReason::UnknownUser));
}

#[test]
fn p9_an_old_name_that_has_ended_is_answered_like_an_unknown_one() {
    let mut store = TestStore::new();
    store.add_user(SHOP, "vague-Otter-61");
    rename(&mut store, None);
    let mut relay = store.relay();
    let now = Instant::now();
    let names = [(SHOP, "192.0.2.1"), ("ghost@example.com", "192.0.2.2")];
    let answers = names.map(|(name, address)| {
        let attempt = attempt(name, "vague-Otter-61", address, now);
        let job = job(&mut relay, &attempt);
        assert!(job.hashes.is_empty() && !job.user_exists && job.may_match);
        let outcome = hash(&job);
        match relay.sign_in(&attempt, Some(&outcome), now).unwrap() {
            SignInDecision::Refuse(reason, at) => (reason, at - now),
            _ => panic!("{name}: not refused"),
        }
    });
    assert_eq!(answers[0], answers[1]);
}
