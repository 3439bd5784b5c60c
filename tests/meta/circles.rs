//! Files do not name each other in a circle: each can be read after those it names.
//!
//! A name counts for the file that defines it, also where another one re-exports it.
//! Unit tests may name anything.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::support::source::{self, NamedPath, Source, resolved};

/// For each file those it names, and by which names.
type Edges = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

struct House {
    /// The file of each module.
    files: HashMap<Vec<String>, String>,
    /// What each import of a module is called there, and the whole path.
    imports: HashMap<Vec<String>, HashMap<String, Vec<String>>>,
}

fn is_tested(path: &NamedPath) -> bool {
    path.within.iter().any(|module| module == "tests")
}

impl House {
    fn new(sources: &[Source]) -> Self {
        let files = sources
            .iter()
            .filter(|source| !["lib.rs", "main.rs"].contains(&source.name.as_str()))
            .map(|source| (source.module(), source.name.clone()))
            .collect();
        let mut house = Self {
            files,
            imports: HashMap::new(),
        };
        for source in sources {
            let mut own = HashMap::new();
            for path in source.paths() {
                if path.is_import && !path.is_glob && !is_tested(&path) {
                    let Some(whole) = house.absolute(&source.module(), &path) else {
                        continue;
                    };
                    let name = path.alias.as_ref().or(whole.last());
                    own.insert(name.cloned().unwrap_or_default(), whole);
                }
            }
            house.imports.insert(source.module(), own);
        }
        house
    }

    /// From the root; `None` for names of other crates and of the file itself.
    fn absolute(&self, module: &[String], path: &NamedPath) -> Option<Vec<String>> {
        if let Some(whole) = resolved(path) {
            return Some(whole.into_iter().map(str::to_owned).collect());
        }
        let (first, rest) = path.segments.split_first()?;
        let child = [module, std::slice::from_ref(first)].concat();
        let start = if self.files.contains_key(&child) {
            child
        } else {
            self.imports.get(module)?.get(first)?.clone()
        };
        Some([&start, rest].concat())
    }

    /// The file that defines it; `None` for a module alone.
    fn definition(&self, path: &[String], jumps: u8) -> Option<&String> {
        let depth = (0..path.len())
            .find(|depth| !self.files.contains_key(&path[..=*depth]))
            .unwrap_or(path.len());
        let (module, rest) = path.split_at(depth);
        let item = rest.first()?;
        let import = self.imports.get(module).and_then(|own| own.get(item));
        match import {
            Some(whole) if jumps < 10 => self.definition(&[whole, &rest[1..]].concat(), jumps + 1),
            _ => self.files.get(module),
        }
    }
}

fn edges(sources: &[Source]) -> Edges {
    let house = House::new(sources);
    let mut edges = Edges::new();
    for source in sources {
        let named = edges.entry(source.name.clone()).or_default();
        let module = source.module();
        for path in source.paths() {
            // What is only passed on is not used here.
            if path.is_method || path.is_reexport || is_tested(&path) {
                continue;
            }
            let Some(whole) = house.absolute(&module, &path) else {
                continue;
            };
            let file = match house.definition(&whole, 0) {
                None if path.is_glob => house.files.get(&whole),
                file => file,
            };
            if let Some(file) = file.filter(|file| **file != source.name) {
                let name = path.segments.last().cloned().unwrap_or_default();
                named.entry(file.clone()).or_default().insert(name);
            }
        }
    }
    edges
}

/// All that can be reached from a file.
fn reached(edges: &Edges, from: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(file) = open.pop() {
        for next in edges.get(&file).into_iter().flat_map(BTreeMap::keys) {
            if found.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    found
}

/// Each circle as a text: its files and what they name of each other.
fn circles(edges: &Edges) -> Vec<String> {
    let reach: BTreeMap<_, _> = edges
        .keys()
        .map(|file| (file, reached(edges, file)))
        .collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (file, reach_of_file) in &reach {
        let circle: Vec<&String> = reach_of_file
            .iter()
            .filter(|other| reach.get(other).is_some_and(|back| back.contains(*file)))
            .collect();
        if circle.len() < 2 || !seen.insert(circle.clone()) {
            continue;
        }
        let lines = circle.iter().flat_map(|from| {
            let to = edges[*from].iter().filter(|(to, _)| circle.contains(to));
            to.map(move |(to, names)| {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                format!("  {from} -> {to}: {}\n", names.join(", "))
            })
        });
        let lines: String = lines.collect();
        found.push(format!("{} files\n{lines}", circle.len()));
    }
    found
}

#[test]
fn no_files_name_each_other() {
    let found = circles(&edges(&source::all()));
    assert!(found.is_empty(), "circles:\n{}", found.join("\n"));
}

#[test]
fn each_kind_of_circle_is_seen() {
    let count = |files: &[(&str, &str)]| {
        let files: Vec<_> = files
            .iter()
            .map(|(name, text)| Source::new(name, text))
            .collect();
        circles(&edges(&files)).len()
    };
    let root = ("lib.rs", "mod a; mod b; mod c;");
    let a = ("a.rs", "use crate::b::B; pub struct A;");
    for other in [
        "use crate::a::A;",
        "use super::a::A;",
        "use super::a; fn f(_: a::A) {}",
        "fn f(_: crate::a::A) {}",
        "use crate::a::*;",
        "use crate::{c, a::{self as other}}; fn f(_: other::A) {}",
    ] {
        let b = ("b.rs", other);
        assert_eq!(count(&[root, a, b]), 1, "{other}");
    }
    let far = [
        root,
        a,
        ("b.rs", "use crate::c::C; pub struct B;"),
        ("c.rs", "use crate::a::A; pub struct C;"),
    ];
    assert_eq!(count(&far), 1);
    let parent = [
        (
            "a/mod.rs",
            "mod child; pub use child::C; pub struct A; fn f(_: C) {}",
        ),
        ("a/child.rs", "use super::A; pub struct C;"),
    ];
    assert_eq!(count(&parent), 1);
    let reexported = [
        (
            "a/mod.rs",
            "mod one; mod two; pub use one::One; pub use two::Two;",
        ),
        ("a/one.rs", "use super::Two; pub struct One;"),
        ("a/two.rs", "use super::One; pub struct Two;"),
    ];
    assert_eq!(count(&reexported), 1);

    let none = [
        (
            "a/mod.rs",
            "mod one; mod two; pub use one::One; pub struct A;",
        ),
        ("a/one.rs", "use super::A; pub struct One;"),
        (
            "a/two.rs",
            "use super::One; use super::one; // crate::b\n mod tests { use super::*; use crate::b::B; }",
        ),
        (
            "b.rs",
            "use crate::a::two::Two; use crate::a::One; use std::fs;",
        ),
    ];
    assert_eq!(count(&none), 0);
}
