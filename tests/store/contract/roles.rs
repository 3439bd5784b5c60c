//! The part of the story about roles, and about a store that is restricted to one.

use smtpcred::error::Error;
use smtpcred::model::event::Action;
use smtpcred::model::holder::{GivenRole, HolderName, HolderRole, Reach};
use smtpcred::model::name::{DomainName, Username};
use smtpcred::store::{DomainChange, EventFilter, Store};

use super::{at, change, events, names, new_user, password, users};

/// Far behind the other stories.
const NOW: i64 = 95_000_000;

pub fn story(store: &mut Store, open: &dyn Fn() -> Store) {
    let [ours, theirs]: [DomainName; 2] =
        ["ours.example", "theirs.example"].map(|name| name.parse().unwrap());
    let [one, other]: [Username; 2] =
        ["one@ours.example", "two@theirs.example"].map(|name| name.parse().unwrap());
    let [ana, app]: [HolderName; 2] = ["ana", "app"].map(|name| name.parse().unwrap());
    for (domain, user) in [(&ours, &one), (&theirs, &other)] {
        change(store, NOW, |tx| {
            tx.add_domain(domain, &DomainChange::default())?;
            tx.add_user(&new_user(user), &password("key00009", 19_456))
        });
    }
    assert_eq!(store.given_roles().unwrap(), []);
    assert_eq!(store.given_role(&ana).unwrap(), None);
    let role = |holder: &HolderName, role, reach| GivenRole {
        holder: holder.clone(),
        role,
        reach,
        hourly_changes: 2,
        granted_at: at(NOW),
    };
    let viewer = role(&ana, HolderRole::Viewer, Reach::All);
    let operator = role(
        &ana,
        HolderRole::Operator,
        Reach::Domains(vec![ours.clone()]),
    );
    let own = role(&app, HolderRole::Own, Reach::User(one.clone()));
    // The second takes the place of the first.
    for given in [&viewer, &operator, &own] {
        change(store, NOW, |tx| tx.grant_role(given));
    }
    assert_eq!(
        store.given_roles().unwrap(),
        [operator.clone(), own.clone()]
    );
    assert_eq!(store.given_role(&ana).unwrap(), Some(operator.clone()));

    assert_eq!(store.restricted_to(), None);
    assert!(store.knew_user(&one).unwrap() && store.knew_user(&other).unwrap());
    assert!(
        !store
            .knew_user(&"never@ours.example".parse().unwrap())
            .unwrap()
    );
    {
        let mut restricted = open();
        let store = &mut restricted;
        store.restrict(&ana, Some("SHA256:key")).unwrap();
        assert_eq!(store.restricted_to(), Some(&operator));
        assert_eq!(names(&users(store, None)), [one.as_str()]);
        assert!(store.knew_user(&one).unwrap() && !store.knew_user(&other).unwrap());
        assert!(store.user(&other).unwrap().is_none());
        let unknown = store.restrict(&"eve".parse().unwrap(), None);
        assert!(matches!(unknown, Err(Error::RoleNotFound(name)) if name == "eve"));
    }

    // Metrics have the oldest passwords first.
    let metrics = store.metrics(at(NOW), 1).unwrap();
    assert_eq!(metrics.old_passwords.len(), 1);
    let all = store.metrics(at(NOW), 100_000).unwrap();
    let ages: Vec<_> = all.old_passwords.iter().map(|old| old.created_at).collect();
    assert!(ages.is_sorted() && ages.len() > 1);
    assert_eq!(metrics.old_passwords[0].created_at, ages[0]);

    // What a relay may not do, an owner may.
    change(store, NOW, |tx| {
        assert!(tx.may_delete_alerts()?);
        Ok(())
    });

    for there in [true, false] {
        change(store, NOW, |tx| {
            assert_eq!(tx.revoke_role(&ana)?, there);
            Ok(())
        });
    }
    // The other ends with its user.
    change(store, NOW, |tx| tx.delete_user(&one));
    assert_eq!(store.given_roles().unwrap(), []);
    // The user's role went with it.
    for (action, count) in [(Action::RoleGrant, 3), (Action::RoleRevoke, 1)] {
        let filter = EventFilter {
            action: Some(action),
            ..EventFilter::default()
        };
        assert_eq!(events(store, &filter).len(), count);
    }
}
