//! The last part of the story: users as whole records, taken in and given out.

use smtpcred::model::name::Username;
use smtpcred::model::password::KeyId;
use smtpcred::model::roster::{Entry, Kept, Secret, mark};
use smtpcred::store::{Arrival, DomainChange, EventFilter, Store};

use super::{at, change, events, hash};

fn arrival<'a>(username: &'a Username, entry: &'a Entry, key: &str) -> Arrival<'a> {
    Arrival {
        username,
        entry,
        keys: [key, "oldkey22"].map(|key| KeyId::stored(key.into())),
        from: "csv",
    }
}

fn secret(hash: &str) -> Secret {
    Secret {
        hash: hash.into(),
        ..Secret::default()
    }
}

fn kept(store: &mut Store, domain: &str) -> Vec<Kept> {
    let mut found = Vec::new();
    let mut push = |user| {
        found.push(user);
        Ok(())
    };
    store
        .kept(Some(&domain.parse().unwrap()), &mut push)
        .unwrap();
    found
}

pub fn story(store: &mut Store) {
    let [one, two]: [Username; 2] = ["one@r.example", "two@r.example"].map(|n| n.parse().unwrap());
    change(store, 900, |tx| {
        tx.add_domain(&"r.example".parse().unwrap(), &DomainChange::default())
    });
    let md5 = "{MD5-CRYPT}$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/";
    let entry = Entry {
        label: Some("Shop".into()),
        daily_limit: Some(5),
        suspended_at: Some(at(3).epoch()),
        senders: Some(vec!["a@r.example".into(), "r.example".into()]),
        limits: Some("messages/hour=7 recipients/day=9".into()),
        on_limit: Some("reject".into()),
        created_at: Some(at(1).epoch()),
        password: Some(secret(md5)),
        old: Some(Secret {
            retires_at: Some(at(5000).epoch()),
            ..secret(hash(19_456).as_str())
        }),
        ..Entry::default()
    };
    change(store, 901, |tx| {
        tx.add_arrival(&arrival(&one, &entry, "newkey22"))
    });
    change(store, 902, |tx| {
        let plain = Entry {
            password: Some(Secret::made(&hash(19_456))),
            ..Entry::default()
        };
        tx.add_arrival(&arrival(&two, &plain, "newkey22"))
    });

    // What was said comes back, and what was not is empty.
    let found = kept(store, "r.example");
    assert_eq!(found.len(), 2);
    let said = Entry {
        expires_at: Some(0),
        password: None,
        old: None,
        ..entry.clone()
    };
    assert_eq!(found[0].entry, said);
    assert_eq!(found[1].entry.created_at, Some(at(902).epoch()));
    assert_eq!(found[1].entry.senders, Some(Vec::new()));
    let passwords = &found[0].passwords;
    assert_eq!(passwords.len(), 2);
    let new = passwords.iter().find(|p| p.retires_at.is_none()).unwrap();
    assert_eq!(
        (new.hash.as_deref(), new.imported.clone()),
        (Some(md5), Some(mark(md5)))
    );
    assert_eq!(found[1].passwords[0].imported, None, "it was in no file");
    assert!(entry.differences(&found[0]).is_empty());

    staging(store, &one);
    changing(store, &one, &entry, &found[0]);

    let about = EventFilter {
        domain: Some("r.example".parse().unwrap()),
        ..EventFilter::default()
    };
    let actions: Vec<_> = events(store, &about)
        .iter()
        .map(|e| e.action.clone())
        .collect();
    assert_eq!(
        actions,
        ["domain.add", "user.import", "user.import", "user.import"]
    );
    let text = format!("{:?}", events(store, &about));
    assert!(
        !text.contains("$1$") && !text.contains("argon2id"),
        "p1: {text}"
    );
}

fn staging(store: &mut Store, one: &Username) {
    // What waits, in the order of names, whatever order it comes in.
    store.begin_staging().unwrap();
    for (name, place) in [
        ("two@r.example", 1),
        ("new@r.example", 2),
        ("two@r.example", 3),
    ] {
        store
            .stage(&name.parse().unwrap(), place, &format!("record {place}"))
            .unwrap();
    }
    store.end_staging().unwrap();
    let staged = |store: &mut Store, after: (&str, i64), limit| {
        let mut found = Vec::new();
        let mut push = |name: Username, place, record| {
            found.push((name.to_string(), place, record));
            Ok(())
        };
        store.staged(after, limit, &mut push).unwrap();
        found
    };
    let all = staged(store, ("", i64::MIN), 10);
    let places: Vec<_> = all.iter().map(|(_, place, _)| *place).collect();
    assert_eq!(places, [2, 1, 3]);
    assert_eq!(all[1].2, "record 1");
    assert_eq!(staged(store, ("two@r.example", 1), 10).len(), 1);
    assert_eq!(staged(store, ("", 0), 1).len(), 1);
    let mut both = Vec::new();
    let mut push = |user: Kept| {
        both.push(user.username.to_string());
        Ok(())
    };
    store.kept_and_staged("a", "z", &mut push).unwrap();
    assert_eq!(both, ["two@r.example"], "once, and only who is in both");
    assert!(store.not_staged("", 10).unwrap().contains(one));
    assert!(!store.not_staged("one@r.example", 10).unwrap().contains(one));
    store.begin_staging().unwrap();
    store.end_staging().unwrap();
    assert!(staged(store, ("", 0), 10).is_empty(), "begun anew");
}

fn changing(store: &mut Store, one: &Username, entry: &Entry, kept_one: &Kept) {
    // A change is of the columns that differ alone.
    let said = Entry {
        label: Some(String::new()),
        limits: Some("messages/minute=1".into()),
        suspended_at: Some(0),
        password: Some(secret("{SHA}B/PcQHeAKywePq/ztWiCWf9lImE=")),
        ..Entry::default()
    };
    let columns = said.differences(kept_one);
    assert_eq!(columns, ["label", "suspended_at", "limits", "hash"]);
    change(store, 903, |tx| {
        tx.change_by_arrival(&arrival(one, &said, "thirdkey"), kept_one, &columns)
    });
    let now = &kept(store, "r.example")[0];
    assert!(said.differences(now).is_empty());
    assert_eq!(now.entry.daily_limit, Some(5));
    assert_eq!(now.entry.limits.as_deref(), Some("messages/minute=1"));
    assert_eq!(now.live(at(904)).count(), 1, "the others stopped");
    assert!(
        entry
            .differences(now)
            .iter()
            .all(|column| *column != "hash"),
        "a password that was replaced is not wanted back"
    );
}
