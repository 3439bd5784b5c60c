//! Files of new users, the folders their passwords go to, and what is in both.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use crate::support::Sandbox;

pub const TO_FOLDER: [&str; 6] = [
    "user",
    "create",
    "--from",
    "names.csv",
    "--output-dir",
    "passwords",
];
/// The same, which goes on with what a run before it has left.
pub const TO_FOLDER_AGAIN: [&str; 7] = [
    "user",
    "create",
    "--from",
    "names.csv",
    "--output-dir",
    "passwords",
    "--skip-existing",
];
pub const TO_STREAM: [&str; 6] = ["user", "create", "--from", "names.csv", "--reveal", "json"];

/// As what is created from.
pub fn write(sandbox: &Sandbox, text: &str) {
    fs::write(sandbox.folder.path().join("names.csv"), text).unwrap();
}

/// Of `user create` with many: the cheapest hash the program makes.
pub fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.ok(&["set-settings", "--argon2", "m=7168,t=5,p=1", "-q"]);
    sandbox
}

/// `app0@example.com` and so on, in the sandbox's folder.
pub fn names(sandbox: &Sandbox, count: usize) -> BTreeSet<String> {
    let names: Vec<_> = (0..count).map(|i| format!("app{i}@example.com")).collect();
    write(sandbox, &format!("username\n{}\n", names.join("\n")));
    names.into_iter().collect()
}

pub fn folder(sandbox: &Sandbox) -> PathBuf {
    let path = sandbox.folder.path().join("passwords");
    fs::create_dir_all(&path).unwrap();
    path
}

/// Those that can be seen, and those that cannot.
pub fn files(sandbox: &Sandbox) -> (BTreeSet<String>, BTreeSet<String>) {
    let all = fs::read_dir(folder(sandbox)).unwrap();
    let all = all.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    all.partition(|name| !name.starts_with('.'))
}

/// The users there are, with the IDs of their passwords.
pub fn users(sandbox: &Sandbox) -> BTreeMap<String, String> {
    let store = rusqlite::Connection::open(sandbox.store()).unwrap();
    let mut found = store
        .prepare("SELECT u.username, p.password_id FROM users u JOIN passwords p USING (username)")
        .unwrap();
    let found = found.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    found.unwrap().map(Result::unwrap).collect()
}

pub fn usernames(sandbox: &Sandbox) -> BTreeSet<String> {
    users(sandbox).into_keys().collect()
}

/// One event for each user that was ever created.
pub fn created(sandbox: &Sandbox) -> usize {
    let store = rusqlite::Connection::open(sandbox.store()).unwrap();
    let count = "SELECT count(*) FROM events WHERE action = 'user.create'";
    let count: u32 = store.query_row(count, [], |row| row.get(0)).unwrap();
    count as usize
}

/// The password that stands in a user's file works.
pub fn works(sandbox: &Sandbox, username: &str) -> bool {
    let password = fs::read_to_string(folder(sandbox).join(username)).unwrap();
    sandbox.verify(username, password.trim_end()) == 0
}
