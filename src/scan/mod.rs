//! Searches files, archives, streams and Git repositories for generated passwords. What is
//! read is other people's, so everything about it is bounded: memory, depth, decompressed
//! bytes.
//!
//! [`walk`] reads folders in parallel, [`content`] bytes of any length, [`archive`] what is
//! packed in them, and [`git`] the history of repositories. [`findings`] gathers what they find.

mod archive;
mod content;
mod findings;
mod git;
mod walk;

use std::collections::BTreeSet;
use std::io::{self, BufReader};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use self::archive::Dig;
use self::content::ContentSearch;
use self::findings::Collector;
use crate::error::Result;
use crate::model::password_search::PasswordSearch;

pub use self::findings::{Findings, Place, ScanProblem};

/// What to search.
#[derive(Debug, Default)]
pub struct ScanTargets {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// Standard input.
    pub stdin: bool,
    /// The history of the repositories in the folders, too.
    pub history: bool,
}

/// The name of standard input.
const STDIN: &str = "-";

/// Searches files and folders.
pub fn search(targets: &ScanTargets) -> Result<Findings> {
    let search = PasswordSearch::default();
    let collector = Collector::default();
    if targets.stdin {
        search_stdin(&search, &collector);
    }
    let mut repositories = BTreeSet::new();
    for path in &targets.paths {
        let walked = walk::search(path, &search, &collector, threads());
        if targets.history && walked.is_folder && walked.repositories.is_empty() {
            // It may be a folder of a repository.
            repositories.insert(path.clone());
        }
        repositories.extend(walked.repositories);
    }
    if targets.history {
        for repository in &repositories {
            git::search_history(repository, &search, &collector, threads())?;
        }
        repositories.clear();
    }
    Ok(collector.end(repositories.into_iter().collect()))
}

/// Searches what is to be committed in the repository of this folder, or of the current one.
pub fn search_staged(folder: Option<&Path>) -> Result<Findings> {
    let search = PasswordSearch::default();
    let collector = Collector::default();
    git::search_staged(folder, &search, &collector)?;
    Ok(collector.end(Vec::new()))
}

fn search_stdin(search: &PasswordSearch, collector: &Collector) {
    let mut found = |name: &str, hit| collector.found(name, None, hit);
    let mut dig = Dig::new(ContentSearch::new(search), &mut found);
    let read = dig.search(&mut BufReader::new(io::stdin().lock()), STDIN);
    collector.report_read(STDIN, read);
    collector.report_all(dig.problems());
    collector.searched();
}

/// More would only wait for the disk, and each has its memory.
fn threads() -> usize {
    const MOST: usize = 8;
    available_parallelism().map_or(1, NonZero::get).min(MOST)
}
