//! `smtpcred as`: what holders of roles can do, and what does not exist for them.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::postgres::Postgres;
use crate::support::{PROGRAM, Run, Sandbox, Server, ended, finished};

/// Two domains; ana has one of them.
fn two_domains(sandbox: Sandbox) -> Sandbox {
    for domain in ["example.com", "other.org"] {
        sandbox.noted(&["domain", "add", domain]);
    }
    for user in ["shop@example.com", "crm@example.com", "boss@other.org"] {
        sandbox.create(user);
    }
    grant(
        &sandbox,
        &["ana", "--role", "operator", "--domain", "example.com"],
    );
    grant(
        &sandbox,
        &["vic", "--role", "viewer", "--domain", "example.com"],
    );
    grant(
        &sandbox,
        &["app", "--role", "self", "--user", "shop@example.com"],
    );
    sandbox
}

fn grant(sandbox: &Sandbox, args: &[&str]) {
    sandbox.noted(&[&["role", "grant"], args].concat());
}

/// The program as sshd runs it for a holder.
fn command(sandbox: &Sandbox, holder: &str, words: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir(sandbox.folder.path());
    command
        .arg("--store")
        .arg(sandbox.location())
        .args(["as", holder, "--"])
        .args(words);
    command.stdin(Stdio::null());
    command
}

fn run(sandbox: &Sandbox, holder: &str, words: &[&str]) -> Run {
    finished(command(sandbox, holder, words).output().unwrap())
}

fn ok(sandbox: &Sandbox, holder: &str, words: &[&str]) -> String {
    let run = run(sandbox, holder, words);
    assert_eq!(run.code, 0, "{holder}: {words:?}: {}", run.stderr);
    run.stdout
}

fn names(json: &str, field: &str) -> Vec<String> {
    let all: Vec<Value> = serde_json::from_str(json).unwrap();
    all.iter()
        .map(|one| one[field].as_str().unwrap().to_owned())
        .collect()
}

/// On a file and on a database alike.
fn on_both(test: fn(&Sandbox)) {
    test(&two_domains(Sandbox::empty()));
    let server = Postgres::start();
    test(&two_domains(server.sandbox()));
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn an_operator_issues_and_ends_temporary_passwords() {
    on_both(|sandbox| {
        let issue = ["user", "issue", "shop@example.com", "--for", "1h", "--json"];
        let issued: Value = serde_json::from_str(&ok(sandbox, "ana", &issue)).unwrap();
        let (one, id) = (&issued["password"], &issued["password_id"]);
        let (one, id) = (one.as_str().unwrap(), id.as_str().unwrap());
        assert_eq!(sandbox.verify("shop@example.com", one), 0);
        let from = [&issue[..], &["--from", "192.0.2.0/24"]].concat();
        let other = ["user", "issue", "boss@other.org", "--for", "1h"];
        for (holder, words, code) in [
            ("ana", &from[..], 4),
            ("ana", &other, 3),
            ("vic", &issue, 4),
            ("app", &issue, 4),
        ] {
            let run = run(sandbox, holder, words);
            assert_eq!(
                (run.code, run.stdout.as_str()),
                (code, ""),
                "{holder}: {words:?}"
            );
        }
        let retire = ["user", "retire", "shop@example.com", "--password-id", id];
        assert_eq!(run(sandbox, "app", &retire).code, 4);
        ok(sandbox, "ana", &retire);
        assert_eq!(sandbox.verify("shop@example.com", one), 6);
        let events = sandbox.json(&["audit", "list", "--action", "user.issue"]);
        assert_eq!(events.as_array().unwrap().len(), 1);
        assert_eq!(events[0]["actor"], "ana");
    });
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn lists_have_only_what_the_role_is_about() {
    on_both(|sandbox| {
        let own = ["crm@example.com", "shop@example.com"];
        for more in [
            &[][..],
            &["--sort", "age"],
            &["--sort", "created"],
            &["--status", "active"],
            &["--never-used"],
            &["--domain", "example.com"],
            &["o"],
            &["--limit", "10", "--after", "a@a.example"],
        ] {
            let words = [&["user", "list", "--json"], more].concat();
            let mut found = names(&ok(sandbox, "vic", &words), "username");
            found.sort();
            let wanted: Vec<_> = own
                .iter()
                .filter(|name| more != ["o"] || name.contains('o'))
                .collect();
            assert_eq!(
                found,
                wanted.into_iter().copied().collect::<Vec<_>>(),
                "{more:?}"
            );
        }
        assert_eq!(
            ok(sandbox, "vic", &["user", "list", "boss", "--json"]).trim(),
            "[]"
        );
        let domains = ok(sandbox, "vic", &["domain", "list", "--json"]);
        assert_eq!(names(&domains, "domain"), ["example.com"]);
        grant(sandbox, &["all", "--role", "viewer"]);
        let all = ok(sandbox, "all", &["user", "list", "--json"]);
        assert_eq!(names(&all, "username").len(), 3);
        // A role whose domain is gone is about nothing.
        sandbox.noted(&["domain", "remove", "example.com", "--with-users", "--yes"]);
        assert_eq!(ok(sandbox, "vic", &["user", "list", "--json"]).trim(), "[]");
    });
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p9_a_user_outside_the_role_is_one_that_does_not_exist() {
    on_both(|sandbox| {
        // A name that leads out of the role, too.
        let rename = ["user", "rename", "crm@example.com", "crm@other.org"];
        assert_eq!(sandbox.run(&rename).code, 0);
        for (holder, words) in [
            ("ana", "user show NAME"),
            ("ana", "user reset NAME"),
            ("ana", "user reset shop@example.com NAME --reveal json"),
            ("ana", "user rotate NAME"),
            ("ana", "user set NAME --label x"),
            ("ana", "user set NAME --daily-limit 5"),
            ("ana", "user suspend NAME"),
            ("ana", "user resume NAME"),
            ("ana", "user delete NAME --yes"),
            ("ana", "why NAME"),
            ("ana", "show-settings NAME"),
            ("ana", "user show NAME --json"),
            ("vic", "user show NAME"),
            ("app", "user reset NAME"),
            ("app", "why NAME"),
        ] {
            let answer = |name: &str| {
                let line = words.replace("NAME", name);
                let said = run(sandbox, holder, &line.split(' ').collect::<Vec<_>>());
                let plain = |text: &str| text.replace(name, "NAME");
                (said.code, plain(&said.stdout), plain(&said.stderr))
            };
            let absent = answer("zorg@absent.org");
            assert_ne!(absent.0, 0, "{words}");
            assert_eq!(answer("boss@other.org"), absent, "{holder}: {words}");
            let mut renamed = answer("crm@example.com");
            // Its domain exists for ana.
            renamed.2 = renamed.2.replace("example.com", "absent.org");
            assert_eq!(renamed, absent, "{holder}: {words}");
        }
        for (words, holder) in [
            ("domain show NAME", "ana"),
            ("user list --domain NAME", "vic"),
            ("user suspend --domain NAME --yes", "ana"),
            ("user create --domain NAME --label x", "ana"),
            ("user create x@NAME", "ana"),
            ("show-settings NAME", "ana"),
        ] {
            let answer = |name: &str| {
                let line = words.replace("NAME", name);
                let said = run(sandbox, holder, &line.split(' ').collect::<Vec<_>>());
                (said.code, said.stderr.replace(name, "NAME"))
            };
            let absent = answer("absent.org");
            assert_eq!(absent.0, 3, "{words}");
            assert_eq!(answer("other.org"), absent, "{words}");
        }
        assert_eq!(
            sandbox.json(&["user", "show", "boss@other.org"])["label"],
            Value::Null
        );
    });
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p5_events_name_the_holder_and_its_role() {
    on_both(|sandbox| {
        ok(
            sandbox,
            "ana",
            &["user", "create", "new@example.com", "--label", "My shop"],
        );
        ok(
            sandbox,
            "ana",
            &["user", "set", "new@example.com", "--label", "none"],
        );
        ok(sandbox, "ana", &["user", "suspend", "new@example.com"]);
        ok(sandbox, "ana", &["user", "resume", "new@example.com"]);
        ok(
            sandbox,
            "ana",
            &["user", "delete", "new@example.com", "--yes"],
        );
        ok(
            sandbox,
            "app",
            &["user", "reset", "shop@example.com", "--overlap", "1h"],
        );
        let events = sandbox.json(&["audit", "list", "--user", "new@example.com"]);
        let events = events.as_array().unwrap();
        assert_eq!(events.len(), 5, "{events:?}");
        for event in events {
            assert_eq!(event["actor"], "ana", "{event}");
            assert_eq!(event["fields"]["role"], "operator", "{event}");
            assert!(event["run_as"].is_string(), "{event}");
        }
        let resets = sandbox.json(&["audit", "list", "--actor", "app"]);
        assert_eq!(resets[0]["action"], "user.reset");
        assert_eq!(resets[0]["fields"]["role"], "self");
    });
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn a_role_gives_no_more_than_its_domain_has() {
    on_both(|sandbox| {
        sandbox.noted(&[
            "domain",
            "set",
            "example.com",
            "--daily-limit",
            "100",
            "--limit",
            "messages/hour=10",
        ]);
        let shop = "shop@example.com";
        for (limit, code) in [
            (&["--daily-limit", "100"][..], 0),
            (&["--daily-limit", "101"], 4),
            (&["--limit", "messages/day=101"], 4),
            (&["--limit", "messages/hour=11"], 4),
            (&["--limit", "messages/hour=10"], 0),
            (&["--limit", "recipients/day=5000"], 0),
            (&["--daily-limit", "none"], 0),
        ] {
            let words = [&["user", "set", shop], limit].concat();
            let said = run(sandbox, "ana", &words);
            assert_eq!(said.code, code, "{limit:?}: {}", said.stderr);
        }
        let create = ["user", "create", "new@example.com", "--daily-limit", "101"];
        let said = run(sandbox, "ana", &create);
        assert_eq!(
            (said.code, said.stdout.as_str()),
            (4, ""),
            "{}",
            said.stderr
        );
        assert_eq!(sandbox.run(&["user", "show", "new@example.com"]).code, 3);
    });
}

#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn p10_twenty_at_once_make_no_more_changes_than_the_hour_has() {
    on_both(|sandbox| {
        grant(
            sandbox,
            &[
                "ci",
                "--role",
                "operator",
                "--domain",
                "example.com",
                "--hourly-changes",
                "7",
            ],
        );
        let running: Vec<_> = (0..20)
            .map(|number| {
                let name = format!("u{number}@example.com");
                let mut command = command(sandbox, "ci", &["user", "create", &name]);
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
                Server(command.spawn().unwrap())
            })
            .collect();
        let runs: Vec<_> = running.into_iter().map(ended).collect();
        let made = runs.iter().filter(|run| run.code == 0).count();
        assert_eq!(made, 7, "{runs:?}");
        for refused in runs.iter().filter(|run| run.code != 0) {
            assert_eq!((refused.code, refused.stdout.as_str()), (4, ""));
            assert!(
                refused.stderr.contains("7 changes within an hour"),
                "{}",
                refused.stderr
            );
        }
        // Another hour.
        sandbox.sql("UPDATE roles SET hour_from = hour_from - 3600 WHERE holder = 'ci'");
        ok(sandbox, "ci", &["user", "create", "late@example.com"]);
    });
}

#[test]
fn p3_a_role_that_is_revoked_while_its_command_runs_changes_nothing() {
    let sandbox = two_domains(Sandbox::empty());
    let before = sandbox.json(&["user", "show", "shop@example.com"]);
    for change in [
        "DELETE FROM roles WHERE holder = 'ana'",
        "UPDATE roles SET role = 'viewer' WHERE holder = 'ana'",
        "DELETE FROM role_domains WHERE holder = 'ana'",
    ] {
        grant(
            &sandbox,
            &["ana", "--role", "operator", "--domain", "example.com"],
        );
        let store = sandbox.lock();
        let mut reset = command(&sandbox, "ana", &["user", "reset", "shop@example.com"]);
        let waiting = reset.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let waiting = Server(waiting.unwrap());
        crate::support::wait_at_lock(&waiting.0);
        let crate::support::Lock::Sqlite(store) = store else {
            panic!("a file")
        };
        store.execute_batch(&format!("{change}; COMMIT")).unwrap();
        let run = ended(waiting);
        assert_eq!(
            (run.code, run.stdout.as_str()),
            (4, ""),
            "{change}: {}",
            run.stderr
        );
        assert!(
            run.stderr.contains("changed or revoked meanwhile"),
            "{}",
            run.stderr
        );
    }
    let after = sandbox.json(&["user", "show", "shop@example.com"]);
    assert_eq!(after["passwords"], before["passwords"]);
    sandbox.noted(&["role", "revoke", "ana"]);
    assert_eq!(run(&sandbox, "ana", &["user", "list"]).code, 3);
    assert_eq!(run(&sandbox, "nobody-else", &["user", "list"]).code, 3);
}

/// What the caller has in its environment and in its files.
#[test]
fn p14_nothing_of_the_callers_environment_is_used() {
    let sandbox = two_domains(Sandbox::empty());
    let theirs = two_domains(Sandbox::empty());
    theirs.create("trap@example.com");
    let home = theirs.folder.path().join("home");
    fs::create_dir_all(home.join(".config/smtpcred")).unwrap();
    let config = format!(
        "store = \"{}\"\ncolumns = [\"note\"]\n",
        theirs.store().display()
    );
    fs::write(home.join(".config/smtpcred/config.toml"), config).unwrap();
    let bin = theirs.folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let words = ["user", "list", "--columns", "username,created"];
    let clean = ok(&sandbox, "vic", &words);
    for (name, value) in [
        ("SMTPCRED_STORE", theirs.store().display().to_string()),
        ("HOME", home.display().to_string()),
        (
            "XDG_CONFIG_HOME",
            home.join(".config").display().to_string(),
        ),
        ("PATH", format!("{}:/usr/bin", bin.display())),
        ("COMPLETE", "bash".into()),
        ("PAGER", "touch paged".into()),
        ("SMTPCRED_PAGER", "touch paged".into()),
        ("CLICOLOR_FORCE", "1".into()),
        ("TZ", "Asia/Tokyo".into()),
        ("PGPASSFILE", "/etc/shadow".into()),
        ("LISTEN_FDS", "1".into()),
        ("SUDO_USER", "ceo".into()),
    ] {
        let mut with = command(&sandbox, "vic", &words);
        let said = finished(with.env(name, &value).output().unwrap());
        assert_eq!(
            (said.code, &said.stdout),
            (0, &clean),
            "{name}: {}",
            said.stderr
        );
    }
    // Without --store, it is not the one of the variable or of the home folder, either.
    let mut without = Command::new(PROGRAM);
    without
        .env_clear()
        .env("HOME", &home)
        .env("SMTPCRED_STORE", theirs.store());
    let said = finished(
        without
            .args(["as", "vic", "--", "user", "list"])
            .output()
            .unwrap(),
    );
    assert!(!said.stdout.contains("trap"), "{}", said.stdout);
    assert_ne!(said.code, 0);
}

#[test]
fn the_command_is_what_ssh_was_asked_to_run() {
    let sandbox = two_domains(Sandbox::empty());
    let asked = |line: &str, words: Option<&[&str]>| {
        let mut command = Command::new(PROGRAM);
        command.env_clear().env("SSH_ORIGINAL_COMMAND", line);
        command
            .arg("--store")
            .arg(sandbox.location())
            .args(["as", "vic"]);
        if let Some(words) = words {
            command.arg("--").args(words);
        }
        finished(command.output().unwrap())
    };
    let json = "[\n";
    for line in [
        "user list --json",
        "smtpcred user list --json",
        " user  'list' \"--json\" ",
        "user ls --json",
    ] {
        let said = asked(line, None);
        assert_eq!(
            (said.code, &said.stdout[..2]),
            (0, json),
            "{line}: {}",
            said.stderr
        );
    }
    // The command of the key comes first.
    let fixed = asked(
        "user show shop@example.com",
        Some(&["user", "list", "--json"]),
    );
    assert_eq!((fixed.code, &fixed.stdout[..2]), (0, json));
    for (line, code) in [
        ("", 2),
        ("user 'list", 2),
        ("user list --store /tmp/x", 4),
        ("user list --store=/tmp/x", 4),
        ("user reset shop@example.com", 4),
        ("store status", 4),
        ("user list; id", 2),
        ("frobnicate", 2),
        ("user show boss", 2),
        ("user list --help", 0),
        ("--version", 0),
    ] {
        let said = asked(line, None);
        assert_eq!(said.code, code, "{line}: {}{}", said.stdout, said.stderr);
        assert!(!said.stderr.contains("boss@other.org"), "{}", said.stderr);
    }
    let json = asked("store status --json", None);
    let said: Value = serde_json::from_str(&json.stderr).unwrap();
    assert_eq!(said["error"]["code"], "not_permitted");
}

#[test]
fn what_the_owner_delivers_to_is_not_shown() {
    let sandbox = two_domains(Sandbox::empty());
    let rule = [
        "--rotate-every",
        "90d",
        "--deliver",
        "put-secret --token hush",
    ];
    sandbox.noted(&[&["user", "set", "shop@example.com"], &rule[..]].concat());
    sandbox.noted(&[&["domain", "set", "example.com"], &rule[..]].concat());
    for words in [
        &["user", "show", "shop@example.com"][..],
        &["user", "show", "shop@example.com", "--json"],
        &["domain", "show", "example.com"],
        &["domain", "show", "example.com", "--json"],
        &["why", "shop@example.com", "--json"],
    ] {
        let said = run(&sandbox, "vic", words);
        assert!(!said.stdout.contains("hush"), "{words:?}: {}", said.stdout);
        assert!(
            said.stdout.contains("example.com"),
            "{words:?}: {}",
            said.stderr
        );
    }
}

/// In a container there is no login.
#[test]
fn sudo_without_a_login_is_refused() {
    let login = fs::read_to_string("/proc/self/loginuid").unwrap_or_default();
    let sandbox = two_domains(Sandbox::empty());
    let mut command = Command::new(PROGRAM);
    command
        .env_clear()
        .env("SUDO_USER", "vic")
        .env("SSH_ORIGINAL_COMMAND", "user list");
    command
        .arg("--store")
        .arg(sandbox.location())
        .args(["as", "--from-sudo", "--"]);
    let said = finished(command.args(["user", "list"]).output().unwrap());
    assert_ne!(said.code, 0, "{}", said.stdout);
    if login.trim() == "4294967295" {
        assert!(said.stderr.contains("needs a login"), "{}", said.stderr);
    }
}
