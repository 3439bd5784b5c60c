//! The part of the story about the whole of what is long, in pieces.

use smtpcred::model::name::DomainName;
use smtpcred::model::roster::Kept;
use smtpcred::model::tally::Amount;
use smtpcred::model::usage::{Usage, UsageBy};
use smtpcred::model::user::User;
use smtpcred::store::{Page, Sent, Store, UserFilter};

use super::{at, change};

/// Behind the parts that left many users.
pub fn story(store: &mut Store) {
    kept_in_pieces(store);
    usage_in_pieces(store);
}

/// Whoever is given out is there once, with all that is its own, at the seams, too.
fn kept_in_pieces(store: &mut Store) {
    let mut all: Vec<Kept> = Vec::new();
    let mut push = |user| {
        all.push(user);
        Ok(())
    };
    store.kept(None, &mut push).unwrap();
    let mut expected = Vec::new();
    let everybody = UserFilter::default();
    let now = at(20_100);
    let mut users = |user: User| {
        expected.push((user.username.to_string(), user.keys.len()));
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
        store.kept(Some(domain), &mut push).unwrap();
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
            let sent = Sent {
                amount: Amount {
                    messages: i % 7,
                    recipients: i,
                    ..Amount::default()
                },
                bytes: u64::from(i) << 40,
                refusals: i % 2,
            };
            // Many domains, too.
            let user = format!("u{i:04}@d{}.example", i / 2).parse()?;
            tx.add_usage(&user, DAY, sent)?;
            tx.add_usage(&user, DAY + 1, sent)?;
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
