//! The part of the story about a running relay: signing in, sending, and what
//! is found out about both.

use smtpcred::error::Error;
use smtpcred::model::day::Day;
use smtpcred::model::event::Action;
use smtpcred::model::limit_kind::LimitKind;
use smtpcred::model::limits::{LimitSetting, Limits, OnLimit};
use smtpcred::model::name::{DomainName, Username};
use smtpcred::model::password::PasswordId;
use smtpcred::model::refused_sign_ins::{RefusalReason, RefusedSignIns};
use smtpcred::model::setting::Setting;
use smtpcred::model::stranger::WrittenName;
use smtpcred::model::usage::{Usage, UsageBy};
use smtpcred::model::usage_window::Count;
use smtpcred::store::{
    DailyUsage, DomainChange, OldPasswords, Scope, Seen, SendingChange, SettingsChange, Store,
    UserChange,
};

use super::{at, change, hash, password};

pub fn limits(text: &[&str]) -> SendingChange {
    SendingChange {
        limits: text
            .iter()
            .map(|text| text.parse::<LimitSetting>().unwrap())
            .collect(),
        ..SendingChange::default()
    }
}

/// Uses and leaves users x, y and z as it found them.
pub fn story(store: &mut Store, open: &dyn Fn() -> Store) {
    // As a relay opens it: nothing is any different.
    store.keep_little().unwrap();
    signing_in(store, open);
    rules_of_sending(store);
    counts(store);
    usage(store);
    refusals(store);
}

fn signing_in(store: &mut Store, open: &dyn Fn() -> Store) {
    let [x, nobody]: [Username; 2] =
        ["x@b.example", "nobody@b.example"].map(|name| name.parse().unwrap());
    let seen = store.version().unwrap();
    assert_eq!(store.version().unwrap(), seen, "nothing changed");
    let until = OldPasswords::RetireAt(at(900));
    let mut other = open();
    change(&mut other, 262, |tx| {
        tx.reset_password(&x, &password("key00005", 19_456), until)
    });
    assert_ne!(
        store.version().unwrap(),
        seen,
        "another connection changed something"
    );

    let row = store.sign_in_row(&x).unwrap().unwrap();
    let keys: Vec<_> = row
        .hashes
        .iter()
        .map(|h| (h.password_id.as_str(), h.retires_at))
        .collect();
    assert_eq!(keys, [("key00005", None), ("key00004", Some(at(900)))]);
    assert_eq!(row.hashes[0].hash, hash(19_456).as_str());
    assert_eq!((row.expires_at, row.suspended_at), (None, None));
    assert!(store.sign_in_row(&nobody).unwrap().is_none());

    let key = PasswordId::stored("key00005".into());
    let seen = |second, address: Option<&str>| Seen {
        at: at(second),
        address: address.map(str::to_owned),
    };
    quietly(store, |tx| {
        tx.set_last_connection(&x, &key, &seen(264, Some("192.0.2.7")))?;
        // Seen earlier, said later; and of a password that is not there.
        tx.set_last_connection(&x, &key, &seen(263, Some("192.0.2.8")))?;
        tx.set_last_connection(&x, &PasswordId::stored("gone".into()), &seen(265, None))?;
        tx.set_last_connection(&nobody, &key, &seen(265, None))
    });
    assert_eq!(store.last_addresses(&x).unwrap(), ["192.0.2.7"]);
    let user = store.user(&x).unwrap().unwrap();
    assert_eq!(user.last_connection().unwrap().at, at(264));
}

fn rules_of_sending(store: &mut Store) {
    let x: Username = "x@b.example".parse().unwrap();
    let b: DomainName = "b.example".parse().unwrap();
    let of_user = SendingChange {
        senders: Some(vec![
            "info@other.org".parse().unwrap(),
            "b.example".parse().unwrap(),
        ]),
        on_limit: Some(Setting::Some(OnLimit::Suspend)),
        ..limits(&["messages/hour=7", "recipients/day=70"])
    };
    change(store, 266, |tx| {
        tx.set_user(
            &x,
            &UserChange {
                sending: of_user,
                ..UserChange::default()
            },
        )?;
        tx.set_domain(
            &b,
            &DomainChange {
                sending: limits(&["messages/minute=3"]),
                ..DomainChange::default()
            },
        )?;
        tx.set_settings(&SettingsChange {
            sending: SendingChange {
                on_limit: Some(Setting::Some(OnLimit::Reject)),
                ..limits(&["messages/day=1000"])
            },
            day: Some("UTC".parse().unwrap()),
            allow_insecure: Some(true),
            ..SettingsChange::default()
        })
    });
    let rules = store.sending_rules(&x).unwrap().unwrap();
    assert!(rules.is_limited());
    let senders: Vec<_> = rules.senders.iter().map(ToString::to_string).collect();
    assert_eq!(senders, ["b.example", "info@other.org"]);
    assert_eq!(store.senders(&x).unwrap(), rules.senders);
    let all = |i: usize| -> Vec<String> {
        rules.limits[i]
            .iter()
            .map(|(kind, most)| format!("{kind}={most}"))
            .collect()
    };
    assert_eq!(all(0), ["messages/hour=7", "recipients/day=70"]);
    assert_eq!(
        all(1),
        ["messages/minute=3", "messages/day=9"].map(str::to_owned)[..1],
        "b has no daily limit"
    );
    assert_eq!(all(2), ["messages/day=1000"]);
    assert_eq!(
        rules.on_limit,
        [Some(OnLimit::Suspend), None, Some(OnLimit::Reject)]
    );
    assert_eq!(store.limits(Scope::domain(&b)).unwrap(), rules.limits[1]);
    assert_eq!(Scope::INSTALLATION.name(), "the installation");
    assert_eq!(store.domain_on_limit(&b).unwrap(), None);
    let settings = store.settings().unwrap();
    assert_eq!(
        (settings.day.to_string().as_str(), settings.allow_insecure),
        ("UTC", true)
    );
    assert_eq!(settings.limits, rules.limits[2]);

    no_rules_of_sending(store);
}

fn no_rules_of_sending(store: &mut Store) {
    let x: Username = "x@b.example".parse().unwrap();
    let b: DomainName = "b.example".parse().unwrap();
    let nothing = SendingChange {
        senders: Some(Vec::new()),
        on_limit: Some(Setting::None),
        ..limits(&["messages/hour=none", "recipients/day=none"])
    };
    change(store, 267, |tx| {
        tx.set_user(
            &x,
            &UserChange {
                sending: nothing,
                ..UserChange::default()
            },
        )?;
        tx.set_domain(
            &b,
            &DomainChange {
                sending: limits(&["messages/minute=none"]),
                ..DomainChange::default()
            },
        )?;
        tx.set_settings(&SettingsChange {
            sending: SendingChange {
                on_limit: Some(Setting::None),
                ..limits(&["messages/day=none"])
            },
            day: Some(Day::Rolling),
            allow_insecure: Some(false),
            ..SettingsChange::default()
        })
    });
    let rules = store.sending_rules(&x).unwrap().unwrap();
    assert!(rules.senders.is_empty() && rules.limits.iter().all(Limits::is_empty));
    assert_eq!(rules.on_limit(), OnLimit::Defer);
    assert!(!store.settings().unwrap().allow_insecure);
    assert!(
        store
            .sending_rules(&"nobody@b.example".parse().unwrap())
            .unwrap()
            .is_none()
    );
}

/// What is counted ahead, by two relays in the same second.
fn held(store: &mut Store, x: &Username, [one, seven]: [Count; 2]) {
    let owner = Scope::user(x);
    let held = |store: &mut Store, second| {
        let held = store.leased(owner, at(second)).unwrap();
        (held.messages, held.recipients)
    };
    quietly(store, |tx| {
        tx.lease(owner, one, at(4000))?;
        tx.lease(owner, seven, at(4000))
    });
    assert_eq!(held(store, 4001), (8, 10));
    assert_eq!(held(store, 4006), (0, 0), "nobody hands that back any more");
    quietly(store, |tx| tx.release(owner, one, at(4000)));
    assert_eq!(held(store, 4001), (7, 7));
    quietly(store, |tx| tx.release(owner, seven, at(4000)));
    assert_eq!(held(store, 4001), (0, 0));
    assert_eq!(
        store.leased(Scope::INSTALLATION, at(4001)).unwrap(),
        Count::default()
    );
}

fn counts(store: &mut Store) {
    let x: Username = "x@b.example".parse().unwrap();
    let one = Count {
        messages: 1,
        recipients: 3,
        new_recipients: 1,
    };
    let seven = Count {
        messages: 7,
        recipients: 7,
        new_recipients: 0,
    };
    quietly(store, |tx| {
        for owner in Scope::all(&x) {
            tx.count(owner, one, at(0))?;
            tx.count(owner, seven, at(0))?;
            tx.count(owner, one, at(4000))?;
            tx.uncount(owner, seven, at(0))?;
        }
        Ok(())
    });
    let kinds = [
        "messages/hour=9",
        "recipients/day=9",
        "new-recipients/day=9",
    ];
    let kinds = kinds.map(|text| text.parse::<LimitSetting>().unwrap().kind);
    let mut some = Limits::default();
    for kind in kinds {
        some.set(kind, Some(9));
    }
    for owner in Scope::all(&x) {
        let tally = store
            .usage_window(owner, &some, at(4000), &Day::Rolling)
            .unwrap();
        let used = kinds.map(|kind| tally.used(kind, at(4000), &Day::Rolling));
        assert_eq!(used, [1, 6, 2], "{owner:?}");
        let minute: LimitKind = "messages/minute".parse().unwrap();
        assert_eq!(
            tally.used(minute, at(4000), &Day::Rolling),
            0,
            "not asked for"
        );
    }
    let limits = [some, Limits::default(), some];
    let windows = store
        .usage_windows(&x, &limits, at(4000), &Day::Rolling)
        .unwrap();
    let used = windows.map(|window| kinds.map(|kind| window.used(kind, at(4000), &Day::Rolling)));
    assert_eq!(used, [[1, 6, 2], [0; 3], [1, 6, 2]]);
    held(store, &x, [one, seven]);
    // A day later nothing of the hour is left to be kept.
    quietly(store, |tx| {
        tx.forget_old_counts(at(4000 + 90_000), &Day::Rolling, 99)
            .map(|_| ())
    });
    let tally = store
        .usage_window(Scope::user(&x), &some, at(4000), &Day::Rolling)
        .unwrap();
    assert_eq!(tally.used(kinds[0], at(4000), &Day::Rolling), 0);

    assert!(!store.knows_recipient(&x, 7).unwrap());
    quietly(store, |tx| {
        assert!(tx.add_recipient(&x, 7, at(0))?);
        assert!(!tx.add_recipient(&x, 7, at(1))?);
        assert!(!tx.add_recipient(&"nobody@b.example".parse()?, 7, at(1))?);
        Ok(())
    });
    assert!(store.knows_recipient(&x, 7).unwrap());
    quietly(store, |tx| tx.delete_recipient(&x, 7));
    assert!(!store.knows_recipient(&x, 7).unwrap());

    change(store, 268, |tx| {
        tx.record_limit(Action::LimitNear, Scope::user(&x), kinds[0], 9, 8, &x)
    });
}

fn usage(store: &mut Store) {
    let [x, y]: [Username; 2] = ["x@b.example", "y@a.example"].map(|name| name.parse().unwrap());
    let sent = |messages| DailyUsage {
        amount: Count {
            messages,
            recipients: 2 * messages,
            new_recipients: 0,
        },
        bytes: 1000,
        refusals: 1,
    };
    quietly(store, |tx| {
        tx.add_usage([(&x, 100, sent(1)), (&x, 101, sent(2))])?;
        tx.add_usage([(&x, 101, sent(3)), (&y, 101, sent(4))])
    });
    let mut list = |by, since, top| -> Vec<(String, u64)> {
        let mut found = Vec::new();
        let mut each = |usage: Usage| {
            found.push((usage.name, usage.messages));
            Ok(())
        };
        store.usage(by, since, None, top, &mut each).unwrap();
        found
    };
    let named = |name: &str, n| (name.to_owned(), n);
    assert_eq!(
        list(UsageBy::User, 0, 9),
        [named("x@b.example", 6), named("y@a.example", 4)]
    );
    assert_eq!(list(UsageBy::Domain, 101, 1), [named("b.example", 5)]);
    assert_eq!(
        list(UsageBy::Day, 0, 9),
        [named("1970-04-11", 1), named("1970-04-12", 9)]
    );
    let mut whole = None;
    let mut each = |usage| {
        whole = Some(usage);
        Ok(())
    };
    store.usage(UsageBy::User, 101, None, 1, &mut each).unwrap();
    let whole: Usage = whole.unwrap();
    assert_eq!(
        (whole.recipients, whole.bytes, whole.refusals),
        (10, 2000, 2)
    );
    quietly(store, |tx| tx.forget_old_usage(101, 99).map(|_| ()));
    let mut days = 0;
    let mut count = |_| {
        days += 1;
        Ok(())
    };
    store.usage(UsageBy::Day, 0, None, 9, &mut count).unwrap();
    assert_eq!(days, 1);
}

fn refusals(store: &mut Store) {
    let refused = |username: &str, second, count| RefusedSignIns {
        username: WrittenName::stored(username.into()),
        address: "203.0.113.9".into(),
        reason: RefusalReason::WrongPassword,
        first_at: at(second),
        last_at: at(second),
        count,
    };
    quietly(store, |tx| {
        tx.add_refusals(&refused("x@b.example", 1, 2))?;
        tx.add_refusals(&refused("stranger", 2, 1))?;
        tx.add_refusals(&refused("x@b.example", 3, 5))
    });
    let list = |store: &mut Store| -> Vec<(String, i64)> {
        let mut found = Vec::new();
        let mut each = |refusals: RefusedSignIns| {
            found.push((refusals.username.as_str().to_owned(), refusals.count));
            Ok(())
        };
        store.refusals(at(0), None, None, &mut each).unwrap();
        found
    };
    let all = [("x@b.example".to_owned(), 7), ("stranger".to_owned(), 1)];
    assert_eq!(list(store), all, "the latest first");
    quietly(store, |tx| tx.forget_old_refusals(at(0), 1, 99).map(|_| ()));
    assert_eq!(list(store), all[..1]);
    quietly(store, |tx| tx.forget_old_refusals(at(4), 1, 99).map(|_| ()));
    assert!(list(store).is_empty());
}

/// What is found out leaves no event.
fn quietly(
    store: &mut Store,
    make: impl FnOnce(&mut smtpcred::store::Tx<'_>) -> Result<(), Error>,
) {
    let before = super::events(store, &smtpcred::store::EventFilter::default()).len();
    change(store, 0, make);
    let after = super::events(store, &smtpcred::store::EventFilter::default()).len();
    assert_eq!(before, after);
}
