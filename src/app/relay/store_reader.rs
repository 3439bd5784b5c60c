//! The store as a running relay reads it: a connection that never blocks the loop, and the
//! generation that everything kept in memory belongs to.

use std::time::{Duration, Instant};

use super::reconnect::{Opener, Reconnect};
use crate::error::{Error, Place, Result};
use crate::model::settings::Settings;
use crate::store::Store;

pub struct StoreReader {
    reconnect: Reconnect,
    store: Option<Store>,
    /// It must be reopened, and is used until then.
    reloading: bool,
    /// The version of the store when it was last checked.
    version: Option<i64>,
    /// Another process has locked the store.
    locked: Option<Place>,
    generation: u64,
    settings: Option<(u64, Settings)>,
    /// The store is not read after that in this turn: the next client would be answered too
    /// late.
    until: Instant,
    /// How long a turn may wait for the store in all.
    pub turn: Duration,
}

/// Mail servers give up after 10 s, and may have asked in the middle of the previous turn.
const TURN: Duration = Duration::from_secs(2);

impl StoreReader {
    pub fn new(open: Opener) -> Self {
        Self {
            reconnect: Reconnect::new(open),
            store: None,
            reloading: false,
            version: None,
            locked: None,
            generation: 0,
            settings: None,
            until: Instant::now() + TURN,
            turn: TURN,
        }
    }

    /// Checks whether the store has changed: once for each batch of requests, after they
    /// were read, so that everything committed before a request is seen.
    pub fn refresh(&mut self, now: Instant) -> Result<()> {
        self.until = now + self.turn;
        let version = self.reopened().and_then(|()| match &mut self.store {
            Some(store) => store.version(),
            None => self.reopen(),
        });
        self.locked = None;
        let version = match version {
            Ok(version) => version,
            Err(Error::StoreBusy(store)) => {
                self.version = None;
                self.locked = Some(store.clone());
                return Err(Error::StoreBusy(store));
            }
            Err(error) if self.store.is_none() => return Err(error),
            Err(error) => {
                self.store = None;
                match self.reopen() {
                    // The first error says more.
                    Err(Error::System(_)) => return Err(error),
                    reopened => reopened?,
                }
            }
        };
        if self.version != Some(version) {
            self.version = Some(version);
            self.generation += 1;
        }
        Ok(())
    }

    fn reopened(&mut self) -> Result<()> {
        if self.reloading
            && let Some(opened) = self.reconnect.store()
        {
            self.reloading = false;
            self.version = None;
            self.store = None;
            self.store = Some(opened?);
        }
        Ok(())
    }

    fn reopen(&mut self) -> Result<i64> {
        self.version = None;
        let mut store = self.reconnect.store().ok_or_else(not_open)??;
        let version = store.version()?;
        self.store = Some(store);
        Ok(version)
    }

    /// Reopens the store as soon as that is possible without waiting. Until then it is used
    /// as it is.
    pub fn reload(&mut self) {
        self.reloading = true;
        self.reconnect.forget_failure();
    }

    /// Returns a number that grows whenever anything in the store may have changed. What was
    /// read in one generation is true in that one only.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns an error if memory may be older than the store.
    pub fn check(&self) -> Result<()> {
        match (&self.locked, &self.store) {
            (Some(store), _) => Err(Error::StoreBusy(store.clone())),
            (None, None) => Err(not_open()),
            (None, Some(_)) => Ok(()),
        }
    }

    /// Returns the store, or an error if it is not open or too slow.
    pub fn store(&mut self) -> Result<&mut Store> {
        if Instant::now() > self.until {
            return Err(Error::System("the store is too slow".into()));
        }
        self.store.as_mut().ok_or_else(not_open)
    }

    /// Returns the settings of this generation.
    pub fn settings(&mut self) -> Result<&Settings> {
        let generation = self.generation;
        if self
            .settings
            .as_ref()
            .is_none_or(|(read, _)| *read != generation)
        {
            let settings = self.store()?.settings()?;
            self.settings = Some((generation, settings));
        }
        self.last_settings()
            .ok_or_else(|| Error::System("the settings are lost".into()))
    }

    /// Returns the settings as they were last read, or `None` if they never were.
    pub fn last_settings(&self) -> Option<&Settings> {
        self.settings.as_ref().map(|(_, settings)| settings)
    }
}

fn not_open() -> Error {
    Error::System("the store is lost".into())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::store::{Access, Location};

    #[test]
    fn p4_a_store_that_opens_slowly_keeps_nobody_waiting_at_a_reload() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::parse(folder.path().join("smtpcred.db").as_os_str()).unwrap();
        let (open_it, may_open) = channel();
        let open = move |patience| {
            may_open.recv().unwrap();
            Store::open_within(&location, Access::Create, patience)
        };
        let mut reader = StoreReader::new(Box::new(open));
        open_it.send(()).unwrap();
        // It is given up for now if the machine is busy with something else for long.
        while reader.refresh(Instant::now()).is_err() {}
        let generation = reader.generation();
        reader.reload();
        reader.refresh(Instant::now()).unwrap();
        assert_eq!(reader.generation(), generation);
        open_it.send(()).unwrap();
        while reader.generation() == generation {
            reader.refresh(Instant::now()).unwrap();
        }
    }

    #[test]
    fn p10_the_next_client_does_not_wait_for_a_slow_turn() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::parse(folder.path().join("smtpcred.db").as_os_str()).unwrap();
        let open = move |patience| Store::open_within(&location, Access::Create, patience);
        let mut reader = StoreReader::new(Box::new(open));
        while reader.refresh(Instant::now()).is_err() {}
        let later = Instant::now() + Duration::from_secs(3600);
        reader.refresh(later).unwrap();
        assert!(reader.store().is_ok());
        let long_ago = Instant::now().checked_sub(2 * TURN).unwrap();
        reader.refresh(long_ago).unwrap();
        assert!(reader.store().is_err());
    }
}
