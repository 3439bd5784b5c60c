//! A part of the story: looks up many users by name and sends many statements together,
//! more of both than fit in one batch.

use smtpcred::error::Error;
use smtpcred::model::limit_kind::LimitKind;
use smtpcred::model::name::{DomainName, Username};
use smtpcred::model::setting::Setting;
use smtpcred::store::{DomainChange, EventFilter, Scope, Store, UserChange};

use super::{NO_RULES, change, events, new_user, password, stamp};

const MANY: usize = 600;

pub fn story(store: &mut Store) {
    let domain: DomainName = "together.example".parse().unwrap();
    let limit = DomainChange {
        max_users: Some(Setting::Some("700".parse().unwrap())),
        ..DomainChange::default()
    };
    let names: Vec<Username> = (0..MANY)
        .map(|i| format!("u{i:03}@together.example").parse().unwrap())
        .collect();
    change(store, 30_000, |tx| tx.add_domain(&domain, &limit));
    change(store, 30_001, |tx| {
        names
            .iter()
            .try_for_each(|name| tx.add_user(&new_user(name), &password("together", 19_456)))
    });
    let nobody: Username = "nobody@together.example".parse().unwrap();
    users(store, &names, &nobody);
    rules(store, &names, &nobody);
    rotations(store, &names, &nobody);

    let other: DomainName = "not-there.example".parse().unwrap();
    let found = store.domains_named(&[&other, &domain]).unwrap();
    assert!(found[0].is_none());
    assert_eq!(found[1].as_ref().unwrap().max_users, Some(700));
    assert_eq!(store.user_counts(&[&other, &domain]).unwrap(), [0, 600]);
    one_that_fails(store, &names);
}

/// Results are in the order of the names.
fn users(store: &mut Store, names: &[Username], nobody: &Username) {
    let mut wanted: Vec<_> = names.iter().rev().collect();
    wanted.insert(300, nobody);
    let found = store.users_named(&wanted).unwrap();
    let hashes = store.hashes_of(&wanted).unwrap();
    assert_eq!((found.len(), hashes.len()), (MANY + 1, MANY + 1));
    for ((name, user), hashes) in wanted.into_iter().zip(found).zip(hashes) {
        let is_there = name != nobody;
        assert_eq!(hashes.len(), usize::from(is_there), "{name}");
        assert_eq!(
            user.map(|user| user.username),
            is_there.then(|| name.clone())
        );
    }
}

fn rules(store: &mut Store, names: &[Username], nobody: &Username) {
    let mut rotation = NO_RULES.clone();
    rotation.every = Some(Setting::Some("90d".parse().unwrap()));
    let set = UserChange {
        label: Some(Setting::Some("Shop".parse().unwrap())),
        sending: smtpcred::store::SendingChange {
            senders: Some(vec!["a@together.example".parse().unwrap()]),
            limits: vec!["messages/hour=7".parse().unwrap()],
            on_limit: Some(Setting::Some("reject".parse().unwrap())),
        },
        rotation,
        ..UserChange::default()
    };
    let [first, second] = [&names[1], &names[2]];
    change(store, 30_002, |tx| tx.set_user(first, &set));
    let found = store.rules_of_users(&[nobody, first, second]).unwrap();
    assert!(found[0].is_none());
    let has = found[1].as_ref().unwrap();
    assert_eq!(has.user.label.as_deref(), Some("Shop"));
    assert_eq!(has.senders.len(), 1);
    let hourly: LimitKind = "messages/hour".parse().unwrap();
    assert_eq!(has.limits.get(hourly), Some(7));
    assert!(has.on_limit.is_some() && has.rotation.every.is_some());
    let other = found[2].as_ref().unwrap();
    assert!(other.senders.is_empty() && other.limits.is_empty());
    assert!(other.on_limit.is_none() && other.rotation.is_empty());

    // Only the given rules change.
    let mut rotation = NO_RULES.clone();
    rotation.write_file = Some(Setting::Some("/tmp/{username}".parse().unwrap()));
    let more = UserChange {
        rotation,
        ..UserChange::default()
    };
    change(store, 30_003, |tx| {
        let read = tx.store().rules_of_users(&[first])?.pop().flatten();
        tx.set_read_user(&read.unwrap(), &more)
    });
    let owners = [Scope::user(second), Scope::user(first)];
    let own = store.own_rotation_rules_of(&owners).unwrap();
    assert!(own[0].is_empty());
    assert!(own[1].every.is_some() && own[1].delivery.write_file.is_some());
    let all = store.all_rotation_rules_of(&[first, second]).unwrap();
    assert_eq!((&all[0][0], &all[1][0]), (&own[1], &own[0]));
    assert!(all[0][1].is_empty());
}

fn rotations(store: &mut Store, names: &[Username], nobody: &Username) {
    let [one, two] = [&names[10], &names[11]];
    let nowhere = smtpcred::model::delivery::Destination::default();
    change(store, 30_004, |tx| {
        tx.begin_rotation(one, &password("second", 19_456), &nowhere, false)
    });
    let found = store.unfinished_of(&[nobody, one, two]).unwrap();
    let is: Vec<_> = found.iter().map(Option::is_some).collect();
    assert_eq!(is, [false, true, false]);
    let key = password("second", 19_456).password_id;
    change(store, 30_005, |tx| {
        tx.read_rotations(&[one, two])?;
        assert!(tx.hand_over(one, &key, super::at(30_009))?);
        assert!(!tx.hand_over(two, &key, super::at(30_009))?);
        // Asked again: the first call used the rows read ahead.
        tx.cancel_rotation(one, &key, "it was stopped")?;
        assert!(!tx.hand_over(one, &key, super::at(30_009))?);
        Ok(())
    });
    assert!(store.unfinished(one).unwrap().is_none());
}

/// The error is that of the failing statement, and the whole change is rolled back.
fn one_that_fails(store: &mut Store, names: &[Username]) {
    let count = events(store, &EventFilter::default()).len();
    let mut tx = store.begin(stamp(30_010)).unwrap();
    let mut made = Ok(());
    for name in names.iter().take(10) {
        made = made.and_then(|()| tx.resume_user(name));
    }
    made = made.and_then(|()| tx.add_user(&new_user(&names[5]), &password("third", 19_456)));
    // A statement that the store refuses, and another after it.
    made = made.and_then(|()| tx.add_user(&new_user(&names[5]), &password("third", 19_456)));
    let failed = made.and_then(|()| tx.flush());
    let exists = names[5].to_string();
    assert!(matches!(failed, Err(Error::UserExists(name)) if name == exists));
    drop(tx);
    assert_eq!(events(store, &EventFilter::default()).len(), count);
    assert_eq!(store.hashes(&names[5]).unwrap().len(), 1);
}
