//! Which commit was the first to have an object, and under which path; which objects the next
//! commit adds.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufReader};
use std::process::Stdio;

use super::command::Git;

/// The first commit with an object.
pub struct FirstCommit {
    /// The commit.
    pub commit: String,
    /// The file in it.
    pub path: String,
}

/// Returns the first commits with these objects, as far as one has them.
pub fn of(git: &Git, mut objects: HashSet<String>) -> io::Result<HashMap<String, FirstCommit>> {
    let mut firsts = HashMap::new();
    // Parents come before their children.
    let list = [
        "rev-list",
        "--all",
        "--reflog",
        "--ignore-missing",
        "--topo-order",
        "--reverse",
    ];
    let diff = [
        "diff-tree",
        "--stdin",
        "--root",
        "-m",
        "-r",
        "-z",
        "--raw",
        "--no-renames",
        "--no-abbrev",
    ];
    let mut commits = git.command(&list).stderr(Stdio::null()).spawn()?;
    let mut command = git.command(&diff);
    if let Some(stdout) = commits.stdout.take() {
        command.stdin(stdout);
    }
    let mut changes = command.stderr(Stdio::null()).spawn()?;
    if let Some(stdout) = changes.stdout.take() {
        let mut commit = String::new();
        let mut words = Words(BufReader::new(stdout));
        while let Some(word) = words.next()? {
            let Some(object) = added(&word) else {
                commit = word;
                continue;
            };
            let Some(path) = words.next()? else {
                break;
            };
            if objects.remove(object) {
                let commit = commit
                    .split(' ')
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .to_owned();
                firsts.insert(object.to_owned(), FirstCommit { commit, path });
                if objects.is_empty() {
                    break;
                }
            }
        }
    }
    for mut child in [commits, changes] {
        // They may have more to say.
        let _ = child.kill();
        let _ = child.wait();
    }
    Ok(firsts)
}

/// Returns the objects that the next commit adds or changes, and their paths.
pub fn staged(git: &Git) -> Result<Vec<(String, String)>, String> {
    const NULL: char = '0';
    let has_commit = git
        .ask(&["rev-parse", "--verify", "--quiet", "HEAD"])
        .is_ok();
    if !has_commit {
        let listed = git.ask(&["ls-files", "--stage", "-z"])?;
        let lines = split(&listed);
        let entries = lines.filter_map(|line| {
            let (entry, path) = line.split_once('\t')?;
            let mut fields = entry.split(' ');
            let is_file = fields.next()? != SUBMODULE;
            let object = fields.next().filter(|_| is_file)?;
            Some((object.to_owned(), path.to_owned()))
        });
        return Ok(entries.collect());
    }
    let diff = [
        "diff-index",
        "--cached",
        "--raw",
        "-z",
        "--no-renames",
        "--no-abbrev",
        "HEAD",
    ];
    let changed = git.ask(&diff)?;
    let mut words = split(&changed);
    let mut staged = Vec::new();
    while let (Some(word), Some(path)) = (words.next(), words.next()) {
        if let Some(object) = added(&word)
            && object.contains(|c| c != NULL)
        {
            staged.push((object.to_owned(), path));
        }
    }
    Ok(staged)
}

/// Its objects are commits of another repository.
const SUBMODULE: &str = "160000";

/// Returns the new object of a raw line: `:100644 100644 OLD NEW M`.
fn added(word: &str) -> Option<&str> {
    let mut fields = word.strip_prefix(':')?.split(' ');
    fields.next()?;
    let is_file = fields.next()? != SUBMODULE;
    fields.nth(1).filter(|_| is_file).or(Some(""))
}

fn split(output: &[u8]) -> impl Iterator<Item = String> {
    let words = output
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned())
}

/// Words that end with a zero byte.
struct Words<R>(R);

impl<R: io::BufRead> Words<R> {
    fn next(&mut self) -> io::Result<Option<String>> {
        let mut word = Vec::new();
        self.0.read_until(0, &mut word)?;
        if word.pop().is_none() {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&word).into_owned()))
    }
}
