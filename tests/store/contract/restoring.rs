//! The part of the story about bringing rows of a backup back.

use smtpcred::model::event::Fields;
use smtpcred::model::name::Username;
use smtpcred::store::{Beside, CopiedTable, OwnedArg, Store};

use super::{at, change, new_user, password, stamp};

/// Behind the other stories.
const NOON: i64 = 92_000_000;

pub fn story(store: &mut Store) {
    let shop: Username = "shop@restored.example".parse().unwrap();
    let text = |text: &str| OwnedArg::Text(text.to_owned());
    let domain = |limit: i64| {
        let limit = OwnedArg::Int(limit);
        let (none, at) = (OwnedArg::Null, OwnedArg::Int(1));
        let name = text("restored.example");
        [
            name,
            none.clone(),
            none.clone(),
            limit,
            at,
            none.clone(),
            none.clone(),
            none,
        ]
    };
    let mut tx = store.begin(stamp(NOON)).unwrap();
    assert_eq!(tx.at(), at(NOON));
    tx.put_domain_back(&domain(5)).unwrap();
    tx.put_domain_back(&domain(6)).unwrap();
    tx.free_name(&shop).unwrap();
    tx.add_user(&new_user(&shop), &password("restored", 64))
        .unwrap();
    tx.end_restore(&Fields::default()).unwrap();
    tx.commit().unwrap();
    let restored = store.domain(&shop.domain()).unwrap().unwrap();
    assert_eq!(restored.daily_limit, Some(6));
    let (latest, words) = store.latest_event().unwrap().unwrap();
    assert!(words.contains("store.restore"), "{words}");
    assert_eq!(store.event_in_words(latest).unwrap(), Some(words));
    assert_eq!(store.event_in_words(latest + 1).unwrap(), None);

    let record = |store: &mut Store| {
        let mut found = store
            .user_records("shop@restored.exampl", shop.as_str())
            .unwrap();
        assert_eq!(found.len(), 1);
        found.remove(0)
    };
    let first = store.username_behind("", 0).unwrap().unwrap();
    assert!(store.username_behind(&first, 0).unwrap().unwrap() > first);
    assert_eq!(
        store.username_behind(shop.as_str(), 1_000_000).unwrap(),
        None
    );
    let user = record(store);
    assert!(user.passwords[0].stays() && user.passwords[0].is_live(at(NOON)));

    let id = user.passwords[0].id.clone();
    let limit = ["shop@restored.example", "messages/hour"].map(text);
    let limit = [&limit[..], &[OwnedArg::Int(7)]].concat();
    let limits = CopiedTable::of_settings().find(|table| table.name == "limits");
    let limits = limits.unwrap();
    change(store, NOON + 1, |tx| {
        tx.stop_again(&shop, &id)?;
        let mut own = user.own.clone();
        own.label = Some("Back".into());
        tx.put_user_back(&shop, &own, Some(at(NOON)), None)?;
        tx.put_row_back(limits, &limit)?;
        tx.put_row_back(limits, &limit)
    });
    let stopped = record(store);
    assert!(stopped.passwords[0].is_erased());
    assert_eq!(stopped.own.label.as_deref(), Some("Back"));
    assert_eq!(stopped.suspended_at, Some(at(NOON)));
    let rules = store.rules_of_users(&[&shop]).unwrap().pop().flatten();
    let hourly = "messages/hour".parse().unwrap();
    assert_eq!(rules.unwrap().limits.get(hourly), Some(7));

    let beside = Beside {
        unused: 60,
        latest: at(NOON + 3600),
    };
    change(store, NOON + 2, |tx| {
        tx.put_password_back(&shop, &user.passwords[0], Some(beside))?;
        tx.remove_row(limits, &limit)
    });
    let back = record(store);
    assert_eq!(back.passwords[0].retires_at, Some(at(NOON + 62)));
    assert!(back.passwords[0].is_live(at(NOON + 61)));

    change(store, NOON + 3, |tx| {
        tx.remove_new_user(&shop)?;
        tx.remove_new_domain(&shop.domain())
    });
    assert!(store.user(&shop).unwrap().is_none());
    assert!(store.domain(&shop.domain()).unwrap().is_none());
    let mut deleted = 0;
    store.deletions(&mut |_, _| deleted += 1).unwrap();
    assert!(deleted > 0);

    let mut tx = store.begin(stamp(NOON + 4)).unwrap();
    tx.forget_settings().unwrap();
    let mut settings = 0;
    let table = CopiedTable::of_settings().next().unwrap();
    tx.store()
        .rows(table, &mut |_| {
            settings += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(settings, 0);
}
