//! Completion of the value in `config set KEY VALUE`.

use std::env;
use std::ffi::OsStr;

use clap_complete::CompletionCandidate;
use clap_complete::engine::{ArgValueCompleter, PathCompleter, ValueCompleter as _};

use super::key::Key;

/// Completes the values that the key has to choose from, or paths.
pub fn values() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let words: Vec<_> = env::args_os().collect();
        // The shell passes the whole line; flags may stand before the key.
        let words = words.iter().filter_map(|word| word.to_str());
        let mut behind = words.skip_while(|word| *word != "set").skip(1);
        match behind.find_map(|word| Key::find(word).ok()) {
            Some(Key::Store) => PathCompleter::any().complete(typed),
            Some(key) => {
                let fits = |choice: &&&str| choice.starts_with(&*typed.to_string_lossy());
                let fitting = key.choices().iter().filter(fits);
                fitting.map(CompletionCandidate::new).collect()
            }
            None => Vec::new(),
        }
    })
}
