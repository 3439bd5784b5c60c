//! What each role may use, of every command and every flag: a committed table. A new flag has
//! no line in it until somebody has decided.

use std::fs;
use std::path::Path;

const HEAD: &str = "command,argument,viewer,operator,self";

/// `UPDATE_GOLDEN=1` writes it; review its difference.
#[test]
fn every_flag_has_a_verdict_for_every_role() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/roles.csv");
    let fresh = [vec![HEAD.to_owned()], smtpcred::cli::verdicts()].concat();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, fresh.join("\n") + "\n").unwrap();
        return;
    }
    let kept = fs::read_to_string(&path).unwrap();
    let kept: Vec<_> = kept.lines().collect();
    let undecided: Vec<_> = fresh
        .iter()
        .filter(|line| !kept.contains(&line.as_str()))
        .collect();
    assert!(
        undecided.is_empty(),
        "not in tests/roles.csv: {undecided:?}"
    );
    let gone: Vec<_> = kept
        .iter()
        .filter(|line| !fresh.iter().any(|fresh| fresh == *line))
        .collect();
    assert!(gone.is_empty(), "only in tests/roles.csv: {gone:?}");
    assert!(kept.len() > 300, "{}", kept.len());
}

/// What would leave the role, whatever the table says.
#[test]
fn no_role_gets_a_path_a_store_or_a_command_of_its_own() {
    let never = [
        "--store",
        "--output",
        "--output-dir",
        "--password-file",
        "--password-stdin",
        "--file",
        "--deliver",
        "--write-file",
        "--write-env",
        "--trust-store",
        "--server",
        "--copy",
        "--copy-timeout",
        "--add-domain",
        "--sender",
        "--on-limit",
        "--addresses",
        "--prove",
    ];
    for line in smtpcred::cli::verdicts() {
        let mut columns = line.split(',').skip(1);
        let argument = columns.next().unwrap_or_default();
        if never.contains(&argument) {
            assert!(columns.all(|verdict| verdict == "no"), "{line}");
        }
    }
}
