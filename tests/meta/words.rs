//! Words and turns of phrase that a native mail admin would not write, each with what to
//! write in its place. They are looked for in sources, man pages and documents.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// A pattern, what to write instead, and how many are left from before. The number may
/// only fall.
const WORDS: [(&str, &str, usize); 20] = [
    (r"\b[Ww]hom?(so)?ever\b", "anyone who, the one that", 0),
    (r"\b[Nn]obody\b", "no one, no user, none", 0),
    (r"\b[Ss]omebody\b", "someone, another user", 0),
    (r"\b[Mm]end(s|ed|ing)?\b", "fix, repair", 0),
    (r"\bfor ever\b", "permanently, indefinitely", 0),
    (r"\b[Pp]ut(s|ting)? (\w+ )?off\b", "defer", 0),
    (r"\btold of\b", "notified about", 0),
    (r"\b[Tt]ak(e|es|en|ing) in\b", "import, accept", 0),
    (r"\bas it is taken\b", "literally", 0),
    (r"\bto be had\b", "available", 0),
    (r"\bin vain\b", "without success", 0),
    (r"\bby halves\b", "partially", 0),
    (r"\bKEY-ID\b", "PASSWORD-ID", 0),
    (
        r"\b[Ss]ome (hundred|thousand)\b",
        "about a hundred, hundreds of",
        0,
    ),
    (r"\b[Ww]hat became of\b", "the result of", 0),
    (
        r"\b[Ss]o many (rows|users|messages|days|sessions|recipients|files)\b",
        "this many, N",
        0,
    ),
    (
        r"\b[Vv]ariables? of the environment\b",
        "environment variable",
        0,
    ),
    // Not "there is no user", and not "it is no longer".
    (
        r#"("|\b(it|which|that|this|came|line|sum|command|event|file) )is no [^l]"#,
        "is not a",
        0,
    ),
    // A clause where a noun belongs: "Who asks again is busy."
    (
        r"(^|// |//[/!] |[.;:] )(Who|Whose|Whom) [a-z]",
        "a noun as the subject",
        0,
    ),
    (
        r"\b1 (users|domains|passwords|rows|files|messages|days|hours)\b",
        "the singular",
        0,
    ),
];

/// Where a word means something else: a part of the line.
const MEANT: [&str; 3] = [
    "`nobody`",
    "\"nobody\"",
    // A comment within a table is part of the schema's fingerprint.
    "-- Until when somebody may be handing it over.",
];

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = ["src", "man", "docs", "dist"]
        .iter()
        .map(|name| root.join(name))
        .collect();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path);
            }
        }
    }
    for name in ["README.md", "SECURITY.md", "CONTRIBUTING.md"] {
        found.extend(Some(root.join(name)).filter(|path| path.exists()));
    }
    found.sort();
    found
}

/// Each line with this pattern, after its place.
fn places(pattern: &Regex, name: &str, text: &str) -> Vec<String> {
    let lines = (1..).zip(text.lines());
    let has = |line: &str| {
        let meant = MEANT.iter().any(|meant| line.contains(meant));
        !meant && pattern.is_match(line.trim_start())
    };
    lines
        .filter(|(_, line)| has(line))
        .map(|(number, line)| format!("{name}:{number}: {}", line.trim()))
        .collect()
}

#[test]
fn words_that_were_replaced_stay_away() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let texts: BTreeMap<String, String> = documents()
        .into_iter()
        .filter_map(|path| {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            // Pictures and the like are not read.
            Some((name.to_owned(), fs::read_to_string(&path).ok()?))
        })
        .collect();
    let mut wrong = String::new();
    for (pattern, better, most) in WORDS {
        let pattern = Regex::new(pattern).unwrap();
        let found: Vec<_> = texts
            .iter()
            .flat_map(|(name, text)| places(&pattern, name, text))
            .collect();
        if found.len() > most {
            let list = found.join("\n  ");
            let count = found.len();
            writeln!(
                wrong,
                "{count} for {most} of {pattern}: write {better}\n  {list}"
            )
            .unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn each_word_is_seen() {
    for text in [
        "/// Whoever reads this.",
        "    // Who asks again is busy.",
        "It is kept for ever.",
        "clients are put off",
        "puts them off",
        "1 users",
        "some hundred rows",
        "/// What became of a run.",
        "(\"is no password ID\")",
        "an event that is no JSON",
        "a variable of the environment",
        "one. Whose it is",
    ] {
        let found = WORDS.iter().filter(|(pattern, ..)| {
            let pattern = Regex::new(pattern).unwrap();
            !places(&pattern, "a.rs", text).is_empty()
        });
        assert_eq!(found.count(), 1, "{text}");
    }
    for text in [
        "as `nobody`",
        "(\"nobody\", 1)",
        "recommend",
        "11 users",
        "(who can)",
        "there is no user",
        "which is no longer live",
    ] {
        let found = WORDS.iter().any(|(pattern, ..)| {
            let pattern = Regex::new(pattern).unwrap();
            !places(&pattern, "a.rs", text).is_empty()
        });
        assert!(!found, "{text}");
    }
}
