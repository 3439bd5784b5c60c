//! The folders below `src` are layers, and names point downwards only.

use std::fs;
use std::path::Path;

/// From top to bottom, each with those it may name beside itself. `model` and
/// `error` are named by everybody; `error` names nobody.
const LAYERS: [(&str, &[&str]); 10] = [
    (
        "cli",
        &["serve", "deliver", "doctor", "smtp", "dns", "app", "store"],
    ),
    ("doctor", &["app", "smtp", "protocol", "store"]),
    ("deliver", &["app", "smtp"]),
    ("serve", &["app", "protocol"]),
    ("app", &["store"]),
    ("store", &[]),
    ("protocol", &[]),
    ("smtp", &[]),
    ("dns", &[]),
    ("model", &[]),
];

fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The layers that a source text names, wherever in a path they stand.
fn named(source: &str) -> Vec<&'static str> {
    let code: String = source
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n");
    LAYERS
        .into_iter()
        .map(|(layer, _)| layer)
        .filter(|layer| {
            ["crate::", "smtpcred::"].iter().any(|root| {
                code.match_indices(&format!("{root}{layer}"))
                    .any(|(at, text)| {
                        !code[at + text.len()..]
                            .starts_with(|c: char| c.is_alphanumeric() || c == '_')
                    })
            }) || code.contains(&format!("crate::{{{layer}")) // use crate::{app, …}
        })
        .collect()
}

#[test]
fn names_point_downwards() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&src, &mut all);
    assert!(all.len() > 40, "the sources were not found");
    for path in all {
        let below = path.strip_prefix(&src).unwrap();
        let own = below.iter().next().unwrap().to_str().unwrap();
        let Some((_, may_name)) = LAYERS.iter().find(|(layer, _)| *layer == own) else {
            continue; // main.rs, lib.rs, error.rs
        };
        for layer in named(&fs::read_to_string(&path).unwrap()) {
            assert!(
                layer == own || layer == "model" || may_name.contains(&layer),
                "{} names {layer}, which is not below it",
                below.display()
            );
        }
    }
}

#[test]
fn sql_stands_in_the_store_and_nowhere_else() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&src, &mut all);
    for path in all
        .iter()
        .filter(|path| !path.starts_with(src.join("store")))
    {
        let source = fs::read_to_string(path).unwrap();
        for word in ["rusqlite", "INSERT INTO", "DELETE FROM"] {
            assert!(!source.contains(word), "{} has {word}", path.display());
        }
    }
}

#[test]
fn only_output_reveal_and_the_terminal_print() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&src, &mut all);
    for path in all {
        let source = fs::read_to_string(&path).unwrap();
        let printer = [
            "cli/output.rs",
            "cli/list.rs",
            "cli/reveal/stdout.rs",
            "cli/prompt.rs",
            "cli/clipboard/owner.rs",
        ]
        .iter()
        .any(|name| path.ends_with(name));
        let prints = [
            "io::stdout()",
            "io::stderr()",
            "println!",
            "eprintln!",
            "Stdout",
        ]
        .iter()
        .any(|word| source.contains(word));
        // Whether a stream is a terminal may be asked anywhere.
        let asks_only = source.matches("io::stdout()").count()
            == source.matches("io::stdout().is_terminal()").count();
        assert!(printer || !prints || asks_only, "{} prints", path.display());
    }
}

#[test]
fn errors_name_nobody() {
    let source = include_str!("../src/error.rs");
    assert_eq!(named(source), Vec::<&str>::new());
}
