//! Sign-ins from allowed and other addresses.

use super::tests::{hash, job, reason, sign_in};
use super::*;
use crate::app::relay::Service;
use crate::app::relay::testing::{NOW, TestStore, attempt, new_password};
use crate::model::address_rules::{AddressChange, AddressMode};
use crate::model::network::Network;
use crate::model::password::{Form, Password, Random};
use crate::model::setting::Setting;
use crate::store::{NewTemporary, SettingsChange, UserChange};

const SHOP: &str = "shop@example.com";
const RIGHT: &str = "vague-Otter-61";
const HOME: &str = "192.0.2.1";
const AWAY: &str = "203.0.113.9";
const NOT_ALLOWED: Option<RefusalReason> = Some(RefusalReason::AddressNotAllowed);

fn set(store: &mut TestStore, addresses: AddressChange) {
    let change = UserChange {
        addresses,
        ..UserChange::default()
    };
    store.change(|tx| tx.set_user(&SHOP.parse().unwrap(), &change).unwrap());
}

fn mode(mode: AddressMode) -> AddressChange {
    AddressChange {
        mode: Some(Setting::Some(mode)),
        ..AddressChange::default()
    }
}

/// A user that may sign in from home only.
fn listed() -> TestStore {
    let mut store = TestStore::new();
    store.add_user(SHOP, RIGHT);
    let allow = vec!["192.0.2.0/24".parse().unwrap()];
    set(
        &mut store,
        AddressChange {
            allow,
            ..mode(AddressMode::Listed)
        },
    );
    store
}

fn from(address: &str, password: &str) -> Arc<Attempt> {
    attempt(SHOP, password, address, Instant::now())
}

/// Signs in, with a hash if that is necessary.
fn decide(relay: &mut Relay, attempt: &Arc<Attempt>) -> (SignInDecision, bool) {
    match relay.sign_in(attempt, None, attempt.since).unwrap() {
        SignInDecision::Hash(_) => (sign_in(relay, attempt), true),
        decision => (decision, false),
    }
}

#[test]
fn p9_a_right_password_from_elsewhere_is_answered_like_a_wrong_one() {
    let mut store = listed();
    for is_remembered in [false, true] {
        let mut relay = store.relay();
        if is_remembered {
            let (decision, _) = decide(&mut relay, &from(HOME, RIGHT));
            assert_eq!(reason(&decision), None);
        }
        let since = Instant::now();
        // Whether it was hashed, and after how many seconds it is answered: among others of its
        // network, and when it is tried again.
        let mut tried = |password: &str| {
            let attempt = attempt(SHOP, password, AWAY, since);
            match decide(&mut relay, &attempt) {
                (SignInDecision::Refuse(_, at), hashed) => (hashed, (at - since).as_secs()),
                _ => panic!("accepted"),
            }
        };
        let wrong_ones = ["wrong-Otter-1", "wrong-Otter-2", "wrong-Otter-3"];
        let among_wrong_ones: Vec<_> = wrong_ones.map(&mut tried).into();
        assert_eq!(among_wrong_ones, [(true, 1), (true, 2), (true, 3)]);
        // The fourth guess of a network is the first that waits for longer.
        assert_eq!(tried(RIGHT), (true, 4), "{is_remembered}");
        assert_eq!(tried("wrong-Otter-4"), (true, 5));
        assert_eq!(tried(RIGHT), tried("wrong-Otter-4"));
        let again = attempt(SHOP, RIGHT, AWAY, since);
        assert_eq!(reason(&decide(&mut relay, &again).0), NOT_ALLOWED);
    }
    // It is guessed for the stranger, and changes nothing for the owner.
    set(&mut store, AddressChange::default());
}

#[test]
fn p9_a_right_password_from_elsewhere_spends_what_a_wrong_one_spends() {
    let store = listed();
    let mut relay = store.relay();
    for (password, address, may_enter) in [
        (RIGHT, AWAY, false),
        (RIGHT, HOME, true),
        ("wrong-Otter-1", HOME, true),
    ] {
        let job = job(&mut relay, &from(address, password));
        assert_eq!(job.may_enter, may_enter, "{password} {address}");
        assert!(job.may_match && !job.hashes.is_empty());
    }
}

#[test]
fn an_address_that_is_refused_keeps_nobody_else_out() {
    let mut store = listed();
    let mut relay = store.relay();
    let (decision, hashed) = decide(&mut relay, &from(AWAY, RIGHT));
    assert_eq!((reason(&decision), hashed), (NOT_ALLOWED, true));
    let (decision, hashed) = decide(&mut relay, &from(HOME, RIGHT));
    assert_eq!((reason(&decision), hashed), (None, false));
    // Not even if the right password was forgotten meanwhile.
    let mut relay = store.relay();
    decide(&mut relay, &from(AWAY, RIGHT));
    relay.sign_ins.right = crate::app::relay::sign_in::remembered::Remembered::new(
        crate::model::size::MemorySize::mib(1),
    );
    let (decision, hashed) = decide(&mut relay, &from(HOME, RIGHT));
    assert_eq!((reason(&decision), hashed), (None, true));
    // And from there, as soon as it is allowed.
    let allow = vec!["203.0.113.0/24".parse().unwrap()];
    let allow = AddressChange {
        allow,
        ..AddressChange::default()
    };
    set(&mut store, allow);
    relay.refresh(Instant::now()).unwrap();
    let (decision, hashed) = decide(&mut relay, &from(AWAY, RIGHT));
    assert_eq!((reason(&decision), hashed), (None, false));
}

#[test]
fn p3_a_rule_holds_from_the_next_sign_in_on() {
    let mut store = TestStore::new();
    store.add_user(SHOP, RIGHT);
    let mut relay = store.relay();
    assert_eq!(reason(&decide(&mut relay, &from(AWAY, RIGHT)).0), None);
    set(&mut store, mode(AddressMode::Listed));
    relay.refresh(Instant::now()).unwrap();
    assert_eq!(
        reason(&decide(&mut relay, &from(AWAY, RIGHT)).0),
        NOT_ALLOWED
    );
    // A proxy says nothing.
    let ignored = SettingsChange {
        ignore_addresses: Some(vec!["203.0.113.0/24".parse().unwrap()]),
        ..SettingsChange::default()
    };
    store.change(|tx| tx.set_settings(&ignored).unwrap());
    relay.refresh(Instant::now()).unwrap();
    assert_eq!(reason(&decide(&mut relay, &from(AWAY, RIGHT)).0), None);
    // A wrong password is wrong from everywhere.
    let wrong = decide(&mut relay, &from(AWAY, "wrong-Otter-1")).0;
    assert_eq!(reason(&wrong), Some(RefusalReason::WrongPassword));
}

#[test]
fn rules_of_the_domain_and_the_installation_hold_for_all_users() {
    let mut store = TestStore::new();
    store.add_user(SHOP, RIGHT);
    let mut relay = store.relay();
    assert_eq!(reason(&decide(&mut relay, &from(AWAY, RIGHT)).0), None);
    let listed = SettingsChange {
        addresses: mode(AddressMode::Listed),
        ..SettingsChange::default()
    };
    store.change(|tx| tx.set_settings(&listed).unwrap());
    relay.refresh(Instant::now()).unwrap();
    assert_eq!(
        reason(&decide(&mut relay, &from(AWAY, RIGHT)).0),
        NOT_ALLOWED
    );
    let allowed = crate::store::DomainChange {
        addresses: AddressChange {
            allow: vec!["203.0.113.0/24".parse().unwrap()],
            ..AddressChange::default()
        },
        ..Default::default()
    };
    let domain = "example.com".parse().unwrap();
    store.change(|tx| tx.set_domain(&domain, &allowed).unwrap());
    relay.refresh(Instant::now()).unwrap();
    assert_eq!(reason(&decide(&mut relay, &from(AWAY, RIGHT)).0), None);
    assert_eq!(
        reason(&decide(&mut relay, &from(HOME, RIGHT)).0),
        NOT_ALLOWED
    );
}

#[test]
fn an_unknown_address_is_not_listed() {
    let store = listed();
    let mut relay = store.relay();
    let mut unknown = from(HOME, RIGHT);
    Arc::get_mut(&mut unknown).unwrap().address = None;
    assert_eq!(reason(&decide(&mut relay, &unknown).0), NOT_ALLOWED);
}

#[test]
fn a_suspended_user_is_refused_for_that() {
    let mut store = listed();
    store.change(|tx| tx.suspend_user(&SHOP.parse().unwrap()).unwrap());
    let mut relay = store.relay();
    let (decision, _) = decide(&mut relay, &from(AWAY, RIGHT));
    assert_eq!(reason(&decision), Some(RefusalReason::Suspended));
}

#[test]
fn what_is_learned_is_listed_afterwards() {
    let mut store = TestStore::new();
    store.add_user(SHOP, RIGHT);
    set(&mut store, mode(AddressMode::Learn));
    let mut relay = store.relay();
    let attempt = from(AWAY, RIGHT);
    let SignInDecision::Accept(accepted) = sign_in(&mut relay, &attempt) else {
        panic!("not accepted");
    };
    assert_eq!(accepted.verdict, AddressVerdict::Learn { tell: true });
    let service = Service {
        process: None,
        is_here: false,
        connection: 1,
    };
    relay.record_accepted(accepted, service, attempt.address);
    let pending = relay.take_pending();
    store.writer().note(pending, &[], &mut Vec::new()).unwrap();
    relay.refresh(Instant::now()).unwrap();
    relay.world.now = || Time::from_epoch(NOW + 31 * 86_400);
    for (address, refused) in [("203.0.113.77", None), (HOME, NOT_ALLOWED)] {
        let (decision, _) = decide(&mut relay, &from(address, RIGHT));
        assert_eq!(reason(&decision), refused, "{address}");
    }
    let outcome = hash(&job(&mut relay, &from(HOME, "wrong-Otter-1")));
    assert!(outcome.matched.is_none());
}

/// A generated password and its ID.
fn generated(number: u8) -> (Password, PasswordId) {
    // The source of randomness has no state.
    const SOURCES: [Random; 3] = [
        |bytes| {
            bytes.fill(1);
            Ok(())
        },
        |bytes| {
            bytes.fill(2);
            Ok(())
        },
        |bytes| {
            bytes.fill(3);
            Ok(())
        },
    ];
    let random = SOURCES[usize::from(number)];
    let password = Password::generate(Form::Full, random).unwrap();
    let id = password.password_id(random).unwrap();
    (password, id)
}

fn issue(store: &mut TestStore, number: u8, networks: &[Network]) -> String {
    let (password, id) = generated(number);
    let new = new_password(id.as_str(), password.expose());
    let username: Username = SHOP.parse().unwrap();
    store.change(|tx| {
        let issued = NewTemporary {
            password: &new,
            until: Time::from_epoch(NOW + 60),
            label: None,
            networks,
        };
        tx.issue_password(&username, &issued).unwrap();
    });
    password.expose().to_owned()
}

#[test]
fn the_networks_of_a_temporary_password_replace_the_rules_of_its_user() {
    let mut store = listed();
    let away: Network = "203.0.113.0/24".parse().unwrap();
    let [guest, plain] = [(0, &[away][..]), (1, &[])].map(|(n, of)| issue(&mut store, n, of));
    for (password, address, expected) in [
        (guest.as_str(), AWAY, None),
        (&guest, HOME, NOT_ALLOWED),
        (&plain, HOME, None),
        (&plain, AWAY, NOT_ALLOWED),
        (RIGHT, HOME, None),
        (RIGHT, AWAY, NOT_ALLOWED),
    ] {
        let mut relay = store.relay();
        // Hashed; then remembered, from the other address first.
        for is_remembered in [false, true] {
            if is_remembered {
                let other = if address == HOME { AWAY } else { HOME };
                decide(&mut relay, &from(other, password));
            }
            let (decision, _) = decide(&mut relay, &from(address, password));
            assert_eq!(reason(&decision), expected, "{address} {is_remembered}");
        }
    }
}

#[test]
fn p10_a_guess_is_not_compared_with_temporary_passwords() {
    let mut store = listed();
    let guest = issue(&mut store, 0, &[]);
    issue(&mut store, 1, &[]);
    let mut relay = store.relay();
    let (other, _) = generated(2);
    for (password, hashes) in [("wrong-Otter-1", 1), (other.expose(), 1), (&guest, 2)] {
        assert_eq!(job(&mut relay, &from(HOME, password)).hashes.len(), hashes);
    }
}

#[test]
fn a_temporary_password_teaches_no_address() {
    let mut store = listed();
    set(&mut store, mode(AddressMode::Learn));
    let guest = issue(&mut store, 0, &[]);
    let mut relay = store.relay();
    for (password, verdict) in [
        (guest.as_str(), AddressVerdict::AcceptAndTell),
        (RIGHT, AddressVerdict::Learn { tell: true }),
    ] {
        let (SignInDecision::Accept(accepted), _) = decide(&mut relay, &from(AWAY, password))
        else {
            panic!("not accepted");
        };
        assert_eq!(accepted.verdict, verdict);
    }
}
