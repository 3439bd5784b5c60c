//! `smtpcred audit archive`

use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::app::archive::{ArchiveStart, verify_archive};
use crate::cli::args::path;
use crate::cli::context::Context;
use crate::cli::new_file::{NewFile, unwritten};
use crate::cli::terminal::record::Record;
use crate::error::Error;
use crate::files;
use crate::model::event_chain::{ChainPlace, ChainReport, KeptHead};
use crate::model::since::Since;
use crate::model::text::count;
use crate::store::Access;

const HELP: &str = "\
Examples:
  smtpcred audit archive /root/events-2025.jsonl --before 2026-01-01
  smtpcred audit archive /root/events.jsonl --before 400d
  smtpcred audit verify /root/events-2025.jsonl          is the archive whole?

What happens:
  The events before that time are written to a new file with the mode 0600, which is synced and read
  again. Then one change removes them from the store and records the last of them, so that the chain
  of events goes on behind it; that change is an event, too. If anything fails before, the file is
  removed and the store stays as it is. Events that were made before by a clock that was ahead stay,
  with all after them. A store whose events were tampered with is not archived.
  Nothing else ever removes events. Keep the archives: a head from before can only be compared with
  them (smtpcred audit verify FILE --head 'HEAD').

Format:
  JSON lines. The first one is {smtpcred_archive, installation, after: {id, hash}, head: {id, hash},
  events, begun}: the event before the first one, and the last one. Each other one is an event, as in
  audit export.

JSON:
  {file, events, first, head: {id, hash}}; with no such events, file, first and head are null.";

/// Move old events to a file
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct ArchiveEvents {
    /// The new file
    #[arg(value_name = "FILE", value_parser = path::given())]
    file: PathBuf,

    /// Archive the events before then: a duration ago (400d), a date (UTC) or a time
    #[arg(long, value_name = "DURATION|TIME", allow_hyphen_values = true)]
    before: Since,
}

impl ArchiveEvents {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let before = self.before.at(app.now().plausible()?);
        let Some(start) = app.plan_archive(before)? else {
            context.out.note("there are no events before then");
            return Ok(context.out.result(&ArchivedRecord::NONE)?);
        };
        let path = &self.file;
        let mut file = NewFile::create(path)?;
        let failed = |e: std::io::Error| unwritten(path, &e);
        app.write_archive(&start, &mut |line| {
            file.writer().write_all(line.as_bytes()).map_err(failed)
        })?;
        file.sync().map_err(failed)?;
        let report = read_again(path, &start)?;
        let removed = app.remove_archived(&start, &path.display().to_string());
        // After a lost connection, the events may be nowhere else.
        if matches!(removed, Ok(()) | Err(Error::CommitUnknown { .. })) {
            file.keep().map_err(failed)?;
        }
        removed?;
        let n = count(start.events.into(), "event");
        context
            .out
            .note(&format!("moved {n} to {}", path.display()));
        Ok(context.out.result(&ArchivedRecord {
            file: Some(path.display().to_string()),
            events: start.events,
            first: report.first,
            head: Some(start.head),
        })?)
    }
}

/// Reads the archive that was written, before its events are removed.
fn read_again(path: &Path, start: &ArchiveStart) -> Result<ChainReport, Error> {
    let (_, report) = verify_file(path, None)?;
    let whole = report.fault.is_none() && report.events == u64::from(start.events);
    if whole && report.head == start.head {
        return Ok(report);
    }
    let fault = report.fault.map_or_else(
        || "its events are not those of the store".to_owned(),
        |fault| fault.to_string(),
    );
    Err(Error::Inconsistent(format!(
        "the events do not verify: {fault}; nothing was archived"
    )))
}

/// Reads an archive, and compares it with a head that was kept.
pub fn verify_file(
    path: &Path,
    kept: Option<KeptHead>,
) -> Result<(ArchiveStart, ChainReport), Error> {
    let opened = files::open_and_wait(path);
    let opened =
        opened.map_err(|e| Error::Usage(format!("{} cannot be read: {e}", path.display())))?;
    verify_archive(&mut BufReader::with_capacity(64 * 1024, opened), kept)
}

#[derive(Serialize)]
struct ArchivedRecord {
    file: Option<String>,
    events: u32,
    first: Option<i64>,
    head: Option<ChainPlace>,
}

impl ArchivedRecord {
    const NONE: Self = Self {
        file: None,
        events: 0,
        first: None,
        head: None,
    };
}

impl Record for ArchivedRecord {
    const FIELDS: &'static [&'static str] = &["file", "events", "first", "head_id", "head_hash"];

    fn fields(&self) -> Vec<String> {
        let number = |n: Option<i64>| n.map_or_else(String::new, |n| n.to_string());
        let hash = self.head.map(|head| head.hash.to_string());
        vec![
            self.file.clone().unwrap_or_default(),
            self.events.to_string(),
            number(self.first),
            number(self.head.map(|head| head.id)),
            hash.unwrap_or_default(),
        ]
    }
}
