//! What is done to a store, and may raise alerts.

use std::time::{Duration, Instant};

use crate::app::relay::pending_writes::{PendingWrites, SignIn};
use crate::app::relay::testing::{NOW, TestStore, new_password};
use crate::app::relay::{Requester, Reservation, ReservationKind};
use crate::app::scan::{Leak, LeakState};
use crate::model::address_rules::{AddressChange, AddressVerdict};
use crate::model::alert_rules::{AlertChange, AlertSetting};
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
use crate::store::{DomainChange, OldPasswords, SendingChange, SettingsChange, Tx, UserChange};

pub const HOME: &str = "192.0.2.7";
pub const AWAY: &str = "203.0.113.1";
pub const TELL: AddressVerdict = AddressVerdict::AcceptAndTell;

pub fn shop() -> Username {
    "shop@example.com".parse().unwrap()
}

pub fn id() -> PasswordId {
    PasswordId::stored("AAAAAAAA".into())
}

pub fn new_id() -> PasswordId {
    PasswordId::stored("BBBBBBBB".into())
}

pub fn at(second: i64) -> Time {
    Time::from_epoch(NOW + second)
}

fn note(store: &mut TestStore, pending: PendingWrites) {
    store.writer().note(pending, &[], &mut Vec::new()).unwrap();
}

pub fn signs_in(store: &mut TestStore, address: &str, verdict: AddressVerdict) {
    signs_in_from(store, &[address.to_owned()], 0, verdict);
}

pub fn signs_in_from(store: &mut TestStore, from: &[String], second: i64, verdict: AddressVerdict) {
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

pub fn many_networks(store: &mut TestStore, second: i64, verdict: AddressVerdict) {
    let from: Vec<_> = (0..6).map(|n| format!("192.0.{n}.1")).collect();
    signs_in_from(store, &from, second, verdict);
}

pub fn refused_from(store: &mut TestStore, addresses: &[&str]) {
    let mut pending = PendingWrites::default();
    for address in addresses {
        pending.refused_address(shop(), address.parse().ok(), at(0));
    }
    note(store, pending);
}

pub fn refused(store: &mut TestStore, reason: RefusalReason, number: u32) {
    refused_all(store, &[(AWAY, reason, number)]);
}

pub fn refused_all(store: &mut TestStore, all: &[(&str, RefusalReason, u32)]) {
    let mut pending = PendingWrites::default();
    for (address, reason, number) in all {
        for _ in 0..*number {
            let name = WrittenName::shown("shop@example.com");
            pending.refused(&name, address.parse().ok(), *reason, at(0));
        }
    }
    note(store, pending);
}

/// Sends one or more messages at once, to this many new recipients.
pub fn sends(store: &mut TestStore, messages: u32, new: u32) {
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
pub fn gathered(store: &mut TestStore, number: u128) {
    let mut pending = PendingWrites::default();
    for digest in 0..number {
        pending.sent_to(&shop(), digest, at(0));
    }
    note(store, pending);
}

pub fn record_recipients(store: &mut TestStore) {
    set_alert(store, "new-recipients".parse().unwrap());
}

pub fn set_alert(store: &mut TestStore, setting: AlertSetting) {
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

pub fn limit(store: &mut TestStore, limit: &str, action: OnLimit) {
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

/// Of the whole domain.
pub fn domain_limit(store: &mut TestStore) {
    let change = DomainChange {
        sending: SendingChange {
            limits: vec!["messages/hour=10".parse().unwrap()],
            ..SendingChange::default()
        },
        ..DomainChange::default()
    };
    let domain = shop().domain();
    store.change(|tx| tx.set_domain(&domain, &change).unwrap());
}

pub fn expires(store: &mut TestStore, days: i64) {
    let change = UserChange {
        expires_at: Some(Setting::Some(at(days * 86_400))),
        ..UserChange::default()
    };
    set_user(store, &change);
}

pub fn allow(store: &mut TestStore) {
    let change = UserChange {
        addresses: AddressChange {
            allow: vec!["203.0.113.0/24".parse().unwrap()],
            ..AddressChange::default()
        },
        ..UserChange::default()
    };
    set_user(store, &change);
}

pub fn tidies(store: &mut TestStore) {
    store.app().tidy_rotation().unwrap();
}

pub fn begin_rotation(store: &mut TestStore) {
    let password = new_password("BBBBBBBB", "vague-Otter-62");
    let nowhere = Destination::default();
    store.change(|tx| {
        tx.begin_rotation(&shop(), &password, &nowhere, false)
            .unwrap();
    });
}

pub fn finish_rotation(store: &mut TestStore) {
    store.change(|tx| {
        let finished = tx.finish_rotation(&shop(), &new_id(), Retire::AtOnce);
        assert!(finished.unwrap());
    });
}

pub fn reset_with_overlap(store: &mut TestStore) {
    let password = new_password("BBBBBBBB", "vague-Otter-62");
    let old = OldPasswords::RetireAt(at(3_600));
    store.change(|tx| tx.reset_password(&shop(), &password, old).unwrap());
}

pub fn rename(store: &mut TestStore) {
    let new = "store@example.com".parse().unwrap();
    store.change(|tx| tx.rename_user(&shop(), &new, None).unwrap());
}

pub fn close(store: &mut TestStore) {
    let app = store.app();
    let since = "7d".parse().unwrap();
    let case = app.stolen_case(&shop(), since, None).unwrap();
    let user = app.close_user(&case, None, None, None).unwrap();
    assert!(user.suspended_at.is_some());
}

pub fn end_sessions(tx: &mut Tx<'_>) {
    let end = SessionEnd {
        username: Some(shop()),
        ..SessionEnd::default()
    };
    tx.end_sessions(&end, Some(1)).unwrap();
}

pub fn found(store: &mut TestStore, state: LeakState) {
    found_of(store, &id(), state, Status::Active);
}

pub fn found_of(store: &mut TestStore, id: &PasswordId, state: LeakState, status: Status) {
    let leak = Leak {
        password_id: id.clone(),
        state,
        user: Some((shop(), status)),
        until: None,
    };
    let places = [(&leak, "/var/www/.env:3".to_owned())];
    store.app().tell_of_leaks(&places).unwrap();
}
