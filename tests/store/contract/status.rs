//! The part of the story about what `status` reads: the numbers are as the rules say of each
//! user, and the limits that are near are found.

use smtpcred::error::Result;
use smtpcred::model::day::Day;
use smtpcred::model::delivery::Destination;
use smtpcred::model::duration::Duration;
use smtpcred::model::limit_kind::LimitKind;
use smtpcred::model::name::{DomainName, Username};
use smtpcred::model::password::PasswordId;
use smtpcred::model::refused_sign_ins::{RefusalReason, RefusedSignIns};
use smtpcred::model::setting::Setting;
use smtpcred::model::stranger::WrittenName;
use smtpcred::model::time::Time;
use smtpcred::model::usage_window::Count;
use smtpcred::model::user::{Status, User};
use smtpcred::store::{
    DomainChange, NewUser, OldPasswords, Page, Scope, SettingsChange, StatusCounts, Store,
    StoreStatus, Tx, UserChange, UserFilter,
};

use super::{at, change, new_user, password, stamp};

pub fn story(store: &mut Store) {
    // After every change so far: what was erased has retired by then.
    let first = 10
        + everyone(store, at(0))
            .iter()
            .map(last_change)
            .max()
            .unwrap();
    every_status_at(store, first);
    for now in first..first + 30 {
        counts_are_as_the_rules(store, at(now));
    }
    totals(store);
    let user: Username = "s@s.example".parse().unwrap();
    change(store, 30_000, |tx| {
        tx.add_user(&new_user(&user), &password("key00001", 19_456))
    });
    limits(store, &user);
    refusals(store);
}

/// In seconds of the story.
fn last_change(user: &User) -> i64 {
    let erased = user.passwords.iter().filter(|password| password.erased);
    let erased = erased.filter_map(|password| password.retires_at);
    let last = erased.chain([user.created_at]).max();
    last.unwrap().epoch() - at(0).epoch()
}

/// Users that expire, retire and stop while they are counted.
fn every_status_at(store: &mut Store, first: i64) {
    change(store, first, |tx| {
        tx.add_domain(&"s.example".parse().unwrap(), &DomainChange::default())
    });
    for i in 0..40 {
        let user: Username = format!("s{i:02}@s.example").parse().unwrap();
        let expires_at = (i % 2 == 1).then(|| at(first + 2 + i % 11));
        change(store, first, |tx| {
            let new = NewUser {
                expires_at,
                ..new_user(&user)
            };
            tx.add_user(&new, &password("key00001", 19_456))
        });
        if i % 3 == 1 {
            let until = OldPasswords::RetireAt(at(first + 5 + i % 13));
            change(store, first, |tx| {
                tx.reset_password(&user, &password("key00002", 19_456), until)
            });
        }
        if i % 4 == 3 {
            let nowhere = Destination::default();
            change(store, first, |tx| {
                tx.begin_rotation(&user, &password("key00003", 19_456), &nowhere, false)
            });
        }
        if i % 8 == 3 {
            let id = PasswordId::stored("key00003".into());
            change(store, first, |tx| {
                tx.withdraw_rotation(&user, &id, "it did not arrive")
            });
        }
        if i % 7 == 2 {
            change(store, first, |tx| tx.suspend_user(&user));
        }
    }
}

fn totals(store: &mut Store) {
    assert_eq!(store.missing_in_total().unwrap(), 0);
    let user: Username = "t@s.example".parse().unwrap();
    let before = read(store, at(0)).counts.users;
    let mut total = |second, make: &dyn Fn(&mut Tx) -> Result<()>| {
        change(store, second, make);
        assert_eq!(store.missing_in_total().unwrap(), 0);
        read(store, at(0)).counts.users - before
    };
    let create = |tx: &mut Tx| tx.add_user(&new_user(&user), &password("key00001", 19_456));
    assert_eq!(total(30_000, &create), 1);
    assert_eq!(total(30_001, &|tx| tx.delete_user(&user)), 0);
    assert_eq!(total(30_002, &|tx| tx.delete_user(&user)), 0, "it is gone");
    assert_eq!(total(30_003, &|tx| tx.correct_user_total()), 0);
    // What is not committed does not count.
    let mut tx = store.begin(stamp(30_004)).unwrap();
    create(&mut tx).unwrap();
    tx.flush().unwrap();
    drop(tx);
    assert_eq!(store.missing_in_total().unwrap(), 0);
    assert!(!store.total_in_use_is_wrong().unwrap());
}

fn everyone(store: &mut Store, now: Time) -> Vec<User> {
    let mut users: Vec<User> = Vec::new();
    let mut push = |user| {
        users.push(user);
        Ok(())
    };
    let all = UserFilter::default();
    store.users(&all, &Page::default(), now, &mut push).unwrap();
    users
}

fn read(store: &mut Store, now: Time) -> StoreStatus {
    let soon: Duration = "3s".parse().unwrap();
    store.status(now, soon, now.minus(soon)).unwrap()
}

fn counts_are_as_the_rules(store: &mut Store, now: Time) {
    let users = everyone(store, now);
    let with = |status| -> Vec<&User> {
        let those = users.iter().filter(|user| user.status(now) == status);
        those.collect()
    };
    let number = |users: &[&User]| users.len() as u64;
    let soon: Duration = "3s".parse().unwrap();
    let lately = |user: &&&User| user.expires_at.is_some_and(|at| at > now.minus(soon));
    let mut unfinished = 0;
    store
        .each_unfinished(&mut |_, _| {
            unfinished += 1;
            Ok(())
        })
        .unwrap();
    let mut domains = 0;
    store
        .domains(&Page::default(), &mut |_, _| {
            domains += 1;
            Ok(())
        })
        .unwrap();
    let expires = |user: &&User| user.suspended_at.is_none() && user.expires_within(soon, now);
    let right = StatusCounts {
        users: users.len() as u64,
        suspended: number(&with(Status::Suspended)),
        expired: number(&with(Status::Expired)),
        expired_lately: with(Status::Expired).iter().filter(lately).count() as u64,
        overlap: number(&with(Status::Overlap)),
        expiring: users.iter().filter(expires).count() as u64,
        domains,
        limits_near: 0,
        unfinished,
    };
    let found = read(store, now);
    assert_eq!(found.counts, right, "at {now}");
    assert_eq!(found.unfinished.len() as u64, unfinished.min(10));
    let mut next: Vec<_> = users
        .iter()
        .filter(|user| user.suspended_at.is_none())
        .filter_map(|user| Some((user.expires_at.filter(|at| *at > now)?, &user.username)))
        .collect();
    next.sort();
    next.truncate(10);
    let expiring = found.expiring.iter();
    let expiring: Vec<_> = expiring
        .map(|one| (one.expires_at, &one.username))
        .collect();
    assert_eq!(expiring, next, "at {now}");
}

fn near(store: &mut Store, second: i64) -> Vec<(String, String, u32, u64)> {
    let found = read(store, at(second));
    assert_eq!(found.counts.limits_near, found.limits_near.len() as u64);
    let near = found.limits_near.into_iter();
    near.map(|one| (one.owner, one.kind.to_string(), one.most, one.used))
        .collect()
}

fn limits(store: &mut Store, user: &Username) {
    let rolling = Day::Rolling;
    let domain: DomainName = user.domain();
    let daily = |n: &str| Some(Setting::Some(n.parse().unwrap()));
    let sent = |messages| Count {
        messages,
        recipients: 2 * messages,
        new_recipients: 0,
    };
    // Nothing is known of a limit that is far.
    change(store, 30_001, |tx| {
        let user_limit = UserChange {
            daily_limit: daily("100"),
            ..UserChange::default()
        };
        tx.set_user(user, &user_limit)?;
        tx.set_settings(&SettingsChange {
            day: Some(rolling.clone()),
            ..SettingsChange::default()
        })?;
        for owner in Scope::all(user) {
            tx.count(owner, sent(40), at(30_001))?;
        }
        Ok(())
    });
    assert_eq!(near(store, 30_002), []);
    // Limits that are lowered, of each kind and owner; the fullest comes first.
    let own = |n: u32, used| (user.to_string(), "messages/day".to_owned(), n, used);
    change(store, 30_003, |tx| {
        let lower = UserChange {
            daily_limit: daily("50"),
            ..UserChange::default()
        };
        tx.set_user(user, &lower)?;
        let of_domain = DomainChange {
            daily_limit: daily("51"),
            ..DomainChange::default()
        };
        tx.set_domain(&domain, &of_domain)?;
        tx.set_settings(&SettingsChange {
            sending: super::relay::limits(&["recipients/day=80", "messages/hour=1"]),
            ..SettingsChange::default()
        })
    });
    let installation = || {
        (
            "the installation".to_owned(),
            "recipients/day".to_owned(),
            80,
            80,
        )
    };
    assert_eq!(near(store, 30_004), [installation(), own(50, 40)]);
    // It stays so for a user that gets another name, and the first one again.
    let renamed: Username = "renamed@s.example".parse().unwrap();
    change(store, 30_004, |tx| tx.rename_user(user, &renamed, None));
    let of_renamed = (renamed.to_string(), "messages/day".to_owned(), 50, 40);
    assert_eq!(near(store, 30_004), [installation(), of_renamed]);
    change(store, 30_004, |tx| tx.rename_user(&renamed, user, None));
    assert_eq!(near(store, 30_004), [installation(), own(50, 40)]);
    assert_eq!(store.missing_in_total().unwrap(), 0);
    // As a relay marks them; twice is once.
    let messages: LimitKind = "messages/day".parse().unwrap();
    let hour: LimitKind = "messages/hour".parse().unwrap();
    change(store, 30_005, |tx| {
        tx.count(Scope::domain(&domain), sent(1), at(30_005))?;
        tx.mark_limit_near(Scope::domain(&domain), messages)?;
        tx.mark_limit_near(Scope::domain(&domain), messages)?;
        tx.mark_limit_near(Scope::domain(&domain), hour)
    });
    let of_domain = (domain.to_string(), "messages/day".to_owned(), 51, 41);
    assert_eq!(
        near(store, 30_006),
        [installation(), of_domain.clone(), own(50, 40)]
    );
    // What is no longer near is not shown, and forgotten with old counts.
    change(store, 30_007, |tx| {
        let raise = UserChange {
            daily_limit: daily("99"),
            ..UserChange::default()
        };
        tx.set_user(user, &raise)?;
        tx.set_settings(&SettingsChange {
            sending: super::relay::limits(&["recipients/day=none", "messages/hour=none"]),
            ..SettingsChange::default()
        })
    });
    assert_eq!(near(store, 30_008), [of_domain]);
    let tomorrow = at(30_008 + 90_000);
    assert_eq!(near(store, 30_008 + 90_000), []);
    change(store, 30_009, |tx| {
        tx.forget_old_counts(tomorrow, &rolling, 999).map(|_| ())
    });
    change(store, 30_010, |tx| {
        tx.count(Scope::domain(&domain), sent(50), at(30_010))
    });
    assert_eq!(near(store, 30_011), [], "it was forgotten");
}

fn refusals(store: &mut Store) {
    let refused = |name: &str, first: i64, last: i64, count| RefusedSignIns {
        username: WrittenName::stored(name.to_owned()),
        address: "192.0.2.9".into(),
        reason: RefusalReason::WrongPassword,
        first_at: at(first),
        last_at: at(last),
        count,
    };
    change(store, 30_012, |tx| {
        tx.add_refusals(&refused("p", 40_000, 40_001, 2))?;
        tx.add_refusals(&refused("q", 40_004, 40_005, 3))?;
        tx.add_refusals(&refused("r", 39_000, 40_006, 4))
    });
    let found = read(store, at(40_007)).refusals;
    let found: Vec<_> = found
        .iter()
        .map(|one| (one.username.as_str(), one.first_at, one.count))
        .collect();
    assert_eq!(found, [("r", at(39_000), 4), ("q", at(40_004), 3)]);
}
