//! Every command line that a message, a hint, a help text or a page suggests is one that the
//! program accepts.

use std::fs;
use std::path::Path;

use clap::error::ErrorKind;
use proc_macro2::{TokenStream, TokenTree};
use regex::Regex;

use crate::support::source;

/// What a hole in a format string or a placeholder may stand for.
const VALUES: [&str; 12] = [
    "shop@example.com",
    "example.com",
    "2",
    "30d",
    "/tmp/file",
    "messages/day=5",
    "phpmailer",
    "587",
    "postgresql://mail@db/mail",
    "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj",
    "4711 00000000000000000000000000000000000000000000000000000000deadbeef",
    "",
];

/// A suggested command line, and where.
type Suggested = (String, String);

#[test]
fn every_suggested_command_line_is_accepted() {
    let mut suggested = Vec::new();
    for source in source::all() {
        let mut texts = Vec::new();
        literals(source.tokens.clone(), &mut texts);
        for text in texts {
            collect(&source.name, &text, &mut suggested);
        }
    }
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        collect(&page, &text, &mut suggested);
    }
    assert!(suggested.len() > 200, "only {}", suggested.len());
    suggested.sort_by(|(_, one), (_, other)| one.cmp(other));
    suggested.dedup_by(|(_, one), (_, other)| one == other);
    let refused: Vec<_> = suggested
        .iter()
        .filter_map(|(at, line)| Some(format!("{at}: {line}\n    {}", refusal(line)?)))
        .collect();
    assert!(refused.is_empty(), "\n{}", refused.join("\n"));
}

#[test]
fn wrong_command_lines_are_refused() {
    for line in [
        "smtpcred user restore shop@example.com",
        "smtpcred user list --for wordpress",
        "smtpcred domain set {domain} --most-users N",
        "smtpcred user suspend {} --now",
        "smtpcred set-settings --host",
    ] {
        assert!(refusal(line).is_some(), "{line}");
    }
    // What the program asks for more.
    assert_eq!(refusal("smtpcred store"), None);
    let mut found = Vec::new();
    let text = "call `smtpcred user\nlist` or: smtpcred why {name}; see smtpcred(1), the store";
    collect("", text, &mut found);
    let found: Vec<_> = found.iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(found, ["smtpcred user list", "smtpcred why {name}"]);
}

/// The README and the pages in docs.
fn pages() -> Vec<String> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![top.join("README.md")];
    for entry in fs::read_dir(top.join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "md") {
            pages.push(path);
        }
    }
    pages
        .iter()
        .map(|page| page.display().to_string())
        .collect()
}

/// The texts of the string literals, doc comments among them.
fn literals(tokens: TokenStream, found: &mut Vec<String>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => literals(group.stream(), found),
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                if text.starts_with(['\'', 'b']) {
                    continue;
                }
                if let (Some(from), Some(to)) = (text.find('"'), text.rfind('"')) {
                    found.push(unescaped(&text[from + 1..to]));
                }
            }
            _ => {}
        }
    }
}

fn unescaped(literal: &str) -> String {
    // A line that the shell continues, then one that the literal continues.
    let shell = Regex::new(r"\\\\\n\s*").unwrap();
    let text = shell.replace_all(literal, "");
    let continued = Regex::new(r"\\\n\s*").unwrap();
    let text = continued.replace_all(&text, "");
    text.replace("\\n", "\n")
        .replace("\\\"", "\"")
        .replace("\\\\", "\\")
        .replace("{{", "{")
        .replace("}}", "}")
}

fn collect(at: &str, text: &str, found: &mut Vec<Suggested>) {
    let quoted = Regex::new(r"`([^`]+)`").unwrap();
    let (mut rest, mut spans) = (String::new(), Vec::new());
    for part in text.split("```") {
        // Outside of a block of code: what is between backticks may go over lines.
        if spans.len() % 2 == 0 {
            for span in quoted.captures_iter(part) {
                let line = span[1].split_whitespace().collect::<Vec<_>>().join(" ");
                rest.push_str(&line);
                rest.push('\n');
            }
            rest.push_str(&quoted.replace_all(part, "\n"));
        } else {
            rest.push_str(part);
        }
        rest.push('\n');
        spans.push(());
    }
    let begin = Regex::new(r"(?:^|[\s(#$])(smtpcred [a-z].*)").unwrap();
    // Another command, a comment beside it, the rest of a sentence.
    let end = Regex::new(r"  |; | \(|\)| \||\||<|>|&&|: |, |\\$| #|\.$|\. |$").unwrap();
    for line in rest.lines() {
        for command in begin.captures_iter(line) {
            let command = &command[1];
            // Not within quotes, unless one was open before the command.
            let even = |text: &&str| {
                ['"', '\'']
                    .iter()
                    .all(|q| text.matches(*q).count() % 2 == 0)
            };
            let mut ends = end.find_iter(command).map(|end| &command[..end.start()]);
            let command = ends.find(even).unwrap_or_else(|| {
                let to = end.find(command).map_or(command.len(), |end| end.start());
                command[..to].trim_end_matches(['"', '\''])
            });
            let command = command.trim_end_matches([';', ',']).trim();
            let mut words = command.split(' ').skip(1);
            let known = smtpcred::cli::command();
            if words.next().is_some_and(|word| {
                known.get_subcommands().any(|sub| sub.get_name() == word)
                    // A typing error in a command that has a hyphen, or flags.
                    || word.contains('-')
                    || command.contains(" --")
            }) {
                found.push((at.to_owned(), command.to_owned()));
            }
        }
    }
}

/// Why a line is not accepted; `None` if it is, with any value for its placeholders.
fn refusal(line: &str) -> Option<String> {
    let hole =
        Regex::new(r"\{[^}]*\}|\$\([^)]*\)|\bage1…|…|\.\.\.|\b[A-Z][A-Z_]+\b|\bN\b|\[[^\]]*\]")
            .unwrap();
    let mut reason = None;
    // Prose may follow: words without a flag.
    let words: Vec<&str> = line.split(' ').collect();
    let flags = words.iter().rposition(|word| word.starts_with('-'));
    let known = smtpcred::cli::command();
    let noun = words.get(1).and_then(|word| known.find_subcommand(word));
    let least = if noun.is_some_and(clap::Command::has_subcommands) {
        3
    } else {
        2
    };
    let shortest = flags.map_or(least, |at| at + 1).max(least).min(words.len());
    for length in (shortest..=words.len()).rev() {
        let line = words[..length]
            .join(" ")
            .replace("'4711 c0ffee…'", "'HEAD'");
        let choices = VALUES
            .iter()
            .flat_map(|one| VALUES.map(|other| [*one, other]));
        let holes = hole.find_iter(&line).count();
        for [first, others] in choices {
            // What has no hole is the same for all, and one hole for all of the others.
            if (holes == 0 && first != VALUES[0]) || (holes < 2 && others != VALUES[0]) {
                continue;
            }
            let mut holes = 0;
            let filled = hole.replace_all(&line, |_: &regex::Captures| {
                holes += 1;
                if holes == 1 { first } else { others }
            });
            let Some(words) = shlex::split(&filled) else {
                reason.get_or_insert_with(|| "its quotes do not match".to_owned());
                continue;
            };
            match smtpcred::cli::command().try_get_matches_from(words) {
                Ok(_) => return None,
                Err(error) => match error.kind() {
                    ErrorKind::MissingRequiredArgument
                    | ErrorKind::MissingSubcommand
                    | ErrorKind::DisplayHelp
                    | ErrorKind::DisplayVersion
                    | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => return None,
                    _ => {
                        let text = error.to_string();
                        let first = text.lines().next().unwrap_or_default().to_owned();
                        reason.get_or_insert(first);
                    }
                },
            }
        }
    }
    reason
}
