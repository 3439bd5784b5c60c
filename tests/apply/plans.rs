//! `apply`: a plan is made so, once, and what is wrong with one changes nothing.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::apply::Ground;
use crate::support::{self, Run};

#[test]
fn p2_passwords_go_where_the_plan_says_and_work() {
    let ground = Ground::new();
    let plan = ground.plan(
        r#"
        [settings]
        host = "smtp.example.com"
        write_file = "FOLDER/all/{username}"
        [domains."example.com"]
        write_env = "FOLDER/domain/{username}.env"
        [domains."example.org"]
        [users."shop@example.com"]
        label = "Shop"
        deliver = "sh -c 'cat > FOLDER/shop; env | grep ^SMTPCRED_ | sort > FOLDER/variables'"
        [users."crm@example.com"]
        [users."app@example.org"]
        suspended = true
        "#,
    );
    for folder in ["all", "domain"] {
        fs::create_dir(ground.path(folder)).unwrap();
    }
    let run = ground.apply(&plan, &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let line = ground.text("domain/crm@example.com.env");
    let of_crm = line.strip_prefix("SMTP_PASSWORD=").unwrap();
    assert!(ground.works("shop@example.com", &ground.text("shop")));
    assert!(ground.works("crm@example.com", of_crm));
    // Suspended, it has a password all the same.
    ground.sandbox.noted(&["user", "resume", "app@example.org"]);
    assert!(ground.works("app@example.org", &ground.text("all/app@example.org")));
    let variables = ground.text("variables");
    assert!(
        variables.contains("SMTPCRED_HOST=smtp.example.com"),
        "{variables}"
    );
    assert!(!variables.contains("OLD_PASSWORD"), "{variables}");
    let actions = ground.actions();
    assert_eq!(
        actions,
        [
            "settings.set",
            "domain.add example.com",
            "domain.add example.org",
            // In the order in which their passwords arrive.
            "user.create app@example.org",
            "user.create crm@example.com",
            "user.create shop@example.com",
            "user.suspend app@example.org",
            "user.resume app@example.org",
        ]
    );
}

#[test]
fn flags_and_rules_of_the_store_say_where_to_as_well() {
    let ground = Ground::new();
    let plan = ground
        .plan("[domains.\"example.com\"]\n[users.\"a@example.com\"]\n[users.\"b@example.com\"]\n");
    let folder = ground.path("out");
    let to_folder = ["--output-dir", folder.to_str().unwrap()];
    let run = ground.apply(&plan, &to_folder);
    assert_eq!(run.code, 74, "there is no such folder: {}", run.stderr);
    fs::create_dir(&folder).unwrap();
    let shared = ground.apply(&plan, &["--write-file", "both"]);
    assert_eq!(shared.code, 2);
    assert!(
        shared.stderr.contains("add {username} to its name"),
        "{}",
        shared.stderr
    );
    assert_eq!(ground.actions(), [""; 0]);
    assert_eq!(ground.apply(&plan, &to_folder).code, 0);
    assert!(ground.works("a@example.com", &ground.text("out/a@example.com")));
    assert!(ground.works("b@example.com", &ground.text("out/b@example.com")));

    let command = format!("sh -c 'cat > {}'", ground.path("c").display());
    ground
        .sandbox
        .noted(&["domain", "set", "example.com", "--deliver", &command]);
    let plan = ground.plan("[users.\"c@example.com\"]\n");
    assert_eq!(ground.apply(&plan, &["--trust-store"]).code, 0);
    assert!(ground.works("c@example.com", &ground.text("c")));
}

#[test]
fn applied_twice_it_changes_nothing() {
    let ground = Ground::new();
    let plan = ground.plan(
        r#"
        [settings]
        host = "smtp.example.com"
        ports = [587, 465]
        argon2 = "m=19456,t=2,p=1"
        accept_hash = ["argon2", "bcrypt"]
        day = "UTC"
        allow_insecure = false
        require_verified_domains = false
        daily_limit = 100000
        limits = { "recipients/hour" = 500 }
        on_limit = "defer"
        rotate_every = "14d"
        deliver_timeout = "90s"
        [domains."example.com"]
        host = "mx.example.com"
        max_users = 3
        daily_limit = 5000
        limits = { "messages/minute" = 5, "new-recipients/day" = 9 }
        on_limit = "reject"
        rotate_every = "100h"
        write_file = "FOLDER/{username}"
        write_env = "none"
        env_name = "MAIL_PASSWORD"
        [users."shop@example.com"]
        label = "Shop, \"new\""
        daily_limit = "none"
        limits = { "messages/day" = 7, "messages/hour" = 2 }
        senders = ["z@example.org", "example.com", "A@example.org"]
        expires_at = 2037-06-30T18:00:00+02:00
        suspended = true
        on_limit = "suspend"
        rotate_every = "1y"
        "#
        .replace("daily_limit = \"none\"\n", "\n")
        .as_str(),
    );
    let dry = ground.apply(&plan, &["--dry-run"]);
    assert_eq!(dry.code, 8, "{}", dry.stderr);
    assert!(!ground.sandbox.store().exists(), "a dry run makes no store");
    let run = ground.apply(&plan, &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(run.stdout, dry.stdout, "what was shown is what was done");
    let history = ground.actions();
    for more in [&[][..], &["--dry-run"], &["--prune", "--yes"], &["--prune"]] {
        let again = ground.apply(&plan, more);
        let expected = Run {
            code: 0,
            stdout: String::new(),
            stderr: "nothing to change\n".into(),
        };
        assert_eq!(again, expected, "{more:?}");
    }
    let json = ground.sandbox.json(&["apply", plan.to_str().unwrap()]);
    assert_eq!(json, json!({"changes": [], "applied": true}));
    assert_eq!(ground.actions(), history);
    let user = ground.sandbox.json(&["user", "show", "shop@example.com"]);
    assert_eq!(user["limits"], json!({"messages/hour": 2}));
    assert_eq!(user["daily_limit"], 7);
    assert_eq!(user["expires_at"], "2037-06-30T16:00:00Z");
}

#[test]
fn what_is_not_named_stays_and_none_takes_away() {
    let ground = Ground::new();
    let all = ground.plan(
        r#"
        [domains."example.com"]
        daily_limit = 10
        limits = { "messages/hour" = 5, "recipients/day" = 6 }
        write_file = "FOLDER/{username}"
        [users."a@example.com"]
        label = "A"
        senders = ["example.org"]
        rotate_every = "90d"
        "#,
    );
    assert_eq!(ground.apply(&all, &[]).code, 0);
    let some = ground.plan(
        r#"
        [domains."example.com"]
        limits = { "messages/hour" = "none" }
        [users."a@example.com"]
        senders = "none"
        rotate_every = "none"
        "#,
    );
    let run = ground.apply(&some, &["--json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let said: Value = serde_json::from_str(&run.stdout).unwrap();
    let fields: Vec<_> = said["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["fields"])
        .collect();
    assert_eq!(
        fields,
        [
            &json!({"messages/hour": {"from": 5, "to": null}}),
            &json!({
                "senders": {"from": ["example.org"], "to": null},
                "rotate_every": {"from": "90d", "to": null},
            }),
        ]
    );
    let domain = ground.sandbox.json(&["domain", "show", "example.com"]);
    assert_eq!(
        (&domain["daily_limit"], &domain["limits"]),
        (&json!(10), &json!({"recipients/day": 6}))
    );
    let user = ground.sandbox.json(&["user", "show", "a@example.com"]);
    assert_eq!(
        (&user["label"], &user["senders"]),
        (&json!("A"), &json!([]))
    );
}

#[test]
fn all_that_is_in_the_way_is_told_before_anything_changes() {
    let ground = Ground::new();
    let plan = ground.plan(
        r#"
        [settings]
        host = "smtp.example.com"
        [domains."example.com"]
        max_users = 2
        [users."nowhere@example.com"]
        [users."a@example.com"]
        write_file = "/root/one"
        [users."b@example.com"]
        write_env = "/root/one"
        [users."c@example.net"]
        write_env = "/root/two"
        [users."d@example.net"]
        write_env = "/root/two"
        env_name = "OTHER"
        "#,
    );
    for more in [&[][..], &["--dry-run"]] {
        let run = ground.apply(&plan, more);
        assert_eq!(run.code, 2);
        for said in [
            "domains.\"example.com\"         would have 3 users, and has its limit of 2",
            "users.\"nowhere@example.com\"   no delivery is set for the new password of nowhere@example.com",
            "users.\"b@example.com\"         would overwrite the password of a@example.com in /root/one",
            "users.\"c@example.net\"         belongs to a domain that does not exist: add [domains.\"example.net\"]",
            "users.\"d@example.net\"         belongs to a domain that does not exist",
        ] {
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            let everything = words(&run.stdout);
            assert!(everything.contains(&words(said)), "{said}\n{everything}");
        }
        assert_eq!(run.stdout.lines().count(), 6, "{}", run.stdout);
        assert!(
            run.stderr.starts_with("error: the plan is invalid"),
            "{}",
            run.stderr
        );
    }
    assert!(!ground.sandbox.store().exists());
}

#[test]
fn every_flag_of_the_three_has_its_key() {
    let ground = Ground::new();
    let commands = [
        ("settings", &["set-settings", "--help"][..]),
        ("domains.\"example.com\"", &["domain", "set", "--help"]),
        ("users.\"a@example.com\"", &["user", "set", "--help"]),
    ];
    for (table, help) in commands {
        let help = ground.sandbox.ok(help);
        let flags = help
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("--"));
        let mut keys: Vec<_> = flags
            .map(|flag| flag.split([' ', '=']).next().unwrap().replace('-', "_"))
            .filter(|key| {
                // A plan has no times from now on, and removes a tag by its key, an address by
                // leaving it out, and an alert by its value.
                let of_no_key = ["expires_in", "remove_tag", "disallow", "no_alert"];
                let of_all = ["store", "format", "json", "color", "no_pager"];
                !of_no_key.contains(&key.as_str()) && !of_all.contains(&key.as_str())
            })
            .map(|key| match key.as_str() {
                "limit" => "limits".into(),
                "sender" => "senders".into(),
                "tag" => "tags".into(),
                "allow" => "allowed_addresses".into(),
                "ignore_address" => "ignore_addresses".into(),
                "alert" => "alerts".into(),
                _ => key,
            })
            .collect();
        // A line of text may begin with a flag.
        let mut seen = std::collections::HashSet::new();
        keys.retain(|key| seen.insert(key.clone()));
        assert!(keys.len() > 8, "{keys:?}");
        let of_no_flag = table.starts_with("users").then(|| "suspended".to_owned());
        keys.extend(of_no_flag);
        let wrong: Vec<_> = keys.iter().map(|key| format!("{key} = 1.5")).collect();
        let wrong = wrong.join("\n");
        let run = ground.apply(&ground.plan(&format!("[{table}]\n{wrong}")), &["--json"]);
        let said: Value = serde_json::from_str(&run.stdout).unwrap();
        let said = said.as_array().unwrap();
        assert_eq!(said.len(), keys.len(), "{}", run.stdout);
        for problem in said {
            let reason = problem["reason"].as_str().unwrap();
            assert!(
                reason.starts_with("is a number with a fraction, but must be"),
                "{problem}"
            );
        }
    }
}

#[test]
fn users_that_are_not_named_are_deleted_where_that_is_said_twice() {
    let ground = Ground::new();
    ground.sandbox.noted(&["domain", "add", "example.com"]);
    ground.sandbox.noted(&["domain", "add", "example.net"]);
    for name in [
        "a@example.com",
        "b@example.com",
        "c@example.com",
        "a@example.net",
    ] {
        ground.sandbox.create(name);
    }
    let plan = ground.plan(
        "[domains.\"example.com\"]\ndaily_limit = 5\n[users.\"b@example.com\"]\n[users.\"a@example.net\"]\nlabel = \"A\"\n",
    );
    let before = ground.actions();
    let run = ground.apply(&plan, &["--prune"]);
    assert_eq!(run.code, 5);
    assert!(
        run.stderr.contains("deleting users needs a confirmation"),
        "{}",
        run.stderr
    );
    assert!(
        run.stdout
            .contains("\n- user a@example.com\n- user c@example.com\n"),
        "{}",
        run.stdout
    );
    let run = ground.apply(&plan, &["--prune", "--json"]);
    let said: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, &said["applied"]), (5, &json!(false)));
    assert_eq!(ground.actions(), before, "not even the limit was set");
    // Without --prune nobody is deleted, nor asked about.
    assert_eq!(
        ground
            .apply(&plan, &["--dry-run"])
            .stdout
            .matches("- user")
            .count(),
        0
    );
    assert_eq!(ground.apply(&plan, &["--prune", "--yes"]).code, 0);
    assert_eq!(ground.users(), ["a@example.net", "b@example.com"]);
}

#[test]
fn p5_who_stops_reading_the_difference_gets_what_was_asked_for() {
    let ground = Ground::new();
    let plan = ground.plan("[domains.\"example.com\"]\n[domains.\"example.net\"]\n");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = ground.sandbox.command(&["apply", plan.to_str().unwrap()]);
    let output = command.stdout(writer).output().unwrap();
    assert_eq!(support::finished(output).code, 0);
    assert_eq!(ground.actions().len(), 2);
}

#[test]
fn the_plans_that_are_shown_can_be_taken() {
    let ground = Ground::new();
    let help = ground.sandbox.noted(&["apply", "--help"]);
    let (_, rest) = help.split_once("A plan:\n").unwrap();
    let shown = rest
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with(' '));
    let shown = shown.collect::<Vec<_>>().join("\n");
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/apply/relay.toml");
    for plan in [ground.plan(&shown), dist] {
        let run = ground.apply(&plan, &["--dry-run"]);
        assert_eq!(run.code, 8, "{}{}", run.stdout, run.stderr);
        assert!(
            run.stderr.starts_with("would create 3, change 1"),
            "{}",
            run.stderr
        );
    }
}
