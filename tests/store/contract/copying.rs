//! The part of the story about a store as a whole.

use smtpcred::model::role::Role;
use smtpcred::model::store_location::Location;
use smtpcred::store::{CopiedTable, EventFilter, OwnedArg, Store};

use super::{events, stamp};

pub fn story(store: &mut Store) {
    for table in &CopiedTable::ALL {
        let mut rows = 0;
        let read = store.rows(table, &mut |_| {
            rows += 1;
            Ok(())
        });
        read.unwrap();
        assert_eq!(store.count(table).unwrap(), rows, "{}", table.name);
    }
    assert!(store.count(&CopiedTable::EVENTS).unwrap() > 20);

    // Rows as they are, events with their numbers; and the next one comes behind.
    let before = events(store, &EventFilter::default());
    let last = before.last().unwrap();
    let text = |text: &str| OwnedArg::Text(text.to_owned());
    let far = [
        OwnedArg::Int(last.id + 100),
        OwnedArg::Int(last.at.epoch()),
        text("ana"),
        OwnedArg::Null,
        text("relay"),
        text("user.create"),
        OwnedArg::Null,
        OwnedArg::Null,
        text("{}"),
        OwnedArg::Null,
    ];
    let mut tx = store.begin(stamp(90_000_001)).unwrap();
    tx.add_row(&CopiedTable::EVENTS, &far).unwrap();
    tx.end_copy(&Location::File("old.db".into()), 1).unwrap();
    let all = events(tx.store(), &EventFilter::default());
    let told = all.last().unwrap();
    assert_eq!(
        (told.id, told.action.as_str()),
        (last.id + 101, "store.copy")
    );
    drop(tx);

    let mut tx = store.begin(stamp(90_000_002)).unwrap();
    assert!(tx.grant(Role::Auditor, "nobody of this name").is_err());
}
