//! Transcripts of every command in every format, compared to the letter.
//!
//! `tests/golden/*.txt` read as a terminal would show them: `$ ` before what is
//! typed (to a real shell), stdout as it is, `! ` before each line of stderr,
//! `? ` before an exit code that is not 0. `% ` is no command but SQL, for what
//! only a running relay writes. What follows `# (SQLite only)` is not said on
//! PostgreSQL. What differs from run to run is
//! written as `[PASSWORD]`, `[PWD-ID]`, `YYYY-MM-DD` and the like, as wide as it
//! was. After a change that is meant: `UPDATE_GOLDEN=1 cargo test --test cli golden`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;

use crate::support::nobody::{as_nobody, give_to_nobody, program_in};
use crate::support::postgres::Postgres;
use crate::support::{PROGRAM, Run, Sandbox, finished};

/// The program is in this folder.
fn shell(sandbox: &Sandbox, bin: &Path, line: &str) -> Run {
    // Nothing that only some users may look into.
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display());
    let mut command = match &sandbox.database {
        // Root trusts a file of its own, and no database.
        Some(_) => as_nobody("sh"),
        None => Command::new("sh"),
    };
    let output = command
        .args(["-c", line])
        .env_clear()
        .env("PATH", path)
        .env("HOME", sandbox.folder.path())
        .env("SMTPCRED_STORE", sandbox.location())
        .current_dir(sandbox.folder.path())
        .stdin(std::process::Stdio::null())
        .output();
    finished(output.expect("a shell"))
}

/// Takes out what no two runs share.
pub struct Mask {
    ids: BTreeSet<String>,
    patterns: Vec<(Regex, &'static str)>,
    folder: String,
    /// The store, where it is not a file in the folder.
    url: Option<String>,
}

/// What the store is called in the transcripts.
const STORE: &str = "[FOLDER]/data/smtpcred.db";
/// What makes one, as is said of each engine.
const INIT: &str = "create it with: smtpcred store init";
const DOMAIN_ADD: &str = "create it with a domain: smtpcred domain add example.com; or create an empty one: smtpcred store init; if it is elsewhere, specify --store PATH or SMTPCRED_STORE";
/// What is said of a file alone, in every format.
const OF_FILES: [&str; 9] = [
    "store     mode ",
    "store     log ",
    r#""store","check":"mode""#,
    r#""store","check":"log""#,
    "store,mode,",
    "store,log,",
    "space                 0 ",
    r#""task":"space""#,
    "space,",
];

impl Mask {
    pub fn new(sandbox: &Sandbox) -> Self {
        let base57 = "[2-9A-HJ-NP-Za-km-z]";
        let patterns = [
            (format!(r"\bsmtpc_{base57}{{30}}\b"), "[PASSWORD]"),
            (
                r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ".into(),
                "YYYY-MM-DDThh:mm:ssZ",
            ),
            (r"\b20\d\d-\d\d-\d\d\b".into(), "YYYY-MM-DD"),
            (r" +\d+ ms\b".into(), "     N ms"),
            (
                r#""milliseconds":( ?)\d+"#.into(),
                r#""milliseconds":${1}0"#,
            ),
            (r"\b(connect|greeting),\d+,".into(), "$1,N,"),
            (
                format!("smtpcred-verification={base57}{{24}}"),
                "smtpcred-verification=[TOKEN]",
            ),
            // Of rows that have the time in them.
            (
                r"\b[0-9a-f]{32}\b".into(),
                "[DIGEST OF ALL THE TABLE'S ROWS]",
            ),
            (
                r"\b[0-9a-f]{64}\b".into(),
                "[HASH OF ALL THE EVENTS UP TO THIS ONE]",
            ),
            // A slow machine may take some seconds between two lines.
            (r"\b\ds\b".into(), "0s"),
            (r"\b\d\ds (old|ago)\b".into(), "0s $1"),
            // In a column.
            (r"(  )\d\ds (  )".into(), "${1}0s  $2"),
            (
                r#""password_age_seconds":( ?)\d+"#.into(),
                r#""password_age_seconds":${1}0"#,
            ),
            (r"-[2-9a-km-z]{4}@".into(), "-xxxx@"),
            (
                r#""actor":"[^"]*","run_as":[^,]*,"host":"[^"]*""#.into(),
                r#""actor":"…","run_as":…,"host":"…""#,
            ),
        ];
        Self {
            ids: BTreeSet::new(),
            patterns: patterns
                .into_iter()
                .map(|(pattern, mask)| (Regex::new(&pattern).unwrap(), mask))
                .collect(),
            folder: sandbox.folder.path().display().to_string(),
            url: sandbox
                .database
                .as_ref()
                .map(|database| database.url.clone()),
        }
    }

    /// Learns the password IDs there are, for they look like nothing special.
    pub fn learn(&mut self, sandbox: &Sandbox) {
        const IDS: &str = "SELECT password_id FROM passwords";
        const THERE: &str = "SELECT to_regclass('smtpcred.passwords')";
        if let Some(database) = &sandbox.database {
            if !database.sql(THERE).is_empty() {
                self.ids.extend(sandbox.texts(IDS));
            }
            return;
        }
        let Ok(store) = rusqlite::Connection::open_with_flags(
            sandbox.store(),
            rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
        ) else {
            return;
        };
        let mut ids = store.prepare(IDS).unwrap();
        let found = ids.query_map([], |row| row.get::<_, String>(0)).unwrap();
        self.ids.extend(found.map(Result::unwrap));
    }

    pub fn apply(&self, text: &str) -> String {
        let mut text = text.replace(&self.folder, "[FOLDER]");
        if let Some(url) = &self.url {
            text = text.replace(url, STORE).replace(INIT, DOMAIN_ADD);
        }
        for id in &self.ids {
            text = text.replace(id, "[PWD-ID]");
        }
        for (pattern, mask) in &self.patterns {
            text = pattern.replace_all(&text, *mask).into_owned();
        }
        text
    }
}

/// What begins the part of a transcript that is about files, to the next line that
/// begins with `#`.
const SQLITE_ONLY: &str = "# (SQLite only) ";

/// What a transcript says to both engines.
fn of_both(transcript: &str) -> String {
    let mut only = false;
    let mut both = String::new();
    for line in transcript.lines() {
        if line.starts_with('#') {
            only = line.starts_with(SQLITE_ONLY);
        }
        if !only && !OF_FILES.iter().any(|check| line.contains(check)) {
            writeln!(both, "{line}").unwrap();
        }
    }
    both
}

/// As this engine says it.
fn spoken(sql: &str, sandbox: &Sandbox) -> String {
    if sandbox.database.is_none() {
        return sql.to_owned();
    }
    sql.replace(
        "strftime('%s', 'now')",
        "CAST(extract(epoch FROM now()) AS BIGINT)",
    )
}

/// Runs what a transcript types, and writes down what came of it.
fn replay(transcript: &str, sandbox: &Sandbox, bin: &Path) -> String {
    let mut mask = Mask::new(sandbox);
    if sandbox.database.is_some() {
        give_to_nobody(sandbox.folder.path());
    }
    let mut fresh = String::new();
    for line in transcript.lines() {
        if line.starts_with('#') {
            writeln!(fresh, "{line}").unwrap();
        }
        if let Some(sql) = line.strip_prefix("% ") {
            sandbox.sql(&spoken(sql, sandbox));
            writeln!(fresh, "{line}").unwrap();
        }
        let Some(typed) = line.strip_prefix("$ ") else {
            continue;
        };
        let run = shell(sandbox, bin, typed);
        mask.learn(sandbox);
        writeln!(fresh, "$ {typed}").unwrap();
        fresh.push_str(&mask.apply(&run.stdout));
        if !run.stdout.is_empty() && !run.stdout.ends_with('\n') {
            fresh.push_str("[NO NEWLINE]\n");
        }
        for said in mask.apply(&run.stderr).lines() {
            writeln!(fresh, "! {said}").unwrap();
        }
        if run.code != 0 {
            writeln!(fresh, "? {}", run.code).unwrap();
        }
    }
    fresh
}

/// In order.
fn transcripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut transcripts: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    transcripts.sort();
    assert!(transcripts.len() >= 8, "the transcripts were not found");
    transcripts
}

/// The same to the letter, but for what is about a file.
#[test]
#[ignore = "needs PostgreSQL: run tests/run"]
fn every_command_says_the_same_on_postgresql() {
    let server = Postgres::start();
    let bin = tempfile::tempdir().unwrap();
    give_to_nobody(bin.path());
    let program = program_in(bin.path());
    let mut differ = Vec::new();
    for path in transcripts() {
        let kept = of_both(&fs::read_to_string(&path).unwrap());
        let fresh = replay(&kept, &server.sandbox(), program.parent().unwrap());
        // What is left out may have been the last of a list.
        let alike = |text: &str| text.replace("},\n", "}\n");
        if alike(&fresh) != alike(&kept) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            // To be compared with the transcript.
            let aside = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("postgresql-{name}"));
            fs::write(&aside, fresh).unwrap();
            differ.push(aside.display().to_string());
        }
    }
    assert!(
        differ.is_empty(),
        "not as on SQLite:\n{}",
        differ.join("\n")
    );
}

#[test]
fn every_command_says_what_it_said() {
    let bin = Path::new(PROGRAM).parent().unwrap();
    let mut stale = Vec::new();
    for path in transcripts() {
        let kept = fs::read_to_string(&path).unwrap();
        let fresh = replay(&kept, &Sandbox::empty(), bin);
        if fresh == kept {
            continue;
        }
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, fresh).unwrap();
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let (line, (was, is)) = (1..)
            .zip(
                kept.lines()
                    .chain(["(end)"])
                    .zip(fresh.lines().chain(["(end)"])),
            )
            .find(|(_, (was, is))| was != is)
            .unwrap();
        stale.push(format!("{name}:{line}\n  was: {was}\n  is:  {is}"));
    }
    assert!(
        stale.is_empty(),
        "transcripts differ:\n{}",
        stale.join("\n")
    );
}

/// Every command that can be typed is in some transcript, in every format.
#[test]
fn no_command_is_left_out() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let typed: Vec<String> = fs::read_dir(folder.join("golden"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .flat_map(|path| {
            let text = fs::read_to_string(path).unwrap();
            text.lines()
                .filter_map(|line| line.strip_prefix("$ ").map(str::to_owned))
                .collect::<Vec<_>>()
        })
        .collect();
    let pages = fs::read_dir(folder.join("../man")).unwrap();
    let mut missing = Vec::new();
    for page in pages {
        let page = page.unwrap().file_name().into_string().unwrap();
        let Some(command) = page.strip_suffix(".1") else {
            continue; // tells about many commands
        };
        let command = command.replacen('-', " ", 1);
        let command = match command.strip_prefix("smtpcred ") {
            Some(rest) if rest.contains("settings") || rest.contains("server") => {
                format!("smtpcred {rest}")
            }
            Some(rest) => format!("smtpcred {}", rest.replacen('-', " ", 1)),
            None => continue,
        };
        if matches!(
            command.as_str(),
            // The last ones do not end by themselves, or print what another command does.
            "smtpcred domain"
                | "smtpcred user"
                | "smtpcred audit"
                | "smtpcred serve"
                | "smtpcred as"
        ) {
            continue;
        }
        for format in ["", "--json", "--format csv"] {
            let has = |line: &&String| {
                line.contains(&command)
                    && line.contains(format)
                    && (!format.is_empty() || !line.contains("--json"))
            };
            if !typed.iter().any(|line| has(&line)) {
                missing.push(format!("{command} {format}"));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "no transcript of:\n{}",
        missing.join("\n")
    );
}
