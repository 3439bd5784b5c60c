//! What users sent: recorded, listed and forgotten.

use smtpcred::model::followed_message::{
    FollowedMessage, MessageChange, MessageKey, MessageState, RecipientOutcome, RefusedMessage,
};
use smtpcred::model::log_position::LogPosition;
use smtpcred::model::log_time::LogTime;
use smtpcred::model::message_rules::{KeptRecipients, MessageRules};
use smtpcred::store::{DomainChange, MessageBatch, MessageFilter, MessageStore, Store};

use super::{at, change, new_user, password};

fn message(id: &str, at: i64, state: MessageState, changed: i64) -> FollowedMessage {
    FollowedMessage {
        key: MessageKey {
            queue_id: id.into(),
            host: "mx".into(),
            at: LogTime::from_micros(at),
        },
        username: "shop@example.com".into(),
        sender: Some("shop@example.com".into()),
        message_id: None,
        size: Some(5),
        recipients: vec![RecipientOutcome {
            address: Some("Bob@example.net".into()),
            original: None,
            state,
            dsn: None,
            reply: Some("<Bob@example.net>: ok".into()),
            at: LogTime::from_micros(changed),
            reason: None,
            count: 1,
        }],
        later_ids: vec![format!("{id}-later")],
        open_ids: vec![id.into()],
    }
}

/// Runs on an empty store of messages. `store` is the one that they belong to.
pub fn story(store: &mut Store, open: &dyn Fn() -> MessageStore, is_file: bool) {
    let username = "shop@example.com".parse().unwrap();
    let domain = "example.com".parse().unwrap();
    change(store, 1, |tx| {
        tx.add_domain(&domain, &DomainChange::default())
    });
    change(store, 2, |tx| {
        tx.add_user(&new_user(&username), &password("key00001", 19_456))
    });
    let mut messages = open();
    messages.keep_little().unwrap();
    a_log_that_is_read_again_takes_nothing_back(&mut messages);
    recipients_are_cut_when_nothing_more_comes(&mut messages);
    lists_are_filtered_and_go_on_behind_a_place(&mut messages);
    what_is_forgotten_is_gone(&mut messages);
    values_of_strangers_fit(&mut messages);
    positions_and_refusals(&mut messages);
    if is_file {
        the_rules_are_what_the_admin_wrote(&mut messages);
    }
}

fn clear(messages: &mut MessageStore) {
    while messages.forget_oldest().unwrap() > 0 {}
}

fn write(
    messages: &mut MessageStore,
    changes: &[MessageChange],
    kept: KeptRecipients,
) -> (u64, u64) {
    let batch = MessageBatch {
        changes,
        recipients: kept,
        ..MessageBatch::default()
    };
    let written = messages.write(&batch).unwrap();
    (written.new.len() as u64, written.changed.len() as u64)
}

fn listed(messages: &mut MessageStore, filter: &MessageFilter) -> Vec<String> {
    let mut found = Vec::new();
    messages
        .list(filter, None, Some(10), &mut |recorded| {
            let recipient = &recorded.message.recipients[0];
            found.push(format!(
                "{} {} {}",
                recorded.message.key.queue_id,
                recipient.state.name(),
                recipient.address.as_deref().unwrap_or("-")
            ));
            Ok(true)
        })
        .unwrap();
    found
}

fn a_log_that_is_read_again_takes_nothing_back(messages: &mut MessageStore) {
    use MessageChange::{Changed, Settled};
    clear(messages);
    let first = message("A", 10, MessageState::Deferred, 20);
    let last = message("A", 10, MessageState::Sent, 30);
    let full = KeptRecipients::Full;
    assert_eq!(write(messages, &[Changed(first.clone())], full), (1, 0));
    assert_eq!(write(messages, &[Changed(first.clone())], full), (0, 0));
    assert_eq!(write(messages, &[Changed(last.clone())], full), (0, 1));
    assert_eq!(write(messages, &[Changed(first.clone())], full), (0, 0));
    let settled = Settled(last.key.clone());
    assert_eq!(
        write(messages, std::slice::from_ref(&settled), full),
        (0, 1)
    );
    let again = [Changed(first), Changed(last), settled];
    assert_eq!(write(messages, &again, full), (0, 0));
    let all = MessageFilter::default();
    assert_eq!(listed(messages, &all), ["A sent Bob@example.net"]);
    messages
        .unsettled(&mut |_| panic!("it is settled"))
        .unwrap();
    assert_eq!(messages.find("A-later").unwrap().len(), 1);
    assert_eq!(messages.find("B").unwrap().len(), 0);
}

fn recipients_are_cut_when_nothing_more_comes(messages: &mut MessageStore) {
    clear(messages);
    let sent = message("A", 10, MessageState::Sent, 30);
    let all = MessageFilter::default();
    let changed = MessageChange::Changed(sent.clone());
    write(messages, &[changed], KeptRecipients::Domain);
    assert_eq!(listed(messages, &all), ["A sent Bob@example.net"]);
    let settled = MessageChange::Settled(sent.key);
    write(messages, &[settled], KeptRecipients::Domain);
    assert_eq!(listed(messages, &all), ["A sent @example.net"]);
    let found = messages.find("A").unwrap();
    let reply = found[0].message.recipients[0].reply.as_deref();
    assert_eq!(reply, Some("<…@example.net>: ok"));
}

fn lists_are_filtered_and_go_on_behind_a_place(messages: &mut MessageStore) {
    clear(messages);
    let states = [
        MessageState::Sent,
        MessageState::Bounced,
        MessageState::Held,
    ];
    let changes: Vec<_> = (0_i64..)
        .zip(states)
        .map(|(n, state)| MessageChange::Changed(message(&format!("M{n}"), n, state, n)))
        .collect();
    write(messages, &changes, KeptRecipients::Full);
    let ids = |messages: &mut MessageStore, filter: &MessageFilter| -> Vec<String> {
        let listed = listed(messages, filter).into_iter();
        listed.map(|line| line[..2].to_owned()).collect()
    };
    let all = MessageFilter::default;
    assert_eq!(ids(messages, &all()), ["M2", "M1", "M0"]);
    let counted = messages.states_since(LogTime::from_micros(i64::MIN));
    let mut counted = counted.unwrap();
    counted.sort_unstable();
    assert_eq!(counted, states.map(|state| (state, 1)));
    let by_user = messages
        .states_by_user(LogTime::from_micros(i64::MIN))
        .unwrap();
    let by_user: Vec<_> = by_user
        .iter()
        .map(|one| (one.username.as_str(), one.state, one.recipients))
        .collect();
    let mut expected = states.map(|state| ("shop@example.com", state, 1));
    expected.sort_by_key(|(_, state, _)| state.name());
    assert_eq!(by_user, expected);
    let later = LogTime::from_micros(i64::MAX);
    assert_eq!(messages.states_since(later).unwrap(), []);
    for (to, found) in [
        ("bob@example.net", 3),
        ("BOB@example.net", 3),
        ("ob@example.net", 0),
        ("@example.net", 3),
        ("@net", 0),
    ] {
        let to = Some(to.to_owned());
        assert_eq!(ids(messages, &MessageFilter { to, ..all() }).len(), found);
    }
    for state in states {
        let state = Some(state);
        assert_eq!(ids(messages, &MessageFilter { state, ..all() }).len(), 1);
    }
    for (name, found) in [("shop@example.com", 3), ("x@example.com", 0)] {
        let usernames = vec![name.to_owned()];
        let filter = MessageFilter { usernames, ..all() };
        assert_eq!(ids(messages, &filter).len(), found);
    }
    for (domain, found) in [("example.com", 3), ("example.net", 0)] {
        let domain = Some(domain.parse().unwrap());
        assert_eq!(
            ids(messages, &MessageFilter { domain, ..all() }).len(),
            found
        );
    }
    let since = Some(LogTime::from_micros(1));
    let until = Some(LogTime::from_micros(2));
    let between = MessageFilter {
        since,
        until,
        ..all()
    };
    assert_eq!(ids(messages, &between), ["M1"]);
    let place = messages.place_of("M1").unwrap();
    let mut behind = Vec::new();
    messages
        .list(&all(), place, None, &mut |recorded| {
            behind.push(recorded.message.key.queue_id);
            Ok(true)
        })
        .unwrap();
    assert_eq!(behind, ["M0"]);
    queued(messages);
}

/// Only what still waits, and from that time.
fn queued(messages: &mut MessageStore) {
    let waits = |id: &str, at| MessageChange::Changed(message(id, at, MessageState::Deferred, at));
    let changes = ["M5", "M6", "M7"].into_iter().zip(5..);
    let changes: Vec<_> = changes.map(|(id, at)| waits(id, at)).collect();
    write(messages, &changes, KeptRecipients::Full);
    let mut between = |from, to| {
        let found = messages.queued_between(LogTime::from_micros(from), LogTime::from_micros(to));
        found.unwrap()
    };
    assert_eq!(between(5, 7), [("shop@example.com".to_owned(), 2)]);
    assert_eq!(between(0, 5), []);
}

fn what_is_forgotten_is_gone(messages: &mut MessageStore) {
    clear(messages);
    let changes = [1, 2].map(|at| {
        MessageChange::Changed(message(&format!("M{at}"), at, MessageState::Bounced, at))
    });
    write(messages, &changes, KeptRecipients::Full);
    assert_eq!(messages.names_after("", 9).unwrap(), ["shop@example.com"]);
    assert_eq!(messages.older_than(LogTime::from_micros(2)).unwrap(), 1);
    assert_eq!(messages.forget_older(LogTime::from_micros(2)).unwrap(), 1);
    assert!(messages.find("M1-later").unwrap().is_empty());
    assert_eq!(messages.forget_name("shop@example.com").unwrap(), 1);
    assert_eq!(messages.forget_name("shop@example.com").unwrap(), 0);
    assert!(messages.size().unwrap() > 0);
    messages.shrink().unwrap();
}

fn values_of_strangers_fit(messages: &mut MessageStore) {
    clear(messages);
    let mut hostile = message("A", 1, MessageState::Bounced, 1);
    hostile.recipients[0].address = Some(format!("{}é@x\0", "é".repeat(5000)));
    hostile.recipients[0].reply = Some("é".repeat(500_000));
    hostile.sender = Some("\0".into());
    hostile.key.host = "h".repeat(100_000);
    let mut no_user = message("B", 1, MessageState::Bounced, 1);
    no_user.username = "root".into();
    let changes = [hostile, no_user].map(MessageChange::Changed);
    assert_eq!(write(messages, &changes, KeptRecipients::Full), (1, 0));
    assert_eq!(write(messages, &changes, KeptRecipients::Full), (0, 0));
}

fn the_rules_are_what_the_admin_wrote(messages: &mut MessageStore) {
    clear(messages);
    assert_eq!(messages.rules().unwrap(), MessageRules::default());
    let rules = MessageRules {
        keep: Some("30d".parse().unwrap()),
        recipients: KeptRecipients::Domain,
    };
    messages.set_rules(&rules).unwrap();
    assert_eq!(messages.rules().unwrap(), rules);
    messages.set_rules(&MessageRules::default()).unwrap();
    assert_eq!(messages.rules().unwrap(), MessageRules::default());
}

fn positions_and_refusals(messages: &mut MessageStore) {
    let refused = RefusedMessage {
        key: message("R", 7, MessageState::Sent, 7).key,
        username: "shop@example.com".into(),
        dsn: Some("5.7.1".into()),
        reply: "no".into(),
    };
    let mut position = LogPosition {
        source: "/var/log/mail.log".into(),
        file: Some((u64::MAX, 9)),
        offset: 5,
        cursor: None,
        read_at: at(0),
        log_at: None,
        dropped: 0,
    };
    for cursor in [None, Some("s=1".to_owned())] {
        position.cursor = cursor;
        let batch = MessageBatch {
            refused: std::slice::from_ref(&refused),
            positions: std::slice::from_ref(&position),
            ..MessageBatch::default()
        };
        messages.write(&batch).unwrap();
        assert_eq!(messages.positions().unwrap(), [position.clone()]);
    }
    let all = LogTime::from_micros(7);
    assert_eq!(messages.refused_since(all).unwrap(), [refused]);
    clear(messages);
    assert_eq!(messages.refused_since(all).unwrap(), []);
}
