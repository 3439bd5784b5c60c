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

#[test]
fn a_store_of_the_second_version_opens() {
    let sandbox = Sandbox::empty();
    std::fs::create_dir(sandbox.folder.path().join("data")).unwrap();
    let old = Connection::open(sandbox.store()).unwrap();
    for step in [
        include_str!("../src/store/sqlite/0001.sql"),
        include_str!("../src/store/sqlite/0002.sql"),
    ] {
        old.execute_batch(step).unwrap();
    }
    old.execute_batch(
        "PRAGMA application_id = 0x534d5450; PRAGMA user_version = 2;
        INSERT INTO domains (name, created_at) VALUES ('example.com', 1800000000);
        INSERT INTO users (username, domain, on_limit, created_at)
            VALUES ('shop@example.com', 'example.com', 'suspend', 1800000000);
        INSERT INTO passwords (username, key_id, hash, created_at, retires_at) VALUES
            ('shop@example.com', 'key00001',
            '$argon2id$v=19$m=1024,t=2,p=1$c29tZXNhbHQ$7FfsnA6vUe7qLpL/3Kqc3uR48ZJyFbUVt7jWZlf0Htk',
            1750000000, NULL),
            ('shop@example.com', 'key00002',
            '$argon2id$v=19$m=1024,t=2,p=1$c29tZXNhbHQ$7FfsnA6vUe7qLpL/3Kqc3uR48ZJyFbUVt7jWZlf0Htl',
            1740000000, 1740000001);
        INSERT INTO last_connections (username, key_id, seen_at, address)
            VALUES ('shop@example.com', 'key00001', 1760000000, '192.0.2.7');
        INSERT INTO limits (owner, kind, most) VALUES ('shop@example.com', 'messages/hour', 7);
        INSERT INTO usage (username, day, domain, messages, recipients, bytes, refusals)
            VALUES ('shop@example.com', 20600, 'example.com', 3, 4, 5, 6);",
    )
    .unwrap();
    drop(old);
    assert_eq!(sandbox.verify("shop@example.com", "password"), 0);
    let user = sandbox.json(&["user", "show", "shop@example.com"]);
    assert_eq!(user["limits"]["messages/hour"], 7);
    assert_eq!(user["on_limit"], "suspend");
    assert_eq!(user["keys"][0]["id"], "key00001");
    // What it brings is there, and can be used at once.
    assert_eq!(user["unfinished_rotation"], serde_json::Value::Null);
    let deliver = ["--deliver", "sh -c 'cat > got'", "--overlap", "1h"];
    sandbox.ok(&[
        &["user", "rotate", "--due", "--older-than", "1d"],
        &deliver[..],
    ]
    .concat());
    let got = std::fs::read_to_string(sandbox.folder.path().join("got")).unwrap();
    assert_eq!(sandbox.verify("shop@example.com", got.trim_end()), 0);
    assert_eq!(sandbox.verify("shop@example.com", "password"), 0);
    let version: i64 = Connection::open(sandbox.store())
        .unwrap()
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    assert!(version >= 3);
}

#[test]
fn a_store_of_the_third_version_opens() {
    let sandbox = Sandbox::empty();
    std::fs::create_dir(sandbox.folder.path().join("data")).unwrap();
    let old = Connection::open(sandbox.store()).unwrap();
    for step in [
        include_str!("../src/store/sqlite/0001.sql"),
        include_str!("../src/store/sqlite/0002.sql"),
        include_str!("../src/store/sqlite/0003.sql"),
    ] {
        old.execute_batch(step).unwrap();
    }
    old.execute_batch(
        "PRAGMA application_id = 0x534d5450; PRAGMA user_version = 3;
        INSERT INTO domains (name, created_at) VALUES ('example.com', 1800000000);",
    )
    .unwrap();
    drop(old);
    let domain = sandbox.json(&["domain", "show", "example.com"]);
    assert_eq!(domain["verified_at"], serde_json::Value::Null);
    // What it brings can be used at once: a token is made when it is asked for.
    sandbox.ok(&["set-settings", "--require-verified-domains", "yes"]);
    let nobody = [
        "domain",
        "verify",
        "example.com",
        "--resolver",
        "127.0.0.1:1",
    ];
    assert_eq!(sandbox.run(&nobody).code, 75);
    let token: String = Connection::open(sandbox.store())
        .unwrap()
        .query_row("SELECT verification_token FROM domains", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(token.len(), 24);
}
