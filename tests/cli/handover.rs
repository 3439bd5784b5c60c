//! Where a password cannot be handed over, nothing changes (promise 2); where
//! it can, nobody else reads it, and whoever it is for can.
//! Long, because each way to lose a password is one test.

use std::fs::{self, File, OpenOptions};
use std::io::{Write as _, pipe};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::support::small::Small;
use crate::support::{PROGRAM, Run, Sandbox, Server, ended, fill, finished, wait_for_holder};

const CREATE: [&str; 3] = ["user", "create", "new@example.com"];
const RESET: [&str; 3] = ["user", "reset", "old@example.com"];
const ISSUE: [&str; 5] = ["user", "issue", "old@example.com", "--for", "1h"];

/// Runs the commands that hand a password over, in a way that must fail, and
/// sees that nothing came of it.
fn nothing_changes(code: &str, spoiled: impl Fn(&Sandbox, &[&str]) -> Run) {
    let sandbox = Sandbox::new();
    let password = sandbox.create("old@example.com");
    let state = |sandbox: &Sandbox| [["audit", "list"], ["user", "list"]].map(|c| sandbox.json(&c));
    let before = state(&sandbox);
    for args in [&CREATE[..], &RESET, &ISSUE] {
        let args = [args, &["--json", "--reveal", "line"]].concat();
        let run = spoiled(&sandbox, &args);
        assert_eq!(run.code, 74, "{args:?}: {}", run.stderr);
        assert_eq!(run.stdout, "");
        let error: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
        assert_eq!(error["error"]["code"], code, "{args:?}: {error}");
    }
    let mut after = state(&sandbox);
    // Only its age may have changed.
    after[1][0]["password_age_seconds"] = before[1][0]["password_age_seconds"].clone();
    assert_eq!(after, before);
    assert_eq!(sandbox.verify("old@example.com", &password), 0);
}

fn with_stdout(sandbox: &Sandbox, args: &[&str], stdout: impl Into<Stdio>) -> Run {
    let child = sandbox
        .command(args)
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn();
    ended(Server(child.unwrap()))
}

/// As a shell runs it: the script has the program and its arguments as "$0"
/// and "$@".
fn in_shell(sandbox: &Sandbox, script: &str, args: &[&str]) -> Run {
    let args = [&["-c", script, PROGRAM], args].concat();
    finished(sandbox.other_command("sh", &args).output().unwrap())
}

#[test]
fn p2_no_stdout_no_change() {
    nothing_changes("undeliverable", |sandbox, args| {
        with_stdout(sandbox, args, Stdio::null())
    });
    for closed in [">&-", "<&- >&-"] {
        nothing_changes("undeliverable", |sandbox, args| {
            in_shell(sandbox, &format!("exec \"$0\" \"$@\" {closed}"), args)
        });
    }
}

#[test]
fn p2_a_full_device_takes_nothing() {
    nothing_changes("undelivered", |sandbox, args| {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        with_stdout(sandbox, args, full)
    });
}

#[test]
fn p2_a_pipe_without_a_reader_takes_nothing() {
    nothing_changes("undelivered", |sandbox, args| {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        with_stdout(sandbox, args, writer)
    });
    // The reader goes when the last look at the pipe found it there.
    nothing_changes("undelivered", |sandbox, args| {
        let (reader, writer) = pipe().unwrap();
        let (running, store) = sandbox.at_lock(args, writer);
        drop(reader);
        store.execute_batch("ROLLBACK").unwrap();
        ended(running)
    });
}

#[test]
fn p2_the_journal_is_no_place_for_a_password() {
    nothing_changes("undeliverable", |sandbox, args| {
        let log = File::create(sandbox.folder.path().join("journal")).unwrap();
        let meta = log.metadata().unwrap();
        let mut command = sandbox.command(args);
        command
            .env("JOURNAL_STREAM", format!("{}:{}", meta.dev(), meta.ino()))
            .stdout(log)
            .stderr(Stdio::piped());
        let run = ended(Server(command.spawn().unwrap()));
        assert_eq!(
            fs::read(sandbox.folder.path().join("journal")).unwrap(),
            b""
        );
        run
    });
    // Inherited from a service whose output went elsewhere.
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&CREATE);
    command.env("JOURNAL_STREAM", "8:1");
    assert_eq!(finished(command.output().unwrap()).code, 0);
}

#[test]
fn p2_a_reader_that_stops_reading_locks_nobody_out() {
    let sandbox = Sandbox::new();
    let (reader, writer) = pipe().unwrap();
    let (stuck, store) = sandbox.at_lock(&CREATE, writer.try_clone().unwrap());
    fill(&writer);
    store.execute_batch("ROLLBACK").unwrap();
    wait_for_holder(&store);

    // It has the lock and waits for the reader; the next one waits for it.
    let since = Instant::now();
    let password = sandbox.create("next@example.com");
    assert!(since.elapsed() < Duration::from_secs(25));
    assert_eq!(sandbox.verify("next@example.com", &password), 0);
    let run = ended(stuck);
    assert_eq!(run.code, 74, "{}", run.stderr);
    assert_eq!(sandbox.verify("new@example.com", "whatever it was"), 3);
    drop(reader);
}

#[test]
fn a_reader_may_take_its_time_while_nothing_is_locked() {
    let sandbox = Sandbox::new();
    let (mut reader, writer) = pipe().unwrap();
    fill(&writer);
    let mut command = sandbox.command(&CREATE);
    command.stdout(writer).stderr(Stdio::piped());
    let mut slow = Server(command.spawn().unwrap());
    drop(command);
    // Whether it has come to its delivery by then or not: it must not count.
    sandbox.create("next@example.com");
    assert!(slow.0.try_wait().unwrap().is_none(), "it did not wait");
    let mut all = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut all).unwrap();
    assert_eq!(ended(slow).code, 0);
    let password = String::from_utf8(all).unwrap();
    let password = password.trim_start_matches('.').trim_end();
    assert_eq!(sandbox.verify("new@example.com", password), 0);
}

#[test]
fn p2_an_output_file_is_new_and_for_its_owner_only() {
    for umask in ["000", "022", "777"] {
        let sandbox = Sandbox::new();
        let script = format!("umask {umask}; exec \"$0\" \"$@\"");
        let args = [&CREATE[..], &["--output", "secret"]].concat();
        let run = in_shell(&sandbox, &script, &args);
        assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{}", run.stderr);
        let file = sandbox.folder.path().join("secret");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o600);
        let password = fs::read_to_string(file).unwrap();
        assert_eq!(sandbox.verify("new@example.com", password.trim_end()), 0);
    }
}

#[test]
fn p2_an_output_file_never_replaces_anything() {
    type Make = fn(&Path);
    let makes: [(&str, Make); 6] = [
        ("full", |path| fs::write(path, "precious").unwrap()),
        ("empty", |path| drop(File::create(path).unwrap())),
        ("folder", |path| fs::create_dir(path).unwrap()),
        ("link", |path| symlink("full", path).unwrap()),
        ("dangling", |path| symlink("nowhere", path).unwrap()),
        ("missing/x", |_| ()),
    ];
    for (name, make) in makes {
        let code = if name == "missing/x" {
            "undeliverable"
        } else {
            "output_exists"
        };
        nothing_changes(code, |sandbox, args| {
            let path = sandbox.folder.path().join(name);
            if fs::symlink_metadata(&path).is_err() {
                make(&path);
            }
            let before = fs::read(&path).ok();
            let run = sandbox.run(&[args, &["--output", path.to_str().unwrap()]].concat());
            assert_eq!(fs::read(&path).ok(), before, "{name}");
            assert!(!sandbox.folder.path().join("nowhere").exists());
            run
        });
    }
    // It appears between the first look and the delivery.
    nothing_changes("output_exists", |sandbox, args| {
        let args = [args, &["--output", "late"]].concat();
        let (running, store) = sandbox.at_lock(&args, Stdio::piped());
        let late = sandbox.folder.path().join("late");
        fs::write(&late, "precious").unwrap();
        store.execute_batch("ROLLBACK").unwrap();
        let run = ended(running);
        assert_eq!(fs::read(&late).unwrap(), b"precious");
        fs::remove_file(late).unwrap();
        run
    });
}

#[test]
fn a_redirect_that_others_can_read_is_warned_about() {
    for (mode, warned) in [(0o600, false), (0o644, true), (0o640, true)] {
        let sandbox = Sandbox::new();
        let file = sandbox.folder.path().join("redirected");
        let stdout = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file)
            .unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        let run = with_stdout(&sandbox, &[&CREATE[..], &["-q"]].concat(), stdout);
        assert_eq!(run.code, 0);
        assert_eq!(run.stderr.contains("warning: others"), warned, "{mode:o}");
        let password = fs::read_to_string(file).unwrap();
        assert_eq!(sandbox.verify("new@example.com", password.trim_end()), 0);
    }
}

/// Everything that some form has to quote.
const HARD: &str = "a'b\"c, d:/%@#é$(x)`y`\\z=1";

/// What is printed for the hard password in this form.
fn revealed(form: &str) -> String {
    let sandbox = Sandbox::new();
    sandbox.noted(&["set-settings", "--host", "smtp.example.com"]);
    let args = [&CREATE[..], &["--password-stdin", "--reveal", form]].concat();
    let run = sandbox.run_with_stdin(&args, HARD.as_bytes());
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(sandbox.verify("new@example.com", HARD), 0);
    run.stdout
}

/// What a program prints that is given this on its stdin.
fn answer(program: &str, script: &str, input: &str) -> String {
    let mut child = Command::new(program)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{program} is installed: {e}"));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    finished(child.wait_with_output().unwrap()).stdout
}

#[test]
fn a_shell_reads_the_env_form() {
    let script = ". /dev/stdin; printf '%s|%s|%s|%s' \
        \"$SMTP_HOST\" \"$SMTP_PORT\" \"$SMTP_USERNAME\" \"$SMTP_PASSWORD\"";
    assert_eq!(
        answer("sh", script, &revealed("env")),
        format!("smtp.example.com|587|new@example.com|{HARD}")
    );
    assert_eq!(revealed("line"), format!("{HARD}\n"));
    assert_eq!(revealed("raw"), HARD);
}

#[test]
#[ignore = "needs python3: run tests/run"]
fn python_reads_the_other_forms() {
    for (form, script) in [
        (
            "json",
            "import json, sys; d = json.load(sys.stdin); print(d['username'], d['password'])",
        ),
        (
            "csv",
            "import csv, sys; d = list(csv.DictReader(sys.stdin)); assert len(d) == 1;
print(d[0]['username'], d[0]['password'])",
        ),
        (
            "url",
            "import sys; from urllib.parse import urlsplit, unquote
u = urlsplit(sys.stdin.read().rstrip('\\n')); assert (u.hostname, u.port) == ('smtp.example.com', 587)
print(unquote(u.username), unquote(u.password))",
        ),
    ] {
        let script = format!("import io, sys; sys.stdout.reconfigure(encoding='utf-8')\n\
            sys.stdin = io.TextIOWrapper(sys.stdin.buffer, encoding='utf-8', newline='')\n{script}");
        let said = answer("python3", &script, &revealed(form));
        assert_eq!(said, format!("new@example.com {HARD}\n"), "{form}");
    }
}

#[test]
#[ignore = "needs root for a small file system: run tests/run"]
fn p2_no_room_for_the_output_file_no_change() {
    let home = tempfile::tempdir().unwrap();
    let small = Small::new(home.path());
    let file = small.0.join("secret");
    let output = ["--output", file.to_str().unwrap()];
    small.leave(0);
    nothing_changes("undelivered", |sandbox, args| {
        let run = sandbox.run(&[args, &output].concat());
        assert!(!file.exists());
        run
    });
    small.leave(4);
    let sandbox = Sandbox::new();
    sandbox.noted(&[&CREATE[..], &output].concat());
    let password = fs::read_to_string(&file).unwrap();
    assert_eq!(sandbox.verify(CREATE[2], password.trim_end()), 0);
}

#[test]
#[ignore = "needs root for a small file system: run tests/run"]
fn no_room_for_a_file_of_data_no_change() {
    let sandbox = Sandbox::new();
    sandbox.create(RESET[2]);
    let small = Small::new(sandbox.folder.path());
    let rows = sandbox.folder.path().join("rows.csv");
    fs::write(&rows, "username,label\nnew@example.com,\nwithout-domain,\n").unwrap();
    let rows = rows.to_str().unwrap();
    small.leave(0);
    for (folder, why) in [
        (small.0.join("no"), "No such file or directory"),
        (small.0.clone(), "No space left on device"),
    ] {
        let file = folder.join("data");
        let name = file.to_str().unwrap();
        let passwords = sandbox.folder.path().join("passwords");
        fs::create_dir_all(&passwords).unwrap();
        fs::set_permissions(&passwords, fs::Permissions::from_mode(0o700)).unwrap();
        let passwords = passwords.to_str().unwrap();
        let import = [
            "user",
            "import",
            rows,
            "--from",
            "csv",
            "--skip-bad",
            name,
            "--output-dir",
            passwords,
        ];
        for args in [&["user", "export", "--output", name][..], &import] {
            let run = sandbox.run(args);
            let said = format!("error: {name} could not be written ({why}");
            assert_eq!((run.code, run.stdout.as_str()), (74, ""), "{run:?}");
            assert!(run.stderr.starts_with(&said), "{run:?}");
            assert!(run.stderr.contains("nothing was changed\n"), "{run:?}");
            assert!(!run.stderr.contains("password"), "{run:?}");
            assert!(!file.exists());
        }
    }
    assert!(!sandbox.ok(&["user", "list"]).contains("new@"));
}

#[test]
#[ignore = "needs root for a small file system: run tests/run"]
fn p2_no_room_for_the_store_no_change() {
    let home = tempfile::tempdir().unwrap();
    let small = Small::new(home.path());
    let output = home.path().join("secret");
    let levels = (0..=160).step_by(8);
    let (mut done, mut full) = (0, 0);
    for (free, args) in levels.flat_map(|free| [(free, CREATE), (free, RESET)]) {
        let sandbox = Sandbox {
            folder: tempfile::tempdir_in(&small.0).unwrap(),
            database: None,
        };
        sandbox.noted(&["domain", "add", "example.com"]);
        let old = sandbox.create(RESET[2]);
        small.leave(free);
        let to_file = ["--json", "--output", output.to_str().unwrap()];
        let run = sandbox.run(&[&args[..], &to_file].concat());
        fs::remove_file(small.0.join("ballast")).unwrap();

        let what = format!("{args:?} with {free} KiB: {run:?}");
        if run.code == 0 {
            done += 1;
            let new = fs::read_to_string(&output).unwrap();
            assert_eq!(sandbox.verify(args[2], new.trim_end()), 0, "{what}");
            fs::remove_file(&output).unwrap();
        } else {
            full += 1;
            assert_eq!((run.code, run.stdout.as_str()), (75, ""), "{what}");
            // The second where only the commit found it.
            let codes = ["\"store_full\"", "\"not_stored\""];
            assert!(codes.iter().any(|c| run.stderr.contains(c)), "{what}");
            assert!(!output.exists(), "{what}");
            assert_eq!(sandbox.verify(RESET[2], &old), 0, "{what}");
            assert_eq!(sandbox.verify(CREATE[2], "whatever it was"), 3, "{what}");
        }
        let answer: String = Connection::open(sandbox.store())
            .unwrap()
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(answer, "ok", "{what}");
    }
    assert!(
        done >= 5 && full >= 5,
        "{done} done, {full} found no room: other levels are needed"
    );
}
