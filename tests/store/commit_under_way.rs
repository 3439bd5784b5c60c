//! A commit that waits for a standby is seen by nobody, and ends whether its sender is
//! still there or not. The next run must not take its user for one that was not made.

use std::fs;
use std::process::Child;
use std::thread;

use crate::support::bulk::TO_FOLDER_AGAIN;
use crate::support::postgres::Postgres;
use crate::support::{Sandbox, finished, wait_for};

const USER: &str = "shop@example.com";

fn waiting(server: &Postgres, event: &str) -> bool {
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE wait_event = '{event}'");
    server.sql("postgres", &sql) != "0"
}

/// Runs a command that creates [`USER`], kills it while its commit waits, and runs it
/// again while the commit still does. Returns what the user's file holds then.
fn killed_and_repeated(args: &[&str], file: &str, prepare: impl FnOnce(&Sandbox)) {
    let server = Postgres::start();
    let sandbox = server.sandbox_with_domain();
    prepare(&sandbox);
    server.configure("synchronous_standby_names = 'gone'\n");
    server.reload();
    let start = || -> Child {
        let mut command = sandbox.command(args);
        command.stdout(std::process::Stdio::piped());
        command
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut first = start();
    wait_for("the commit to wait", || {
        waiting(&server, "SyncRep").then_some(())
    });
    first.kill().unwrap();
    first.wait().unwrap();

    let again = start();
    thread::scope(|scope| {
        let ended = scope.spawn(|| finished(again.wait_with_output().unwrap()));
        wait_for("the next run to wait for it, or to end", || {
            (ended.is_finished() || waiting(&server, "advisory")).then_some(())
        });
        server.configure("synchronous_standby_names = ''\n");
        server.reload();
        ended.join().unwrap();
    });
    let path = sandbox.folder.path().join(file);
    let password = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{file}: {e}"));
    assert_eq!(
        sandbox.verify(USER, password.trim_end()),
        0,
        "p2: its only password"
    );
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p2_apply_writes_over_no_password_whose_commit_is_under_way() {
    let args = ["apply", "plan.toml", "--output-dir", "passwords"];
    killed_and_repeated(&args, "passwords/shop@example.com", |sandbox| {
        let folder = sandbox.folder.path();
        fs::create_dir(folder.join("passwords")).unwrap();
        fs::write(folder.join("plan.toml"), format!("[users.\"{USER}\"]\n")).unwrap();
    });
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p2_bulk_creation_removes_no_password_whose_commit_is_under_way() {
    killed_and_repeated(&TO_FOLDER_AGAIN, "passwords/shop@example.com", |sandbox| {
        let folder = sandbox.folder.path();
        fs::create_dir(folder.join("passwords")).unwrap();
        fs::write(folder.join("names.csv"), format!("username\n{USER}\n")).unwrap();
    });
}
