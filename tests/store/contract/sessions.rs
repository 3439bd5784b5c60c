//! Sessions: what is sent with each password, which are open, and which were ended.

use smtpcred::model::address_rules::{AddressChange, AddressMode, AddressRules};
use smtpcred::model::event::EventStamp;
use smtpcred::model::name::Username;
use smtpcred::model::network::Network;
use smtpcred::model::password::PasswordId;
use smtpcred::model::session::{OpenSession, SessionEnd, SessionReport};
use smtpcred::model::setting::Setting;
use smtpcred::model::usage_window::Count;
use smtpcred::model::user::SentMail;
use smtpcred::store::{EventFilter, Scope, Store, UserClose};

use super::{at, change, stamp};

/// Far behind the other stories.
const NOON: i64 = 5_000_000;

pub fn story(store: &mut Store) {
    let username = &"s@s.example".parse::<Username>().unwrap();
    let id = store
        .user(username)
        .unwrap()
        .unwrap()
        .password()
        .unwrap()
        .id
        .clone();
    sent(store, username, &id);
    told(store, username, &id);
    ended(store, username, &id);
    closed(store, username, &id);
}

fn sent(store: &mut Store, username: &Username, id: &PasswordId) {
    let sent = |second, messages| SentMail {
        last_at: Some(at(NOON + second)),
        messages,
        recipients: 2 * messages,
    };
    let of = |store: &mut Store| {
        let user = store.user(username).unwrap().unwrap();
        user.passwords
            .iter()
            .find(|one| one.id == *id)
            .unwrap()
            .sent
    };
    let before = of(store);
    // The latest counts, and a password that is gone is nothing.
    for (second, messages) in [(5, 3), (2, 1)] {
        change(store, NOON + 5, |tx| {
            tx.add_sent(username, id, &sent(second, messages))?;
            let gone = PasswordId::stored("gonegone".into());
            tx.add_sent(username, &gone, &sent(second, messages))
        });
    }
    let found = of(store);
    assert_eq!(found.last_at, Some(at(NOON + 5)));
    assert_eq!(found.messages, before.messages + 4);
    assert_eq!(found.recipients, before.recipients + 8);
}

fn told(store: &mut Store, username: &Username, id: &PasswordId) {
    let session = |last| OpenSession {
        username: username.clone(),
        password_id: id.clone(),
        address: "192.0.2.7".parse().ok(),
        since: at(NOON),
        last: at(NOON + last),
        messages: 2,
        recipients: 3,
    };
    let stopped = OpenSession {
        password_id: PasswordId::stored("gonegone".into()),
        ..session(3)
    };
    let mut tx = store.begin(EventStamp { ..stamp(NOON) }).unwrap();
    let request = tx.ask_for_sessions().unwrap();
    tx.commit().unwrap();
    assert_eq!(store.newest_session_request().unwrap(), request);
    let report = |relay: &str, sessions| SessionReport {
        relay: relay.into(),
        host: format!("{relay}.example"),
        request,
        sessions,
    };
    let reports = [
        report("a", vec![session(1)]),
        report("b", vec![session(2), stopped]),
        // In place of the former one.
        report("a", vec![session(4)]),
    ];
    for report in &reports {
        change(store, NOON, |tx| tx.report_sessions(report));
    }
    let now = at(NOON + 10);
    let hosts = |store: &mut Store, now| {
        let told = store.session_reporters(now).unwrap().into_iter();
        told.map(|one| (one.host, one.request)).collect::<Vec<_>>()
    };
    let [a, b] = ["a.example", "b.example"].map(|host| (host.to_owned(), request));
    assert_eq!(hosts(store, now), [a, b.clone()]);
    assert_eq!(store.sessions(None, now).unwrap(), [session(4), session(2)]);
    assert_eq!(store.sessions(Some(username), now).unwrap().len(), 2);
    let nobody = "nobody@example.com".parse().ok();
    assert!(store.sessions(nobody.as_ref(), now).unwrap().is_empty());
    assert_eq!(store.relays_of("b.example").unwrap(), ["b"]);
    assert_eq!(store.session_count(now).unwrap(), Some(3));
    assert_eq!(store.session_count(at(NOON + 1000)).unwrap(), None);
    change(store, NOON, |tx| tx.forget_relay("a"));
    assert_eq!(hosts(store, now), [b]);
    assert_eq!(store.sessions(None, now).unwrap(), [session(2)]);
    // One that has said nothing for long is gone.
    assert!(store.sessions(None, at(NOON + 1000)).unwrap().is_empty());
    change(store, NOON + 1000, |tx| {
        tx.report_sessions(&report("a", Vec::new()))
    });
    assert_eq!(hosts(store, at(NOON + 1)).len(), 1);
}

fn ended(store: &mut Store, username: &Username, id: &PasswordId) {
    let ends = [
        SessionEnd {
            username: Some(username.clone()),
            password_id: Some(id.clone()),
            ..SessionEnd::default()
        },
        SessionEnd {
            domain: Some(username.domain()),
            network: "192.0.2.0/24".parse().ok(),
            ..SessionEnd::default()
        },
    ];
    let before = store.newest_session_end().unwrap();
    for (second, end) in (0..).zip(&ends) {
        change(store, NOON + second, |tx| tx.end_sessions(end, Some(3)));
    }
    let found = store.session_ends_after(before).unwrap();
    let [(first, _), (second, _)] = found[..] else {
        panic!("{found:?}");
    };
    assert!(before < first && first < second, "{found:?}");
    assert_eq!(store.newest_session_end().unwrap(), second);
    assert!(found.iter().map(|(_, end)| end).eq(&ends));
    let after_first = store.session_ends_after(first).unwrap();
    assert_eq!(after_first.len(), 1);
    let mut events = Vec::new();
    let after = store.last_event().unwrap() - 2;
    store
        .events(&EventFilter::default(), after, None, &mut |event| {
            events.push(event);
            Ok(())
        })
        .unwrap();
    assert!(events.iter().all(|event| event.action == "session.end"));
    assert_eq!(events[0].fields["password_id"], id.as_str());
    assert_eq!(events[1].fields["address"], "192.0.2.0/24");
    assert_eq!(events[1].fields["sessions"], 3);
    // Old ends go with a new one, and the numbers go on.
    let week = 8 * 86_400;
    change(store, NOON + week, |tx| tx.end_sessions(&ends[0], None));
    let left = store.session_ends_after(0).unwrap();
    assert!(left.last().unwrap().0 > second);
    assert_eq!(left.len(), 2, "the one before and the new one");
}

fn closed(store: &mut Store, username: &Username, id: &PasswordId) {
    assert_eq!(store.new_recipients_since(username, at(NOON)).unwrap(), 0);
    change(store, NOON, |tx| {
        tx.add_recipient(username, 7, at(NOON)).map(|_| ())
    });
    assert_eq!(store.new_recipients_since(username, at(NOON)).unwrap(), 1);
    let later = at(NOON + 1);
    assert_eq!(store.new_recipients_since(username, later).unwrap(), 0);
    let many = Count {
        new_recipients: 3,
        ..Count::default()
    };
    let lately = |store: &mut Store, second| {
        let now = at(NOON + second);
        store.new_recipients_in_hour(username, now).unwrap()
    };
    assert_eq!(lately(store, 0), 0);
    for second in [0, 1_800] {
        change(store, NOON + second, |tx| {
            tx.count(Scope::user(username), many, at(NOON + second))
        });
    }
    assert_eq!(
        [1_800, 3_700, 7_200].map(|second| lately(store, second)),
        [6, 3, 0]
    );
    let before = store.newest_session_end().unwrap();
    let stolen = [id.clone()];
    let close = |new| UserClose {
        username,
        stolen: &stolen,
        new,
        reason: None,
        sessions: None,
        addresses: None,
    };
    let alerts = store.open_alerts().unwrap().count;
    change(store, NOON, |tx| tx.close_user(close(None)));
    // Whoever types it knows it.
    assert_eq!(store.open_alerts().unwrap().count, alerts);
    let user = store.user(username).unwrap().unwrap();
    assert_eq!(user.suspended_at, Some(at(NOON)));
    assert!(
        user.passwords
            .iter()
            .all(|one| one.id != *id || !one.erased)
    );
    let (_, end) = &store.session_ends_after(before).unwrap()[0];
    assert_eq!(
        (&end.username, &end.password_id),
        (&Some(username.clone()), &Some(id.clone()))
    );
    let new = PasswordId::stored("other".into());
    let network: Network = "192.0.2.0/24".parse().unwrap();
    let listed = AddressChange {
        mode: Some(Setting::Some(AddressMode::Listed)),
        allow: vec![network],
        ..AddressChange::default()
    };
    let close = UserClose {
        addresses: Some((AddressRules::default(), listed)),
        ..close(Some(&new))
    };
    change(store, NOON, |tx| tx.close_user(close));
    let own = store.own_address_rules(Scope::user(username)).unwrap();
    assert_eq!(own.mode, Some(AddressMode::Listed));
    assert_eq!(own.given().collect::<Vec<_>>(), [network]);
    let user = store.user(username).unwrap().unwrap();
    assert!(user.passwords.iter().all(|one| one.id != *id || one.erased));
}
