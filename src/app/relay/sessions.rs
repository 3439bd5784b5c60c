//! Which password each open session signed in with, so that a session ends when its
//! password does (promise 3), what it has sent, and what an admin sees of it.
//!
//! A process of a mail server serves one client after another. It gives its process id
//! when it signs a client in (`CPID`) and when it asks about a message (the beginning of
//! Postfix's `instance`, or our `process`). So the latest sign-in of a user on one
//! connection of a process is the open session. Containers may share a process id: if
//! several connections match, the session is valid as long as one of their passwords
//! works. A session that is unknown here is not ended: it was open before this program
//! started, and the previous program did not carry it over.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;

use super::carry_over::format::{CarryOverReader, CarryOverWriter, damaged};
use super::two_generation_cache::TwoGenerationCache;
use crate::model::name::Username;
use crate::model::password::PasswordId;
use crate::model::session::OpenSession;
use crate::model::time::Time;
use crate::model::usage_window::Count;

pub(super) struct Sessions {
    processes: TwoGenerationCache<u32, Served>,
    /// The highest connection that was carried over. Connections up to it have ended, and their
    /// processes go on over new ones.
    carried: u64,
}

/// The sessions under one process id.
#[derive(Default)]
struct Served {
    /// The latest is the last one.
    sessions: Vec<Session>,
    /// There were too many to distinguish.
    crowded: bool,
}

/// Where in a mail server a session is served.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// The process, if it is known.
    pub process: Option<u32>,
    /// The process is at the other end of the connection: it is one of this machine, and serves
    /// one session at a time.
    pub is_here: bool,
    /// The connection to the socket for sign-ins.
    pub connection: u64,
}

/// A session since its sign-in.
pub(super) struct Session {
    connection: u64,
    is_here: bool,
    /// What it signed in with: the name of the user, or an old one.
    name: Username,
    /// The password that it signed in with.
    pub password_id: PasswordId,
    pub address: Option<IpAddr>,
    since: Time,
    last: Time,
    messages: u32,
    recipients: u32,
    /// The newest end of sessions when it began: only later ones can mean it.
    pub newest_end: i64,
}

/// How many processes are remembered: at least half of it. A session takes about 200 bytes.
const PROCESSES: usize = 20_000;
/// Sessions of one process id: beyond this, only the latest of each connection is kept.
const USUAL: usize = 8;
/// More containers than may share one process id, or more connections of a mail server
/// that opens a new one for each sign-in.
const MOST: usize = 1024;
/// Bytes of a session that is carried over, at most.
const WRITTEN: usize = 512;
/// A session that says nothing for longer is not listed, in seconds: mail servers hang up
/// on their clients much earlier.
const SILENT: i64 = 3_600;
/// How many sessions are listed: the latest ones.
const LISTED: usize = 10_000;

impl Sessions {
    /// Returns no sessions.
    pub fn new() -> Self {
        Self {
            processes: TwoGenerationCache::new(PROCESSES),
            carried: 0,
        }
    }

    /// Writes all sessions, as far as there is room.
    pub fn carry_over(&self, to: &mut CarryOverWriter<'_>) -> io::Result<()> {
        for (process, served) in self.processes.entries() {
            if !to.has_room(1 + served.sessions.len(), WRITTEN) {
                break;
            }
            to.u8(1)?;
            to.u32(*process)?;
            to.u8(served.crowded.into())?;
            to.u64(served.sessions.len() as u64)?;
            for session in &served.sessions {
                session.carry_over(to)?;
            }
        }
        to.u8(0)
    }

    /// Reads the sessions of the previous program. Its connections have lower numbers than
    /// those of this one.
    pub fn carried_over(from: &mut CarryOverReader<'_>) -> io::Result<Self> {
        let mut read = Self::new();
        while from.u8()? != 0 {
            let process = from.u32()?;
            let mut served = Served {
                crowded: from.u8()? != 0,
                sessions: Vec::new(),
            };
            for _ in 0..from.u64()? {
                let session = Session::carried_over(from)?;
                read.carried = read.carried.max(session.connection);
                if served.sessions.len() < MOST {
                    served.sessions.push(session);
                }
            }
            read.processes.insert(process, served);
        }
        Ok(read)
    }

    /// Records that a client signed in.
    pub fn begin(
        &mut self,
        service: Service,
        (name, password_id): (&Username, &PasswordId),
        address: Option<IpAddr>,
        now: Time,
        newest_end: i64,
    ) {
        let Some(process) = service.process else {
            return;
        };
        let served = self.processes.get_or_insert_default(process);
        if served.crowded {
            return;
        }
        let connection = service.connection;
        let begun = Session {
            connection,
            is_here: service.is_here,
            name: name.clone(),
            password_id: password_id.clone(),
            address: address.map(|address| address.to_canonical()),
            since: now,
            last: now,
            messages: 0,
            recipients: 0,
            newest_end,
        };
        let sessions = &mut served.sessions;
        let carried = self.carried;
        sessions.retain(|one| {
            let goes_on = one.connection <= carried && one.address == begun.address;
            one.name != begun.name || (one.connection != connection && !goes_on)
        });
        if sessions.len() >= USUAL {
            // Only the latest session of each connection is open.
            let mut newer = HashSet::from([connection]);
            sessions.reverse();
            sessions.retain(|one| newer.insert(one.connection));
            sessions.reverse();
        }
        if sessions.len() >= MOST {
            sessions.clear();
            served.crowded = true;
            return;
        }
        // Nearly always the only one.
        sessions.reserve_exact(1);
        sessions.push(begun);
    }

    /// Returns the sessions that may be the one of this user in a process.
    pub fn of(
        &mut self,
        process: u32,
        name: &Username,
        address: Option<IpAddr>,
    ) -> impl Iterator<Item = &mut Session> {
        let address = address.map(|address| address.to_canonical());
        let other = move |one: &Session| one.address.zip(address).is_some_and(|(a, b)| a != b);
        let served = self.processes.get_mut(&process);
        let sessions = served.map(|served| served.sessions.iter_mut());
        let sessions = sessions.into_iter().flatten();
        sessions.filter(move |one| one.name == *name && !other(one))
    }

    /// Counts a message in its session. Returns the password that this signed in with, `None`
    /// if it may be one of several.
    pub fn count(
        &mut self,
        process: u32,
        name: &Username,
        address: Option<IpAddr>,
        amount: Count,
    ) -> Option<PasswordId> {
        let mut sessions = self.of(process, name, address);
        let first = sessions.next()?;
        let Some(second) = sessions.next() else {
            first.messages = first.messages.saturating_add(amount.messages);
            first.recipients = first.recipients.saturating_add(amount.recipients);
            return Some(first.password_id.clone());
        };
        let is_one = first.password_id == second.password_id
            && sessions.all(|one| one.password_id == first.password_id);
        is_one.then(|| first.password_id.clone())
    }

    /// Returns the sessions that seem to be open, each with the newest end when it began.
    /// `runs` is whether there is such a process on this machine.
    pub fn open(&self, now: Time, runs: impl Fn(u32) -> bool) -> Vec<(i64, OpenSession)> {
        let open = self.all_open(now, &runs);
        let mut open: Vec<_> = open.map(|one| (one.newest_end, one.listed())).collect();
        if open.len() > LISTED {
            open.sort_by_key(|(_, one)| one.last);
            open.drain(..open.len() - LISTED);
        }
        open
    }

    /// Returns how many there are of these.
    pub fn open_count(&self, now: Time, runs: impl Fn(u32) -> bool) -> usize {
        self.all_open(now, &runs).count()
    }

    fn all_open<'a>(
        &'a self,
        now: Time,
        runs: &'a impl Fn(u32) -> bool,
    ) -> impl Iterator<Item = &'a Session> {
        self.processes
            .entries()
            .flat_map(|(process, served)| served.open(*process, runs))
            .filter(move |one| now.epoch() - one.last.epoch() < SILENT)
    }

    /// Corrects the newest ends after the store was replaced by an older one.
    pub fn end_before(&mut self, newest_end: i64) {
        for served in self.processes.values_mut() {
            for session in &mut served.sessions {
                session.newest_end = session.newest_end.min(newest_end);
            }
        }
    }
}

impl Served {
    /// Returns the latest session of each connection, unless its process has ended or
    /// serves another one.
    fn open<'a>(
        &'a self,
        process: u32,
        runs: &'a impl Fn(u32) -> bool,
    ) -> impl Iterator<Item = &'a Session> {
        let mut newer = HashSet::new();
        let mut has_newer = false;
        self.sessions.iter().rev().filter(move |one| {
            if one.is_here {
                !std::mem::replace(&mut has_newer, true) && runs(process)
            } else {
                newer.insert(one.connection)
            }
        })
    }
}

impl Session {
    /// Records that the session still says something.
    pub const fn is_alive(&mut self, now: Time) {
        self.last = now;
    }

    fn listed(&self) -> OpenSession {
        OpenSession {
            username: self.name.clone(),
            password_id: self.password_id.clone(),
            address: self.address,
            since: self.since,
            last: self.last,
            messages: self.messages,
            recipients: self.recipients,
        }
    }

    fn carry_over(&self, to: &mut CarryOverWriter<'_>) -> io::Result<()> {
        to.u64(self.connection)?;
        to.u8(self.is_here.into())?;
        to.text(self.name.as_str())?;
        to.text(self.password_id.as_str())?;
        let address = self.address.map(|address| address.to_string());
        to.text(&address.unwrap_or_default())?;
        to.i64(self.since.epoch())?;
        to.i64(self.last.epoch())?;
        to.u32(self.messages)?;
        to.u32(self.recipients)?;
        to.i64(self.newest_end)
    }

    fn carried_over(from: &mut CarryOverReader<'_>) -> io::Result<Self> {
        let bad = || damaged("a session is not valid");
        Ok(Self {
            connection: from.u64()?,
            is_here: from.u8()? != 0,
            name: from.text()?.parse().map_err(|_| bad())?,
            password_id: PasswordId::stored(from.text()?),
            address: match from.text()?.as_str() {
                "" => None,
                address => Some(address.parse().map_err(|_| bad())?),
            },
            since: Time::from_epoch(from.i64()?),
            last: Time::from_epoch(from.i64()?),
            messages: from.u32()?,
            recipients: from.u32()?,
            newest_end: from.i64()?,
        })
    }
}

#[cfg(test)]
mod tests;
