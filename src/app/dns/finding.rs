//! The result of a check of the DNS.

use crate::model::dns::{DnsFailure, ZoneRecord};

/// How good a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsState {
    /// It exists and is right.
    Ok,
    /// It does not exist.
    Missing,
    /// It exists and does not work.
    Wrong,
    /// It works and could be better.
    Warning,
    /// The DNS did not answer.
    Unknown,
}

impl DnsState {
    /// Returns the word in lists and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Missing => "missing",
            Self::Wrong => "wrong",
            Self::Warning => "warning",
            Self::Unknown => "unknown",
        }
    }
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsFinding {
    /// The check's name, such as `spf`.
    pub check: &'static str,
    /// How good the record is.
    pub state: DnsState,
    /// What the DNS says, shortened.
    pub found: String,
    /// The record to publish.
    pub wanted: Option<ZoneRecord>,
    /// What is wrong, and what to do.
    pub hint: Option<String>,
}

impl DnsFinding {
    pub(super) fn new(check: &'static str, state: DnsState, found: impl Into<String>) -> Self {
        Self {
            check,
            state,
            found: shown(&found.into()),
            wanted: None,
            hint: None,
        }
    }

    pub(super) fn unknown(check: &'static str, failure: &DnsFailure) -> Self {
        let found = format!("cannot be looked up from here: {failure}");
        Self::new(check, DnsState::Unknown, found)
            .hint("try again, or ask another name server with --resolver")
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        let hint = Some(shown(&hint.into()));
        Self { hint, ..self }
    }

    pub(super) fn wanted(self, record: ZoneRecord) -> Self {
        let wanted = Some(record);
        Self { wanted, ..self }
    }
}

/// Shortens a text for people: a record has up to 64 KiB.
pub fn shown(text: &str) -> String {
    const MOST: usize = 500;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}
