//! The part of the story about what is wrong with a store.

use std::fs;
use std::time::Duration;

use smtpcred::error::Error;
use smtpcred::model::settings::Setting;
use smtpcred::store::{Access, Integrity, Location, SettingsChange, Store};

use super::{at, change, stamp};

const PATIENCE: Duration = Duration::from_secs(60);

pub fn story(store: &mut Store) {
    let schema = store.schema().unwrap();
    assert_eq!(schema.found, schema.known);
    assert_eq!(store.check(PATIENCE).unwrap(), Integrity::Whole);
    // Later than all before it, and not the last one.
    let mut host = SettingsChange {
        host: Some(Setting::Some("smtp.example.com".parse().unwrap())),
        ..SettingsChange::default()
    };
    change(store, 90_000_000, |tx| tx.set_settings(&host));
    host.host = Some(Setting::None);
    change(store, 80_000_000, |tx| tx.set_settings(&host));
    assert_eq!(store.newest_event().unwrap(), Some(at(90_000_000)));
    let mut rules = SettingsChange::default();
    for (every, rotates) in [
        (Setting::Some("90d".parse().unwrap()), true),
        (Setting::None, false),
    ] {
        rules.rotation.every = Some(every);
        change(store, 80_000_000, |tx| tx.set_settings(&rules));
        assert_eq!(store.rotates().unwrap(), rotates);
    }
}

#[test]
fn a_look_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location(folder.path().join("store.db"));
    let look = || Store::open_within(&location, Access::Look, PATIENCE);
    assert!(matches!(look(), Err(Error::StoreMissing(_))));
    drop(Store::open(&location, Access::Create).unwrap());
    let sqlite = rusqlite::Connection::open(&location.0).unwrap();
    sqlite.execute_batch("PRAGMA user_version = 2").unwrap();
    drop(sqlite);
    let before = fs::read(&location.0).unwrap();
    let mut store = look().unwrap();
    assert_eq!(
        store.schema().unwrap().found,
        2,
        "it was brought up to date"
    );
    let tx = store.begin(stamp(1)).and_then(|mut tx| {
        tx.set_settings(&SettingsChange {
            allow_insecure: Some(true),
            ..SettingsChange::default()
        })?;
        tx.commit()
    });
    assert!(tx.is_err(), "it can be written");
    drop(store);
    assert_eq!(fs::read(&location.0).unwrap(), before);
    let beside: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(beside.len(), 1, "{beside:?}");
}
