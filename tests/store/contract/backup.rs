//! Backups: copied, read back and recorded. And whose passwords were found.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;

use smtpcred::model::name::Username;
use smtpcred::model::password::PasswordId;
use smtpcred::model::store_location::Location;
use smtpcred::store::{Access, CopiedTable, LastBackup, OwnedArg, Store, finish_backup};

use super::{at, change, stamp};

/// Far behind the other stories.
const NOON: i64 = 91_000_000;

pub fn story(store: &mut Store) {
    let folder = Store::private_folder().unwrap();
    let path = folder.join("copy.db");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .unwrap();
    let users = store.at_one_moment(|store| store.count(&CopiedTable::USERS));
    let users = users.unwrap();
    let installation = store.installation().unwrap();
    assert!(installation.is_some());
    if !store.copy_pages(&path).unwrap() {
        let place = Location::from(path.as_path());
        let mut copy = Store::open(&place, Access::Create).unwrap();
        let mut tx = copy.begin(stamp(NOON)).unwrap();
        for table in &CopiedTable::ALL {
            store
                .rows(table, &mut |row| tx.add_row(table, &row))
                .unwrap();
        }
        tx.derive().unwrap();
        tx.commit().unwrap();
    }
    let made = LastBackup {
        at: at(NOON),
        file: "/backups/one".into(),
    };
    finish_backup(&path, &file, &made).unwrap();
    {
        let mut store = Store::open_backup(&path).unwrap();
        assert_eq!(store.count(&CopiedTable::USERS).unwrap(), users);
        assert_eq!(store.installation().unwrap(), installation);
        assert_eq!(store.backup_made_at().unwrap(), Some(made.at));
    }
    fs::remove_dir_all(&folder).unwrap();

    change(store, NOON, |tx| tx.record_backup(&made));
    let last = store.last_backup().unwrap().unwrap();
    assert_eq!((last.at, last.file.as_str()), (made.at, "/backups/one"));
    assert_eq!(store.backup_made_at().unwrap(), None);
    holders(store);
}

fn holders(store: &mut Store) {
    let passwords = CopiedTable::ALL
        .iter()
        .find(|table| table.name == "passwords");
    let mut all: Vec<(PasswordId, Username)> = Vec::new();
    store
        .rows(passwords.unwrap(), &mut |row| {
            if let [OwnedArg::Text(username), OwnedArg::Text(id), ..] = &row[..] {
                all.push((PasswordId::stored(id.clone()), username.parse().unwrap()));
            }
            Ok(())
        })
        .unwrap();
    let (wanted, _) = all.last().unwrap().clone();
    let mut expected: Vec<_> = all.into_iter().filter(|(id, _)| *id == wanted).collect();
    let none = PasswordId::stored("zzzzzzzz".into());
    let mut found = store.holders_of(&HashSet::from([wanted, none])).unwrap();
    let by_name = |(_, a): &(PasswordId, Username), (_, b): &(PasswordId, Username)| a.cmp(b);
    expected.sort_by(by_name);
    found.sort_by(by_name);
    assert_eq!(found, expected);
}
