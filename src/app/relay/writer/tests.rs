use std::net::IpAddr;
use std::time::Instant;

use super::*;
use crate::app::relay::pending_writes::SignIn;
use crate::app::relay::policy::envelope::Requester;
use crate::app::relay::policy::reservation::ReservationKind;
use crate::app::relay::testing::{NOW, TestStore, messages};
use crate::model::address_rules::AddressVerdict;
use crate::model::password::PasswordId;
use crate::store::DailyUsage;

const TODAY: i64 = NOW / 86_400;

fn user(name: &str) -> Username {
    name.parse().unwrap()
}

/// The entries and requests that a relay collected before it saw the rename.
#[test]
fn p7_what_was_found_out_under_an_old_name_is_the_users() {
    let (old, new) = (user("shop@example.com"), user("store@example.com"));
    let mut store = TestStore::new();
    store.add_user(old.as_str(), "vague-Otter-61");
    store.change(|tx| tx.rename_user(&old, &new, None).unwrap());
    let mut writer = store.writer();
    let address: IpAddr = "192.0.2.7".parse().unwrap();
    let at = Time::from_epoch(NOW);
    let mut pending = PendingWrites::default();
    let id = PasswordId::stored("AAAAAAAA".into());
    let one = SignIn {
        at,
        address: Some(address),
        verdict: AddressVerdict::Accept,
    };
    pending.signed_in(old.clone(), id, &one);
    let sent = DailyUsage {
        amount: messages(2),
        ..DailyUsage::default()
    };
    pending.sent.insert((old.clone(), TODAY), sent);
    pending.uncounted.insert((old.clone(), at), messages(3));
    writer.note(pending, &[], &mut Vec::new()).unwrap();
    let wanted = Reservation {
        username: old.clone(),
        amount: messages(1),
        new_recipients: Vec::new(),
        recipient: None,
        kind: ReservationKind::Message,
        has_recipients: false,
        tries: 0,
        waits: 0,
        requester: Requester::until(Instant::now() + Duration::from_secs(60)),
    };
    let reserved = writer.reserve(&[wanted], PendingWrites::default(), &mut Vec::new());
    assert!(matches!(
        reserved.unwrap()[..],
        [ReservationOutcome::Renamed]
    ));

    store.change(|tx| {
        let store = tx.store();
        assert_eq!(store.last_addresses(&new).unwrap(), ["192.0.2.7"]);
        let mut usage = Vec::new();
        let mut each = |usage_of: crate::model::usage::Usage| {
            usage.push((usage_of.name, usage_of.messages));
            Ok(())
        };
        let by = crate::model::usage::UsageBy::User;
        store.usage(by, TODAY, None, 10, &mut each).unwrap();
        assert_eq!(usage, [(new.to_string(), 2)]);
        let mut limits = crate::model::limits::Limits::default();
        limits.set("messages/hour".parse().unwrap(), Some(9));
        let day = crate::model::day::Day::Rolling;
        for (name, counted) in [(&old, 0), (&new, 3)] {
            let window = store.usage_window(Scope::user(name), &limits, at, &day);
            let kind = "messages/hour".parse().unwrap();
            assert_eq!(window.unwrap().used(kind, at, &day), counted, "{name}");
        }
    });
}

/// Writes sign-ins of the shop, and returns the kinds, addresses and repetitions of all alerts,
/// in their order.
fn told(store: &mut TestStore, sign_ins: &[(&str, i64, AddressVerdict)]) -> Vec<String> {
    let mut pending = PendingWrites::default();
    for (address, second, verdict) in sign_ins {
        let one = SignIn {
            at: Time::from_epoch(NOW + second),
            address: address.parse().ok(),
            verdict: *verdict,
        };
        let id = PasswordId::stored("AAAAAAAA".into());
        pending.signed_in(user("shop@example.com"), id, &one);
    }
    store.writer().note(pending, &[], &mut Vec::new()).unwrap();
    alerts(store)
}

fn alerts(store: &mut TestStore) -> Vec<String> {
    let mut told = Vec::new();
    store.change(|tx| {
        let alerts = tx.store().alerts(i64::MAX, 100).unwrap();
        told.extend(alerts.into_iter().rev().map(|alert| {
            let address = alert.address.unwrap_or_default();
            format!("{} {address} {}", alert.kind.name(), alert.more)
        }));
    });
    told
}

const TELL: AddressVerdict = AddressVerdict::AcceptAndTell;

#[test]
fn new_networks_are_told_except_for_the_first() {
    let mut store = TestStore::new();
    store.add_user("shop@example.com", "vague-Otter-61");
    let ignored = crate::store::SettingsChange {
        ignore_addresses: Some(vec!["10.0.0.0/8".parse().unwrap()]),
        ..Default::default()
    };
    store.change(|tx| tx.set_settings(&ignored).unwrap());
    let none: [&str; 0] = [];
    // The first that it ever used, and what says nothing.
    let first = [("192.0.2.7", 5, TELL), ("10.1.2.3", 6, TELL), ("", 7, TELL)];
    assert_eq!(told(&mut store, &first), none);
    // The same network, and one that is in its list.
    let known = [
        ("192.0.2.99", 8, TELL),
        ("198.51.100.1", 9, AddressVerdict::Accept),
    ];
    assert_eq!(told(&mut store, &known), none);
    let new = [("2001:db8::1", 10, TELL), ("198.51.100.2", 11, TELL)];
    assert_eq!(told(&mut store, &new), ["new-address 2001:db8::1 0"]);
    // It is known by now.
    assert_eq!(told(&mut store, &new), ["new-address 2001:db8::1 0"]);
    store.change(|tx| {
        let uses = tx.store().network_uses(&user("shop@example.com")).unwrap();
        let uses: Vec<_> = uses
            .into_iter()
            .map(|(_, one)| format!("{} {} {}", one.network, one.address, one.sign_ins))
            .collect();
        let expected = [
            "192.0.2.0/24 192.0.2.99 2",
            "198.51.100.0/24 198.51.100.2 3",
            "2001:db8::/64 2001:db8::1 2",
        ];
        assert_eq!(uses, expected);
    });
}

#[test]
fn of_two_first_networks_at_once_the_later_one_is_told() {
    let mut store = TestStore::new();
    store.add_user("shop@example.com", "vague-Otter-61");
    let two = [("192.0.2.7", 5, TELL), ("203.0.113.1", 6, TELL)];
    assert_eq!(told(&mut store, &two), ["new-address 203.0.113.1 0"]);
}

#[test]
fn many_networks_within_an_hour_are_told() {
    let mut store = TestStore::new();
    store.add_user("shop@example.com", "vague-Otter-61");
    let addresses: Vec<_> = (0..7).map(|n| format!("192.0.{n}.1")).collect();
    let quiet = AddressVerdict::Accept;
    let mut of = |from: usize, to: usize, verdict| {
        let sign_ins: Vec<_> = addresses[from..to]
            .iter()
            .map(|address| (address.as_str(), 0, verdict))
            .collect();
        told(&mut store, &sign_ins).len()
    };
    assert_eq!(of(0, 5, quiet), 0);
    // The same again, and one more.
    assert_eq!(of(0, 5, TELL), 0);
    assert_eq!(of(5, 6, TELL), 2, "many, and a new one");
}

#[test]
fn refused_addresses_are_told_with_what_to_type() {
    let mut store = TestStore::new();
    store.add_user("shop@example.com", "vague-Otter-61");
    let mut pending = PendingWrites::default();
    for address in ["203.0.113.9", "203.0.113.9", "unknown"] {
        let at = Time::from_epoch(NOW);
        pending.refused_address(user("shop@example.com"), address.parse().ok(), at);
    }
    store.writer().note(pending, &[], &mut Vec::new()).unwrap();
    let mut found = Vec::new();
    store.change(|tx| found = tx.store().alerts(i64::MAX, 9).unwrap());
    found.sort_by_key(|alert| alert.address.clone());
    let next: Vec<_> = found
        .iter()
        .filter_map(|alert| alert.next.as_deref())
        .collect();
    let expected = [
        "smtpcred user set shop@example.com --unknown-address alert",
        "smtpcred user allow shop@example.com 203.0.113.9",
    ];
    assert_eq!(next, expected);
    assert!(
        found[1]
            .text
            .contains("from 203.0.113.9, which is not allowed")
    );
    assert!(
        found[1].text.contains("2 times since 2027-"),
        "{}",
        found[1].text
    );
}
