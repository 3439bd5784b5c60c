//! Archives of events: JSON lines. The first line says where they are in the chain, each other
//! one is an event with its hash.

use std::io::{self, BufRead, Read as _};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::App;
use crate::error::{Error, Result};
use crate::model::event::Event;
use crate::model::event_chain::{
    ChainBegin, ChainCheck, ChainMarks, ChainPlace, ChainReport, EventColumns, EventHash, KeptHead,
};
use crate::model::time::Time;
use crate::store::EventFilter;

/// An event with its hash, as a line of an archive and of an export.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExportedEvent {
    id: i64,
    at: Time,
    actor: String,
    run_as: Option<String>,
    host: String,
    action: String,
    domain: Option<String>,
    username: Option<String>,
    fields: Value,
    hash: Option<EventHash>,
}

impl From<Event> for ExportedEvent {
    fn from(event: Event) -> Self {
        Self {
            id: event.id,
            at: event.at,
            actor: event.actor,
            run_as: event.run_as,
            host: event.host,
            action: event.action,
            domain: event.domain,
            username: event.username,
            fields: event.fields,
            hash: event.hash,
        }
    }
}

impl ExportedEvent {
    fn add_to(&self, check: &mut ChainCheck) {
        let event = EventColumns {
            id: self.id,
            at: self.at.epoch(),
            actor: &self.actor,
            run_as: self.run_as.as_deref(),
            host: &self.host,
            action: &self.action,
            domain: self.domain.as_deref(),
            username: self.username.as_deref(),
            fields: &self.fields.to_string(),
        };
        let hash = self.hash.map(|hash| hash.to_string());
        check.add(&event, hash.as_deref());
    }
}

/// The first line of an archive.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ArchiveStart {
    /// The form of the archive.
    pub smtpcred_archive: u32,
    /// Which installation the events are of.
    pub installation: Option<String>,
    /// The event before the first one.
    pub after: ChainPlace,
    /// The last event.
    pub head: ChainPlace,
    /// How many events.
    pub events: u32,
    /// The last event of a version without a chain.
    pub begun: Option<ChainBegin>,
}

/// The form that this program writes.
const FORM: u32 = 1;

impl ArchiveStart {
    /// Returns what the archive records about its part of the chain.
    pub fn marks(&self) -> ChainMarks {
        ChainMarks {
            head: Some(self.head),
            archived: Some(self.after),
            begun: self.begun,
        }
    }
}

impl App {
    /// Returns what an archive of the events before a time would begin with; `None` if there
    /// are no such events.
    pub fn plan_archive(&mut self, before: Time) -> Result<Option<ArchiveStart>> {
        let marks = self.store.chain_marks()?;
        let after = marks.archived.unwrap_or_default();
        let Some(head) = self.store.chain_before(before)? else {
            return Ok(None);
        };
        Ok(Some(ArchiveStart {
            smtpcred_archive: FORM,
            installation: self.store.installation()?,
            after,
            head,
            events: self.store.count_events_to(head.id)?,
            begun: marks.begun,
        }))
    }

    /// Passes the lines of an archive on.
    pub fn write_archive(
        &mut self,
        start: &ArchiveStart,
        each: &mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<()> {
        each(&line(start)?)?;
        let most = Some(start.events);
        let every = EventFilter::default();
        let mut write = |event: Event| each(&line(&ExportedEvent::from(event))?);
        self.store.events(&every, start.after.id, most, &mut write)
    }

    /// Removes the events of an archive that was written, unless they have changed since. The
    /// chain goes on behind them.
    pub fn remove_archived(&mut self, start: &ArchiveStart, file: &str) -> Result<()> {
        let mut tx = self.begin()?;
        tx.remove_archived(start.after, start.head, start.events, file)?;
        tx.commit()
    }
}

/// The longest line. The fields of an event are far shorter.
const LONGEST: u64 = 1 << 20;

/// Reads an archive: its place in the chain, and whether it is whole.
pub fn verify_archive(
    file: &mut dyn BufRead,
    kept: Option<KeptHead>,
) -> Result<(ArchiveStart, ChainReport)> {
    let unreadable = |e: io::Error| Error::Usage(format!("the archive cannot be read: {e}"));
    let first = next_line(file).map_err(unreadable)?.unwrap_or_default();
    let start: ArchiveStart = serde_json::from_slice(&first)
        .map_err(|_| Error::Usage("the file is not an archive of events".into()))?;
    if start.smtpcred_archive != FORM {
        let newer = "the archive has another form: read it with the smtpcred that wrote it";
        return Err(Error::Usage(newer.into()));
    }
    let mut check = ChainCheck::new(start.marks(), kept);
    while let Some(line) = next_line(file).map_err(unreadable)? {
        match serde_json::from_slice::<ExportedEvent>(&line) {
            Ok(event) => event.add_to(&mut check),
            Err(_) => check.unreadable(),
        }
    }
    Ok((start, check.end()))
}

fn next_line(file: &mut dyn BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = file.take(LONGEST).read_until(b'\n', &mut line)?;
    Ok((read > 0).then_some(line))
}

fn line(value: &impl Serialize) -> Result<String> {
    let line = serde_json::to_string(value);
    let mut line = line.map_err(|e| Error::Inconsistent(e.to_string()))?;
    line.push('\n');
    Ok(line)
}
