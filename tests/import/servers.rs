//! Users made by the programs they come from, signing in through Postfix with
//! the passwords they have: before their hashes are made anew, and after.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rusqlite::Connection;

use crate::support::mail::Place;
use crate::support::serve::Serve;
use crate::support::{Sandbox, serve, wait_for};

const PASSWORD: &str = "old Pässword 1";
/// In `doveadm pw -l`, and not a hash that a password can be compared with here.
const NOT_SUPPORTED: [&str; 8] = [
    "HMAC-MD5",
    "OTP",
    "SKEY",
    "DES-CRYPT",
    "PLAIN-MD4",
    "CRAM-MD5",
    "PLAIN-TRUNC",
    "DIGEST-MD5",
];

fn output(program: &str, args: &[&str], stdin: &str) -> String {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    child
        .stdin
        .take()
        .unwrap()
        .write_all(stdin.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program} {args:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn doveadm(scheme: &str, user: &str) -> String {
    output(
        "doveadm",
        &["pw", "-s", scheme, "-u", user, "-p", PASSWORD],
        "",
    )
    .trim_end()
    .to_owned()
}

/// All that Dovecot hashes, but for what has to be refused.
fn dovecot(sandbox: &Sandbox) -> Vec<String> {
    let mut users = Vec::new();
    let mut file = String::new();
    let all = output("doveadm", &["pw", "-l"], "");
    let (mut supported, mut refused) = (Vec::new(), Vec::new());
    for scheme in all.split_whitespace() {
        let name = scheme.to_lowercase();
        if NOT_SUPPORTED.contains(&scheme) {
            refused.push(scheme);
        } else {
            supported.push(scheme);
            for (ending, form) in [("", String::new()), (".hex", ".HEX".to_owned())] {
                // Text of its own is not encoded anew.
                let digest = scheme.contains("SHA")
                    && !scheme.contains("CRYPT")
                    && !scheme.contains("SCRAM");
                if ending.is_empty() || digest {
                    let user = format!("{name}{ending}@example.com");
                    let hash = doveadm(&format!("{scheme}{form}"), &user);
                    writeln!(file, "{user}:{hash}:::::").unwrap();
                    users.push(user);
                }
            }
        }
    }
    assert!(supported.len() >= 20, "{supported:?}");
    let mut bad = String::new();
    for scheme in refused {
        // Two that doveadm lists and does not make.
        if !matches!(scheme, "OTP" | "SKEY") {
            let hash = doveadm(scheme, "x");
            writeln!(bad, "{}@example.com:{hash}", scheme.to_lowercase()).unwrap();
        }
    }
    import(sandbox, "dovecot-passwd", &file, &[], 0);
    import(sandbox, "dovecot-passwd", &bad, &[], 2);
    users
}

fn htpasswd(sandbox: &Sandbox) -> Vec<String> {
    let path = sandbox.folder.path().join("htpasswd");
    let path = path.to_str().unwrap();
    let kinds = [
        ("apr1", "-m"),
        ("apache-bcrypt", "-B"),
        ("apache-sha", "-s"),
        ("crypt5", "-2"),
        ("crypt6", "-5"),
    ];
    for (i, (user, kind)) in kinds.into_iter().enumerate() {
        let create = if i == 0 { "-ci" } else { "-i" };
        output("htpasswd", &[create, kind, path, user], PASSWORD);
    }
    let file = fs::read_to_string(path).unwrap();
    import(sandbox, "htpasswd", &file, &["--domain", "example.com"], 0);
    kinds.map(|(user, _)| format!("{user}@example.com")).into()
}

fn sasldb(sandbox: &Sandbox) -> Vec<String> {
    let path = sandbox.folder.path().join("sasldb2");
    let path = path.to_str().unwrap();
    output(
        "/usr/sbin/saslpasswd2",
        &["-p", "-c", "-f", path, "-u", "example.com", "cyrus"],
        PASSWORD,
    );
    let listed = output("/usr/sbin/sasldblistusers2", &["-f", path], "");
    assert_eq!(listed, "cyrus@example.com: userPassword\n");
    for args in [&["-p", path][..], &[path][..]] {
        let dump = output("db5.3_dump", args, "");
        import(sandbox, "sasldb", &dump, &[], 0);
    }
    // They are there by now, so that no password has to be made.
    import(sandbox, "sasldb", &listed, &[], 0);
    vec!["cyrus@example.com".into()]
}

/// What it hashes with, as it is set up: the default, PHP's own, Dovecot's.
const POSTFIXADMIN: [&str; 8] = [
    "md5crypt",
    "md5",
    "php_crypt:SHA512",
    "php_crypt:SHA256",
    "php_crypt:BLOWFISH",
    "dovecot:SSHA512",
    "dovecot:ARGON2ID",
    "sha512.b64",
];

/// Made by `PostfixAdmin`'s own programs, in its own tables.
fn postfixadmin(sandbox: &Sandbox) -> Vec<String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("postfixadmin/usr/share/postfixadmin");
    let database = sandbox.folder.path().join("postfixadmin.db");
    fs::write(&database, "").unwrap();
    let php = |file: &str, encrypt: &str, args: &[&str]| {
        let run = Command::new("php")
            .current_dir(folder.join("public"))
            .arg(folder.join(file))
            .args(args)
            .envs([("ENCRYPT", encrypt)])
            .env("DATABASE", &database)
            .output()
            .unwrap_or_else(|e| panic!("php: {e}"));
        let said = String::from_utf8_lossy(&run.stdout).into_owned();
        assert!(run.status.success() && !said.contains("Error"), "{said}");
    };
    let cli = |encrypt: &str, args: &[&str]| php("scripts/postfixadmin-cli.php", encrypt, args);
    php("public/upgrade.php", POSTFIXADMIN[0], &[]);
    let add = [
        "domain",
        "add",
        "example.com",
        "--aliases",
        "0",
        "--mailboxes",
        "0",
    ];
    cli(POSTFIXADMIN[0], &add);
    let mut users = Vec::new();
    for (i, encrypt) in POSTFIXADMIN.iter().enumerate() {
        let name = format!("pfa-{i}@example.com");
        let add = ["mailbox", "add", &name, "--name", "It's a; (name)"];
        let password = ["--password", PASSWORD, "--password2", PASSWORD];
        cli(encrypt, &[&add[..], &password].concat());
        users.push(name);
    }
    let off = users.pop().unwrap();
    cli(
        POSTFIXADMIN[0],
        &["mailbox", "update", &off, "--active", "0"],
    );
    let dump = output("sqlite3", &[database.to_str().unwrap(), ".dump"], "");
    import(sandbox, "postfixadmin", &dump, &[], 0);
    assert_eq!(sandbox.json(&["user", "show", &off])["status"], "suspended");
    sandbox.noted(&["user", "resume", &off]);
    users.push(off);
    users
}

/// The table of maddy's `table.sql_table`, with values as its `pass_table` writes them.
fn maddy(sandbox: &Sandbox) -> Vec<String> {
    let path = sandbox.folder.path().join("credentials.db");
    let store = Connection::open(&path).unwrap();
    store
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS passwords (
                key LONGTEXT PRIMARY KEY NOT NULL,
                value LONGTEXT NOT NULL
            )",
        )
        .unwrap();
    let bcrypt = doveadm("BLF-CRYPT", "x");
    let argon2 = doveadm("ARGON2ID", "x");
    let parts: Vec<_> = argon2.split('$').collect();
    let numbers: Vec<_> = parts[3].split([',', '=']).collect();
    let argon2 = format!(
        "argon2:{}:{}:{}:{}==:{}=",
        numbers[3], numbers[1], numbers[5], parts[4], parts[5]
    );
    let bcrypt = bcrypt.replace("{BLF-CRYPT}", "bcrypt:");
    for (name, value) in [
        ("maddy-b@example.com", bcrypt),
        ("maddy-a@example.com", argon2),
    ] {
        store
            .execute(
                "INSERT INTO passwords(key, value) VALUES(?1, ?2)",
                (name, value),
            )
            .unwrap();
    }
    drop(store);
    let dump = output("sqlite3", &[path.to_str().unwrap(), ".dump"], "");
    import(sandbox, "maddy", &dump, &[], 0);
    vec!["maddy-b@example.com".into(), "maddy-a@example.com".into()]
}

fn import(sandbox: &Sandbox, format: &str, text: &str, more: &[&str], code: i32) {
    let args = [&["user", "import", "-", "--from", format][..], more].concat();
    let run = sandbox.run_with_stdin(&args, text.as_bytes());
    assert_eq!(run.code, code, "{format}: {run:?}");
}

fn hashes(sandbox: &Sandbox) -> Vec<(String, String)> {
    let store = Connection::open(sandbox.store()).unwrap();
    let mut rows = store
        .prepare("SELECT username, hash FROM passwords ORDER BY username")
        .unwrap();
    let found = rows
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    found.map(Result::unwrap).collect()
}

#[test]
#[ignore = "needs root, Postfix, Dovecot, apache2-utils, sasl2-bin, PHP: run tests/run"]
fn everybody_signs_in_with_the_old_password_before_and_after() {
    let sandbox = serve::store();
    let place = Place::new();
    let mut users = dovecot(&sandbox);
    users.extend(htpasswd(&sandbox));
    users.extend(sasldb(&sandbox));
    users.extend(postfixadmin(&sandbox));
    users.extend(maddy(&sandbox));
    serve::own_again(&sandbox);
    let foreign = hashes(&sandbox)
        .iter()
        .filter(|(_, hash)| hash.starts_with('{'))
        .count();
    assert!(foreign > 25, "{foreign}");

    let mut serve = Serve::start(&sandbox, &place);
    let postfix = serve::postfix(&sandbox, &place);
    let right = |when: &str| {
        for user in &users {
            let reply = postfix.client().auth_plain(user, PASSWORD, true);
            assert_eq!(
                reply.code,
                235,
                "{when}: {user}: {reply:?}\n{}",
                serve.log()
            );
        }
    };
    // Each wrong one is answered later than the one before.
    for user in users.iter().step_by(20) {
        assert_eq!(
            postfix.client().auth_plain(user, "another", true).code,
            535,
            "{user}"
        );
    }
    for user in &users {
        assert_eq!(sandbox.verify(user, "another"), 6, "{user}");
    }
    right("before");
    wait_for("the hashes to be made anew", || {
        let left: Vec<_> = hashes(&sandbox)
            .into_iter()
            .filter(|(_, hash)| hash.starts_with('{'))
            .collect();
        left.is_empty().then_some(())
    });
    right("after");
    // What it remembers is gone: all are hashed, as Argon2id.
    serve.stop();
    serve.start_again();
    for user in &users {
        let reply = postfix.client().auth_plain(user, PASSWORD, true);
        assert_eq!(reply.code, 235, "after a restart: {user}: {reply:?}");
    }
    let rehashed = sandbox.json(&["audit", "list"]);
    let events = rehashed
        .as_array()
        .unwrap()
        .iter()
        .filter(|e| e["action"] == "password.rehash");
    assert_eq!(events.count(), foreign);
}
