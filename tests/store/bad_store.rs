//! Whatever stands where the store should be: an error that says so, nothing
//! on stdout, and not a byte of it changed. And never "wrong password" for
//! what cannot be checked (promise 4).

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::support::{PROGRAM, Run, Sandbox, Server, ended, is_long, wait_at_lock};

const USER: &str = "shop@example.com";
const LIST: &[&str] = &["user", "list", "--json"];
const VERIFY: &[&str] = &["verify", USER, "--json"];
const CREATE: &[&str] = &["user", "create", "new@example.com", "--json"];
/// It would make a store where there is none.
const ADD: &[&str] = &["domain", "add", "example.org", "--json"];

/// Runs it with this on its stdin; killed if it hangs.
fn fed(command: &mut Command, stdin: &str) -> Run {
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that exits early does not read it.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    ended(Server(child))
}

/// All that stands in the store's folder.
fn folder(sandbox: &Sandbox) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let Ok(entries) = fs::read_dir(sandbox.store().parent().unwrap()) else {
        return BTreeMap::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| (path.clone(), fs::read(path).ok());
    paths.filter(|path| path.is_file()).map(read).collect()
}

/// The error code and the exit code, where there is an error and nothing else.
fn failure(run: &Run) -> (String, i32) {
    assert_eq!(run.stdout, "", "{}", run.stderr);
    let error: serde_json::Value =
        serde_json::from_str(&run.stderr).unwrap_or_else(|e| panic!("{e}: {run:?}"));
    assert!(error["error"]["message"].is_string(), "{error}");
    (
        error["error"]["code"].as_str().unwrap().to_owned(),
        run.code,
    )
}

/// Every command fails with this code, and with this exit code but for
/// `verify`, which cannot tell.
fn refused(sandbox: &Sandbox, expected: (&str, i32)) {
    refused_as(sandbox, expected, |args| sandbox.command(args));
}

fn refused_as(sandbox: &Sandbox, expected: (&str, i32), command: impl Fn(&[&str]) -> Command) {
    let before = folder(sandbox);
    for args in [LIST, CREATE, ADD, VERIFY] {
        let run = fed(&mut command(args), "whatever it was");
        let exit = if args == VERIFY { 75 } else { expected.1 };
        assert_eq!(
            failure(&run),
            (expected.0.into(), exit),
            "{args:?}: {run:?}"
        );
    }
    assert!(
        folder(sandbox) == before,
        "{}: the folder has changed",
        expected.0
    );
}

/// A place for the store, with its folder.
fn place() -> Sandbox {
    let sandbox = Sandbox::empty();
    fs::create_dir(sandbox.store().parent().unwrap()).unwrap();
    sandbox
}

/// A store's file with this in it.
fn holding(content: &[u8]) -> Sandbox {
    let sandbox = place();
    fs::write(sandbox.store(), content).unwrap();
    set_mode(&sandbox.store(), 0o600);
    sandbox
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_is_no_file_is_refused_and_does_not_hang() {
    let sandbox = place();
    fs::create_dir(sandbox.store()).unwrap();
    refused(&sandbox, ("store_foreign", 1));

    let sandbox = place();
    let made = Command::new("mkfifo").arg(sandbox.store()).status();
    assert!(made.unwrap().success());
    refused(&sandbox, ("store_foreign", 1));

    let sandbox = place();
    let _listener = UnixListener::bind(sandbox.store()).unwrap();
    refused(&sandbox, ("store_foreign", 1));

    let sandbox = place();
    symlink("/dev/zero", sandbox.store()).unwrap();
    refused(&sandbox, ("store_foreign", 1));

    // Something in the way of its folder.
    let sandbox = Sandbox::empty();
    fs::write(sandbox.folder.path().join("data"), "precious").unwrap();
    refused(&sandbox, ("store_unreachable", 75));
}

#[test]
fn other_files_are_refused() {
    for content in [&b"precious\n"[..], b"SQLite", &[0; 5000], &[0xff; 5000]] {
        refused(&holding(content), ("store_foreign", 1));
    }
}

#[test]
fn an_empty_file_is_no_store_yet() {
    let sandbox = holding(b"");
    for args in [LIST, CREATE, VERIFY] {
        let run = fed(&mut sandbox.command(args), "whatever it was");
        assert_eq!(failure(&run), ("store_missing".into(), 75));
        assert_eq!(fs::read(sandbox.store()).unwrap(), b"");
    }
    sandbox.noted(ADD);
}

#[test]
fn another_programs_sqlite_file_is_left_alone_even_while_it_is_in_use() {
    for mode in ["DELETE", "WAL"] {
        let sandbox = place();
        let other = Connection::open(sandbox.store()).unwrap();
        other
            .execute_batch(&format!(
                "PRAGMA journal_mode = {mode}; CREATE TABLE users (name); INSERT INTO users VALUES (1)"
            ))
            .unwrap();
        set_mode(&sandbox.store(), 0o600);
        assert_eq!(folder(&sandbox).len() == 3, mode == "WAL");
        refused(&sandbox, ("store_foreign", 1));
    }
}

#[test]
fn a_store_that_lost_its_end_is_refused() {
    let whole = Sandbox::new();
    whole.create(USER);
    let bytes = fs::read(whole.store()).unwrap();
    let (half, last) = (bytes.len() / 2, bytes.len() - 1);
    for length in [1, 10, 16, 99, 100, 512, 4096, 4097, half, last] {
        // Less than the first line of its header could be anything.
        let is = if length < 16 { "foreign" } else { "damaged" };
        refused(&holding(&bytes[..length]), (&format!("store_{is}"), 1));
    }
}

#[test]
fn a_newer_store_is_refused() {
    let sandbox = Sandbox::new();
    let store = Connection::open(sandbox.store()).unwrap();
    store.pragma_update(None, "user_version", 99).unwrap();
    drop(store);
    refused(&sandbox, ("store_too_new", 1));
}

#[test]
fn a_store_that_everybody_can_change_is_refused() {
    for mode in [0o666, 0o602] {
        let sandbox = Sandbox::new();
        set_mode(&sandbox.store(), mode);
        refused(&sandbox, ("store_unsafe", 1));
    }
    let sandbox = Sandbox::new();
    set_mode(sandbox.store().parent().unwrap(), 0o777);
    refused(&sandbox, ("store_unsafe", 1));
    // As /tmp is: there nobody can replace what is somebody else's.
    set_mode(sandbox.store().parent().unwrap(), 0o1777);
    sandbox.ok(LIST);

    let sandbox = Sandbox::new();
    set_mode(&sandbox.store(), 0o644);
    let run = sandbox.run(&["user", "list", "-q"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""));
    assert!(
        run.stderr
            .starts_with("warning: everybody on this machine can read")
    );
}

/// As somebody else, who may run a copy of the program and go everywhere here.
fn as_stranger(sandbox: &Sandbox, args: &[&str]) -> Command {
    let copy = sandbox.folder.path().join("smtpcred");
    if !copy.exists() {
        // By another process: a thread that forks while this one had the copy
        // open for writing would keep it from being run.
        let copied = Command::new("cp").arg(PROGRAM).arg(&copy).status();
        assert!(copied.unwrap().success());
        set_mode(sandbox.folder.path(), 0o755);
    }
    let id = STRANGER.to_string();
    let copy = copy.to_str().unwrap();
    let setpriv = ["--reuid", &id, "--regid", &id, "--clear-groups", copy];
    let mut command = sandbox.other_command("setpriv", &[&setpriv, args].concat());
    command.current_dir("/");
    command
}

/// Nobody has this number, so there is no home folder in the user database.
const STRANGER: u32 = 54_321;

#[test]
#[ignore = "needs root to be somebody else: run tests/run"]
fn what_the_rights_do_not_allow_is_unreachable() {
    for (folder_mode, owner) in [(0o755, 0), (0o700, 0), (0o755, STRANGER)] {
        let sandbox = Sandbox::new();
        sandbox.create(USER);
        set_mode(sandbox.store().parent().unwrap(), folder_mode);
        chown(sandbox.store(), Some(owner), Some(owner)).unwrap();
        refused_as(&sandbox, ("store_unreachable", 75), |args| {
            as_stranger(&sandbox, args)
        });
        assert_eq!(fs::metadata(sandbox.store()).unwrap().uid(), owner);
    }
}

#[test]
#[ignore = "needs root to be somebody else: run tests/run"]
fn without_a_home_there_is_no_default_store() {
    let sandbox = Sandbox::empty();
    for home in [None, Some("")] {
        refused_as(&sandbox, ("no_home", 1), |args| {
            let mut command = as_stranger(&sandbox, args);
            command.env_remove("SMTPCRED_STORE").env_remove("HOME");
            command.envs(home.map(|home| ("HOME", home)));
            command
        });
    }
    // The copy of the program, and nothing else.
    assert_eq!(fs::read_dir(sandbox.folder.path()).unwrap().count(), 1);
}

#[test]
#[ignore = "needs faketime: run tests/run"]
fn p4_a_clock_that_cannot_be_right_decides_nothing() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(USER);
    let in_2019 = |args: &[&str]| {
        let args = [&["2019-12-31 23:00:00", PROGRAM], args].concat();
        let mut command = sandbox.other_command("faketime", &args);
        command.env("TZ", "UTC");
        fed(&mut command, &password)
    };
    let events = sandbox.json(&["audit", "list"]);
    let run = in_2019(VERIFY);
    assert_eq!(failure(&run), ("clock_wrong".into(), 75));
    for args in [
        CREATE,
        ADD,
        &["user", "reset", USER, "--json"],
        &["user", "suspend", USER, "--json"],
        &["user", "set", USER, "--expires-in", "1d", "--json"],
        &["user", "delete", USER, "--yes", "--json"],
        &["set-settings", "--host", "smtp.example.com", "--json"],
    ] {
        let run = in_2019(args);
        assert_eq!(failure(&run), ("clock_wrong".into(), 1), "{args:?}");
    }
    assert_eq!(in_2019(LIST).code, 0);
    assert_eq!(sandbox.json(&["audit", "list"]), events);
    assert_eq!(sandbox.verify(USER, &password), 0);
}

#[test]
fn p10_a_lock_is_waited_for_and_not_for_ever() {
    const PATIENCE: Duration = Duration::from_secs(30);
    // One that a writer holds for long, and one that nobody can even read.
    let (written, closed) = (Sandbox::new(), Sandbox::new());
    let password = written.create(USER);
    closed.create(USER);
    let lock = Connection::open(closed.store()).unwrap();
    lock.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
        .unwrap();
    let start = Instant::now();
    let (writer, held) = written.at_lock(CREATE, Stdio::piped());
    let runs = std::thread::scope(|scope| {
        let verified = scope.spawn(|| fed(&mut closed.command(VERIFY), &password));
        // Reading goes on beside a writer.
        assert_eq!(written.verify(USER, &password), 0);
        assert!(start.elapsed() < PATIENCE);
        [ended(writer), verified.join().unwrap()]
    });
    assert!(start.elapsed() >= PATIENCE);
    for run in runs {
        assert_eq!(failure(&run), ("store_busy".into(), 75));
    }
    drop(held);
    assert_eq!(written.verify("new@example.com", "whatever it was"), 3);
}

#[test]
fn p10_a_lock_of_two_seconds_is_waited_for() {
    let sandbox = Sandbox::new();
    let (writer, held) = sandbox.at_lock(CREATE, Stdio::piped());
    sleep(Duration::from_secs(2));
    held.execute_batch("ROLLBACK").unwrap();
    let run = ended(writer);
    assert_eq!(run.code, 0, "{}", run.stderr);
    drop(held);

    // As a backup made it: the change to a store for readers and a writer side
    // by side has to wait for a writer, too.
    let store = Connection::open(sandbox.store()).unwrap();
    store.pragma_update(None, "journal_mode", "DELETE").unwrap();
    store.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut command = sandbox.command(LIST);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let waiting = Server(child.unwrap());
    wait_at_lock(&waiting.0);
    store.execute_batch("ROLLBACK").unwrap();
    assert_eq!(ended(waiting).code, 0);
}

#[test]
fn p4_a_flipped_byte_never_panics_and_never_says_wrong_password() {
    const HASH: usize = 97;
    let step = if is_long() { 37 } else { 149 };
    let small = Sandbox::new();
    let password = small.create(USER);
    small.create("crm@example.com");
    // Of small pages, so that most of it matters.
    let store = Connection::open(small.store()).unwrap();
    store
        .execute_batch(
            "PRAGMA journal_mode = DELETE; PRAGMA page_size = 1024; VACUUM; PRAGMA journal_mode = WAL",
        )
        .unwrap();
    drop(store);
    let bytes = fs::read(small.store()).unwrap();
    // In a hash nothing can tell a flip from another password.
    let hashes: Vec<_> = (0..bytes.len())
        .filter(|at| bytes[*at..].starts_with(b"$argon2id$"))
        .map(|at| at..at + HASH)
        .collect();
    assert_eq!(hashes.len(), 2);

    // Returns whether anything was noticed.
    let flip = |at: usize| {
        let mut flipped = bytes.clone();
        flipped[at] ^= [0xff, 0x01, 0x80, 0x20][at / step % 4];
        let mut codes = [LIST, VERIFY, CREATE].map(|args| {
            let sandbox = holding(&flipped);
            let run = fed(&mut sandbox.command(args), &password);
            let what = format!("byte {at}, {args:?}: {run:?}");
            assert!(run.code < 100 && !run.stderr.contains("panicked"), "{what}");
            if args == VERIFY && !hashes.iter().any(|hash| hash.contains(&at)) {
                // Nor "no such user", which is as wrong.
                assert!([0, 75].contains(&run.code), "{what}");
            }
            run.code
        });
        codes.sort_unstable();
        codes[2] != 0
    };
    let positions: Vec<usize> = (0..bytes.len()).step_by(step).collect();
    let halves = positions.split_at(positions.len() / 2);
    let noticed: usize = std::thread::scope(|scope| {
        let threads = [halves.0, halves.1]
            .map(|half| scope.spawn(|| half.iter().filter(|at| flip(**at)).count()));
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert!(
        noticed > 10,
        "only {noticed} flips hit anything that matters"
    );
}
