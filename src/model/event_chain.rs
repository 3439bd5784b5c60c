//! The chain of events: the hash of each covers its columns and the hash of the event before
//! it, so a change of the past shows. Pure: the store reads the rows.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::time::Time;
use crate::error::{Error, Result};

/// The hash of an event, or that before the first one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventHash([u8; 32]);

/// The columns of an event as the store has them. All of them are hashed.
#[derive(Clone, Copy, Debug)]
pub struct EventColumns<'a> {
    /// Its number.
    pub id: i64,
    /// The time, in seconds since 1970.
    pub at: i64,
    /// The person or job.
    pub actor: &'a str,
    /// The user that the program ran as, if another.
    pub run_as: Option<&'a str>,
    /// The machine's name.
    pub host: &'a str,
    /// The name of the action.
    pub action: &'a str,
    /// The domain it is about.
    pub domain: Option<&'a str>,
    /// The user it is about.
    pub username: Option<&'a str>,
    /// What was set to what, in JSON, byte for byte.
    pub fields: &'a str,
}

impl EventHash {
    /// Returns the hash of the event that follows. Each column has its type and length before
    /// it, so no two events have the same form.
    #[must_use]
    pub fn followed_by(&self, event: &EventColumns) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("smtpcred 2026-12-01 event");
        hasher.update(&self.0);
        for number in [event.id, event.at] {
            hasher.update(b"i");
            hasher.update(&number.to_le_bytes());
        }
        for text in [
            Some(event.actor),
            event.run_as,
            Some(event.host),
            Some(event.action),
            event.domain,
            event.username,
            Some(event.fields),
        ] {
            let Some(text) = text else {
                hasher.update(b"n");
                continue;
            };
            hasher.update(b"t");
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        Self(hasher.finalize().into())
    }
}

impl fmt::Display for EventHash {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl FromStr for EventHash {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let hash = blake3::Hash::from_hex(text).map(|hash| Self(hash.into()));
        hash.map_err(|_| Error::Usage("the hash of an event has 64 hexadecimal digits".into()))
    }
}

impl Serialize for EventHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventHash {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse()
            .map_err(|error: Error| D::Error::custom(error.to_string()))
    }
}

/// A place in the chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainPlace {
    /// The number of an event; 0 before the first one.
    pub id: i64,
    /// Its hash.
    pub hash: EventHash,
}

impl fmt::Display for ChainPlace {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {}", self.id, self.hash)
    }
}

/// Where the chain of a store began that had events before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainBegin {
    /// The last event of a version without a chain.
    pub id: i64,
    /// When the events up to it were chained.
    pub at: Time,
}

/// What a store records about its chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChainMarks {
    /// The last event; `None` if there never was one, or if the record was removed.
    pub head: Option<ChainPlace>,
    /// The last event that was archived; `None` if none was.
    pub archived: Option<ChainPlace>,
    /// The last event of a version without a chain, and when the chain was begun; `None` if
    /// all events were chained from the first one.
    pub begun: Option<ChainBegin>,
}

/// A head that was kept elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptHead {
    /// The number of the event, if it was kept.
    pub id: Option<i64>,
    /// Its hash.
    pub hash: EventHash,
}

impl FromStr for KeptHead {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((id, hash)) = text.trim().split_once([' ', ':']) else {
            let hash = text.trim().parse()?;
            return Ok(Self { id: None, hash });
        };
        let id = id.parse().map_err(|_| {
            Error::Usage("a head is the number and the hash that audit head prints".into())
        })?;
        let hash = hash.trim().parse()?;
        Ok(Self { id: Some(id), hash })
    }
}

/// What is wrong with a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainFault {
    /// The hash of an event is not that of its columns and of the event before it.
    Misfit(i64),
    /// Another program wrote an event, without a hash.
    NoHash(i64),
    /// Events with these numbers are missing between others.
    Gap(i64, i64),
    /// Events with these numbers are missing at the end.
    CutEnd(i64, i64),
    /// Events with these numbers are behind the recorded end.
    BehindHead(i64, i64),
    /// The last event is not the recorded one.
    HeadDiffers(i64),
    /// In an archive, the line behind this event is damaged.
    Unreadable(i64),
    /// The record of the last event is missing.
    NoHead,
    /// No event has the kept hash.
    KeptHead(Option<i64>),
    /// The kept head is older than the first event of the store.
    KeptHeadArchived(i64),
}

impl ChainFault {
    /// Returns the number of the first event that it is about, if that is known.
    pub const fn event(self) -> Option<i64> {
        match self {
            Self::Misfit(id)
            | Self::NoHash(id)
            | Self::Gap(id, _)
            | Self::CutEnd(id, _)
            | Self::BehindHead(id, _)
            | Self::HeadDiffers(id) => Some(id),
            Self::Unreadable(id) => Some(id + 1),
            Self::NoHead | Self::KeptHeadArchived(_) => None,
            Self::KeptHead(id) => id,
        }
    }
}

impl fmt::Display for ChainFault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let events = |first, last| {
            if first == last {
                format!("event {first} is")
            } else {
                format!("events {first} to {last} are")
            }
        };
        match *self {
            Self::Misfit(id) => write!(
                f,
                "event {id} does not fit the one before it: one of them was changed, or events were \
                 inserted or moved there"
            ),
            Self::NoHash(id) => write!(f, "event {id} has no hash: another program wrote it"),
            Self::Gap(first, last) => write!(f, "{} missing", events(first, last)),
            Self::CutEnd(first, last) => {
                write!(f, "{} missing at the end", events(first, last))
            }
            Self::BehindHead(first, last) => write!(
                f,
                "{} behind the recorded end: another program wrote them",
                events(first, last)
            ),
            Self::HeadDiffers(id) => write!(
                f,
                "event {id} is not the one that was recorded as the last: it was rewritten"
            ),
            Self::Unreadable(id) => write!(f, "the line behind event {id} is damaged"),
            Self::NoHead => f.write_str("the record of the last event was removed"),
            Self::KeptHead(None) => f.write_str(
                "no event has the kept hash: events before it were rewritten or removed since",
            ),
            Self::KeptHead(Some(id)) => write!(
                f,
                "event {id} does not have the kept hash: it, or events before it, were rewritten or \
                 removed since"
            ),
            Self::KeptHeadArchived(last) => write!(
                f,
                "the kept head is that of an archived event: events up to {last} are in archives"
            ),
        }
    }
}

/// The result of reading a chain.
#[derive(Clone, Debug)]
pub struct ChainReport {
    /// How many events were read.
    pub events: u64,
    /// The number of the first of them.
    pub first: Option<i64>,
    /// The last place in the chain.
    pub head: ChainPlace,
    /// The first fault.
    pub fault: Option<ChainFault>,
    /// How many others there are.
    pub others: u64,
}

/// Reads a chain, event by event.
pub struct ChainCheck {
    last: ChainPlace,
    marks: ChainMarks,
    kept: Option<KeptHead>,
    kept_found: bool,
    report: ChainReport,
}

impl ChainCheck {
    /// Begins behind what was archived.
    pub fn new(marks: ChainMarks, kept: Option<KeptHead>) -> Self {
        let first = marks.archived.unwrap_or_default();
        Self::behind(first, marks, kept)
    }

    /// Begins behind another place.
    pub fn behind(place: ChainPlace, marks: ChainMarks, kept: Option<KeptHead>) -> Self {
        let mut check = Self {
            last: place,
            marks,
            kept,
            kept_found: false,
            report: ChainReport {
                events: 0,
                first: None,
                head: place,
                fault: None,
                others: 0,
            },
        };
        check.look_for_kept();
        check
    }

    /// Returns the place of the last event read.
    pub const fn last(&self) -> ChainPlace {
        self.last
    }

    /// Reads the next event, with the hash that it has in the store.
    pub fn add(&mut self, event: &EventColumns, hash: Option<&str>) {
        let fits = self.last.hash.followed_by(event);
        let found = hash.map(EventHash::from_str);
        let (after, id) = (self.last.id, event.id);
        if id > after + 1 && !self.may_skip(id) {
            self.fault(ChainFault::Gap(after + 1, id - 1));
        } else if hash.is_none() {
            self.fault(ChainFault::NoHash(id));
        } else if !found
            .as_ref()
            .is_some_and(|found| matches!(found, Ok(hash) if *hash == fits))
        {
            self.fault(ChainFault::Misfit(id));
        }
        // Later events are compared with what this one says, so each fault counts once.
        let hash = found.and_then(Result::ok).unwrap_or(fits);
        self.last = ChainPlace { id, hash };
        self.report.first.get_or_insert(id);
        self.report.events += 1;
        self.look_for_kept();
    }

    /// Passes over a damaged line of an archive.
    pub fn unreadable(&mut self) {
        self.fault(ChainFault::Unreadable(self.last.id));
    }

    /// Versions without a chain left gaps in the numbers: a database counts on after a change
    /// that was rolled back.
    fn may_skip(&self, id: i64) -> bool {
        self.marks.begun.is_some_and(|begun| id <= begun.id)
    }

    fn look_for_kept(&mut self) {
        let is_it = |kept: KeptHead| kept.hash == self.last.hash;
        self.kept_found |= self.kept.is_some_and(is_it);
    }

    fn fault(&mut self, fault: ChainFault) {
        if self.report.fault.is_some() {
            self.report.others += 1;
        } else {
            self.report.fault = Some(fault);
        }
    }

    /// Compares the end with what is recorded and kept.
    pub fn end(mut self) -> ChainReport {
        let last = self.last;
        match self.marks.head {
            None if last.id > 0 => self.fault(ChainFault::NoHead),
            Some(head) if head.id > last.id => {
                self.fault(ChainFault::CutEnd(last.id + 1, head.id));
            }
            Some(head) if head.id < last.id => {
                self.fault(ChainFault::BehindHead(head.id + 1, last.id));
            }
            Some(head) if head.hash != last.hash => self.fault(ChainFault::HeadDiffers(last.id)),
            None | Some(_) => {}
        }
        if let Some(kept) = self.kept
            && !self.kept_found
        {
            self.fault(match (kept.id, self.marks.archived) {
                (Some(id), Some(archived)) if id < archived.id => {
                    ChainFault::KeptHeadArchived(archived.id)
                }
                (id, _) => ChainFault::KeptHead(id),
            });
        }
        self.report.head = last;
        self.report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: EventColumns = EventColumns {
        id: 1,
        at: 1_800_000_000,
        actor: "ana",
        run_as: None,
        host: "relay",
        action: "domain.add",
        domain: Some("example.com"),
        username: None,
        fields: "{}",
    };

    #[test]
    fn the_form_stays_the_same() {
        let hash = EventHash::default().followed_by(&EVENT);
        assert_eq!(
            hash.to_string(),
            "44b0b381a27e802a01e2bb170c6250838bdce8db171bff2651612175c71c37cb"
        );
        assert_eq!(hash.to_string().parse::<EventHash>().unwrap(), hash);
    }

    #[test]
    fn each_column_counts_and_none_runs_into_the_next() {
        let first = EventHash::default().followed_by(&EVENT);
        let others = [
            EventColumns { id: 2, ..EVENT },
            EventColumns { at: 1, ..EVENT },
            EventColumns {
                actor: "an",
                host: "arelay",
                ..EVENT
            },
            EventColumns {
                run_as: Some(""),
                ..EVENT
            },
            EventColumns {
                host: "relax",
                ..EVENT
            },
            EventColumns {
                action: "domain.set",
                ..EVENT
            },
            EventColumns {
                domain: None,
                username: Some("example.com"),
                ..EVENT
            },
            EventColumns {
                username: Some("shop@example.com"),
                ..EVENT
            },
            EventColumns {
                fields: "{ }",
                ..EVENT
            },
        ];
        for other in others {
            assert_ne!(EventHash::default().followed_by(&other), first, "{other:?}");
        }
        assert_ne!(first.followed_by(&EVENT), first);
    }

    #[test]
    fn a_kept_head_has_a_number_or_none() {
        let hash = EventHash::default().followed_by(&EVENT);
        for (text, id) in [
            (format!("{hash}"), None),
            (format!("17 {hash}\n"), Some(17)),
        ] {
            assert_eq!(text.parse::<KeptHead>().unwrap(), KeptHead { id, hash });
        }
        for bad in ["", "17", "x 00", "17 00"] {
            assert!(bad.parse::<KeptHead>().is_err(), "{bad}");
        }
    }
}
