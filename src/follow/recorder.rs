//! Records what is followed. While the store cannot be written to, nothing more is read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::service;
use crate::error::{Error, Result};
use crate::model::followed_message::{FollowedMessage, MessageChange, RefusedMessage};
use crate::model::log_position::LogPosition;
use crate::model::message_rules::MessageRules;
use crate::store::{MessageBatch, MessageStore};

/// How long to wait before it is tried again, at first and at most.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How often the settings are read again.
const RULES: Duration = Duration::from_secs(60);

/// Opens the store of messages.
pub type MessageOpener = Box<dyn FnMut() -> Result<MessageStore>>;

/// Writes batches, however long that takes.
pub struct Recorder {
    open: MessageOpener,
    store: Option<MessageStore>,
    rules: MessageRules,
    read_rules: Instant,
}

/// What an earlier run left.
pub struct EarlierRun {
    /// How far it read the logs.
    pub positions: Vec<LogPosition>,
    /// The messages about which more may come.
    pub open: Vec<FollowedMessage>,
}

/// Why nothing more is written.
pub enum Unwritten {
    /// The program ends: the next one reads it again.
    Stopped,
    /// Messages are not kept any more.
    NotKept,
}

impl Recorder {
    /// Opens the store. Fails if messages are not kept.
    pub fn open(mut open: MessageOpener, now: Instant) -> Result<Self> {
        let mut store = open()?;
        let rules = store.rules()?;
        if rules.keep.is_none() {
            return Err(Error::MessagesNotKept);
        }
        Ok(Self {
            open,
            store: Some(store),
            rules,
            read_rules: now,
        })
    }

    /// Reads what an earlier run left.
    pub fn earlier_run(&mut self) -> Result<EarlierRun> {
        let store = self.store()?;
        let positions = store.positions()?;
        let mut open = Vec::new();
        store.unsettled(&mut |message| {
            open.push(message);
            Ok(())
        })?;
        Ok(EarlierRun { positions, open })
    }

    /// Writes a batch, and tries again until it is written. `tell` gets what keeps it from
    /// being written, once, and then that it works again.
    pub fn write(
        &mut self,
        changes: &[MessageChange],
        refused: &[RefusedMessage],
        positions: &[LogPosition],
        stop: &AtomicBool,
        tell: &mut dyn FnMut(Option<&Error>),
    ) -> std::result::Result<(), Unwritten> {
        let mut pause = PAUSE;
        let mut is_told = false;
        loop {
            let error = match self.try_write(changes, refused, positions) {
                Ok(()) if is_told => {
                    tell(None);
                    return Ok(());
                }
                Ok(()) => return Ok(()),
                Err(Error::MessagesNotKept) => return Err(Unwritten::NotKept),
                Err(error) => error,
            };
            // A connection may be broken, and a file may be another one by now.
            self.store = None;
            if !is_told {
                tell(Some(&error));
                is_told = true;
            }
            let until = Instant::now() + pause;
            while Instant::now() < until {
                if stop.load(Ordering::Relaxed) {
                    return Err(Unwritten::Stopped);
                }
                service::is_alive();
                thread::sleep(PAUSE.min(until.saturating_duration_since(Instant::now())));
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn try_write(
        &mut self,
        changes: &[MessageChange],
        refused: &[RefusedMessage],
        positions: &[LogPosition],
    ) -> Result<()> {
        let now = Instant::now();
        if now - self.read_rules >= RULES || self.store.is_none() {
            self.rules = self.store()?.rules()?;
            self.read_rules = now;
        }
        if self.rules.keep.is_none() {
            return Err(Error::MessagesNotKept);
        }
        let batch = MessageBatch {
            changes,
            refused,
            positions,
            recipients: self.rules.recipients,
        };
        self.store()?.write(&batch).map(drop)
    }

    fn store(&mut self) -> Result<&mut MessageStore> {
        match &mut self.store {
            Some(store) => Ok(store),
            none => Ok(none.insert((self.open)()?)),
        }
    }
}
