//! A part of the story: a user is renamed with all that is its own, and its old name is
//! known; tags and notes.

use smtpcred::error::{Error, Result};
use smtpcred::model::day::Day;
use smtpcred::model::name::{DomainName, Username};
use smtpcred::model::setting::Setting;
use smtpcred::model::tag::{Tag, TagChange, TagFilter};
use smtpcred::model::transfer::{TransferPassword, TransferRecord};
use smtpcred::model::usage::UsageBy;
use smtpcred::model::usage_window::Count;
use smtpcred::model::user::User;
use smtpcred::store::{
    DailyUsage, DomainChange, EventFilter, ImportedUser, OldPasswords, Page, Scope, Seen,
    SendingChange, Store, UserChange, UserFilter,
};

use super::{at, change, events, hash, names, new_user, password, stamp};

const BEGIN: i64 = 60_000_000;

pub fn story(store: &mut Store) {
    for domain in ["old.example", "new.example"] {
        let domain = domain.parse().unwrap();
        change(store, BEGIN, |tx| {
            tx.add_domain(&domain, &DomainChange::default())
        });
    }
    tags(store);
    everything_moves(store);
    old_names(store);
    clocks(store);
    sums_stay_right(store);
}

fn user(name: &str) -> Username {
    name.parse().unwrap()
}

fn tag(text: &str) -> TagChange {
    text.parse::<Tag>().unwrap().into()
}

fn found(store: &mut Store, tags: &[&str], domain: Option<&str>) -> Vec<User> {
    let filter = UserFilter {
        domain: domain.map(|name| name.parse().unwrap()),
        tags: tags
            .iter()
            .map(|tag| tag.parse::<TagFilter>().unwrap())
            .collect(),
        ..UserFilter::default()
    };
    let mut found = Vec::new();
    store
        .users(&filter, &Page::default(), at(BEGIN), &mut |user| {
            found.push(user);
            Ok(())
        })
        .unwrap();
    found
}

fn tags(store: &mut Store) {
    let (a, b) = (user("tag-a@old.example"), user("tag-b@new.example"));
    for (name, tags) in [
        (&a, vec![tag("stage=prod"), tag("team=web two")]),
        (
            &b,
            vec![tag("stage=test"), tag("stages=prod"), tag("x=stage=prod")],
        ),
    ] {
        let mut new = new_user(name);
        new.tags = &tags;
        change(store, BEGIN, |tx| {
            tx.add_user(&new, &password("taggedid", 19_456))
        });
    }
    let named = |store: &mut Store, tags: &[&str]| {
        let found = found(store, tags, None);
        names(&found).join(" ")
    };
    let some = store.some_tags(100).unwrap();
    let count = |tag: &str| some.iter().filter(|one| *one == tag).count();
    assert_eq!(
        ["stage=prod", "stage=test", "team=web two"].map(count),
        [1; 3]
    );
    assert_eq!(store.some_tags(1).unwrap().len(), 1);
    assert_eq!(named(store, &["stage=prod"]), "tag-a@old.example");
    assert_eq!(
        named(store, &["stage"]),
        "tag-a@old.example tag-b@new.example"
    );
    assert_eq!(
        named(store, &["stage", "team=web two"]),
        "tag-a@old.example"
    );
    assert_eq!(named(store, &["x=stage=prod"]), "tag-b@new.example");
    assert_eq!(named(store, &["team=web"]), "");
    assert!(found(store, &["stage=prod"], Some("new.example")).is_empty());
    let update = UserChange {
        note: Some(Setting::Some("asked for by Jane".parse().unwrap())),
        tags: vec![
            tag("stage=test"),
            TagChange {
                key: "team".parse().unwrap(),
                value: Setting::None,
            },
        ],
        ..UserChange::default()
    };
    change(store, BEGIN + 1, |tx| tx.set_user(&a, &update));
    // Alone, among all, and among some.
    let alone = store.user(&a).unwrap().unwrap();
    let all = found(store, &[], None);
    let some = found(store, &["stage"], None);
    for one in [&[alone][..], &all, &some] {
        let one = one.iter().find(|user| user.username == a).unwrap();
        assert_eq!(one.note.as_deref(), Some("asked for by Jane"));
        assert_eq!(
            one.tags.clone().into_iter().collect::<Vec<_>>(),
            [("stage".into(), "test".into())]
        );
    }
    let event = last_event(store, &a);
    assert_eq!(event["tags"]["stage"], "test");
    assert!(event["tags"]["team"].is_null() && event["note"] == "asked for by Jane");
    exported(store, &a);
    change(store, BEGIN + 2, |tx| tx.delete_user(&a));
    change(store, BEGIN + 2, |tx| tx.delete_user(&b));
    change(store, BEGIN + 3, |tx| {
        tx.add_user(&new_user(&a), &password("taggedid", 19_456))
    });
    assert!(store.user(&a).unwrap().unwrap().tags.is_empty());
    change(store, BEGIN + 4, |tx| tx.delete_user(&a));
}

fn last_event(store: &mut Store, username: &Username) -> serde_json::Value {
    let filter = EventFilter {
        username: Some(username.clone()),
        ..EventFilter::default()
    };
    events(store, &filter).pop().unwrap().fields
}

/// What an export writes, an import reads.
fn exported(store: &mut Store, a: &Username) {
    let stored = store
        .stored_users_named(&[a])
        .unwrap()
        .pop()
        .flatten()
        .unwrap();
    assert_eq!(stored.record.note.as_deref(), Some("asked for by Jane"));
    assert_eq!(
        stored.record.tags.as_deref(),
        Some(&["stage=test".to_owned()][..])
    );
    let record = TransferRecord {
        note: Some(String::new()),
        tags: Some(vec!["a=b c".into(), "d=e".into()]),
        ..TransferRecord::default()
    };
    let columns = record.differences(&stored);
    assert_eq!(columns, ["note", "tags"]);
    let new = ImportedUser {
        username: a,
        record: &record,
        password_ids: ["unused01", "unused02"].map(|id| password(id, 8).password_id),
        from: "csv",
    };
    change(store, BEGIN + 2, |tx| {
        tx.change_imported(&new, &stored, &columns)
    });
    let stored = store
        .stored_users_named(&[a])
        .unwrap()
        .pop()
        .flatten()
        .unwrap();
    assert!(record.differences(&stored).is_empty(), "{stored:?}");
}

fn one_message() -> Count {
    Count {
        messages: 1,
        recipients: 2,
        new_recipients: 1,
    }
}

/// All that a user can have, each of it under one name or the other.
fn everything(store: &mut Store, name: &Username) -> String {
    let rules = store.rules_of_users(&[name]).unwrap().pop().flatten();
    let Some(rules) = rules else {
        let counts =
            store.usage_window(Scope::user(name), &limits(), at(BEGIN + 20), &Day::Rolling);
        return format!(
            "nothing {:?} {:?}",
            counts.unwrap(),
            store.rotation_rules(name).unwrap()
        );
    };
    let User {
        username: _,
        label,
        note,
        tags,
        daily_limit,
        expires_at,
        suspended_at,
        created_at,
        passwords,
        temporary,
    } = rules.user;
    let hashes = store.hashes(name).unwrap();
    let sending = store.sending_rules(name).unwrap().unwrap();
    let counts = store.usage_window(Scope::user(name), &limits(), at(BEGIN + 20), &Day::Rolling);
    format!(
        "{label:?} {note:?} {tags:?} {daily_limit:?} {expires_at:?} {suspended_at:?} {created_at:?}
        {passwords:?} {temporary:?} {hashes:?} {:?} {:?} {:?} {:?} {:?} {:?} {} {:?} {:?}",
        rules.senders,
        rules.limits,
        rules.on_limit,
        rules.rotation,
        sending.digest_name(name).as_str(),
        counts.unwrap(),
        store.knows_recipient(name, 77).unwrap(),
        store.unfinished(name).unwrap(),
        store.last_addresses(name).unwrap(),
    )
}

fn limits() -> smtpcred::model::limits::Limits {
    let mut limits = smtpcred::model::limits::Limits::default();
    limits.set("messages/hour".parse().unwrap(), Some(9));
    limits.set("recipients/day".parse().unwrap(), Some(9));
    limits
}

fn everything_moves(store: &mut Store) {
    let (old, new) = (user("shop@old.example"), user("store@new.example"));
    make(store, &old);
    let before = everything(store, &old);
    let nothing = everything(store, &new);
    change(store, BEGIN + 20, |tx| {
        tx.rename_user(&old, &new, Some(at(BEGIN + 90)))
    });
    assert_eq!(everything(store, &new), before);
    assert_eq!(everything(store, &old), nothing);
    let row = store.sign_in_row(&new).unwrap().unwrap();
    assert_eq!(row.hashes.len(), 3);
    assert!(store.sign_in_row(&old).unwrap().is_none());
    assert!(store.password_without_user().unwrap().is_none());
    // Its events, those of the time before, too.
    let filter = EventFilter {
        username: Some(new.clone()),
        old_names: vec![old.clone()],
        ..EventFilter::default()
    };
    let all = events(store, &filter);
    let actions: Vec<_> = all.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(
        actions.join(" "),
        "user.create user.set user.reset user.issue rotation.begin rotation.withdraw user.rename"
    );
    assert!(all.is_sorted_by_key(|event| event.id));
    let fields = &all.last().unwrap().fields;
    assert_eq!(
        (&fields["old"], &fields["new"]),
        (&old.as_str().into(), &new.as_str().into())
    );
    // The rename is an event of both domains.
    for domain in [&old, &new].map(Username::domain) {
        let of_domain = EventFilter {
            domain: Some(domain),
            ..EventFilter::default()
        };
        let last = events(store, &of_domain).pop().unwrap();
        assert_eq!(last.id, all.last().unwrap().id);
        let mut newest = None;
        let mut each = |event: smtpcred::model::event::Event| {
            newest = Some(event.id);
            Ok(())
        };
        store.events_back(&of_domain, Some(1), &mut each).unwrap();
        assert_eq!(newest, Some(last.id));
    }
    for most in 1..=7 {
        let after = store.before_latest(&filter, most).unwrap();
        let mut latest = Vec::new();
        let mut each = |event: smtpcred::model::event::Event| {
            latest.push(event.id);
            Ok(())
        };
        store.events(&filter, after, None, &mut each).unwrap();
        let expected = &all[all.len().saturating_sub(most as usize)..];
        assert!(
            latest.iter().eq(expected.iter().map(|event| &event.id)),
            "{most}"
        );
    }
    // Dovecot's views know both names.
    let known = store.old_name(&old).unwrap().unwrap();
    assert_eq!((&known.username, known.until), (&new, Some(at(BEGIN + 90))));
    assert_eq!(known.renamed_at, at(BEGIN + 20));
    assert!(store.was_any_renamed(at(BEGIN + 20)).unwrap());
    assert!(!store.was_any_renamed(at(BEGIN + 21)).unwrap());
    // A second name, and the first one moves along.
    let last = user("last@new.example");
    change(store, BEGIN + 30, |tx| {
        tx.rename_user(&new, &last, Some(at(BEGIN + 99)))
    });
    let sending = store.sending_rules(&last).unwrap().unwrap();
    assert_eq!(
        sending.digest_name(&last),
        &old,
        "its digests stay what they are"
    );
    let both: Vec<_> = store.old_names_of(&last).unwrap();
    let until: Vec<_> = both
        .iter()
        .map(|old| (old.old_name.as_str(), old.until))
        .collect();
    assert_eq!(
        until,
        [
            ("shop@old.example", Some(at(BEGIN + 90))),
            ("store@new.example", Some(at(BEGIN + 99)))
        ]
    );
    // Back to the first name, without an overlap: nothing else works any more.
    change(store, BEGIN + 40, |tx| tx.rename_user(&last, &old, None));
    assert_eq!(everything(store, &old), before);
    let both = store.old_names_of(&old).unwrap();
    assert_eq!(names_of(&both), ["store@new.example", "last@new.example"]);
    // Not even once the clock is set back.
    assert!(both.iter().all(|old| !old.works(at(BEGIN))));
    change(store, BEGIN + 50, |tx| tx.delete_user(&old));
    assert!(store.old_name(&last).unwrap().is_none() && !store.was_any_renamed(at(0)).unwrap());
}

fn names_of(old: &[smtpcred::model::old_name::OldName]) -> Vec<&str> {
    old.iter().map(|old| old.old_name.as_str()).collect()
}

fn make(store: &mut Store, old: &Username) {
    let sending = SendingChange {
        senders: Some(vec!["shop@old.example".parse().unwrap()]),
        limits: vec![
            "messages/hour=9".parse().unwrap(),
            "recipients/day=9".parse().unwrap(),
        ],
        on_limit: Some(Setting::Some("reject".parse().unwrap())),
    };
    let rotation = smtpcred::model::rotation::RulesChange {
        every: Some(Setting::Some("90d".parse().unwrap())),
        ..super::NO_RULES.clone()
    };
    let (label, note) = ("Shop".parse().unwrap(), "a note".parse().unwrap());
    let tags = [tag("stage=prod")];
    let mut new = new_user(old);
    (new.label, new.note, new.tags) = (Some(&label), Some(&note), &tags);
    (new.sending, new.rotation) = (&sending, &rotation);
    new.expires_at = Some(at(BEGIN * 2));
    change(store, BEGIN + 5, |tx| {
        tx.add_user(&new, &password("renamed1", 19_456))
    });
    let daily = UserChange {
        daily_limit: Some(Setting::Some("77".parse().unwrap())),
        ..UserChange::default()
    };
    change(store, BEGIN + 6, |tx| tx.set_user(old, &daily));
    let retire = OldPasswords::RetireAt(at(BEGIN + 500));
    change(store, BEGIN + 7, |tx| {
        tx.reset_password(old, &password("renamed2", 19_456), retire)
    });
    super::temporary::issue(store, old, "renamed4", BEGIN + 7, BEGIN + 900);
    // A rotation that failed.
    let id = password("renamed3", 19_456);
    change(store, BEGIN + 8, |tx| {
        tx.begin_rotation(
            old,
            &id,
            &smtpcred::model::delivery::Destination::default(),
            false,
        )?;
        tx.flush()
    });
    change(store, BEGIN + 9, |tx| {
        tx.withdraw_rotation(old, &id.password_id, "no route")
    });
    change(store, BEGIN + 10, |tx| {
        let seen = Seen {
            at: at(BEGIN + 10),
            address: Some("192.0.2.9".into()),
        };
        tx.set_last_connection(old, &password("renamed1", 8).password_id, &seen)?;
        tx.count(Scope::user(old), one_message(), at(BEGIN + 10))?;
        tx.add_recipient(old, 77, at(BEGIN + 10)).map(|_| ())
    });
}

/// Which users may get the name.
fn old_names(store: &mut Store) {
    let (a, b) = (user("a@old.example"), user("b@old.example"));
    change(store, BEGIN + 60, |tx| {
        tx.add_user(&new_user(&a), &password("oldname1", 19_456))
    });
    let missing = attempt(store, |tx| {
        tx.rename_user(&user("ghost@old.example"), &b, None)
    });
    assert!(
        matches!(missing, Err(Error::UserNotFound(_))),
        "{missing:?}"
    );
    change(store, BEGIN + 60, |tx| {
        tx.rename_user(&a, &b, Some(at(BEGIN + 100)))
    });
    let found = store.old_names_named(&[&b, &a]).unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|old| old.as_ref().map(|old| &old.username))
        .collect();
    assert_eq!(found, [None, Some(&b)]);
    let new = attempt(store, |tx| {
        tx.add_user(&new_user(&a), &password("oldname2", 19_456))
    });
    assert!(matches!(new, Err(Error::UserExists(_))), "{new:?}");
    let record = TransferRecord {
        password: Some(TransferPassword {
            hash: hash(19_456).as_str().to_owned(),
            ..TransferPassword::default()
        }),
        ..TransferRecord::default()
    };
    let imported = ImportedUser {
        username: &a,
        record: &record,
        password_ids: ["oldname2", "oldname3"].map(|id| password(id, 8).password_id),
        from: "csv",
    };
    let new = attempt(store, |tx| tx.add_imported(&imported));
    assert!(matches!(new, Err(Error::UserExists(_))), "{new:?}");
    // It stops at once, and another user can have it.
    change(store, BEGIN + 61, |tx| tx.set_old_name(&a, &b, None));
    assert!(!store.old_name(&a).unwrap().unwrap().works(at(BEGIN)));
    change(store, BEGIN + 62, |tx| {
        tx.add_user(&new_user(&a), &password("oldname2", 19_456))
    });
    assert!(store.old_name(&a).unwrap().is_none());
    change(store, BEGIN + 63, |tx| tx.delete_user(&a));
    change(store, BEGIN + 63, |tx| tx.delete_user(&b));
    // A domain that is removed stops its old names, which stay known.
    let domain: DomainName = "gone.example".parse().unwrap();
    change(store, BEGIN + 64, |tx| {
        tx.add_domain(&domain, &DomainChange::default())
    });
    let c = user("c@gone.example");
    change(store, BEGIN + 64, |tx| {
        tx.add_user(&new_user(&c), &password("oldname4", 19_456))
    });
    change(store, BEGIN + 65, |tx| {
        tx.rename_user(&c, &b, Some(at(BEGIN + 100)))
    });
    let mut left = |second| store.old_names_left_in(&domain, at(second)).unwrap();
    assert_eq!(names_of(&left(BEGIN + 99)), [c.as_str()]);
    assert!(left(BEGIN + 100).is_empty());
    let elsewhere = "old.example".parse().unwrap();
    assert!(
        store
            .old_names_left_in(&elsewhere, at(BEGIN))
            .unwrap()
            .is_empty()
    );
    change(store, BEGIN + 66, |tx| tx.remove_domain(&domain));
    let known = store.old_name(&c).unwrap().unwrap();
    assert_eq!((known.username, known.until), (b.clone(), None));
    // The domain is added again, and another user gets the name.
    change(store, BEGIN + 66, |tx| {
        tx.add_domain(&domain, &DomainChange::default())
    });
    change(store, BEGIN + 66, |tx| {
        tx.add_user(&new_user(&c), &password("oldname6", 19_456))
    });
    assert!(store.old_name(&c).unwrap().is_none());
    change(store, BEGIN + 66, |tx| tx.delete_user(&c));
    change(store, BEGIN + 66, |tx| tx.remove_domain(&domain));
    assert!(store.user(&b).unwrap().is_some());
    change(store, BEGIN + 67, |tx| tx.delete_user(&b));
}

/// A user that was renamed while the clock was a year ahead.
fn clocks(store: &mut Store) {
    const AHEAD: i64 = BEGIN + 31_536_000;
    let (a, b, c) = (
        user("clock-a@old.example"),
        user("clock-b@old.example"),
        user("clock-c@old.example"),
    );
    change(store, BEGIN + 68, |tx| {
        tx.add_user(&new_user(&a), &password("oldname5", 19_456))
    });
    change(store, AHEAD, |tx| {
        tx.rename_user(&a, &b, None)?;
        tx.rename_user(&b, &c, Some(at(AHEAD + 90)))
    });
    let mut mended = |second| {
        change(store, second, |tx| {
            assert!(!tx.fix_retirements()?);
            Ok(())
        });
        [&a, &b].map(|name| store.old_name(name).unwrap().unwrap().until)
    };
    assert_eq!(
        mended(AHEAD - 300),
        [None, Some(at(AHEAD + 90))],
        "clocks differ a little"
    );
    let until = [None, Some(at(BEGIN + 159))];
    assert_eq!(mended(BEGIN + 69), until, "its time, from now");
    assert_eq!(mended(BEGIN + 70), until, "once");
    for name in [&a, &b] {
        let renamed_at = store.old_name(name).unwrap().unwrap().renamed_at;
        assert_eq!(renamed_at, at(BEGIN + 69));
    }
    change(store, BEGIN + 70, |tx| tx.delete_user(&c));
}

fn attempt(
    store: &mut Store,
    make: impl FnOnce(&mut smtpcred::store::Tx<'_>) -> Result<()>,
) -> Result<()> {
    let mut tx = store.begin(stamp(BEGIN + 60)).unwrap();
    make(&mut tx).and_then(|()| tx.flush())
}

/// Usage moves along; earlier days stay with the old domain.
fn sums_stay_right(store: &mut Store) {
    let (old, new) = (user("sum@old.example"), user("sum@new.example"));
    let today = at(BEGIN).epoch() / 86_400;
    let sent = DailyUsage {
        amount: one_message(),
        bytes: 10,
        refusals: 1,
    };
    change(store, BEGIN + 70, |tx| {
        tx.add_user(&new_user(&old), &password("sumsums1", 19_456))
    });
    change(store, BEGIN + 70, |tx| {
        // An earlier user of the new name sent on one of the days.
        let days = [
            (&old, today - 9, sent),
            (&old, today - 8, sent),
            (&old, today, sent),
        ];
        tx.add_usage(days.into_iter().chain([(&new, today - 8, sent)]))
    });
    change(store, BEGIN + 71, |tx| tx.rename_user(&old, &new, None));
    change(store, BEGIN + 72, |tx| tx.add_usage([(&new, today, sent)]));
    for day in [today - 9, today - 8, today] {
        assert_eq!(store.wrong_usage_sums(day).unwrap(), 0, "day {day}");
    }
    let mut usage = |by, since| {
        let mut found = Vec::new();
        let mut each = |usage: smtpcred::model::usage::Usage| {
            if [
                "sum@old.example",
                "sum@new.example",
                "old.example",
                "new.example",
            ]
            .contains(&usage.name.as_str())
            {
                found.push((usage.name, usage.messages));
            }
            Ok(())
        };
        store.usage(by, since, None, 1000, &mut each).unwrap();
        found.sort();
        found.retain(|(_, messages)| *messages > 0);
        found
    };
    let all = |name: &str, messages| (name.to_owned(), messages);
    assert_eq!(usage(UsageBy::User, today - 9), [all("sum@new.example", 5)]);
    assert_eq!(usage(UsageBy::Domain, today), [all("new.example", 2)]);
    assert_eq!(
        usage(UsageBy::Domain, today - 9),
        [all("new.example", 4), all("old.example", 1)]
    );
    change(store, BEGIN + 73, |tx| tx.delete_user(&new));
}
