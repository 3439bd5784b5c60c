//! The rules for other scanners find what smtpcred generates. detect-secrets is run; gitleaks,
//! trufflehog and GitHub are not packaged, so their patterns are tried as regular expressions.

use std::fs;
use std::process::Command;

use regex::Regex;

use crate::support::clients::FETCHED;
use crate::support::{Sandbox, finished};

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/dist/scanners");

/// Lines with a password, and lines that only look like one.
fn lines(sandbox: &Sandbox) -> (Vec<String>, Vec<String>) {
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for i in 0..20 {
        let password = sandbox.create(&format!("user{i}@example.com"));
        good.push(format!("SMTP_PASSWORD=\"{password}\""));
        bad.push(format!("SMTP_PASSWORD=\"{}\"", &password[..35]));
        bad.push(format!("SMTP_PASSWORD=\"{}\"", password.to_uppercase()));
        bad.push(format!("x_{password}y"));
    }
    (good, bad)
}

/// What stands in the line of the rule that begins so, without quotes.
fn pattern(file: &str, begins: &str) -> Regex {
    let text = fs::read_to_string(format!("{RULES}/{file}")).unwrap();
    let mut lines = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix(begins));
    let pattern = lines.next().expect("the pattern").trim().trim_matches('\'');
    Regex::new(pattern).unwrap()
}

#[test]
fn patterns_find_passwords_and_nothing_shorter_or_longer() {
    let sandbox = Sandbox::new();
    let (good, bad) = lines(&sandbox);
    let before = pattern("github-custom-pattern.txt", "Before secret:");
    let secret = pattern("github-custom-pattern.txt", "Secret format:");
    let after = pattern("github-custom-pattern.txt", "After secret:");
    let of_github = Regex::new(&format!("(?:{before})(?:{secret})(?:{after})")).unwrap();
    for pattern in [
        pattern("gitleaks.toml", "regex ="),
        pattern("trufflehog.yaml", "password:"),
        of_github,
    ] {
        for line in &good {
            assert!(pattern.is_match(line), "{pattern}");
        }
        for line in &bad {
            assert!(!pattern.is_match(line), "{pattern}: {line}");
        }
    }
    let checked: toml_edit::DocumentMut = fs::read_to_string(format!("{RULES}/gitleaks.toml"))
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(checked["rules"][0]["keywords"][0].as_str(), Some("smtpc_"));
}

#[test]
#[ignore = "needs detect-secrets: run tests/run"]
fn detect_secrets_finds_them_by_the_checksum() {
    let sandbox = Sandbox::new();
    let (good, bad) = lines(&sandbox);
    let mut mistyped = good.clone();
    for line in &mut mistyped {
        let at = line.len() - 2;
        let other = if &line[at..=at] == "x" { "y" } else { "x" };
        line.replace_range(at..=at, other);
    }
    let file = sandbox.folder.path().join("lines");
    fs::write(&file, [good, bad, mistyped].concat().join("\n")).unwrap();
    let mut command = Command::new(format!("{FETCHED}/python/bin/detect-secrets"));
    // In a repository of Git it looks at no file elsewhere.
    command.current_dir(sandbox.folder.path());
    command.args(["scan", "--all-files", "-p"]);
    command
        .arg(format!("{RULES}/smtpcred_detector.py"))
        .arg(&file);
    let run = finished(command.output().expect("detect-secrets: run tests/run"));
    assert_eq!(run.code, 0, "{run:?}");
    let found: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let all = found["results"].as_object().unwrap().values();
    let ours = all
        .flat_map(|found| found.as_array().unwrap())
        .filter(|found| found["type"] == "smtpcred SMTP password");
    let lines: Vec<u64> = ours
        .map(|found| found["line_number"].as_u64().unwrap())
        .collect();
    // Each is listed once: in its own line, or in that of the third bad one, which has it, too.
    assert_eq!(lines.len(), 20, "{lines:?}");
    let is_right = |line: &u64| *line <= 20 || *line <= 80 && (line - 20).is_multiple_of(3);
    assert!(lines.iter().all(is_right), "{lines:?}");
}
