//! `user create --from` that ends early: for want of room, of a reader, of rights, or
//! by Ctrl-C; and that the same command goes on.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::support::bulk::{
    TO_FOLDER, TO_STREAM, created, files, folder, names, sandbox, usernames, users, write,
};
use crate::support::nobody::{as_nobody, give_to_nobody};
use crate::support::small::Small;
use crate::support::{PROGRAM, Run, Server, ended, finished, wait_for};

#[test]
fn the_same_command_goes_on_where_it_ended() {
    let sandbox = sandbox();
    folder(&sandbox);
    let text = "username,label,domain\n\
         a@example.com,,\n\
         ,Shop,example.com\n\
         ,Shop,example.com\n\
         ,,example.com\n";
    write(&sandbox, &text.replace(",,example.com\n", ""));
    let first = sandbox.run(&[&TO_FOLDER[..], &["--json"]].concat());
    assert_eq!(first.code, 0, "{}", first.stderr);
    // One that was named by hand is not taken for one of the file.
    sandbox.ok(&["user", "create", "own@example.com", "--label", "Shop", "-q"]);
    write(
        &sandbox,
        "username,label,domain\n\
         a@example.com,,\n\
         ,Shop,example.com\n\
         ,Shop,example.com\n\
         ,Shop,example.com\n\
         b@example.com,,\n",
    );
    let again = [&TO_FOLDER[..], &["--skip-existing", "--json"]].concat();
    let second: serde_json::Value = serde_json::from_str(&sandbox.noted(&again)).unwrap();
    assert_eq!(second["created"], 2);
    assert_eq!(second["skipped"], 3);
    assert_eq!(second["users"][0]["row"], 5);
    let third: serde_json::Value = serde_json::from_str(&sandbox.noted(&again)).unwrap();
    assert_eq!(
        (&third["created"], &third["skipped"]),
        (&0.into(), &5.into())
    );
    assert_eq!(usernames(&sandbox).len(), 6);
    assert_eq!(files(&sandbox).0.len(), 5);
}

#[test]
fn p2_a_reader_that_leaves_ends_it_and_what_it_was_given_works() {
    let sandbox = sandbox();
    let all = names(&sandbox, 400);
    let mut child = sandbox.command(&TO_STREAM);
    child.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Server(child.spawn().unwrap());
    let mut stdout = running.0.stdout.take().unwrap();
    let mut seen = vec![0; 3000];
    stdout.read_exact(&mut seen).unwrap();
    drop(stdout);
    let run = ended(running);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("--skip-existing"), "{}", run.stderr);
    let there = usernames(&sandbox);
    assert!(there.len() < all.len());
    let seen = String::from_utf8(seen).unwrap();
    let first: serde_json::Value = serde_json::from_str(seen.lines().next().unwrap()).unwrap();
    let username = first["username"].as_str().unwrap();
    let password = first["password"].as_str().unwrap();
    assert_eq!(sandbox.verify(username, password), 0);
    assert_eq!(created(&sandbox), there.len());
}

#[test]
fn p2_nobody_is_created_who_cannot_be_told_about() {
    let sandbox = sandbox();
    names(&sandbox, 5);
    let shell = |script: &str| -> Run {
        let args = [&["-c", script, PROGRAM], &TO_STREAM[..]].concat();
        finished(sandbox.other_command("sh", &args).output().unwrap())
    };
    for script in [
        "exec \"$0\" \"$@\" >&-",
        "exec \"$0\" \"$@\" >/dev/null",
        "exec \"$0\" \"$@\" >/dev/full",
        "exec \"$0\" \"$@\" | :; test \"$(\"$0\" user list --format csv | wc -l)\" = 1 && exit 74",
    ] {
        let run = shell(script);
        assert_eq!(run.code, 74, "{script}: {run:?}");
    }
    assert_eq!(sandbox.run(&TO_FOLDER).code, 74, "no such folder");
    assert!(users(&sandbox).is_empty());
}

#[test]
fn a_folder_of_others_is_refused() {
    let sandbox = sandbox();
    names(&sandbox, 2);
    folder(&sandbox);
    for path in [
        sandbox.folder.path().to_owned(),
        sandbox.folder.path().join("data"),
    ] {
        give_to_nobody(&path);
    }
    for entry in fs::read_dir(sandbox.folder.path().join("data")).unwrap() {
        give_to_nobody(&entry.unwrap().path());
    }
    let run = as_nobody(PROGRAM)
        .args(TO_FOLDER)
        .env("SMTPCRED_STORE", sandbox.store())
        .current_dir(sandbox.folder.path())
        .output();
    let run = finished(run.unwrap());
    if geteuid().is_root() {
        assert_eq!(run.code, 74, "{run:?}");
        assert!(users(&sandbox).is_empty());
    }
}

#[test]
#[ignore = "needs root for a small file system: run tests/run"]
fn p2_a_disk_that_gets_full_ends_it_and_room_lets_it_go_on() {
    let sandbox = sandbox();
    let all = names(&sandbox, 200);
    fs::create_dir(sandbox.folder.path().join("disk")).unwrap();
    let small = Small::new(&sandbox.folder.path().join("disk"));
    std::os::unix::fs::symlink(&small.0, sandbox.folder.path().join("passwords")).unwrap();
    // Too little for all of them is seen beforehand.
    small.leave(400);
    let run = sandbox.run(&TO_FOLDER);
    assert_eq!(run.code, 74, "{run:?}");
    assert!(run.stderr.contains("No space left"), "{run:?}");
    assert!(usernames(&sandbox).is_empty());
    small.empty();
    let mut command = sandbox.command(&TO_FOLDER);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = Server(child.spawn().unwrap());
    wait_for("some users", || (files(&sandbox).0.len() > 3).then_some(()));
    small.leave(0);
    let run = ended(running);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("No space left"), "{run:?}");
    small.empty();
    let there = usernames(&sandbox);
    assert!(!there.is_empty() && there.len() < 200, "{}", there.len());
    assert_eq!(files(&sandbox), (there, BTreeSet::new()));
    sandbox.noted(&[&TO_FOLDER[..], &["--skip-existing"]].concat());
    assert_eq!(files(&sandbox), (all.clone(), BTreeSet::new()));
    assert_eq!(usernames(&sandbox), all);
}

#[test]
fn ctrl_c_ends_it_soon_and_says_how_far_it_is() {
    let sandbox = sandbox();
    let all = names(&sandbox, 3000);
    folder(&sandbox);
    let mut command = sandbox.command(&TO_FOLDER);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = Server(child.spawn().unwrap());
    wait_for("some users", || (files(&sandbox).0.len() > 3).then_some(()));
    let pid = i32::try_from(running.0.id()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGINT).unwrap();
    let run = ended(running);
    assert_eq!(run.code, 130, "{run:?}");
    let there = usernames(&sandbox);
    assert!(there.len() < all.len());
    let said = format!(
        "error: interrupted; users created: {}, not created: {}",
        there.len(),
        3000 - there.len()
    );
    assert!(run.stderr.contains(&said), "{said}: {run:?}");
    assert_eq!(files(&sandbox), (there, BTreeSet::new()));
}

#[test]
fn one_run_at_a_time_writes_to_a_folder() {
    let sandbox = sandbox();
    names(&sandbox, 2);
    let lock = File::open(folder(&sandbox)).unwrap();
    lock.lock().unwrap();
    let run = sandbox.run(&TO_FOLDER);
    assert_eq!(run.code, 74);
    assert!(run.stderr.contains("another run"), "{}", run.stderr);
    drop(lock);
    sandbox.noted(&TO_FOLDER);
    // What is there is never overwritten, and no leftover of ours is invented.
    let own = folder(&sandbox).join(".smtpcred-notes");
    File::create(&own).unwrap().write_all(b"mine").unwrap();
    sandbox.noted(&[&TO_FOLDER[..], &["--skip-existing"]].concat());
    assert_eq!(fs::read(&own).unwrap(), b"mine");
}
