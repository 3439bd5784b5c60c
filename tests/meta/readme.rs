//! What the README promises is what the program does.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use smtpcred::error::Exit;

use crate::support::{self, Sandbox};

fn document(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

fn readme() -> String {
    document("README.md")
}

#[test]
fn the_page_for_scripts_lists_every_exit_code() {
    for (exit, meaning) in Exit::TABLE {
        let row = format!("| {} | {meaning} |\n", exit as u8);
        let text =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/scripts.md"));
        assert!(text.unwrap().contains(&row), "{row}");
    }
}

#[test]
fn its_main_command_does_the_main_job() {
    let command = readme()
        .lines()
        .find_map(|line| {
            line.strip_prefix("$ cargo run --release -- ")
                .map(str::to_owned)
        })
        .expect("the main command");
    let sandbox = Sandbox::empty();
    let args: Vec<&str> = command.split(' ').collect();
    let password = sandbox.noted(&args);
    assert_eq!(sandbox.verify("shop@example.com", password.trim()), 0);
}

/// One command does the main job on a fresh machine, another runs the tests.
#[test]
fn its_set_up_is_two_commands() {
    let typed = shown();
    for command in [
        "cargo run --release -- user create shop@example.com --add-domain",
        "tests/run",
    ] {
        assert!(
            typed.iter().any(|shown| shown.command == command),
            "{command}"
        );
    }
}

#[test]
fn its_password_has_the_published_form() {
    use smtpcred::model::password::{PasswordKind, classify};
    let readme = readme();
    let shown = readme
        .lines()
        .find_map(|line| line.trim().strip_prefix("Password   "))
        .expect("the panel");
    assert!(
        matches!(
            classify(shown.trim().as_bytes()),
            PasswordKind::Generated(_)
        ),
        "{shown}"
    );
}

/// A command of a document and what it prints there.
pub struct Shown {
    section: String,
    pub command: String,
    output: Vec<String>,
}

/// Everything that is typed in the README.
fn shown() -> Vec<Shown> {
    shown_in("README.md")
}

/// What is typed in this section of a document.
fn section(file: &str, title: &str) -> Vec<Shown> {
    let mut all = shown_in(file);
    all.retain(|shown| shown.section == title);
    all
}

/// The commands of the README for a relay with the package.
pub fn for_a_relay() -> Vec<Shown> {
    section("README.md", RELAY)
}

fn shown_in(file: &str) -> Vec<Shown> {
    let mut found: Vec<Shown> = Vec::new();
    let (mut section, mut in_block) = (String::new(), false);
    for line in document(file).lines() {
        if let Some(title) = line.strip_prefix("## ") {
            title.clone_into(&mut section);
        } else if line.starts_with("```") {
            in_block = line == "```console";
        } else if in_block {
            let typed = line.strip_prefix("$ ").or_else(|| line.strip_prefix("# "));
            if let Some(command) = typed {
                found.push(Shown {
                    section: section.clone(),
                    command: command.to_owned(),
                    output: Vec::new(),
                });
            } else {
                let last = found.last_mut().expect("a command");
                last.output.push(line.to_owned());
            }
        }
    }
    found
}

/// Puts names in place of what differs from run to run.
fn normalised(line: &str) -> String {
    let mut line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    for (pattern, name) in [
        (r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z", "TIME"),
        (r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "DATE"),
        (r"\b[0-9]+[smhd]\b", "AGE"),
        (r"\b[2-9A-HJ-NP-Za-km-z]{8}\b", "ID"),
        (r"\b[0-9]+ ms\b", "TOOK"),
        (r"queued as [0-9A-F]+", "queued as NNNN"),
        (r"wordpress-[a-z0-9]{4}", "wordpress-NNNN"),
        (r"(GID|UID) [0-9]+", "$1 N"),
    ] {
        let pattern = regex::Regex::new(pattern).unwrap();
        line = pattern.replace_all(&line, name).into_owned();
    }
    line
}

/// Fails unless this is what the README shows; `…` stands for any lines.
pub fn prints(shown: &Shown, output: &str) {
    let printed: Vec<_> = output.lines().map(normalised).collect();
    let mut rest = &printed[..];
    let mut skips = false;
    for line in &shown.output {
        if line == "…" {
            skips = true;
            continue;
        }
        let line = normalised(line);
        let at = rest.iter().position(|printed| *printed == line);
        let at = at.filter(|at| skips || *at == 0);
        let at = at.unwrap_or_else(|| panic!("{}: no {line:?} in {output}", shown.command));
        rest = &rest[at + 1..];
        skips = false;
    }
    assert!(rest.is_empty() || skips, "{}: {output}", shown.command);
}

const RELAY: &str = "The first relay";

/// The command that makes one.
pub const SET_UP: &str = "smtpcred setup postfix --host smtp.example.com";

/// Run by tests of their own, or by this very one.
const ELSEWHERE: [&str; 6] = [
    "apt install ",
    "cargo install ",
    "cargo run ",
    "git clone ",
    "tar -C /usr/local ",
    "tests/run",
];

#[test]
fn its_commands_print_what_it_shows() {
    let sandbox = Sandbox::empty();
    sandbox.noted(&["user", "create", "shop@example.com", "--add-domain"]);
    // What the examples reach out to.
    let bin = sandbox.folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for (name, does) in [
        ("ssh", "exec cat > /dev/null"),
        ("systemctl", ":"),
        ("runuser", "shift 3; exec \"$@\""),
    ] {
        let stub = bin.join(name);
        fs::write(&stub, format!("#!/bin/sh\n{does}\n")).unwrap();
        fs::set_permissions(&stub, fs::Permissions::from_mode(0o755)).unwrap();
    }
    std::os::unix::fs::symlink(support::PROGRAM, bin.join("smtpcred")).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut ran = 0;
    for shown in shown() {
        let elsewhere = ELSEWHERE
            .iter()
            .any(|start| shown.command.starts_with(start));
        if elsewhere || shown.section == RELAY {
            continue;
        }
        let script = format!("exec 2>&1; {}", shown.command);
        let run = sandbox
            .other_command("sh", &["-c", &script])
            .env("PATH", &path)
            .output();
        let run = support::finished(run.expect("a shell"));
        prints(&shown, &run.stdout);
        ran += 1;
    }
    assert!(ran > 10, "{ran} commands");
}

#[test]
#[ignore = "needs root, Postfix and systemd: run tests/run"]
fn ten_minutes_by_hand_lead_to_a_relay() {
    let commands = section("docs/install.md", "By hand");
    assert!(commands.len() > 9, "{} commands", commands.len());
    // What is in the README but the set-up, which booted systems try, is tried here.
    for shown in for_a_relay() {
        let here = commands.iter().any(|one| one.command == shown.command);
        assert!(here || shown.command == SET_UP, "{}", shown.command);
    }
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("commands");
    let lines: String = commands
        .iter()
        .map(|shown| shown.command.clone() + "\n")
        .collect();
    fs::write(&list, lines).unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let script = format!("{root}/tests/support/ten-minutes.sh");
    let run = Command::new("unshare")
        .args([
            "--mount",
            "--net",
            "--pid",
            "--fork",
            "--mount-proc",
            "bash",
        ])
        .args([&script, root, support::PROGRAM])
        .arg(&list)
        .output();
    let run = support::finished(run.expect("unshare: run tests/run"));
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    let mut rest = run.stdout.as_str();
    for (i, shown) in commands.iter().enumerate() {
        let begun = rest.split_once(&format!("# {}\n", shown.command));
        rest = begun
            .unwrap_or_else(|| panic!("{}: {rest}", shown.command))
            .1;
        let end = commands
            .get(i + 1)
            .map_or("the units are good\n".to_owned(), |next| {
                format!("# {}\n", next.command)
            });
        let output = rest.split_once(&end).map(|(output, _)| output);
        prints(shown, output.unwrap_or_else(|| panic!("{end}: {rest}")));
    }
}

/// An admin must not believe that more is checked than is.
#[test]
fn what_is_not_checked_of_senders_is_said() {
    let sandbox = Sandbox::empty();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("man/smtpcred-serve.1");
    let serve = fs::read_to_string(page).unwrap();
    let user_set = sandbox.ok(&["user", "set", "--help"]);
    for text in [readme(), serve.clone(), user_set] {
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let words = words.replace('`', "");
        assert!(words.contains("not the From header") || words.contains("is not checked"));
        assert!(
            words.contains("very user may use the null sender"),
            "{words}"
        );
    }
    // What it advises works.
    assert!(serve.contains("check_sender_access,inline:{<>=REJECT}"));
    assert!(serve.contains("milter") && serve.contains("header_checks"));
}

/// Messages, manual pages and the README name files that are shipped.
#[test]
fn every_file_that_is_named_is_shipped() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![
        root.join("README.md"),
        root.join("SECURITY.md"),
        root.join("CONTRIBUTING.md"),
    ];
    for folder in ["src", "man", "docs", "dist"] {
        all_files(&root.join(folder), &mut files);
    }
    let named = regex::Regex::new(r"\b(?:dist|docs)/[A-Za-z0-9_./-]*[A-Za-z0-9_]").unwrap();
    let mut found = 0;
    for file in files {
        // roff writes a hyphen so.
        let text = fs::read_to_string(&file).unwrap().replace("\\-", "-");
        for path in named.find_iter(&text) {
            // Of an address elsewhere.
            let before = &text[..path.start()];
            if before.ends_with('/') {
                continue;
            }
            found += 1;
            let there = root.join(path.as_str()).exists();
            assert!(there, "{} names {}", file.display(), path.as_str());
        }
    }
    assert!(found > 5, "no name was found");
}

fn all_files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all_files(&path, found);
        } else {
            found.push(path);
        }
    }
}
