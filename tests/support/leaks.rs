//! Passwords where none may be (promise 1). Looked for at the end of every test in
//! what it leaves: the log of each relay, the store with its write-ahead log, what
//! was refused, and all that the program printed but where it hands one over.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::Sandbox;

const PREFIX: &[u8] = b"smtpc_";
/// What follows the prefix.
const REST: usize = 30;
/// In bytes, of one file.
const MOST: u64 = 64 << 20;

/// Passwords that no prefix marks, of all tests of this process.
static UNMARKED: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// Where the stores are that `serve` was started on.
static SERVED: Mutex<Option<HashSet<OsString>>> = Mutex::new(None);

/// Remembers a password that was chosen, or is of the short form.
pub fn made(password: &str) {
    if password.as_bytes().starts_with(PREFIX) {
        return;
    }
    let mut known = UNMARKED.lock().unwrap_or_else(PoisonError::into_inner);
    if !known.iter().any(|one| one == password) {
        known.push(password.to_owned());
    }
}

/// Remembers what a run made or was given.
pub fn made_by(args: &[OsString], stdin: Option<&[u8]>, stdout: &str) {
    let has = |word: &str| args.iter().any(|arg| arg == word);
    let line = |text: &str| text.trim_end_matches(['\r', '\n']).to_owned();
    let chosen = stdin.filter(|_| has("--password-stdin"));
    let chosen = chosen.map(|stdin| line(&String::from_utf8_lossy(stdin)));
    let short = (has("create") || has("reset")).then(|| line(stdout));
    for password in chosen.into_iter().chain(short) {
        let length = password.len();
        if (12..=256).contains(&length) && !password.contains(['\n', '{', '=']) {
            made(&password);
        }
    }
}

/// Remembers that what strangers say may have been written down there.
pub fn served(sandbox: &Sandbox) {
    let mut served = SERVED.lock().unwrap_or_else(PoisonError::into_inner);
    served.get_or_insert_default().insert(sandbox.location());
}

/// Fails the test that left a password there.
pub fn look(place: &str, bytes: &[u8]) {
    if let Some(found) = found(bytes) {
        assert!(
            std::thread::panicking(),
            "a password was written down: {found} in {place}"
        );
    }
}

pub fn look_into(path: &Path) {
    let mut bytes = Vec::new();
    // To open a pipe would wait for who writes into it.
    if path.is_file()
        && let Ok(file) = File::open(path)
    {
        // What cannot be read any more is gone.
        let _ = file.take(MOST).read_to_end(&mut bytes);
    }
    look(&path.display().to_string(), &bytes);
}

/// What of a password is in there, and how.
pub fn found(bytes: &[u8]) -> Option<&'static str> {
    let lower = bytes.to_ascii_lowercase();
    if positions(&lower, PREFIX).any(|at| {
        let rest = lower.get(at + PREFIX.len()..at + PREFIX.len() + REST);
        rest.is_some_and(|rest| rest.iter().all(u8::is_ascii_alphanumeric))
    }) {
        return Some("a generated one");
    }
    if encodings(PREFIX).any(|code| contains(bytes, &code)) {
        return Some("a generated one in base64");
    }
    let known = UNMARKED.lock().unwrap_or_else(PoisonError::into_inner);
    for password in known.iter() {
        if contains(&lower, &password.as_bytes().to_ascii_lowercase()) {
            return Some("a chosen or a short one");
        }
        if encodings(password.as_bytes()).any(|code| contains(bytes, &code)) {
            return Some("a chosen or a short one in base64");
        }
    }
    None
}

/// What a text is in base64 wherever it begins, without what depends on its
/// neighbours.
fn encodings(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..3).map(move |before| {
        let code = STANDARD_NO_PAD.encode([&vec![0; before][..], text].concat());
        let own = (8 * before).div_ceil(6)..(8 * (before + text.len())) / 6;
        code.as_bytes()[own].to_vec()
    })
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    positions(bytes, part).next().is_some()
}

/// Quickly also in a debug build: it is asked of whole stores.
fn positions<'a>(bytes: &'a [u8], part: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    memchr::memmem::find_iter(bytes, part)
}

/// At the end of a test.
pub fn look_at(sandbox: &Sandbox) {
    if std::thread::panicking() {
        return;
    }
    for suffix in ["", "-wal", "-journal"] {
        let mut path = sandbox.store().into_os_string();
        path.push(suffix);
        look_into(Path::new(&path));
    }
    let served = SERVED.lock().unwrap_or_else(PoisonError::into_inner);
    let was_served = served
        .as_ref()
        .is_some_and(|served| served.contains(&sandbox.location()));
    drop(served);
    if was_served {
        for command in ["failures", "list"] {
            // Where the store is gone by now it says so.
            if let Ok(said) = sandbox.command(&["audit", command, "--json"]).output() {
                look(&format!("audit {command}"), &said.stdout);
                look(&format!("audit {command}"), &said.stderr);
            }
        }
    }
}
