//! Ends of sessions that an admin ordered. An end means the sessions that began before it:
//! numbers tell, and never clocks.

use std::collections::VecDeque;
use std::net::IpAddr;

use super::sessions::Session;
use crate::model::name::Username;
use crate::model::password::PasswordId;
use crate::model::session::SessionEnd;
use crate::model::time::Time;

/// What is known about ends, and about requests for a list.
pub(super) struct SessionEnds {
    /// The name of this relay in the store: its process and a random number.
    pub relay: String,
    /// The newest ones, by their numbers.
    ends: VecDeque<(i64, SessionEnd)>,
    /// The number of the newest one.
    pub newest: i64,
    /// The generation of the store in which they were read.
    pub read: Option<u64>,
    /// The generation of the store in which requests were looked for.
    pub asked: Option<u64>,
    /// The newest request that was answered, and when.
    pub answered: Option<(i64, Time)>,
}

/// How many ends are kept in memory. Sessions that began before older ones have ended.
const ENDS: usize = 10_000;

impl SessionEnds {
    pub fn new(process: u32, random: u64) -> Self {
        Self {
            relay: format!("{process}-{random:016x}"),
            ends: VecDeque::new(),
            newest: 0,
            read: None,
            asked: None,
            answered: None,
        }
    }

    /// Adds newer ones.
    pub fn extend(&mut self, newer: Vec<(i64, SessionEnd)>) {
        self.ends.extend(newer);
        let surplus = self.ends.len().saturating_sub(ENDS);
        self.ends.drain(..surplus);
    }

    /// Forgets them: the store was replaced by an older one, whose numbers go on from there.
    pub fn begin_again(&mut self, newest: i64) {
        self.ends.clear();
        self.newest = newest;
    }

    /// Returns whether a session was ended that began after this end. `names` are its user's.
    pub fn end(
        &self,
        newest_end: i64,
        names: [&Username; 2],
        password_id: &PasswordId,
        address: Option<IpAddr>,
    ) -> bool {
        let later = self.ends.iter().rev();
        later
            .take_while(|(number, _)| *number > newest_end)
            .any(|(_, end)| end.means(names, password_id, address))
    }

    /// The same for a session that is known here.
    pub fn ended(&self, session: &Session, names: [&Username; 2]) -> bool {
        self.end(
            session.newest_end,
            names,
            &session.password_id,
            session.address,
        )
    }
}
