//! The end: no request that was sent is lost, neither when the program stops nor when a new one
//! replaces it.

use std::io;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use super::{Server, Stopping};
use crate::error::Result;
use crate::serve::connections::HANDSHAKE;
use crate::serve::effect::ClientState;
use crate::serve::housekeeping::notify;
use crate::serve::log::Level;
use crate::serve::restart::{End, ProgramCheck, Restart};
use crate::serve::sealed_memory::SealedMemory;
use crate::serve::sign_ins::SignIns;

/// How long answers are waited for once we were told to stop: as long as any answer takes.
const DRAIN: Duration = Duration::from_secs(8);

impl Server {
    pub(super) fn is_done(&self, stopping: Stopping, now: Instant) -> bool {
        let is_idle = |(id, protocol)| self.state(id, protocol) == ClientState::Idle;
        let mut all = self.network.connections();
        // Of those that were just let go of, there may be something to read.
        let read = self.again.is_empty();
        let answered =
            self.sign_ins.is_empty() && self.decisions.is_empty() && self.network.all_sent();
        read && answered
            && !self.relay.is_renewing()
            && (now >= stopping.handshakes || all.all(is_idle))
    }

    /// Stops for the new program if it can start, and otherwise continues.
    pub(super) fn replace_program(&mut self, now: Instant) {
        let Some(checked) = self.program_check.as_ref().and_then(ProgramCheck::result) else {
            return;
        };
        self.program_check = None;
        match checked {
            Ok(program) if self.stopping.is_none() => {
                self.restart = Some(program);
                self.stop_accepting("restarting", now);
            }
            Ok(_) => {}
            Err(error) => self.log.say(
                Level::Error,
                format!("not restarted; this program keeps running: {error}"),
            ),
        }
    }

    pub(super) fn stop_accepting(&mut self, word: &str, now: Instant) {
        if self.stopping.is_some() {
            return;
        }
        self.log
            .say(Level::Info, format!("{word}: answering who has asked"));
        notify(&[if self.restart.is_some() {
            NotifyState::Reloading
        } else {
            NotifyState::Stopping
        }]);
        self.stopping = Some(Stopping {
            answers: now + DRAIN,
            handshakes: now + HANDSHAKE,
        });
        self.network.stop_accepting();
        self.answer_last_scrapes(now);
    }

    /// Closes connections, in each turn once we were told to stop, so that no request is lost:
    /// one that a mail server has sent is answered, and the next one fails at once, for which it
    /// connects again. Closed without this, it would wait for an answer that never comes.
    pub(super) fn let_go(&mut self, stopping: Stopping, now: Instant) {
        // Delayed refusals are answered now: others wait to connect.
        self.sign_in(now, SignIns::refuse_all);
        let all: Vec<_> = self.network.connections().collect();
        for (id, protocol) in all {
            let state = self.state(id, protocol);
            let Some(connection) = self.network.connection(id) else {
                continue;
            };
            if connection.let_go || state == ClientState::Greeting && now < stopping.handshakes {
                continue;
            }
            match connection.let_go() {
                Ok(true) => self.again.push((id, true)),
                Ok(false) if state == ClientState::Busy || !connection.is_sent() => {}
                Ok(false) => self.close(id),
                Err(_) => self.broken(id),
            }
        }
    }

    /// Writes everything that can be written, and ends.
    pub fn stop(mut self, outcome: Result<()>) -> Result<End> {
        // Before the last write: what did not arrive is not counted.
        let all: Vec<_> = self.network.connections().collect();
        for (id, _) in all {
            self.close(id);
        }
        self.write(false);
        if self.restart.is_none() {
            self.writer.forget_relay(self.relay.name().to_owned());
        }
        self.hash_workers.stop();
        let unwritten = self.writer.stop();
        self.log.say(Level::Info, "stopped".into());
        outcome?;
        let Some(program) = self.restart else {
            self.network.close();
            return Ok(End::Stopped);
        };
        let last = self.network.last_connection();
        let carry_over = |to: &mut dyn io::Write| self.relay.carry_over(to, &unwritten, last);
        let memory = if program.takes_over {
            SealedMemory::new(carry_over)
                .inspect_err(|error| {
                    let line = format!("cannot carry over what is remembered: {error}");
                    self.log.say(Level::Warning, line);
                })
                .ok()
        } else {
            None
        };
        // One that came after the last turn would be lost.
        if self.network.signal_ends() {
            self.network.close();
            return Ok(End::Stopped);
        }
        Ok(End::Restart(Restart {
            listeners: self.network.into_listeners(),
            program,
            memory,
        }))
    }
}
