//! Help: `-h` is at most a screen, `--help` is laid out by one rule, nothing is wider than the
//! terminal.

use clap::Command;

use crate::support::Sandbox;

/// The command lines of all commands.
fn all() -> Vec<Vec<String>> {
    fn below(command: &Command, path: &[String], found: &mut Vec<Vec<String>>) {
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let path = [path, &[sub.get_name().to_owned()]].concat();
            below(sub, &path, found);
            found.push(path);
        }
    }
    let mut found = Vec::new();
    below(&smtpcred::cli::command(), &[], &mut found);
    found
}

fn help(sandbox: &Sandbox, path: &[String], flag: &str) -> String {
    let mut args = path.to_vec();
    args.push(flag.to_owned());
    sandbox.ok(&args)
}

#[test]
fn short_help_is_a_screen_with_examples() {
    let sandbox = Sandbox::empty();
    let mut bad = Vec::new();
    for path in all() {
        let text = help(&sandbox, &path, "-h");
        let lines = text.lines().count();
        let examples = text.lines().skip_while(|line| *line != "Examples:");
        let examples = examples.filter(|line| {
            line.contains("smtpcred ") && line.contains(&path[0]) && !line.contains("--help")
        });
        let examples = examples.count();
        if lines > 40 || examples < 2 {
            bad.push(format!(
                "{}: {lines} lines, {examples} examples",
                path.join(" ")
            ));
        }
    }
    assert!(bad.is_empty(), "\n{}", bad.join("\n"));
}

#[test]
fn no_line_of_help_is_wider_than_80_columns() {
    let sandbox = Sandbox::empty();
    let mut bad = Vec::new();
    for path in all().into_iter().chain([Vec::new()]) {
        for flag in ["-h", "--help"] {
            let text = help(&sandbox, &path, flag);
            let wide = text.lines().filter(|line| line.chars().count() > 80);
            bad.extend(wide.map(|line| format!("{} {flag}: {line}", path.join(" "))));
        }
    }
    assert!(bad.is_empty(), "\n{}", bad.join("\n"));
}

/// A usage line names what is needed, not what was typed.
#[test]
fn usage_does_not_repeat_the_store() {
    let sandbox = Sandbox::empty();
    for args in [
        &["user", "show"][..],
        &["--store", "x", "user", "show"],
        &["user", "list", "--no-such"],
        &["user"],
        &["test", "a@example.com", "--port"],
    ] {
        let run = sandbox.run(args);
        assert_eq!(run.code, 2, "{run:?}");
        let usage = run.stderr.lines().find(|line| line.starts_with("Usage:"));
        assert!(
            usage.is_none_or(|usage| !usage.contains("--store")),
            "{run:?}"
        );
    }
}
