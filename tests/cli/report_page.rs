//! The page of a report: whole, bounded, and of nothing that a stranger wrote as markup.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::{Duration, Instant};

use crate::support::Sandbox;
use crate::support::small::Small;

const HOSTILE: &str = "</td><script>alert(1)</script>\" onload=\"x' & \u{202e}gpj\u{1b}[31m";

/// This many users with such a label; all of them expire soon, and each has a weak hash.
fn with_users(sandbox: &Sandbox, users: u32) {
    let label = HOSTILE.replace('\'', "''");
    let now = "CAST(strftime('%s', 'now') AS INTEGER)";
    sandbox.sql(&format!(
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {users} - 1)
        INSERT INTO users (username, domain, label, expires_at, created_at)
            SELECT printf('user%05d@example.com', i), 'example.com', '{label}', {now} + 86400 + i,
                {now} - i * 3600 FROM n;
        INSERT INTO passwords (username, password_id, hash, created_at)
            SELECT username, substr(username, 2, 8), '{{SHA}}uPjnudZV1YuWMljayKV2ogT8KFs=',
                created_at FROM users;
        INSERT INTO last_connections (username, password_id, seen_at)
            SELECT username, password_id, created_at FROM passwords;
        INSERT INTO seen_addresses (username, password_id, network, address, first_at, last_at, sign_ins)
            SELECT username, password_id, '192.0.2.0/24', '192.0.2.1', created_at, created_at, 3
            FROM passwords;
        INSERT INTO failures (username, address, reason, first_at, last_at, count)
            SELECT username, '<b>', 'password', created_at, created_at, 2 FROM passwords;
        INSERT INTO rotations (username, state, began_at, with_command, reason)
            SELECT username, 'withdrawn', {now}, 1, '{label}' FROM users;"
    ));
}

/// Every element that is opened is closed, in order.
fn is_well_formed(page: &str) {
    const VOID: [&str; 2] = ["meta", "br"];
    let (_, body) = page.split_once("<!DOCTYPE html>").expect("a page");
    let mut open: Vec<String> = Vec::new();
    for piece in body.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').expect("the end of a tag");
        assert!(!text.contains('>') || open.last().is_some_and(|tag| tag == "style"));
        let name = tag.split([' ', '/', '\n']).find(|name| !name.is_empty());
        let name = name.expect("a name").to_owned();
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') && !VOID.contains(&name.as_str()) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn a_page_of_ten_thousand_users_is_small_and_has_no_markup_of_a_stranger() {
    let sandbox = Sandbox::new();
    with_users(&sandbox, 10_000);
    let began = Instant::now();
    let page = sandbox.ok(&["report", "--html", "-"]);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert!(page.len() < 200_000, "{}", page.len());
    is_well_formed(&page);
    for part in [
        "<html lang=\"en\">",
        "<meta charset=\"utf-8\">",
        "<meta name=\"viewport\"",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        r"\u{202e}gpj\u{1b}[31m",
        "10 of 10,000 users; the rest: smtpcred report --json",
        "10,000 users expire within 12 weeks.",
    ] {
        assert!(page.contains(part), "{part} is not in:\n{page}");
    }
    for part in [
        "<script", "<b>", "http://", "https://", "url(", "@import", "\u{202e}", "\u{1b}",
    ] {
        assert!(!page.contains(part), "{part} is in:\n{page}");
    }
    let tables = page.matches("<table>").count();
    assert_eq!(page.matches("<caption>").count(), tables);
    assert!(page.matches("<svg ").count() <= tables);
    for one in ["<h1>", "<main>", "<header>", "<footer>", "<title>"] {
        assert_eq!(page.matches(one).count(), 1, "{one}");
    }
}

#[test]
fn an_empty_store_has_a_page() {
    let sandbox = Sandbox::new();
    let page = sandbox.ok(&["report", "--html", "-"]);
    is_well_formed(&page);
    assert!(page.contains("There are no users yet.") && !page.contains("<svg"));
}

#[test]
fn a_file_is_new_and_for_its_owner_only() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder.path();
    let file = folder.join("page.html");
    let name = file.to_str().unwrap();
    let run = sandbox.run(&["report", "--html", name, "--json"]);
    assert_eq!(run.code, 0, "{run:?}");
    let record: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(record["file"], name);
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    let before = fs::read(&file).unwrap();
    is_well_formed(std::str::from_utf8(&before).unwrap());

    let link = folder.join("link");
    symlink(folder.join("nothing"), &link).unwrap();
    for taken in [&file, &link, &folder.to_path_buf()] {
        let run = sandbox.run(&["report", "--html", taken.to_str().unwrap()]);
        assert_eq!(run.code, 74, "{run:?}");
        assert!(run.stderr.contains("already exists"), "{run:?}");
    }
    assert_eq!(fs::read(&file).unwrap(), before);
    assert!(!folder.join("nothing").exists());
    let missing = folder.join("no/page.html");
    let run = sandbox.run(&["report", "--html", missing.to_str().unwrap()]);
    assert_eq!(run.code, 74, "{run:?}");
    for bad in [
        &["report", "--html", "-", "--json"][..],
        &["report", "--html", "-", "--limit", "3"],
        &["report", "--mail", "root", "--monitor"],
        &["report", "--mail", "a b"],
    ] {
        assert_eq!(sandbox.run(bad).code, 2, "{bad:?}");
    }
}

#[test]
#[ignore = "needs root: run tests/run"]
fn a_full_disk_leaves_no_half_page() {
    let sandbox = Sandbox::new();
    with_users(&sandbox, 20);
    let home = tempfile::tempdir().unwrap();
    let small = Small::new(home.path());
    let file = small.0.join("page.html");
    for free in [0, 4, 8] {
        small.leave(free);
        let run = sandbox.run(&["report", "--html", file.to_str().unwrap()]);
        assert_eq!(run.code, 74, "{run:?}");
        assert!(run.stderr.contains("No space left on device"), "{run:?}");
        assert!(!file.exists());
        small.empty();
    }
}
