use std::net::IpAddr;
use std::time::Instant;

use super::*;
use crate::app::relay::policy::envelope::Requester;
use crate::app::relay::policy::reservation::ReservationKind;
use crate::app::relay::testing::{NOW, TestStore, messages};
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
    pending.signed_in(old.clone(), id, Some(address), at);
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
