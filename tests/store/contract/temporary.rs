//! The part of the story about temporary passwords: nothing that happens to the others touches them.

use smtpcred::model::address_rules::AddressRules;
use smtpcred::model::delivery::Destination;
use smtpcred::model::duration::Duration;
use smtpcred::model::name::Username;
use smtpcred::model::password::PasswordId;
use smtpcred::model::rotation::Retire;
use smtpcred::model::user::{Status, User};
use smtpcred::store::{
    DomainChange, EventFilter, NewTemporary, OldPasswords, Seen, Store, UserClose, UserFilter,
};

use super::{at, change, events, new_user, password, stamp};

/// Far behind the other stories.
const NOW: i64 = 99_000_000;
const TWO: [&str; 2] = ["temp0001", "temp0002"];

pub fn story(store: &mut Store) {
    let username = &"ci@temporary.example".parse::<Username>().unwrap();
    change(store, NOW, |tx| {
        tx.add_domain(&username.domain(), &DomainChange::default())?;
        tx.add_user(&new_user(username), &password("own00001", 19_456))
    });
    issued(store, username);
    left_alone(store, username);
    listed(store, username);
    ended(store, username);
    closed(store, username);
}

pub fn issue(store: &mut Store, username: &Username, id: &str, second: i64, until: i64) {
    let new = password(id, 19_456);
    let label = "build 4711".parse().unwrap();
    let networks = ["192.0.2.0/24", "2001:db8::1"].map(|one| one.parse().unwrap());
    let issued = NewTemporary {
        password: &new,
        until: at(until),
        label: Some(&label),
        networks: &networks,
    };
    change(store, second, |tx| tx.issue_password(username, &issued));
}

fn user(store: &mut Store, username: &Username) -> User {
    store.user(username).unwrap().unwrap()
}

fn live(store: &mut Store, username: &Username, second: i64) -> Vec<String> {
    let user = user(store, username);
    let live = user.live_temporary(at(second));
    live.map(|own| own.password.id.to_string()).collect()
}

fn issued(store: &mut Store, username: &Username) {
    issue(store, username, TWO[0], NOW + 1, NOW + 3_600);
    issue(store, username, TWO[1], NOW + 2, NOW + 7_200);
    let found = user(store, username);
    assert_eq!(found.passwords.len(), 1);
    let first = &found.temporary[0];
    assert_eq!(first.password.id.as_str(), TWO[0]);
    assert_eq!(first.label.as_deref(), Some("build 4711"));
    let networks: Vec<_> = first.networks.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["192.0.2.0/24", "2001:db8::1"]);
    assert_eq!(first.password.created_at, at(NOW + 1));
    assert_eq!(first.password.retires_at, Some(at(NOW + 3_600)));
    assert_eq!(found.status(at(NOW + 3)), Status::Active, "no overlap");

    let row = store.sign_in_row(username).unwrap().unwrap();
    let kinds: Vec<_> = row.hashes.iter().map(|one| one.temporary).collect();
    assert_eq!(kinds, [true, true, false]);
    assert_eq!(row.hashes[0].networks, first.networks);
    let hashes = store.hashes(username).unwrap();
    assert_eq!(hashes.iter().filter(|one| one.temporary).count(), 2);
    assert!(
        hashes
            .iter()
            .all(|one| one.networks.is_empty() != one.temporary)
    );
}

fn left_alone(store: &mut Store, username: &Username) {
    let both = |store: &mut Store| assert_eq!(live(store, username, NOW + 50), TWO);
    let seconds = |n: i64| format!("{n}s").parse::<Duration>().unwrap();
    // An overlap, its end by hand, and a reset at once.
    change(store, NOW + 10, |tx| {
        let old = OldPasswords::RetireAt(at(NOW + 100));
        tx.reset_password(username, &password("own00002", 19_456), old)
    });
    both(store);
    let old = PasswordId::stored("own00001".into());
    change(store, NOW + 11, |tx| {
        let stays = tx.retire_password(username, &old)?;
        assert_eq!(stays.as_str(), "own00002");
        Ok(())
    });
    both(store);
    change(store, NOW + 12, |tx| {
        tx.reset_password(username, &password("own00003", 19_456), OldPasswords::Stop)
    });
    both(store);
    // Rotations, to their ends.
    for (n, retire) in [
        (4, Retire::AtOnce),
        (5, Retire::After(seconds(60))),
        (6, Retire::AtOnce),
    ] {
        let new = password(&format!("own0000{n}"), 19_456);
        change(store, NOW + 10 + n, |tx| {
            tx.begin_rotation(username, &new, &Destination::default(), true)?;
            let finished = tx.finish_rotation(username, &new.password_id, retire)?;
            assert!(finished);
            Ok(())
        });
        both(store);
    }
    let new = password("own00007", 19_456);
    change(store, NOW + 20, |tx| {
        tx.begin_rotation(username, &new, &Destination::default(), true)?;
        tx.withdraw_rotation(username, &new.password_id, "it did not arrive")
    });
    both(store);
    assert_eq!(
        user(store, username).password().unwrap().id.as_str(),
        "own00006"
    );
    // A suspension is no end.
    change(store, NOW + 21, |tx| tx.suspend_user(username));
    change(store, NOW + 22, |tx| tx.resume_user(username));
    both(store);
}

fn listed(store: &mut Store, username: &Username) {
    let id = PasswordId::stored(TWO[0].into());
    let seen = Seen {
        at: at(NOW + 30),
        address: Some("192.0.2.7".into()),
    };
    change(store, NOW + 30, |tx| {
        tx.set_last_connection(username, &id, &seen)
    });
    let overlaps = UserFilter {
        status: Some(Status::Overlap),
        ..UserFilter::of(&username.domain())
    };
    let mut found = Vec::new();
    let mut push = |user: User| {
        found.push(user);
        Ok(())
    };
    store
        .users(&overlaps, &super::Page::default(), at(NOW + 50), &mut push)
        .unwrap();
    assert!(found.is_empty(), "{found:?}");
    // All, table by table, and those of a domain.
    for domain in [None, Some(username.domain())] {
        let all = super::users(store, domain.as_ref());
        let own = all.iter().find(|user| user.username == *username).unwrap();
        let last = own.temporary[0].password.last_connection.as_ref();
        assert_eq!(last.map(|last| last.at), Some(at(NOW + 30)));
        assert_eq!(
            own.last_connection().map(|last| last.at),
            Some(at(NOW + 30))
        );
    }
    // An export has only what a user keeps.
    let exported = store.stored_users_named(&[username]).unwrap().pop();
    let exported = exported.flatten().unwrap();
    let ids = exported
        .passwords
        .iter()
        .map(|own| own.password_id.as_str());
    assert!(ids.clone().all(|id| id.starts_with("own")));
    assert!(ids.count() > 0);
}

fn ended(store: &mut Store, username: &Username) {
    assert_eq!(live(store, username, NOW + 3_600), [TWO[1]], "by time");
    let second = PasswordId::stored(TWO[1].into());
    change(store, NOW + 40, |tx| {
        tx.end_temporary_password(username, &second)
    });
    assert_eq!(live(store, username, NOW + 41), [TWO[0]]);
    let filter = EventFilter {
        username: Some(username.clone()),
        ..EventFilter::default()
    };
    let told = events(store, &filter);
    let last = told.last().unwrap();
    assert_eq!(last.action, "user.retire");
    assert_eq!(
        last.fields.to_string(),
        r#"{"password_id":"temp0002","temporary":true}"#
    );
    let mut told = told.iter().filter(|event| event.action == "user.issue");
    let fields = &told.next().unwrap().fields;
    assert_eq!(fields["from"], "192.0.2.0/24 2001:db8::1");

    // The rows go when the hashes of others do.
    let before = at(NOW + 3_601);
    let due = |store: &mut Store| {
        let found = store
            .retired_before(before, username.as_str(), 100)
            .unwrap();
        let own = found.into_iter().filter(|(name, _)| name == username);
        own.map(|(_, id)| id.to_string())
            .filter(|id| id.starts_with("temp"))
            .collect::<Vec<_>>()
    };
    assert_eq!(due(store), TWO);
    for id in TWO {
        let id = PasswordId::stored(id.into());
        let mut tx = store.begin(stamp(NOW + 3_700)).unwrap();
        assert_eq!(tx.erase_retired(username, &id, at(NOW + 39)).unwrap(), 0);
        assert_eq!(tx.erase_retired(username, &id, before).unwrap(), 1);
        tx.commit().unwrap();
    }
    assert!(due(store).is_empty());
    assert!(user(store, username).temporary.is_empty());
}

/// Nothing that may be stolen works again once a suspension ends.
fn closed(store: &mut Store, username: &Username) {
    issue(store, username, "temp0003", NOW + 4_000, NOW + 90_000);
    change(store, NOW + 4_001, |tx| {
        tx.close_user(UserClose {
            username,
            stolen: &[],
            new: None,
            reason: None,
            sessions: None,
            addresses: None::<(AddressRules, _)>,
        })
    });
    change(store, NOW + 4_002, |tx| tx.resume_user(username));
    assert!(live(store, username, NOW + 4_003).is_empty());
}
