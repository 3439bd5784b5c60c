//! The part of the story about the chain of events.

use smtpcred::app::chain::{verify_chain, verify_latest};
use smtpcred::error::Error;
use smtpcred::model::event_chain::{ChainCheck, ChainPlace, KeptHead};
use smtpcred::store::{DomainChange, Store};

use super::{at, change, stamp};

pub fn story(store: &mut Store) {
    let before = verify_chain(store, None).unwrap();
    assert_eq!(before.fault, None, "{before:?}");
    assert!(before.events > 50);

    // What is rolled back leaves no gap.
    let name = "chained.example".parse().unwrap();
    let mut tx = store.begin(stamp(91_000_000)).unwrap();
    tx.add_domain(&name, &DomainChange::default()).unwrap();
    tx.flush().unwrap();
    drop(tx);
    assert_eq!(store.chain_marks().unwrap().head, Some(before.head));
    change(store, 91_000_001, |tx| {
        tx.add_domain(&name, &DomainChange::default())?;
        tx.flush()?;
        // After what may be a change's last word.
        tx.remove_domain(&name)
    });
    let kept = KeptHead {
        id: None,
        hash: before.head.hash,
    };
    let after = verify_chain(store, Some(kept)).unwrap();
    assert_eq!(after.fault, None, "{after:?}");
    assert_eq!(after.head.id, before.head.id + 2);

    // In pieces, and from the middle.
    let marks = store.chain_marks().unwrap();
    let mut check = ChainCheck::new(marks, None);
    while store.read_chain(&mut check, 7).unwrap() {}
    let pieces = check.end();
    assert_eq!((pieces.fault, pieces.events), (None, after.events));
    let place = store.chain_before_latest(2).unwrap();
    assert_eq!(place, Some(before.head));
    assert_eq!(store.chain_before_latest(1_000_000).unwrap(), None);
    for (latest, read) in [(2, 2), (1_000_000, after.events)] {
        let report = verify_latest(store, latest).unwrap();
        assert_eq!((report.fault, report.events), (None, read));
    }
    archived(store, after.head);
}

/// In a change that is rolled back: later parts of the story read all events.
fn archived(store: &mut Store, head: ChainPlace) {
    assert_eq!(store.chain_before(at(-1)).unwrap(), None);
    let place = store.chain_before(at(91_000_001)).unwrap().unwrap();
    let events = store.count_events_to(place.id).unwrap();
    let all = store.count_events_to(head.id).unwrap();
    assert!(events > 0 && events < all, "{events} of {all}");
    let installation = store.installation().unwrap();
    let none = ChainPlace::default();
    for (after, head, events) in [
        (place, place, events),
        (none, head, events),
        (none, place, 1),
    ] {
        let mut tx = store.begin(stamp(91_000_002)).unwrap();
        let refused = tx.remove_archived(after, head, events, "events.jsonl");
        assert!(
            matches!(refused, Err(Error::Inconsistent(_))),
            "{refused:?}"
        );
    }
    let mut tx = store.begin(stamp(91_000_002)).unwrap();
    tx.remove_archived(none, place, events, "events.jsonl")
        .unwrap();
    tx.flush().unwrap();
    let store = tx.store();
    assert_eq!(store.count_events_to(place.id).unwrap(), 0);
    assert_eq!(store.installation().unwrap(), installation);
    let mut check = ChainCheck::new(store.chain_marks().unwrap(), None);
    while store.read_chain(&mut check, 100).unwrap() {}
    let report = check.end();
    assert_eq!((report.fault, report.first), (None, Some(place.id + 1)));
    assert_eq!(report.events, u64::from(all - events + 1));
}
