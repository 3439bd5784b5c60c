//! A store of every earlier version opens, with all that was in it.

mod support;

use rusqlite::Connection;
use support::Sandbox;

#[test]
fn a_store_of_the_first_version_opens() {
    let sandbox = Sandbox::empty();
    std::fs::create_dir(sandbox.folder.path().join("data")).unwrap();
    let old = Connection::open(sandbox.store()).unwrap();
    old.execute_batch(include_str!("../src/store/sqlite/0001.sql"))
        .unwrap();
    old.execute_batch(
        "PRAGMA application_id = 0x534d5450; PRAGMA user_version = 1;
        INSERT INTO domains (name, daily_limit, created_at) VALUES ('example.com', 9, 1800000000);
        INSERT INTO users (username, domain, label, created_at)
            VALUES ('shop@example.com', 'example.com', 'Shop', 1800000000);
        INSERT INTO passwords (username, key_id, hash, created_at) VALUES ('shop@example.com', 'key00001',
            '$argon2id$v=19$m=1024,t=2,p=1$c29tZXNhbHQ$7FfsnA6vUe7qLpL/3Kqc3uR48ZJyFbUVt7jWZlf0Htk',
            1800000000);",
    )
    .unwrap();
    drop(old);
    assert_eq!(sandbox.verify("shop@example.com", "password"), 0);
    assert_eq!(sandbox.verify("shop@example.com", "another password"), 6);
    sandbox.ok(&[
        "user",
        "set",
        "shop@example.com",
        "--limit",
        "messages/hour=5",
    ]);
    let user = sandbox.json(&["user", "show", "shop@example.com"]);
    assert_eq!(user["label"], "Shop");
    assert_eq!(user["limits"]["messages/hour"], 5);
    assert_eq!(
        sandbox.json(&["domain", "show", "example.com"])["daily_limit"],
        9
    );
}
