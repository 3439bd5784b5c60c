//! Sums by domain and events by name are right at any moment: before they are filled,
//! meanwhile with others writing, and afterwards.

use std::collections::BTreeMap;

use smtpcred::model::name::{DomainName, Username};
use smtpcred::model::usage::{Usage, UsageBy};
use smtpcred::model::usage_window::Count;
use smtpcred::store::{CopiedTable, DailyUsage, EventFilter, OwnedArg, Store};

use super::{at, events, stamp};

/// A new store sums the days before the day after tomorrow.
fn today() -> i64 {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(now.as_secs() / 86_400).unwrap()
}

pub fn story(store: &mut Store) {
    sums(store);
    numbered_events(store);
}

/// The usage by domain and day.
#[derive(Default)]
struct Model(BTreeMap<(String, i64), [u64; 4]>);

impl Model {
    fn add(&mut self, store: &mut Store, user: u32, day: i64, messages: u32) {
        let domain = format!("sums{}.example", user % 3);
        let username: Username = format!("u{user}@{domain}").parse().unwrap();
        let sent = DailyUsage {
            amount: Count {
                messages,
                recipients: 2 * messages,
                new_recipients: 0,
            },
            bytes: 100,
            refusals: 1,
        };
        let mut tx = store.begin(stamp(0)).unwrap();
        tx.add_usage([(&username, day, sent)]).unwrap();
        tx.commit().unwrap();
        let sums = self.0.entry((domain, day)).or_default();
        let more = [messages.into(), (2 * messages).into(), 100, 1];
        for (sum, more) in sums.iter_mut().zip::<[u64; 4]>(more) {
            *sum += more;
        }
    }

    fn agrees(&self, store: &mut Store, moment: &str) {
        let since = today() - 10;
        let mut domains: BTreeMap<String, [u64; 4]> = BTreeMap::new();
        let mut days = domains.clone();
        for ((domain, day), sums) in &self.0 {
            for (name, of) in [
                (domain.clone(), &mut domains),
                (Usage::day_name(*day), &mut days),
            ] {
                let all = of.entry(name).or_default();
                for (sum, more) in all.iter_mut().zip(sums) {
                    *sum += more;
                }
            }
        }
        let mut found = listed(store, UsageBy::Domain, since);
        found.retain(|name, _| name.starts_with("sums"));
        assert_eq!(found, domains, "{moment}");
        let mut found = listed(store, UsageBy::Day, since);
        found.retain(|name, _| days.contains_key(name));
        assert_eq!(found, days, "{moment}");
    }
}

fn listed(store: &mut Store, by: UsageBy, since: i64) -> BTreeMap<String, [u64; 4]> {
    let mut found = BTreeMap::new();
    let mut each = |usage: Usage| {
        let sums = [
            usage.messages,
            usage.recipients,
            usage.bytes,
            usage.refusals,
        ];
        found.insert(usage.name, sums);
        Ok(())
    };
    store.usage(by, since, None, 10_000, &mut each).unwrap();
    found
}

fn sums(store: &mut Store) {
    let today = today();
    let mut model = Model::default();
    for user in 0..9 {
        for day in today - 4..=today + 3 {
            model.add(store, user, day, 1 + user);
        }
    }
    model.agrees(store, "nothing is added up");
    // Closed days, and days that earlier versions may still write.
    for (moment, today) in [("first", today), ("second", today + 3), ("no", today + 4)] {
        let mut more = true;
        let mut pieces = 0;
        while more {
            let mut tx = store.begin(stamp(0)).unwrap();
            more = tx.sum_usage(today, 200).unwrap().more;
            tx.commit().unwrap();
            pieces += 1;
            model.agrees(store, moment);
            for user in [0, 4, 8] {
                for day in [today - 5, today - 2, today, today + 2] {
                    model.add(store, user, day, 7);
                }
            }
            model.agrees(store, "others write in between");
            // Without a commit, nothing is changed.
            let mut tx = store.begin(stamp(0)).unwrap();
            tx.sum_usage(today, 200).unwrap();
            drop(tx);
            model.agrees(store, "killed");
        }
        assert_eq!(pieces > 3, moment != "no", "{moment}: {pieces} pieces");
    }
    an_older_program_writes(store, today + 20);
    // A sum is deleted with its rows.
    let mut forgotten = 1;
    while forgotten > 0 {
        let mut tx = store.begin(stamp(0)).unwrap();
        forgotten = tx.forget_old_usage(today + 1, 100).unwrap();
        tx.commit().unwrap();
    }
    model.0.retain(|(_, day), _| *day > today);
    model.agrees(store, "forgotten");
}

/// As a program does that does not know the sums: it writes the usage of users alone.
fn an_older_program_writes(store: &mut Store, day: i64) {
    let usage = CopiedTable::ALL.iter().find(|table| table.name == "usage");
    let usage = usage.unwrap();
    for domain in ["old.example", "older.example"] {
        let row = [
            OwnedArg::Text(format!("shop@{domain}")),
            OwnedArg::Int(day),
            OwnedArg::Text(domain.to_owned()),
            OwnedArg::Int(3),
            OwnedArg::Int(4),
            OwnedArg::Int(5),
            OwnedArg::Int(6),
        ];
        let mut tx = store.begin(stamp(0)).unwrap();
        tx.add_row(usage, &row).unwrap();
        tx.commit().unwrap();
    }
    assert_eq!(store.next_usage_day(day - 1).unwrap(), Some(day));
    assert_eq!(store.wrong_usage_sums(day).unwrap(), 2);
    let mut tx = store.begin(stamp(0)).unwrap();
    tx.correct_usage_sums(day).unwrap();
    tx.commit().unwrap();
    assert_eq!(store.wrong_usage_sums(day).unwrap(), 0);
}

/// The fields of a rename from another domain, and which events have them.
const RENAMED: &str = "{\"new\":\"often@e1.example\",\"old\":\"often@left.example\"}";
const fn is_rename(i: i64) -> bool {
    i % 2000 == 1
}

/// More events than fit into two blocks; some users have few of them.
const EVENTS: i64 = 17_000;

fn numbered_events(store: &mut Store) {
    let first = events(store, &EventFilter::default()).last().unwrap().id;
    let text = |text: String| OwnedArg::Text(text);
    let mut tx = store.begin(stamp(0)).unwrap();
    for i in 1..=EVENTS {
        let user = if i % 1000 == 7 { "rare" } else { "often" };
        let row = [
            OwnedArg::Int(first + i),
            OwnedArg::Int(at(i).epoch()),
            text(if i % 500 == 3 { "ben" } else { "cron" }.into()),
            OwnedArg::Null,
            text("relay".into()),
            text(
                if is_rename(i) {
                    "user.rename"
                } else {
                    "user.reset"
                }
                .into(),
            ),
            text(format!("e{}.example", i % 2)),
            text(format!("{user}@e{}.example", i % 2)),
            text(if is_rename(i) { RENAMED } else { "{}" }.into()),
            OwnedArg::Null,
        ];
        tx.add_row(&CopiedTable::EVENTS, &row).unwrap();
    }
    tx.end_copy(&smtpcred::store::Location::File("old.db".into()), 1)
        .unwrap();
    tx.commit().unwrap();

    let named = |username: &str| EventFilter {
        username: Some(username.parse::<Username>().unwrap()),
        ..EventFilter::default()
    };
    let domain: DomainName = "e0.example".parse().unwrap();
    let filters = [
        EventFilter::default(),
        named("rare@e1.example"),
        named("nobody@e1.example"),
        EventFilter {
            domain: Some(domain.clone()),
            ..EventFilter::default()
        },
        EventFilter {
            domain: Some("left.example".parse().unwrap()),
            ..EventFilter::default()
        },
        EventFilter {
            actor: Some("ben".into()),
            ..EventFilter::default()
        },
        EventFilter {
            since: Some(at(EVENTS - 3000)),
            ..EventFilter::default()
        },
        EventFilter {
            domain: Some(domain),
            actor: Some("ben".into()),
            since: Some(at(9000)),
            ..named("often@e0.example")
        },
    ];
    let before: Vec<_> = filters.iter().map(|filter| ids(store, filter)).collect();
    assert_eq!(before[1].len(), 17);
    assert_eq!(before[4].len(), 9, "renames out of a domain");
    assert!(before[0].len() > 17_000);
    loop {
        for (filter, expected) in filters.iter().zip(&before) {
            assert_eq!(ids(store, filter), *expected, "{filter:?}");
            latest(store, filter, expected);
        }
        let mut tx = store.begin(stamp(0)).unwrap();
        let more = tx.index_events().unwrap();
        tx.commit().unwrap();
        if !more {
            break;
        }
    }
    let all = ids(store, &EventFilter::default());
    assert_eq!(Some(&store.last_event().unwrap()), all.last());
    let wanted = store.event_blocks_wanted().unwrap();
    assert_eq!(store.event_blocks().unwrap(), wanted);
    store
        .create_event_indexes(&mut |left| panic!("{left} are missing in a new store"))
        .unwrap();
}

fn ids(store: &mut Store, filter: &EventFilter) -> Vec<i64> {
    let found = events(store, filter);
    found.iter().map(|event| event.id).collect()
}

fn latest(store: &mut Store, filter: &EventFilter, all: &[i64]) {
    for most in [1, 3, 600, 100_000] {
        let after = store.before_latest(filter, most).unwrap();
        let mut found = Vec::new();
        store
            .events(filter, after, None, &mut |event| {
                found.push(event.id);
                Ok(())
            })
            .unwrap();
        let first = all.len().saturating_sub(most as usize);
        assert_eq!(found, all[first..], "the latest {most} of {filter:?}");
        let mut back = Vec::new();
        store
            .events_back(filter, Some(most), &mut |event| {
                back.push(event.id);
                Ok(())
            })
            .unwrap();
        back.reverse();
        assert_eq!(back, found, "and back from the end");
        // A page, and the events after it.
        let mut page = Vec::new();
        store
            .events(filter, after, Some(2), &mut |event| {
                page.push(event.id);
                Ok(())
            })
            .unwrap();
        assert_eq!(page, found[..found.len().min(2)]);
    }
}
