//! The part of the story about much: lists in pages, filters, and what is forgotten.
//! Long, because it is one story: each part needs the one before.

use smtpcred::model::day::Day;
use smtpcred::model::duration::Duration;
use smtpcred::model::name::{DomainName, Username};
use smtpcred::model::password::PasswordId;
use smtpcred::model::refused_sign_ins::{RefusalReason, RefusedSignIns};
use smtpcred::model::setting::Setting;
use smtpcred::model::stranger::WrittenName;
use smtpcred::model::time::Time;
use smtpcred::model::usage::UsageBy;
use smtpcred::model::usage_window::Count;
use smtpcred::model::user::{Status, User};
use smtpcred::model::user_search::UserSort;
use smtpcred::store::{
    DailyUsage, DomainChange, EventFilter, OldPasswords, Page, Scope, Seen, SendingChange, Store,
    UserChange, UserFilter,
};

use super::{at, change, new_user, password};

/// More than are read at once.
const MANY: usize = 2_100;

pub fn story(store: &mut Store) {
    let domain: DomainName = "p.example".parse().unwrap();
    change(store, 9000, |tx| {
        tx.add_domain(&domain, &DomainChange::default())
    });
    filters(store, &domain);
    orders(store, &domain);
    pages_of_users(store, &domain);
    pages_of_the_rest(store);
    usage_is_forgotten(store);
    refusals_are_forgotten(store);
    counts_are_forgotten(store);
    hashes_are_erased(store);
    trouble(store);
    room(store);
}

fn name(i: usize) -> Username {
    format!("u{i:05}@p.example").parse().unwrap()
}

fn listed(store: &mut Store, filter: &UserFilter, page: &Page, now: Time) -> Vec<User> {
    let mut found = Vec::new();
    store
        .users(filter, page, now, &mut |user| {
            found.push(user);
            Ok(())
        })
        .unwrap();
    found
}

/// What the store filters by, and what the rules say of each user, are the same.
fn filters(store: &mut Store, domain: &DomainName) {
    // Every way to be, each a second before, at and after the bound.
    for i in 0..12 {
        let user = name(i);
        let made = 9_100 + i64::try_from(i).unwrap();
        change(store, made, |tx| {
            tx.add_user(&new_user(&user), &password("key00001", 19_456))
        });
        let seen = Seen {
            at: at(9_198 + i64::try_from(i).unwrap()),
            address: None,
        };
        if i % 3 != 0 {
            change(store, 9_150, |tx| {
                tx.set_last_connection(&user, &PasswordId::stored("key00001".into()), &seen)
            });
        }
        if i % 4 == 1 {
            let until = OldPasswords::RetireAt(at(9_198 + i64::try_from(i).unwrap()));
            change(store, 9_160, |tx| {
                tx.reset_password(&user, &password("key00002", 19_456), until)
            });
        }
        let expires = UserChange {
            expires_at: Some(Setting::Some(at(9_199 + i64::try_from(i % 6).unwrap()))),
            ..UserChange::default()
        };
        if i % 2 == 0 {
            change(store, 9_161, |tx| tx.set_user(&user, &expires));
        }
        if i == 7 {
            change(store, 9_162, |tx| tx.suspend_user(&user));
        }
    }
    let everybody = UserFilter::default();
    let all = listed(store, &everybody, &Page::default(), at(9_200));
    assert!(all.len() >= 12);
    for now in 9_197..9_212 {
        let now = at(now);
        let mut agree = |filter: UserFilter, rule: &dyn Fn(&User) -> bool| {
            let found = listed(store, &filter, &Page::default(), now);
            let found: Vec<_> = found.iter().map(|u| u.username.as_str()).collect();
            let right = all.iter().filter(|user| rule(user));
            let right: Vec<_> = right.map(|user| user.username.as_str()).collect();
            assert_eq!(found, right, "{filter:?} at {now}");
        };
        for status in Status::ALL {
            let filter = UserFilter {
                status: Some(status),
                ..UserFilter::default()
            };
            agree(filter, &|user| status.includes(user.status(now)));
        }
        let age: Duration = "3s".parse().unwrap();
        let filter = UserFilter {
            silent_since: Some(now.minus(age)),
            ..UserFilter::default()
        };
        agree(filter, &|user| now.since(user.last_sign_of_life()) >= age);
        let filter = UserFilter {
            expires_by: Some(now.plus(age)),
            ..UserFilter::default()
        };
        agree(filter, &|user| user.expires_within(age, now));
        let filter = UserFilter {
            never_used: true,
            domain: Some(domain.clone()),
            ..UserFilter::default()
        };
        agree(filter, &|user| {
            user.last_connection().is_none() && user.username.domain() == *domain
        });
    }
}

/// In every order, with a text or not, a list has the users that it has by name.
fn orders(store: &mut Store, domain: &DomainName) {
    let labels = [(0, "ÜBERSICHT"), (3, "Shop"), (4, "Übersicht, new")];
    for (i, label) in labels {
        let change_label = UserChange {
            label: Some(Setting::Some(label.parse().unwrap())),
            ..UserChange::default()
        };
        change(store, 9_220, |tx| tx.set_user(&name(i), &change_label));
    }
    let now = at(9_230);
    let text = |text: &str| UserFilter {
        text: Some(text.parse().unwrap()),
        ..UserFilter::of(domain)
    };
    let of_domain = UserFilter::of(domain);
    let age = |user: &User| {
        let made = user.password().map(|password| password.created_at);
        (made.is_none(), made)
    };
    let used = |user: &User| {
        let seen = user.last_connection().map(|last| -last.at.epoch());
        (seen.is_none(), seen)
    };
    for (filter, how_many) in [(&of_domain, 12), (&text("über"), 2), (&text("U0000"), 10)] {
        let all = listed(store, filter, &Page::default(), now);
        assert_eq!(all.len(), how_many, "{filter:?}");
        let mut sorted = |sort, most| {
            let page = Page { after: "", most };
            let mut reader = store.sorted_users(filter, sort, &page, now).unwrap();
            let mut found: Vec<User> = Vec::new();
            loop {
                let next = store.next_users(&mut reader).unwrap();
                if next.is_empty() {
                    return found;
                }
                found.extend(next);
            }
        };
        let by = |key: &dyn Fn(&User) -> String| {
            let mut right: Vec<&User> = all.iter().collect();
            right.sort_by_key(|user| (key(user), user.username.clone()));
            right
                .iter()
                .map(|user| user.username.to_string())
                .collect::<Vec<_>>()
        };
        let number = |n: i64| format!("{:020}", n + (1 << 40));
        let right = [
            (UserSort::Name, by(&|_| String::new())),
            (
                UserSort::Age,
                by(&|u| format!("{}{}", age(u).0, number(age(u).1.map_or(0, Time::epoch)))),
            ),
            (
                UserSort::Used,
                by(&|u| format!("{}{}", used(u).0, number(used(u).1.unwrap_or(0)))),
            ),
            (
                UserSort::Expires,
                by(&|u| {
                    format!(
                        "{}{}",
                        u.expires_at.is_none(),
                        number(u.expires_at.map_or(0, Time::epoch))
                    )
                }),
            ),
            (UserSort::Created, by(&|u| number(-u.created_at.epoch()))),
        ];
        for (sort, right) in right {
            let found: Vec<_> = sorted(sort, None)
                .iter()
                .map(|u| u.username.to_string())
                .collect();
            assert_eq!(found, right, "{sort:?}");
            let first: Vec<_> = sorted(sort, Some(2))
                .iter()
                .map(|u| u.username.to_string())
                .collect();
            assert_eq!(first, right[..2], "{sort:?}");
        }
    }
    let page = Page::default();
    let most = Page {
        after: "",
        most: Some(100_001),
    };
    assert!(
        store
            .sorted_users(&of_domain, UserSort::Age, &most, now)
            .is_err()
    );
    assert!(
        store
            .sorted_users(&of_domain, UserSort::Name, &page, now)
            .is_ok()
    );
}

/// What is near a limit and what was refused is found for the users between two names.
fn trouble(store: &mut Store) {
    let now = at(10_600);
    let [some, all] = [1, 2].map(name);
    change(store, 10_600, |tx| {
        let limited = UserChange {
            daily_limit: Some(Setting::Some("10".parse().unwrap())),
            ..UserChange::default()
        };
        let hourly = UserChange {
            sending: SendingChange {
                limits: vec!["recipients/hour=4".parse().unwrap()],
                ..SendingChange::default()
            },
            ..UserChange::default()
        };
        tx.set_user(&some, &limited)?;
        tx.set_user(&all, &limited)?;
        tx.set_user(&all, &hourly)?;
        let sent = |messages, recipients| Count {
            messages,
            recipients,
            new_recipients: 0,
        };
        tx.count(Scope::user(&some), sent(8, 8), now)?;
        tx.count(Scope::user(&all), sent(7, 4), now)?;
        tx.count(Scope::user(&name(3)), sent(9, 9), now)
    });
    let range = ("u00000@p.example", "u00002@p.example");
    let day = Day::default();
    let near = store.near_limits(range, now, &day).unwrap();
    let near: Vec<_> = near
        .iter()
        .map(|(name, limit)| format!("{name} {} {}%", limit.kind, limit.percent()))
        .collect();
    assert_eq!(
        near,
        [
            "u00001@p.example messages/day 80%",
            "u00002@p.example recipients/hour 100%"
        ]
    );
    assert!(
        store
            .near_limits(("u00003", "v"), now, &day)
            .unwrap()
            .is_empty()
    );
    let refused = |user: &Username, at, count| RefusedSignIns {
        username: WrittenName::shown(user.as_str()),
        address: "192.0.2.1".into(),
        reason: RefusalReason::ALL[0],
        count,
        first_at: at,
        last_at: at,
    };
    change(store, 10_600, |tx| {
        tx.add_refusals(&refused(&some, at(10_599), 5))?;
        tx.add_refusals(&refused(&all, at(10_500), 6))
    });
    let found = store.refused_since(range, at(10_550)).unwrap();
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        [(some.to_string(), 5)]
    );
    let later = at(10_600 + 3_600 * 24 * 9);
    change(store, 10_600, |tx| {
        tx.forget_old_refusals(later, 99, 99)?;
        tx.forget_old_counts(later, &Day::Rolling, 99).map(|_| ())
    });
}

/// Whoever is there all the time is listed once, whatever comes and goes.
fn pages_of_users(store: &mut Store, domain: &DomainName) {
    change(store, 9_300, |tx| {
        (12..MANY).try_for_each(|i| tx.add_user(&new_user(&name(i)), &password("k", 19_456)))
    });
    let whole = |store: &mut Store, filter: &UserFilter| -> Vec<String> {
        let all = listed(store, filter, &Page::default(), at(9_300));
        all.iter().map(|user| user.username.to_string()).collect()
    };
    let everybody = UserFilter::default();
    let of_domain = UserFilter::of(domain);
    let active = UserFilter {
        status: Some(Status::Active),
        ..UserFilter::default()
    };
    for filter in [&everybody, &of_domain, &active] {
        let all = whole(store, filter);
        assert!(all.len() > 2_000 && all.is_sorted());
        for size in [1, 999, 1000, 1001, 5000] {
            let mut found: Vec<String> = Vec::new();
            while found.len() < if size == 1 { 5 } else { usize::MAX } {
                let after = found.last().cloned().unwrap_or_default();
                let page = Page {
                    after: &after,
                    most: Some(size),
                };
                let next = listed(store, filter, &page, at(9_300));
                if next.is_empty() {
                    break;
                }
                assert!(next.len() <= usize::try_from(size).unwrap());
                found.extend(next.iter().map(|user| user.username.to_string()));
            }
            assert_eq!(found, all[..found.len()], "{size}");
            assert!(size == 1 || found.len() == all.len());
        }
    }
    // Passwords and connections are with whom they belong to, at the seams, too.
    let all = listed(store, &everybody, &Page::default(), at(9_300));
    for user in all.iter().step_by(97).chain(&all[990..1010]) {
        let alone = store.user(&user.username).unwrap().unwrap();
        assert_eq!(format!("{user:?}"), format!("{alone:?}"));
    }
    // One with more passwords than are read at once.
    let many = name(5);
    change(store, 9_400, |tx| {
        (0..1_200).try_for_each(|i| {
            let key = format!("x{i:07}");
            tx.reset_password(&many, &password(&key, 19_456), OldPasswords::Stop)
        })
    });
    let found = listed(store, &of_domain, &Page::default(), at(9_400));
    assert_eq!(found.len(), MANY);
    assert!(found[5].passwords.len() > 1_200);
    let page = Page {
        after: "u00004@p.example",
        most: Some(1),
    };
    for filter in [&everybody, &of_domain] {
        let one = listed(store, filter, &page, at(9_400));
        assert_eq!(
            (one.len(), one[0].passwords.len()),
            (1, found[5].passwords.len())
        );
    }
    let users = store.users_of(domain).unwrap();
    let last = store.user(&name(MANY - 1)).unwrap().unwrap();
    assert_eq!(users.len(), MANY);
    assert_eq!(users[MANY - 1], (last.username, last.created_at));
    // One that is far behind all that do not match.
    change(store, 9_410, |tx| tx.suspend_user(&name(MANY - 1)));
    for domain in [None, Some(domain.clone())] {
        let suspended = UserFilter {
            status: Some(Status::Suspended),
            domain,
            ..UserFilter::default()
        };
        let seventh = name(7);
        let page = Page {
            after: seventh.as_str(),
            most: None,
        };
        let found = listed(store, &suspended, &page, at(9_410));
        let found: Vec<_> = found.into_iter().map(|user| user.username).collect();
        assert_eq!(found, [name(MANY - 1)]);
    }
}

fn pages_of_the_rest(store: &mut Store) {
    let mut ids = Vec::new();
    let mut each = |event: smtpcred::model::event::Event| {
        ids.push(event.id);
        Ok(())
    };
    let all = EventFilter::default();
    store.events(&all, 0, Some(1_001), &mut each).unwrap();
    assert_eq!(ids.len(), 1_001);
    assert!(ids.is_sorted());
    let (after, mut more) = (ids[1_000], Vec::new());
    let mut each = |event: smtpcred::model::event::Event| {
        more.push(event.id);
        Ok(())
    };
    store.events(&all, after, Some(2), &mut each).unwrap();
    assert!(more.len() == 2 && more[0] > after && more[1] > more[0]);

    let mut names = Vec::new();
    let page = Page {
        after: "a",
        most: Some(1),
    };
    let mut each = |domain: smtpcred::model::domain::Domain, _| {
        names.push(domain.name.to_string());
        Ok(())
    };
    store.domains(&page, &mut each).unwrap();
    assert_eq!(names.len(), 1);
}

fn usage_is_forgotten(store: &mut Store) {
    let sent = |n| DailyUsage {
        amount: Count {
            messages: n,
            ..Count::default()
        },
        ..DailyUsage::default()
    };
    change(store, 9_500, |tx| {
        // What the rest of the story left.
        tx.forget_old_usage(20_000, 99)?;
        for day in 20_000..20_010 {
            tx.add_usage([(&name(1), day, sent(1))])?;
            tx.add_usage([(&name(2), day, sent(2))])?;
            tx.add_usage([(&name(3), day, sent(1))])?;
        }
        Ok(())
    });
    let list = |store: &mut Store, after, top| -> Vec<String> {
        let mut found = Vec::new();
        let mut each = |usage: smtpcred::model::usage::Usage| {
            found.push(usage.name);
            Ok(())
        };
        let by = UsageBy::User;
        store.usage(by, 20_000, after, top, &mut each).unwrap();
        found
    };
    let [one, two, three] = [1, 2, 3].map(|i| name(i).to_string());
    assert_eq!(list(store, None, 2), [two.clone(), one.clone()]);
    assert_eq!(list(store, Some(&two), 9), [one.clone(), three.clone()]);
    assert_eq!(list(store, Some(&one), 9), std::slice::from_ref(&three));
    assert!(list(store, Some(&three), 9).is_empty());

    assert_eq!(store.old_usage(20_005).unwrap(), 15, "and not that day");
    let mut forgotten = Vec::new();
    for _ in 0..3 {
        change(store, 9_501, |tx| {
            forgotten.push(tx.forget_old_usage(20_005, 10)?);
            Ok(())
        });
    }
    assert_eq!(forgotten, [10, 5, 0]);
    assert_eq!(
        store.old_usage(20_006).unwrap(),
        3,
        "the day is still there"
    );
}

fn refusals_are_forgotten(store: &mut Store) {
    let refused = |i: i64| RefusedSignIns {
        username: WrittenName::stored(format!("n{i:03}@p.example")),
        address: "203.0.113.9".into(),
        reason: RefusalReason::UnknownUser,
        first_at: at(9_000),
        // Two in each second.
        last_at: at(9_600 + i / 2),
        count: 1,
    };
    change(store, 9_700, |tx| {
        (0..20).try_for_each(|i| tx.add_refusals(&refused(i)))
    });
    let list = |store: &mut Store, after: Option<&RefusedSignIns>, most| -> Vec<RefusedSignIns> {
        let place = after.map(|last| {
            let place = format!(
                "{},{},{},{}",
                last.last_at,
                last.username.as_str(),
                last.address,
                last.reason.name()
            );
            place.parse().unwrap()
        });
        let mut found = Vec::new();
        let mut each = |refusals| {
            found.push(refusals);
            Ok(())
        };
        store.refusals(at(0), place, most, &mut each).unwrap();
        found
    };
    let all = list(store, None, None);
    assert_eq!(all.len(), 20);
    assert!(all.is_sorted_by_key(|one| (-one.last_at.epoch(), one.username.as_str().to_owned())));
    let mut found: Vec<RefusedSignIns> = Vec::new();
    loop {
        let next = list(store, found.last(), Some(3));
        if next.is_empty() {
            break;
        }
        found.extend(next);
    }
    assert_eq!(found, all, "the seams go through seconds that two share");

    assert_eq!(
        store.old_refusals(at(9_602), 99).unwrap(),
        4,
        "not that second"
    );
    assert_eq!(store.old_refusals(at(0), 6).unwrap(), 14, "or too many");
    assert_eq!(
        store.old_refusals(at(9_608), 6).unwrap(),
        16,
        "the later bound"
    );
    let mut forgotten = Vec::new();
    for _ in 0..3 {
        change(store, 9_701, |tx| {
            forgotten.push(tx.forget_old_refusals(at(9_602), 6, 10)?);
            Ok(())
        });
    }
    assert_eq!(forgotten, [10, 4, 0]);
    assert_eq!(list(store, None, None), all[..6], "the oldest went first");
}

fn counts_are_forgotten(store: &mut Store) {
    let amount = Count {
        messages: 1,
        ..Count::default()
    };
    let user = name(1);
    change(store, 9_800, |tx| {
        (0..5).try_for_each(|i| tx.count(Scope::user(&user), amount, at(9_800 + 3_600 * i)))
    });
    let later = at(9_800 + 3_600 * 24 * 9);
    let old = store.old_counts(later, &Day::Rolling).unwrap();
    assert!(old >= 15);
    let mut forgotten = Vec::new();
    change(store, 9_801, |tx| {
        forgotten.push(tx.forget_old_counts(later, &Day::Rolling, 4)?);
        forgotten.push(tx.forget_old_counts(later, &Day::Rolling, 9_999)?);
        Ok(())
    });
    assert_eq!(forgotten, [4, old - 4]);
    assert_eq!(store.old_counts(later, &Day::Rolling).unwrap(), 0);
}

fn hashes_are_erased(store: &mut Store) {
    let user = name(9);
    let until = OldPasswords::RetireAt(at(10_000));
    change(store, 9_900, |tx| {
        tx.reset_password(&user, &password("key00003", 19_456), until)
    });
    // Those that retired before.
    for (username, key) in store.retired_before(at(10_000), "", 99).unwrap() {
        change(store, 9_950, |tx| {
            assert_eq!(tx.erase_retired(&username, &key, at(10_000))?, 1);
            Ok(())
        });
    }
    assert_eq!(store.old_hashes(at(10_000)).unwrap(), 0, "not that second");
    let old = store.old_hashes(at(10_001)).unwrap();
    let found = store.retired_before(at(10_001), "", 9).unwrap();
    assert_eq!(u64::try_from(found.len()).unwrap(), old);
    assert!(found.iter().any(|(found, _)| *found == user));
    let live = store.hashes(&user).unwrap().len();
    for (username, key) in &found {
        change(store, 10_500, |tx| {
            assert_eq!(tx.erase_retired(username, key, at(10_000))?, 0);
            assert_eq!(tx.erase_retired(username, key, at(10_001))?, 1);
            Ok(())
        });
    }
    assert_eq!(store.old_hashes(at(10_001)).unwrap(), 0);
    assert!(store.hashes(&user).unwrap().len() < live);
    assert!(
        store.user(&user).unwrap().unwrap().passwords.len() > 1,
        "known still"
    );
}

fn room(store: &mut Store) {
    store.analyze().unwrap();
    let Some(before) = store.space().unwrap() else {
        return;
    };
    assert!(before.whole > before.unused);
    if before.gradually {
        store.shrink().unwrap();
        let after = store.space().unwrap().unwrap();
        assert!(after.unused < before.unused || before.unused == 0);
    }
    store.rewrite().unwrap();
    assert_eq!(store.space().unwrap().unwrap().unused, 0);
    assert!(store.user(&name(9)).unwrap().is_some());
}
