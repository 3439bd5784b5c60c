//! The part of the story about whom an admin should look at. Its users are beside the
//! many of the part about pages.

use std::collections::BTreeSet;

use smtpcred::model::duration::Duration;
use smtpcred::model::hash::{Cost, Hash};
use smtpcred::model::name::{DomainName, Username};
use smtpcred::model::password::KeyId;
use smtpcred::model::roster::{Entry, Secret};
use smtpcred::model::settings::Setting;
use smtpcred::model::time::Time;
use smtpcred::model::user::User;
use smtpcred::store::{
    Arrival, Candidate, Concerns, DomainChange, Noteworthy, OldPasswords, Page, Seen, Store,
    UserChange, UserFilter,
};

use super::{at, change, hash, password};

const MD5: &str = "{MD5-CRYPT}$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/";
/// As they are read at once, at most.
const PIECE: usize = 2_000;

pub fn story(store: &mut Store) {
    let domain: DomainName = "n.example".parse().unwrap();
    change(store, 20_000, |tx| {
        tx.add_domain(&domain, &DomainChange::default())
    });
    everything_that_can_be(store);
    for now in 20_097..20_112 {
        concerns_are_as_the_rules(store, at(now));
        candidates_are_as_the_rules(store, at(now));
    }
    pieces(store, &domain);
}

fn name(i: i64) -> Username {
    format!("n{i:02}@n.example").parse().unwrap()
}

/// Each of them a second before, at and after the bound.
fn everything_that_can_be(store: &mut Store) {
    for i in 0..24 {
        let user = name(i);
        let made = at(20_006 + i);
        let entry = Entry {
            created_at: Some(made.epoch()),
            password: Some(Secret {
                // Of sixteen lanes, which begins like one.
                hash: match i % 6 {
                    0 => MD5.into(),
                    1 => hash(8_192).as_str().into(),
                    2 => hash(19_456).as_str().replace("p=1$", "p=16$"),
                    _ => hash(19_456).as_str().into(),
                },
                created_at: Some(made.epoch()),
                ..Secret::default()
            }),
            ..Entry::default()
        };
        let arrival = Arrival {
            username: &user,
            entry: &entry,
            keys: ["first", "other"].map(|key| KeyId::stored(key.into())),
            from: "csv",
        };
        change(store, 20_001, |tx| tx.add_arrival(&arrival));
        if i % 3 != 0 {
            let seen = Seen {
                at: at(20_098 + i % 9),
                address: None,
            };
            change(store, 20_050, |tx| {
                tx.set_last_connection(&user, &KeyId::stored("first".into()), &seen)
            });
        }
        if i % 4 == 1 {
            let until = OldPasswords::RetireAt(at(20_090 + i));
            change(store, 20_060 + i, |tx| {
                tx.reset_password(&user, &password("second", 19_456), until)
            });
        }
        if i % 8 == 3 {
            change(store, 20_060 + i, |tx| {
                tx.reset_password(&user, &password("second", 19_456), OldPasswords::Stop)
            });
        }
        if i % 2 == 0 {
            let expires = UserChange {
                expires_at: Some(Setting::Some(at(20_099 + i % 7))),
                ..UserChange::default()
            };
            change(store, 20_061, |tx| tx.set_user(&user, &expires));
        }
        if i % 5 == 3 {
            let nowhere = smtpcred::model::delivery::Delivery::default();
            change(store, 20_062, |tx| {
                tx.begin_rotation(&user, &password("third", 19_456), &nowhere, false)
            });
        }
        if i % 7 == 2 || i == 19 {
            change(store, 20_063, |tx| tx.suspend_user(&user));
        }
    }
}

fn all_of(store: &mut Store, concerns: &Concerns, now: Time) -> Vec<Noteworthy> {
    let mut found: Vec<Noteworthy> = Vec::new();
    let mut pieces = 0;
    loop {
        let after = found.last().map(|last| last.user.username.to_string());
        let after = after.unwrap_or_default();
        let next = store.noteworthy(concerns, &after, now).unwrap();
        if next.is_empty() {
            assert!(found.len() <= pieces * PIECE);
            return found;
        }
        pieces += 1;
        found.extend(next);
    }
}

fn names(found: &[Noteworthy]) -> Vec<String> {
    let names = found.iter().map(|found| found.user.username.to_string());
    names.collect()
}

/// What the store finds, and what the rules say of each user, are the same.
fn concerns_are_as_the_rules(store: &mut Store, now: Time) {
    let users = ours(store, now);
    let age: Duration = "3s".parse().unwrap();
    let mut agree = |concerns: Concerns, rule: &dyn Fn(&mut Store, &User) -> bool| {
        let mut found = names(&all_of(store, &concerns, now));
        found.retain(|name| name.ends_with("@n.example"));
        let mut right = Vec::new();
        for user in &users {
            if rule(store, user) {
                right.push(user.username.to_string());
            }
        }
        assert_eq!(found, right, "{concerns:?} at {now}");
    };
    let none = Concerns::default;
    agree(none(), &|_, _| false);
    let concerns = Concerns {
        expires_by: Some(now.plus(age)),
        ..none()
    };
    agree(concerns, &|_, user| {
        let expired = user.expires_at.is_some_and(|at| at <= now);
        user.suspended_at.is_none() && (expired || user.expires_within(age, now))
    });
    let old: Duration = "80s".parse().unwrap();
    let concerns = Concerns {
        password_by: Some(now.minus(old)),
        ..none()
    };
    agree(concerns, &|_, user| {
        let newest = user.newest_key().unwrap();
        user.suspended_at.is_none() && now.since(newest.created_at) >= old
    });
    let concerns = Concerns {
        overlaps: true,
        ..none()
    };
    agree(concerns, &|_, user| {
        let mut live = user.live_keys(now);
        user.suspended_at.is_none() && live.any(|key| key.retires_at.is_some())
    });
    let concerns = Concerns {
        never_used: true,
        ..none()
    };
    agree(concerns, &|_, user| {
        user.suspended_at.is_none() && user.last_connection().is_none()
    });
    let concerns = Concerns {
        silent_since: Some(now.minus(age)),
        ..none()
    };
    agree(concerns, &|_, user| {
        let silent = now.since(user.last_sign_of_life()) >= age;
        assert_eq!(silent, user.is_silent_since(now.minus(age)));
        user.suspended_at.is_none() && silent
    });
    let concerns = Concerns {
        unfinished: true,
        ..none()
    };
    agree(concerns, &|store, user| {
        store.unfinished(&user.username).unwrap().is_some()
    });
    let today = Cost {
        m: 19_456,
        t: 2,
        p: 1,
    };
    let has = |store: &mut Store, user: &User, weak: &dyn Fn(&str) -> bool| {
        let hashes = store.hashes(&user.username).unwrap();
        let mut live = hashes
            .iter()
            .filter(|hash| hash.retires_at.is_none_or(|at| now < at));
        user.suspended_at.is_none() && live.any(|stored| weak(&stored.hash))
    };
    let concerns = |beginning: &str| Concerns {
        hash_unlike: Some(beginning.to_owned()),
        ..none()
    };
    agree(concerns(Hash::ARGON2), &|store, user| {
        has(store, user, &|hash| hash == MD5)
    });
    agree(concerns(&Hash::beginning(today)), &|store, user| {
        has(store, user, &|hash| {
            Hash::weak_scheme(hash, today).is_some()
        })
    });
}

fn ours(store: &mut Store, now: Time) -> Vec<User> {
    let mut users: Vec<User> = Vec::new();
    let of_domain = UserFilter::of(&"n.example".parse().unwrap());
    let mut push = |user| {
        users.push(user);
        Ok(())
    };
    store
        .users(&of_domain, &Page::default(), now, &mut push)
        .unwrap();
    assert_eq!(users.len(), 24);
    users
}

/// Who is looked at by a rotation, with and without rules of their own.
fn candidates_are_as_the_rules(store: &mut Store, now: Time) {
    let [ahead, older]: [Duration; 2] = ["3s", "80s"].map(|age| age.parse().unwrap());
    let users = ours(store, now);
    for older_than in [None, Some(older)] {
        let mut found = Vec::new();
        let mut each = |candidate: Candidate| {
            let name = candidate.username.to_string();
            found.extend(Some(name).filter(|name| name.ends_with("@n.example")));
            Ok(())
        };
        store
            .rotation_candidates(now, older_than, now.plus(ahead), &mut each)
            .unwrap();
        let mut right = Vec::new();
        for user in &users {
            let unfinished = store.unfinished(&user.username).unwrap().is_some();
            let there = user.keys.iter().filter(|key| !key.erased);
            let made = there.map(|key| key.created_at).max().unwrap();
            let old = older_than.is_some_and(|age| now.since(made) >= age);
            let can_sign_in = user.status(now).can_sign_in();
            if can_sign_in && (unfinished || old || user.expires_within(ahead, now)) {
                right.push(user.username.to_string());
            }
        }
        assert!(!right.is_empty());
        assert_eq!(found, right, "{older_than:?} at {now}");
    }
}

/// They follow each other, and have all that belongs to them.
fn pieces(store: &mut Store, domain: &DomainName) {
    let now = at(20_100);
    let concerns = Concerns {
        expires_by: Some(now),
        never_used: true,
        overlaps: true,
        silent_since: Some(at(9_300)),
        hash_unlike: Some(Hash::ARGON2.to_owned()),
        unfinished: true,
        ..Concerns::default()
    };
    let all = all_of(store, &concerns, now);
    assert!(all.len() > 2_000 && names(&all).is_sorted());
    // Behind each of them come the others.
    for i in [0, 1, 700, 1_999, all.len() - 1] {
        let behind = all[i].user.username.as_str();
        let next = store.noteworthy(&concerns, behind, now).unwrap();
        assert_eq!(names(&next), names(&all)[i + 1..][..next.len()]);
        assert_eq!(next.is_empty(), i + 1 == all.len());
    }
    let of_domain = |found: &&Noteworthy| found.user.username.domain() == *domain;
    let ours: Vec<_> = all.iter().filter(of_domain).collect();
    assert!(ours.len() > 12);
    // Of those between, one has more passwords than are read at once.
    let more = all.iter().find(|found| found.user.keys.len() > 1_200);
    for found in ours.into_iter().chain([more.unwrap()]) {
        let alone = store.user(&found.user.username).unwrap().unwrap();
        let [own, other] = [&found.user, &alone].map(|user| format!("{user:?}"));
        assert!(own == other, "{}", alone.username);
        let unfinished = store.unfinished(&alone.username).unwrap();
        assert_eq!(found.unfinished, unfinished);
        let hashes = store.hashes(&alone.username).unwrap().into_iter();
        let hashes: BTreeSet<_> = hashes.map(|h| (h.key.to_string(), h.hash)).collect();
        let found = found.hashes.iter();
        let found: BTreeSet<_> = found.map(|(key, h)| (key.to_string(), h.clone())).collect();
        assert_eq!(found, hashes);
    }
    // Nobody sees a hash who does not ask for one.
    let concerns = Concerns {
        hash_unlike: None,
        unfinished: false,
        ..concerns
    };
    let all = all_of(store, &concerns, now);
    assert!(all.iter().all(|found| found.hashes.is_empty()));
    assert!(all.iter().all(|found| found.unfinished.is_none()));
}
