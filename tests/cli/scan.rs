//! `scan` finds every password of ours in every form, and takes nothing else for one; it reads
//! what others control without harm; and closes what it finds. Long: fifty forms are written out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Permissions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use data_encoding::{BASE64, BASE64_MIME, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use serde_json::Value;
use smtpcred::error::Result as Checked;
use smtpcred::model::password::{Form, Password};

use crate::support::nobody::{as_nobody, program_in};
use crate::support::pty::Pty;
use crate::support::{Run, Sandbox, finished};

#[expect(
    clippy::unnecessary_wraps,
    reason = "it stands for a source that can fail"
)]
fn other_each_time(bytes: &mut [u8]) -> Checked<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes();
    blake3::Hasher::new()
        .update(&next)
        .finalize_xof()
        .fill(bytes);
    Ok(())
}

/// A password and its ID.
pub fn password() -> (String, String) {
    let password = Password::generate(Form::Full, other_each_time).unwrap();
    let id = password.password_id(other_each_time).unwrap();
    (password.expose().to_owned(), id.to_string())
}

fn utf16(text: &str, big_endian: bool) -> Vec<u8> {
    let units = text.encode_utf16().map(|unit| {
        if big_endian {
            unit.to_be_bytes()
        } else {
            unit.to_le_bytes()
        }
    });
    units.flatten().collect()
}

/// Fifty ways in which a password lies around.
fn form(number: usize, password: &str) -> Vec<u8> {
    let p = password;
    let rest = &p[6..];
    let auth = BASE64.encode(format!("\0shop@example.com\0{p}").as_bytes());
    let text = match number {
        0 => p.to_owned(),
        1 => format!("SMTP_PASSWORD={p}\n"),
        2 => format!("export SMTP_PASSWORD='{p}'"),
        3 => format!("{{\"user\":\"shop\",\"pass\":\"{p}\"}}"),
        4 => format!("password: {p}  # do not commit"),
        5 => format!("<password>{p}</password>"),
        6 => format!("define('SMTP_PASS', \"{p}\");"),
        7 => format!("smtp://shop%40example.com:{p}@smtp.example.com:587"),
        8 => format!("INSERT INTO options VALUES (7,'smtp_pass','{p}','yes');"),
        9 => format!("machine smtp login shop password {p}"),
        10 => format!("s:36:\\\"{p}\\\";"),
        11 => format!("x{p}"),
        12 => format!("{p}Zz9"),
        13 => format!("AUTH PLAIN {auth}"),
        14 => BASE64.encode(p.as_bytes()),
        15 => format!("Basic {}", BASE64.encode(format!("shop:{p}").as_bytes())),
        16 => format!("Basic {}", BASE64.encode(format!("a:{p}").as_bytes())),
        17 => BASE64URL_NOPAD.encode(format!("~~{p}??").as_bytes()),
        18 => BASE64_MIME.encode(format!("{}{p}", "y".repeat(40)).as_bytes()),
        19 => BASE64.encode(BASE64.encode(format!("shop:{p}").as_bytes()).as_bytes()),
        20 => BASE64.encode(format!("{{\"auth\":\"{auth}\"}}").as_bytes()),
        21 => BASE64.encode(format!("{{\"auth\": \"{auth}\"}}").as_bytes()),
        22 => BASE64.encode(&utf16(&format!("$p='{p}'"), false)),
        23 => BASE64.encode(&utf16(&format!("$pw='{p}'"), false)),
        24 => HEXLOWER.encode(p.as_bytes()),
        25 => HEXUPPER.encode(format!("{p}\n").as_bytes()),
        26 => format!("\\x{}", HEXLOWER.encode(p.as_bytes())),
        27 => format!("smtpc%5F{rest}&x=1"),
        28 => format!("smtpc%5f{rest}"),
        29 => format!("smtpc=5F{rest}"),
        30 => format!("smtpc&#95;{rest}"),
        31 => format!("smtpc\\_{rest}"),
        32 => format!("smtpc\\u005f{rest}"),
        33 => format!("{}=\r\n{}", &p[..17], &p[17..]),
        34 => format!("<a href='mailto:{p}'>"),
        35 => format!("`{p}`"),
        36 => format!("\u{1b}[1m{p}\u{1b}[0m"),
        37 => format!("«{p}»"),
        38 => format!("{p}\r\n"),
        39 => format!("|{p}|"),
        40 => format!("{p},{p}"),
        41 => format!("p=smtpc_smtpc_smtpc_{rest}"),
        42 => return [&[0xff, 0xfe], &*utf16(&format!("a\n{p}"), false)].concat(),
        43 => return [&[0xfe, 0xff], &*utf16(&format!("ä\n{p}"), true)].concat(),
        44 => return utf16(p, false),
        45 => return [b"\x00\x01\x02", p.as_bytes(), b"\xff\x00"].concat(),
        46 => return [b"\x7fELF\x00", p.as_bytes()].concat(),
        47 => return p.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect(),
        48 => return p.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect(),
        49 => return [b"\x0c\x24", p.as_bytes(), b"\x06active"].concat(),
        _ => unreachable!(),
    };
    text.into_bytes()
}

pub fn scan(sandbox: &Sandbox, args: &[&str]) -> Vec<Value> {
    let run = sandbox.run(&[&["scan", "--json"], args].concat());
    let list: Vec<Value> = serde_json::from_str(&run.stdout).expect("a list");
    assert_eq!(run.code, if list.is_empty() { 0 } else { 7 }, "{run:?}");
    list
}

pub fn ids(found: &[Value]) -> BTreeSet<String> {
    found
        .iter()
        .map(|it| it["password_id"].as_str().unwrap().to_owned())
        .collect()
}

pub fn folder(sandbox: &Sandbox, name: &str) -> String {
    let folder = sandbox.folder.path().join(name);
    fs::create_dir_all(&folder).unwrap();
    folder.to_str().unwrap().to_owned()
}

#[test]
fn ten_thousand_passwords_in_fifty_forms_are_found_and_nothing_else() {
    let sandbox = Sandbox::new();
    let own = sandbox.create("shop@example.com");
    let tree = folder(&sandbox, "tree");
    let mut planted = BTreeSet::new();
    for number in 0..50 {
        let mut bytes = Vec::new();
        for i in 0..200 {
            let (text, id) = password();
            planted.insert(id);
            bytes.extend(form(number, &text));
            bytes.extend([b'\n'; 4]);
            // One character is wrong, or missing, or the case is.
            let (text, _) = password();
            let wrong = match i % 4 {
                0 => format!(
                    "{}{}",
                    &text[..35],
                    if text.ends_with('x') { 'y' } else { 'x' }
                ),
                1 => text[..35].to_owned(),
                2 => text.to_uppercase(),
                _ => format!("{}\n{}", &text[..20], &text[20..]),
            };
            bytes.extend(wrong.as_bytes());
            bytes.extend([b'\n'; 4]);
        }
        fs::write(format!("{tree}/.form{number}"), bytes).unwrap();
    }
    fs::write(format!("{tree}/.gitignore"), "*\n").unwrap();
    fs::write(format!("{tree}/own"), &own).unwrap();
    let found = scan(&sandbox, &[&tree]);
    let (named, unknown): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|it| !it["username"].is_null());
    assert_eq!(planted.len(), 10_000);
    let found = ids(&unknown);
    let missed: Vec<_> = planted.difference(&found).take(5).collect();
    assert!(missed.is_empty(), "missed: {missed:?}");
    let wrong: Vec<_> = found.difference(&planted).take(5).collect();
    assert!(wrong.is_empty(), "no password: {wrong:?}");
    assert!(unknown.iter().all(|it| it["state"] == "unknown"));
    let [named] = &named[..] else {
        panic!("{named:?}");
    };
    assert_eq!(named["username"], "shop@example.com");
    assert_eq!(named["state"], "works");
    assert_eq!(named["file"], format!("{tree}/own"));
    assert_eq!(named["line"], 1);
}

#[test]
fn p1_no_part_of_a_password_is_printed() {
    let sandbox = Sandbox::new();
    let own = sandbox.create("shop@example.com");
    let tree = folder(&sandbox, "tree");
    fs::write(format!("{tree}/own"), &own).unwrap();
    for format in ["table", "json", "csv"] {
        let run = sandbox.run(&["scan", &tree, "--format", format]);
        assert_eq!(run.code, 7);
        let said = run.stdout + &run.stderr;
        for part in own.trim().as_bytes()[6..].windows(8) {
            let part = std::str::from_utf8(part).unwrap();
            assert!(!said.contains(part), "{format}");
        }
    }
}

#[test]
fn states_are_those_of_the_store() {
    let sandbox = Sandbox::new();
    let tree = folder(&sandbox, "tree");
    let plant = |name: &str, text: &str| fs::write(format!("{tree}/{name}"), text).unwrap();
    plant("works", &sandbox.create("works@example.com"));
    plant("overlap", &sandbox.create("overlap@example.com"));
    plant("stopped", &sandbox.create("stopped@example.com"));
    plant("suspended", &sandbox.create("suspended@example.com"));
    plant("deleted", &sandbox.create("deleted@example.com"));
    let forged = sandbox.create("forged@example.com");
    plant("forged", &forged);
    plant("unknown", &password().0);
    sandbox.noted(&["user", "reset", "overlap@example.com", "--overlap", "1d"]);
    sandbox.noted(&["user", "reset", "stopped@example.com"]);
    sandbox.noted(&["user", "suspend", "suspended@example.com"]);
    sandbox.noted(&["user", "delete", "deleted@example.com", "--yes"]);
    // The ID alone proves nothing.
    sandbox.sql(
        "UPDATE passwords SET hash = (SELECT hash FROM passwords WHERE username = 'works@example.com')
            WHERE username = 'forged@example.com';",
    );
    let found = scan(&sandbox, &[&tree]);
    let states: BTreeMap<_, _> = found
        .iter()
        .map(|it| {
            let file = it["file"].as_str().unwrap().rsplit('/').next().unwrap();
            (
                file,
                (it["state"].as_str().unwrap(), it["user_status"].as_str()),
            )
        })
        .collect();
    let expected = [
        ("deleted", ("unknown", None)),
        ("forged", ("unknown", None)),
        ("overlap", ("overlap", Some("overlap"))),
        ("stopped", ("stopped", Some("active"))),
        ("suspended", ("works", Some("suspended"))),
        ("unknown", ("unknown", None)),
        ("works", ("works", Some("active"))),
    ];
    assert_eq!(states, BTreeMap::from(expected));
    told_of_what_works(&sandbox);
}

/// One alert for each password that works, or will again.
fn told_of_what_works(sandbox: &Sandbox) {
    let mut told = sandbox.texts("SELECT username || ' ' || text FROM alerts");
    told.sort();
    let ends = [
        ("overlap@", "/overlap:1: it works until 20"),
        (
            "suspended@",
            "/suspended:1: it works again once the user is no longer suspended.",
        ),
        ("works@", "/works:1: it works."),
    ];
    assert_eq!(told.len(), ends.len(), "{told:?}");
    for (told, (begins, ends)) in told.iter().zip(ends) {
        assert!(told.starts_with(begins) && told.contains(ends), "{told}");
    }
}

pub fn sh(folder: &str, script: &str) -> Run {
    let mut command = Command::new("sh");
    command.args(["-ec", script]).current_dir(folder);
    // A machine without a name for commits.
    for (name, value) in [
        ("GIT_AUTHOR_NAME", "a"),
        ("GIT_AUTHOR_EMAIL", "a@example.com"),
        ("GIT_COMMITTER_NAME", "a"),
        ("GIT_COMMITTER_EMAIL", "a@example.com"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ] {
        command.env(name, value);
    }
    let run = finished(command.stdin(Stdio::null()).output().unwrap());
    assert_eq!(run.code, 0, "{script}: {}", run.stderr);
    run
}

#[test]
fn archives_are_opened_in_each_other() {
    let sandbox = Sandbox::new();
    let tree = folder(&sandbox, "tree");
    let (text, id) = password();
    let long = "long".repeat(60);
    fs::create_dir_all(format!("{tree}/in/etc/{long}")).unwrap();
    fs::write(
        format!("{tree}/in/etc/{long}/app.env"),
        format!("a\n{text}\n"),
    )
    .unwrap();
    fs::write(format!("{tree}/in/etc/big"), "x".repeat(700_000)).unwrap();
    let zip = "import sys, zipfile
out = zipfile.ZipFile(sys.stdout.buffer if sys.argv[1] == '-' else sys.argv[1], 'w', zipfile.ZIP_DEFLATED)
for name in sys.argv[2:]: out.write(name)
out.close()";
    fs::write(format!("{tree}/zip.py"), zip).unwrap();
    sh(
        &tree,
        "f=$(cd in && find etc -name app.env)
        tar -C in -cf gnu.tar --format gnu etc
        tar -C in -cf pax.tar --format pax etc
        gzip -k gnu.tar; gzip -c pax.tar | gzip > twice.gz
        cd in; python3 ../zip.py ../file.zip etc/big $f; python3 ../zip.py - etc/big $f | cat > ../streamed.zip; cd ..
        gzip -c file.zip > zip.gz; tar -cf all.tar file.zip zip.gz; gzip -c < in/$f > app.env.gz
        cat app.env.gz app.env.gz > two.gz; rm -r in zip.py",
    );
    let found = scan(&sandbox, &[&tree]);
    let places: Vec<(String, u64)> = found
        .iter()
        .map(|it| {
            assert_eq!(it["password_id"], *id);
            let file = it["file"].as_str().unwrap().replace(&long, "L");
            (
                file[tree.len() + 1..].to_owned(),
                it["line"].as_u64().unwrap(),
            )
        })
        .collect();
    let expected = [
        "all.tar!file.zip!etc/L/app.env",
        "all.tar!zip.gz!etc/L/app.env",
        "app.env.gz",
        "file.zip!etc/L/app.env",
        "gnu.tar!etc/L/app.env",
        "gnu.tar.gz!etc/L/app.env",
        "pax.tar!etc/L/app.env",
        "streamed.zip!etc/L/app.env",
        "twice.gz!etc/L/app.env",
        "two.gz",
        "zip.gz!etc/L/app.env",
    ];
    let mut expected: Vec<_> = expected.map(|file| (file.to_owned(), 2)).into();
    // Two files, one behind the other.
    expected.insert(10, ("two.gz".to_owned(), 4));
    assert_eq!(places, expected);
}

#[test]
fn bombs_and_damage_end_soon_and_are_named() {
    let sandbox = Sandbox::new();
    let tree = folder(&sandbox, "tree");
    let (text, id) = password();
    sh(
        &tree,
        "head -c 400000000 /dev/zero | gzip -1 | gzip > bomb.gz
        head -c 30000 /dev/urandom > r; gzip -c r | head -c 20000 > cut.gz; rm r
        printf 'PK\\003\\004garbage' > bad.zip",
    );
    let mut stored = b"\x1f\x8b\x08nothing".to_vec();
    stored.extend(text.as_bytes());
    fs::write(format!("{tree}/no.gz"), stored).unwrap();
    let run = sandbox.run(&["scan", "--json", &tree]);
    let found: Vec<Value> = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(ids(&found), BTreeSet::from([id]), "{run:?}");
    for name in ["bomb.gz", "cut.gz", "bad.zip", "no.gz"] {
        assert!(
            run.stderr
                .contains(&format!("{tree}/{name} was not searched")),
            "{run:?}"
        );
    }
    assert_eq!(run.code, 7);
    fs::remove_file(format!("{tree}/no.gz")).unwrap();
    assert_eq!(sandbox.run(&["scan", &tree]).code, 1);
}

#[test]
fn p14_special_files_links_and_holes_do_no_harm() {
    let sandbox = Sandbox::new();
    let tree = folder(&sandbox, "tree");
    let elsewhere = folder(&sandbox, "elsewhere");
    let (text, id) = password();
    fs::write(format!("{elsewhere}/outside"), password().0).unwrap();
    sh(
        &tree,
        "mkfifo pipe; mkdir a; ln -s .. a/up; ln -s around around",
    );
    symlink(&elsewhere, format!("{tree}/link")).unwrap();
    symlink(format!("{elsewhere}/outside"), format!("{tree}/file")).unwrap();
    let _socket = UnixListener::bind(format!("{tree}/socket")).unwrap();
    let mut sparse = File::create(format!("{tree}/sparse")).unwrap();
    sparse.set_len(50 << 30).unwrap();
    sparse.seek(SeekFrom::Start(40 << 30)).unwrap();
    sparse.write_all(text.as_bytes()).unwrap();
    // Longer than a path may be.
    sh(
        &tree,
        "i=0; while [ $i -lt 1500 ]; do mkdir d; cd -P d; i=$((i+1)); done; echo x > end",
    );
    let found = scan(&sandbox, &[&tree]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(ids(&found), BTreeSet::from([id]));
    let run = sandbox.run(&["scan", &format!("{tree}/pipe")]);
    assert_eq!(run.code, 1, "{run:?}");
}

#[test]
fn what_may_not_be_read_is_named_and_the_rest_goes_on() {
    let sandbox = Sandbox::new();
    let tree = folder(&sandbox, "tree");
    let (text, id) = password();
    for name in ["closed", "open"] {
        fs::create_dir(format!("{tree}/{name}")).unwrap();
        fs::write(format!("{tree}/{name}/file"), &text).unwrap();
    }
    fs::write(format!("{tree}/secret"), &text).unwrap();
    for (name, mode) in [("closed", 0o700), ("secret", 0o600)] {
        fs::set_permissions(format!("{tree}/{name}"), Permissions::from_mode(mode)).unwrap();
    }
    let top = sandbox.folder.path();
    fs::set_permissions(top, Permissions::from_mode(0o755)).unwrap();
    let run = |paths: &[&str]| {
        // No store, as on another machine.
        let mut command = as_nobody(program_in(top).to_str().unwrap());
        command
            .env("HOME", top)
            .arg("scan")
            .args(paths)
            .arg("--json");
        finished(command.stdin(Stdio::null()).output().unwrap())
    };
    let found = run(&[&tree, "/none"]);
    let list: Vec<Value> = serde_json::from_str(&found.stdout).unwrap();
    assert_eq!(found.code, 7, "{found:?}");
    assert_eq!(
        (list.len(), ids(&list)),
        (1, BTreeSet::from([id])),
        "{found:?}"
    );
    assert_eq!(list[0]["state"], "unknown");
    for name in [
        &*format!("{tree}/closed"),
        &format!("{tree}/secret"),
        "/none",
    ] {
        assert!(
            found.stderr.contains(&format!("{name} was not searched")),
            "{found:?}"
        );
    }
    let nothing = run(&[&format!("{tree}/closed")]);
    assert_eq!((nothing.code, &*nothing.stdout), (1, "[]\n"), "{nothing:?}");
}

#[test]
fn standard_input_may_be_endless_until_it_ends() {
    let sandbox = Sandbox::new();
    let (text, id) = password();
    let mut input = vec![b'\n'; 3_000_000];
    input.extend(text.as_bytes());
    let run = sandbox.run_with_stdin(&["scan", "-", "--json"], &input);
    let found: Vec<Value> = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, ids(&found)), (7, BTreeSet::from([id])));
    assert_eq!(
        (&found[0]["file"], &found[0]["line"]),
        (&"-".into(), &3_000_001.into())
    );
    assert_eq!(sandbox.run_with_stdin(&["scan", "-"], b"").code, 0);
}

#[test]
fn suspending_asks_for_the_number_and_writes_one_event_each() {
    let sandbox = Sandbox::new();
    let tree = folder(&sandbox, "tree");
    for name in ["a", "b"] {
        let own = sandbox.create(&format!("{name}@example.com"));
        fs::write(format!("{tree}/{name}1"), &own).unwrap();
        fs::write(format!("{tree}/{name}2"), &own).unwrap();
    }
    let unasked = sandbox.run(&["scan", &tree, "--suspend"]);
    assert_eq!((unasked.code, &*unasked.stdout), (5, ""), "{unasked:?}");
    let mut pty = Pty::run(&sandbox.command(&["scan", &tree, "--suspend"]));
    pty.see("Type 2 to continue");
    pty.press("2\r");
    assert_eq!(pty.end().code, 7);
    let events = "SELECT username FROM events WHERE action = 'user.suspend' ORDER BY username";
    assert_eq!(sandbox.texts(events), ["a@example.com", "b@example.com"]);
    let again = sandbox.run(&["scan", &tree, "--suspend", "--yes"]);
    assert_eq!(again.code, 7, "{again:?}");
    assert!(again.stderr.contains("already suspended"), "{again:?}");
}

#[test]
fn rotating_delivers_and_stops_the_leaked_password() {
    let sandbox = Sandbox::new();
    let tree = folder(&sandbox, "tree");
    let new = format!("{tree}/../new");
    let with_rule = sandbox.create("a@example.com");
    sandbox.noted(&["user", "set", "a@example.com", "--write-file", &new]);
    let without = sandbox.create("b@example.com");
    let old = sandbox.create("c@example.com");
    sandbox.noted(&["user", "reset", "c@example.com", "--overlap", "1d"]);
    for (name, text) in [("a", &with_rule), ("b", &without), ("c", &old)] {
        fs::write(format!("{tree}/{name}"), text).unwrap();
    }
    let run = sandbox.run(&["scan", &tree, "--rotate", "--yes"]);
    assert_eq!(run.code, 1, "one has no delivery: {run:?}");
    assert_eq!(sandbox.verify("a@example.com", with_rule.trim()), 6);
    let delivered = fs::read_to_string(&new).unwrap();
    assert_eq!(sandbox.verify("a@example.com", delivered.trim()), 0);
    assert_eq!(sandbox.verify("b@example.com", without.trim()), 0);
    assert_eq!(sandbox.verify("c@example.com", old.trim()), 6);
    fs::remove_file(format!("{tree}/b")).unwrap();
    let run = sandbox.run(&["scan", &tree, "--rotate", "--yes"]);
    assert_eq!(run.code, 7, "nothing is left to do: {run:?}");
}
