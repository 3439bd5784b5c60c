//! Dovecot, set up with what `smtpcred show-server-config dovecot` prints, signs
//! users in by the store's views.

use std::fs;
use std::path::PathBuf;

use crate::support::mail::Place;
use crate::support::mail::dovecot::{Dovecot, Passwords};
use crate::support::postgres::Postgres;
use crate::support::serve::{Auth, Serve, store};
use crate::support::{PROGRAM, Run, Sandbox, finished, serve, wait_for};

const USER: &str = "shop+1@example.com";
const SHOW: [&str; 2] = ["show-server-config", "dovecot"];

fn check(sandbox: &Sandbox, dovecot: &Dovecot) -> Run {
    let config = dovecot.config.to_str().unwrap();
    sandbox.run(&[&SHOW[..], &["--check", "--config", config]].concat())
}

#[test]
#[ignore = "needs root and Dovecot: run tests/run"]
fn dovecot_reads_the_views() {
    let sandbox = store();
    let text = sandbox.ok(&SHOW);
    the_views_are_read(&sandbox, text);
}

#[test]
#[ignore = "needs root, Dovecot and PostgreSQL: run tests/run"]
fn dovecot_reads_the_views_of_a_database() {
    let server = Postgres::start();
    let sandbox = server.sandbox_with_domain();
    let text = sandbox.ok(&SHOW);
    // What it says is to be done in the database; trust takes any password.
    for line in text.lines().filter_map(|line| line.strip_prefix("#   ")) {
        if ["CREATE ", "GRANT ", "ALTER "]
            .iter()
            .any(|word| line.starts_with(word))
        {
            sandbox.sql(line);
        }
    }
    let connect = text
        .lines()
        .find(|line| line.contains("connect = "))
        .unwrap();
    let database = sandbox.database.as_ref().unwrap();
    let own = database.connection.replace("user=postgres", "user=dovecot");
    let own = format!("#   connect = {own}");
    let text = text.replace(connect, &own);
    the_views_are_read(&sandbox, text);
}

fn the_views_are_read(sandbox: &Sandbox, text: String) {
    let place = Place::new();
    let password = sandbox.create(USER);
    let dovecot = Dovecot::start(&place, &Passwords::Shipped(text));
    let right = |password: &str| {
        let mut auth = Auth::connect(&dovecot.socket).unwrap();
        auth.ask(USER, password).unwrap()
    };
    assert!(right(&password), "{}", dovecot.log());
    assert!(!right("wrong"));
    let mut auth = Auth::connect(&dovecot.socket).unwrap();
    assert!(!auth.ask("nobody@example.com", &password).unwrap());

    sandbox.noted(&["user", "suspend", USER, "--yes"]);
    assert!(!right(&password));
    sandbox.noted(&["user", "resume", USER]);
    assert!(right(&password));
    sandbox.noted(&["user", "set", USER, "--expires-in", "1s"]);
    wait_for("the expiry", || (!right(&password)).then_some(()));
    sandbox.noted(&["user", "set", USER, "--expires-in", "none"]);
    assert!(right(&password));

    let reset = ["user", "reset", USER, "--overlap", "1h", "--yes", "--quiet"];
    let new = sandbox.ok(&reset);
    let new = new.trim_end();
    assert_eq!(
        [password.as_str(), new].map(right),
        [true, true],
        "{}",
        dovecot.log()
    );
    serve::end_soon(sandbox);
    wait_for("the end of the overlap", || {
        (!right(&password)).then_some(())
    });
    assert!(right(new));
    let newest = sandbox.ok(&["user", "reset", USER, "--yes", "--quiet"]);
    assert_eq!([new, newest.trim_end()].map(right), [false, true]);
    // While nobody knows whether a new one has arrived.
    let file = place.path().join("delivered");
    let deliver = format!("sh -c 'cat > {}; exit 1'", file.display());
    let run = sandbox.run(&["user", "rotate", USER, "--deliver", &deliver]);
    assert_eq!(run.code, 1, "{run:?}");
    let delivered = fs::read_to_string(&file).unwrap();
    let both = [newest.trim_end(), delivered.trim_end()];
    assert_eq!(both.map(right), [true, true]);
    // An old name has the same passwords while it works.
    sandbox.noted(&[
        "user",
        "reset",
        USER,
        "--yes",
        "--quiet",
        "--output",
        file.with_extension("new").to_str().unwrap(),
    ]);
    let last = fs::read_to_string(file.with_extension("new")).unwrap();
    let renamed = "shop+2@example.com";
    let both = || {
        [USER, renamed].map(|name| {
            let mut auth = Auth::connect(&dovecot.socket).unwrap();
            auth.ask(name, last.trim_end()).unwrap()
        })
    };
    assert_eq!(both(), [true, false]);
    sandbox.noted(&["user", "rename", USER, renamed, "--overlap", "1h"]);
    assert_eq!(both(), [true, true], "{}", dovecot.log());
    sandbox.noted(&["user", "rename", USER, renamed]);
    assert_eq!(both(), [false, true]);
    sandbox.noted(&["user", "delete", renamed, "--yes"]);
    assert_eq!(both(), [false, false]);
}

/// Its workers open and close the store beside ours, with a library of their own.
#[test]
#[ignore = "needs root and Dovecot: run tests/run"]
fn dovecot_and_serve_share_a_store() {
    let sandbox = store();
    let place = Place::new();
    let password = sandbox.create(USER);
    let _serve = Serve::start(&sandbox, &place);
    let ours = |password: &str| {
        let mut auth = Auth::connect(&place.auth()).unwrap();
        auth.plain("127.0.0.1", USER, password).unwrap()
    };
    for _ in 0..2 {
        let text = sandbox.ok(&SHOW);
        let elsewhere = Place::new();
        let dovecot = Dovecot::start(&elsewhere, &Passwords::Shipped(text));
        let mut auth = Auth::connect(&dovecot.socket).unwrap();
        assert!(auth.ask(USER, &password).unwrap());
        assert_eq!(ours(&password), Some(true));
        drop(dovecot);
        sandbox.noted(&["user", "suspend", USER, "--yes"]);
        assert_eq!(ours(&password), Some(false));
        sandbox.noted(&["user", "resume", USER]);
        assert_eq!(ours(&password), Some(true));
    }
    wait_for("the failures to be written down", || {
        let failures = sandbox.json(&["audit", "failures"]);
        (failures[0]["count"] == 2).then_some(())
    });
}

#[test]
#[ignore = "needs root and Dovecot: run tests/run"]
fn dovecot_is_checked() {
    let sandbox = store();
    let place = Place::new();
    let text = sandbox.ok(&SHOW);
    let dovecot = Dovecot::start(&place, &Passwords::Shipped(text));
    let good = check(&sandbox, &dovecot);
    assert_eq!(good.code, 0, "{good:?}");
    let whole = fs::read_to_string(&dovecot.config).unwrap();
    for (part, instead) in [
        ("auth_cache_size = 0", "auth_cache_size = 10M"),
        ("driver = sql\n", "driver = pam\n"),
    ] {
        assert!(whole.contains(part), "{part}");
        fs::write(&dovecot.config, whole.replace(part, instead)).unwrap();
        let run = check(&sandbox, &dovecot);
        assert_eq!(run.code, 7, "{part}: {run:?}");
    }
    fs::write(&dovecot.config, &whole).unwrap();
    let other = Sandbox::new();
    assert_eq!(check(&other, &dovecot).code, 7);
}

/// Runs `smtpcred setup dovecot` on a Dovecot of our own; what it keeps is in the place.
fn set_up(sandbox: &Sandbox, place: &Place, dovecot: &Dovecot, args: &[&str]) -> Run {
    let kept = place.path().join("kept");
    let (kept, config) = (kept.to_str().unwrap(), dovecot.config.to_str().unwrap());
    let inside = "mkdir -p \"$1\" && mount --bind \"$1\" /var/lib && shift && exec \"$@\"";
    let room = ["--mount", "sh", "-c", inside, "sh", kept];
    let setup = [PROGRAM, "setup", "dovecot", "--config", config, "--yes"];
    let all = [&room[..], &setup, args].concat();
    finished(sandbox.other_command("unshare", &all).output().unwrap())
}

/// Returns the files of a Dovecot that setup may touch, each with its text.
fn files(dovecot: &Dovecot) -> Vec<(PathBuf, String)> {
    let home = dovecot.config.parent().unwrap();
    let listed = [home.to_owned(), home.join("conf.d")].map(|folder| fs::read_dir(folder).unwrap());
    let paths = listed.into_iter().flatten().map(|one| one.unwrap().path());
    let conf = paths.filter(|path| path.to_str().unwrap().contains(".conf"));
    let text = |path: PathBuf| fs::read_to_string(&path).ok().map(|text| (path, text));
    let mut files: Vec<_> = conf.filter_map(text).collect();
    files.sort();
    files
}

#[test]
#[ignore = "needs root and Dovecot: run tests/run"]
fn setup_adds_ours_and_takes_it_back() {
    let sandbox = store();
    let place = Place::new();
    let others = Passwords::File("other@example.com:{PLAIN}theirs\n".into());
    let dovecot = Dovecot::start(&place, &others);
    let password = sandbox.create(USER);
    let whole = fs::read_to_string(&dovecot.config).unwrap();
    let run = |args: &[&str]| set_up(&sandbox, &place, &dovecot, args);
    // Processes that have read the old configuration take connections until they end.
    let connected = || wait_for("Dovecot", || Auth::connect(&dovecot.socket).ok());
    let accepts = |user: &str, password: &str| connected().ask(user, password).unwrap();
    let whole = whole.replace("auth_username_chars =\n", "") + "!include_try conf.d/*.conf\n";
    fs::create_dir(dovecot.config.with_file_name("conf.d")).unwrap();
    for (text, reason) in [
        (whole.replace("plain login", "login"), "lacks plain"),
        (whole.replace("!include_try", "#"), "does not include"),
        (whole.clone() + "auth_cache_size = 10M\n", "auth_cache_size"),
        (whole.clone() + "nonsense\n", "already has a problem"),
    ] {
        fs::write(&dovecot.config, text).unwrap();
        let before = files(&dovecot);
        let refused = run(&[]);
        assert_eq!(refused.code, 4, "{refused:?}");
        assert!(refused.stderr.contains(reason), "{refused:?}");
        assert_eq!(files(&dovecot), before);
    }
    fs::write(&dovecot.config, &whole).unwrap();
    let before = files(&dovecot);
    let planned = run(&["--dry-run"]);
    assert_eq!(planned.code, 8, "{planned:?}");
    assert!(planned.stdout.contains("+passdb"), "{planned:?}");
    assert_eq!(files(&dovecot), before);

    let done = run(&[]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stderr.contains("a user signed in"), "{done:?}");
    wait_for("the new configuration", || {
        accepts(USER, &password).then_some(())
    });
    assert!(accepts("other@example.com", "theirs"));
    assert!(!accepts(USER, "theirs"));
    // A mailbox is not for them.
    let of_imap = connected().ask_for("imap", USER, &password);
    assert!(!of_imap.unwrap());
    assert_eq!(sandbox.json(&["user", "list"]).as_array().unwrap().len(), 1);
    let again = run(&[]);
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.stderr.contains("nothing to change"), "{again:?}");

    let undone = run(&["--undo"]);
    assert_eq!(undone.code, 0, "{undone:?}");
    assert_eq!(files(&dovecot), before);
    wait_for("the old configuration", || {
        (!accepts(USER, &password)).then_some(())
    });
    assert!(accepts("other@example.com", "theirs"));
}

#[test]
#[ignore = "needs root and Dovecot: run tests/run"]
fn setup_brings_back_what_proves_wrong() {
    let sandbox = store();
    let place = Place::new();
    // The name of the user that proves it: whatever is tried, it signs in.
    let others = Passwords::File("setup@smtpcred-setup.invalid:{PLAIN}wrong\n".into());
    let dovecot = Dovecot::start(&place, &others);
    let whole = fs::read_to_string(&dovecot.config).unwrap() + "!include_try conf.d/*.conf\n";
    fs::write(&dovecot.config, whole).unwrap();
    fs::create_dir(dovecot.config.with_file_name("conf.d")).unwrap();
    let before = files(&dovecot);
    let failed = set_up(&sandbox, &place, &dovecot, &[]);
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(
        failed.stderr.contains("any password is accepted"),
        "{failed:?}"
    );
    assert_eq!(files(&dovecot), before);
    // An edit of our file stays, and everything else goes.
    fs::write(dovecot.config.with_file_name("passwords"), "").unwrap();
    let done = set_up(&sandbox, &place, &dovecot, &[]);
    assert_eq!(done.code, 0, "{done:?}");
    let ours = dovecot.config.with_file_name("conf.d/00-smtpcred.conf");
    let text = fs::read_to_string(&ours).unwrap() + "auth_verbose = no\n";
    fs::write(&ours, text).unwrap();
    let undone = set_up(&sandbox, &place, &dovecot, &["--undo"]);
    assert_eq!(undone.code, 0, "{undone:?}");
    assert_eq!(fs::read_to_string(&ours).unwrap(), "auth_verbose = no\n");
}
