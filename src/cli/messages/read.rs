//! `smtpcred messages read`

use std::collections::HashSet;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Result;
use clap::Args;
use flate2::read::MultiGzDecoder;
use serde::Serialize;

use crate::app::messages::past::{LogTimes, PastLogs, PastSummary, first_time};
use crate::cli::args::path;
use crate::cli::context::Context;
use crate::cli::terminal::record::Record;
use crate::cli::time_zone;
use crate::cli::world::WORLD;
use crate::error::{Error, Exit};
use crate::files;
use crate::model::log_time::LogTime;
use crate::model::text::{count, escaped};
use crate::model::time::Time;
use crate::store::{Access, MessageStore};

const HELP: &str = "\
Examples:
  smtpcred messages read /var/log/mail.log*              also compressed with gzip, in any order
  smtpcred messages read /var/log/exim4/mainlog*
  journalctl -o json -t postfix/smtpd -t postfix/qmgr -t postfix/smtp | smtpcred messages read -
  xzcat mail.log.xz | smtpcred messages read -

What is read:
  Logs of Postfix and Exim: by syslog with traditional or RFC 3339 times, journald's JSON, and
  Exim's mainlog. Files are sorted by the time of their first line. Only messages of users that the
  store has or had are recorded, and none that are older than --keep-messages says. Logs may be read
  again, and while `messages follow` runs: what is recorded already stays as it is.
  Traditional times have neither a zone nor a year: the zone is that of this machine, or TZ, and the
  year the last in which they are not newer than the file.

JSON:
  {lines, messages, new, changed, too_old, unreadable: [FILE]}: how many lines were read, how many
  messages of users they name, how many of these were not known or are known better now, and how many
  were left out because they are too old.

Exit codes:
  0; 1 if a file could not be read: the others were.";

/// Record messages from past logs
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct ReadLogs {
    /// Logs to read; - is stdin
    #[arg(value_name = "FILE", required = true, value_parser = path::given())]
    files: Vec<PathBuf>,
}

/// A log that could be opened.
struct OpenedLog {
    name: PathBuf,
    first: Option<LogTime>,
    /// Its device and inode; none of stdin.
    file: Option<(u64, u64)>,
    /// When it was last written: a log that was rotated away is older.
    written: Option<SystemTime>,
}

impl ReadLogs {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let rules = app.settings()?.messages;
        if rules.keep.is_none() {
            return Err(Error::MessagesNotKept.into());
        }
        let mut messages = MessageStore::open(&context.location()?, Access::Create)?;
        messages.set_rules(&rules)?;
        let mut unreadable = Vec::new();
        let mut fail = |context: &Context, name: &Path, error: &io::Error| {
            let name = name.display().to_string();
            context
                .out
                .warn(&format!("{} cannot be read: {error}", escaped(&name)));
            unreadable.push(name);
        };
        let mut logs = Vec::new();
        for name in self.files {
            match begin(&name) {
                Ok(log) => logs.push(log),
                Err(error) => fail(context, &name, &error),
            }
        }
        // A file that is read twice in one run would look like other messages with the same ids.
        let mut named = HashSet::new();
        logs.retain(|log: &OpenedLog| log.file.is_none_or(|file| named.insert(file)));
        logs.sort_by_key(|log| {
            let first = log.first.unwrap_or(LogTime::from_micros(i64::MAX));
            (first, log.written)
        });
        let first = logs.iter().find_map(|log| log.first);
        let mut past = PastLogs::begin(&mut app, &mut messages, first)?;
        for log in &logs {
            let read = match open(&log.name) {
                Ok((mut bytes, times)) => past.read(&mut bytes, times)?,
                Err(error) => Err(error),
            };
            if let Err(error) = read {
                fail(context, &log.name, &error);
            }
        }
        let summary = past.end()?;
        context.out.note(&told(&summary));
        let failed = !unreadable.is_empty();
        context.out.result(&ReadRecord::new(summary, unreadable))?;
        if failed {
            return Err(Error::Answered(Exit::Failed).into());
        }
        Ok(())
    }
}

fn is_stdin(name: &Path) -> bool {
    name == Path::new("-")
}

/// Finds out which file it is, and the time of its first line about a message. Stdin can be
/// read only once.
fn begin(name: &Path) -> io::Result<OpenedLog> {
    if is_stdin(name) {
        return Ok(OpenedLog {
            name: name.to_owned(),
            first: None,
            file: None,
            written: None,
        });
    }
    let found = files::open(name)?.metadata()?;
    if !found.is_file() && !found.is_dir() {
        return Err(io::Error::other(
            "it is not a file: give it as stdin, with -",
        ));
    }
    let (mut bytes, times) = open(name)?;
    Ok(OpenedLog {
        name: name.to_owned(),
        first: first_time(&mut bytes, times),
        file: Some((found.dev(), found.ino())),
        written: found.modified().ok(),
    })
}

/// Opens a log, and how to read its times.
fn open(name: &Path) -> io::Result<(Box<dyn Read>, LogTimes)> {
    let times = |newest| LogTimes {
        zone: time_zone::of_machine(),
        newest,
    };
    if is_stdin(name) {
        let bytes = unpacked(BufReader::new(io::stdin()))?;
        return Ok((bytes, times((WORLD.now)())));
    }
    let file = files::open(name)?;
    let found = file.metadata()?;
    if found.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let changed = found.modified().ok().and_then(|at| {
        let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(Time::from_epoch(i64::try_from(since.as_secs()).ok()?))
    });
    let bytes = unpacked(BufReader::new(file))?;
    Ok((bytes, times(changed.unwrap_or_else(|| (WORLD.now)()))))
}

/// Unpacks gzip, which is recognised by its first bytes.
fn unpacked(mut bytes: impl io::BufRead + 'static) -> io::Result<Box<dyn Read>> {
    const PACKED: [(&[u8], &str); 3] = [
        (b"\xfd7zXZ", "xzcat"),
        (b"\x28\xb5\x2f\xfd", "zstdcat"),
        (b"BZh", "bzcat"),
    ];
    let begin = bytes.fill_buf()?;
    if begin.starts_with(b"\x1f\x8b") {
        return Ok(Box::new(MultiGzDecoder::new(bytes)));
    }
    for (magic, program) in PACKED {
        if begin.starts_with(magic) {
            let cure = format!("it is compressed: {program} FILE | smtpcred messages read -");
            return Err(io::Error::other(cure));
        }
    }
    Ok(Box::new(bytes))
}

fn told(summary: &PastSummary) -> String {
    let PastSummary {
        lines,
        messages,
        new,
        changed,
        too_old,
    } = *summary;
    let told = format!(
        "{}, {} of users: {new} new, {changed} updated",
        count(lines, "line"),
        count(messages, "message")
    );
    if too_old == 0 {
        return told;
    }
    format!("{told}; {too_old} left out: older than --keep-messages")
}

#[derive(Serialize)]
struct ReadRecord {
    lines: u64,
    messages: u64,
    new: u64,
    changed: u64,
    too_old: u64,
    unreadable: Vec<String>,
}

impl ReadRecord {
    const fn new(summary: PastSummary, unreadable: Vec<String>) -> Self {
        Self {
            lines: summary.lines,
            messages: summary.messages,
            new: summary.new,
            changed: summary.changed,
            too_old: summary.too_old,
            unreadable,
        }
    }
}

impl Record for ReadRecord {
    const FIELDS: &'static [&'static str] = &[
        "lines",
        "messages",
        "new",
        "changed",
        "too_old",
        "unreadable",
    ];

    fn fields(&self) -> Vec<String> {
        let numbers = [
            self.lines,
            self.messages,
            self.new,
            self.changed,
            self.too_old,
        ];
        let mut fields: Vec<String> = numbers.iter().map(u64::to_string).collect();
        fields.push(self.unreadable.join(" "));
        fields
    }
}
