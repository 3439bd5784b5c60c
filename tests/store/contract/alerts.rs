//! Alerts: raised once an hour for the same matter, and read back.

use smtpcred::model::alert::{AlertKind, NewAlert};
use smtpcred::model::alert_rules::{AlertChange, AlertRule, AlertSetting, AlertWay};
use smtpcred::model::name::Username;
use smtpcred::model::time::Time;
use smtpcred::store::{AlertClaim, AlertPace, SUMMED_UP, SettingsChange, Store};

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
        ..NewAlert::of_user(AlertKind::NewAddress, username, "It was\r used.".into())
    };
    for (second, matter) in [(0, "a"), (10, "a"), (20, "b"), (3_700, "a")] {
        change(store, NOON + second, |tx| tx.raise(&raised(&x(), matter)));
    }
    for (second, matter, expected) in [(3_700, "a", true), (3_700, "b", false), (3_700, "c", false)]
    {
        change(store, NOON + second, |tx| {
            assert_eq!(tx.is_told(&raised(&x(), matter))?, expected, "{matter}");
            Ok(())
        });
    }
    let found = store.alerts(i64::MAX, 3).unwrap();
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
        ("It was\\u{d} used.", Some("smtpcred user allow"))
    );
    assert_eq!(first.acked_at, None);
    assert_eq!(
        store.alerts(first.id + 1, 1).unwrap(),
        std::slice::from_ref(first)
    );
    assert!(store.ways_due(at(NOON + 9_999)).unwrap().is_empty());
    rules_are_kept(store);
    outbox(store);
    acknowledged_and_forgotten(store);
}

fn set(store: &mut Store, second: i64, alerts: AlertChange) {
    let settings = SettingsChange {
        alerts,
        ..SettingsChange::default()
    };
    change(store, NOON + second, |tx| tx.set_settings(&settings));
}

fn ways(commands: &[&str], addresses: &[&str]) -> AlertChange {
    AlertChange {
        commands: Some(commands.iter().map(|one| one.parse().unwrap()).collect()),
        addresses: Some(addresses.iter().map(|one| one.parse().unwrap()).collect()),
        ..AlertChange::default()
    }
}

fn rules_are_kept(store: &mut Store) {
    let mut change = ways(&["tell 'a b'", "page"], &["ana@example.org"]);
    let leak = AlertSetting {
        kind: AlertKind::Leak,
        rule: AlertRule::Off,
    };
    change.rules = vec!["limit=90%".parse().unwrap(), leak];
    set(store, 4_000, change.clone());
    let rules = store.alert_rules().unwrap();
    assert_eq!(Some(&rules.commands), change.commands.as_ref());
    assert_eq!(Some(&rules.addresses), change.addresses.as_ref());
    assert_eq!(rules.rule(AlertKind::Limit).to_string(), "90%");
    assert!(!rules.is_on(AlertKind::Leak));
    let any: Username = store.usernames("", 1).unwrap()[0].parse().unwrap();
    let many = |store: &mut Store| {
        let rules = store.sending_rules(&any).unwrap().unwrap();
        rules.many_new_recipients
    };
    assert_eq!(many(store), None);
    for (rule, expected) in [("9/h", Some(9)), ("50/h", Some(50)), ("off", None)] {
        let kind = AlertKind::NewRecipients;
        let rule = AlertRule::stored(kind, rule).unwrap();
        let rules = vec![AlertSetting { kind, rule }];
        let alerts = AlertChange {
            rules,
            ..AlertChange::default()
        };
        set(store, 4_000, alerts);
        assert_eq!(many(store), expected);
    }
    change.rules[0].rule = AlertKind::Limit.default_on();
    set(store, 4_001, change);
    let rules = store.alert_rules().unwrap();
    assert_eq!(rules.rule(AlertKind::Limit).to_string(), "80%");
}

/// An alert is due at once for each way, is claimed by one relay, and is tried again.
fn outbox(store: &mut Store) {
    const CLAIMED: i64 = 60;
    let raise = |store: &mut Store, second, kind, matter: &str| {
        let alert = NewAlert {
            matter: matter.into(),
            ..NewAlert::of_user(kind, &x(), "It was used.".into())
        };
        change(store, NOON + second, |tx| tx.raise(&alert));
    };
    raise(store, 4_010, AlertKind::Leak, "off");
    assert!(store.ways_due(at(NOON + 4_010)).unwrap().is_empty());
    raise(store, 4_010, AlertKind::Guesses, "c");
    // The clock goes back a little: it is the same matter.
    raise(store, 4_000, AlertKind::Guesses, "c");
    let now = at(NOON + 4_011);
    let mail = "mail ana@example.org";
    let all = ["exec page", "exec tell 'a b'", mail];
    let mut due = store.ways_due(now).unwrap();
    due.sort();
    assert_eq!(due, all);
    let id = store.first_alert_due(mail, now).unwrap().unwrap();
    let alert = store.alerts(id + 1, 1).unwrap().remove(0);
    assert_eq!((alert.more, alert.kind), (1, AlertKind::Guesses));

    raise(store, 4_011, AlertKind::Limit, "d");
    let found = store.alerts_due(mail, now).unwrap();
    let next = id + 1;
    let wanted = [
        (AlertKind::Guesses, 1, id, id),
        (AlertKind::Limit, 1, next, next),
    ];
    assert_eq!(found, wanted);
    let claim = |first, last, now: Time| AlertClaim {
        way: mail.into(),
        first,
        last,
        until: Time::from_epoch(now.epoch() + CLAIMED),
    };
    let one = claim(id, id, now);
    change(store, NOON + 4_011, |tx| tx.claim_alerts(&one));
    assert_eq!(store.first_alert_due(mail, now).unwrap(), Some(next));
    change(store, NOON + 4_012, |tx| tx.alerts_sent(&one, false));
    let since = at(NOON + 4_000);
    let pace = |store: &mut Store| store.alert_pace(mail, since, at(NOON + 9_000)).unwrap();
    let mut wanted = AlertPace {
        alone: 1,
        summed_up: 0,
    };
    assert_eq!(pace(store), wanted);

    // The next one fails, and waits; one that is raised meanwhile does not.
    let second = claim(next, next, now);
    change(store, NOON + 4_011, |tx| tx.claim_alerts(&second));
    let again = at(NOON + 4_200);
    change(store, NOON + 4_012, |tx| {
        tx.alerts_not_sent(&second, "exited with 1", again, 2)
    });
    let delivery = |store: &mut Store, id| {
        let all = store.alert_deliveries(id, id).unwrap();
        all.into_iter().find(|found| found.way == mail).unwrap()
    };
    let found = delivery(store, next);
    assert_eq!((found.tries, found.next_at), (1, Some(again)));
    let way = AlertWay::Mail("ana@example.org".parse().unwrap());
    let unsent = store.unsent_alerts(&way).unwrap().unwrap();
    assert_eq!((unsent.count, unsent.since), (1, at(NOON + 4_011)));
    assert_eq!(unsent.reason, "exited with 1");
    // The other ways have not been tried.
    let (due, since) = store.alerts_due_by(at(NOON + 4_010)).unwrap().unwrap();
    assert_eq!((due, since), (2, at(NOON + 4_010)));
    assert_eq!(store.alerts_due_by(at(NOON)).unwrap(), None);
    assert_eq!(found.reason.as_deref(), Some("exited with 1"));
    assert_eq!(store.first_alert_due(mail, at(NOON + 4_100)).unwrap(), None);
    raise(store, 4_100, AlertKind::Limit, "e");
    let newer = next + 1;
    let later = at(NOON + 4_300);
    assert_eq!(store.first_alert_due(mail, later).unwrap(), Some(newer));
    let both = claim(next, newer, later);
    change(store, NOON + 4_300, |tx| tx.claim_alerts(&both));
    // The second failure of the one is its last.
    change(store, NOON + 4_301, |tx| {
        tx.alerts_not_sent(&both, "exited with 2", at(NOON + 4_400), 2)
    });
    let found = delivery(store, next);
    assert_eq!((found.tries, found.next_at, found.sent_at), (2, None, None));
    // A time that a wrong clock wrote is no time.
    let early = at(NOON - 100_000);
    assert_eq!(store.first_alert_due(mail, early).unwrap(), Some(newer));
    let last = claim(newer, newer, at(NOON + 4_401));
    change(store, NOON + 4_401, |tx| tx.claim_alerts(&last));
    change(store, NOON + 4_402, |tx| tx.alerts_sent(&last, true));
    assert_eq!(delivery(store, newer).reason.as_deref(), Some(SUMMED_UP));
    assert_eq!(store.unsent_alerts(&way).unwrap(), None);
    wanted.summed_up = 1;
    assert_eq!(pace(store), wanted);

    // A threshold for guesses, and users that expire, each told once.
    let mut most = None;
    change(store, NOON + 4_450, |tx| {
        most = tx.guesses_per_hour()?;
        tx.raise_expiring()?;
        tx.raise_expiring()
    });
    assert_eq!(most, Some(100));

    // What is no longer set gets nothing.
    set(store, 4_500, ways(&["page"], &[]));
    assert_eq!(store.ways_due(later).unwrap(), ["exec page"]);
    set(store, 4_501, ways(&[], &[]));
    assert!(store.ways_due(later).unwrap().is_empty());
}

fn acknowledged_and_forgotten(store: &mut Store) {
    let last = store.alerts(i64::MAX, 1).unwrap().remove(0).id;
    let open = store.open_alerts().unwrap().count;
    let mut acked = 0;
    change(store, NOON + 5_000, |tx| {
        acked = tx.ack_alerts(last - 1, last)?;
        Ok(())
    });
    assert_eq!(acked, 2);
    let found = store.alerts(i64::MAX, 1).unwrap().remove(0);
    assert_eq!(found.acked_at, Some(at(NOON + 5_000)));
    let left = store.open_alerts().unwrap();
    assert_eq!(left.count, open - 2);
    // Neither of those that were acknowledged.
    assert!(left.latest.len() == 1 && left.latest[0].id < last - 1);
    let username = left.latest[0].username.clone().unwrap();
    let own = store.open_alerts_of(&username, 1).unwrap();
    assert_eq!(own.latest, left.latest);
    assert!((1..=left.count).contains(&own.count));
    let nobody = "nobody@example.com".parse().unwrap();
    assert_eq!(store.open_alerts_of(&nobody, 1).unwrap().count, 0);

    let first = at(NOON);
    assert_eq!(store.old_alerts(first, 2).unwrap(), open - 2);
    let mut forgotten = 0;
    change(store, NOON + 5_001, |tx| {
        forgotten = tx.forget_old_alerts(first, 2, 1)?;
        Ok(())
    });
    assert_eq!(forgotten, 1);
    change(store, NOON + 5_001, |tx| {
        tx.forget_old_alerts(first, 2, 100_000).map(drop)
    });
    assert_eq!(store.alerts(i64::MAX, 100).unwrap().len(), 2);
}
