//! Each cause of an alert raises its kinds and no other, and what is done every day raises none. A long
//! file: the two tables are read together.

mod deeds;

use deeds::{
    AWAY, HOME, TELL, allow, at, begin_rotation, close, domain_limit, end_sessions, expires,
    finish_rotation, found, found_of, gathered, id, limit, many_networks, new_id,
    record_recipients, refused, refused_all, refused_from, rename, reset_with_overlap, sends,
    set_alert, shop, signs_in, signs_in_from, tidies,
};

use super::testing::TestStore;
use crate::app::scan::LeakState;
use crate::model::address_rules::AddressVerdict;
use crate::model::alert::AlertKind;
use crate::model::alert_rules::{AlertRule, AlertSetting};
use crate::model::limits::OnLimit;
use crate::model::refused_sign_ins::RefusalReason;
use crate::model::user::Status;

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
    row(
        &[],
        |s| refused_from(s, &[AWAY]),
        &[AlertKind::RefusedAddress],
    ),
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
    // Several at once, and others of each kind.
    row(
        &[|s| signs_in(s, HOME, TELL)],
        |s| signs_in_from(s, &[AWAY.into(), "198.51.100.1".into()], 0, TELL),
        &[AlertKind::NewAddress, AlertKind::NewAddress],
    ),
    row(
        &[|s| signs_in(s, HOME, TELL)],
        |s| signs_in(s, "2001:db8::1", TELL),
        &[AlertKind::NewAddress],
    ),
    row(
        &[|s| signs_in(s, "2001:db8::1", TELL)],
        |s| signs_in(s, "2001:db8:0:1::1", TELL),
        &[AlertKind::NewAddress],
    ),
    row(
        &[
            |s| signs_in(s, HOME, AddressVerdict::Accept),
            |s| signs_in(s, "198.51.100.1", AddressVerdict::Accept),
        ],
        |s| signs_in(s, AWAY, TELL),
        &[AlertKind::NewAddress],
    ),
    // The very first network is the owner's, as far as anyone knows.
    row(
        &[],
        |s| many_networks(s, 0, TELL),
        &[
            AlertKind::NewAddress,
            AlertKind::NewAddress,
            AlertKind::NewAddress,
            AlertKind::NewAddress,
            AlertKind::NewAddress,
            AlertKind::ManyAddresses,
        ],
    ),
    row(
        &[|s| set_alert(s, "many-addresses=1/h".parse().unwrap())],
        |s| signs_in_from(s, &[HOME.into(), AWAY.into()], 0, TELL),
        &[AlertKind::NewAddress, AlertKind::ManyAddresses],
    ),
    row(
        &[],
        |s| refused_from(s, &["unknown"]),
        &[AlertKind::RefusedAddress],
    ),
    row(
        &[],
        |s| refused_from(s, &[HOME, AWAY]),
        &[AlertKind::RefusedAddress, AlertKind::RefusedAddress],
    ),
    row(
        &[],
        |s| refused_from(s, &[AWAY, AWAY, "203.0.113.2"]),
        &[AlertKind::RefusedAddress],
    ),
    row(
        &[|s| limit(s, "messages/hour=10", OnLimit::Defer)],
        |s| sends(s, 10, 0),
        &[AlertKind::Limit],
    ),
    row(
        &[|s| limit(s, "recipients/day=10", OnLimit::Reject)],
        |s| sends(s, 8, 0),
        &[AlertKind::Limit],
    ),
    row(
        &[|s| limit(s, "messages/minute=10", OnLimit::Delete)],
        |s| sends(s, 9, 0),
        &[AlertKind::Limit],
    ),
    row(
        &[
            |s| limit(s, "messages/day=10", OnLimit::Defer),
            |s| set_alert(s, "limit=50%".parse().unwrap()),
        ],
        |s| sends(s, 5, 0),
        &[AlertKind::Limit],
    ),
    row(
        &[|s| limit(s, "new-recipients/day=10", OnLimit::Defer)],
        |s| sends(s, 1, 8),
        &[AlertKind::Limit],
    ),
    row(
        &[
            |s| limit(s, "messages/hour=10", OnLimit::Defer),
            |s| limit(s, "recipients/day=10", OnLimit::Defer),
        ],
        |s| sends(s, 8, 0),
        &[AlertKind::Limit, AlertKind::Limit],
    ),
    row(
        &[
            |s| limit(s, "messages/hour=10", OnLimit::Defer),
            |s| limit(s, "new-recipients/day=1000", OnLimit::Defer),
            record_recipients,
        ],
        |s| sends(s, 8, 51),
        &[AlertKind::Limit, AlertKind::NewRecipients],
    ),
    row(&[domain_limit], |s| sends(s, 8, 0), &[AlertKind::Limit]),
    row(
        &[|s| limit(s, "new-recipients/day=10", OnLimit::Suspend)],
        |s| sends(s, 1, 11),
        &[AlertKind::Suspended],
    ),
    row(
        &[|s| set_alert(s, "guesses=10/h".parse().unwrap())],
        |s| refused(s, RefusalReason::WrongPassword, 10),
        &[AlertKind::Guesses],
    ),
    row(
        &[],
        |s| {
            let wrong = RefusalReason::WrongPassword;
            refused_all(s, &[(HOME, wrong, 50), (AWAY, wrong, 50)]);
        },
        &[AlertKind::Guesses],
    ),
    row(
        &[],
        |s| {
            let (old, wrong) = (RefusalReason::OldPassword, RefusalReason::WrongPassword);
            refused_all(s, &[(AWAY, old, 1), (AWAY, wrong, 100)]);
        },
        &[AlertKind::OldPassword, AlertKind::Guesses],
    ),
    row(
        &[|s| drop(s.app().suspend_user(&shop()).unwrap())],
        |s| refused(s, RefusalReason::OldPassword, 3),
        &[AlertKind::OldPassword],
    ),
    row(
        &[|s| set_alert(s, "new-recipients=10/h".parse().unwrap())],
        |s| gathered(s, 11),
        &[AlertKind::NewRecipients],
    ),
    row(
        &[begin_rotation, |s| {
            s.change(|tx| tx.leave_rotation(&shop(), &new_id(), "why").unwrap());
        }],
        |s| s.change(|tx| tx.withdraw_rotation(&shop(), &new_id(), "why").unwrap()),
        &[AlertKind::RotationFailed],
    ),
    row(&[|s| expires(s, 14)], tidies, &[AlertKind::Expiring]),
    row(
        &[
            |s| set_alert(s, "expiring=30d".parse().unwrap()),
            |s| expires(s, 29),
        ],
        tidies,
        &[AlertKind::Expiring],
    ),
    // Each time of expiry is told by itself.
    row(
        &[|s| expires(s, 13), tidies, |s| expires(s, 10)],
        tidies,
        &[AlertKind::Expiring],
    ),
    row(
        &[|s| expires(s, 13), tidies, |s| expires(s, -1)],
        tidies,
        &[AlertKind::Expiring],
    ),
    row(
        &[],
        |s| found_of(s, &id(), LeakState::Works, Status::Suspended),
        &[AlertKind::Leak],
    ),
    row(
        &[|s| found(s, LeakState::Works)],
        |s| found_of(s, &new_id(), LeakState::Works, Status::Active),
        &[AlertKind::Leak],
    ),
    // A theft, from its beginning to its end.
    row(
        &[|s| signs_in(s, HOME, TELL)],
        |s| {
            found(s, LeakState::Works);
            signs_in(s, AWAY, TELL);
            s.reset("shop@example.com", "vague-Otter-62");
            refused(s, RefusalReason::OldPassword, 1);
        },
        &[
            AlertKind::Leak,
            AlertKind::NewAddress,
            AlertKind::OldPassword,
        ],
    ),
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
        assert_eq!(raised(row, None), sorted(row.raises), "row {number}");
    }
}

#[test]
fn a_kind_that_is_off_is_not_raised() {
    // They are counted, and not caused by a change of the store.
    const OF_MESSAGES: [AlertKind; 3] =
        [AlertKind::Bounces, AlertKind::Deferred, AlertKind::QueueOld];
    for (number, row) in CAUSES.iter().enumerate() {
        let off = row.raises[0];
        let mut left = sorted(row.raises);
        left.retain(|kind| *kind != off);
        assert_eq!(raised(row, Some(off)), left, "row {number}");
    }
    assert!(CAUSES.len() >= 50, "{}", CAUSES.len());
    let mut tried: Vec<_> = CAUSES.iter().map(|row| row.raises[0]).collect();
    tried.sort_unstable();
    tried.dedup();
    tried.extend(OF_MESSAGES);
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
    sorted(&new.map(|alert| alert.kind).collect::<Vec<_>>())
}

fn sorted(kinds: &[AlertKind]) -> Vec<AlertKind> {
    let mut sorted = kinds.to_vec();
    sorted.sort_unstable();
    sorted
}
