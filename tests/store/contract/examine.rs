//! The part of the story about what is wrong with a store.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use smtpcred::error::Error;
use smtpcred::model::setting::Setting;
use smtpcred::store::{Access, Integrity, Location, SettingsChange, Store};

use super::{at, change, stamp};

const PATIENCE: Duration = Duration::from_secs(60);

pub fn story(store: &mut Store) {
    let schema = store.schema().unwrap();
    assert_eq!(schema.found, schema.known);
    assert_eq!(store.check(PATIENCE).unwrap(), Integrity::Whole);
    assert_eq!(store.added().unwrap(), [""; 0]);
    assert_eq!(store.missing().unwrap(), [""; 0]);
    assert_eq!(store.missing_indexes().unwrap(), [""; 0]);
    assert!(store.may_analyze().unwrap());
    assert!(store.servers().is_empty(), "of one alone nothing is said");
    store.need_writable().unwrap();
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
fn what_is_looked_at_before_a_change_is_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| Location::File(folder.path().join(name));
    Store::need_creatable(&file("new/folders/store.db")).unwrap();
    fs::write(folder.path().join("plain"), "").unwrap();
    let beside = Store::need_creatable(&file("plain/store.db"));
    assert!(matches!(beside, Err(Error::StoreUnreachable { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    // Empty, of this program's schema, and without a file that has its name.
    let mut store = Store::scratch().unwrap();
    let schema = store.schema().unwrap();
    assert_eq!(schema.found, schema.known);
    assert_eq!(store.created_after("", 1).unwrap(), []);
}

#[test]
fn a_look_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::File(folder.path().join("store.db"));
    let look = || Store::open_within(&location, Access::Look, PATIENCE);
    assert!(matches!(look(), Err(Error::StoreMissing(_))));
    drop(Store::open(&location, Access::Create).unwrap());
    let sqlite = rusqlite::Connection::open(location.file().unwrap()).unwrap();
    sqlite.execute_batch("PRAGMA user_version = 2").unwrap();
    drop(sqlite);
    let before = fs::read(location.file().unwrap()).unwrap();
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
    assert_eq!(fs::read(location.file().unwrap()).unwrap(), before);
    let beside: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(beside.len(), 1, "{beside:?}");
}

/// The index of a log that somebody left is taken away again, unless somebody has
/// opened the store meanwhile: they need it.
#[test]
#[ignore = "needs python3: run tests/run"]
fn an_index_that_others_use_stays() {
    const HOLD: &str = "import sqlite3, sys\n\
        store = sqlite3.connect(sys.argv[1])\n\
        store.execute('SELECT count(*) FROM domains').fetchone()\n\
        print('open', flush=True)\n\
        sys.stdin.read()";
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("first.db");
    drop(Store::open(&Location::File(first.clone()), Access::Create).unwrap());
    let sqlite = rusqlite::Connection::open(&first).unwrap();
    let write = "CREATE TABLE written (a); DROP TABLE written";
    sqlite.execute_batch(write).unwrap();
    let copy = folder.path().join("copy.db");
    let [from, log, index] =
        ["first.db-wal", "copy.db-wal", "copy.db-shm"].map(|name| folder.path().join(name));
    fs::copy(&first, &copy).unwrap();
    fs::copy(&from, &log).unwrap();
    assert!(fs::metadata(&log).unwrap().len() > 0);
    let look = || {
        let mut store =
            Store::open_within(&Location::File(copy.clone()), Access::Look, PATIENCE).unwrap();
        assert_eq!(store.check(PATIENCE).unwrap(), Integrity::Whole);
        assert!(index.exists());
        store
    };
    drop(look());
    assert!(!index.exists());

    let store = look();
    let mut other = Command::new("python3")
        .args(["-c", HOLD])
        .arg(&copy)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let said = other.stdout.take().unwrap();
    BufReader::new(said).read_line(&mut line).unwrap();
    assert_eq!(line, "open\n");
    drop(store);
    assert!(index.exists(), "it was taken from somebody");
    drop(other.stdin.take());
    assert!(other.wait().unwrap().success());
}
