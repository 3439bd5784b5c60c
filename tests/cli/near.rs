//! The error for a name that does not exist suggests the one that was meant.

use std::fmt::Write as _;

use crate::support::Sandbox;

fn hint(sandbox: &Sandbox, args: &[&str], code: i32) -> String {
    let run = sandbox.run(&[args, &["--json"]].concat());
    assert_eq!(run.code, code, "{args:?}: {run:?}");
    let error: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
    error["error"]["hint"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn the_name_in_the_store_that_was_meant_is_offered() {
    let sandbox = Sandbox::new();
    for name in [
        "shop@example.com",
        "newsletter@example.com",
        "crm@example.com",
    ] {
        sandbox.create(name);
    }
    sandbox.noted(&["domain", "add", "other.example"]);
    sandbox.noted(&["user", "set", "crm@example.com", "--label", "Customers"]);
    for (typed, meant) in [
        ("shpo@example.com", Some("shop@example.com")),
        ("hsop@example.com", Some("shop@example.com")),
        ("shops@example.com", Some("shop@example.com")),
        ("shop@exmaple.com", Some("shop@example.com")),
        ("shop@example.con", Some("shop@example.com")),
        ("shop@example.org", Some("shop@example.com")),
        ("shop@other.example", Some("shop@example.com")),
        ("news@example.com", Some("newsletter@example.com")),
        ("xyz@example.com", None),
        ("desk@example.com", None),
        ("shop@example.com.invalid.example", Some("shop@example.com")),
    ] {
        for command in [&["user", "show"][..], &["user", "reset"], &["why"]] {
            let hint = hint(&sandbox, &[command, &[typed]].concat(), 3);
            let offered = format!("did you mean {}?", meant.unwrap_or_default());
            assert_eq!(hint.contains(&offered), meant.is_some(), "{typed}: {hint}");
            assert_eq!(
                hint.contains("did you mean"),
                meant.is_some(),
                "{typed}: {hint}"
            );
        }
    }
    for (typed, meant) in [
        ("shop", "shop@example.com"),
        ("news", "newsletter@example.com"),
        ("shpo", "shop@example.com"),
        ("customers", "crm@example.com"),
    ] {
        let hint = hint(&sandbox, &["user", "show", typed], 2);
        assert_eq!(hint, format!("did you mean {meant}?"), "{typed}");
    }
    let domain = hint(&sandbox, &["domain", "show", "exmaple.com"], 3);
    assert!(
        domain.starts_with("did you mean example.com? If not, "),
        "{domain}"
    );
    for command in ["list", "export"] {
        let hint = hint(&sandbox, &["user", command, "--domain", "exmaple.com"], 3);
        assert!(hint.starts_with("did you mean example.com?"), "{hint}");
    }
    // A domain that was removed has events.
    sandbox.noted(&["domain", "remove", "other.example", "--yes"]);
    sandbox.ok(&["audit", "list", "--domain", "other.example"]);
    let run = sandbox.run(&["audit", "list", "--domain", "exmaple.com"]);
    let said = "warning: there is no domain exmaple.com; did you mean example.com?\n";
    assert_eq!((run.code, run.stderr.contains(said)), (0, true), "{run:?}");
}

/// Two that are as near are no answer.
#[test]
fn what_is_not_clear_is_not_offered() {
    let sandbox = Sandbox::new();
    sandbox.create("shop1@example.com");
    sandbox.create("shop2@example.com");
    for (typed, code) in [
        ("shop3@example.com", 3),
        ("shop@example.com", 3),
        ("shop", 2),
    ] {
        let hint = hint(&sandbox, &["user", "show", typed], code);
        assert!(!hint.contains("did you mean"), "{typed}: {hint}");
    }
}

/// Many names that begin alike hide none that differs at its end.
#[test]
fn a_name_among_many_is_found() {
    let sandbox = Sandbox::new();
    let mut rows = String::new();
    for i in 0..3000 {
        write!(
            rows,
            "{}('a{i:05}x@example.com', 'example.com', 1)",
            if i == 0 { "" } else { "," }
        )
        .unwrap();
    }
    sandbox.sql(&format!(
        "INSERT INTO users (username, domain, created_at) VALUES {rows}"
    ));
    let hint = hint(&sandbox, &["user", "show", "a02999y@example.com"], 3);
    assert!(hint.contains("did you mean a02999x@example.com?"), "{hint}");
}

/// The same command line, with what was missing.
#[test]
fn a_missing_store_or_domain_is_added_by_the_same_line() {
    let sandbox = Sandbox::empty();
    let create = ["user", "create", "shop@example.com", "--label", "Web shop"];
    let line = "smtpcred user create shop@example.com --label 'Web shop' --json --add-domain";
    assert!(hint(&sandbox, &create, 75).contains(line));
    sandbox.noted(&["domain", "add", "example.org"]);
    assert!(hint(&sandbox, &create, 3).contains(line));
    let words = shlex::split(line).unwrap();
    assert_eq!(sandbox.run(&words[1..]).code, 0);
}

/// Adding a domain helps who creates or changes something in it, not who removes or looks.
#[test]
fn only_what_needs_a_domain_is_told_to_add_it() {
    let sandbox = Sandbox::new();
    sandbox.create("shop@example.com");
    let list = "list all domains with: smtpcred domain list";
    let add = "add it with: smtpcred domain add none.invalid";
    for (command, expected) in [
        ("domain remove none.invalid --yes", list),
        ("domain show none.invalid", list),
        ("domain check none.invalid", list),
        ("user list --domain none.invalid", list),
        ("domain set none.invalid --max-users 3", add),
        ("user rename shop@example.com shop@none.invalid", add),
    ] {
        let words: Vec<_> = command.split(' ').collect();
        assert_eq!(hint(&sandbox, &words, 3), expected, "{command}");
    }
}

/// The line that was typed, with the new name: it works as it stands.
#[test]
fn an_old_name_is_answered_with_the_same_line() {
    let sandbox = Sandbox::new();
    sandbox.create("shop@example.com");
    sandbox.noted(&["user", "rename", "shop@example.com", "store@example.com"]);
    for (typed, line) in [
        (
            "why shop@example.com",
            "smtpcred why store@example.com --json",
        ),
        (
            "user set Shop@example.com --label 'Web shop'",
            "smtpcred user set store@example.com --label 'Web shop' --json",
        ),
    ] {
        let words = shlex::split(typed).unwrap();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let hint = hint(&sandbox, &words, 3);
        let said = format!("; use the new name: {line}");
        assert!(hint.ends_with(&said), "{typed}: {hint}");
        let meant = shlex::split(line).unwrap();
        assert_eq!(sandbox.run(&meant[1..]).code, 0, "{line}");
    }
    // With the new name twice, it would make no sense.
    let copy = ["user", "copy", "shop@example.com", "store@example.com"];
    let hint = hint(&sandbox, &copy, 3);
    assert!(hint.ends_with("; use the new name"), "{hint}");
}
