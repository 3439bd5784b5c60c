//! `user issue`: temporary passwords beside a user's own.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use crate::support::postgres::Postgres;
use crate::support::{Sandbox, Server, ended};

const USER: &str = "shop@example.com";

fn issue(sandbox: &Sandbox, more: &[&str]) -> (String, String) {
    let issue = ["user", "issue", USER, "--for", "1h", "--quiet"];
    let found = sandbox.json(&[&issue[..], more].concat());
    let text = |name: &str| found[name].as_str().unwrap().to_owned();
    (text("password"), text("password_id"))
}

fn retire(sandbox: &Sandbox, id: &str) {
    sandbox.noted(&["user", "retire", USER, "--password-id", id]);
}

/// How many work.
fn live(sandbox: &Sandbox) -> usize {
    let user = sandbox.json(&["user", "show", USER]);
    let all = user["temporary_passwords"].as_array().unwrap().iter();
    all.filter(|one| one["works"] == true).count()
}

#[test]
fn one_is_right_beside_the_others_and_in_no_export() {
    let sandbox = Sandbox::new();
    let own = sandbox.create(USER);
    let (one, id) = issue(&sandbox, &["--label", "ci"]);
    let (short, _) = issue(&sandbox, &["--short-password"]);
    assert_eq!((short.len(), one.len()), (20, 36));
    for password in [&own, &one, &short] {
        assert_eq!(sandbox.verify(USER, password), 0);
    }
    sandbox.noted(&["user", "reset", USER, "--quiet"]);
    assert_eq!(sandbox.verify(USER, &own), 6);
    for password in [&one, &short] {
        assert_eq!(sandbox.verify(USER, password), 0);
    }
    // Dovecot's own look-up cannot check its networks.
    for view in ["dovecot_users", "dovecot_overlap"] {
        let found = sandbox.texts(&format!("SELECT username FROM {view}"));
        assert_eq!(found.len(), usize::from(view == "dovecot_users"), "{view}");
    }
    let exported = sandbox.ok(&["user", "export", "--format", "csv"]);
    assert_eq!(exported.lines().count(), 2, "{exported}");
    assert!(!exported.contains(&id), "{exported}");
    retire(&sandbox, &id);
    assert_eq!(sandbox.verify(USER, &one), 6);
    let hashes = "SELECT count(*) FROM passwords WHERE hash IS NOT NULL AND temporary = 1";
    assert_eq!(
        sandbox.texts(&hashes.replace("count(*)", "CAST(count(*) AS TEXT)")),
        ["1"]
    );
}

fn twenty(sandbox: &Sandbox) {
    sandbox.create(USER);
    let args = ["user", "issue", USER, "--for", "1h", "--quiet"];
    let running: Vec<_> = (0..30)
        .map(|_| {
            let mut command = sandbox.command(&args);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            Server(command.spawn().unwrap())
        })
        .collect();
    let (mut issued, mut refused) = (Vec::new(), 0);
    for server in running {
        let run = ended(server);
        match run.code {
            0 => issued.push(run.stdout.trim_end().to_owned()),
            4 => {
                assert!(run.stderr.contains("already has 20"), "{}", run.stderr);
                refused += 1;
            }
            code => panic!("{code}: {}", run.stderr),
        }
    }
    assert_eq!((issued.len(), refused, live(sandbox)), (20, 10, 20));
    assert_eq!(sandbox.verify(USER, &issued[19]), 0);
}

#[test]
fn p10_thirty_at_once_make_twenty() {
    twenty(&Sandbox::new());
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p10_thirty_at_once_make_twenty_in_a_database() {
    let server = Postgres::start();
    let sandbox = server.sandbox();
    sandbox.noted(&["domain", "add", "example.com"]);
    twenty(&sandbox);
}

#[test]
fn p11_a_leaked_one_is_found_and_ended_alone() {
    let sandbox = Sandbox::new();
    let own = sandbox.create(USER);
    let (one, _) = issue(&sandbox, &[]);
    let folder = sandbox.folder.path().join("leak");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("job.env"), format!("SMTP_PASSWORD={one}\n")).unwrap();
    let scan = |more: &[&str]| {
        let path = folder.to_str().unwrap();
        sandbox.run(&[&["scan", path, "--json"], more].concat())
    };
    let found: Value = serde_json::from_str(&scan(&[]).stdout).unwrap();
    assert_eq!(found[0]["username"], USER);
    assert_eq!(found[0]["state"], "overlap");
    let run = scan(&["--rotate", "--yes"]);
    assert_eq!(live(&sandbox), 0, "{}", run.stderr);
    assert_eq!(sandbox.verify(USER, &own), 0);
    let found: Value = serde_json::from_str(&scan(&[]).stdout).unwrap();
    assert_eq!(found[0]["state"], "stopped");
}

#[test]
fn p11_a_closed_user_has_none_afterwards() {
    let sandbox = Sandbox::new();
    sandbox.create(USER);
    let (one, _) = issue(&sandbox, &[]);
    let close = [
        "user",
        "close",
        USER,
        "--suspend",
        "--yes",
        "--any-address",
        "--json",
    ];
    let run = sandbox.run(&close);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["passwords"].as_array().unwrap().len(), 2);
    sandbox.noted(&["user", "resume", USER]);
    assert_eq!(sandbox.verify(USER, &one), 6);
}

#[test]
fn p3_a_restore_brings_none_back() {
    let sandbox = Sandbox::new();
    sandbox.create(USER);
    let [(stopped, id), (kept, _)] = [(); 2].map(|()| issue(&sandbox, &[]));
    sandbox.noted(&["store", "backup", "one.backup"]);
    retire(&sandbox, &id);
    let (newer, _) = issue(&sandbox, &[]);
    let restored = sandbox.run(&["store", "restore", "one.backup", "--yes"]);
    assert_eq!(restored.code, 0, "{}", restored.stderr);
    let works = |password: &str| sandbox.verify(USER, password) == 0;
    assert_eq!(
        [&stopped, &kept, &newer].map(|one| works(one)),
        [false, true, true]
    );
    // Asked for, it ends at its time.
    let revive = ["store", "restore", "one.backup", "--yes", "--revive", &id];
    let restored = sandbox.run(&revive);
    assert_eq!(restored.code, 0, "{}", restored.stderr);
    assert!(works(&stopped));
    assert_eq!(live(&sandbox), 3);
}
