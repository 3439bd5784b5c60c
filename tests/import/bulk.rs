//! `user create --from`: what is taken, what is refused, and where it goes.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use crate::support::Sandbox;
use crate::support::bulk::{
    TO_FOLDER, TO_STREAM, created, files, folder, names, sandbox, usernames, users, works, write,
};
use crate::support::pty::Pty;

#[test]
fn each_user_gets_a_file_that_only_its_owner_reads() {
    let sandbox = sandbox();
    let all = names(&sandbox, 1000);
    folder(&sandbox);
    let run = sandbox.run(&TO_FOLDER);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{}", run.stderr);
    assert_eq!(
        run.stderr,
        "created 1000 users; passwords are in passwords\n"
    );
    assert_eq!(usernames(&sandbox), all);
    assert_eq!(files(&sandbox), (all.clone(), BTreeSet::new()));
    assert_eq!(created(&sandbox), 1000);
    for name in all.iter().step_by(90) {
        let file = fs::metadata(folder(&sandbox).join(name)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
        assert_eq!(file.nlink(), 1);
        assert!(works(&sandbox, name), "{name}");
    }
}

#[test]
fn rows_say_what_flags_say_of_one() {
    let sandbox = sandbox();
    sandbox.noted(&["set-settings", "--host", "smtp.example.com"]);
    write(
        &sandbox,
        "name,domain,label,daily_limit,limits,on_limit,senders,expires_at\n\
         shop,example.com,Shop,5,messages/hour=2 recipients/day=9,reject,a@b.example c.example,2030-01-01\n\
         ,new.example,Contact form,,,,,\n\
         Crm@Example.COM,,,,,,,\n",
    );
    folder(&sandbox);
    let args = ["--add-domain", "--daily-limit", "7", "--reveal", "env"];
    let args = [&TO_FOLDER[..], &args, &["--rotate-every", "90d", "--json"]].concat();
    let made: serde_json::Value = serde_json::from_str(&sandbox.noted(&args)).unwrap();
    assert_eq!((&made["created"], &made["left"]), (&3.into(), &0.into()));
    let shop = sandbox.json(&["user", "show", "shop@example.com"]);
    assert_eq!(shop["label"], "Shop");
    assert_eq!(shop["daily_limit"], 5);
    assert_eq!(shop["expires_at"], "2030-01-01T00:00:00Z");
    assert_eq!(shop["on_limit"], "reject");
    assert_eq!(
        shop["senders"],
        serde_json::json!(["a@b.example", "c.example"])
    );
    assert_eq!(shop["rotate_every_seconds"], 90 * 86400);
    let crm = sandbox.json(&["user", "show", "crm@example.com"]);
    assert_eq!(crm["daily_limit"], 7);
    let generated = made["users"][1]["username"].as_str().unwrap();
    assert!(generated.starts_with("contact-form-") && generated.ends_with("@new.example"));
    let file = fs::read_to_string(folder(&sandbox).join("shop@example.com")).unwrap();
    assert!(file.starts_with("SMTP_HOST=smtp.example.com\n"), "{file}");
    assert_eq!(
        made["users"][0]["password_id"],
        users(&sandbox)["shop@example.com"]
    );
}

#[test]
fn all_that_is_wrong_is_told_at_once_and_nothing_is_written() {
    let sandbox = sandbox();
    sandbox.create("there@example.com");
    sandbox.noted(&["domain", "add", "full.example", "--max-users", "1"]);
    let long = format!("{}@{}.example", "a".repeat(60), ["b"; 90].join("."));
    let domain = long.split_once('@').unwrap().1;
    sandbox.ok(&["domain", "add", domain, "-q"]);
    write(
        &sandbox,
        &format!(
            "username,label,daily_limit,expires_at\n\
             good@example.com,,,\n\
             bad name@example.com,a\tb,-1,yesterday\n\
             good@example.com,,,\n\
             there@example.com,,,\n\
             there@example.com,,,\n\
             a@nowhere.example,,,\n\
             one@full.example,,,\n\
             two@full.example,,,\n\
             taken@example.com,,,\n\
             short@example.com,,\n\
             ,,5,\n\
             alone,,,\n\
             {long},,,\n"
        ),
    );
    let taken = folder(&sandbox).join("taken@example.com");
    std::os::unix::fs::symlink("/nowhere", &taken).unwrap();
    let run = sandbox.run(&[&TO_FOLDER[..], &["--json"]].concat());
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert!(run.stderr.contains("\"bad_rows\""));
    let rows: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let rows = rows.as_array().unwrap();
    let found: Vec<_> = rows
        .iter()
        .map(|r| (r["row"].as_i64().unwrap(), r["columns"].as_str().unwrap()))
        .collect();
    assert_eq!(
        found,
        [
            (3, "label"),
            (3, "expires_at"),
            (3, "daily_limit"),
            (3, "username"),
            (4, "username"),
            (5, "username"),
            (6, "username"),
            (7, "username"),
            (9, "username"),
            (10, "username"),
            (11, ""),
            (12, "username"),
            (13, "username"),
            (14, "username"),
        ],
        "{rows:#?}"
    );
    assert_eq!(rows[4]["reason"], "is in row 2, too");
    assert_eq!(
        rows[5]["reason"],
        "already exists: --skip-existing skips it"
    );
    assert_eq!(rows[6]["reason"], "is in row 5, too");
    assert!(
        rows[13]["reason"]
            .as_str()
            .unwrap()
            .starts_with("is too long")
    );
    assert!(!run.stdout.contains("bad name"), "values are not repeated");
    assert_eq!(usernames(&sandbox).len(), 1);
    assert_eq!(files(&sandbox).0.len(), 1);
}

#[test]
fn what_is_no_list_of_users_is_refused() {
    let sandbox = sandbox();
    folder(&sandbox);
    let endless = format!("username\n\"{}", "x".repeat(2_000_000));
    for text in [
        "",
        "shop@example.com\n",
        "username,username\n",
        "domain\nexample.com\n",
        "username\n\"a@example.com",
        "[",
        "{\"a\":[]}[",
        "[1, null, {\"username\": {}}]",
        "[{\"username\":\"a@example.com\",\"colour\":\"red\"}]",
        "\u{0}\u{202e}\n",
        &endless,
    ] {
        write(&sandbox, text);
        for to in [TO_FOLDER, TO_STREAM] {
            let run = sandbox.run(&to);
            let what: String = text.chars().take(40).collect();
            let empty = what.starts_with("username\n\"a") && run.code == 0;
            assert!(run.code == 2 || empty, "{what:?}: {run:?}");
            assert!(!run.stderr.contains("panicked"), "{what:?}: {run:?}");
        }
    }
    // Neither does a command line that names no place, or two.
    names(&sandbox, 1);
    for args in [
        &["user", "create", "--from", "names.csv"][..],
        &["user", "create", "--from", "names.csv", "--reveal", "line"],
        &["user", "create", "--output-dir", "passwords"],
        &["user", "create", "a@example.com", "--from", "names.csv"],
        &[
            "user",
            "create",
            "--from",
            "missing.csv",
            "--reveal",
            "json",
        ],
        &["user", "create", "--from", ".", "--reveal", "json"],
    ] {
        assert_eq!(sandbox.run(args).code, 2, "{args:?}");
    }
    assert!(usernames(&sandbox).len() <= 1);
}

#[test]
fn a_stream_has_a_line_for_each_user_and_says_what_is_committed() {
    let sandbox = sandbox();
    let names: Vec<_> = (0..40).map(|i| format!("{{\"name\":\"n{i}\"}}")).collect();
    let text = format!("\u{feff} [{}]", names.join(","));
    let args = ["--from", "-", "--domain", "example.com", "--json"];
    let run = sandbox.run_with_stdin(&[&["user", "create"][..], &args].concat(), text.as_bytes());
    assert_eq!(run.code, 0, "{}", run.stderr);
    let lines: Vec<serde_json::Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (credentials, commits): (Vec<_>, Vec<_>) =
        lines.iter().partition(|line| line["created"].is_null());
    assert_eq!(credentials.len(), 40);
    assert_eq!(commits.last().unwrap()["created"], 40);
    for (i, line) in credentials.iter().enumerate() {
        let username = format!("n{i}@example.com");
        assert_eq!(line["username"], username, "in the order of the file");
        assert_eq!(line["password_id"], users(&sandbox)[&username]);
    }
    let last = credentials[39]["password"].as_str().unwrap();
    assert_eq!(sandbox.verify("n39@example.com", last), 0);

    let csv = "name\nx@example.com\n";
    let args = ["user", "create", "--from", "-", "--format", "csv", "-q"];
    let run = sandbox.run_with_stdin(&args, csv.as_bytes());
    let mut rows = csv::Reader::from_reader(run.stdout.as_bytes());
    let row = rows.records().next().unwrap().unwrap();
    assert_eq!(sandbox.verify(&row[0], &row[1]), 0);
}

#[test]
fn a_terminal_shows_how_far_it_is() {
    let sandbox = sandbox();
    names(&sandbox, 60);
    folder(&sandbox);
    let pty = Pty::run(&sandbox.command(&TO_FOLDER));
    let ended = pty.end();
    assert_eq!(ended.code, 0);
    let printed = String::from_utf8_lossy(&ended.printed).into_owned();
    assert!(printed.contains("/60"), "{printed}");
    assert!(printed.contains("created 60 users; passwords are in passwords"));
}

/// Taken for one user, a dry run would create, and a folder would get no password.
#[test]
fn flags_of_many_are_refused_for_one() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.folder.path().join("passwords")).unwrap();
    for one in [
        &["shop@example.com"][..],
        &["--domain", "example.com", "--label", "Shop"],
        &["--domain", "example.com"],
        &["shop@example.com", "--output", "pw"],
    ] {
        for many in [
            &["--dry-run"][..],
            &["--output-dir", "passwords"],
            &["--skip-existing"],
        ] {
            let run = sandbox.run(&[&["user", "create"], one, many].concat());
            assert_eq!(run.code, 2, "{one:?} {many:?}: {run:?}");
            assert_eq!(run.stdout, "");
        }
    }
    assert_eq!(sandbox.json(&["user", "list"]), serde_json::json!([]));
    let args = [
        "user",
        "rotate",
        "shop@example.com",
        "--overlap",
        "1h",
        "--overlap-max",
        "2h",
    ];
    assert_eq!(sandbox.run(&args).code, 2);
}

#[test]
fn a_dry_run_says_the_same_of_a_store_that_is_yet_to_be() {
    let sandbox = Sandbox::empty();
    write(&sandbox, "username,label\na@example.com,\nb@example.com,\n");
    folder(&sandbox);
    for to in [TO_FOLDER, TO_STREAM] {
        let dry = [&to[..], &["--add-domain", "--dry-run"]].concat();
        let run = sandbox.run(&dry);
        assert_eq!(run.code, 0, "{run:?}");
        assert_eq!(run.stderr, "would create 2 users\n");
        assert!(run.stdout.contains("b@example.com"), "{run:?}");
        // The run itself would not make one either.
        let run = sandbox.run(&[&to[..], &["--dry-run"]].concat());
        assert_eq!(run.code, 75, "{run:?}");
    }
    write(
        &sandbox,
        "username,label,domain\n,Shop,example.com\na@example.com,,\na@example.com,,\n",
    );
    let dry = [
        &TO_FOLDER[..],
        &["--add-domain", "--dry-run", "--skip-existing"],
    ]
    .concat();
    let run = sandbox.run(&dry);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stdout.contains("is in row 3, too"), "{run:?}");
    let url = [
        &TO_FOLDER[..],
        &["--add-domain", "--dry-run", "--reveal", "url"],
    ]
    .concat();
    write(&sandbox, "username\na@example.com\n");
    assert_eq!(sandbox.run(&url).code, 4, "no server is named");
    // Nor does a run that finds something in the way.
    write(&sandbox, "username\nbad name\n");
    let run = sandbox.run(&[&TO_FOLDER[..], &["--add-domain"]].concat());
    assert_eq!(run.code, 2, "{run:?}");
    assert!(!sandbox.store().exists(), "a dry run makes no store");
    assert_eq!(files(&sandbox).0.len(), 0);
    write(&sandbox, "username\na@example.com\n");
    sandbox.noted(&[&TO_FOLDER[..], &["--add-domain"]].concat());
}

#[test]
fn hints_name_what_there_is() {
    let sandbox = sandbox();
    write(&sandbox, "username\nbad name\n");
    folder(&sandbox);
    let run = sandbox.run(&TO_FOLDER);
    assert!(
        run.stderr.contains("hint: fix the rows listed above"),
        "{run:?}"
    );
    assert!(!run.stderr.contains("--skip-bad"), "{run:?}");
    write(&sandbox, "username\na@example.com\n");
    fs::remove_dir(folder(&sandbox)).unwrap();
    let plan = sandbox.folder.path().join("plan.toml");
    fs::write(&plan, "[users.\"b@example.com\"]\n").unwrap();
    let apply = ["apply", "plan.toml", "--output-dir", "passwords"];
    for args in [&TO_FOLDER[..], &apply] {
        let run = sandbox.run(args);
        assert_eq!(run.code, 74, "{run:?}");
        assert!(run.stderr.contains("no folder passwords"), "{run:?}");
        assert!(run.stderr.contains("mkdir -m 700"), "{run:?}");
        assert!(!run.stderr.contains("--output FILE"), "{run:?}");
    }
}
