//! Is it the one store, and who else can write it?

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;

use crate::support::relay::{self, Client};
use crate::support::rotation::{After, Place, USER, WELL};
use crate::support::{Run, Sandbox, finished};

const LIST: &[&str] = &["user", "list", "--json"];
const ADD: &[&str] = &["domain", "add", "example.org", "--json"];

fn run_at(sandbox: &Sandbox, store: &Path, args: &[&str]) -> Run {
    let mut command = sandbox.command(args);
    command.env("SMTPCRED_STORE", store);
    finished(command.output().unwrap())
}

/// Nothing on stdout, and this error.
fn refused(sandbox: &Sandbox, store: &Path, expected: (&str, i32), says: &str) {
    for args in [LIST, ADD] {
        let run = run_at(sandbox, store, args);
        assert_eq!((run.code, run.stdout.as_str()), (expected.1, ""), "{run:?}");
        let error: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
        assert_eq!(error["error"]["code"], expected.0, "{run:?}");
        assert!(run.stderr.contains(says), "{run:?}");
    }
    let mut verify = sandbox.command(&["verify", USER, "--json"]);
    verify.env("SMTPCRED_STORE", store);
    let typed = sandbox.folder.path().join("typed");
    fs::write(&typed, "whatever it was").unwrap();
    verify.stdin(fs::File::open(typed).unwrap());
    let verified = finished(verify.output().unwrap());
    assert_eq!(verified.code, 75, "p4: {verified:?}");
    let doctor = run_at(sandbox, store, &["doctor", "--json"]);
    assert!(doctor.stdout.contains(says), "{doctor:?}");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_folder_further_up_that_everybody_can_change_is_refused() {
    let sandbox = Sandbox::new();
    let deep = sandbox.folder.path().join("open/own/store.db");
    fs::create_dir_all(deep.parent().unwrap()).unwrap();
    set_mode(deep.parent().unwrap(), 0o700);
    set_mode(deep.parent().unwrap().parent().unwrap(), 0o777);
    let link = sandbox.folder.path().join("link.db");
    fs::rename(sandbox.store(), &deep).unwrap();
    symlink("open/own/store.db", &link).unwrap();
    for path in [&deep, &link] {
        refused(&sandbox, path, ("store_unsafe", 1), "open (0777)");
    }
}

#[test]
#[ignore = "needs root to give files away: run tests/run"]
fn a_log_that_somebody_put_beside_the_store_is_refused() {
    const STRANGER: u32 = 54_321;
    let sandbox = Sandbox::new();
    let store = sandbox.store();
    set_mode(sandbox.store().parent().unwrap(), 0o1777);
    for suffix in ["-journal", "-wal", "-shm"] {
        let mut log = sandbox.store().into_os_string();
        log.push(suffix);
        fs::write(&log, "").unwrap();
        chown(&log, Some(STRANGER), None).unwrap();
        let says = format!("uid {STRANGER} can write");
        refused(&sandbox, &store, ("store_unsafe", 1), &says);
        fs::remove_file(&log).unwrap();
    }
    sandbox.ok(LIST);
}

/// Each of its names would have a log of its own.
#[test]
fn a_file_with_two_names_is_refused() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(USER);
    let other = sandbox.folder.path().join("other.db");
    fs::hard_link(sandbox.store(), &other).unwrap();
    for path in [&sandbox.store(), &other] {
        refused(&sandbox, path, ("store_not_unique", 75), "2 names");
    }
    fs::remove_file(&other).unwrap();
    assert_eq!(sandbox.verify(USER, &password), 0);
}

/// As a container gets it: of the same device, and a new one that is still empty.
#[test]
#[ignore = "needs root to mount: run tests/run"]
fn a_file_that_is_mounted_alone_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.create(USER);
    let inside = sandbox.folder.path().join("container");
    fs::create_dir(&inside).unwrap();
    let empty = sandbox.folder.path().join("empty");
    for (source, tmpfs) in [
        (sandbox.store(), false),
        (sandbox.store(), true),
        (empty.clone(), false),
    ] {
        fs::write(&empty, "").unwrap();
        set_mode(&empty, 0o600);
        let mount = Mount::on(&inside, &source, tmpfs);
        let says = "mount the folder, not the file";
        refused(&sandbox, &mount.file, ("store_not_unique", 75), says);
    }
    sandbox.ok(LIST);
    // The whole folder may be.
    let data = sandbox.store().parent().unwrap().to_owned();
    let mut mounted = Command::new("mount");
    mounted.arg("--bind").args([&data, &inside]);
    assert!(mounted.status().unwrap().success());
    let there = inside.join(sandbox.store().file_name().unwrap());
    let run = run_at(&sandbox, &there, LIST);
    let unmounted = Command::new("umount").arg(&inside).status();
    assert!(unmounted.unwrap().success());
    assert_eq!(run.code, 0, "{run:?}");
}

/// The same folder through mergerfs, sshfs or Docker Desktop.
#[test]
#[ignore = "needs root to mount: run tests/run"]
fn a_store_on_fuse_is_refused() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(USER);
    let data = sandbox.store().parent().unwrap().to_owned();
    let there = sandbox.folder.path().join("there");
    fs::create_dir(&there).unwrap();
    let mounted = Mounted::bindfs(&data, &there);
    let store = there.join("smtpcred.db");
    refused(
        &sandbox,
        &store,
        ("store_not_unique", 75),
        "its file system (fuse",
    );
    let hint = run_at(&sandbox, &store, LIST).stderr;
    assert!(hint.contains("keep it on a local disk"), "{hint}");
    // No store is created there, either.
    let new = there.join("new/smtpcred.db");
    let run = run_at(&sandbox, &new, ADD);
    assert_eq!(run.code, 75, "{run:?}");
    assert!(!data.join("new").exists());
    // Through a link, too.
    let link = sandbox.folder.path().join("link.db");
    symlink("there/smtpcred.db", &link).unwrap();
    assert_eq!(run_at(&sandbox, &link, LIST).code, 75);
    // It still works on the disk itself.
    assert_eq!(sandbox.verify(USER, &password), 0);
    drop(mounted);
}

/// FUSE is mounted over the folder of a running relay.
#[test]
#[ignore = "needs root to mount: run tests/run"]
fn p3_a_relay_stops_using_a_store_under_a_new_mount() {
    let sandbox = Sandbox::new();
    let password = sandbox.create(USER);
    let data = sandbox.store().parent().unwrap().to_owned();
    let [beside, there] = ["beside", "there"].map(|name| sandbox.folder.path().join(name));
    for folder in [&beside, &there] {
        fs::create_dir(folder).unwrap();
        set_mode(folder, 0o700);
    }
    let relay = relay::start(&sandbox, &[], &[]);
    let signs_in = || {
        let mut client = Client::auth(&sandbox);
        client.sign_in(1, USER, &password, "192.0.2.1");
        client.line().is_some_and(|line| line.starts_with("OK"))
    };
    assert!(signs_in());
    fs::copy(sandbox.store(), beside.join("smtpcred.db")).unwrap();
    let _fuse = Mounted::bindfs(&beside, &there);
    let mounted = Mounted::on(&data, &["--bind", there.to_str().unwrap()]);
    assert!(!signs_in());
    relay::until("the log to say why", relay::PATIENCE, || {
        relay.count("cannot read the store") > 0
    });
    drop(mounted);
    relay::until("the store to be back", relay::PATIENCE, signs_in);
}

/// File systems that give only one access path to a file.
#[test]
#[ignore = "needs root to mount: run tests/run"]
fn overlays_tmpfs_and_bind_mounts_can_hold_a_store() {
    let sandbox = Sandbox::new();
    let at = |name: &str| {
        let path = sandbox.folder.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    };
    let memory = at("memory");
    let _memory = Mounted::on(&memory, &["-t", "tmpfs", "-o", "mode=700", "tmpfs"]);
    let [lower, upper, work] =
        ["lower", "upper", "work"].map(|name| at(&format!("memory/{name}")).display().to_string());
    set_mode(Path::new(&upper), 0o700);
    let merged = at("merged");
    let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    let _merged = Mounted::on(&merged, &["-t", "overlay", "-o", &options, "overlay"]);
    let twice = at("twice");
    let _twice = Mounted::on(&twice, &["--bind", memory.to_str().unwrap()]);
    let made = memory.join("own/smtpcred.db");
    for (store, on) in [
        (made, "on tmpfs"),
        (twice.join("own/smtpcred.db"), "on tmpfs"),
        (merged.join("own/smtpcred.db"), "on overlay"),
    ] {
        let created = run_at(&sandbox, &store, &["user", "list"]).code;
        if created != 0 {
            let run = run_at(&sandbox, &store, ADD);
            assert_eq!(run.code, 0, "{on}: {run:?}");
        }
        let doctor = run_at(&sandbox, &store, &["doctor", "--json"]);
        assert!(doctor.stdout.contains(on), "{on}: {doctor:?}");
    }
}

/// Unmounts when dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn on(folder: &Path, arguments: &[&str]) -> Self {
        let run = Command::new("mount").args(arguments).arg(folder).status();
        assert!(run.unwrap().success(), "mount {arguments:?}");
        Self(folder.to_owned())
    }

    fn bindfs(source: &Path, on: &Path) -> Self {
        let run = Command::new("bindfs").args([source, on]).status();
        assert!(run.expect("bindfs runs").success());
        Self(on.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Ignored: the test has failed already.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A file mounted alone into a folder; gone when dropped.
struct Mount {
    folder: PathBuf,
    tmpfs: bool,
    file: PathBuf,
}

impl Mount {
    fn on(folder: &Path, source: &Path, tmpfs: bool) -> Self {
        let mounted = |arguments: &[&str], on: &Path| {
            let run = Command::new("mount").args(arguments).arg(on).status();
            assert!(run.unwrap().success(), "mount {arguments:?}");
        };
        if tmpfs {
            mounted(&["-t", "tmpfs", "-o", "mode=700", "tmpfs"], folder);
        }
        let file = folder.join("smtpcred.db");
        fs::write(&file, "").unwrap();
        mounted(&["--bind", source.to_str().unwrap()], &file);
        Self {
            folder: folder.to_owned(),
            tmpfs,
            file,
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Ignored: the test has failed already.
        let _ = Command::new("umount").arg("-l").arg(&self.file).status();
        if self.tmpfs {
            let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
        }
        let _ = fs::remove_file(&self.file);
    }
}

#[test]
#[ignore = "needs root: run tests/run"]
fn p14_root_runs_nothing_that_a_group_could_have_written() {
    let place = Place::new();
    let deliver = place.script(WELL);
    place
        .sandbox
        .ok(&["user", "set", USER, "--deliver", &deliver, "-q"]);
    let store = place.sandbox.store();
    let folder = store.parent().unwrap();
    let above = folder.parent().unwrap();
    let mut log = store.clone().into_os_string();
    log.push("-wal");
    // A log is there as long as anybody has the store open.
    let open = Connection::open(&store).unwrap();
    // SQLite itself sets the mode of an empty one.
    open.execute_batch("UPDATE domains SET max_users = 7")
        .unwrap();
    let refused = |what: &str, cure: &str| {
        let run = place.sandbox.run(&["user", "rotate", USER, "--json"]);
        assert_eq!((run.code, run.stdout.as_str()), (4, ""), "{what}: {run:?}");
        assert!(run.stderr.contains("untrusted_delivery"), "{what}: {run:?}");
        assert!(run.stderr.contains(cure), "{what}: {run:?}");
        assert!(!place.path("got").exists(), "{what}");
        let doctor = place.sandbox.run(&["doctor", "--json"]);
        assert!(doctor.stdout.contains(cure), "{what}: {doctor:?}");
    };
    let mode = |path: &Path, mode: u32| {
        let old = path.metadata().unwrap().mode();
        set_mode(path, mode);
        old
    };
    for (what, path, open) in [
        ("the store", store.as_path(), 0o660),
        ("its log", log.as_ref(), 0o660),
        ("its folder", folder, 0o770),
        ("a folder further up", above, 0o775),
    ] {
        let old = mode(path, open);
        refused(what, &format!("chmod g-w {}", path.display()));
        set_mode(path, old);
    }
    // Where everybody can put a log beside it.
    let old = mode(folder, 0o1777);
    refused("a sticky folder", "move the store out of");
    set_mode(folder, old);
    // Whose folder it is in may put another one there.
    chown(above, Some(65_534), None).unwrap();
    refused("the owner of a folder", "chown root");
    chown(above, Some(0), None).unwrap();
    place.is(After::Rotated, &place.rotate_to(&[]));
}
