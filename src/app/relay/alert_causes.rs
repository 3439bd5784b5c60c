//! Each cause of an alert raises its kind and no other, and what is done every day raises none.

use std::time::{Duration, Instant};

use super::pending_writes::{PendingWrites, SignIn};
use super::testing::{NOW, TestStore, new_password};
use super::{Requester, Reservation, ReservationKind};
use crate::app::scan::{Leak, LeakState};
use crate::model::address_rules::{AddressChange, AddressVerdict};
use crate::model::alert::AlertKind;
use crate::model::alert_rules::{AlertChange, AlertRule, AlertSetting};
use crate::model::delivery::Destination;
use crate::model::limits::OnLimit;
use crate::model::name::Username;
use crate::model::password::PasswordId;
use crate::model::refused_sign_ins::RefusalReason;
use crate::model::rotation::Retire;
use crate::model::session::SessionEnd;
use crate::model::setting::Setting;
use crate::model::stranger::WrittenName;
use crate::model::time::Time;
use crate::model::usage_window::Count;
use crate::model::user::Status;
use crate::store::{OldPasswords, SendingChange, SettingsChange, Tx, UserChange};

type Deed = fn(&mut TestStore);

/// What is done to a store with the user shop@example.com, after what is done before.
struct Row {
    before: &'static [Deed],
    deed: Deed,
    raises: &'static [AlertKind],
}

const fn row(before: &'static [Deed], deed: Deed, raises: &'static [AlertKind]) -> Row {
    Row {
        before,
        deed,
        raises,
    }
}

const CAUSES: &[Row] = &[
    row(
        &[|s| signs_in(s, HOME, TELL)],
        |s| signs_in(s, AWAY, TELL),
        &[AlertKind::NewAddress],
    ),
    row(
        &[|s| signs_in(s, HOME, TELL)],
        |s| signs_in(s, AWAY, AddressVerdict::Learn { tell: true }),
        &[AlertKind::NewAddress],
    ),
    row(
        &[|s| many_networks(s, -7_200, AddressVerdict::Accept)],
        |s| many_networks(s, 0, TELL),
        &[AlertKind::ManyAddresses],
    ),
    row(&[], refused_address, &[AlertKind::RefusedAddress]),
    row(
        &[|s| limit(s, "messages/hour=10", OnLimit::Defer)],
        |s| sends(s, 8, 0),
        &[AlertKind::Limit],
    ),
    row(
        &[
            |s| limit(s, "messages/hour=10", OnLimit::Suspend),
            |s| sends(s, 8, 0),
        ],
        |s| sends(s, 2, 0),
        &[AlertKind::Limit],
    ),
    row(
        &[|s| limit(s, "recipients/day=10", OnLimit::Suspend)],
        |s| sends(s, 11, 0),
        &[AlertKind::Suspended],
    ),
    row(
        &[|s| limit(s, "messages/hour=10", OnLimit::Delete)],
        |s| sends(s, 11, 0),
        &[AlertKind::Suspended],
    ),
    row(
        &[],
        |s| refused(s, RefusalReason::WrongPassword, 100),
        &[AlertKind::Guesses],
    ),
    row(
        &[],
        |s| refused(s, RefusalReason::Mistyped, 100),
        &[AlertKind::Guesses],
    ),
    row(
        &[],
        |s| refused(s, RefusalReason::OldPassword, 1),
        &[AlertKind::OldPassword],
    ),
    row(
        &[record_recipients],
        |s| gathered(s, 51),
        &[AlertKind::NewRecipients],
    ),
    row(
        &[record_recipients, |s| gathered(s, 50)],
        |s| gathered(s, 51),
        &[AlertKind::NewRecipients],
    ),
    row(
        &[
            |s| limit(s, "new-recipients/day=1000", OnLimit::Defer),
            record_recipients,
        ],
        |s| sends(s, 1, 51),
        &[AlertKind::NewRecipients],
    ),
    row(
        &[begin_rotation],
        |s| s.change(|tx| tx.withdraw_rotation(&shop(), &new_id(), "why").unwrap()),
        &[AlertKind::RotationFailed],
    ),
    row(
        &[],
        |s| s.change(|tx| tx.refuse_rotation(&shop(), at(0), "why").unwrap()),
        &[AlertKind::RotationFailed],
    ),
    row(
        &[begin_rotation],
        |s| s.change(|tx| tx.leave_rotation(&shop(), &new_id(), "why").unwrap()),
        &[AlertKind::RotationUnfinished],
    ),
    row(&[|s| expires(s, 13)], tidies, &[AlertKind::Expiring]),
    row(&[|s| expires(s, -1)], tidies, &[AlertKind::Expiring]),
    row(
        &[],
        |s| s.app().store_is_back(90).unwrap(),
        &[AlertKind::StoreTrouble],
    ),
    row(&[], |s| found(s, LeakState::Works), &[AlertKind::Leak]),
    row(&[], |s| found(s, LeakState::Overlap), &[AlertKind::Leak]),
];

const ORDINARY: &[Row] = &[
    row(
        &[],
        |s| s.add_user("crm@example.com", "vague-Otter-62"),
        &[],
    ),
    row(&[], |s| s.reset("shop@example.com", "vague-Otter-62"), &[]),
    row(&[], reset_with_overlap, &[]),
    row(
        &[reset_with_overlap],
        |s| s.change(|tx| drop(tx.retire_password(&shop(), &id()).unwrap())),
        &[],
    ),
    row(&[], begin_rotation, &[]),
    row(&[begin_rotation], finish_rotation, &[]),
    row(
        &[begin_rotation],
        |s| s.change(|tx| tx.cancel_rotation(&shop(), &new_id(), "why").unwrap()),
        &[],
    ),
    // It was decided meanwhile.
    row(
        &[],
        |s| s.change(|tx| tx.leave_rotation(&shop(), &new_id(), "why").unwrap()),
        &[],
    ),
    row(&[], |s| drop(s.app().suspend_user(&shop()).unwrap()), &[]),
    row(
        &[|s| drop(s.app().suspend_user(&shop()).unwrap())],
        |s| drop(s.app().resume_user(&shop()).unwrap()),
        &[],
    ),
    row(&[], close, &[]),
    row(
        &[],
        |s| s.change(|tx| tx.delete_user(&shop()).unwrap()),
        &[],
    ),
    row(&[], rename, &[]),
    row(&[], allow, &[]),
    row(&[], |s| s.change(end_sessions), &[]),
    row(&[], |s| signs_in(s, HOME, TELL), &[]),
    row(
        &[|s| signs_in(s, HOME, TELL)],
        |s| signs_in(s, HOME, TELL),
        &[],
    ),
    row(
        &[|s| signs_in(s, HOME, TELL)],
        |s| signs_in(s, AWAY, AddressVerdict::Accept),
        &[],
    ),
    row(
        &[|s| signs_in(s, HOME, TELL)],
        |s| signs_in(s, AWAY, AddressVerdict::Learn { tell: false }),
        &[],
    ),
    row(
        &[|s| signs_in(s, HOME, TELL)],
        |s| signs_in(s, "unknown", TELL),
        &[],
    ),
    row(&[], |s| refused(s, RefusalReason::WrongPassword, 99), &[]),
    row(&[], |s| refused(s, RefusalReason::UnknownUser, 500), &[]),
    row(&[], |s| refused(s, RefusalReason::Suspended, 500), &[]),
    row(&[], |s| refused(s, RefusalReason::Expired, 500), &[]),
    row(&[], |s| refused(s, RefusalReason::NoTls, 500), &[]),
    row(&[], |s| sends(s, 50, 0), &[]),
    row(
        &[|s| limit(s, "messages/hour=10", OnLimit::Suspend)],
        |s| sends(s, 7, 0),
        &[],
    ),
    row(
        &[|s| limit(s, "messages/hour=10", OnLimit::Reject)],
        |s| sends(s, 11, 0),
        &[],
    ),
    row(&[], |s| limit(s, "messages/hour=10", OnLimit::Delete), &[]),
    row(&[record_recipients], |s| gathered(s, 50), &[]),
    row(
        &[record_recipients, |s| gathered(s, 50)],
        |s| gathered(s, 50),
        &[],
    ),
    row(
        &[|s| limit(s, "new-recipients/day=1000", OnLimit::Defer)],
        |s| sends(s, 1, 51),
        &[],
    ),
    row(&[|s| expires(s, 15)], tidies, &[]),
    row(&[|s| expires(s, 13), tidies], tidies, &[]),
    row(&[], |s| found(s, LeakState::Stopped), &[]),
    row(&[], |s| found(s, LeakState::Unknown), &[]),
];

#[test]
fn each_cause_raises_its_kind_and_ordinary_deeds_none() {
    for (number, row) in CAUSES.iter().chain(ORDINARY).enumerate() {
        assert_eq!(raised(row, None), row.raises, "row {number}");
    }
}

#[test]
fn a_kind_that_is_off_is_not_raised() {
    for (number, row) in CAUSES.iter().enumerate() {
        assert_eq!(raised(row, Some(row.raises[0])), [], "row {number}");
    }
    let mut tried: Vec<_> = CAUSES.iter().map(|row| row.raises[0]).collect();
    tried.sort_unstable();
    tried.dedup();
    assert_eq!(tried.len(), AlertKind::ALL.len(), "a kind has no cause");
}

/// Returns the kinds of the alerts that the deed of a row raises.
fn raised(row: &Row, off: Option<AlertKind>) -> Vec<AlertKind> {
    let mut store = TestStore::new();
    store.add_user("shop@example.com", "vague-Otter-61");
    for before in row.before {
        before(&mut store);
    }
    if let Some(kind) = off {
        let rule = AlertRule::Off;
        set_alert(&mut store, AlertSetting { kind, rule });
    }
    let last = store.app().store.alerts(i64::MAX, 1).unwrap();
    let last = last.first().map_or(0, |alert| alert.id);
    (row.deed)(&mut store);
    let alerts = store.app().store.alerts(i64::MAX, 100).unwrap();
    let new = alerts.iter().filter(|alert| alert.id > last);
    new.map(|alert| alert.kind).collect()
}

const HOME: &str = "192.0.2.7";
const AWAY: &str = "203.0.113.1";
const TELL: AddressVerdict = AddressVerdict::AcceptAndTell;

fn shop() -> Username {
    "shop@example.com".parse().unwrap()
}

fn id() -> PasswordId {
    PasswordId::stored("AAAAAAAA".into())
}

fn new_id() -> PasswordId {
    PasswordId::stored("BBBBBBBB".into())
}

fn at(second: i64) -> Time {
    Time::from_epoch(NOW + second)
}

fn note(store: &mut TestStore, pending: PendingWrites) {
    store.writer().note(pending, &[], &mut Vec::new()).unwrap();
}

fn signs_in(store: &mut TestStore, address: &str, verdict: AddressVerdict) {
    signs_in_from(store, &[address.to_owned()], 0, verdict);
}

fn signs_in_from(store: &mut TestStore, from: &[String], second: i64, verdict: AddressVerdict) {
    let mut pending = PendingWrites::default();
    for address in from {
        let one = SignIn {
            at: at(second),
            address: address.parse().ok(),
            verdict,
        };
        pending.signed_in(shop(), id(), &one);
    }
    note(store, pending);
}

fn many_networks(store: &mut TestStore, second: i64, verdict: AddressVerdict) {
    let from: Vec<_> = (0..6).map(|n| format!("192.0.{n}.1")).collect();
    signs_in_from(store, &from, second, verdict);
}

fn refused_address(store: &mut TestStore) {
    let mut pending = PendingWrites::default();
    pending.refused_address(shop(), AWAY.parse().ok(), at(0));
    note(store, pending);
}

fn refused(store: &mut TestStore, reason: RefusalReason, number: u32) {
    let mut pending = PendingWrites::default();
    for _ in 0..number {
        let name = WrittenName::shown("shop@example.com");
        pending.refused(&name, AWAY.parse().ok(), reason, at(0));
    }
    note(store, pending);
}

/// Sends one or more messages at once, to this many new recipients.
fn sends(store: &mut TestStore, messages: u32, new: u32) {
    let wanted = Reservation {
        username: shop(),
        amount: Count {
            messages,
            recipients: messages.max(new),
            new_recipients: new,
        },
        new_recipients: (0..u128::from(new)).collect(),
        recipient: None,
        kind: ReservationKind::Message,
        has_recipients: false,
        tries: 0,
        waits: 0,
        requester: Requester::until(Instant::now() + Duration::from_secs(60)),
    };
    let mut writer = store.writer();
    let reserved = writer.reserve(&[wanted], PendingWrites::default(), &mut Vec::new());
    reserved.unwrap();
}

/// Sends to the first of these recipients, where no limit counts them.
fn gathered(store: &mut TestStore, number: u128) {
    let mut pending = PendingWrites::default();
    for digest in 0..number {
        pending.sent_to(&shop(), digest, at(0));
    }
    note(store, pending);
}

fn record_recipients(store: &mut TestStore) {
    set_alert(store, "new-recipients".parse().unwrap());
}

fn set_alert(store: &mut TestStore, setting: AlertSetting) {
    let settings = SettingsChange {
        alerts: AlertChange {
            rules: vec![setting],
            ..AlertChange::default()
        },
        ..SettingsChange::default()
    };
    store.change(|tx| tx.set_settings(&settings).unwrap());
}

fn set_user(store: &mut TestStore, change: &UserChange) {
    store.change(|tx| tx.set_user(&shop(), change).unwrap());
}

fn limit(store: &mut TestStore, limit: &str, action: OnLimit) {
    let change = UserChange {
        sending: SendingChange {
            limits: vec![limit.parse().unwrap()],
            on_limit: Some(Setting::Some(action)),
            ..SendingChange::default()
        },
        ..UserChange::default()
    };
    set_user(store, &change);
}

fn expires(store: &mut TestStore, days: i64) {
    let change = UserChange {
        expires_at: Some(Setting::Some(at(days * 86_400))),
        ..UserChange::default()
    };
    set_user(store, &change);
}

fn allow(store: &mut TestStore) {
    let change = UserChange {
        addresses: AddressChange {
            allow: vec!["203.0.113.0/24".parse().unwrap()],
            ..AddressChange::default()
        },
        ..UserChange::default()
    };
    set_user(store, &change);
}

fn tidies(store: &mut TestStore) {
    store.app().tidy_rotation().unwrap();
}

fn begin_rotation(store: &mut TestStore) {
    let password = new_password("BBBBBBBB", "vague-Otter-62");
    let nowhere = Destination::default();
    store.change(|tx| {
        tx.begin_rotation(&shop(), &password, &nowhere, false)
            .unwrap();
    });
}

fn finish_rotation(store: &mut TestStore) {
    store.change(|tx| {
        let finished = tx.finish_rotation(&shop(), &new_id(), Retire::AtOnce);
        assert!(finished.unwrap());
    });
}

fn reset_with_overlap(store: &mut TestStore) {
    let password = new_password("BBBBBBBB", "vague-Otter-62");
    let old = OldPasswords::RetireAt(at(3_600));
    store.change(|tx| tx.reset_password(&shop(), &password, old).unwrap());
}

fn rename(store: &mut TestStore) {
    let new = "store@example.com".parse().unwrap();
    store.change(|tx| tx.rename_user(&shop(), &new, None).unwrap());
}

fn close(store: &mut TestStore) {
    let app = store.app();
    let since = "7d".parse().unwrap();
    let case = app.stolen_case(&shop(), since, None).unwrap();
    let user = app.close_user(&case, None, None, None).unwrap();
    assert!(user.suspended_at.is_some());
}

fn end_sessions(tx: &mut Tx<'_>) {
    let end = SessionEnd {
        username: Some(shop()),
        ..SessionEnd::default()
    };
    tx.end_sessions(&end, Some(1)).unwrap();
}

fn found(store: &mut TestStore, state: LeakState) {
    let leak = Leak {
        password_id: id(),
        state,
        user: Some((shop(), Status::Active)),
        until: None,
    };
    let places = [(&leak, "/var/www/.env:3".to_owned())];
    store.app().tell_of_leaks(&places).unwrap();
}
