//! What a search found, and what it could not read.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::content::Hit;
use crate::model::password::FoundPassword;

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// The passwords, each once.
    pub passwords: Vec<FoundPassword>,
    /// Where they are, in order.
    pub places: Vec<Place>,
    /// How many more places there are in files that have a password very often.
    pub more: u64,
    /// What could not be read, the first ones.
    pub problems: Vec<ScanProblem>,
    /// How many more there are.
    pub more_problems: u64,
    /// How many files were searched.
    pub files: u64,
    /// Repositories whose history was not searched.
    pub histories: Vec<PathBuf>,
}

/// Where a password is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file; of a member of an archive, its name follows after `!`.
    pub file: String,
    /// The commit that first had it; `None` outside of a history.
    pub commit: Option<String>,
    /// The line; `None` in binary files.
    pub line: Option<u64>,
    /// Which of the passwords it is.
    pub password: usize,
}

/// What could not be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScanProblem {
    /// Its name.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// Gathers what threads find.
#[derive(Default)]
pub struct Collector(Mutex<Gathered>);

#[derive(Default)]
struct Gathered {
    numbers: HashMap<FoundPassword, usize>,
    passwords: Vec<FoundPassword>,
    places: Vec<Place>,
    problems: Vec<ScanProblem>,
    more_problems: u64,
    files: u64,
    /// How often a password was found in the same file.
    often: HashMap<(usize, String), u64>,
    more: u64,
}

impl Collector {
    /// Of a password that is in a file very often, the first places.
    const MOST_PLACES: u64 = 100;
    const MOST_PROBLEMS: usize = 1000;

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        // A thread that panicked ends the program anyway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a password that was found.
    pub fn found(&self, file: &str, commit: Option<&str>, hit: Hit) {
        let gathered = &mut *self.gathered();
        let next = gathered.passwords.len();
        let number = *gathered.numbers.entry(hit.password.clone()).or_insert(next);
        if number == next {
            gathered.passwords.push(hit.password);
        }
        let often = gathered.often.entry((number, file.to_owned())).or_default();
        *often += 1;
        if *often > Self::MOST_PLACES {
            gathered.more += 1;
            return;
        }
        gathered.places.push(Place {
            file: file.to_owned(),
            commit: commit.map(str::to_owned),
            line: hit.line,
            password: number,
        });
    }

    /// Counts a file.
    pub fn searched(&self) {
        self.gathered().files += 1;
    }

    /// Adds something that could not be read.
    pub fn report(&self, problem: ScanProblem) {
        let gathered = &mut *self.gathered();
        if gathered.problems.len() < Self::MOST_PROBLEMS {
            gathered.problems.push(problem);
        } else {
            gathered.more_problems += 1;
        }
    }

    /// Adds what could not be read in an archive.
    pub fn report_all(&self, problems: Vec<ScanProblem>) {
        for problem in problems {
            self.report(problem);
        }
    }

    /// Adds a name if it could not be read.
    pub fn report_read(&self, path: &str, read: io::Result<()>) {
        if let Err(error) = read {
            self.report(ScanProblem {
                path: path.to_owned(),
                reason: error.to_string(),
            });
        }
    }

    /// Returns everything, in an order that does not depend on the threads.
    pub fn end(self, histories: Vec<PathBuf>) -> Findings {
        let mut gathered = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        gathered.places.sort_unstable();
        gathered.places.dedup();
        gathered.problems.sort_unstable();
        Findings {
            passwords: gathered.passwords,
            places: gathered.places,
            more: gathered.more,
            problems: gathered.problems,
            more_problems: gathered.more_problems,
            files: gathered.files,
            histories,
        }
    }
}
