//! `user import` of what real programs dump: nobody is lost without a word, and a
//! file that is cut off deletes nobody.

use crate::support::{Run, Sandbox};

const MD5: &str = "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/";
const BCRYPT: &str = "bcrypt:$2b$05$abcdefghijklmnopqrstuuWG29KuyeAicPCJODk1zjyGvyQUU2awu";
const TABLE: &str = "CREATE TABLE mailbox (username text, password text, name text, active int);\n";
/// As `PostfixAdmin` makes it, in each database but `PostgreSQL`.
const BACKQUOTED: &str = "CREATE TABLE `mailbox` (`username` varchar(255), `password` varchar(255), `name` varchar(255), `active` tinyint(1));\n";

fn import(sandbox: &Sandbox, text: &[u8], args: &[&str]) -> Run {
    sandbox.run_with_stdin(&[&["user", "import", "-"], args].concat(), text)
}

fn row(name: &str, text: &str, active: u8) -> String {
    format!("('{name}@example.com','{MD5}',{text},{active})")
}

fn users(sandbox: &Sandbox) -> Vec<(String, bool)> {
    let all = sandbox.json(&["user", "list"]);
    let said = |user: &serde_json::Value| {
        let name = user["username"].as_str().unwrap();
        let name = name.strip_suffix("@example.com").unwrap().to_owned();
        (name, user["status"] == "active")
    };
    all.as_array().unwrap().iter().map(said).collect()
}

fn dump(text: &str) -> (Run, Vec<(String, bool)>) {
    let sandbox = Sandbox::new();
    let run = import(&sandbox, text.as_bytes(), &["--from", "postfixadmin"]);
    let users = users(&sandbox);
    (run, users)
}

/// One that is on, and one that is not.
fn both_are_taken(text: &str) {
    let (run, users) = dump(text);
    assert_eq!(run.code, 0, "{text}\n{run:?}");
    let both = [("a".to_owned(), true), ("b".to_owned(), false)];
    assert_eq!(users, both, "{text}");
}

fn refused(text: &str, why: &str) {
    let (run, users) = dump(text);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{text}\n{run:?}");
    assert!(run.stderr.contains(why), "{text}\n{run:?}");
    assert!(users.is_empty());
}

#[test]
fn each_way_to_bring_rows_brings_them() {
    let (a, b) = (row("a", "''", 1), row("b", "''", 0));
    for how in [
        "INSERT INTO",
        "REPLACE INTO",
        "replace into",
        "INSERT IGNORE INTO",
        "INSERT OR IGNORE INTO",
        "INSERT OR REPLACE INTO",
        "INSERT LOW_PRIORITY IGNORE INTO",
        "REPLACE",
    ] {
        both_are_taken(&format!("{TABLE}{how} mailbox VALUES {a},{b};"));
        both_are_taken(&format!(
            "{TABLE}{how} `mailbox` VALUES {a};\n{how} `mailbox` VALUES\n{b};"
        ));
    }
    for end in [
        "ON CONFLICT DO NOTHING",
        "ON CONFLICT (username) DO UPDATE SET active = (1)",
        "ON DUPLICATE KEY UPDATE active=VALUES(active)",
        "AS new(p,q,r,s)",
    ] {
        both_are_taken(&format!("{TABLE}INSERT INTO mailbox VALUES {a},{b} {end};"));
    }
    let (run, users) = dump(&format!("{TABLE}INSERT INTO mailbox SELECT * FROM old;"));
    assert_eq!((run.code, users.len()), (2, 0), "{run:?}");
    assert!(run.stdout.contains("without values"), "{run:?}");
}

#[test]
fn a_file_without_users_deletes_nobody() {
    let sasldb = "VERSION=3\nformat=print\ntype=hash\nHEADER=END\nDATA=END\n";
    for (format, texts) in [
        ("csv", ["username,hash\n", "\u{feff}username\n"]),
        ("json", ["[]", "{}"]),
        ("dovecot-passwd", ["", "# nobody\n"]),
        ("postfixadmin", [TABLE, BACKQUOTED]),
        ("htpasswd", ["", "\n\n"]),
        (
            "maddy",
            ["CREATE TABLE passwords (key TEXT, value TEXT);"; 2],
        ),
        ("docker-mailserver", ["", "\u{feff}"]),
        ("sasldb", ["", sasldb]),
        ("mailgun-json", [r#"{"items":[]}"#, r#"{"total_count":0}"#]),
    ] {
        let sandbox = Sandbox::new();
        sandbox.create("a@example.com");
        for text in texts {
            let args = ["--from", format];
            let run = import(&sandbox, text.as_bytes(), &args);
            assert_eq!(run.code, 0, "{format}: {run:?}");
            for more in [&["--prune", "--yes"][..], &["--prune", "--dry-run"]] {
                let run = import(&sandbox, text.as_bytes(), &[&args, more].concat());
                assert_eq!(
                    (run.code, run.stdout.as_str()),
                    (2, ""),
                    "{format}: {run:?}"
                );
                assert!(run.stderr.contains("has no user"), "{format}: {run:?}");
            }
        }
        assert_eq!(users(&sandbox).len(), 1, "{format}");
    }
}

#[test]
fn a_dump_without_its_end_is_refused() {
    let rows = format!(
        "{TABLE}INSERT INTO mailbox VALUES {},{};\n",
        row("a", "''", 1),
        row("b", "''", 0)
    );
    let copy = format!(
        "{TABLE}COPY public.mailbox (username, password, active) FROM stdin;\na@example.com\t{MD5}\tt\nb@example.com\t{MD5}\tf\n\\.\n"
    );
    let pg = |text: &str| format!("--\n-- PostgreSQL database dump\n--\n\n\\restrict x\n{text}");
    let pg_end = "--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict x\n";
    let all = "--\n-- PostgreSQL database cluster dump\n--\n";
    let all_end = "--\n-- PostgreSQL database cluster dump complete\n--\n";
    let mysql = "-- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)\n--\n";
    let mariadb = "/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19  Distrib 10.11.19-MariaDB\n";
    let sqlite = "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n";
    for whole in [
        rows.clone(),
        copy.clone(),
        format!("{mysql}{rows}-- Dump completed on 2026-11-22  4:10:01\n"),
        format!("{mysql}{rows}-- Dump completed\r\n"),
        format!("{mariadb}{rows}-- Dump completed"),
        format!("{mysql}{mariadb}-- Dump completed\n{rows}-- Dump completed\n"),
        pg(&copy) + pg_end,
        format!("{all}{}{pg_end}{}{pg_end}{all_end}", pg(""), pg(&rows)),
        format!("{sqlite}{rows}COMMIT;\n"),
        format!("START TRANSACTION;\n{rows}COMMIT;\n"),
        format!("BEGIN TRANSACTION;\n{rows}END TRANSACTION;\n"),
        format!("set autocommit=0;\n{rows}commit;\n"),
        format!("BEGIN;\n{rows}"),
    ] {
        both_are_taken(&whole);
    }
    for cut in [
        format!("{mysql}{rows}"),
        format!("{mysql}{TABLE}"),
        format!("{mysql}{rows}-- Dump comp"),
        format!("{mysql}{rows}-- Dump completed\n{mysql}"),
        format!("{mariadb}{rows}COMMIT;\n"),
        pg(&copy),
        pg(&rows),
        format!("{all}{}{pg_end}{}", pg(""), pg(&rows)),
        format!("{all}{}{pg_end}", pg(&rows)),
        format!("{sqlite}{rows}"),
        format!("START TRANSACTION;\n{rows}"),
        format!("{rows}/* and so "),
        format!("{rows}DELIMITER ;;\n"),
        all.repeat(100),
    ] {
        refused(&cut, "cut off");
    }
    for failed in [
        format!("{sqlite}{rows}ROLLBACK; -- due to errors\n"),
        format!(
            "{sqlite}{rows}/**** ERROR: (11) database disk image is malformed *****/\nCOMMIT;\n"
        ),
        format!("{sqlite}{rows}/****** CORRUPTION ERROR *******/\nCOMMIT;\n"),
    ] {
        refused(&failed, "dump failed");
    }
    let sandbox = Sandbox::new();
    let text = "VERSION=3\nHEADER=END\n a\\00example.com\\00userPassword\n old pass 1\n";
    for text in [text, "VERSION=3\n", &text[..text.len() - 12]] {
        let run = import(&sandbox, text.as_bytes(), &["--from", "sasldb"]);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{text}\n{run:?}");
        assert!(run.stderr.contains("cut off"), "{text}\n{run:?}");
    }
}

#[test]
fn backslashes_are_those_of_the_program_that_wrote_them() {
    let rows = |table: &str, text: &str, other: &str| {
        let (a, b) = (row("a", text, 1), row("b", other, 0));
        format!("INSERT INTO {table} VALUES\n{a},\n{b};\n")
    };
    let quoted = rows("mailbox", r"'It\'s'", r"'O\'Brien; \\'");
    let ansi = TABLE.replace("mailbox", "\"mailbox\"");
    let end = "-- Dump completed\n";
    for mysql in [
        format!("/*!40101 SET NAMES utf8mb4 */;\n{ansi}{quoted}"),
        format!("/*M!999999\\- enable the sandbox mode */ \n{TABLE}{quoted}"),
        format!("-- MySQL dump 10.13\n{TABLE}{quoted}{end}"),
        format!("-- MariaDB dump 10.19\n{TABLE}{quoted}{end}"),
        format!("-- phpMyAdmin SQL Dump\nSTART TRANSACTION;\n{TABLE}{quoted}COMMIT;"),
        format!("{BACKQUOTED}{quoted}"),
    ] {
        both_are_taken(&mysql);
    }
    // What SQLite has it keeps as somebody wrote it, in backquotes, too.
    let plain = rows("`mailbox`", r"'ends in \'", r"'it''s \'");
    let begun = format!("BEGIN TRANSACTION;\n{BACKQUOTED}{plain}COMMIT;\n");
    for sqlite in [
        format!("PRAGMA foreign_keys=OFF;\n{begun}"),
        format!("PRAGMA foreign_keys=OFF;\n{BACKQUOTED}{plain}"),
        format!(
            "CREATE TABLE `log` (`id` integer PRIMARY KEY AUTOINCREMENT);\n{BACKQUOTED}{plain}"
        ),
        begun,
    ] {
        both_are_taken(&sqlite);
    }
    let pg = "-- PostgreSQL database dump\n";
    let end = "-- PostgreSQL database dump complete\n";
    let set = "SET standard_conforming_strings";
    let said = rows("mailbox", r"E'it\'s; \\'", r"'\'");
    both_are_taken(&format!("{pg}{set} = on;\n{TABLE}{said}{end}"));
    let off = rows("mailbox", r"'it''s \\'", r"'\\''; '");
    both_are_taken(&format!("{pg}{set} = off;\n{TABLE}{off}{end}"));
    // Nothing says whose it is: refused, and not half of it taken.
    for text in [r"'It\'s'", r"'\'a'", r"'a\'='", r"'a\' ''b'", r"'a\'(b'"] {
        refused(
            &format!("{TABLE}{}", rows("mailbox", text, "''")),
            "damaged",
        );
    }
    for known in [
        "_utf8mb4'x'",
        "_binary 'x'",
        "N'x'",
        "E'x'",
        "b'1'",
        "X'4142'",
        "NULL",
        "-1",
    ] {
        both_are_taken(&format!("{TABLE}{}", rows("mailbox", known, known)));
    }
    let call = r"replace('a\nb, it''s','\n',char(10))";
    both_are_taken(&format!("{TABLE}{}", rows("mailbox", call, call)));
    let bits = format!(
        "{TABLE}INSERT INTO mailbox VALUES ('a@example.com','{MD5}','',0x01),('b@example.com','{MD5}','',b'0');"
    );
    both_are_taken(&bits);
}

#[test]
fn functions_are_no_rows() {
    let rows = format!(
        "{TABLE}INSERT INTO mailbox VALUES {},{};\n",
        row("a", "'$$'", 1),
        row("b", "'$x$'", 0)
    );
    let body = r"begin perform E'it\'s', '$1'; insert into mailbox values (1, 'x'); end ";
    for function in [
        format!("CREATE FUNCTION f() RETURNS void AS $$ {body}$$;\n"),
        format!("CREATE FUNCTION f() RETURNS void AS $_$ {body} $$ ' $_$;\n"),
        "PREPARE x AS SELECT $1;\n".into(),
        format!("DELIMITER ;;\nCREATE PROCEDURE `p`() {body};;\nDELIMITER ;\n"),
        format!("/*!1 */;\nDELIMITER $$\nCREATE PROCEDURE `p`() {body} $$\nDELIMITER ;\n"),
    ] {
        both_are_taken(&format!("{function}{rows}"));
    }
}

#[test]
fn columns_need_names() {
    let rows = format!("INSERT INTO mailbox VALUES {};\n", row("a", "''", 1));
    refused(&rows, "names their columns");
    let (a, b) = (row("a", "''", 1), row("b", "''", 0));
    let table = "[username] text, [password] text, [name] text, [active] int";
    both_are_taken(&format!(
        "CREATE TABLE [mailbox] ({table});\nINSERT INTO [mailbox] VALUES {a};\nINSERT INTO mailbox([username],[password],[name],[active]) VALUES {b};"
    ));
    let names = "a,".repeat(2000);
    refused(&format!("INSERT INTO mailbox({names}"), "too many columns");
    refused(
        &format!("CREATE TABLE mailbox ({names}"),
        "too many columns",
    );
}

#[test]
fn other_secrets_of_sasldb_are_left_out() {
    let record =
        |name: &str, property: &str| format!(" {name}\\00example.com\\00{property}\n old pass 1\n");
    let (otp, plain) = ("cmusaslsecretOTP", "userPassword");
    let dump = |records: &[String]| {
        format!(
            "VERSION=3\nformat=print\ntype=hash\nHEADER=END\n{}DATA=END\n",
            records.concat()
        )
    };
    let sandbox = Sandbox::new();
    let good = [
        record("a", otp),
        record("b", plain),
        record("a", plain),
        record("b", otp),
    ];
    let run = import(&sandbox, dump(&good).as_bytes(), &["--from", "sasldb"]);
    assert_eq!((run.code, users(&sandbox).len()), (0, 2), "{run:?}");
    let bad = [
        &good[..],
        &[record("c", otp), record("c", "cmusaslsecretSRP")],
    ]
    .concat();
    let run = import(
        &sandbox,
        dump(&bad).as_bytes(),
        &["--from", "sasldb", "--json"],
    );
    let rows: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        (run.code, rows.as_array().unwrap().len()),
        (2, 1),
        "{run:?}"
    );
    assert_eq!(
        (rows[0]["row"].as_i64(), rows[0]["columns"].as_str()),
        (Some(14), Some("hash"))
    );
    let listed = "a@example.com: cmusaslsecretOTP\na@example.com: userPassword\n";
    let run = import(&sandbox, listed.as_bytes(), &["--from", "sasldb"]);
    assert_eq!(run.code, 0, "{run:?}");
    let listed = "c@example.com: cmusaslsecretOTP\n";
    let run = import(&sandbox, listed.as_bytes(), &["--from", "sasldb"]);
    assert_eq!(run.code, 2, "{run:?}");
}

#[test]
fn what_windows_puts_before_a_text_is_left_out() {
    let maddy = format!("INSERT INTO passwords (key, value) VALUES('a@example.com','{BCRYPT}');");
    for (format, text) in [
        ("csv", format!("username,hash\na@example.com,{MD5}\n")),
        (
            "json",
            format!(r#"[{{"username":"a@example.com","hash":"{MD5}"}}]"#),
        ),
        ("dovecot-passwd", format!("a@example.com:{MD5}\n")),
        (
            "postfixadmin",
            format!("{TABLE}INSERT INTO mailbox VALUES{};", row("a", "''", 1)),
        ),
        ("htpasswd", format!("a:{MD5}\n")),
        ("maddy", maddy),
        ("docker-mailserver", format!("a@example.com|{MD5}\n")),
        (
            "sasldb",
            "VERSION=3\nHEADER=END\n a\\00example.com\\00userPassword\n old pass 1\nDATA=END\n"
                .into(),
        ),
    ] {
        let sandbox = Sandbox::new();
        let args = ["--from", format, "--domain", "example.com"];
        let run = import(&sandbox, format!("\u{feff}{text}").as_bytes(), &args);
        assert_eq!(run.code, 0, "{format}: {run:?}");
        assert_eq!(users(&sandbox), [("a".to_owned(), true)], "{format}");
    }
}

#[test]
fn fields_that_nobody_reads_may_be_anything() {
    let sandbox = Sandbox::new();
    sandbox.create("a@example.com");
    let item = |more: &str| format!(r#"{{"items":[{{"login":"a@example.com",{more}}}]}}"#);
    for more in [
        r#""flags":[1,2]"#,
        r#""spec":{"a":1.5}"#,
        r#""size_bytes":[{}]"#,
        r#""x":[[[null]]],"y":{"z":[1.5]}"#,
    ] {
        let run = import(&sandbox, item(more).as_bytes(), &["--from", "mailgun-json"]);
        assert_eq!(run.code, 0, "{more}: {run:?}");
        assert!(run.stderr.contains("unchanged 1"), "{more}: {run:?}");
        let text = format!(r#"[{{"username":"a@example.com",{more}}}]"#);
        let run = import(&sandbox, text.as_bytes(), &["--from", "json"]);
        assert_eq!(run.code, 2, "{more}: {run:?}");
        assert!(run.stdout.contains("unknown field"), "{more}: {run:?}");
    }
    let run = import(
        &sandbox,
        item(r#""senders":[1]"#).as_bytes(),
        &["--from", "mailgun-json"],
    );
    assert!(run.stdout.contains("of the wrong type"), "{run:?}");
}
