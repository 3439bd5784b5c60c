//! What a clock that was a year ahead has written counts as now, once.

use smtpcred::model::day::Day;
use smtpcred::model::limits::{LimitSetting, Limits};
use smtpcred::model::name::Username;
use smtpcred::model::password::PasswordId;
use smtpcred::model::refused_sign_ins::{RefusalReason, RefusedSignIns};
use smtpcred::model::stranger::WrittenName;
use smtpcred::model::time::Time;
use smtpcred::model::usage_window::Count;
use smtpcred::store::{FutureRows, Scope, Seen, Store};

use super::{at, change};

const AHEAD: i64 = 31_536_000;
const NOW: i64 = 30_000;

pub fn story(store: &mut Store) {
    let user = store.usernames("", 1).unwrap().remove(0);
    let user: Username = user.parse().unwrap();
    let key = store.user(&user).unwrap().unwrap().passwords[0].id.clone();
    let others = store
        .future_rows(at(NOW))
        .unwrap()
        .map_or(0, |later| later.rows);
    written_ahead(store, &user, &key);
    assert_eq!(store.future_rows(at(AHEAD)).unwrap(), None);
    let later = FutureRows {
        rows: others + 3 + 1 + 1,
        latest: at(AHEAD + 5),
    };
    assert_eq!(store.future_rows(at(NOW)).unwrap(), Some(later));
    // It counts until it is written anew, and for an hour from then on.
    assert_eq!(used(store, &user, NOW), 2);
    assert_eq!(used(store, &user, NOW + 90_000), 2);
    change(store, NOW, |tx| {
        tx.set_last_connection(&user, &key, &seen(NOW))?;
        tx.count(Scope::user(&user), one(), at(NOW))?;
        assert_eq!(tx.move_future_counts()?, 4);
        assert_eq!(tx.move_future_counts()?, 0);
        assert_eq!(tx.move_future_rows()?, others);
        Ok(())
    });
    assert_eq!(used(store, &user, NOW), 3);
    assert_eq!(used(store, &user, NOW + 3_659), 3);
    assert_eq!(used(store, &user, NOW + 3_660), 0);
    assert_eq!(store.future_rows(at(NOW)).unwrap(), None);
    let last = store.user(&user).unwrap().unwrap();
    let last = last.passwords.iter().find(|one| one.id == key).unwrap();
    assert_eq!(last.last_connection.as_ref().unwrap().at, at(NOW));
    refused(store, at(NOW));
}

fn written_ahead(store: &mut Store, user: &Username, key: &PasswordId) {
    let refusals = RefusedSignIns {
        username: WrittenName::stored("ahead@b.example".into()),
        address: "192.0.2.99".into(),
        reason: RefusalReason::UnknownUser,
        first_at: at(AHEAD),
        last_at: at(AHEAD + 5),
        count: 2,
    };
    change(store, AHEAD, |tx| {
        for _ in 0..2 {
            tx.count(Scope::user(user), one(), at(AHEAD))?;
        }
        tx.set_last_connection(user, key, &seen(AHEAD))?;
        tx.add_refusals(&refusals)
    });
}

const fn one() -> Count {
    Count {
        messages: 1,
        recipients: 1,
        new_recipients: 0,
    }
}

fn seen(second: i64) -> Seen {
    Seen {
        at: at(second),
        address: None,
    }
}

/// Of an hour.
fn used(store: &mut Store, user: &Username, second: i64) -> u64 {
    let kind = "messages/hour=9".parse::<LimitSetting>().unwrap().kind;
    let mut limits = Limits::default();
    limits.set(kind, Some(9));
    let owner = Scope::user(user);
    let tally = store.usage_window(owner, &limits, at(second), &Day::Rolling);
    tally.unwrap().used(kind, at(second), &Day::Rolling)
}

fn refused(store: &mut Store, now: Time) {
    let mut found = Vec::new();
    let mut each = |refusals: RefusedSignIns| {
        if refusals.address == "192.0.2.99" && refusals.reason == RefusalReason::UnknownUser {
            found.push((refusals.first_at, refusals.last_at));
        }
        Ok(())
    };
    store.refusals(at(0), None, None, &mut each).unwrap();
    assert_eq!(found, [(now, now)]);
}
