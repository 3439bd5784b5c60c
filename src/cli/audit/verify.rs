//! `smtpcred audit verify` and `smtpcred audit head`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::archive::verify_file;
use crate::app::chain::verify_chain;
use crate::cli::args::path;
use crate::cli::context::Context;
use crate::cli::terminal::column::{Cell, Column, TimeForm, Tone};
use crate::cli::terminal::output::OutputFormat;
use crate::cli::terminal::record::Record;
use crate::error::{Error, Exit};
use crate::model::event_chain::{
    ChainBegin, ChainFault, ChainMarks, ChainPlace, ChainReport, KeptHead,
};
use crate::store::Access;

const HELP: &str = "\
Examples:
  smtpcred audit verify
  smtpcred audit verify /root/events-2025.jsonl           an archive
  smtpcred audit verify --head \"$(cat head-of-monday)\"   with what audit head printed on Monday

What it shows:
  Each event has the hash of all its columns and of the event before it. An event that was changed,
  removed, inserted or moved no longer fits, nor does an end that was cut off. Someone who can write
  the store and computes all later hashes again leaves no trace in it: only a head that was kept
  elsewhere shows that. Events of versions without a chain were chained by the upgrade: what was changed
  before it does not show.

JSON:
  {result, reason, event, others, events, first, head: {id, hash}, begun: {id, at}, archived}; the
  result is whole or broken. The first fault is in reason and event, and others is how many more
  there are. begun is the last event of a version without a chain, archived the last one that was
  archived, or the last one before an archive; both may be null.

Exit codes:
  0 whole; 7 broken.";

/// Check that no event was changed, removed or inserted
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct VerifyEvents {
    /// The archive to check, which `smtpcred audit archive` wrote; without it, the store
    #[arg(value_name = "FILE", value_parser = path::given())]
    file: Option<PathBuf>,

    /// Check that the history contains this head, which `smtpcred audit head` printed
    #[arg(long, value_name = "HEAD")]
    head: Option<KeptHead>,
}

const HEAD_HELP: &str = "\
Examples:
  smtpcred audit head | ssh vault 'cat >> heads'         keep it where no one here can write
  smtpcred audit verify --head '4711 c0ffee…'            was anything before it rewritten?

Output:
  The number of the last event and its hash, on one line: `0` and zeros if there is none.

JSON:
  {id, hash}";

/// Print the number and hash of the last event, to be kept elsewhere
///
/// The hash depends on every earlier event: it tells later whether the history up to then was
/// rewritten.
#[derive(Debug, Args)]
#[command(after_long_help = HEAD_HELP)]
pub struct PrintHead {}

impl VerifyEvents {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let (report, marks) = if let Some(file) = &self.file {
            let (start, report) = verify_file(file, self.head)?;
            (report, start.marks())
        } else {
            let mut app = context.app(Access::Look)?;
            let marks = app.store.chain_marks()?;
            (verify_chain(&mut app.store, self.head)?, marks)
        };
        let is_whole = report.fault.is_none();
        context.out.one(&VerifiedEvents::new(&report, marks))?;
        if is_whole {
            return Ok(());
        }
        Err(Error::Answered(Exit::Attention).into())
    }
}

impl PrintHead {
    pub fn run(context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Look)?;
        let head = app.store.chain_marks()?.head.unwrap_or_default();
        match context.out.format() {
            OutputFormat::Table => Ok(context.out.text(&format!("{head}\n"))?),
            OutputFormat::Json | OutputFormat::Csv => Ok(context.out.one(&HeadRecord(head))?),
        }
    }
}

#[derive(Serialize)]
struct VerifiedEvents {
    result: &'static str,
    reason: Option<String>,
    event: Option<i64>,
    others: u64,
    events: u64,
    first: Option<i64>,
    head: ChainPlace,
    begun: Option<ChainBegin>,
    archived: Option<i64>,
}

impl VerifiedEvents {
    fn new(report: &ChainReport, marks: ChainMarks) -> Self {
        Self {
            result: if report.fault.is_none() {
                "whole"
            } else {
                "broken"
            },
            reason: report.fault.map(|fault| fault.to_string()),
            event: report.fault.and_then(ChainFault::event),
            others: report.others,
            events: report.events,
            first: report.first,
            head: report.head,
            begun: marks.begun,
            archived: marks.archived.map(|place| place.id),
        }
    }
}

impl Record for VerifiedEvents {
    const COLUMNS: &'static [Column] = &[
        Column::new("Result"),
        Column::new("Reason").wrap(24),
        Column::new("Others"),
        Column::new("Events"),
        Column::new("From"),
        Column::new("Head"),
        Column::new("Archived"),
        Column::new("Chained since").times(TimeForm::Stamp),
    ];

    fn cells(&self) -> Vec<Cell> {
        let number = |n: Option<i64>| Cell::from(n.map(|n| n.to_string()));
        let tone = if self.reason.is_none() {
            Tone::Good
        } else {
            Tone::Bad
        };
        let others = (self.others > 0).then(|| format!("{} more do not fit", self.others));
        vec![
            Cell::new(self.result.to_owned(), tone),
            self.reason.clone().into(),
            others.into(),
            self.events.to_string().into(),
            number(self.first),
            self.head.to_string().into(),
            self.archived
                .filter(|id| *id > 0)
                .map(|id| format!("up to event {id}"))
                .into(),
            self.begun.as_ref().map(|begun| begun.at.to_string()).into(),
        ]
    }

    fn lines(&self) -> Vec<(&'static str, Cell)> {
        let titles = Self::COLUMNS.iter().map(|column| column.title);
        let lines = titles.zip(self.cells());
        lines.filter(|(_, cell)| !cell.text.is_empty()).collect()
    }

    const FIELDS: &'static [&'static str] = &[
        "result",
        "reason",
        "event",
        "others",
        "events",
        "first",
        "head_id",
        "head_hash",
        "begun_id",
        "begun_at",
        "archived",
    ];

    fn fields(&self) -> Vec<String> {
        let number = |n: Option<i64>| n.map_or_else(String::new, |n| n.to_string());
        let begun = self.begun.as_ref();
        vec![
            self.result.to_owned(),
            self.reason.clone().unwrap_or_default(),
            number(self.event),
            self.others.to_string(),
            self.events.to_string(),
            number(self.first),
            self.head.id.to_string(),
            self.head.hash.to_string(),
            number(begun.map(|begun| begun.id)),
            begun.map_or_else(String::new, |begun| begun.at.to_string()),
            number(self.archived),
        ]
    }
}

#[derive(Serialize)]
struct HeadRecord(ChainPlace);

impl Record for HeadRecord {
    const COLUMNS: &'static [Column] = &[Column::new("Event"), Column::new("Hash")];
    const FIELDS: &'static [&'static str] = &["id", "hash"];

    fn fields(&self) -> Vec<String> {
        vec![self.0.id.to_string(), self.0.hash.to_string()]
    }
}
