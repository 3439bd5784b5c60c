//! The part of the story about the whole of what is long, in pieces.

use smtpcred::model::name::DomainName;
use smtpcred::model::setting::Setting;
use smtpcred::model::transfer::StoredUser;
use smtpcred::model::usage::{Usage, UsageBy};
use smtpcred::model::usage_window::Count;
use smtpcred::model::user::User;
use smtpcred::store::{DailyUsage, EventFilter, OldPasswords, Page, Store, UserChange, UserFilter};

use super::{at, change, events, password};

/// Behind the parts that left many users.
pub fn story(store: &mut Store) {
    kept_in_pieces(store);
    usage_in_pieces(store);
    time_passed_in_pieces(store);
}

/// Whoever is given out is there once, with all that is its own, at the seams, too.
fn kept_in_pieces(store: &mut Store) {
    let mut all: Vec<StoredUser> = Vec::new();
    let mut push = |user| {
        all.push(user);
        Ok(())
    };
    store.stored_users(None, &mut push).unwrap();
    let mut expected = Vec::new();
    let everybody = UserFilter::default();
    let now = at(20_100);
    let mut users = |user: User| {
        expected.push((user.username.to_string(), user.passwords.len()));
        Ok(())
    };
    store
        .users(&everybody, &Page::default(), now, &mut users)
        .unwrap();
    assert!(expected.len() > 2_000);
    let found = all.iter();
    let found: Vec<_> = found
        .map(|kept| (kept.username.to_string(), kept.passwords.len()))
        .collect();
    assert!(found == expected);
    for domain in ["n.example", "p.example"] {
        let domain: &DomainName = &domain.parse().unwrap();
        let mut own = Vec::new();
        let mut push = |user| {
            own.push(format!("{user:?}"));
            Ok(())
        };
        store.stored_users(Some(domain), &mut push).unwrap();
        let of_domain = all.iter().filter(|kept| kept.username.domain() == *domain);
        let right: Vec<_> = of_domain.map(|kept| format!("{kept:?}")).collect();
        assert!(own == right && !own.is_empty(), "{domain}");
    }
}

/// All at once is what it is by and by.
fn usage_in_pieces(store: &mut Store) {
    const DAY: i64 = 30_000;
    change(store, 20_300, |tx| {
        for i in 0..1_234_u32 {
            let sent = DailyUsage {
                amount: Count {
                    messages: i % 7,
                    recipients: i,
                    ..Count::default()
                },
                bytes: u64::from(i) << 40,
                refusals: i % 2,
            };
            // Many domains, too.
            let user = format!("u{i:04}@d{}.example", i / 2).parse()?;
            tx.add_usage([(&user, DAY, sent)])?;
            tx.add_usage([(&user, DAY + 1, sent)])?;
        }
        Ok(())
    });
    for (by, count) in [(UsageBy::User, 1_234), (UsageBy::Domain, 617)] {
        let list = |store: &mut Store, after: Option<&Usage>, top| -> Vec<Usage> {
            let mut found = Vec::new();
            let mut push = |usage| {
                found.push(usage);
                Ok(())
            };
            let after = after.map(|after| after.name.as_str());
            store.usage(by, DAY, after, top, &mut push).unwrap();
            found
        };
        let whole = list(store, None, 1_000_000);
        assert_eq!(whole.len(), count);
        let mut all: Vec<Usage> = Vec::new();
        while all.len() < count {
            let next = list(store, all.last(), 400);
            assert!(!next.is_empty());
            all.extend(next);
        }
        let words = |all: &[Usage]| format!("{all:?}");
        assert_eq!(words(&all), words(&whole));
        let some = list(store, Some(&whole[9]), 550);
        let end = count.min(560);
        assert_eq!(words(&some), words(&whole[10..end]));
    }
}

/// Users that expire together, and passwords whose retirement was set by a clock that was
/// ahead: they are too many for one transaction.
fn time_passed_in_pieces(store: &mut Store) {
    const PIECE: usize = 1_000;
    const AHEAD: i64 = 40_000_000;
    let mut names = Vec::new();
    let mut push = |user: User| {
        names.push(user.username);
        Ok(())
    };
    let everybody = UserFilter::default();
    store
        .users(&everybody, &Page::default(), at(20_400), &mut push)
        .unwrap();
    let expire = |store: &mut Store, expires_at| {
        let expires = UserChange {
            expires_at: Some(expires_at),
            ..UserChange::default()
        };
        change(store, 20_400, |tx| {
            names
                .iter()
                .try_for_each(|name| tx.set_user(name, &expires))
        });
    };
    expire(store, Setting::Some(at(20_410)));
    let (mut more, mut expected) = (true, names.len());
    while more {
        let before = events(store, &EventFilter::default()).len();
        change(store, 20_420, |tx| {
            more = tx.record_expiries()?;
            Ok(())
        });
        let told = events(store, &EventFilter::default()).split_off(before);
        assert_eq!(told.len(), expected.min(PIECE));
        assert!(told.iter().all(|event| event.action == "user.expired"));
        expected -= told.len();
    }
    assert_eq!(expected, 0);
    let mut told = events(store, &EventFilter::default());
    let mut told = told.split_off(told.len() - names.len());
    told.sort_by(|one, other| one.username.cmp(&other.username));
    let found = told.iter().map(|event| event.username.as_deref());
    assert!(
        found.eq(names.iter().map(|name| Some(name.as_str()))),
        "each once"
    );
    expire(store, Setting::None);

    let some = &names[..PIECE + 100];
    let until = OldPasswords::RetireAt(at(AHEAD + 90));
    change(store, AHEAD, |tx| {
        some.iter()
            .try_for_each(|name| tx.reset_password(name, &password("ahead001", 19_456), until))
    });
    let later = |store: &mut Store| {
        let mut later = 0;
        let mut count = |user: User| {
            let mut ends = user.passwords.iter().filter_map(|key| key.retires_at);
            later += usize::from(ends.any(|end| end > at(AHEAD)));
            Ok(())
        };
        store
            .users(&everybody, &Page::default(), at(20_430), &mut count)
            .unwrap();
        later
    };
    assert!(later(store) >= some.len());
    for more in [true, false] {
        change(store, 20_430, |tx| {
            assert_eq!(tx.fix_retirements()?, more);
            Ok(())
        });
        let left = later(store);
        assert_eq!(left > 0, more);
        assert!(left < some.len());
    }
    change(store, 20_440, |tx| tx.move_future_rows().map(|_| ()));
}
