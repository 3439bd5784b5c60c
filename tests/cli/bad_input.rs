//! Whatever is typed or piped in: an error that says what is wrong, the right
//! exit code, no change, and nothing in it that a terminal would obey.
//! This file is long on purpose: it tests everything that is refused.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{PROGRAM, Run, Sandbox, Server, ended, finished};

/// An escape sequence that sets a title, one in its 8-bit form, a direction
/// override, a carriage return, a line feed and a DEL.
const EVIL: &str = "x\x1b]0;y\x07\u{9b}31m\u{202e}z\r\n\x7f";
/// Not a word of it is one that is tried first.
const GOOD: &str = "vague-Otter-61-harbour";

/// No text.
const NOISE: &[u8] = b"\xff\xfe";

const INVALID: (&str, i32) = ("invalid_value", 2);

/// A terminal obeys none of it, but ends of lines.
fn harmless(text: &str) {
    let obeyed = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!text.contains(obeyed), "{text:?}");
    assert!(!text.contains("panicked"), "{text}");
}

/// The code of the one error on stderr, and the exit code.
fn failure(run: &Run) -> (String, i32) {
    harmless(&run.stderr);
    assert_eq!(run.stdout, "", "{}", run.stderr);
    let error: serde_json::Value =
        serde_json::from_str(&run.stderr).unwrap_or_else(|e| panic!("{e}: {run:?}"));
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    let code = error["error"]["code"].as_str().unwrap();
    (code.to_owned(), run.code)
}

/// The command's words, with the value where one has `{}`.
fn words(command: &str, value: impl AsRef<[u8]>) -> Vec<OsString> {
    let filled = |word: &str| match word.split_once("{}") {
        None => word.into(),
        Some((a, b)) => [a.as_bytes(), value.as_ref(), b.as_bytes()].concat(),
    };
    let words = command.split_whitespace().map(filled);
    words.map(OsString::from_vec).collect()
}

/// The same with and without JSON. Returns the JSON.
fn refused(sandbox: &Sandbox, command: &str, value: &str, expected: (&str, i32)) -> String {
    let mut args = words(command, value);
    let plain = sandbox.run(&args);
    harmless(&plain.stderr);
    assert_eq!((plain.code, &*plain.stdout), (expected.1, ""), "{args:?}");
    assert!(plain.stderr.starts_with("error: "), "{}", plain.stderr);
    args.insert(0, "--json".into());
    let run = sandbox.run(&args);
    let found = failure(&run);
    assert_eq!(found, (expected.0.into(), expected.1), "{args:?}: {run:?}");
    run.stderr
}

/// What the audit trail says: a change would show in it.
fn events(sandbox: &Sandbox) -> serde_json::Value {
    sandbox.json(&["audit", "list"])
}

#[test]
fn malformed_names_are_refused_with_the_rule() {
    let sandbox = Sandbox::new();
    let before = events(&sandbox);
    let long = format!("{}.com", "a".repeat(300));
    let label = format!("{}.com", "a".repeat(64));
    let bad = "com a..com .a.com a.com. a_b.com a@b.com a'b.com a\"b.com a/b.com 192.0.2.1 \
        2001:db8::1 [192.0.2.1] xn--a.com";
    let others = ["", " ", "a b.com", "ex\u{202e}a.com", EVIL, &long, &label];
    for bad in bad.split(' ').chain(others) {
        let said = refused(&sandbox, "domain add {}", bad, INVALID);
        assert!(said.contains("joined by dots"), "{said}");
        refused(&sandbox, "user create shop@{}", bad, INVALID);
        refused(&sandbox, "user list --domain {}", bad, INVALID);
    }
    let long = "a".repeat(65);
    let bad = "@ a@ \"a\" a/b a\\b a`b a$b a|b a*b a?b {a} .a . é a\u{202e}b";
    for bad in bad.split(' ').chain(["", " ", "a b", " a", EVIL, &long]) {
        let said = refused(&sandbox, "user create {}@example.com", bad, INVALID);
        assert!(
            said.contains("up to 64 of a-z") || bad.contains('@'),
            "{said}"
        );
        assert!(said.contains("unsafe in paths and shells") || bad.contains('@'));
        refused(&sandbox, "user reset {}@example.com", bad, INVALID);
        refused(&sandbox, "verify {}@example.com", bad, INVALID);
    }
    for bad in ["a.", "a..b"] {
        refused(&sandbox, "user create {}@example.com", bad, INVALID);
        refused(&sandbox, "user reset {}@example.com", bad, INVALID);
    }
    refused(&sandbox, "user create {}", "shop", INVALID);
    assert_eq!(events(&sandbox), before);
}

/// All that RFC 5321 has in an atom, but for what paths and shells take for more.
#[test]
fn odd_names_are_names() {
    let sandbox = Sandbox::new();
    for name in [
        "o'brien",
        "_svc",
        "-x",
        "=1+1",
        "a!#%&'+-=^_~z",
        "#",
        "&",
        "~",
    ] {
        let name = format!("{name}@example.com");
        // After --, for one begins with a hyphen.
        let run = |args: &[&str]| sandbox.run(&[args, &["--", &name]].concat());
        let created = run(&["user", "create"]);
        assert_eq!(created.code, 0, "{created:?}");
        let password = created.stdout.trim_end();
        let verify = ["verify", "--", &name];
        assert_eq!(sandbox.run_with_stdin(&verify, password.as_bytes()).code, 0);
        let why = run(&["why"]);
        assert!(why.stdout.contains(&name), "{why:?}");
        // What is printed as a command is one: a shell makes the name of it.
        assert_eq!(run(&["user", "suspend"]).code, 0);
        let next = run(&["why", "--json"]);
        let next: serde_json::Value = serde_json::from_str(&next.stdout).unwrap();
        let next = next["next"][0].as_str().unwrap();
        let words = next.strip_prefix("smtpcred ").unwrap();
        let shell = ["-c", &format!("printf '%s\\n' {words}")];
        let echoed = finished(sandbox.other_command("sh", &shell).output().unwrap());
        assert_eq!(echoed.stdout, format!("user\nresume\n{name}\n"));
        assert_eq!(run(&["user", "delete", "--yes"]).code, 0);
    }
}

/// Stores of 0.1.0 took dots anywhere but at the beginning.
#[test]
fn names_of_old_stores_can_be_used_and_deleted() {
    let sandbox = Sandbox::new();
    let password = sandbox.create("old@example.com");
    let store = rusqlite::Connection::open(sandbox.store()).unwrap();
    let rename = "PRAGMA foreign_keys = OFF; UPDATE users SET username = 'o..l.@example.com'; \
                  UPDATE passwords SET username = 'o..l.@example.com'";
    store.execute_batch(rename).unwrap();
    drop(store);
    let old = "o..l.@example.com";
    assert_eq!(sandbox.json(&["user", "list"])[0]["username"], old);
    assert_eq!(sandbox.verify(old, &password), 0);
    refused(&sandbox, "user create {}", old, INVALID);
    sandbox.noted(&["user", "delete", old, "--yes"]);
    assert_eq!(sandbox.json(&["user", "list"]), serde_json::json!([]));
}

#[test]
fn names_have_one_form() {
    let sandbox = Sandbox::new();
    sandbox.noted(&["domain", "add", "Bücher.Example"]);
    sandbox.ok(&["domain", "show", "XN--BCHER-KVA.example"]);
    let exists = ("domain_exists", 4);
    refused(&sandbox, "domain add {}", "BÜCHER.example", exists);
    let password = sandbox.create("SHOP@Example.COM");
    assert_eq!(sandbox.verify("shop@example.com", &password), 0);
    assert_eq!(sandbox.verify("Shop@EXAMPLE.com", &password), 0);
    let exists = ("user_exists", 4);
    refused(&sandbox, "user create {}", "sHOP@example.com", exists);
    assert_eq!(
        sandbox.json(&["user", "list"])[0]["username"],
        "shop@example.com"
    );
}

#[test]
fn values_out_of_bounds_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.create("a@example.com");
    let before = events(&sandbox);
    let refuse = |command: &str, value: &str| refused(&sandbox, command, value, INVALID);
    let long = "x".repeat(101);
    for label in ["", "  ", "a\nb", "a\x1b[31mb", "\u{202e}", EVIL, &long] {
        refuse("user create b@example.com --label={}", label);
        refuse("user set a@example.com --label={}", label);
    }
    let limits = "0 -1 +1 01 1.5 1e3 ten 1000000001 99999999999999999999";
    for limit in limits.split(' ').chain([""]) {
        refuse("user create b@example.com --daily-limit={}", limit);
        refuse("user set a@example.com --daily-limit={}", limit);
        refuse("domain set example.com --max-users={}", limit);
    }
    let times = "0s -1d +1d 01d 1 d 1.5d 101y 99999999999999999999d";
    for time in times.split(' ').chain(["", EVIL]) {
        refuse("user create b@example.com --expires-in={}", time);
        refuse("user reset a@example.com --overlap={}", time);
        refuse("user list --stale={}", time);
    }
    let settings = "host=192.0.2.1 host=smtp.example.com:587 host= ports=26 ports= argon2= \
        argon2=m=8,t=1,p=1 argon2=m=4294967296,t=2,p=1 argon2=m=19456,t=17,p=1 \
        argon2=m=19456 argon2=m=-1,t=2,p=1 argon2=m=+19456,t=2,p=1 argon2=m=19456,t=02,p=1";
    for setting in settings.split(' ') {
        refuse("set-settings --{}", setting);
    }
    assert_eq!(events(&sandbox), before);
}

/// Taken as addresses they would refuse every message.
#[test]
fn patterns_are_no_senders() {
    let sandbox = Sandbox::new();
    sandbox.create("a@example.com");
    let before = events(&sandbox);
    let hint = "the domain alone: example.com";
    let plan = sandbox.folder.path().join("plan.toml");
    for pattern in [
        "*@example.com",
        "@example.com",
        "%@Example.com",
        "news-*@example.com",
        "?@example.com",
        ".+@example.com",
        "^news@example.com",
        "/^news/@example.com",
    ] {
        for command in [
            "user set a@example.com --sender={}",
            "user create b@example.com --sender={}",
        ] {
            assert!(refused(&sandbox, command, pattern, INVALID).contains(hint));
        }
        fs::write(
            &plan,
            format!("[users.\"a@example.com\"]\nsenders = [\"{pattern}\"]\n"),
        )
        .unwrap();
        let run = sandbox.run(&["apply", "plan.toml"]);
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stdout.contains(hint), "{run:?}");
        for (args, file) in [
            (
                &["import", "-", "--from", "csv", "--update"][..],
                "username,senders\na@example.com,",
            ),
            (
                &["create", "--from", "-", "--reveal", "json"],
                "username,senders\nb@example.com,",
            ),
        ] {
            let file = format!("{file}{pattern}\n");
            let run = sandbox.run_with_stdin(&[&["user"], args].concat(), file.as_bytes());
            assert_eq!(run.code, 2, "{run:?}");
            let said = format!("{}{}", run.stdout, run.stderr);
            assert!(said.contains(hint), "{run:?}");
        }
    }
    for address in ["a..b@example.com", ".a@example.com", "a.@example.com"] {
        let command = "user set a@example.com --sender={}";
        assert!(refused(&sandbox, command, address, INVALID).contains("without a dot at an end"));
    }
    assert_eq!(events(&sandbox), before);
}

#[test]
fn what_is_not_there_and_what_is_there_already() {
    let sandbox = Sandbox::new();
    sandbox.create("shop@example.com");
    let before = events(&sandbox);
    let commands = "3 domain_not_found user create shop@example.org
        3 domain_not_found user create --domain example.org
        3 domain_not_found user list --domain example.org
        3 domain_not_found domain show example.org
        3 domain_not_found domain set example.org --max-users 1
        3 domain_not_found domain remove example.org --yes
        3 domain_not_found show-settings example.org
        3 user_not_found user reset nobody@example.com
        3 user_not_found user show nobody@example.com
        3 user_not_found user set nobody@example.com --label x
        3 user_not_found user suspend nobody@example.com
        3 user_not_found user resume nobody@example.com
        3 user_not_found user delete nobody@example.com --yes
        3 user_not_found show-settings nobody@example.com
        4 user_exists user create shop@example.com
        4 domain_exists domain add example.com
        4 domain_not_empty domain remove example.com --yes";
    for line in commands.lines() {
        let [exit, code, command] = line.trim().splitn(3, ' ').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        refused(&sandbox, command, "", (code, exit.parse().unwrap()));
    }
    assert_eq!(events(&sandbox), before);

    sandbox.noted(&["domain", "set", "example.com", "--max-users", "1"]);
    let limit = ("user_limit_reached", 4);
    let said = refused(&sandbox, "user create new@example.com", "", limit);
    assert!(
        said.contains("example.com has reached its limit of 1"),
        "{said}"
    );
    sandbox.noted(&["domain", "set", "example.com", "--max-users", "2"]);
    sandbox.create("new@example.com");
}

#[test]
fn p8_without_a_terminal_nothing_is_asked() {
    let sandbox = Sandbox::new();
    let password = sandbox.create("shop@example.com");
    let commands = "user delete shop@example.com
        domain remove example.com --with-users";
    for command in commands.lines() {
        let said = refused(&sandbox, command, "", ("needs_confirmation", 5));
        assert!(said.contains("--yes"), "{said}");
        // Nor is an answer taken from a pipe.
        let answer = b"shop@example.com\nexample.com\ny\nyes\n";
        let run = sandbox.run_with_stdin(&words(command, ""), answer);
        assert_eq!(run.code, 5);
    }
    let command = "user reset shop@example.com --choose-password";
    let said = refused(&sandbox, command, "", ("usage", 2));
    assert!(said.contains("--password-stdin"), "{said}");
    assert_eq!(sandbox.verify("shop@example.com", &password), 0);
}

#[test]
fn p1_chosen_passwords_that_are_no_good_are_refused_and_not_repeated() {
    let sandbox = Sandbox::new();
    let old = sandbox.create("shop@example.com");
    let label = ["user", "set", "shop@example.com", "--label", "Ana's laptop"];
    sandbox.noted(&label);
    let before = events(&sandbox);
    let (long, huge) = ("aB3!".repeat(65), "aB3!".repeat(1500));
    let weak = ("weak_password", 4);
    let none = ("usage", 2);
    for (bad, expected) in [
        (&b""[..], none),
        (b"\n", none),
        (huge.as_bytes(), none),
        (long.as_bytes(), weak),
        (b"Xk3!vT9q", weak),
        (b"password1234", weak),
        (b"P@ssw0rd1234", weak),
        (b"Summer2026!!", weak),
        (b"Welcome2026!!", weak),
        (b"Ana's laptop 26", weak),
        (b"example.com-1", weak),
        (b"aaaaaaaaaaaaaaaa", weak),
        (b"vague-Otter\n61-harbour", weak),
        (b"vague-Otter\x1b[31m61-harbour", weak),
        (b"vague-Otter\x0061-harbour", weak),
        (b"\xff\xfevague-Otter-61-harbour", weak),
        (b" vague-Otter-61-harbour", weak),
    ] {
        for command in [
            "user create new@example.com --label Ana's|laptop",
            "user reset shop@example.com",
        ] {
            let mut args = words(&format!("{command} --password-stdin --json"), "");
            for arg in &mut args {
                *arg = arg.to_str().unwrap().replace('|', " ").into();
            }
            let run = sandbox.run_with_stdin(&args, bad);
            let found = failure(&run);
            let shown = String::from_utf8_lossy(bad);
            assert_eq!(found, (expected.0.into(), expected.1), "{shown}");
            let shown = shown.trim();
            assert!(shown.is_empty() || !run.stderr.contains(shown), "{shown}");
        }
    }
    assert_eq!(events(&sandbox), before);
    assert_eq!(sandbox.verify("shop@example.com", &old), 0);
    for (name, end) in [("a", ""), ("b", "\n"), ("c", "\r\n")] {
        let name = format!("{name}@example.com");
        let args = ["user", "create", &name, "--password-stdin"];
        let stdin = format!("{GOOD}{end}");
        assert_eq!(sandbox.run_with_stdin(&args, stdin.as_bytes()).code, 0);
        assert_eq!(sandbox.verify(&name, GOOD), 0);
    }
}

fn write(path: &Path, content: &str, mode: u32) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn password_files_that_are_no_good_are_refused() {
    let sandbox = Sandbox::new();
    let before = events(&sandbox);
    let folder = sandbox.folder.path();
    write(&folder.join("open"), GOOD, 0o644);
    write(&folder.join("group"), GOOD, 0o640);
    write(&folder.join("empty"), "", 0o600);
    write(&folder.join("large"), &"x".repeat(1 << 20), 0o600);
    write(&folder.join("good"), &format!("{GOOD}\n"), 0o600);
    write(&folder.join("weak"), "password1234", 0o600);
    let made = Command::new("mkfifo").arg(folder.join("fifo")).status();
    assert!(made.unwrap().success());
    symlink("good", folder.join("link")).unwrap();
    symlink("open", folder.join("link-to-open")).unwrap();

    let create = |name: &str, file: &str| {
        let mut command =
            sandbox.command(&["user", "create", name, "--json", "--password-file", file]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        ended(Server(command.spawn().unwrap()))
    };
    for (file, reason) in [
        ("open", "mode 0644"),
        ("group", "mode 0640"),
        ("link-to-open", "mode 0644"),
        ("empty", "is empty"),
        ("fifo", "is empty"),
        ("missing", "No such file"),
        (".", "is a folder"),
        ("large", "longer than 4096"),
        ("/dev/zero", "longer than 4096"),
        ("/dev/null", "is empty"),
        (EVIL, "No such file"),
    ] {
        let run = create("new@example.com", file);
        assert_eq!(failure(&run), ("usage".into(), 2), "{file}: {}", run.stderr);
        assert!(run.stderr.contains(reason), "{file}: {}", run.stderr);
    }
    let weak = create("new@example.com", "weak");
    assert_eq!(failure(&weak), ("weak_password".into(), 4));
    assert_eq!(events(&sandbox), before);
    for (name, file) in [("a@example.com", "good"), ("b@example.com", "link")] {
        assert_eq!(create(name, file).code, 0);
        assert_eq!(sandbox.verify(name, GOOD), 0);
    }
    // What a shell makes of another program's output, also of a slow one's.
    let script = "\"$0\" user create c@example.com --password-file <(sleep 0.3; echo \"$1\")";
    let mut bash = sandbox.other_command("bash", &["-c", script, PROGRAM, GOOD]);
    let run = finished(bash.output().unwrap());
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(sandbox.verify("c@example.com", GOOD), 0);
}

/// Docker and Kubernetes mount secrets with these modes, where chmod cannot help.
#[test]
fn mounted_secrets_come_by_stdin() {
    let sandbox = Sandbox::new();
    let old = sandbox.create("a@example.com");
    let file = sandbox.folder.path().join("secret");
    for (mode, advice) in [
        (0o444, "--password-stdin < secret"),
        (0o440, "--password-stdin < secret"),
        (0o644, "run: chmod 600 "),
        (0o640, "run: chmod 600 "),
    ] {
        // One that is read-only cannot be written again.
        let _ = fs::remove_file(&file);
        write(&file, "vague-Otter-61-harbour\n", mode);
        for command in [
            "user create b@example.com --password-file=secret",
            "user reset a@example.com --password-file=secret",
        ] {
            let said = refused(&sandbox, command, "", ("usage", 2));
            assert!(said.contains(advice), "{mode:o}: {said}");
        }
    }
    assert_eq!(sandbox.verify("a@example.com", &old), 0);
    // What it says works.
    let password = fs::read(&file).unwrap();
    let args = ["user", "create", "b@example.com", "--password-stdin", "-q"];
    assert_eq!(sandbox.run_with_stdin(&args, &password).code, 0);
}

#[test]
fn wrong_command_lines_are_one_json_document_if_json_is_asked_for() {
    let sandbox = Sandbox::new();
    let commands = "--json nonsense
        --json user create a@example.com --nonsense
        user create a@example.com --password secret --json
        user create --json
        user list --format json text surplus
        user list --format=json --daily-limit
        user --json
        user set a@example.com --json
        domain set example.com --json
        --json user create a@example.com --domain example.com
        --json user create a@example.com --reveal nonsense";
    for command in commands.lines() {
        let run = sandbox.run(&words(command, ""));
        assert_eq!(failure(&run), ("usage".into(), 2), "{command}: {run:?}");
    }
}

#[test]
fn no_message_carries_what_a_terminal_would_obey() {
    let sandbox = Sandbox::new();
    let commands = "{}
        --{}
        user {}
        user list {}
        user list --{}
        user list --status {}
        user list --store {}
        user list --store {}://x
        user create {}@example.com
        user create a@example.com --reveal {}
        user create a@example.com --copy {}
        user create a@example.com --output {}/x
        show-settings {}
        show-settings {}@example.com
        set-settings --host {}
        set-settings --ports {}
        set-settings --argon2 {}";
    for (command, value) in commands
        .lines()
        .flat_map(|c| [(c, EVIL.as_bytes()), (c, NOISE)])
    {
        let run = sandbox.run(&words(command, value));
        harmless(&run.stderr);
        assert!([2, 74, 75].contains(&run.code), "{command}: {run:?}");
        let run = sandbox.run(&words(&format!("--json {command}"), value));
        assert!([2, 74, 75].contains(&failure(&run).1), "{command}: {run:?}");
    }
    // A file may have such a name; what is said about it may not.
    for (name, file) in [("a@example.com", EVIL.as_bytes()), ("b@example.com", NOISE)] {
        let command = format!("user create {name} --output {{}}");
        let run = sandbox.run(&words(&command, file));
        harmless(&run.stderr);
        assert_eq!(run.code, 0, "{}", run.stderr);
        let file = sandbox.folder.path().join(OsStr::from_bytes(file));
        let password = fs::read_to_string(file).unwrap();
        assert_eq!(sandbox.verify(name, password.trim_end()), 0);
    }
    // Nor does it come out of the store. Where somebody has logged in, it does not get in.
    let mut command = sandbox.command(&["domain", "add", "example.org"]);
    let run = finished(command.env("SUDO_USER", EVIL).output().unwrap());
    assert_eq!(run.code, 0, "{}", run.stderr);
    let listed = sandbox.ok(&["audit", "list"]);
    let login = fs::read_to_string("/proc/self/loginuid").unwrap_or_default();
    let believed = nix::unistd::getuid().is_root() && login.trim() == u32::MAX.to_string();
    assert_eq!(listed.contains("31m"), believed, "{listed}");
    harmless(&listed);
}

#[test]
fn a_closed_stdin_is_an_empty_one() {
    let sandbox = Sandbox::new();
    let password = sandbox.create("shop@example.com");
    let commands = "2 verify shop@example.com
        2 user reset shop@example.com --password-stdin
        5 user delete shop@example.com
        0 user create new@example.com";
    for line in commands.lines() {
        let (exit, command) = line.trim().split_once(' ').unwrap();
        let shell = ["-c", "exec \"$0\" \"$@\" <&-", PROGRAM].map(OsString::from);
        let args = [&shell[..], &words(command, "")].concat();
        let run = finished(sandbox.other_command("sh", &args).output().unwrap());
        harmless(&run.stderr);
        assert_eq!(run.code.to_string(), exit, "{args:?}: {run:?}");
    }
    assert_eq!(sandbox.verify("shop@example.com", &password), 0);
}

#[test]
fn a_home_that_no_shell_has_replaced_is_refused() {
    let sandbox = Sandbox::new();
    let user = "shop@example.com";
    sandbox.create(user);
    let plan = sandbox.folder.path().join("plan.toml");
    write(&plan, "[settings]\nwrite_file = \"~/{username}\"\n", 0o644);
    for args in [
        &["--store", "~/x", "domain", "list"][..],
        &["--store=~ana/x", "domain", "list"],
        &["user", "create", "a@example.com", "--output", "~/x"],
        &["user", "create", "a@example.com", "--output=~"],
        &["user", "create", "a@example.com", "--password-file", "~/x"],
        &["user", "create", "--from", "~/x", "--output-dir", "."],
        &["user", "create", "--from", "x", "--output-dir", "~/x"],
        &["user", "set", user, "--write-file", "~/x"],
        &["user", "set", user, "--write-env", "~/x"],
        &["user", "rotate", user, "--write-env", "~/x"],
        &["user", "import", "~/x", "--from", "csv"],
        &["user", "import", "x", "--from", "csv", "--skip-bad", "~/x"],
        &[
            "user",
            "import",
            "x",
            "--from",
            "csv",
            "--output-dir",
            "~/x",
        ],
        &["user", "export", "--output", "~/x"],
        &[
            "domain",
            "set",
            "example.com",
            "--write-file",
            "~/{username}",
        ],
        &["set-settings", "--write-file", "~/{username}"],
        &["apply", "~/x"],
        &["apply", "plan.toml", "--output-dir", "~/x"],
        &["test", user, "--password-file", "~/x"],
        &["serve", "--allow-root", "--auth", "~/x"],
        &["serve", "--allow-root", "--policy", "~/x,mode=0600"],
        &["doctor", "--auth", "~/x"],
        &["doctor", "--server", "exim", "--config", "~/x"],
        &["show-server-config", "exim", "--auth", "~/x"],
        &["store", "copy", "~/x", "y"],
        &["store", "copy", "x", "~/y"],
        &["--store", "postgres:///x?passfile=~/x", "domain", "list"],
        &["--store", "postgres:///x?sslrootcert=~/x", "domain", "list"],
    ] {
        let run = sandbox.run(args);
        assert_eq!(run.code, 2, "{args:?}: {run:?}");
        let said = "only a shell expands ~";
        assert!(run.stderr.contains(said), "{args:?}: {run:?}");
    }
    let run = sandbox.run(&["apply", "plan.toml"]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stdout.contains("only a shell expands ~"), "{run:?}");
    let mut command = sandbox.command(&["domain", "list"]);
    let run = finished(command.env("SMTPCRED_STORE", "~/x").output().unwrap());
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stderr.contains("only a shell expands ~"), "{run:?}");
    let made = fs::read_dir(sandbox.folder.path()).unwrap();
    assert!(
        made.flatten()
            .all(|entry| !entry.file_name().to_string_lossy().starts_with('~'))
    );
    // Said so, it is a folder of that name.
    sandbox.ok(&["--store", "./~/x", "domain", "add", "example.com", "-q"]);
    assert!(sandbox.folder.path().join("~/x").exists());
}

/// A suggestion may be typed in a hurry: none does the opposite, none destroys.
#[test]
fn what_may_have_been_meant_is_never_the_opposite() {
    let sandbox = Sandbox::new();
    let name = "shop@example.com";
    for (typed, meant) in [
        (&["user", "suspned", name][..], Some("suspend")),
        (
            &["user", "list", "--domian", "example.com"],
            Some("--domain"),
        ),
        (&["user", "list", "--format", "jsno"], Some("json")),
        (&["user", "list", "--status", "actvie"], Some("active")),
        (&["user", "restore", name], Some("resume")),
        (&["user", "undelete", name], None),
        (&["user", "list", "--reverse"], None),
        (&["user", "list", "--used"], None),
        (&["user", "reset", name, "--no-overlap"], None),
        (&["user", "export", "--without-hashes"], None),
        (&["user", "rotate", name, "--overlap-min", "1h"], None),
        (&["domain", "unverify", "example.com"], None),
    ] {
        let run = sandbox.run(typed);
        assert_eq!(run.code, 2, "{run:?}");
        let tip = run
            .stderr
            .lines()
            .find(|line| line.contains("tip: ") || line.contains("did you mean"));
        match meant {
            Some(meant) => {
                let tip = tip.unwrap_or_else(|| panic!("{typed:?}: {run:?}"));
                assert!(tip.contains(meant), "{typed:?}: {tip}");
            }
            None => assert_eq!(tip, None, "{typed:?}"),
        }
        let run = sandbox.run(&[&["--json"], typed].concat());
        let error: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
        let hint = error["error"]["hint"].as_str().unwrap();
        assert_eq!(hint.contains("did you mean"), meant.is_some(), "{hint}");
    }
}

/// Like git and gh. A program gets an error.
#[test]
fn a_noun_alone_shows_its_commands() {
    let sandbox = Sandbox::empty();
    for noun in ["user", "domain", "audit", "store", "config"] {
        let run = sandbox.run(&[noun]);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run:?}");
        let usage = format!("Usage: smtpcred {noun}");
        assert!(run.stderr.contains(&usage), "{run:?}");
        assert!(run.stderr.contains("Commands:\n"), "{run:?}");
        assert!(!run.stderr.contains("error"), "{run:?}");
        let run = sandbox.run(&[noun, "--json"]);
        let error: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
        assert_eq!(error["error"]["code"], "usage");
    }
}

/// Who looks a name up learns where the names are, not which ones are possible.
#[test]
fn a_part_of_a_name_leads_to_the_list() {
    let sandbox = Sandbox::new();
    for command in ["user show", "user reset", "user suspend", "why", "verify"] {
        let words: Vec<_> = command.split(' ').chain(["bl"]).collect();
        let run = sandbox.run(&words);
        let said = "error: 'bl' is not a valid username: it has no @domain\n\
            hint: list all with: smtpcred user list\n";
        assert_eq!((run.code, run.stderr.as_str()), (2, said), "{command}");
    }
    let run = sandbox.run(&["user", "create", "bl"]);
    assert!(!run.stderr.contains("user list"), "{run:?}");
}

#[test]
fn help_that_is_lost_is_a_failure() {
    let sandbox = Sandbox::new();
    let full = || {
        fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    let complete = |args: &[&str]| {
        let mut command = sandbox.command(args);
        command.env("COMPLETE", "bash");
        command.env("_CLAP_COMPLETE_INDEX", "2");
        command
    };
    let run = |mut command: Command, into: Stdio| {
        finished(
            command
                .stdout(into)
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
                .wait_with_output()
                .unwrap(),
        )
    };
    let commands = || {
        [
            sandbox.command(&["--help"]),
            sandbox.command(&["-h"]),
            sandbox.command(&["--version"]),
            sandbox.command(&["help", "user"]),
            sandbox.command(&["user", "create", "--help"]),
            complete(&[]),
            complete(&["--", "smtpcred", "user", ""]),
        ]
    };
    for command in commands() {
        let args = format!("{command:?}");
        let failed = run(command, full().into());
        assert_eq!(failed.code, 1, "{args}: {failed:?}");
        assert!(failed.stderr.contains("could not be written"), "{failed:?}");
    }
    for command in commands() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let args = format!("{command:?}");
        let closed = run(command, writer.into());
        assert_eq!((closed.code, &*closed.stderr), (0, ""), "{args}");
    }
}

#[test]
fn under_json_stderr_has_a_document_a_line() {
    let sandbox = Sandbox::new();
    let file = sandbox.folder.path().join("pw");
    let file = file.to_str().unwrap();
    for args in [
        &["domain", "add", "example.org"][..],
        &["user", "create", "a@example.com", "--output", file],
        &["user", "suspend", "a@example.com"],
        &["user", "reset", "a@example.com"],
        &["user", "list"],
        &["user", "delete", "a@example.com"],
        &["user", "delete", "a@example.com", "--yes"],
        &["user", "show", "a@example.com"],
    ] {
        let run = sandbox.run(&[args, &["--json"]].concat());
        for line in run.stderr.lines() {
            let said: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|e| panic!("{args:?}: {e}: {line}"));
            let kinds = ["note", "warning", "error"];
            assert!(kinds.iter().any(|kind| said.get(kind).is_some()), "{line}");
        }
    }
}

#[test]
fn an_import_without_a_store_says_where_it_needs_space() {
    let sandbox = Sandbox::empty();
    let file = sandbox.folder.path().join("users.csv");
    fs::write(
        &file,
        "username,hash\na@example.com,{PLAIN}secret-Of-mine-42\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let import = ["user", "import", file, "--add-domain"];
    for more in [&["--dry-run"][..], &[]] {
        let command = &mut sandbox.command(&[&import[..], more].concat());
        let run = finished(command.env("TMPDIR", "/no/folder").output().unwrap());
        assert_eq!(run.code, 75, "{run:?}");
        let said = "a temporary store cannot be created in /no/folder";
        assert!(run.stderr.contains(said), "{run:?}");
        assert!(run.stderr.contains("nothing was changed"), "{run:?}");
        assert_eq!(
            sandbox.run(&["user", "list"]).code,
            75,
            "no store was created"
        );
    }
}
