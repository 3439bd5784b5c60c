//! What the system tells us: stop, start anew, read the settings again.

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::time::Instant;

use mio::net::UnixStream;
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGUSR2};

use super::log::Level;
use super::reports::notify;
use super::server::{DRAIN, HANDSHAKE, Key, Server};

pub struct Signal {
    pub number: i32,
    pub pipe: UnixStream,
    pub came: bool,
}

impl Server {
    /// Does what signals of this turn ask for; who asked before them was answered.
    pub(super) fn obey(&mut self) {
        for i in 0..self.signals.len() {
            if std::mem::take(&mut self.signals[i].came) {
                let mut buffer = [0; 16];
                while matches!(self.signals[i].pipe.read(&mut buffer), Ok(n) if n > 0) {}
                self.signal(self.signals[i].number);
            }
        }
    }

    fn signal(&mut self, number: i32) {
        match number {
            SIGHUP => {
                self.relay.reload();
                let line = "reading the store and its settings again";
                self.log.say(Level::Info, line.into());
            }
            SIGUSR2 => {
                self.restart = true;
                self.stop_accepting("restarting");
            }
            _ => self.stop_accepting("stopping"),
        }
    }

    fn stop_accepting(&mut self, word: &str) {
        if self.stopping.is_some() {
            return;
        }
        self.log
            .say(Level::Info, format!("{word}: answering who has asked"));
        notify(&[if self.restart {
            NotifyState::Reloading
        } else {
            NotifyState::Stopping
        }]);
        let now = Instant::now();
        self.stopping = Some(now + DRAIN);
        self.greeting = now + HANDSHAKE;
        for open in &mut self.open {
            open.deregister(self.poll.registry());
        }
        // Whoever waits to be told "wrong" is told now: others wait to come in.
        self.refuse_all();
        let idle: Vec<_> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.is_idle())
            .map(|(number, connection)| Key {
                number,
                serial: connection.serial,
            })
            .collect();
        for key in idle {
            self.close(key);
        }
    }
}

/// Wakes the loop when the signal comes.
pub(super) fn signal_pipe(signal: i32) -> io::Result<UnixStream> {
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(signal, theirs)?;
    Ok(UnixStream::from_std(ours))
}
