//! `user import` and `user export`: what is taken, what is refused, and that
//! nothing is written by halves. Longer than other files: what goes out comes in
//! again, and both are compared here.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::{self, Run, Sandbox};

const MD5: &str = "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/";
const SHA: &str = "{SHA}uPjnudZV1YuWMljayKV2ogT8KFs=";

fn import(sandbox: &Sandbox, text: &str, args: &[&str]) -> Run {
    sandbox.run_with_stdin(&[&["user", "import", "-"], args].concat(), text.as_bytes())
}

fn taken(sandbox: &Sandbox, text: &str, args: &[&str]) -> String {
    let run = import(sandbox, text, args);
    assert_eq!(run.code, 0, "{run:?}");
    run.stderr
}

fn users(sandbox: &Sandbox) -> Vec<String> {
    let all = sandbox.json(&["user", "list"]);
    all.as_array()
        .unwrap()
        .iter()
        .map(|u| u["username"].as_str().unwrap().to_owned())
        .collect()
}

fn events(sandbox: &Sandbox) -> usize {
    sandbox.json(&["audit", "list"]).as_array().unwrap().len()
}

#[test]
fn each_format_brings_its_users() {
    for (format, text, password) in [
        ("dovecot-passwd", format!("# users\n\nshop@example.com:{{MD5-CRYPT}}{MD5}:5000:5000::/home/shop::userdb_quota=1G\n"), "password"),
        ("dovecot-passwd", format!("shop@example.com:{{MD5}}{MD5}\r\n"), "password"),
        ("htpasswd", "shop:$apr1$saltsalt$yAAkm4libquA.ZWLHbSBq/\n".into(), "password"),
        ("docker-mailserver", format!("shop@example.com|{{MD5-CRYPT}}{MD5}\n"), "password"),
        ("sasldb", "VERSION=3\nformat=print\ntype=hash\nHEADER=END\n shop\\00example.com\\00userPassword\n old \\c3\\a4 pass\nDATA=END\n".into(), "old ä pass"),
        ("sasldb", "VERSION=3\nformat=bytevalue\ntype=hash\nHEADER=END\n 73686f70006578616d706c652e636f6d007573657250617373776f7264\n 6f6c6420706173732031\nDATA=END\n".into(), "old pass 1"),
        ("maddy", "BEGIN TRANSACTION;\nCREATE TABLE passwords (\n\tkey LONGTEXT PRIMARY KEY NOT NULL,\n\tvalue LONGTEXT NOT NULL\n);\nINSERT INTO passwords VALUES('shop@example.com','bcrypt:$2b$05$abcdefghijklmnopqrstuuWG29KuyeAicPCJODk1zjyGvyQUU2awu');\nCOMMIT;\n".into(), "password"),
        ("postfixadmin", format!("-- MySQL dump 10.13\nCREATE TABLE `mailbox` (\n  `username` varchar(255) NOT NULL,\n  `password` varchar(255) NOT NULL,\n  `name` varchar(255) NOT NULL,\n  `active` tinyint(1) NOT NULL DEFAULT '1',\n  PRIMARY KEY (`username`),\n  KEY `domain` (`name`)\n) ENGINE=InnoDB;\n/*!40000 ALTER TABLE x; */;\nINSERT INTO `mailbox` VALUES ('shop@example.com','{MD5}','It\\'s; (a) \\\"shop\\\"',1);\n-- Dump completed\n"), "password"),
        ("postfixadmin", format!("COPY public.mailbox (username, password, name, active) FROM stdin;\nshop@example.com\t{MD5}\tA\\tb\tt\n\\.\nSELECT 1;\n"), "password"),
        ("postfixadmin", format!("INSERT INTO mailbox(active,password,username) VALUES(1,'{MD5}','shop@example.com'),(0,'{MD5}','off@example.com');"), "password"),
        ("csv", format!("username,hash\nshop@example.com,{MD5}\n"), "password"),
        ("json", format!(r#"[{{"username":"shop@example.com","hash":"{MD5}","senders":["a@b.example"],"limits":{{"messages/hour":5}}}}]"#), "password"),
    ] {
        let sandbox = Sandbox::new();
        let args = ["--from", format, "--domain", "example.com"];
        let said = taken(&sandbox, &text, &args);
        assert!(said.contains("created "), "{format}: {said}");
        assert_eq!(sandbox.verify("shop@example.com", "not it"), 6, "{format}");
        assert_eq!(sandbox.verify("shop@example.com", password), 0, "{format}");
        assert_eq!(sandbox.verify("shop@example.com", password), 0, "{format}, after the upgrade");
        if text.contains("off@") {
            assert_eq!(sandbox.json(&["user", "show", "off@example.com"])["status"], "suspended");
        }
        // The hash is another by now, and the file brings nothing new.
        let before = events(&sandbox);
        let said = taken(&sandbox, &text, &args);
        assert!(said.contains("created 0, updated 0"), "{format}: {said}");
        let said = taken(&sandbox, &text, &[&args[..], &["--update"]].concat());
        assert!(said.contains("created 0, updated 0"), "{format}: {said}");
        assert_eq!(events(&sandbox), before, "{format}");
    }
}

/// What spreadsheets write: semicolons or tabs, empty rows, columns without a name.
#[test]
fn spreadsheets_are_read_as_they_write() {
    for text in [
        format!("\u{feff}username;hash;label\r\nshop@example.com;{MD5};Shop, old\r\n"),
        format!("username\thash\tlabel\nshop@example.com\t{MD5}\tShop, old\n"),
        format!("\"username\";\"hash\";\"label\"\n\"shop@example.com\";\"{MD5}\";\"Shop, old\"\n"),
        format!("username,hash,label\n\nshop@example.com,{MD5},\"Shop, old\"\n,,\n , ,\n,,,,\n"),
        format!("username,hash,label,,\nshop@example.com,{MD5},\"Shop, old\",,\n"),
        format!("username , hash,label,\nshop@example.com,{MD5},\"Shop, old\",\n,,,\n"),
        format!("sep=;\r\nusername;hash;label\r\nshop@example.com;{MD5};Shop, old\r\n"),
        format!("username|hash|label\nshop@example.com|{MD5}|Shop, old\n"),
        format!(",username,hash,label\n,shop@example.com,{MD5},\"Shop, old\",\n"),
    ] {
        let sandbox = Sandbox::new();
        taken(&sandbox, &text, &["--from", "csv"]);
        assert_eq!(users(&sandbox), ["shop@example.com"], "{text}");
        let shop = sandbox.json(&["user", "show", "shop@example.com"]);
        assert_eq!(shop["label"], "Shop, old", "{text}");
        assert_eq!(sandbox.verify("shop@example.com", "password"), 0, "{text}");
        // The same reader is behind bulk creation.
        let names = text.replace("shop@", "new@").replace(MD5, "");
        let names = names.replace("hash", "daily_limit");
        let stdin = names.as_bytes();
        let args = ["user", "create", "--from", "-", "--reveal", "json"];
        let run = sandbox.run_with_stdin(&args, stdin);
        assert_eq!(run.code, 0, "{names}: {run:?}");
    }
    let sandbox = Sandbox::new();
    let unnamed = format!("username,hash,\nshop@example.com,{MD5},remark\n");
    let run = import(&sandbox, &unnamed, &["--from", "csv"]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stdout.contains("a column without a name"), "{run:?}");
    let parted = format!("username/hash\nshop@example.com/{MD5}\n");
    let run = import(&sandbox, &parted, &["--from", "csv"]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(
        run.stdout.contains("field 1 is not a known column"),
        "{run:?}"
    );
}

#[test]
fn other_encodings_than_utf8_are_named() {
    let text = "username,label\nshop@example.com,M\u{fc}ller\n";
    let units: Vec<u16> = text.encode_utf16().collect();
    let little: Vec<u8> = units.iter().flat_map(|u| u.to_le_bytes()).collect();
    let big: Vec<u8> = units.iter().flat_map(|u| u.to_be_bytes()).collect();
    let cp1252: Vec<u8> = text.chars().map(|c| u8::try_from(c).unwrap()).collect();
    let sandbox = Sandbox::new();
    for bytes in [
        [&b"\xff\xfe"[..], &little].concat(),
        [&b"\xfe\xff"[..], &big].concat(),
        little,
        big,
        cp1252,
    ] {
        for args in [
            &["user", "import", "-", "--from", "csv"][..],
            &["user", "import", "-", "--from", "dovecot-passwd"],
            &["user", "create", "--from", "-", "--reveal", "json"],
        ] {
            let run = sandbox.run_with_stdin(args, &bytes);
            assert_eq!(run.code, 2, "{args:?}: {run:?}");
            let said = format!("{}{}", run.stdout, run.stderr);
            assert!(said.contains("save it as UTF-8"), "{args:?}: {run:?}");
        }
    }
    assert_eq!(users(&sandbox), [""; 0]);
}

#[test]
fn comments_may_be_indented() {
    for (format, user) in [
        (
            "dovecot-passwd",
            format!("shop@example.com:{{MD5-CRYPT}}{MD5}"),
        ),
        (
            "htpasswd",
            "  shop@example.com:$apr1$saltsalt$yAAkm4libquA.ZWLHbSBq/".into(),
        ),
        (
            "docker-mailserver",
            format!("shop@example.com|{{MD5-CRYPT}}{MD5}"),
        ),
    ] {
        let sandbox = Sandbox::new();
        let text = format!("  # old@example.com:x|y\n\t#\n#\n   \n{user}\n \t# end");
        taken(&sandbox, &text, &["--from", format]);
        assert_eq!(users(&sandbox), ["shop@example.com"], "{format}");
        assert_eq!(
            sandbox.verify("shop@example.com", "password"),
            0,
            "{format}"
        );
    }
}

/// `usermod -L`, `passwd -l`, `pw lock` and Solaris put a sign before the hash.
#[test]
fn locked_users_come_suspended() {
    for hash in [
        format!("!{MD5}"),
        format!("!!{MD5}"),
        format!("*{MD5}"),
        format!("*LOCKED*{MD5}"),
        format!("*LK*{MD5}"),
        format!("{{CRYPT}}!{MD5}"),
        format!("{{MD5-CRYPT}}!!{MD5}"),
        "!".into(),
        "!!".into(),
        "*".into(),
        "*LK*".into(),
        "*LOCKED*".into(),
        "{CRYPT}!".into(),
    ] {
        let sandbox = Sandbox::new();
        let text = format!("shop@example.com:{hash}\n");
        let args = ["--from", "dovecot-passwd"];
        taken(&sandbox, &text, &[&args[..], &["--dry-run"]].concat());
        taken(&sandbox, &text, &args);
        let show = ["user", "show", "shop@example.com"];
        assert_eq!(sandbox.json(&show)["status"], "suspended", "{hash}");
        assert!(
            taken(&sandbox, &text, &args).contains("unchanged 1"),
            "{hash}"
        );
        let update = [&args[..], &["--update"]].concat();
        assert!(
            taken(&sandbox, &text, &update).contains("unchanged 1"),
            "{hash}"
        );
        sandbox.noted(&["user", "resume", "shop@example.com"]);
        let right = if hash.contains("$1$") { 0 } else { 6 };
        assert_eq!(
            sandbox.verify("shop@example.com", "password"),
            right,
            "{hash}"
        );
        // Locked since: --update locks it here, too.
        taken(&sandbox, &text, &update);
        assert_eq!(sandbox.json(&show)["status"], "suspended", "{hash}");
    }
    // A password in clear may begin like that, and what is no hash stays none.
    let sandbox = Sandbox::new();
    taken(
        &sandbox,
        "shop@example.com:{PLAIN}!correct horse\n",
        &["--from", "dovecot-passwd"],
    );
    assert_eq!(sandbox.verify("shop@example.com", "!correct horse"), 0);
    for bad in [
        "!x",
        "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19",
        "!{DES-CRYPT}x",
    ] {
        let text = format!("other@example.com:{bad}\n");
        let run = import(&sandbox, &text, &["--from", "dovecot-passwd"]);
        assert_eq!(run.code, 2, "{bad}: {run:?}");
    }
}

#[test]
fn names_alone_get_new_passwords() {
    for (format, text) in [
        (
            "mailgun-json",
            r#"{"total_count":1,"items":[{"created_at":"Tue, 27 Sep 2011 20:24:22 GMT","mailbox":"shop@example.com","login":"shop@example.com","size_bytes":null}]}"#,
        ),
        ("sasldb", "shop@example.com: userPassword\n"),
    ] {
        let sandbox = Sandbox::new();
        let folder = sandbox.folder.path().join("passwords");
        fs::create_dir(&folder).unwrap();
        let refused = import(&sandbox, text, &["--from", format]);
        assert_eq!(refused.code, 2);
        assert!(refused.stdout.contains("--output-dir"), "{refused:?}");
        let args = ["--from", format, "--output-dir", folder.to_str().unwrap()];
        taken(&sandbox, text, &[&args[..], &["--dry-run"]].concat());
        assert_eq!(
            fs::read_dir(&folder).unwrap().count(),
            0,
            "a dry run makes none"
        );
        taken(&sandbox, text, &args);
        let file = folder.join("shop@example.com");
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let password = fs::read_to_string(&file).unwrap();
        assert_eq!(sandbox.verify("shop@example.com", password.trim_end()), 0);
        assert!(taken(&sandbox, text, &args).contains("unchanged 1"));
        assert_eq!(fs::read_to_string(&file).unwrap(), password);
        // A name that is taken is a bad row, and undoes all.
        fs::create_dir(folder.join("b@example.com")).unwrap();
        let two = "a@example.com: userPassword\nb@example.com: userPassword\n";
        let args = ["--from", "sasldb", "--output-dir", folder.to_str().unwrap()];
        assert_eq!(import(&sandbox, two, &args).code, 2);
        assert!(!folder.join("a@example.com").exists());
        assert_eq!(users(&sandbox), ["shop@example.com"]);
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once_and_nothing_is_written() {
    let sandbox = Sandbox::new();
    sandbox.noted(&["domain", "set", "example.com", "--max-users", "3"]);
    sandbox.create("there@example.com");
    let before = (users(&sandbox), events(&sandbox));
    let text = format!(
        "username,hash,daily_limit,expires_at,label\n\
         good@example.com,{MD5},5,2030-01-01,fine\n\
         bad name@example.com,hunter2-secret,-1,yesterday,\"a\nb\"\n\
         elsewhere@nowhere.test,{MD5},,,\n\
         good@example.com,{MD5},,,\n\
         there@example.com,{MD5},,,\n\
         short@example.com,x\n\
         des@example.com,{{DES-CRYPT}}vcgEpyC0Yjktc,,,\n\
         costly@example.com,$2y$31$YMH3GG2IGLQYaTMuPwYjHuk1Z4kMxRtL98vbSplPaw4QkKLOaak7S,,,\n\
         nothing@example.com,,,,\n\
         third@example.com,{MD5},,,\n\
         zz@example.com,{MD5},,,\n"
    );
    let run = import(&sandbox, &text, &["--from", "csv", "--json"]);
    assert_eq!(run.code, 2, "{run:?}");
    let rows: Vec<serde_json::Value> = serde_json::from_str(&run.stdout).unwrap();
    let found: Vec<_> = rows
        .iter()
        .map(|r| (r["row"].as_i64().unwrap(), r["columns"].as_str().unwrap()))
        .collect();
    for expected in [
        (3, "username"),
        (3, "hash"),
        (3, "daily_limit"),
        (3, "expires_at"),
        (3, "label"),
        (4, "username"),
        (5, "username"),
        (6, "hash"),
        (7, ""),
        (8, "hash"),
        (9, "hash"),
        (10, "hash"),
        (12, "username"),
    ] {
        assert!(found.contains(&expected), "{expected:?} in {found:?}");
    }
    assert_eq!(found.len(), 13, "{found:?}");
    for secret in ["hunter2", MD5, "vcgEpyC0", "YMH3GG2"] {
        assert!(
            !run.stdout.contains(secret) && !run.stderr.contains(secret),
            "{secret}"
        );
    }
    assert_eq!((users(&sandbox), events(&sandbox)), before);

    // The good ones alone, and the others put aside.
    let aside = sandbox.folder.path().join("bad.csv");
    let args = ["--from", "csv", "--skip-bad", aside.to_str().unwrap()];
    assert!(taken(&sandbox, &text, &args).contains("created 2"));
    assert_eq!(users(&sandbox).len(), 3);
    assert_eq!(
        fs::metadata(&aside).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let text = fs::read_to_string(&aside).unwrap();
    assert!(text.starts_with("row,column,reason,text\n"), "{text}");
    assert!(
        text.contains("hunter2-secret") && text.contains("elsewhere@nowhere.test"),
        "{text}"
    );
    assert_eq!(
        import(&sandbox, "username\n", &args).code,
        74,
        "never overwritten"
    );
}

#[test]
fn columns_have_to_be_known_and_there_once() {
    let sandbox = Sandbox::new();
    for (text, said) in [
        ("username,hash,colour\n", "colour"),
        ("username,hash,hash\n", "twice"),
        ("hash,label\n", "missing"),
        (
            "a@example.com,$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/\n",
            "is not a known column",
        ),
    ] {
        let run = import(&sandbox, text, &["--from", "csv"]);
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stdout.contains(said), "{run:?}");
        assert!(!run.stdout.contains("$1$"), "{run:?}");
    }
    for (text, said) in [
        (
            r#"[{"username":"a@example.com","colour":1}]"#,
            "unknown field",
        ),
        (
            r#"[{"username":"a@example.com","username":"b@example.com"}]"#,
            "twice",
        ),
        (r#"[{"username":["a",1]}]"#, "wrong type"),
        (r#"[1,"x",null,[[]],true]"#, "is not an object"),
        (r#"[{"username":"#, "is not a JSON object"),
        (r#"{"username":"a"}"#, ""),
        ("7", "is not a JSON object"),
        ("", "is not a JSON object"),
    ] {
        let run = import(&sandbox, text, &["--from", "json"]);
        assert!(run.stdout.contains(said), "{text}: {run:?}");
        assert!(users(&sandbox).is_empty());
    }
    for (format, text) in [
        ("postfixadmin", "SELECT 1;"),
        ("csv", ""),
        ("maddy", ""),
        (
            "maddy",
            "CREATE TABLE passwords(key TEXT, value TEXT); INSERT INTO passwords VALUES('a@example.com','bcrypt:",
        ),
    ] {
        let run = import(&sandbox, text, &["--from", format]);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run:?}");
    }
}

#[test]
fn what_is_there_changes_only_if_that_is_said() {
    let sandbox = Sandbox::new();
    let file = |label: &str, hash: &str| {
        format!("username,label,hash,suspended\nshop@example.com,{label},{hash},no\n")
    };
    taken(&sandbox, &file("Shop", MD5), &["--from", "csv"]);
    let password = sandbox.create("other@example.com");
    let run = import(&sandbox, &file("Web", SHA), &["--from", "csv"]);
    assert_eq!(run.code, 2);
    assert!(run.stdout.contains("--update"), "{run:?}");
    let update = ["--from", "csv", "--update"];
    let dry = import(
        &sandbox,
        &file("Web", SHA),
        &[&update[..], &["--dry-run", "--json"]].concat(),
    );
    let rows: serde_json::Value = serde_json::from_str(&dry.stdout).unwrap();
    assert_eq!(rows[0]["what"], "update");
    assert_eq!(rows[0]["columns"], "label hash");
    assert_eq!(
        sandbox.verify("shop@example.com", "password"),
        0,
        "a dry run changes nothing"
    );
    taken(&sandbox, &file("Web", SHA), &update);
    assert_eq!(sandbox.verify("shop@example.com", "password"), 6);
    assert_eq!(sandbox.verify("shop@example.com", "old pass 1"), 0);
    // A password that was replaced here stays so: the old file does not bring it back.
    let new = sandbox.ok(&["user", "reset", "shop@example.com", "--quiet"]);
    taken(&sandbox, &file("Web", SHA), &update);
    assert_eq!(sandbox.verify("shop@example.com", new.trim_end()), 0);
    assert_eq!(sandbox.verify("shop@example.com", "old pass 1"), 6);

    // Equal to the file, once somebody says yes.
    let prune = ["--from", "csv", "--prune"];
    let run = import(&sandbox, &file("Web", SHA), &prune);
    assert_eq!(run.code, 5, "{run:?}");
    assert_eq!(sandbox.verify("other@example.com", &password), 0);
    let dry = import(
        &sandbox,
        &file("Web", SHA),
        &[&prune[..], &["--dry-run"]].concat(),
    );
    assert!(
        dry.stdout.contains("delete") && dry.stdout.contains("other@example.com"),
        "{dry:?}"
    );
    taken(
        &sandbox,
        &file("Web", SHA),
        &[&prune[..], &["--yes"]].concat(),
    );
    assert_eq!(users(&sandbox), ["shop@example.com"]);
}

#[test]
fn hashes_can_be_left_out() {
    let sandbox = Sandbox::new();
    sandbox.noted(&["set-settings", "--accept-hash", "argon2,bcrypt"]);
    let text = format!("username,hash\nshop@example.com,{MD5}\n");
    let run = import(&sandbox, &text, &["--from", "csv"]);
    assert_eq!(run.code, 2);
    assert!(run.stdout.contains("md5-crypt"), "{run:?}");
    sandbox.noted(&["set-settings", "--accept-hash", "all"]);
    taken(&sandbox, &text, &["--from", "csv"]);
    let report = |sandbox: &Sandbox| sandbox.run(&["report", "--weak-hashes", "--json"]);
    let weak = report(&sandbox);
    assert_eq!(weak.code, 7);
    assert!(
        weak.stdout.contains("weak_hash") && weak.stdout.contains("md5-crypt"),
        "{weak:?}"
    );
    assert_eq!(sandbox.verify("shop@example.com", "password"), 0);
    assert_eq!(report(&sandbox).code, 0);
    let bad = sandbox.run(&["set-settings", "--accept-hash", "rot13"]);
    assert_eq!(bad.code, 2);
}

#[test]
fn what_goes_out_comes_back_exactly() {
    let sandbox = Sandbox::new();
    sandbox.noted(&["domain", "add", "other.example"]);
    sandbox.create("plain@other.example");
    sandbox.noted(&[
        "user",
        "create",
        "shop@example.com",
        "--output",
        "pw",
        "--label",
        "Shop, \"new\"; =1+1",
        "--daily-limit",
        "7",
        "--limit",
        "messages/hour=3",
        "--limit",
        "new-recipients/day=9",
        "--on-limit",
        "suspend",
        "--sender",
        "other.example",
        "--sender",
        "info@example.com",
        "--expires-at",
        "2031-02-03T04:05:06Z",
    ]);
    sandbox.noted(&["user", "reset", "shop@example.com", "--overlap", "24h"]);
    sandbox.noted(&["user", "suspend", "plain@other.example"]);
    taken(
        &sandbox,
        &format!("md5@example.com|{{MD5-CRYPT}}{MD5}\n"),
        &["--from", "docker-mailserver"],
    );
    for format in ["csv", "json"] {
        let file = format!("{format}.1");
        sandbox.noted(&[
            "user",
            "export",
            "--to",
            format,
            "--with-hashes",
            "--output",
            &file,
        ]);
        let path = sandbox.folder.path().join(&file);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("$argon2id$") && text.contains(MD5));
        let copy = Sandbox::empty();
        taken(&copy, &text, &["--from", format, "--add-domain"]);
        copy.noted(&[
            "user",
            "export",
            "--to",
            format,
            "--with-hashes",
            "--output",
            "again",
        ]);
        assert_eq!(
            fs::read_to_string(copy.folder.path().join("again")).unwrap(),
            text
        );
        assert_eq!(copy.verify("md5@example.com", "password"), 0);
        assert!(taken(&sandbox, &text, &["--from", format]).contains("unchanged 3"));
        // Without hashes it changes what is there, and can bring nobody.
        let without = sandbox.ok(&["user", "export", "--to", format]);
        assert!(!without.contains("argon2id") && !without.contains("$1$"));
        assert!(taken(&sandbox, &without, &["--from", format]).contains("unchanged 3"));
    }
    let to_stdout = sandbox.run(&["user", "export", "--with-hashes"]);
    assert_eq!((to_stdout.code, to_stdout.stdout.as_str()), (2, ""));
    let again = sandbox.run(&["user", "export", "--with-hashes", "--output", "csv.1"]);
    assert_eq!(again.code, 74, "never overwritten");
    let args = [
        "user",
        "export",
        "--to",
        "dovecot-passwd",
        "--with-hashes",
        "--output",
        "passwd",
    ];
    sandbox.noted(&args);
    let text = fs::read_to_string(sandbox.folder.path().join("passwd")).unwrap();
    assert!(
        text.contains(&format!("md5@example.com:{{MD5-CRYPT}}{MD5}::::::\n")),
        "{text}"
    );
    assert!(
        text.contains("plain@other.example:{ARGON2ID}$argon2id$"),
        "{text}"
    );
    assert!(text.contains("::::::nologin=y\n"), "{text}");
}

#[test]
fn dovecot_reads_each_hash_under_its_own_scheme() {
    let sandbox = Sandbox::new();
    sandbox.create("ours@example.com");
    taken(
        &sandbox,
        &format!("md5@example.com|{MD5}\nsha@example.com|{SHA}\n"),
        &["--from", "docker-mailserver"],
    );
    let store = rusqlite::Connection::open(sandbox.store()).unwrap();
    let mut rows = store
        .prepare("SELECT password FROM dovecot_users ORDER BY username")
        .unwrap();
    let rows = rows.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let hashes: Vec<_> = rows.map(Result::unwrap).collect();
    assert_eq!(hashes[0], format!("{{MD5-CRYPT}}{MD5}"));
    assert!(hashes[1].starts_with("{ARGON2ID}$argon2id$"), "{hashes:?}");
    assert_eq!(hashes[2], SHA);
}

#[test]
fn what_is_wrong_with_the_place_changes_nothing() {
    let sandbox = Sandbox::new();
    let text = format!("username,hash\nshop@example.com,{MD5}\n");
    for (args, code) in [
        (&["--from", "csv", "--output-dir", "missing"][..], 74),
        (&["--from", "csv", "--skip-bad", "missing/bad.csv"], 74),
        (&["--from", "csv", "--skip-bad", "x", "--prune"], 2),
        (&["--from", "csv", "--domain", "no domain"], 2),
    ] {
        let run = import(&sandbox, &text, args);
        assert_eq!(run.code, code, "{args:?}: {run:?}");
        assert!(users(&sandbox).is_empty());
    }
    let nowhere = Sandbox::empty();
    let run = import(&nowhere, &text, &["--from", "csv"]);
    assert_eq!(run.code, 75, "{run:?}");
}

#[test]
fn an_overlap_comes_over_to_a_store_that_has_the_old_password() {
    let (from, to) = (Sandbox::new(), Sandbox::new());
    let export = || {
        let _ = fs::remove_file(from.folder.path().join("e.csv"));
        from.ok(&["user", "export", "--with-hashes", "--output", "e.csv", "-q"]);
        fs::read_to_string(from.folder.path().join("e.csv")).unwrap()
    };
    let old = from.create("shop@example.com");
    taken(&to, &export(), &["--from", "csv"]);
    let new = from.ok(&[
        "user",
        "reset",
        "shop@example.com",
        "--overlap",
        "24h",
        "-q",
    ]);
    let overlap = export();
    let said = taken(&to, &overlap, &["--from", "csv", "--update"]);
    assert!(said.contains("updated 1"), "{said}");
    for password in [&old, new.trim_end()] {
        assert_eq!(to.verify("shop@example.com", password), 0);
    }
    let [theirs, ours] = [&from, &to].map(|sandbox| {
        let user = sandbox.json(&["user", "show", "shop@example.com"]);
        let keys = user["passwords"].as_array().unwrap().iter();
        keys.map(|key| (key["id"].clone(), key["retires_at"].clone()))
            .collect::<Vec<_>>()
    });
    assert_eq!(theirs, ours);
    // Again, and once the old one has been stopped by hand.
    let said = taken(&to, &overlap, &["--from", "csv", "--update"]);
    assert!(said.contains("unchanged 1"), "{said}");
    to.ok(&["user", "retire", "shop@example.com", "-q"]);
    taken(&to, &overlap, &["--from", "csv", "--update"]);
    assert_eq!(to.verify("shop@example.com", &old), 6);

    // A row that names one key twice.
    let [old_password_id, key] = [0, 1].map(|i| theirs[i].0.as_str().unwrap());
    let twice = overlap
        .replace(old_password_id, key)
        .replace("shop@", "new@");
    let run = import(&to, &twice, &["--from", "csv"]);
    assert_eq!(run.code, 2, "{run:?}");
    let told = format!("{}{}", run.stdout, run.stderr);
    assert!(
        told.contains("old_password_id") && told.contains('2'),
        "{told}"
    );
}

/// Labels that a spreadsheet would calculate, in every CSV that is printed.
#[test]
fn formulas_leave_as_text_and_come_back_as_they_were() {
    let sandbox = Sandbox::new();
    let labels = [
        "=HYPERLINK(\"http://203.0.113.9\")",
        "+1",
        "-1+2",
        "@SUM(A1)",
        "'=1",
        "'quoted'",
        "a=b",
    ];
    for (i, label) in labels.iter().enumerate() {
        let name = format!("u{i}@example.com");
        sandbox.noted(&["user", "create", &name, &format!("--label={label}")]);
    }
    let odd = "=1+1@example.com";
    sandbox.noted(&["user", "create", odd]);
    let exported = sandbox.folder.path().join("exported.csv");
    let exported = exported.to_str().unwrap();
    sandbox.noted(&["user", "export", "--with-hashes", "--output", exported]);
    let exported = fs::read_to_string(exported).unwrap();
    let csv = [
        sandbox.ok(&["user", "list", "--format", "csv"]),
        sandbox.ok(&["audit", "list", "--format", "csv"]),
        exported.clone(),
    ];
    for text in &csv {
        let formula = |field: &str| field.starts_with(['=', '+', '-', '@']);
        let fields = text
            .split([',', '\n'])
            .map(|field| field.trim_start_matches('"'));
        let found: Vec<_> = fields.filter(|field| formula(field)).collect();
        assert_eq!(found, [""; 0], "{text}");
    }
    let before = sandbox.json(&["user", "export"]);
    for user in users(&sandbox) {
        sandbox.noted(&["user", "delete", "--yes", "--", &user]);
    }
    taken(&sandbox, &exported, &["--from", "csv"]);
    assert_eq!(sandbox.json(&["user", "export"]), before);
}

#[test]
fn p2_who_is_created_meanwhile_keeps_the_password() {
    let sandbox = Sandbox::new();
    let password = sandbox.create("theirs@example.com");
    fs::write(
        sandbox.folder.path().join("names.csv"),
        "username\nshop@example.com\n",
    )
    .unwrap();
    let folder = sandbox.folder.path().join("passwords");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    let args = ["user", "import", "names.csv", "--from", "csv", "--update"];
    let args = [&args[..], &["--output-dir", "passwords"]].concat();
    let (running, store) = sandbox.at_lock(&args, std::process::Stdio::piped());
    // The user that is there gets the name that a password was just made for.
    store
        .execute_batch(
            "INSERT INTO users (username, domain, created_at)
                SELECT 'shop@example.com', domain, created_at FROM users;
             INSERT INTO passwords (username, password_id, hash, created_at)
                SELECT 'shop@example.com', password_id, hash, created_at FROM passwords;
             COMMIT",
        )
        .unwrap();
    drop(store);
    let run = support::ended(running);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stdout.contains("was created meanwhile"), "{run:?}");
    assert_eq!(sandbox.verify("shop@example.com", &password), 0);
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        0,
        "no password of nobody"
    );
}

/// A store that does not exist is created once nothing is in the way, and never by a dry run.
#[test]
fn a_dry_run_and_a_bad_row_create_no_store() {
    let sandbox = Sandbox::empty();
    let good = format!("username,hash\nshop@example.com,{MD5}\n");
    let bad = format!("{good}bad name,{MD5}\n");
    let add = ["--from", "csv", "--add-domain"];
    let run = import(&sandbox, &good, &[&add[..], &["--dry-run"]].concat());
    assert_eq!(
        (run.code, run.stderr.as_str()),
        (0, "would create 1, update 0, leave 0 unchanged\n")
    );
    assert!(run.stdout.contains("create"), "{run:?}");
    assert_eq!(import(&sandbox, &bad, &add).code, 2);
    assert_eq!(
        import(&sandbox, &good, &["--from", "csv", "--dry-run"]).code,
        75
    );
    assert!(!sandbox.store().exists());
    taken(&sandbox, &good, &add);
    assert_eq!(sandbox.verify("shop@example.com", "password"), 0);
}

/// Destinations that cannot be written are detected before anything changes, also by a dry run.
#[test]
fn p2_a_file_in_the_way_is_a_bad_row() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder.path().join("passwords");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("b@example.com"), "mine").unwrap();
    let text = "username\na@example.com\nb@example.com\n";
    let args = ["--from", "csv", "--output-dir", folder.to_str().unwrap()];
    let before = events(&sandbox);
    for dry in [&["--dry-run"][..], &[]] {
        let run = import(&sandbox, text, &[&args[..], dry].concat());
        assert_eq!(run.code, 2, "{run:?}");
        assert!(
            run.stdout.contains("has a file in the folder already"),
            "{run:?}"
        );
    }
    assert_eq!(events(&sandbox), before);
    let names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|f| f.unwrap().file_name())
        .collect();
    assert_eq!(names, ["b@example.com"]);
    let run = import(
        &sandbox,
        text,
        &[&args[..], &["--skip-bad", "bad.csv"]].concat(),
    );
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(users(&sandbox), ["a@example.com"]);
}
