//! Lists open sessions, and ends them. The relays know them: they are asked through the store,
//! and answer there.

use std::thread;
use std::time::{Duration, Instant};

use super::{App, need_domain, need_user};
use crate::error::{Error, Result};
use crate::model::session::{OpenSession, SessionEnd};

/// The open sessions, as far as relays tell them.
#[derive(Debug)]
pub struct OpenSessions {
    /// The sessions, the latest first.
    pub sessions: Vec<OpenSession>,
    /// How many relays were asked.
    pub relays: usize,
    /// The machines of those that did not answer: their sessions are as of their last report.
    pub silent: Vec<String>,
}

/// Relays look twice a second whether they are asked.
const PATIENCE: Duration = Duration::from_millis(1_500);
const AGAIN: Duration = Duration::from_millis(20);

impl App {
    /// Asks all relays for the open sessions that match. Fails if the user or domain does not
    /// exist.
    pub fn open_sessions(&mut self, which: &SessionEnd) -> Result<OpenSessions> {
        self.need_session_end(which)?;
        let now = self.now().plausible()?;
        if self.store.session_reporters(now)?.is_empty() {
            return Ok(OpenSessions {
                sessions: Vec::new(),
                relays: 0,
                silent: Vec::new(),
            });
        }
        let request = match self.ask_for_sessions() {
            Ok(request) => request,
            // Without the right to write, only the last reports are seen.
            Err(Error::StoreForbidden { .. }) => i64::MAX,
            Err(error) => return Err(error),
        };
        let until = Instant::now() + PATIENCE;
        let (relays, silent) = loop {
            let mut relays = self.store.session_reporters(now)?;
            let number = relays.len();
            relays.retain(|relay| relay.request < request);
            if relays.is_empty() || request == i64::MAX || Instant::now() >= until {
                break (number, relays);
            }
            thread::sleep(AGAIN);
        };
        let mut sessions = self.store.sessions(which.username.as_ref(), now)?;
        sessions.retain(|one| {
            let names = [&one.username; 2];
            which.means(names, &one.password_id, one.address)
        });
        Ok(OpenSessions {
            sessions,
            relays,
            silent: silent.into_iter().map(|relay| relay.host).collect(),
        })
    }

    /// Returns the number of the request.
    fn ask_for_sessions(&mut self) -> Result<i64> {
        let mut tx = self.begin()?;
        let request = tx.ask_for_sessions()?;
        tx.commit()?;
        Ok(request)
    }

    /// Ends the open sessions that match: each is refused at its next command. Returns those
    /// that are known.
    pub fn end_sessions(&mut self, which: &SessionEnd) -> Result<OpenSessions> {
        let open = self.open_sessions(which)?;
        let is_known = open.relays > 0 && open.silent.is_empty();
        let known = is_known.then_some(open.sessions.len() as u64);
        let mut tx = self.begin()?;
        tx.end_sessions(which, known)?;
        tx.commit()?;
        Ok(open)
    }

    fn need_session_end(&mut self, which: &SessionEnd) -> Result<()> {
        let now = self.now();
        if let Some(domain) = &which.domain {
            need_domain(&mut self.store, domain)?;
        }
        let Some(username) = &which.username else {
            return Ok(());
        };
        let user = need_user(&mut self.store, username, now)?;
        match &which.password_id {
            Some(id) if !user.passwords.iter().any(|one| one.id == *id) => {
                Err(Error::NoSuchPassword {
                    username: username.to_string(),
                    password_id: id.to_string(),
                })
            }
            _ => Ok(()),
        }
    }
}
