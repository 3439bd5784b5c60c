//! The last part of the story: users as whole records, taken in and given out.

use smtpcred::error::Error;
use smtpcred::model::name::Username;
use smtpcred::model::password::PasswordId;
use smtpcred::model::time::Time;
use smtpcred::model::transfer::{StoredUser, TransferPassword, TransferRecord, fingerprint};
use smtpcred::store::{DomainChange, EventFilter, ImportedUser, Store};

use super::{at, change, events, hash, stamp};

fn imported<'a>(username: &'a Username, record: &'a TransferRecord, key: &str) -> ImportedUser<'a> {
    ImportedUser {
        username,
        record,
        password_ids: [key, "oldkey22"].map(|key| PasswordId::stored(key.into())),
        from: "csv",
    }
}

fn secret(hash: &str) -> TransferPassword {
    TransferPassword {
        hash: hash.into(),
        ..TransferPassword::default()
    }
}

fn kept(store: &mut Store, domain: &str) -> Vec<StoredUser> {
    let mut found = Vec::new();
    let mut push = |user| {
        found.push(user);
        Ok(())
    };
    store
        .stored_users(Some(&domain.parse().unwrap()), &mut push)
        .unwrap();
    found
}

pub fn story(store: &mut Store) {
    let [one, two]: [Username; 2] = ["one@r.example", "two@r.example"].map(|n| n.parse().unwrap());
    change(store, 900, |tx| {
        tx.add_domain(&"r.example".parse().unwrap(), &DomainChange::default())
    });
    let md5 = "{MD5-CRYPT}$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/";
    let record = TransferRecord {
        label: Some("Shop".into()),
        note: Some("a note".into()),
        tags: Some(vec!["env=prod".into(), "team=web two".into()]),
        daily_limit: Some(5),
        suspended_at: Some(at(3).epoch()),
        senders: Some(vec!["a@r.example".into(), "r.example".into()]),
        limits: Some("messages/hour=7 recipients/day=9".into()),
        on_limit: Some("reject".into()),
        created_at: Some(at(1).epoch()),
        password: Some(secret(md5)),
        old: Some(TransferPassword {
            retires_at: Some(at(5000).epoch()),
            generated: true,
            ..secret(hash(19_456).as_str())
        }),
        ..TransferRecord::default()
    };
    change(store, 901, |tx| {
        tx.add_imported(&imported(&one, &record, "newkey22"))
    });
    change(store, 902, |tx| {
        let plain = TransferRecord {
            password: Some(TransferPassword::made(&hash(19_456))),
            ..TransferRecord::default()
        };
        tx.add_imported(&imported(&two, &plain, "newkey22"))
    });

    // What was said comes back, and what was not is empty.
    let found = kept(store, "r.example");
    assert_eq!(found.len(), 2);
    let said = TransferRecord {
        expires_at: Some(0),
        password: None,
        old: None,
        ..record.clone()
    };
    assert_eq!(found[0].record, said);
    assert_eq!(found[1].record.created_at, Some(at(902).epoch()));
    assert_eq!(found[1].record.senders, Some(Vec::new()));
    let passwords = &found[0].passwords;
    assert_eq!(passwords.len(), 2);
    let new = passwords.iter().find(|p| p.retires_at.is_none()).unwrap();
    assert_eq!(
        (new.hash.as_deref(), new.imported.clone()),
        (Some(md5), Some(fingerprint(md5)))
    );
    assert_eq!(found[1].passwords[0].imported, None, "it was in no file");
    let old = passwords.iter().find(|p| p.retires_at.is_some()).unwrap();
    assert_eq!((new.generated, old.generated), (false, true));
    assert!(record.differences(&found[0]).is_empty());

    by_name(store, &one, &two);
    changing(store, &one, &record, &found[0]);

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
        [
            "domain.add",
            "user.import",
            "user.import",
            "user.import",
            "user.import",
            "user.import"
        ]
    );
    let text = format!("{:?}", events(store, &about));
    assert!(
        !text.contains("$1$") && !text.contains("argon2id"),
        "p1: {text}"
    );
}

fn by_name(store: &mut Store, one: &Username, two: &Username) {
    let nobody: Username = "nobody@r.example".parse().unwrap();
    let found = store.stored_users_named(&[two, &nobody, one]).unwrap();
    let names: Vec<_> = found
        .iter()
        .map(|user| {
            user.as_ref()
                .map(|user| (user.username.as_str(), user.passwords.len()))
        })
        .collect();
    assert_eq!(
        names,
        [Some(("two@r.example", 1)), None, Some(("one@r.example", 2))]
    );
    let made = store.user(one).unwrap().unwrap().created_at;
    let behind = store.created_after("nobody@r.example", 1).unwrap();
    assert_eq!(behind, [(one.clone(), made)]);
}

fn changing(store: &mut Store, one: &Username, record: &TransferRecord, kept_one: &StoredUser) {
    // A change is of the columns that differ alone.
    let said = TransferRecord {
        label: Some(String::new()),
        limits: Some("messages/minute=1".into()),
        suspended_at: Some(0),
        password: Some(secret("{SHA}B/PcQHeAKywePq/ztWiCWf9lImE=")),
        ..TransferRecord::default()
    };
    let columns = said.differences(kept_one);
    assert_eq!(columns, ["label", "suspended_at", "limits", "hash"]);
    change(store, 903, |tx| {
        tx.change_imported(&imported(one, &said, "thirdkey"), kept_one, &columns)
    });
    let now = &kept(store, "r.example")[0];
    assert!(said.differences(now).is_empty());
    assert_eq!(now.record.daily_limit, Some(5));
    assert_eq!(now.record.limits.as_deref(), Some("messages/minute=1"));
    assert_eq!(now.live(at(904)).count(), 1, "the others stopped");
    assert!(
        record
            .differences(now)
            .iter()
            .all(|column| *column != "hash"),
        "a password that was replaced is not wanted back"
    );
    beside(store, one, now);
}

/// The old password of a file is the one that is there; and one key is of one password.
fn beside(store: &mut Store, one: &Username, has: &StoredUser) {
    let there = &has.live(at(904)).next().unwrap();
    let said = |until: i64| TransferRecord {
        password: Some(secret("{SHA}uPjnudZV1YuWMljayKV2ogT8KFs=")),
        old: Some(TransferPassword {
            retires_at: Some(at(until).epoch()),
            ..secret(there.hash.as_deref().unwrap())
        }),
        ..TransferRecord::default()
    };
    let record = said(5_000);
    let other = TransferRecord {
        old: Some(TransferPassword {
            retires_at: Some(at(5_000).epoch()),
            ..secret(hash(9_216).as_str())
        }),
        ..said(5_000)
    };
    let mut tx = store.begin(stamp(905)).unwrap();
    let twice = ImportedUser {
        password_ids: ["fourthky", "fourthky"].map(|id| PasswordId::stored(id.into())),
        ..imported(one, &other, "")
    };
    let refused = tx.change_imported(&twice, has, &["hash"]);
    let refused = refused.and_then(|()| tx.flush()).unwrap_err();
    assert!(matches!(refused, Error::StoreRefused { .. }), "{refused:?}");
    drop(tx);

    let live = |store: &mut Store, second| -> Vec<(String, Option<Time>)> {
        let now = &kept(store, "r.example")[0];
        let live = now.live(at(second));
        live.map(|p| (p.password_id.to_string(), p.retires_at))
            .collect()
    };
    change(store, 905, |tx| {
        tx.change_imported(&imported(one, &record, "fourthky"), has, &["hash"])
    });
    let retiring = (there.password_id.to_string(), Some(at(5_000)));
    assert_eq!(live(store, 906), [("fourthky".into(), None), retiring]);
    // What has retired by now is not taken.
    let has = &kept(store, "r.example")[0];
    let record = TransferRecord {
        password: Some(secret("{SHA}B/PcQHeAKywePq/ztWiCWf9lImE=")),
        ..said(907)
    };
    change(store, 908, |tx| {
        tx.change_imported(&imported(one, &record, "fifthkey"), has, &["hash"])
    });
    assert_eq!(live(store, 906), [("fifthkey".into(), None)]);
}
