//! The part of the story about passwords that were generated, and not chosen.

use std::ops::ControlFlow;

use smtpcred::model::name::Username;
use smtpcred::store::{DomainChange, NewPassword, OldPasswords, Store, UserScan};

use super::{at, change, hash, new_user, password};

/// As `generated` says of each password of a user that is not erased.
fn generated(store: &mut Store, username: &Username) -> Vec<bool> {
    let row = store.sign_in_row(username).unwrap().unwrap();
    let found: Vec<_> = row.hashes.iter().map(|hash| hash.generated).collect();
    let hashes = store.hashes(username).unwrap();
    assert!(hashes.iter().map(|hash| hash.generated).eq(found.clone()));
    found
}

/// Also under another hash; and beside one that was chosen.
pub fn story(store: &mut Store) {
    let y: Username = "generated@g.example".parse().unwrap();
    change(store, 910, |tx| {
        tx.add_domain(&y.domain(), &DomainChange::default())
    });
    let new = |key: &str, generated| NewPassword {
        generated,
        ..password(key, 19_456)
    };
    change(store, 912, |tx| {
        tx.add_user(&new_user(&y), &new("key00001", true))
    });
    assert_eq!(generated(store, &y), [true]);
    let old = store.hashes(&y).unwrap().remove(0);
    change(store, 913, |tx| {
        tx.rehash(&y, &old.password_id, &old.hash, &hash(20_000))
    });
    assert_eq!(generated(store, &y), [true]);
    let until = OldPasswords::RetireAt(at(20_000));
    change(store, 914, |tx| {
        tx.reset_password(&y, &new("key00002", false), until)
    });
    assert_eq!(generated(store, &y), [false, true]);
    let mut of_all = Vec::new();
    store
        .each_sign_in_row(&mut UserScan::all(), &mut |name, row| {
            if name == y {
                of_all.extend(row.hashes.iter().map(|hash| hash.generated));
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(of_all, [false, true]);
    change(store, 915, |tx| tx.delete_user(&y));
    change(store, 916, |tx| tx.remove_domain(&y.domain()));
}
