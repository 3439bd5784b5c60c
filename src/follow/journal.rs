//! The journal, read by a `journalctl` that runs as long as this process.
//!
//! journalctl says nothing if the entry of a cursor is gone, and older ones lose an entry
//! with `--after-cursor`, unless the cursor's entry matches, too (systemd issue 30288). So
//! only cursors of entries with an event are kept, and reading resumes with that entry: if
//! another one comes first, it is gone.

use std::env::join_paths;
use std::io::{self, ErrorKind, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::files::never_wait;
use crate::files::programs::{find_program, program_folders};
use crate::model::log_time::LogTime;

/// All mail; Exim, which some versions log as another facility; and journald's
/// own entries about what it dropped.
const MATCHES: [&str; 7] = [
    "SYSLOG_FACILITY=2",
    "+",
    "SYSLOG_IDENTIFIER=exim",
    "SYSLOG_IDENTIFIER=exim4",
    "+",
    "MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e",
    "_TRANSPORT=driver",
];
/// What is read of an entry: a third of what there is.
const FIELDS: &str = "--output-fields=MESSAGE,SYSLOG_IDENTIFIER,SYSLOG_PID,_PID,_HOSTNAME,\
                      _SOURCE_REALTIME_TIMESTAMP,MESSAGE_ID,_TRANSPORT,N_DROPPED,\
                      OBJECT_SYSTEMD_UNIT";
/// How long to wait before it is started again, at first and at most.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// One that ran this long did not fail at its start.
const RAN: Duration = Duration::from_secs(60);
/// One that ran this long, and printed nothing, has nothing to print.
const QUIET: Duration = Duration::from_secs(20);
/// How much of its last words is kept, in bytes.
const WORDS: usize = 2000;

/// Where to begin.
#[derive(Clone, Debug)]
pub enum JournalStart {
    /// With the entries since this time.
    Since(LogTime),
    /// With the entry of this cursor; if that is gone, with what is left since the time.
    At(String, LogTime),
}

/// What came of reading.
#[derive(Debug)]
pub enum JournalRead {
    /// This many bytes.
    Bytes(usize),
    /// It was started: half a line that was read has no end.
    Begins,
    /// There is nothing new.
    Nothing,
    /// It ended, with its last words, and will be started again.
    Ended(String),
}

/// Follows the journal.
pub struct JournalReader {
    start: JournalStart,
    running: Option<Running>,
    last_words: Vec<u8>,
    pause: Duration,
    next_start: Option<Instant>,
    /// Whether entries were ever read.
    has_read: bool,
}

struct Running {
    child: Child,
    stdout: ChildStdout,
    stderr: ChildStderr,
    since: Instant,
}

impl JournalReader {
    /// Starts nothing yet.
    pub const fn new(start: JournalStart) -> Self {
        Self {
            start,
            running: None,
            last_words: Vec::new(),
            pause: PAUSE,
            next_start: None,
            has_read: false,
        }
    }

    /// The cursor with which reading resumes.
    pub fn cursor(&self) -> Option<&str> {
        match &self.start {
            JournalStart::At(cursor, _) => Some(cursor),
            JournalStart::Since(_) => None,
        }
    }

    /// Whether it is read up to now, or at least up to the cursor.
    pub fn is_read(&self) -> bool {
        let running = self.running.as_ref();
        let is_quiet = running.is_some_and(|running| running.since.elapsed() >= QUIET);
        self.cursor().is_some() || is_quiet
    }

    /// The entry with this cursor and time was read.
    pub fn resume_at(&mut self, cursor: &[u8], at: LogTime) {
        let cursor = String::from_utf8_lossy(cursor).into_owned();
        self.start = JournalStart::At(cursor, at);
    }

    /// Reads on, and never waits. Fails if this user may not read the journal, or if there is
    /// none.
    pub fn read(&mut self, buffer: &mut [u8], now: Instant) -> Result<JournalRead> {
        let Some(running) = &mut self.running else {
            if self.next_start.is_some_and(|next| now < next) {
                return Ok(JournalRead::Nothing);
            }
            self.running = Some(start(&self.start, now)?);
            self.last_words.clear();
            return Ok(JournalRead::Begins);
        };
        keep_words(&mut running.stderr, &mut self.last_words);
        match running.stdout.read(buffer) {
            Ok(0) => self.ended(now),
            Ok(count) => {
                self.has_read = true;
                Ok(JournalRead::Bytes(count))
            }
            Err(error) if is_later(&error) => Ok(JournalRead::Nothing),
            Err(error) => Err(Error::System(format!(
                "the journal cannot be read: {error}"
            ))),
        }
    }

    /// It is started again, later each time.
    fn ended(&mut self, now: Instant) -> Result<JournalRead> {
        let Some(mut running) = self.running.take() else {
            return Ok(JournalRead::Nothing);
        };
        // It closed its output, so it is about to end.
        let _ = running.child.kill();
        let _ = running.child.wait();
        keep_words(&mut running.stderr, &mut self.last_words);
        let words = String::from_utf8_lossy(&self.last_words).into_owned();
        if !self.has_read && words.contains("insufficient permissions") {
            return Err(Error::JournalForbidden);
        }
        if let JournalStart::At(_, at) = &self.start
            && words.contains("cursor")
        {
            // Of another machine, or damaged.
            self.start = JournalStart::Since(*at);
        }
        if now - running.since >= RAN {
            self.pause = PAUSE;
        }
        self.next_start = Some(now + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        let last = words.lines().rev().find(|line| !line.trim().is_empty());
        Ok(JournalRead::Ended(
            last.unwrap_or("it said nothing").to_owned(),
        ))
    }
}

impl Drop for JournalReader {
    fn drop(&mut self) {
        if let Some(running) = &mut self.running {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }
}

fn start(from: &JournalStart, now: Instant) -> Result<Running> {
    let folders = program_folders();
    let failed = |what: String| Error::System(format!("journalctl {what}"));
    let program = find_program("journalctl", &folders)
        .ok_or_else(|| failed("is not installed".to_owned()))?;
    let path = join_paths(&folders).map_err(|_| failed("cannot be run: PATH".to_owned()))?;
    let begin = match from {
        JournalStart::Since(at) => format!("--since=@{}", at.time().epoch().max(0)),
        JournalStart::At(cursor, _) => format!("--cursor={cursor}"),
    };
    let mut child = Command::new(program)
        .args([
            "--system",
            "--output=json",
            "--all",
            "--follow",
            "--no-tail",
            // Without it, --follow shows nothing from before the last boot, and --boot=all does not
            // help.
            "--merge",
            FIELDS,
            &begin,
        ])
        .args(MATCHES)
        .env("PATH", path)
        .env("LC_ALL", "C")
        // A Ctrl-C at the terminal is for this process, which ends it.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(format!("cannot be run: {error}")))?;
    match (child.stdout.take(), child.stderr.take()) {
        (Some(stdout), Some(stderr)) => {
            never_wait(&stdout)
                .and_then(|()| never_wait(&stderr))
                .map_err(|error| failed(format!("cannot be read: {error}")))?;
            Ok(Running {
                child,
                stdout,
                stderr,
                since: now,
            })
        }
        _ => Err(failed("has no output".to_owned())),
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Keeps the end of what it says.
fn keep_words(stderr: &mut impl Read, words: &mut Vec<u8>) {
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut buffer) {
        words.extend_from_slice(&buffer[..count]);
        let surplus = words.len().saturating_sub(WORDS);
        words.drain(..surplus);
    }
}
