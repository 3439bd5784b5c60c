//! Rust source as the tests of the house read it: tokens, so that neither comments
//! nor texts count, and what stands within a macro does.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A file below `src`.
pub struct Source {
    /// Below `src`, such as `cli/output.rs`.
    pub name: String,
    pub tokens: TokenStream,
}

/// A path as it is written, such as `crate::store::Store`; of a list in braces, one of
/// each. And what stands behind it.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "what stands around it")]
pub struct NamedPath {
    /// The modules it stands in, from the root.
    pub within: Vec<String>,
    pub segments: Vec<String>,
    /// In a `use`, or in a `pub use` of any kind.
    pub is_import: bool,
    pub is_reexport: bool,
    /// `as …`, `::*`
    pub is_renamed: bool,
    pub alias: Option<String>,
    pub is_glob: bool,
    /// A method: `.name`
    pub is_method: bool,
    /// Of a method: the word before the dot, or the function whose value it is of.
    pub receiver: Option<String>,
    /// `name!`
    pub is_macro: bool,
    /// `name(…)`: with what, and the name of the method behind it.
    pub call: Option<String>,
    pub then: Option<String>,
}

/// Every file below `src`.
pub fn all() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    files(&src, &mut paths);
    assert!(paths.len() > 40, "the sources were not found");
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let name = path.strip_prefix(&src).unwrap().to_str().unwrap();
            Source::new(name, &fs::read_to_string(path).unwrap())
        })
        .collect()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

impl Source {
    pub fn new(name: &str, text: &str) -> Self {
        Self {
            name: name.to_owned(),
            tokens: text.parse().unwrap_or_else(|e| panic!("{name}: {e}")),
        }
    }

    /// The module that this file is, from the root.
    pub fn module(&self) -> Vec<String> {
        let name = self.name.trim_end_matches(".rs");
        let mut parts: Vec<String> = name.split('/').map(str::to_owned).collect();
        if ["mod", "lib", "main"].contains(&parts.last().unwrap().as_str()) {
            parts.pop();
        }
        parts
    }

    /// Every `pub fn` of an `impl` block, with the type.
    pub fn public_methods(&self) -> Vec<(String, String)> {
        let all: Vec<TokenTree> = self.tokens.clone().into_iter().collect();
        let mut found = Vec::new();
        for (at, token) in all.iter().enumerate() {
            if !matches!(token, TokenTree::Ident(word) if *word == "impl") {
                continue;
            }
            // The first name that is no lifetime: `impl<'a> Tx<'a>`.
            let mut of = None;
            for (i, token) in all[at + 1..].iter().enumerate() {
                match token {
                    TokenTree::Ident(name) if !is(&all[at + i], '\'') => {
                        of.get_or_insert_with(|| name.to_string());
                    }
                    TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => {
                        let methods = public_functions(&body.stream());
                        found.extend(
                            methods
                                .into_iter()
                                .map(|m| (of.clone().unwrap_or_default(), m)),
                        );
                        break;
                    }
                    _ => {}
                }
            }
        }
        found
    }

    pub fn paths(&self) -> Vec<NamedPath> {
        let mut found = Vec::new();
        walk(&self.tokens, &self.module(), &mut found);
        found
    }
}

/// From the root, where it begins with `crate`, `super` or `self`.
pub fn resolved(path: &NamedPath) -> Option<Vec<&str>> {
    let mut rest = path.segments.iter().map(String::as_str).peekable();
    let first = rest.next()?;
    let mut from: Vec<&str> = match first {
        "crate" | "smtpcred" => Vec::new(),
        "self" | "super" => path.within.iter().map(String::as_str).collect(),
        _ => return None,
    };
    if first == "super" {
        from.pop();
    }
    while rest.next_if_eq(&"super").is_some() {
        from.pop();
    }
    from.extend(rest.filter(|segment| *segment != "self"));
    Some(from)
}

fn walk(tokens: &TokenStream, within: &[String], found: &mut Vec<NamedPath>) {
    let all: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let mut at = 0;
    while at < all.len() {
        match &all[at] {
            TokenTree::Ident(word) if *word == "mod" => {
                if let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) =
                    (all.get(at + 1), all.get(at + 2))
                {
                    let inner = [within, &[name.to_string()]].concat();
                    walk(&body.stream(), &inner, found);
                    at += 3;
                    continue;
                }
                at += 1;
            }
            TokenTree::Ident(word) if *word == "use" => {
                let (first, start) = (found.len(), at + 1);
                let start = if colons(&all, start) {
                    start + 2
                } else {
                    start
                };
                let is_public = match &all[..at] {
                    [.., TokenTree::Ident(before)]
                    | [.., TokenTree::Ident(before), TokenTree::Group(_)] => *before == "pub",
                    _ => false,
                };
                at = path(&all, start, &[], None, within, found);
                for import in &mut found[first..] {
                    import.is_import = true;
                    import.is_reexport = is_public;
                }
            }
            TokenTree::Ident(_) => {
                let receiver = receiver(&all[..at]);
                at = path(&all, at, &[], receiver, within, found);
            }
            TokenTree::Group(group) => {
                walk(&group.stream(), within, found);
                at += 1;
            }
            _ => at += 1,
        }
    }
}

/// What stands before the dot, where there is one: `store` of `store.` and of
/// `open().`, else nothing that has a name.
fn receiver(before: &[TokenTree]) -> Option<String> {
    let [rest @ .., dot] = before else {
        return None;
    };
    if !is(dot, '.') {
        return None;
    }
    Some(match rest {
        [.., TokenTree::Ident(name)] => name.to_string(),
        [.., TokenTree::Ident(name), TokenTree::Group(_)] => format!("{name}()"),
        _ => String::new(),
    })
}

/// Reads the path that begins here; returns where it ends.
fn path(
    all: &[TokenTree],
    mut at: usize,
    before: &[String],
    receiver: Option<String>,
    within: &[String],
    found: &mut Vec<NamedPath>,
) -> usize {
    let mut segments = before.to_vec();
    let mut is_glob = false;
    loop {
        match all.get(at) {
            Some(TokenTree::Ident(word)) => segments.push(word.to_string()),
            Some(TokenTree::Punct(punct)) if punct.as_char() == '*' => is_glob = true,
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let list: Vec<TokenTree> = group.stream().into_iter().collect();
                let mut item = 0;
                while item < list.len() {
                    item = path(&list, item, &segments, None, within, found);
                    while list.get(item).is_some_and(|token| !is(token, ',')) {
                        item += 1;
                    }
                    item += 1;
                }
                return at + 1;
            }
            _ => break,
        }
        at += 1;
        if !colons(all, at) {
            break;
        }
        at += 2;
    }
    let call = match all.get(at) {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis => {
            Some(group.stream().to_string())
        }
        _ => None,
    };
    let then = match (all.get(at + 1), all.get(at + 2)) {
        (Some(dot), Some(TokenTree::Ident(name))) if is(dot, '.') => Some(name.to_string()),
        _ => None,
    };
    let is_renamed = matches!(all.get(at), Some(TokenTree::Ident(word)) if *word == "as");
    let alias = match all.get(at + 1) {
        Some(TokenTree::Ident(name)) if is_renamed => Some(name.to_string()),
        _ => None,
    };
    found.push(NamedPath {
        within: within.to_vec(),
        segments,
        is_import: false,
        is_reexport: false,
        is_renamed,
        alias,
        is_glob,
        is_method: receiver.is_some(),
        receiver,
        is_macro: all.get(at).is_some_and(|token| is(token, '!')),
        then: call.as_ref().and(then),
        call,
    });
    at
}

fn is(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

fn colons(all: &[TokenTree], at: usize) -> bool {
    let colon = |at: usize| all.get(at).is_some_and(|token| is(token, ':'));
    colon(at) && colon(at + 1)
}

fn public_functions(tokens: &TokenStream) -> Vec<String> {
    let all: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let word = |at: usize| match all.get(at) {
        Some(TokenTree::Ident(word)) => word.to_string(),
        _ => String::new(),
    };
    let public = (0..all.len()).filter(|at| word(*at) == "pub");
    let names = public.filter_map(|at| {
        let at = if word(at + 1) == "const" { at + 1 } else { at };
        (word(at + 1) == "fn").then(|| word(at + 2))
    });
    names.collect()
}
