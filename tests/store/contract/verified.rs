//! The part of the story about domains that prove whose they are.

use smtpcred::model::name::{DomainName, Username};
use smtpcred::store::{EventFilter, SettingsChange, Store};

use super::{at, change, events};

/// The second token, which does not count, is not told of.
pub const EVENTS: [&str; 4] = [
    "settings.set",
    "domain.set",
    "domain.verify",
    "settings.set",
];

/// Leaves b.example verified, and nothing required.
pub fn story(store: &mut Store) {
    let [a, b]: [DomainName; 2] = ["a.example", "b.example"].map(|name| name.parse().unwrap());
    let [of_a, of_b]: [Username; 2] =
        ["y@a.example", "x@b.example"].map(|name| name.parse().unwrap());
    let before = events(store, &EventFilter::default()).len();
    let require = |yes| SettingsChange {
        require_verified_domains: Some(yes),
        ..SettingsChange::default()
    };
    assert!(!store.settings().unwrap().require_verified_domains);
    let unverified = |store: &mut Store| {
        [&of_a, &of_b].map(|user| store.sending_rules(user).unwrap().unwrap().unverified)
    };
    assert_eq!(unverified(store), [false, false]);
    change(store, 265, |tx| tx.set_settings(&require(true)));
    assert!(store.settings().unwrap().require_verified_domains);
    assert_eq!(unverified(store), [true, true]);

    // The first token stays.
    assert_eq!(store.verification_token(&b).unwrap(), None);
    for token in ["first", "second"] {
        change(store, 265, |tx| tx.set_verification_token(&b, token));
    }
    let token = store.verification_token(&b).unwrap();
    assert_eq!(token.as_deref(), Some("first"));
    assert_eq!(store.verification_token(&a).unwrap(), None);
    assert_eq!(store.domain(&b).unwrap().unwrap().verified_at, None);
    // While it was looked for, the domain may have become another's.
    for (domain, token, good) in [
        (&b, "second", false),
        (&a, "first", false),
        (&b, "first", true),
    ] {
        change(store, 265, |tx| {
            assert_eq!(tx.set_verified(domain, token)?, good, "{token}");
            Ok(())
        });
    }
    let verified = |store: &mut Store, name| store.domain(name).unwrap().unwrap().verified_at;
    assert_eq!(verified(store, &b), Some(at(265)));
    assert_eq!(verified(store, &a), None);
    assert_eq!(unverified(store), [true, false]);

    change(store, 265, |tx| tx.set_settings(&require(false)));
    assert!(!store.settings().unwrap().require_verified_domains);
    assert_eq!(unverified(store), [false, false]);
    assert_eq!(
        events(store, &EventFilter::default()).len(),
        before + EVENTS.len()
    );
}
