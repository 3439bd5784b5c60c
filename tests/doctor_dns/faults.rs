//! `smtpcred doctor` on a sound set-up of real servers, and on set-ups that are
//! broken one way each: it names that one, and nothing else.

use std::fs;
use std::os::unix::fs::chown;

use nix::sys::signal::Signal;

use crate::support::doctor::{Changed, Ground, Mode, USER, with_postfix};
use crate::support::mail::Place;
use crate::support::serve::{Serve, postfix, sql, store};
use crate::support::{self, Sandbox, doctor, free_port, mail, serve, small};

const AS_DAEMON: [&str; 6] = [
    "--reuid",
    "daemon",
    "--regid",
    "daemon",
    "--clear-groups",
    "--",
];

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn the_store() {
    with_postfix(|ground, _, _| {
        let path = ground.sandbox.store();
        let folder = path.parent().unwrap();
        let set = Mode::set(&path, 0o666);
        ground.complains("everybody writes it", &["fail store mode"]);
        drop(set);
        let set = Mode::set(&path, 0o644);
        ground.complains("everybody reads it", &["warn store mode"]);
        drop(set);
        let set = Mode::set(folder, 0o777);
        ground.complains("everybody replaces it", &["fail store mode"]);
        drop(set);

        let owner = nix::unistd::User::from_name("nobody").unwrap().unwrap();
        let give = |uid: u32| chown(&path, Some(uid), None).unwrap();
        give(2);
        ground.complains("another's", &["fail store owner"]);
        give(0);
        ground.complains("root's in a folder of nobody's", &["fail store owner"]);
        give(owner.uid.as_raw());

        let store = rusqlite::Connection::open(&path).unwrap();
        let known: i64 = store
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .unwrap();
        drop(store);
        let set = |version: i64| {
            sql(ground.sandbox, &format!("PRAGMA user_version = {version}"));
        };
        set(known + 1);
        ground.complains("a newer schema", &["fail store schema"]);
        set(known - 1);
        ground.complains("an older schema", &["warn store schema"]);
        set(known);

        let away = folder.join("away");
        fs::rename(&path, &away).unwrap();
        ground.complains("no store", &["fail store file"]);
        fs::write(&path, "SQLite format 4").unwrap();
        ground.complains("no store of ours", &["fail store file"]);
        fs::remove_file(&path).unwrap();
        fs::rename(&away, &path).unwrap();

        sql(ground.sandbox, "PRAGMA wal_checkpoint(TRUNCATE)");
        let mut bytes = fs::read(&path).unwrap();
        // The second one only says of whom the others are.
        bytes[8192..8192 + 64].fill(0xa5);
        let written = Changed::write(&path, &bytes);
        ground.complains("a page is damaged", &["fail store integrity"]);
        drop(written);
    });
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn a_disk_that_is_nearly_full() {
    let sandbox = Sandbox::empty();
    let small = small::Small::new(sandbox.folder.path());
    std::os::unix::fs::symlink(&small.0, sandbox.store().parent().unwrap()).unwrap();
    serve::own(&sandbox);
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let postfix = postfix(&sandbox, &place);
    let ground = Ground::new(&sandbox, &place, "postfix", &postfix.config)
        .ports(postfix.submission, postfix.submissions);
    ground.complains("little space", &["fail store space"]);
    // Where the file is counts, and not where a link to it is.
    let link = sandbox.folder.path().join("link.db");
    std::os::unix::fs::symlink(sandbox.store(), &link).unwrap();
    let mut args = ground.args.clone();
    args.extend(["--store".to_owned(), link.display().to_string()]);
    ground.complains_with("by a link", &args, &["fail store space"]);
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn the_machine() {
    with_postfix(|ground, _, _| {
        sql(
            ground.sandbox,
            "UPDATE events SET at = at + 7200 WHERE id = (SELECT max(id) FROM events)",
        );
        // An event that was changed no longer fits, either.
        let both = ["fail machine clock", "fail store history"];
        ground.complains("a clock that is behind", &both);
        sql(
            ground.sandbox,
            "UPDATE events SET at = at - 7200 WHERE id = (SELECT max(id) FROM events)",
        );
        ground.says("timedatectl", "no");
        ground.complains("not synchronised", &["warn machine clock"]);
        ground.says("timedatectl", "yes");
        let set = |cost: &str| ground.sandbox.noted(&["set-settings", "--argon2", cost]);
        set("m=262144,t=16,p=1");
        let (mut found, run) = ground.run();
        // Where there are many processors it may be too much memory as well.
        found.remove("warn machine memory");
        assert_eq!(
            found,
            ["warn machine hash".to_owned()].into(),
            "{}",
            run.stdout
        );
        set("m=19456,t=2,p=1");
    });
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn the_sockets() {
    with_postfix(|ground, serve, postfix| {
        let place = ground.place;
        let set = Mode::set(&place.auth(), 0o600);
        ground.complains("Postfix may not write", &["fail postfix access to auth"]);
        drop(set);
        let set = Mode::set(&place.policy(), 0o660);
        ground.complains("nor here", &["fail postfix access to policy"]);
        drop(set);
        let set = Mode::set(&place.sockets(), 0o700);
        // And to policy, for the same reason.
        let once = ["fail postfix access to auth"];
        ground.complains("a folder that is closed", &once);
        drop(set);

        // Nor does its other socket answer.
        let silent = ["fail serve auth"];
        serve.signal(Signal::SIGSTOP);
        ground.complains("serve hangs", &silent);
        serve.signal(Signal::SIGCONT);
        serve.stop();
        ground.complains("serve has ended", &silent);
        serve.start_again();

        // Postfix waits for a second before it tries anew.
        support::wait_for("Postfix", || postfix.try_client().ok());
        support::wait_for("all to be well", || ground.run().0.is_empty().then_some(()));

        let other = store();
        other.noted(&["set-settings", "--host", mail::tls::HOST]);
        let mut args = ground.args.clone();
        args.extend(["--store".to_owned(), other.store().display().to_string()]);
        ground.complains_with("another store", &args, &["fail serve store"]);
    });
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn rotation_and_users() {
    with_postfix(|ground, _, _| {
        let sandbox = ground.sandbox;
        let set = |args: &[&str]| sandbox.noted(&[&["set-settings"], args].concat());
        set(&["--rotate-every", "90d"]);
        ground.complains("nobody rotates", &["warn rotation timer"]);
        ground.says("systemctl", "enabled");
        ground.complains("nobody does until a restart", &["warn rotation timer"]);
        ground.says("systemctl", "active");
        ground.is_sound();
        set(&["--rotate-every", "none"]);
        ground.says("systemctl", "inactive");

        // It read the password, and says nothing about it.
        let deliver = [
            "user",
            "rotate",
            USER,
            "--deliver",
            "sh -c 'cat > /dev/null; exit 1'",
        ];
        assert_eq!(sandbox.run(&deliver).code, 1);
        ground.complains("a rotation has no end", &["warn rotation unfinished"]);
        sql(sandbox, "UPDATE rotations SET began_at = began_at - 691200");
        ground.complains("and that for a week", &["fail rotation unfinished"]);
        sandbox.noted(&["user", "reset", USER, "--output", "new"]);

        let aged = |days: u32| {
            let age = days * 86_400;
            sql(
                sandbox,
                &format!(
                    "UPDATE users SET created_at = created_at - {age};
                     UPDATE passwords SET created_at = created_at - {age}"
                ),
            );
        };
        aged(8);
        ground.complains("nobody uses it", &["warn users never used"]);
        sql(
            sandbox,
            "INSERT INTO last_connections (username, password_id, seen_at, address) SELECT username, password_id, unixepoch(), '192.0.2.7'
             FROM passwords WHERE hash IS NOT NULL",
        );
        ground.is_sound();
        aged(180);
        ground.complains("an old password", &["warn users old passwords"]);
        sandbox.noted(&["user", "reset", USER, "--output", "newer"]);
        sql(
            sandbox,
            "INSERT INTO last_connections (username, password_id, seen_at, address) SELECT username, password_id, unixepoch(), NULL
             FROM passwords WHERE hash IS NOT NULL",
        );
        sandbox.noted(&["user", "set", USER, "--expires-in", "5d"]);
        ground.complains("about to expire", &["warn users expiring"]);
        sql(sandbox, "UPDATE users SET expires_at = expires_at - 864000");
        ground.complains("it has expired", &["warn users expiring"]);
        sandbox.noted(&["user", "set", USER, "--expires-in", "1y"]);
    });
}

/// Who may not see everything is told so, and nothing fails.
#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn an_ordinary_user() {
    with_postfix(|ground, _, _| {
        let command = ground.sandbox.other_command("setpriv", &AS_DAEMON);
        let mut command = ground.with_system(command);
        command.arg(support::PROGRAM).args(&ground.args);
        command.current_dir("/");
        let run = support::finished(command.output().unwrap());
        let found = doctor::complaints(&run);
        assert_eq!(
            found,
            ["warn store file".to_owned()].into(),
            "{}",
            run.stdout
        );
        assert!(run.stdout.contains("run this as root"), "{}", run.stdout);
        assert_eq!(run.code, 7);
        let _set = Mode::set(&ground.place.auth(), 0o660);
        let run = support::finished(command.output().unwrap());
        let mut found = doctor::complaints(&run);
        assert!(found.remove("warn serve auth"), "{}", run.stdout);
        // Postfix may not either.
        assert!(
            found.remove("fail postfix access to auth"),
            "{}",
            run.stdout
        );
    });
}

/// Without servers: what there is of the store is examined, and the rest is said
/// to be missing.
#[test]
fn nothing_there() {
    let sandbox = Sandbox::empty();
    let closed = free_port().to_string();
    let args = [
        "doctor", "--json", "--server", "dovecot", "--config", "/nowhere", "--port",
    ];
    let run = sandbox.run(&[&args[..], &[&closed]].concat());
    assert_eq!((run.code, run.stderr.as_str()), (1, ""));
    let found = doctor::complaints(&run);
    for said in ["fail store file", "fail dovecot configuration"] {
        assert!(found.contains(said), "{found:?}");
    }
    assert!(!sandbox.store().exists(), "it made a store");
}

/// Checks that need the store name it as their cause; all others still run.
#[test]
fn what_follows_names_its_cause() {
    let sandbox = Sandbox::empty();
    let sockets = sandbox.folder.path().join("auth");
    let sockets = sockets.to_str().unwrap();
    let [one, two] = [free_port(), free_port()].map(|port| port.to_string());
    let mut args = vec!["doctor", "--server", "dovecot", "--config", "/nowhere"];
    args.extend(["--auth", sockets, "--policy", sockets]);
    args.extend(["--port", &one, "--port", &two]);
    let examined = || {
        let run = sandbox.run(&[&args[..], &["--json"]].concat());
        let found = doctor::complaints(&run);
        let lines: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        let named = |line: &serde_json::Value| {
            let text = |name: &str| line[name].as_str().unwrap().to_owned();
            let because = line["because"].as_str()?;
            assert!(line["advice"].is_null(), "{line}");
            Some(format!("{} {} <- {because}", text("area"), text("check")))
        };
        let follow: Vec<_> = lines.as_array().unwrap().iter().filter_map(named).collect();
        (found, follow)
    };
    let second = format!("ports {two} STARTTLS <- ports {one} STARTTLS");
    let (found, follow) = examined();
    let fails = |found: &doctor::Complaints, names: &[&str]| {
        let fails = found.iter().filter_map(|one| one.strip_prefix("fail "));
        assert_eq!(fails.collect::<Vec<_>>(), names);
    };
    let first = format!("ports {one} STARTTLS");
    fails(&found, &["dovecot configuration", &first, "store file"]);
    let of_store = [
        "serve auth",
        "serve policy",
        "ports host",
        "rotation timer",
        "rotation unfinished",
        "alerts destination",
        "messages follower",
        "users never used",
        "users old passwords",
        "users expiring",
    ];
    let mut wanted: Vec<_> = of_store.map(|one| format!("{one} <- store file")).into();
    wanted.insert(3, second.clone());
    assert_eq!(follow, wanted);
    let table = sandbox.run(&args);
    assert!(table.stdout.contains("not checked, because of store file"));
    let last = table.stdout.lines().last().unwrap();
    assert!(
        last.ends_with(", 3 failures, and 11 that follow from others"),
        "{last}"
    );

    // With a store, serve is down by itself.
    sandbox.noted(&["domain", "add", "example.com"]);
    let (found, follow) = examined();
    fails(&found, &["dovecot configuration", &first, "serve auth"]);
    assert_eq!(follow, ["serve policy <- serve auth".to_owned(), second]);
}

/// A process was killed: its log stays as it is.
#[test]
fn a_log_left_behind() {
    let sandbox = Sandbox::new();
    let open = rusqlite::Connection::open(sandbox.store()).unwrap();
    open.execute_batch("PRAGMA journal_mode = WAL; UPDATE domains SET max_users = 7")
        .unwrap();
    let folder = sandbox.store().parent().unwrap().to_owned();
    let copy = folder.join("copy.db");
    for suffix in ["", "-wal"] {
        let name = |of: &std::path::Path| format!("{}{suffix}", of.display());
        fs::copy(name(&sandbox.store()), name(&copy)).unwrap();
    }
    let log = folder.join("copy.db-wal");
    let [before, store] = [&log, &copy].map(|path| fs::read(path).unwrap());
    let closed = free_port().to_string();
    let args = [
        "doctor",
        "--json",
        "--port",
        &closed,
        "--store",
        copy.to_str().unwrap(),
    ];
    let run = sandbox.run(&args);
    let found = doctor::complaints(&run);
    assert!(found.contains("warn store log"), "{found:?}");
    assert!(
        !found.iter().any(|one| one.starts_with("fail store")),
        "{found:?}"
    );
    assert_eq!(fs::read(&log).unwrap(), before, "the log was changed");
    let index = folder.join("copy.db-shm");
    assert!(!index.exists(), "an index of the log stays");
    assert_eq!(fs::read(&copy).unwrap(), store, "the store was changed");
    // And one that is in use is no such thing.
    let run = sandbox.run(&["doctor", "--json", "--port", &closed]);
    let found = doctor::complaints(&run);
    assert!(!found.contains("warn store log"), "{found:?}");
}

/// Whatever it finds, what it prints stays a document.
#[test]
fn every_form_is_whole() {
    let sandbox = Sandbox::new();
    let closed = free_port().to_string();
    let args = ["doctor", "--port", &closed];
    let csv = sandbox.run(&[&args[..], &["--format", "csv"]].concat());
    assert!(
        csv.stdout
            .starts_with("area,check,state,found,advice,because\n")
    );
    let table = sandbox.run(&args);
    assert!(table.stdout.contains("FAIL  ports"), "{}", table.stdout);
    assert!(table.stdout.ends_with(" failure\n"), "{}", table.stdout);
    assert_eq!(table.stderr, "", "the sum is part of the answer");
    assert_eq!((csv.code, table.code), (1, 1));
    for bad in [
        ["--port", "0"],
        ["--port", "587/ssl"],
        ["--address", "localhost"],
    ] {
        assert_eq!(
            sandbox.run(&[&["doctor"], &bad[..]].concat()).code,
            2,
            "{bad:?}"
        );
    }
    let alone = sandbox.run(&["doctor", "--config", "/etc/postfix"]);
    assert_eq!(alone.code, 2, "whose configuration?");
}
