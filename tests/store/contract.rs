//! What every engine behind the store has to do: one story that calls every
//! method, written once. (Long because it is one story.)

mod addresses;
mod ahead;
mod alerts;
mod backup;
mod chain;
mod copying;
mod examine;
mod figures;
mod generated;
mod history;
mod many;
mod messages;
mod noteworthy;
mod pages;
mod relay;
mod renamed;
mod restoring;
mod roles;
mod rotation;
mod sessions;
mod status;
mod temporary;
mod together;
mod transfer;
mod verified;

use std::fs;
use std::path::Path;

use smtpcred::error::{Error, Result};
use smtpcred::model::actor::Actor;
use smtpcred::model::address_rules::AddressChange;
use smtpcred::model::event::{Event, EventStamp};
use smtpcred::model::hash::{Cost, Hash};
use smtpcred::model::name::{DomainName, Username};
use smtpcred::model::password::PasswordId;
use smtpcred::model::role::Role;
use smtpcred::model::rotation::RulesChange;
use smtpcred::model::setting::Setting;
use smtpcred::model::settings::{Ports, Settings};
use smtpcred::model::time::Time;
use smtpcred::model::user::{Status, User};
use smtpcred::store::{
    Access, DomainChange, EventFilter, Location, MessageStore, NewPassword, NewUser, OldPasswords,
    Page, SendingChange, SettingsChange, Store, Tx, UserChange, UserFilter,
};

use crate::support::source::{NamedPath, Source};
use crate::support::{postgres, source};

const SALT_AND_TAG: &str = "$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn at(second: i64) -> Time {
    Time::from_epoch(1_800_000_000 + second)
}

fn stamp(second: i64) -> EventStamp {
    EventStamp {
        at: at(second),
        actor: Actor {
            name: "ana".into(),
            run_as: Some("root".into()),
            host: "relay".into(),
        },
    }
}

fn hash(m: u32) -> Hash {
    Hash::stored(&format!("$argon2id$v=19$m={m},t=2,p=1{SALT_AND_TAG}")).unwrap()
}

fn password(key: &str, m: u32) -> NewPassword {
    NewPassword {
        password_id: PasswordId::stored(key.into()),
        hash: hash(m),
        generated: false,
    }
}

static NO_CHANGE: SendingChange = SendingChange {
    senders: None,
    limits: Vec::new(),
    on_limit: None,
};

static NO_RULES: RulesChange = RulesChange {
    every: None,
    command: None,
    write_file: None,
    write_env: None,
    env_name: None,
    timeout: None,
};

static NO_ADDRESSES: AddressChange = AddressChange {
    mode: None,
    unknown: None,
    learn: None,
    allow: Vec::new(),
    disallow: Vec::new(),
};

fn new_user(username: &Username) -> NewUser<'_> {
    NewUser {
        username,
        label: None,
        note: None,
        tags: &[],
        copy_of: None,
        daily_limit: None,
        expires_at: None,
        sending: &NO_CHANGE,
        rotation: &NO_RULES,
        addresses: &NO_ADDRESSES,
    }
}

/// One committed change.
fn change(store: &mut Store, second: i64, make: impl FnOnce(&mut Tx<'_>) -> Result<()>) {
    let mut tx = store.begin(stamp(second)).unwrap();
    make(&mut tx).unwrap();
    tx.flush().unwrap();
    tx.commit().unwrap();
}

fn users(store: &mut Store, domain: Option<&DomainName>) -> Vec<User> {
    let mut found = Vec::new();
    let filter = UserFilter {
        domain: domain.cloned(),
        ..UserFilter::default()
    };
    store
        .users(&filter, &Page::default(), at(0), &mut |user| {
            found.push(user);
            Ok(())
        })
        .unwrap();
    found
}

fn events(store: &mut Store, filter: &EventFilter) -> Vec<Event> {
    let mut found = Vec::new();
    store
        .events(filter, 0, None, &mut |event| {
            found.push(event);
            Ok(())
        })
        .unwrap();
    found
}

fn names(users: &[User]) -> Vec<&str> {
    users.iter().map(|user| user.username.as_str()).collect()
}

fn story(open: &dyn Fn() -> Store) {
    let mut store = open();
    domains(&mut store);
    users_come_and_change(&mut store);
    passwords_come_and_go(&mut store);
    what_is_not_committed_did_not_happen(&mut store, open);
    settings(&mut store);
    verified::story(&mut store);
    relay::story(&mut store, open);
    rotation::story(&mut store, open);
    things_end(&mut store);
    every_change_left_its_event(&mut store);
    examine::story(&mut store);
    transfer::story(&mut store);
    generated::story(&mut store);
    chain::story(&mut store);
    copying::story(&mut store);
    pages::story(&mut store);
    noteworthy::story(&mut store);
    many::story(&mut store);
    together::story(&mut store);
    ahead::story(&mut store);
    history::story(&mut store);
    renamed::story(&mut store);
    status::story(&mut store);
    alerts::story(&mut store);
    backup::story(&mut store);
    addresses::story(&mut store);
    figures::story(&mut store);
    sessions::story(&mut store);
    restoring::story(&mut store);
    temporary::story(&mut store);
    roles::story(&mut store, open);
}

fn domains(store: &mut Store) {
    let [a, b]: [DomainName; 2] = ["a.example", "b.example"].map(|name| name.parse().unwrap());
    let limits = DomainChange {
        host: Some(Setting::Some("smtp.a.example".parse().unwrap())),
        max_users: Some(Setting::Some("3".parse().unwrap())),
        ..DomainChange::default()
    };
    change(store, 0, |tx| tx.add_domain(&b, &DomainChange::default()));
    change(store, 1, |tx| tx.add_domain(&a, &limits));
    let mut tx = store.begin(stamp(1)).unwrap();
    let again = tx.add_domain(&a, &limits).and_then(|()| tx.flush());
    assert!(matches!(again, Err(Error::DomainExists(name)) if name == "a.example"));
    drop(tx);

    let found = store.domain(&a).unwrap().unwrap();
    assert_eq!(
        (found.max_users, found.daily_limit, found.created_at),
        (Some(3), None, at(1))
    );
    assert_eq!(found.host.unwrap().as_str(), "smtp.a.example");
    assert!(
        store
            .domain(&"c.example".parse().unwrap())
            .unwrap()
            .is_none()
    );

    let unlimited = DomainChange {
        host: Some(Setting::None),
        max_users: Some(Setting::None),
        daily_limit: Some(Setting::Some("9".parse().unwrap())),
        ..DomainChange::default()
    };
    change(store, 2, |tx| tx.set_domain(&a, &unlimited));
    let found = store.domain(&a).unwrap().unwrap();
    assert_eq!(
        (found.host, found.max_users, found.daily_limit),
        (None, None, Some(9))
    );

    let mut listed = Vec::new();
    let mut list = |domain: smtpcred::model::domain::Domain, users| {
        listed.push((domain.name.to_string(), users));
        Ok(())
    };
    store.domains(&Page::default(), &mut list).unwrap();
    assert_eq!(
        listed,
        [("a.example".to_owned(), 0), ("b.example".to_owned(), 0)]
    );
    assert_eq!(store.domain_names("b", 10).unwrap(), ["b.example"]);
    assert_eq!(store.domain_names("", 1).unwrap(), ["a.example"]);
    assert!(store.domain_names("%", 10).unwrap().is_empty());
}

fn users_come_and_change(store: &mut Store) {
    let [x, y, z]: [Username; 3] =
        ["x@b.example", "y@a.example", "z@b.example"].map(|name| name.parse().unwrap());
    for (second, name) in [(10, &z), (11, &y), (12, &x)] {
        change(store, second, |tx| {
            tx.add_user(&new_user(name), &password("key00001", 19_456))
        });
    }
    let mut tx = store.begin(stamp(13)).unwrap();
    let again = tx.add_user(&new_user(&x), &password("key00002", 19_456));
    let again = again.and_then(|()| tx.flush());
    assert!(matches!(again, Err(Error::UserExists(name)) if name == "x@b.example"));
    drop(tx);

    // By name, whatever the order they came in.
    assert_eq!(
        names(&users(store, None)),
        ["x@b.example", "y@a.example", "z@b.example"]
    );
    let b = "b.example".parse().unwrap();
    assert_eq!(
        names(&users(store, Some(&b))),
        ["x@b.example", "z@b.example"]
    );
    assert_eq!(store.user_count(&b).unwrap(), 2);
    assert_eq!(store.usernames("x", 10).unwrap(), ["x@b.example"]);
    assert_eq!(
        store.usernames("", 2).unwrap(),
        ["x@b.example", "y@a.example"]
    );
    assert_eq!(
        store.usernames_of("b.example", "", 10).unwrap(),
        ["x@b.example", "z@b.example"]
    );
    let labels = store.labels(2).unwrap();
    let labelled: Vec<_> = labels.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(labelled, ["x@b.example", "y@a.example"]);

    let everything = UserChange {
        label: Some(Setting::Some("Über %_".parse().unwrap())),
        daily_limit: Some(Setting::Some("5".parse().unwrap())),
        expires_at: Some(Setting::Some(at(500))),
        ..UserChange::default()
    };
    change(store, 14, |tx| tx.set_user(&x, &everything));
    change(store, 15, |tx| tx.suspend_user(&x));
    let user = store.user(&x).unwrap().unwrap();
    assert_eq!(user.label.as_deref(), Some("Über %_"));
    assert_eq!(
        (user.daily_limit, user.expires_at),
        (Some(5), Some(at(500)))
    );
    assert_eq!((user.suspended_at, user.created_at), (Some(at(15)), at(12)));
    assert_eq!(user.status(at(16)), Status::Suspended);
    change(store, 16, |tx| tx.resume_user(&x));
    let nothing = UserChange {
        label: Some(Setting::None),
        daily_limit: Some(Setting::None),
        expires_at: Some(Setting::None),
        ..UserChange::default()
    };
    change(store, 17, |tx| tx.set_user(&x, &nothing));
    let user = store.user(&x).unwrap().unwrap();
    assert_eq!(
        (
            user.label,
            user.daily_limit,
            user.expires_at,
            user.suspended_at
        ),
        (None, None, None, None)
    );
    assert!(
        store
            .user(&"nobody@b.example".parse().unwrap())
            .unwrap()
            .is_none()
    );
}

fn passwords_come_and_go(store: &mut Store) {
    let x: Username = "x@b.example".parse().unwrap();
    let live = |store: &mut Store| -> Vec<(String, Option<Time>)> {
        let hashes = store.hashes(&x).unwrap().into_iter();
        hashes
            .map(|h| (h.password_id.to_string(), h.retires_at))
            .collect()
    };
    // Beside the old one, which retires.
    let until = OldPasswords::RetireAt(at(100));
    change(store, 20, |tx| {
        tx.reset_password(&x, &password("key00002", 19_456), until)
    });
    assert_eq!(
        live(store),
        [
            ("key00002".into(), None),
            ("key00001".into(), Some(at(100)))
        ]
    );
    let user = store.user(&x).unwrap().unwrap();
    assert_eq!(user.status(at(99)), Status::Overlap);
    assert_eq!(user.status(at(100)), Status::Active);
    assert_eq!(user.password().unwrap().id.as_str(), "key00002");

    // Later the retired one is erased in passing.
    let until = OldPasswords::RetireAt(at(300));
    change(store, 200, |tx| {
        tx.reset_password(&x, &password("key00003", 19_456), until)
    });
    assert_eq!(
        live(store),
        [
            ("key00003".into(), None),
            ("key00002".into(), Some(at(300)))
        ]
    );
    // Whose it is, for whoever would write over it.
    let mut other = |than: &str, key: &str, now| {
        let key = PasswordId::stored(key.into());
        let than = than.parse().unwrap();
        store.other_holder(&than, &key, at(now)).unwrap()
    };
    assert_eq!(other("y@a.example", "key00002", 299), Some(x.clone()));
    assert_eq!(other("y@a.example", "key00002", 300), None);
    assert_eq!(other("x@b.example", "key00002", 299), None);

    // At once: both stop, and what they were is remembered.
    change(store, 210, |tx| {
        tx.reset_password(&x, &password("key00004", 19_456), OldPasswords::Stop)
    });
    assert_eq!(live(store), [("key00004".into(), None)]);
    let user = store.user(&x).unwrap().unwrap();
    let known: Vec<_> = user
        .passwords
        .iter()
        .map(|key| (key.id.as_str(), key.erased, key.retires_at))
        .collect();
    assert_eq!(
        known,
        [
            ("key00001", true, Some(at(100))),
            ("key00002", true, Some(at(210))),
            ("key00003", true, Some(at(210))),
            ("key00004", false, None),
        ]
    );

    // The same password under another cost; not if it was changed meanwhile.
    let old = store.hashes(&x).unwrap().remove(0);
    change(store, 220, |tx| {
        tx.rehash(&x, &old.password_id, &old.hash, &hash(20_000))
    });
    assert_eq!(store.hashes(&x).unwrap()[0].hash, hash(20_000).as_str());
    change(store, 221, |tx| {
        tx.rehash(&x, &old.password_id, &old.hash, &hash(30_000))
    });
    assert_eq!(store.hashes(&x).unwrap()[0].hash, hash(20_000).as_str());
}

fn what_is_not_committed_did_not_happen(store: &mut Store, open: &dyn Fn() -> Store) {
    let c: DomainName = "c.example".parse().unwrap();
    let before = events(store, &EventFilter::default()).len();
    let mut tx = store.begin(stamp(250)).unwrap();
    tx.add_domain(&c, &DomainChange::default()).unwrap();
    assert!(
        tx.store().domain(&c).unwrap().is_some(),
        "a change sees itself"
    );
    assert!(
        matches!(open().begin_now(stamp(250)), Err(Error::StoreBusy(_))),
        "others cannot change anything meanwhile"
    );
    assert!(open().domain(&c).unwrap().is_none(), "others do not see it");
    drop(tx);
    assert!(store.domain(&c).unwrap().is_none());
    assert_eq!(events(store, &EventFilter::default()).len(), before);
}

fn settings(store: &mut Store) {
    assert_eq!(store.settings().unwrap(), Settings::default());
    let ports: Ports = "465,25".parse().unwrap();
    let cost: Cost = "m=47104,t=1,p=1".parse().unwrap();
    let all = SettingsChange {
        host: Some(Setting::Some("smtp.example.com".parse().unwrap())),
        ports: Some(ports),
        argon2: Some(cost),
        ..SettingsChange::default()
    };
    change(store, 260, |tx| tx.set_settings(&all));
    let found = store.settings().unwrap();
    assert_eq!(found.host.unwrap().as_str(), "smtp.example.com");
    assert_eq!((found.ports, found.argon2), (ports, cost));
    let no_host = SettingsChange {
        host: Some(Setting::None),
        ..SettingsChange::default()
    };
    change(store, 261, |tx| tx.set_settings(&no_host));
    assert_eq!(store.settings().unwrap().host, None);
    assert_eq!(store.settings().unwrap().ports, ports);
}

fn things_end(store: &mut Store) {
    let x: Username = "x@b.example".parse().unwrap();
    let a: DomainName = "a.example".parse().unwrap();
    change(store, 300, |tx| tx.delete_user(&x));
    assert!(store.user(&x).unwrap().is_none());
    assert!(store.hashes(&x).unwrap().is_empty());
    let mut tx = store.begin(stamp(301)).unwrap();
    let refused = tx.remove_domain(&a).and_then(|()| tx.flush()).unwrap_err();
    assert!(matches!(refused, Error::StoreRefused { .. }), "{refused:?}");
    drop(tx);
    change(store, 302, |tx| {
        tx.delete_user(&"y@a.example".parse().unwrap())?;
        tx.remove_domain(&a)
    });
    assert!(store.domain(&a).unwrap().is_none());
    assert_eq!(names(&users(store, None)), ["z@b.example"]);
}

fn every_change_left_its_event(store: &mut Store) {
    let all = events(store, &EventFilter::default());
    // Those of rotation are looked at where they are made.
    let before = all.iter().position(|event| event.action == "limit.near");
    let of_rotation = before.unwrap() + 1;
    let rest = &all[of_rotation + rotation::EVENTS.len()..];
    let actions = all[..of_rotation].iter().chain(rest);
    let actions: Vec<_> = actions.map(|event| event.action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "domain.add",
            "domain.add",
            "domain.set",
            "user.create",
            "user.create",
            "user.create",
            "user.set",
            "user.suspend",
            "user.resume",
            "user.set",
            "user.reset",
            "user.reset",
            "user.reset",
            "password.rehash",
            "settings.set",
            "settings.set",
            verified::EVENTS[0],
            verified::EVENTS[1],
            verified::EVENTS[2],
            verified::EVENTS[3],
            "user.reset",
            "user.set",
            "domain.set",
            "settings.set",
            "user.set",
            "domain.set",
            "settings.set",
            "limit.near",
            "user.delete",
            "user.delete",
            "domain.remove",
        ]
    );
    let first = &all[0];
    assert_eq!(
        (first.at, first.actor.as_str(), first.host.as_str()),
        (at(0), "ana", "relay")
    );
    assert_eq!(first.run_as.as_deref(), Some("root"));
    let of_x = EventFilter {
        username: Some("x@b.example".parse().unwrap()),
        since: Some(at(17)),
        ..EventFilter::default()
    };
    let of_x: Vec<_> = events(store, &of_x)
        .into_iter()
        .filter(|event| event.at < at(400) || event.action == "user.delete")
        .map(|event| event.action)
        .collect();
    assert_eq!(
        of_x,
        [
            "user.set",
            "user.reset",
            "user.reset",
            "user.reset",
            "password.rehash",
            "user.reset",
            "user.set",
            "user.set",
            "limit.near",
            "user.delete"
        ]
    );
    let of_a = EventFilter {
        domain: Some("a.example".parse().unwrap()),
        ..EventFilter::default()
    };
    assert_eq!(events(store, &of_a).len(), 5);
    let text = format!("{all:?}");
    assert!(!text.contains("argon2id"), "p1: no event tells a hash");
}

#[test]
fn p5_sqlite_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::File(folder.path().join("store.db"));
    drop(Store::open(&location, Access::Create).unwrap());
    let patience = std::time::Duration::from_secs(10);
    let open = || Store::open_within(&location, Access::Existing, patience).unwrap();
    story(&open);
    let missing = MessageStore::open(&location, Access::Existing);
    assert!(matches!(missing, Err(Error::MessagesNotKept)));
    let opened = || MessageStore::open(&location, Access::Create).unwrap();
    messages::story(&mut open(), &opened, true);
    let file = MessageStore::file_of(&location).unwrap();
    assert_eq!(file, folder.path().join("store-messages/messages.db"));
    open().check_deliveries().unwrap();
    open().require_hash_access().unwrap();
    open().wait_for_commits().unwrap();
    change(&mut open(), 1, |tx| {
        assert!(tx.may_delete_users()?);
        Ok(())
    });
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p5_postgresql_keeps_the_contract() {
    let server = postgres::Postgres::start();
    let location = Location::Postgres(server.database("mail"));
    drop(Store::open(&location, Access::Create).unwrap());
    let patience = std::time::Duration::from_secs(10);
    let open = || Store::open_within(&location, Access::Existing, patience).unwrap();
    story(&open);
    let refused = open().check_deliveries();
    assert!(refused.is_err(), "who knows who can write it");

    server.sql("mail", "CREATE ROLE logs LOGIN");
    change(&mut open(), 1, |tx| tx.grant(Role::Messages, "logs"));
    let theirs = Location::Postgres(server.url_as("logs", "mail"));
    let opened = || MessageStore::open_within(&theirs, Access::Existing, patience).unwrap();
    messages::story(&mut open(), &opened, false);
    assert_eq!(MessageStore::file_of(&theirs), None);
    for table in ["users", "passwords", "settings", "events", "dovecot_users"] {
        let read = format!("SELECT count(*) FROM smtpcred.{table}");
        let refused = server.try_sql_as("logs", "mail", &read).unwrap_err();
        assert!(refused.contains("permission denied"), "{refused}");
    }
    let names = "SELECT count(*) > 0 FROM smtpcred.followed_users";
    assert_eq!(
        server.try_sql_as("logs", "mail", names).unwrap().trim(),
        "t"
    );
}

/// A method that the story does not call is one that engines may differ in. What
/// counts is a call of the store: the story names every store `store` (or opens it with
/// `open()`), every transaction `tx`, and nothing else so.
#[test]
fn the_story_calls_every_method() {
    let story: Vec<NamedPath> = story_files().iter().flat_map(Source::paths).collect();
    let uncalled = uncalled(&story, &store_methods());
    assert_eq!(uncalled, [""; 0], "nobody calls them");
}

#[test]
fn a_method_of_another_type_is_no_call_of_the_store() {
    let methods = [("Store", "count"), ("Tx", "count"), ("Store", "open")];
    let methods = methods.map(|(of, name)| (of.to_owned(), name.to_owned()));
    for (text, uncalled_by_it) in [
        ("fn f() { all.iter().count(); fs::open(x); }", 3),
        ("fn f() { tx.store().count(a) }", 2),
        (
            "fn f() { store\n.count(a); tx.count(a); Store::open(b) }",
            0,
        ),
        ("fn f() { open().count(a); // tx.count(a)\n }", 2),
        ("fn f() { tx.count(a); other::Store::open(c) }", 1),
        (
            "fn f() { assert_eq!(store.count(a), 1); count(tx); Table::count(b) }",
            2,
        ),
        ("fn f() { store.tally.count(a); relay.tx.count(b) }", 2),
    ] {
        let calls = Source::new("story.rs", text).paths();
        assert_eq!(uncalled(&calls, &methods).len(), uncalled_by_it, "{text}");
    }
}

fn uncalled(story: &[NamedPath], methods: &[(String, String)]) -> Vec<String> {
    let is_called = |of: &str, name: &str| {
        let receivers: &[&str] = match of {
            "Store" => &["store", "open()", "store()"],
            "MessageStore" => &["messages"],
            _ => &["tx"],
        };
        story.iter().filter(|path| path.call.is_some()).any(|path| {
            match (&path.receiver, path.segments.as_slice()) {
                (Some(receiver), [method]) => {
                    method == name && receivers.contains(&receiver.as_str())
                }
                (None, [.., kind, method]) => kind == of && method == name,
                _ => false,
            }
        })
    };
    methods
        .iter()
        .filter(|(of, name)| !is_called(of, name))
        .map(|(of, name)| format!("{of}::{name}"))
        .collect()
}

fn story_files() -> Vec<Source> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let parts = fs::read_dir(tests.join("store/contract")).unwrap();
    let parts = parts.map(|entry| entry.unwrap().path());
    std::iter::once(tests.join("store/contract.rs"))
        .chain(parts)
        .map(|path| Source::new("story.rs", &fs::read_to_string(path).unwrap()))
        .collect()
}

/// The public methods of `Store` and `Tx`, each with its type.
fn store_methods() -> Vec<(String, String)> {
    let sources = source::all();
    let store = sources
        .iter()
        .filter(|source| source.name.starts_with("store/"));
    let methods: Vec<_> = store.flat_map(Source::public_methods).collect();
    let methods: Vec<_> = methods
        .into_iter()
        .filter(|(of, _)| ["Store", "Tx", "MessageStore"].contains(&of.as_str()))
        .collect();
    assert!(methods.len() > 60, "the methods were not found");
    methods
}
