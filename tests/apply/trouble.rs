//! `apply` while something goes wrong: deliveries that fail, runs that are killed,
//! others who change the same.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::apply::Ground;
use crate::support::rotation::{HANGS, is_dead, spawned};
use crate::support::{self, Server, ended, nobody, wait_for, wait_until_caught};

const DOMAIN: &str = "[domains.\"example.com\"]\n";

/// One user whose delivery hangs, as a plan.
fn hanging(ground: &Ground) -> std::path::PathBuf {
    fs::write(ground.path("hangs.sh"), HANGS).unwrap();
    ground.plan(&format!(
        "{DOMAIN}[users.\"a@example.com\"]\ndeliver = \"sh FOLDER/hangs.sh\"\n"
    ))
}

/// Begins it, and waits until the command has the password.
fn begun(ground: &Ground, more: &[&str]) -> (Server, String) {
    hanging(ground);
    let running = running(ground, more);
    let pid = fs::read_to_string(ground.path("pid")).unwrap();
    (running, pid.trim_end().to_owned())
}

/// The plan that is there, until the command hangs.
fn running(ground: &Ground, more: &[&str]) -> Server {
    let args = [&["apply", "plan.toml"], more].concat();
    let running = spawned(&mut ground.sandbox.command(&args));
    wait_for("the command", || {
        let text = fs::read_to_string(ground.path("pid")).ok()?;
        text.ends_with('\n').then_some(())
    });
    running
}

fn users(ground: &Ground) -> Vec<String> {
    ground.users()
}

#[test]
fn p2_who_did_not_get_the_password_does_not_exist_and_others_do() {
    let ground = Ground::new();
    let command = |script: &str| format!("deliver = \"sh -c '{script}'\"\n");
    let plan = ground.plan(
        &[
            DOMAIN,
            "[users.\"reads-and-fails@example.com\"]\n",
            &command("cat >/dev/null; echo no room; exit 1"),
            "[users.\"never-reads@example.com\"]\n",
            &command("exit 0"),
            "[users.\"later@example.com\"]\n",
            &command("exit 75"),
            "[users.\"slow@example.com\"]\ndeliver_timeout = \"1s\"\n",
            &command("cat >/dev/null; read forever < FOLDER/gate"),
            "[users.\"no-folder@example.com\"]\nwrite_file = \"FOLDER/missing/pw\"\n",
            "[users.\"no-program@example.com\"]\ndeliver = \"FOLDER/missing\"\n",
            "[users.\"well@example.com\"]\nwrite_file = \"FOLDER/well\"\n",
        ]
        .concat(),
    );
    let gate = ground.path("gate");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let run = ground.apply(&plan, &["--json"]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert_eq!(users(&ground), ["well@example.com"]);
    assert!(ground.works("well@example.com", &ground.text("well")));
    let said: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(said["applied"], json!(false));
    let outcome = |name: &str| {
        let changes = said["changes"].as_array().unwrap();
        let name = format!("{name}@example.com");
        let found = changes
            .iter()
            .find(|change| change["name"] == name)
            .unwrap();
        (
            found["outcome"].clone(),
            found["reason"].as_str().unwrap_or_default().to_owned(),
        )
    };
    for (name, reason) in [
        (
            "reads-and-fails",
            "sh exited with 1: no room; the user was not created, so a password that arrived does not work",
        ),
        (
            "never-reads",
            "sh exited with 0 but did not read the password",
        ),
        ("later", "sh deferred the delivery (exit code 75)"),
        (
            "slow",
            "sh did not end within 1s and was killed; the user was not created, so a password that arrived does not work",
        ),
        ("no-folder", "No such file or directory"),
        ("no-program", "could not be started"),
    ] {
        let (outcome, found) = outcome(name);
        assert_eq!(outcome, "failed", "{name}");
        assert!(found.contains(reason), "{name}: {found}");
    }
    assert_eq!(outcome("well").0, "done");
    assert_eq!(
        ground.actions(),
        ["domain.add example.com", "user.create well@example.com"]
    );
    assert!(run.stderr.contains("6 changes failed"), "{}", run.stderr);

    // What was in the way is gone: the same again completes it, and no more.
    let good = fs::read_to_string(&plan).unwrap();
    let good: Vec<_> = good
        .lines()
        .map(|line| match line.split_once(" = ") {
            Some(("deliver", _)) => "write_file = \"/FOLDER/{username}\""
                .replace("/FOLDER", ground.sandbox.folder.path().to_str().unwrap()),
            _ => line.replace("missing/pw", "found"),
        })
        .collect();
    let plan = ground.plan(&good.join("\n"));
    let run = ground.apply(&plan, &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(users(&ground).len(), 7);
    assert!(ground.works("later@example.com", &ground.text("later@example.com")));
    assert!(
        ground.works("well@example.com", &ground.text("well")),
        "it kept its password"
    );
}

#[test]
fn p2_killed_while_it_delivers_nobody_exists_and_the_next_run_makes_it() {
    let ground = Ground::new();
    let (mut running, pid) = begun(&ground, &[]);
    running.0.kill().unwrap();
    running.0.wait().unwrap();
    assert_eq!(users(&ground), [""; 0]);
    let first = ground.text("got");
    // Its command still runs, and would write over what a new one writes.
    let plan = hanging(&ground);
    let run = ground.apply(&plan, &[]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr
            .contains("a command of an earlier run is still delivering"),
        "{}",
        run.stderr
    );
    assert_eq!(users(&ground), [""; 0]);
    fs::write(ground.path("go"), "").unwrap();
    wait_for("the command to end", || is_dead(&pid).then_some(()));
    let run = ground.apply(&plan, &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let second = ground.text("got");
    assert_ne!(first, second);
    assert!(ground.works("a@example.com", &second));
    assert!(!ground.works("a@example.com", &first));
    assert_eq!(
        ground.actions(),
        ["domain.add example.com", "user.create a@example.com"]
    );
}

#[test]
fn p2_killed_anywhere_exactly_those_exist_whose_passwords_work() {
    const USERS: usize = 12;
    let ground = Ground::new();
    let users_of = (0..USERS).map(|i| format!("[users.\"u{i}@example.com\"]"));
    let mut plan = vec![format!("{DOMAIN}write_file = \"FOLDER/{{username}}.pw\"")];
    plan.extend(users_of);
    let plan = ground.plan(&plan.join("\n"));
    let mut killed = 0;
    for seen in 1..USERS {
        let mut running =
            spawned(
                &mut ground
                    .sandbox
                    .command(&["apply", plan.to_str().unwrap(), "--jobs", "2"]),
            );
        // Once so many have been delivered, at whatever point it is by then.
        wait_for("files", || {
            let files = fs::read_dir(ground.sandbox.folder.path())
                .unwrap()
                .flatten();
            let files = files.filter(|f| f.path().extension().is_some_and(|e| e == "pw"));
            let over = running.0.try_wait().unwrap().is_some();
            (over || files.count() >= seen).then_some(())
        });
        killed += usize::from(running.0.try_wait().unwrap().is_none());
        running.0.kill().unwrap();
        running.0.wait().unwrap();
        for name in users(&ground) {
            assert!(
                ground.works(&name, &ground.text(&format!("{name}.pw"))),
                "{name}"
            );
        }
    }
    assert!(killed > 2, "{killed}");
    let run = ground.apply(&plan, &[]);
    assert_eq!(run.code, 0, "{run:?}");
    let all = users(&ground);
    assert_eq!(all.len(), USERS);
    for name in all {
        assert!(
            ground.works(&name, &ground.text(&format!("{name}.pw"))),
            "{name}"
        );
    }
    let made = ground.actions();
    assert_eq!(made.len(), 1 + USERS, "{made:?}");
}

#[test]
fn told_to_end_it_brings_what_it_delivers_to_an_end() {
    let ground = Ground::new();
    let (running, _) = begun(&ground, &[]);
    kill(
        Pid::from_raw(running.0.id().try_into().unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    fs::write(ground.path("go"), "").unwrap();
    let run = ended(running);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(ground.works("a@example.com", &ground.text("got")));
}

/// Who waits for their turn by then is not begun.
#[test]
fn told_to_end_it_says_what_it_did_not_begin() {
    let ground = Ground::new();
    let plan = fs::read_to_string(hanging(&ground)).unwrap();
    let of_b = plan.replace("a@", "b@").replace(DOMAIN, "");
    ground.plan(&format!("{plan}{of_b}"));
    let running = running(&ground, &["--jobs", "1", "--json"]);
    let pid = Pid::from_raw(running.0.id().try_into().unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    wait_until_caught(&running);
    fs::write(ground.path("go"), "").unwrap();
    let run = ended(running);
    assert_eq!(run.code, 130, "{}", run.stderr);
    let said: Value = serde_json::from_str(&run.stdout).unwrap();
    let changes = said["changes"].as_array().unwrap();
    let mut outcomes: Vec<_> = changes
        .iter()
        .filter_map(|c| c["outcome"].as_str())
        .collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["done", "done", "left"]);
    let [user] = &ground.users()[..] else {
        panic!("{:?}", ground.users())
    };
    assert!(ground.works(user, &ground.text("got")));
}

#[test]
fn what_somebody_else_changes_meanwhile_is_left_so() {
    let ground = Ground::new();
    ground
        .sandbox
        .noted(&["domain", "add", "example.com", "--daily-limit", "10"]);
    ground.sandbox.noted(&["domain", "add", "example.net"]);
    ground.sandbox.create("a@example.com");
    ground.sandbox.create("b@example.com");
    ground.sandbox.create("c@example.com");
    ground.sandbox.noted(&["domain", "add", "example.org"]);
    let plan = ground.plan(
        "[domains.\"example.com\"]\ndaily_limit = 20\n[domains.\"example.net\"]\ndaily_limit = 20\n\
         [domains.\"example.org\"]\ndaily_limit = 20\n\
         [users.\"a@example.com\"]\nlabel = \"A\"\nsuspended = true\n\
         [users.\"c@example.com\"]\nlabel = \"C\"\n",
    );
    let args = [
        "apply",
        plan.to_str().unwrap(),
        "--prune",
        "--yes",
        "--json",
    ];
    let (running, store) = ground.sandbox.at_lock(&args, std::process::Stdio::piped());
    // The first by hand to something else, the second to the same; what was removed
    // comes back as another.
    store
        .execute_batch(
            "UPDATE domains SET daily_limit = 15 WHERE name = 'example.com';
             UPDATE domains SET daily_limit = 20 WHERE name = 'example.net';
             UPDATE domains SET created_at = created_at + 1 WHERE name = 'example.org';
             UPDATE users SET created_at = created_at + 1 WHERE username > 'b';
             COMMIT",
        )
        .unwrap();
    drop(store);
    let run = ended(running);
    assert_eq!(run.code, 1, "{}", run.stderr);
    let said: Value = serde_json::from_str(&run.stdout).unwrap();
    let changes = said["changes"].as_array().unwrap();
    let outcomes: Vec<_> = changes
        .iter()
        .map(|c| (&c["name"], &c["outcome"]))
        .collect();
    assert_eq!(
        outcomes,
        [
            (&json!("example.com"), &json!("failed")),
            (&json!("example.net"), &json!("unneeded")),
            (&json!("example.org"), &json!("failed")),
            (&json!("b@example.com"), &json!("failed")),
            (&json!("a@example.com"), &json!("done")),
            (&json!("c@example.com"), &json!("failed")),
        ]
    );
    let limit = |name: &str| ground.sandbox.json(&["domain", "show", name])["daily_limit"].clone();
    assert_eq!(
        (limit("example.com"), limit("example.net")),
        (json!(15), json!(20))
    );
    assert_eq!(users(&ground).len(), 3);
    let user = ground.sandbox.json(&["user", "show", "a@example.com"]);
    assert_eq!(
        (&user["label"], &user["status"]),
        (&json!("A"), &json!("suspended"))
    );
}

#[test]
fn p2_a_user_somebody_else_makes_meanwhile_keeps_its_password() {
    let ground = Ground::new();
    let (running, _) = begun(&ground, &[]);
    let theirs = ground.sandbox.create("a@example.com");
    fs::write(ground.path("go"), "").unwrap();
    let run = ended(running);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr.contains("the password that was just handed over was not stored and does not work (the user a@example.com already exists)"),
        "{}",
        run.stderr
    );
    assert!(ground.works("a@example.com", &theirs));
    assert!(!ground.works("a@example.com", &ground.text("got")));
}

#[test]
fn nobody_delivers_beside_a_rotation_nor_a_second_plan() {
    let ground = Ground::new();
    let (running, _) = begun(&ground, &[]);
    let before = ground.actions();
    let other = ground.plan_named(
        "other.toml",
        &format!("{DOMAIN}daily_limit = 5\n[users.\"b@example.com\"]\nwrite_file = \"FOLDER/b\"\n"),
    );
    let run = ground.apply(&other, &[]);
    assert_eq!(run.code, 75, "{}", run.stderr);
    assert!(
        run.stderr.contains("another rotation is running"),
        "{}",
        run.stderr
    );
    assert_eq!(ground.actions(), before, "nothing of it was begun");
    // Without a new user there is nothing to wait for.
    let other = ground.plan_named("other.toml", &format!("{DOMAIN}daily_limit = 5\n"));
    assert_eq!(ground.apply(&other, &[]).code, 0);
    fs::write(ground.path("go"), "").unwrap();
    assert_eq!(ended(running).code, 0);
}

/// A dry run reports all problems of a run, and a run checks for them before its first change.
#[test]
fn a_dry_run_sees_what_is_in_the_way() {
    let ground = Ground::new();
    let plan = ground.plan(
        &[
            DOMAIN,
            "[users.\"folder@example.com\"]\nwrite_file = \"FOLDER/missing/pw\"\n",
            "[users.\"program@example.com\"]\ndeliver = \"no-such-program\"\n",
            "[users.\"well@example.com\"]\nwrite_file = \"FOLDER/well\"\n",
        ]
        .concat(),
    );
    let run = ground.apply(&plan, &["--dry-run", "--json"]);
    assert_eq!(run.code, 8, "{run:?}");
    let said: Value = serde_json::from_str(&run.stdout).unwrap();
    let of = |name: &str| {
        let changes = said["changes"].as_array().unwrap();
        let name = format!("{name}@example.com");
        let found = changes.iter().find(|change| change["name"] == name);
        let reason = found.unwrap()["reason"].as_str();
        reason.map(str::to_owned)
    };
    assert!(of("folder").unwrap().contains("No such file or directory"));
    assert!(of("program").unwrap().contains("could not be started"));
    assert_eq!(of("well"), None);
    let run = ground.apply(&plan, &["--dry-run"]);
    assert!(
        run.stdout.contains("would fail: no-such-program could not"),
        "{run:?}"
    );
    assert!(!ground.sandbox.store().exists());
    assert!(!ground.path("well").exists());
}

/// A dry run also reports that the user may only read the store.
#[test]
fn a_store_that_cannot_be_written_is_found_out_first() {
    let ground = Ground::new();
    ground.sandbox.noted(&["domain", "add", "example.com"]);
    let store = ground.sandbox.store();
    fs::write(ground.path("names.csv"), "username\na@example.com\n").unwrap();
    fs::write(ground.path("users.csv"), "username,hash\na@example.com,x\n").unwrap();
    let plan = ground.plan("[users.\"a@example.com\"]\nwrite_file = \"FOLDER/pw\"\n");
    for path in [
        ground.sandbox.folder.path(),
        store.parent().unwrap(),
        &store,
        &plan,
    ] {
        nobody::give_to_nobody(path);
    }
    let set = |mode: u32| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&store, fs::Permissions::from_mode(mode)).unwrap();
    };
    set(0o400);
    let program = nobody::program_in(ground.sandbox.folder.path());
    let program = program.to_str().unwrap();
    for command in [
        &["apply", "plan.toml"][..],
        &["user", "create", "--from", "names.csv", "--reveal", "json"],
        &["user", "import", "users.csv", "--from", "csv"],
    ] {
        for dry in [&["--dry-run"][..], &[]] {
            let run = nobody::as_nobody(program)
                .args([command, dry].concat())
                .env("SMTPCRED_STORE", &store)
                .current_dir(ground.sandbox.folder.path())
                .output();
            let run = support::finished(run.unwrap());
            assert_eq!(
                (run.code, run.stdout.as_str()),
                (75, ""),
                "{command:?}: {run:?}"
            );
            assert!(
                run.stderr.contains("this user may not write it"),
                "{command:?}: {run:?}"
            );
        }
    }
    set(0o600);
    assert_eq!(ground.actions(), ["domain.add example.com"]);
}
