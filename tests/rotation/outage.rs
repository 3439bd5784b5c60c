//! Rotation never leaves an application without a working password (promise 6),
//! whoever is killed and whenever. The moments are random; to repeat a run, set
//! `KILL_SEED` to what it printed.

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use crate::support::applications::{Application, Watch, Way, live_passwords, now, number};
use crate::support::dice::Dice;
use crate::support::killer::{Killer, Kills, kill_serve};
use crate::support::mail::Place;
use crate::support::serve::{Serve, sql, store};
use crate::support::{self, Sandbox, Server, free_port, serve, wait_for};

fn at_most_two(sandbox: &Sandbox, applications: &[Application]) {
    for application in applications {
        let keys = live_passwords(sandbox, &application.username);
        assert!((1..=2).contains(&keys.len()), "{keys:?}");
    }
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p6_no_kill_leaves_an_application_without_a_password() {
    let sandbox = store();
    let applications: Vec<_> = (0..6)
        .map(|i| {
            let way = if i % 3 == 2 { Way::File } else { Way::Command };
            Application::new(&sandbox, &format!("app{i}"), way)
        })
        .collect();
    let place = Place::new();
    let mut serve = Serve::start(&sandbox, &place);
    let postfix = serve::postfix(&sandbox, &place);
    let (watch, kills) = (Watch::new(), Kills::default());
    let mut dice = Dice::new();
    let of_serve = dice.another();
    let mut killer = Killer::new(&sandbox, &kills, dice, &applications);
    let began = Instant::now();
    let polls = thread::scope(|scope| {
        let end = watch.end();
        for application in &applications {
            scope.spawn(|| {
                let _end = watch.end();
                watch.sign_in_always(application, &postfix);
            });
        }
        let polling = scope.spawn(|| {
            let _end = watch.end();
            let mut polls = 0;
            while !watch.is_over() {
                at_most_two(&sandbox, &applications);
                polls += 1;
                sleep(LOOK);
            }
            polls
        });
        let killing = scope.spawn(|| kill_serve(&mut serve, &kills, &watch, of_serve));
        let latest = began + LONGEST;
        let over = |killer: &Killer| {
            let met = killer.unmet().is_empty() || Instant::now() > latest;
            watch.is_over() || kills.are_enough() && met
        };
        while !over(&killer) {
            killer.rotate_one_of(&applications);
        }
        killing.join().unwrap();
        println!("{:?} for the kills", began.elapsed());
        if !watch.is_over() {
            all_is_decided(&sandbox, &applications);
        }
        drop(end);
        polling.join().unwrap()
    });
    let heard = watch.heard();
    println!(
        "{killer}; sign-ins: {:?}, the slowest {:?}; {polls} looks at all users; {:?}",
        heard.answers,
        heard.slowest,
        began.elapsed(),
    );
    assert!(heard.refused.is_empty(), "{:#?}", heard.refused);
    assert!(heard.answers[&235] > 2 * Kills::wanted());
    assert_eq!(killer.unmet(), [""; 0], "stages without a kill");
}

/// By then a run was killed at every stage, or a stage cannot be met.
const LONGEST: Duration = Duration::from_secs(240);

fn rotate(sandbox: &Sandbox, name: &str, overlap: &str) -> Command {
    let args = ["user", "rotate", name, "--overlap", overlap];
    // Its files belong to nobody, as serve does.
    sandbox.command(&[&args[..], &["--trust-store", "--quiet"]].concat())
}

/// With nobody killed any more, one run is enough.
fn all_is_decided(sandbox: &Sandbox, applications: &[Application]) {
    // What serve had not written down when it was killed last tells nobody.
    let last_kill = now();
    let query = "SELECT ifnull(max(seen_at), 0) FROM last_connections WHERE username";
    for application in applications {
        let query = format!("{query} = '{}'", application.username);
        wait_for("sign-ins to be noted", || {
            (number(sandbox, &query) > last_kill + 2).then_some(())
        });
    }
    let due = ["user", "rotate", "--due", "--overlap", "3s"];
    let run = sandbox.run(&[&due[..], &["--trust-store"]].concat());
    if run.code != 0 {
        for application in applications {
            eprintln!("{}", sandbox.ok(&["user", "show", &application.username]));
        }
        eprintln!("{}", now());
    }
    assert_eq!(run.code, 0, "{}", run.stderr);
    let report = sandbox.run(&["report", "--unfinished"]);
    assert_eq!(report.code, 0, "{}", report.stdout);
    at_most_two(sandbox, applications);
    for application in applications {
        let name = &application.username;
        assert_eq!(sandbox.verify(name, &application.password()), 0, "{name}");
    }
}

/// Between looks at all users: a look is a process for each.
const LOOK: Duration = Duration::from_millis(300);

const RETIRES: &str = "SELECT retires_at FROM passwords WHERE hash IS NOT NULL AND retires_at > 0";

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p3_a_retired_password_stops_at_the_next_sign_in() {
    let sandbox = store();
    let application = Application::new(&sandbox, "shop", Way::File);
    let name = &application.username;
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let postfix = serve::postfix(&sandbox, &place);
    let sign_in = |password: &str| postfix.client().auth_plain(name, password, true).code;
    let old = application.password();
    assert_eq!(sign_in(&old), 235);

    assert!(rotate(&sandbox, name, "1h").status().unwrap().success());
    let new = application.password();
    let mut open = postfix.client();
    assert_eq!([sign_in(&old), sign_in(&new)], [235, 235]);
    serve::end_soon(&sandbox);
    let retires_at = number(&sandbox, RETIRES);
    wait_for("the clock", || (now() >= retires_at).then_some(()));
    assert_eq!(open.auth_plain(name, &old, true).code, 535);
    assert_eq!([sign_in(&old), sign_in(&new)], [535, 235]);
    assert_eq!(live_passwords(&sandbox, name).len(), 1);

    assert!(rotate(&sandbox, name, "1h").status().unwrap().success());
    let [old, new] = [new, application.password()];
    let mut open = postfix.client();
    assert_eq!([sign_in(&old), sign_in(&new)], [235, 235]);
    sandbox.noted(&["user", "retire", name]);
    assert_eq!(open.auth_plain(name, &old, true).code, 535);
    assert_eq!([sign_in(&old), sign_in(&new)], [535, 235]);
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p6_an_old_password_stays_while_it_is_used() {
    const HOUR: i64 = 3600;
    let sandbox = store();
    let application = Application::new(&sandbox, "shop", Way::File);
    let name = &application.username;
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let postfix = serve::postfix(&sandbox, &place);
    let sign_in = |password: &str| postfix.client().auth_plain(name, password, true).code;
    // So much later.
    let pass = |seconds: i64| {
        let passwords = format!(
            "UPDATE passwords SET created_at = created_at - {seconds},
                retires_at = retires_at - {seconds}, retiring_since = retiring_since - {seconds},
                retire_latest = retire_latest - {seconds};
            UPDATE last_connections SET seen_at = seen_at - {seconds};"
        );
        sql(&sandbox, &passwords);
    };
    let old = application.password();
    let key = live_passwords(&sandbox, name)[0]["id"].clone();
    let when = [
        "--retire",
        "when-unused:1h",
        "--overlap-max",
        "2h",
        "--trust-store",
    ];
    sandbox.noted(&[&["user", "rotate", name][..], &when].concat());
    let began = now();
    let new = application.password();

    pass(HOUR * 5 / 6);
    assert!(number(&sandbox, RETIRES) <= began + HOUR / 6);
    assert_eq!([sign_in(&old), sign_in(&new)], [235, 235]);
    wait_for("the use to be noted", || {
        (number(&sandbox, RETIRES) >= began + HOUR).then_some(())
    });
    let listed = sandbox.json(&["user", "list", "--overlap"]);
    let listed = listed[0]["passwords"].as_array().unwrap();
    let used = listed.iter().find(|listed| listed["id"] == key).unwrap();
    assert_eq!(used["last_connection"]["address"], "127.0.0.1");
    let shown = sandbox.ok(&["user", "list", "--overlap"]);
    let line = shown.lines().find(|line| line.contains(name)).unwrap();
    let (_, old_password_id) = line.split_once(key.as_str().unwrap()).unwrap();
    assert!(old_password_id.contains("ago from 127.0.0.1"), "{shown}");

    // For no longer than it may, however much it is used.
    pass(HOUR * 5 / 6);
    assert_eq!(sign_in(&old), 235);
    wait_for("the use to be noted", || {
        (number(&sandbox, RETIRES) > began + HOUR / 4).then_some(())
    });
    assert!(number(&sandbox, RETIRES) <= began + HOUR / 3);

    pass(HOUR / 3 + 1);
    assert_eq!([sign_in(&old), sign_in(&new)], [535, 235]);
    let listed = sandbox.json(&["user", "list", "--overlap"]);
    assert_eq!(listed.as_array().unwrap().len(), 0);
}

#[test]
#[ignore = "needs root and Postfix: run tests/run"]
fn p6_proven_where_applications_sign_in() {
    let sandbox = store();
    let applications =
        ["proven", "closed", "unknown"].map(|name| Application::new(&sandbox, name, Way::File));
    let place = Place::new();
    let _serve = Serve::start(&sandbox, &place);
    let postfix = serve::postfix(&sandbox, &place);
    let prove = |application: &Application, port: u16, trusted: bool| {
        let mut rotate = rotate(&sandbox, &application.username, "1h");
        rotate.arg(format!("--prove=localhost:{port}"));
        if trusted {
            rotate.env("SSL_CERT_FILE", &place.certificate.file);
        }
        support::finished(rotate.output().unwrap())
    };
    let noted = |name: &str| {
        wait_for("the sign-in to be noted", || {
            let keys = live_passwords(&sandbox, name);
            (!keys[1]["last_connection"].is_null()).then_some(())
        });
    };
    let [proven, closed, unknown] = &applications;
    let run = prove(proven, postfix.submission, true);
    assert_eq!(run.code, 0, "{}", run.stderr);
    noted(&proven.username);
    assert!(!live_passwords(&sandbox, &proven.username)[0]["retires_at"].is_null());

    for (application, port, trusted, reason) in [
        (closed, free_port(), true, "refused"),
        (unknown, postfix.submission, false, "ertificate"),
    ] {
        let name = &application.username;
        let old = application.password();
        // Not by the next one, either, without a sign-in or a proof.
        for _ in 0..2 {
            let run = prove(application, port, trusted);
            assert_eq!(run.code, 1, "{}", run.stderr);
            let user = sandbox.json(&["user", "show", name]);
            assert!(
                user["unfinished_rotation"]["reason"]
                    .as_str()
                    .unwrap()
                    .contains(reason),
                "{user}"
            );
            let keys = user["passwords"].as_array().unwrap();
            assert_eq!(keys.len(), 2);
            assert!(keys.iter().all(|key| key["retires_at"].is_null()), "{user}");
            assert_ne!(application.password(), old);
            for password in [&old, &application.password()] {
                assert_eq!(sandbox.verify(name, password), 0);
            }
        }
        let signed_in = postfix
            .client()
            .auth_plain(name, &application.password(), true);
        assert_eq!(signed_in.code, 235);
        noted(name);
        let run = rotate(&sandbox, name, "1h").output().unwrap();
        assert!(run.status.success(), "{run:?}");
        assert!(!live_passwords(&sandbox, name)[0]["retires_at"].is_null());
        assert_eq!(sandbox.verify(name, &application.password()), 0);
    }
}

/// With the run nobody is left to end what it runs.
#[test]
fn p6_a_delivery_outlives_its_run_and_its_time() {
    let sandbox = Sandbox::new();
    let application = Application::new(&sandbox, "late", Way::Command);
    let name = &application.username;
    let file = application.file.display();
    let old = application.password();
    let delivery = format!(
        "sh -c 'cat > {file}.new; until [ -e {file}.go ]; do sleep 0.05; done; \
         mv {file}.new {file}'"
    );
    let mut run = rotate(&sandbox, name, "1h");
    let mut run = Server(run.args(["--deliver", &delivery]).spawn().unwrap());
    wait_for("the delivery to have the password", || {
        let beside = fs::metadata(format!("{file}.new"));
        let has = beside.is_ok_and(|found| found.len() > 0);
        has.then_some(())
    });
    run.0.kill().unwrap();
    run.0.wait().unwrap();
    let seen = |which: &str| {
        let key = format!("password_id {which} (SELECT password_id FROM rotations)");
        sql(
            &sandbox,
            &format!(
                "INSERT OR REPLACE INTO last_connections (username, password_id, seen_at)
                SELECT username, password_id, unixepoch() FROM passwords
                WHERE username = '{name}' AND {key}"
            ),
        );
    };
    sql(
        &sandbox,
        "UPDATE rotations SET settles_at = settles_at - 3600",
    );
    seen("NOT IN");
    let run = sandbox.run(&["user", "rotate", name]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert_eq!(live_passwords(&sandbox, name).len(), 2);

    fs::write(format!("{file}.go"), "").unwrap();
    let new = wait_for("the delivery", || {
        Some(application.password()).filter(|new| *new != old)
    });
    assert_eq!(sandbox.verify(name, &new), 0);
    seen("IN");
    sandbox.noted(&["user", "rotate", name]);
    assert_eq!(sandbox.verify(name, &new), 0);
}

/// What cannot be found now may be back tomorrow.
#[test]
fn p6_a_volume_is_away_when_a_killed_run_is_taken_up() {
    let sandbox = Sandbox::new();
    let application = Application::new(&sandbox, "shop", Way::File);
    let name = &application.username;
    let [volume, away] = ["volume", "away"].map(|name| sandbox.folder.path().join(name));
    let file = volume.join("password");
    fs::create_dir(&volume).unwrap();
    sandbox.noted(&[
        "user",
        "set",
        name,
        "--write-file",
        &file.display().to_string(),
    ]);
    // It waits for a greeting that never comes.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let prove = format!("--prove=localhost:{}", silent.local_addr().unwrap().port());
    let mut run = Server(rotate(&sandbox, name, "1h").arg(prove).spawn().unwrap());
    wait_for("the file", || file.exists().then_some(()));
    run.0.kill().unwrap();
    run.0.wait().unwrap();
    let new = fs::read_to_string(&file).unwrap();
    fs::rename(&volume, &away).unwrap();
    let run = sandbox.run(&["user", "rotate", name]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    fs::rename(&away, &volume).unwrap();
    assert_eq!(sandbox.verify(name, new.trim_end()), 0);
    sandbox.noted(&["user", "rotate", name]);
    assert_eq!(sandbox.verify(name, new.trim_end()), 0);
}
