//! The part of the story about whom an admin should look at. Its users are beside the
//! many of the part about pages.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use smtpcred::model::duration::Duration;
use smtpcred::model::hash::{Cost, Hash};
use smtpcred::model::name::{DomainName, Username};
use smtpcred::model::password::PasswordId;
use smtpcred::model::setting::Setting;
use smtpcred::model::time::Time;
use smtpcred::model::transfer::{TransferPassword, TransferRecord};
use smtpcred::model::user::User;
use smtpcred::store::{
    Candidate, DomainChange, ImportedUser, OldPasswords, Page, ReportFilter, ReportRow, Seen,
    SignInRow, Store, UserChange, UserFilter, UserScan,
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
    sign_in_rows(store);
    samples(store);
}

/// Disjoint samples together contain each user once.
fn samples(store: &mut Store) {
    let read = |store: &mut Store, mut survey: UserScan| {
        let mut found = Vec::new();
        let mut push = |username: Username, _| {
            found.push(username);
            ControlFlow::Continue(())
        };
        store.each_sign_in_row(&mut survey, &mut push).unwrap();
        found
    };
    let all = read(store, UserScan::all());
    for most in [100, 500, u32::MAX] {
        let mut together = BTreeSet::new();
        let mut count = 0;
        let mut every = 1;
        for random in 0.. {
            if random == every {
                break;
            }
            let survey = store.sample(most, random).unwrap();
            every = survey.every();
            let some = read(store, survey);
            count += some.len();
            together.extend(some);
        }
        assert_eq!(every > 1, most < u32::MAX, "{most}");
        assert_eq!(count, all.len());
        assert!(together.iter().eq(&all));
    }
}

/// All at once, as each by itself; and every user has its password.
fn sign_in_rows(store: &mut Store) {
    let mut all = Vec::new();
    let mut push = |username: Username, row: SignInRow| {
        all.push((username, format!("{row:?}")));
        ControlFlow::Continue(())
    };
    store
        .each_sign_in_row(&mut UserScan::all(), &mut push)
        .unwrap();
    assert!(all.len() > PIECE && all.is_sorted());
    for (username, row) in all
        .iter()
        .filter(|(name, _)| name.as_str().starts_with('n'))
    {
        let alone = store.sign_in_row(username).unwrap().unwrap();
        assert_eq!(*row, format!("{alone:?}"));
        let mut stay = alone.hashes.iter().filter(|hash| hash.retires_at.is_none());
        let user = store.user(username).unwrap().unwrap();
        assert!(stay.next().is_some() && user.password().is_some());
    }
    let mut first = 0;
    let mut once = |_, _| {
        first += 1;
        ControlFlow::Break(())
    };
    store
        .each_sign_in_row(&mut UserScan::all(), &mut once)
        .unwrap();
    assert_eq!(first, 1);
    assert_eq!(store.password_without_user().unwrap(), None);
}

fn name(i: i64) -> Username {
    format!("n{i:02}@n.example").parse().unwrap()
}

/// Each of them a second before, at and after the bound.
fn everything_that_can_be(store: &mut Store) {
    for i in 0..24 {
        let user = name(i);
        let made = at(20_006 + i);
        let entry = TransferRecord {
            created_at: Some(made.epoch()),
            password: Some(TransferPassword {
                // Of sixteen lanes, which begins like one.
                hash: match i % 6 {
                    0 => MD5.into(),
                    1 => hash(8_192).as_str().into(),
                    2 => hash(19_456).as_str().replace("p=1$", "p=16$"),
                    _ => hash(19_456).as_str().into(),
                },
                created_at: Some(made.epoch()),
                ..TransferPassword::default()
            }),
            ..TransferRecord::default()
        };
        let arrival = ImportedUser {
            username: &user,
            record: &entry,
            password_ids: ["first", "other"].map(|key| PasswordId::stored(key.into())),
            from: "csv",
        };
        change(store, 20_001, |tx| tx.add_imported(&arrival));
        if i % 3 != 0 {
            let seen = Seen {
                at: at(20_098 + i % 9),
                address: None,
            };
            change(store, 20_050, |tx| {
                tx.set_last_connection(&user, &PasswordId::stored("first".into()), &seen)
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
            let nowhere = smtpcred::model::delivery::Destination::default();
            change(store, 20_062, |tx| {
                tx.begin_rotation(&user, &password("third", 19_456), &nowhere, false)
            });
        }
        // What has stopped since says nothing of the one that works.
        if i % 10 == 8 {
            let third = PasswordId::stored("third".into());
            change(store, 20_063, |tx| {
                tx.withdraw_rotation(&user, &third, "it did not arrive")
            });
        }
        if i % 8 == 5 {
            let second = PasswordId::stored("second".into());
            change(store, 20_085, |tx| {
                tx.retire_password(&user, &second).map(|_| ())
            });
        }
        if i % 7 == 2 || i == 19 {
            change(store, 20_063, |tx| tx.suspend_user(&user));
        }
    }
}

fn all_of(store: &mut Store, concerns: &ReportFilter, now: Time) -> Vec<ReportRow> {
    let mut found: Vec<ReportRow> = Vec::new();
    let mut pieces = 0;
    let mut survey = UserScan::all();
    loop {
        let Some(next) = store.report_rows(concerns, &mut survey, now).unwrap() else {
            assert!(found.len() <= pieces * PIECE);
            return found;
        };
        pieces += 1;
        found.extend(next);
    }
}

fn names(found: &[ReportRow]) -> Vec<String> {
    let names = found.iter().map(|found| found.user.username.to_string());
    names.collect()
}

/// What the store finds, and what the rules say of each user, are the same.
fn concerns_are_as_the_rules(store: &mut Store, now: Time) {
    let users = ours(store, now);
    let age: Duration = "3s".parse().unwrap();
    let mut agree = |concerns: ReportFilter, rule: &dyn Fn(&mut Store, &User) -> bool| {
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
    let none = ReportFilter::default;
    agree(none(), &|_, _| false);
    let concerns = ReportFilter {
        expires_by: Some(now.plus(age)),
        ..none()
    };
    agree(concerns, &|_, user| {
        let expired = user.expires_at.is_some_and(|at| at <= now);
        user.suspended_at.is_none() && (expired || user.expires_within(age, now))
    });
    let old: Duration = "80s".parse().unwrap();
    let concerns = ReportFilter {
        password_by: Some(now.minus(old)),
        ..none()
    };
    agree(concerns, &|_, user| {
        let password = user.password().unwrap();
        user.suspended_at.is_none() && now.since(password.created_at) >= old
    });
    let concerns = ReportFilter {
        overlaps: true,
        ..none()
    };
    agree(concerns, &|_, user| {
        let mut live = user.live_passwords(now);
        user.suspended_at.is_none() && live.any(|key| key.retires_at.is_some())
    });
    let concerns = ReportFilter {
        unused_since: Some(now.minus(age)),
        ..none()
    };
    agree(concerns, &|_, user| {
        let unused = user.last_connection().is_none() && now.since(user.created_at) >= age;
        user.suspended_at.is_none() && unused
    });
    let concerns = ReportFilter {
        silent_since: Some(now.minus(age)),
        ..none()
    };
    agree(concerns, &|_, user| {
        let silent = now.since(user.last_sign_of_life()) >= age;
        assert_eq!(silent, user.is_silent_since(now.minus(age)));
        user.suspended_at.is_none() && silent
    });
    let concerns = ReportFilter {
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
        let mut live = hashes.iter().filter(|hash| hash.is_live(now));
        user.suspended_at.is_none() && live.any(|stored| weak(&stored.hash))
    };
    let concerns = |beginning: &str| ReportFilter {
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
        let (mut after, by) = (String::new(), now.plus(ahead));
        while let Some(last) = store
            .rotation_candidates(&after, now, older_than, by, &mut each)
            .unwrap()
        {
            after = last;
        }
        let unfinished = store.unfinished_after("", now, 1000).unwrap();
        for (name, created_at) in &unfinished {
            let user = users.iter().find(|user| user.username == *name);
            if let Some(user) = user {
                assert_eq!(user.created_at, *created_at);
                assert!(user.status(now).can_sign_in(), "{name}");
                assert!(found.contains(&name.to_string()), "{name}");
            }
        }
        let mut right = Vec::new();
        for user in &users {
            let unfinished = store.unfinished(&user.username).unwrap().is_some();
            let made = user.password().unwrap().created_at;
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
    let concerns = ReportFilter {
        expires_by: Some(now),
        unused_since: Some(now),
        overlaps: true,
        silent_since: Some(at(9_300)),
        hash_unlike: Some(Hash::ARGON2.to_owned()),
        unfinished: true,
        ..ReportFilter::default()
    };
    let all = all_of(store, &concerns, now);
    assert!(all.len() > 2_000 && names(&all).is_sorted());
    // Behind each of them come the others.
    for i in [0, 1, 700, 1_999, all.len() - 1] {
        let mut behind = UserScan::after(all[i].user.username.as_str());
        let mut next = Vec::new();
        while let Some(more) = store.report_rows(&concerns, &mut behind, now).unwrap() {
            next.extend(names(&more));
        }
        assert_eq!(next, names(&all)[i + 1..]);
    }
    let of_domain = |found: &&ReportRow| found.user.username.domain() == *domain;
    let ours: Vec<_> = all.iter().filter(of_domain).collect();
    assert!(ours.len() > 12);
    // Of those between, one has more passwords than are read at once.
    let more = all.iter().find(|found| found.user.passwords.len() > 1_200);
    for found in ours.into_iter().chain([more.unwrap()]) {
        let alone = store.user(&found.user.username).unwrap().unwrap();
        let [own, other] = [&found.user, &alone].map(|user| format!("{user:?}"));
        assert!(own == other, "{}", alone.username);
        let unfinished = store.unfinished(&alone.username).unwrap();
        assert_eq!(found.unfinished, unfinished);
        let hashes = store.hashes(&alone.username).unwrap().into_iter();
        let hashes: BTreeSet<_> = hashes
            .map(|h| (h.password_id.to_string(), h.hash))
            .collect();
        let found = found.hashes.iter();
        let found: BTreeSet<_> = found.map(|(key, h)| (key.to_string(), h.clone())).collect();
        assert_eq!(found, hashes);
    }
    // Nobody sees a hash who does not ask for one.
    let concerns = ReportFilter {
        hash_unlike: None,
        unfinished: false,
        ..concerns
    };
    let all = all_of(store, &concerns, now);
    assert!(all.iter().all(|found| found.hashes.is_empty()));
    assert!(all.iter().all(|found| found.unfinished.is_none()));
}
