//! Deliveries into files: replaced in one piece or not at all, and never with a
//! password in them that does not work (promise 6).
//! Long, because each kind of file is one test.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use nix::unistd::geteuid;
use rusqlite::Connection;

use crate::support::nobody::{as_nobody, give_to_nobody, program_in};
use crate::support::rotation::{After, Place, USER, spawned};
use crate::support::{Run, Sandbox, ended};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn line(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.strip_suffix('\n').expect("a newline").to_owned()
}

#[test]
fn p1_a_new_file_is_for_its_owner_alone() {
    let place = Place::new();
    let run = place.rotate_to(&["--write-file", "pw", "--write-env", "env"]);
    place.is(After::Rotated, &run);
    let password = line(&place.path("pw"));
    assert!(place.works(&password));
    assert_eq!(
        line(&place.path("env")),
        format!("SMTP_PASSWORD={password}")
    );
    for name in ["pw", "env"] {
        assert_eq!(mode(&place.path(name)), 0o600, "{name}");
    }
    assert!(!run.stdout.contains(&password) && !run.stderr.contains(&password));
}

#[test]
fn what_else_a_file_has_and_whose_it_is_stays() {
    let place = Place::new();
    let (file, env) = (place.path("pw"), place.path("env"));
    fs::write(&file, "old\n").unwrap();
    fs::write(&env, "# PW=x\nA=1\n  export PW='old one'\n\nPWD=2\nlast").unwrap();
    for path in [&file, &env] {
        give_to_nobody(path);
    }
    set_mode(&file, 0o640);
    set_mode(&env, 0o664);
    let owner = |path: &Path| {
        let found = fs::metadata(path).unwrap();
        (found.uid(), found.gid())
    };
    let before = [&file, &env].map(|path| owner(path));
    let args = [
        "--write-file",
        "pw",
        "--write-env",
        "env",
        "--env-name",
        "PW",
    ];
    let run = place.rotate_to(&args);
    place.is(After::Rotated, &run);
    // Said, where everyone can read it.
    let env_said = format!("can read {} (mode 0664): chmod o-rwx", env.display());
    assert!(run.stderr.contains(&env_said), "{run:?}");
    assert_eq!(run.stderr.matches("can read").count(), 1, "{run:?}");
    let password = line(&file);
    assert!(place.works(&password));
    let text = fs::read_to_string(&env).unwrap();
    assert_eq!(
        text,
        format!("# PW=x\nA=1\n  export PW={password}\n\nPWD=2\nlast")
    );
    assert_eq!([&file, &env].map(|path| owner(path)), before);
    assert_eq!((mode(&file), mode(&env)), (0o640, 0o664));
}

#[test]
fn links_stay_and_what_they_lead_to_is_replaced() {
    let place = Place::new();
    fs::create_dir(place.path("real")).unwrap();
    fs::write(place.path("real/pw"), "old\n").unwrap();
    symlink("real/pw", place.path("pw")).unwrap();
    place.is(After::Rotated, &place.rotate_to(&["--write-file", "pw"]));
    assert_eq!(
        fs::read_link(place.path("pw")).unwrap(),
        Path::new("real/pw")
    );
    assert!(place.works(&line(&place.path("real/pw"))));
    assert_eq!(fs::read_dir(place.path("real")).unwrap().count(), 1);
}

#[test]
fn p6_what_cannot_be_written_changes_nothing() {
    let place = Place::new();
    fs::create_dir(place.path("folder")).unwrap();
    symlink("nowhere", place.path("dangling")).unwrap();
    fs::write(place.path("large"), vec![b'#'; 1024 * 1024 + 1]).unwrap();
    fs::write(place.path("plain"), "plain").unwrap();
    let made = Command::new("mkfifo").arg(place.path("fifo")).status();
    assert!(made.unwrap().success());
    for path in [
        "folder",
        "fifo",
        "dangling",
        "missing/pw",
        "plain/pw",
        "/dev/full",
    ] {
        for flag in ["--write-file", "--write-env"] {
            let run = place.rotate_to(&[flag, path]);
            place.is(After::Refused, &run);
            assert!(run.stderr.contains(path), "{run:?}");
        }
    }
    place.is(After::Refused, &place.rotate_to(&["--write-env", "large"]));
    // The first could be written and the second not: neither is.
    let run = place.rotate_to(&["--write-file", "pw", "--write-env", "large"]);
    place.is(After::Refused, &run);
    assert!(!place.path("pw").exists());
}

/// `smtpcred` as nobody, in a folder of nobody's.
fn of_nobody() -> (Sandbox, impl Fn(&[&str]) -> Run) {
    let sandbox = Sandbox::empty();
    let folder = sandbox.folder.path().to_owned();
    give_to_nobody(&folder);
    let program = program_in(&folder);
    let store = sandbox.store();
    let run = move |args: &[&str]| {
        let mut command = as_nobody(program.to_str().unwrap());
        command
            .args(args)
            .env("HOME", &folder)
            .env("SMTPCRED_STORE", &store);
        ended(spawned(command.current_dir(&folder)))
    };
    assert_eq!(run(&["domain", "add", "example.com"]).code, 0);
    (sandbox, run)
}

#[test]
fn p6_where_we_have_no_rights_nothing_changes() {
    let (sandbox, run) = of_nobody();
    let old = run(&["user", "create", USER, "-q"]).stdout;
    let folder = sandbox.folder.path().join("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("pw"), "old\n").unwrap();
    give_to_nobody(&folder);
    give_to_nobody(&folder.join("pw"));
    // Where nothing can be made; and where something can, and nothing be read.
    for (rights, reason) in [(0o500, "denied"), (0o300, "denied"), (0o000, "denied")] {
        set_mode(&folder, rights);
        let end = run(&["user", "rotate", USER, "--write-file", "folder/pw"]);
        assert_eq!(end.code, 1, "{rights:o}: {end:?}");
        assert!(end.stderr.contains(reason), "{end:?}");
        set_mode(&folder, 0o700);
        assert_eq!(line(&folder.join("pw")), "old", "{rights:o}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "{rights:o}");
        assert_eq!(run(&["user", "show", USER, "--json"]).code, 0);
        let store = Connection::open(sandbox.store()).unwrap();
        let sql = "SELECT count(*) FROM passwords WHERE hash IS NOT NULL";
        let live: i64 = store.query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(live, 1, "{rights:o}");
    }
    assert_eq!(sandbox.verify(USER, old.trim_end()), 0);
    // A file of somebody else's keeps its owner or stays as it is.
    if geteuid().is_root() {
        fs::remove_file(folder.join("pw")).unwrap();
        fs::write(folder.join("pw"), "old\n").unwrap();
        assert_eq!(
            run(&["user", "rotate", USER, "--write-file", "folder/pw"]).code,
            1
        );
        assert_eq!(line(&folder.join("pw")), "old");
        assert_eq!(sandbox.verify(USER, old.trim_end()), 0);
    }
}

#[test]
fn each_user_has_a_file_of_its_own() {
    let place = Place::new();
    place.sandbox.create("crm@example.com");
    let both = ["user", "rotate", USER, "crm@example.com", "--write-file"];
    let run = place.sandbox.run(&[&both[..], &["pw"]].concat());
    assert_eq!(run.code, 2, "{run:?}");
    assert_eq!(place.count("rotations"), 0);
    let run = place.sandbox.run(&["set-settings", "--write-file", "pw"]);
    assert_eq!(run.code, 2, "{run:?}");
    for bad in ["{user}", "{", ""] {
        assert_eq!(place.rotate_to(&["--write-file", bad]).code, 2, "{bad}");
    }
    place
        .sandbox
        .noted(&[&both[..], &["{domain}-{username}"]].concat());
    for user in [USER, "crm@example.com"] {
        let password = line(&place.path(&format!("example.com-{user}")));
        assert_eq!(place.sandbox.verify(user, &password), 0, "{user}");
    }
}

#[test]
fn paths_are_kept_as_they_were_meant() {
    let place = Place::new();
    let args = ["--write-file", "a/../pw", "--write-env", "./env"];
    place
        .sandbox
        .ok(&[&["user", "set", USER, "-q"], &args[..]].concat());
    let folder = place.sandbox.folder.path().to_str().unwrap();
    let show = place.sandbox.json(&["user", "show", USER]);
    let delivery = &show["delivery"];
    assert_eq!(delivery["write_env"], format!("{folder}/env"));
    assert!(delivery["write_file"].as_str().unwrap().starts_with(folder));
}

#[test]
fn what_a_killed_run_left_beside_it_is_replaced() {
    let place = Place::new();
    let hash = blake3::hash(b"pw").to_hex();
    let beside = place.path(&format!(".smtpcred-new-{}", &hash[..16]));
    fs::write(place.path("precious"), "precious").unwrap();
    fs::write(&beside, "half a pass").unwrap();
    set_mode(&beside, 0o666);
    place.is(After::Rotated, &place.rotate_to(&["--write-file", "pw"]));
    assert!(place.works(&line(&place.path("pw"))));
    assert_eq!(mode(&place.path("pw")), 0o600);
    // Not followed, if it is a link.
    symlink("precious", &beside).unwrap();
    assert_eq!(place.rotate_to(&["--write-file", "pw", "--force"]).code, 0);
    assert!(place.works(&line(&place.path("pw"))));
    assert!(fs::symlink_metadata(&beside).is_err());
    assert_eq!(
        fs::read_to_string(place.path("precious")).unwrap(),
        "precious"
    );
}

#[test]
fn p6_a_file_and_a_command_arrive_together_or_it_is_not_known() {
    let place = Place::new();
    let run = place.rotate("cat > got", &["--write-file", "pw"]);
    place.is(After::Rotated, &run);
    assert_eq!(line(&place.path("pw")), place.got());
    // The file has it already, whatever the command says.
    for script in ["exit 0", "exit 75", "cat > got; exit 1"] {
        let place = Place::new();
        let run = place.rotate(script, &["--write-file", "pw"]);
        place.is(After::Unfinished, &run);
        assert!(place.works(&line(&place.path("pw"))), "{script}");
    }
    let place = Place::new();
    // A command that cannot be started is found out before.
    let run = place.rotate_to(&["--deliver", "no-such-program", "--write-file", "pw"]);
    place.is(After::Refused, &run);
    assert!(!place.path("pw").exists());
    // The other way around nobody has it.
    let place = Place::new();
    let run = place.rotate("cat > got", &["--write-file", "missing/pw"]);
    place.is(After::Refused, &run);
    assert!(!place.path("got").exists());
}

/// A rotation as it was before it was finished.
fn left_live(place: &Place, file: Option<&str>, env: Option<&str>) {
    let path = |name: Option<&str>| name.map(|name| place.path(name).display().to_string());
    let store = place.sql();
    let left = "INSERT INTO rotations
            (username, password_id, state, began_at, with_command, write_file, write_env)
        SELECT username, password_id, 'live', created_at, 0, ?1, ?2 FROM passwords
        WHERE hash IS NOT NULL AND retires_at IS NULL";
    store.execute(left, (path(file), path(env))).unwrap();
    let both = "UPDATE passwords SET retires_at = NULL, retiring_since = NULL
        WHERE hash IS NOT NULL";
    store.execute(both, ()).unwrap();
}

#[test]
fn p6_killed_after_the_file_was_written_the_next_run_sees_it() {
    let place = Place::new();
    let args = ["--write-file", "pw", "--write-env", "env"];
    assert_eq!(place.rotate_to(&args).code, 0);
    let password = line(&place.path("pw"));
    left_live(&place, Some("pw"), Some("env"));
    let run = place.rotate_to(&args);
    place.is(After::Rotated, &run);
    assert_eq!(line(&place.path("pw")), password, "it was there already");
    assert!(place.works(&password));

    // Only one of two has it: who signs in with the old one decides.
    left_live(&place, Some("pw"), Some("env"));
    fs::write(place.path("env"), "SMTP_PASSWORD=another\n").unwrap();
    let run = place.rotate_to(&args);
    place.is(After::Unfinished, &run);
    place.signed_in(&place.keys()[0], 2);
    let run = place.rotate_to(&args);
    place.is(After::Rotated, &run);
    assert_ne!(line(&place.path("pw")), password);
    assert!(place.works(&line(&place.path("pw"))) && !place.works(&password));
}

#[test]
fn p8_a_pipe_where_the_file_was_holds_nobody_up() {
    let place = Place::new();
    assert_eq!(place.rotate_to(&["--write-file", "pw"]).code, 0);
    left_live(&place, Some("pw"), None);
    fs::remove_file(place.path("pw")).unwrap();
    let made = Command::new("mkfifo").arg(place.path("pw")).status();
    assert!(made.unwrap().success());
    let args = ["user", "rotate", USER, "--write-file", "pw"];
    let run = ended(spawned(&mut place.sandbox.command(&args)));
    place.is(After::Unfinished, &run);
}

/// The next run delivers elsewhere, by a command that fails.
#[test]
fn p6_killed_after_the_file_was_written_another_delivery_takes_nothing_away() {
    let place = Place::new();
    assert_eq!(place.rotate_to(&["--write-file", "pw"]).code, 0);
    left_live(&place, Some("pw"), None);
    let run = place.rotate("exit 1", &[]);
    place.is(After::Rotated, &run);
    assert!(place.works(&line(&place.path("pw"))));
    // A folder that is not there now may be back tomorrow.
    left_live(&place, Some("away/pw"), None);
    let run = place.rotate("exit 1", &[]);
    place.is(After::Unfinished, &run);
    assert!(place.works(&line(&place.path("pw"))));
    // The old one in it says that the new one is not.
    fs::write(place.path("old"), format!("{}\n", place.old)).unwrap();
    place
        .sql()
        .execute(
            "UPDATE rotations SET write_file = ?1",
            [place.path("old").display().to_string()],
        )
        .unwrap();
    let run = place.rotate("exit 1", &[]);
    place.is(After::Withdrawn, &run);
}

#[test]
fn p6_users_that_share_a_file_of_variables_keep_their_lines() {
    const USERS: usize = 8;
    let sandbox = Sandbox::new();
    let names: Vec<_> = (0..USERS).map(|i| format!("app{i}@example.com")).collect();
    for (i, name) in names.iter().enumerate() {
        sandbox.create(name);
        let variable = format!("APP{i}");
        sandbox.ok(&[
            "user",
            "set",
            name,
            "--write-env",
            "env",
            "--env-name",
            &variable,
            "-q",
        ]);
    }
    let path = sandbox.folder.path().join("env");
    // Large: the more time for the others.
    let mut file = File::create(&path).unwrap();
    file.write_all(&vec![b'#'; 1024 * 1000]).unwrap();
    file.write_all(b"\nOTHER=1\n").unwrap();
    let args = ["user", "rotate", "--jobs", "8", "--trust-store"];
    let args: Vec<_> = args
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect();
    assert_eq!(sandbox.noted(&args), format!("rotated {USERS}, failed 0\n"));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("\nOTHER=1\n"));
    for (i, name) in names.iter().enumerate() {
        let start = format!("APP{i}=");
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(&start));
        let password = lines
            .next()
            .unwrap_or_else(|| panic!("the line of {name} is lost"));
        assert_eq!(sandbox.verify(name, password), 0, "{name}");
    }
}

/// An attribute of a file.
fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 4096];
    let length = rustix::fs::getxattr(path, name, &mut value).ok()?;
    value.truncate(length);
    Some(value)
}

fn set_attribute(path: &Path, name: &str, value: &[u8]) {
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(path, name, value, flags).unwrap();
}

/// As `setfacl` stores it (`acl(5)`): the owner rw, one user of this number r, the
/// owning group nothing, others nothing.
fn acl(user: u32) -> Vec<u8> {
    let mut value = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in [
        (0x01_u16, 6_u16, u32::MAX),
        (0x02, 4, user),
        (0x04, 0, u32::MAX),
        (0x10, 4, u32::MAX),
        (0x20, 0, u32::MAX),
    ] {
        value.extend(tag.to_le_bytes());
        value.extend(rights.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    value
}

const ACL: &str = "system.posix_acl_access";

#[test]
fn acls_and_attributes_of_a_replaced_file_stay() {
    for flag in ["--write-file", "--write-env"] {
        let place = Place::new();
        let path = place.path("pw");
        fs::write(&path, "SMTP_PASSWORD=old\n").unwrap();
        set_mode(&path, 0o640);
        set_attribute(&path, ACL, &acl(12_345));
        set_attribute(&path, "user.note", b"the shop's");
        let before = (mode(&path), attribute(&path, ACL));
        place.is(After::Rotated, &place.rotate_to(&[flag, "pw"]));
        assert_eq!((mode(&path), attribute(&path, ACL)), before, "{flag}");
        assert_eq!(attribute(&path, "user.note").unwrap(), b"the shop's");
    }
    // The default ACL of the folder gives a file no rights that it did not have.
    let place = Place::new();
    fs::create_dir(place.path("folder")).unwrap();
    let path = place.path("folder/pw");
    fs::write(&path, "old\n").unwrap();
    set_mode(&path, 0o640);
    set_attribute(
        &place.path("folder"),
        "system.posix_acl_default",
        &acl(12_345),
    );
    place.is(
        After::Rotated,
        &place.rotate_to(&["--write-file", "folder/pw"]),
    );
    assert_eq!((mode(&path), attribute(&path, ACL)), (0o640, None));
}

#[test]
fn p6_a_file_with_two_names_is_refused() {
    let place = Place::new();
    let (one, two) = (place.path("pw"), place.path("other"));
    fs::write(&one, format!("{}\n", place.old)).unwrap();
    fs::hard_link(&one, &two).unwrap();
    for flag in ["--write-file", "--write-env"] {
        let run = place.rotate_to(&[flag, "pw"]);
        place.is(After::Refused, &run);
        assert!(run.stderr.contains("has 2 names (hard links)"), "{run:?}");
    }
    assert_eq!(line(&one), place.old);
    fs::remove_file(&two).unwrap();
    place.is(After::Rotated, &place.rotate_to(&["--write-file", "pw"]));
}

#[test]
fn names_may_be_as_long_as_the_file_system_takes_them() {
    let place = Place::new();
    for (flag, length) in [
        ("--write-file", 255),
        ("--write-env", 254),
        ("--write-file", 242),
    ] {
        let name = "n".repeat(length);
        let run = place.rotate_to(&[flag, &name, "--force"]);
        assert_eq!(run.code, 0, "{run:?}");
        assert!(place.path(&name).exists());
    }
    let run = place.rotate_to(&["--write-file", &"n".repeat(256), "--force"]);
    assert_eq!(run.code, 1, "{run:?}");
}

#[test]
fn values_of_many_lines_and_comments_are_replaced_as_a_shell_reads_them() {
    for (before, spaced) in [
        ("A='1'\nSMTP_PASSWORD=\"one\ntwo\"\nB=2\n", false),
        (
            "A='1'\nexport SMTP_PASSWORD='one\ntwo' # of the shop\nB=2\n",
            false,
        ),
        ("A='1'\nSMTP_PASSWORD=old # of the shop\nB=2\n", false),
        ("A='1'\nSMTP_PASSWORD=one\\\ntwo\nB=2\n", false),
        ("A='1'\nSMTP_PASSWORD = old\nB=2\n", true),
    ] {
        let place = Place::new();
        let env = place.path("env");
        fs::write(&env, before).unwrap();
        place.is(After::Rotated, &place.rotate_to(&["--write-env", "env"]));
        let text = fs::read_to_string(&env).unwrap();
        assert_eq!(text.matches("SMTP_PASSWORD").count(), 1, "{text}");
        assert_eq!(
            text.contains("# of the shop"),
            before.contains('#'),
            "{text}"
        );
        let password = if spaced {
            let value = text
                .lines()
                .find_map(|line| line.strip_prefix("SMTP_PASSWORD = "));
            value.unwrap().to_owned()
        } else {
            let read = ". ./env; printf %s \"$SMTP_PASSWORD\"; test \"$A$B\" = 12";
            let mut shell = Command::new("sh");
            shell
                .args(["-euc", read])
                .current_dir(place.sandbox.folder.path());
            let read = shell.output().unwrap();
            assert!(read.status.success() && read.stderr.is_empty(), "{read:?}");
            String::from_utf8(read.stdout).unwrap()
        };
        assert!(place.works(&password), "{text}");
    }
    // What readers would not agree on stays as it is.
    let place = Place::new();
    let before = "SMTP_PASSWORD=old; export SMTP_PASSWORD\n";
    fs::write(place.path("env"), before).unwrap();
    let run = place.rotate_to(&["--write-env", "env"]);
    place.is(After::Refused, &run);
    assert!(run.stderr.contains("line 1 does not set"), "{run:?}");
    assert_eq!(fs::read_to_string(place.path("env")).unwrap(), before);
}
