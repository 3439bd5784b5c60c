//! Command lines of holders that pass, and thousands that do not.

use clap::CommandFactory as _;

use super::*;

fn outcome(line: &str, role: HolderRole) -> std::result::Result<Cli, String> {
    let holder: HolderName = "ana".parse().unwrap();
    let words = split(line)
        .and_then(checked)
        .map_err(|error| error.to_string())?;
    parse(&words, &holder, role).map_err(|refused| match refused {
        Refused::Error(error) => error.to_string(),
        Refused::Clap(error) => format!("clap: {}", error.kind()),
    })
}

fn passes(line: &str, role: HolderRole) -> bool {
    outcome(line, role).is_ok()
}

#[test]
fn each_role_may_use_its_commands() {
    use HolderRole::{Operator, Own, Viewer};
    for line in [
        "user list",
        "user ls --json",
        "smtpcred user list --domain example.com --limit 3",
        "--json user list 'two words'",
        "user show shop@example.com --format json",
        "domain list",
        "why shop@example.com",
        "show-settings shop@example.com --for msmtp",
    ] {
        assert!(passes(line, Viewer), "{line}");
        assert!(passes(line, Operator), "{line}");
    }
    for line in [
        "user create shop@example.com --label 'My shop' --limit messages/hour=5",
        "user passwd shop@example.com --overlap 24h",
        "user rotate shop@example.com",
        "user rm shop@example.com --yes",
        "user set shop@example.com --label none",
        "user suspend --domain example.com --yes",
    ] {
        assert!(passes(line, Operator), "{line}");
        assert!(!passes(line, Viewer), "{line}");
    }
    assert!(passes("user reset shop@example.com --overlap 24h", Own));
    assert!(passes("user show shop@example.com", Own));
    assert!(!passes("user list", Own));
    assert!(!passes("user suspend shop@example.com", Own));
}

#[test]
fn nothing_else_passes() {
    for line in [
        "--store /tmp/x user list",
        "user list --store=/tmp/x",
        "user list --store ''",
        "user reset shop@example.com --output /tmp/x",
        "user reset shop@example.com --output=/tmp/x",
        "user reset shop@example.com --output-dir /tmp",
        "user reset shop@example.com --password-file /etc/shadow",
        "user reset shop@example.com --password-stdin",
        "user reset shop@example.com --copy desktop",
        "user rotate shop@example.com --deliver 'sh -c id'",
        "user rotate shop@example.com --write-file /etc/x",
        "user rotate shop@example.com --write-env /etc/x",
        "user rotate shop@example.com --trust-store",
        "user rotate shop@example.com --prove=evil.example:25",
        "user rotate --due",
        "user create --file names.csv",
        "user create shop@example.com --add-domain",
        "user create shop@example.com --sender evil.example",
        "user set shop@example.com --on-limit delete",
        "user set shop@example.com --addresses any",
        "show-settings",
        "show-settings --for list",
        "test shop@example.com --to a@example.org --server evil.example:25",
        "user import x.csv",
        "user export",
        "apply plan.toml",
        "store copy a b",
        "store status",
        "config set pager 'sh'",
        "role grant ana --role operator",
        "as root -- user list",
        "serve",
        "setup postfix",
        "scan /etc",
        "completion bash",
        "generate /tmp",
        "write-as-owner",
        "clipboard-owner",
        "password-strength",
        "status --watch",
        "audit list",
        // No abbreviations, no response files, nothing of a shell.
        "us list",
        "user li",
        "user list --dom example.com",
        "user list -j",
        "@args",
        "user list; id",
        "user list && id",
        "user list | sh",
        "user show $(id)",
        "user show `id`",
        "user list a\nid",
        "user list > /tmp/x",
        "user 'list",
        "user show -- --store=/x",
        "user reset -- --output",
        "",
        "-",
        "--",
        "''",
    ] {
        assert!(!passes(line, HolderRole::Operator), "{line}");
    }
    assert!(!passes(&"x".repeat(1 << 20), HolderRole::Operator));
    assert!(!passes(&"user list ".repeat(1000), HolderRole::Operator));
    assert!(!passes(
        "user show 'shop@example.com\0'",
        HolderRole::Operator
    ));
    // A newline separates words, as a space does.
    assert!(passes("user\nlist", HolderRole::Viewer));
}

/// A line passes only if the whole program parses it, too, and every argument that was given
/// is on the list; here that is looked up in the words.
#[test]
fn ten_thousand_random_lines_bring_nothing_through() {
    let words = vocabulary();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let mut passed = 0;
    for _ in 0..10_000 {
        let mut line = Vec::new();
        if next(3) > 0 {
            line.push(["user list", "user reset", "user set", "why", "user create"][next(5)]);
            line.push(["shop@example.com", "", "--json"][next(3)]);
        }
        for _ in 0..next(5) {
            line.push(&words[next(words.len())]);
        }
        let line = line.join([" ", "  ", "\n", " -- "][next(4)]);
        let role = HolderRole::ALL[next(3)];
        if !passes(&line, role) {
            continue;
        }
        passed += 1;
        let split = split(&line).unwrap();
        for word in &split {
            let flag = word.split('=').next().unwrap_or_default();
            assert!(!NEVER.contains(&flag), "{role}: {line}");
        }
        let may = allowed::commands(role);
        let said: Vec<_> = split.iter().filter(|word| !word.starts_with('-')).collect();
        let begins = |command: &&str| {
            let first = command.split(' ').next().unwrap_or_default();
            said.iter().any(|word| *word == first)
        };
        assert!(may.iter().any(begins), "{role}: {line}");
    }
    assert!(passed > 50, "only {passed} passed");
}

const NEVER: [&str; 18] = [
    "--store",
    "--output",
    "--output-dir",
    "--password-file",
    "--password-stdin",
    "--choose-password",
    "--file",
    "--deliver",
    "--write-file",
    "--write-env",
    "--trust-store",
    "--server",
    "--add-domain",
    "--sender",
    "--on-limit",
    "--due",
    "--prove",
    "--copy",
];

/// All commands and flags, and what strangers write.
fn vocabulary() -> Vec<String> {
    let mut words: Vec<String> = [
        "'",
        "\"",
        ";",
        "|",
        "$(id)",
        "`id`",
        "&&",
        ">",
        "\0",
        "\\",
        "--",
        "-",
        "-j",
        "-y",
        "@f",
        "shop@example.com",
        "example.com",
        "/etc/shadow",
        "../x",
        "1",
        "24h",
        "--store=/x",
        "--output=/x",
        "messages/day=1",
        "\u{202e}",
        "#",
        "*",
        "~",
        "as",
        "smtpcred",
    ]
    .map(str::to_owned)
    .into();
    let mut command = Cli::command();
    command.build();
    let mut left = vec![&command];
    while let Some(command) = left.pop() {
        words.push(command.get_name().to_owned());
        words.extend(command.get_all_aliases().map(str::to_owned));
        for arg in command.get_arguments() {
            words.extend(arg.get_long().map(|long| format!("--{long}")));
            words.extend(arg.get_short().map(|short| format!("-{short}")));
        }
        left.extend(command.get_subcommands());
    }
    words
}
