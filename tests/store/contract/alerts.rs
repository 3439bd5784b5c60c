//! Alerts: raised once an hour for the same matter, and read back.

use smtpcred::model::alert::{AlertKind, NewAlert};
use smtpcred::model::name::Username;
use smtpcred::store::Store;

use super::{at, change};

fn x() -> Username {
    "x@example.com".parse().unwrap()
}

/// Far behind the other stories.
const NOON: i64 = 4_000_000;

pub fn story(store: &mut Store) {
    let raised = |username: &Username, matter: &str| NewAlert {
        matter: matter.into(),
        address: Some("192.0.2.1".into()),
        next: Some("smtpcred user allow".into()),
        ..NewAlert::of_user(AlertKind::NewAddress, username, "It was used.".into())
    };
    for (second, matter) in [(0, "a"), (10, "a"), (20, "b"), (3_700, "a")] {
        change(store, NOON + second, |tx| tx.raise(&raised(&x(), matter)));
    }
    let found = store.alerts(i64::MAX, 10).unwrap();
    let told: Vec<_> = found
        .iter()
        .map(|alert| (alert.at.epoch() - at(NOON).epoch(), alert.more))
        .collect();
    assert_eq!(told, [(3_700, 0), (20, 0), (0, 1)]);
    let first = &found[2];
    assert_eq!(first.last_at, at(NOON + 10));
    assert_eq!(
        (first.kind, first.username.as_ref()),
        (AlertKind::NewAddress, Some(&x()))
    );
    assert_eq!(first.domain, Some(x().domain()));
    assert_eq!(first.address.as_deref(), Some("192.0.2.1"));
    assert_eq!(
        (first.text.as_str(), first.next.as_deref()),
        ("It was used.", Some("smtpcred user allow"))
    );
    assert_eq!(first.acked_at, None);
    assert_eq!(store.alerts(first.id + 1, 1).unwrap(), [first.clone()]);
}
