//! The run. What is hashed is handed over and committed in batches, in the order of
//! the file: fsync takes longer than all else of a batch. Nothing is committed that
//! was not handed over (promise 2).

use std::collections::{BTreeMap, HashMap};
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{Batches, BulkRequest, Created, PlannedUser};
use crate::app::credential::{Credential, add_user, commit_handed_over};
use crate::app::settings::Connection;
use crate::app::{App, World};
use crate::error::Result;
use crate::model::hash::{Cost, Hasher};
use crate::model::password::{Form, KeyId, Password};
use crate::store::{NewPassword, NewUser};

/// As many as are worth a commit, and how long the first of them waits.
const ENOUGH: usize = 64;
const PATIENCE: Duration = Duration::from_millis(250);
/// Passwords in memory that wait for the one thread that writes: who has more waits.
const QUEUE: usize = 256;

/// With its place among those planned.
type Made = (usize, Result<(Password, NewPassword)>);

impl App {
    pub fn create_users(
        &mut self,
        users: &[PlannedUser],
        request: &BulkRequest,
        way: &mut dyn Batches,
        stop: &AtomicBool,
    ) -> Result<Created> {
        let cost = self.store.settings()?.argon2;
        let (world, form) = (self.world, request.form);
        let hashers = thread::available_parallelism().map_or(1, NonZero::get);
        let next = AtomicUsize::new(0);
        let (made, told) = sync_channel(QUEUE);
        let mut writer = Writer {
            app: self,
            users,
            add_domain: request.add_domain,
            way,
            connections: HashMap::new(),
            ahead: BTreeMap::new(),
            waiting: Vec::new(),
            passwords: Vec::new(),
            written: 0,
        };
        let error = thread::scope(|scope| {
            for _ in 0..hashers.min(users.len()) {
                let (made, next) = (made.clone(), &next);
                scope.spawn(move || hash(next, users.len(), stop, &made, form, cost, world));
            }
            drop(made);
            let outcome = writer.all(&told);
            // Whoever has made one more is not waited for by nobody.
            drop(told);
            outcome.err()
        });
        Ok(Created {
            made: writer.written as u64,
            left: (users.len() - writer.written) as u64,
            error,
        })
    }
}

fn hash(
    next: &AtomicUsize,
    users: usize,
    stop: &AtomicBool,
    made: &SyncSender<Made>,
    form: Form,
    cost: Cost,
    world: World,
) {
    let mut hasher = Hasher::default();
    while !stop.load(Ordering::Relaxed) {
        let at = next.fetch_add(1, Ordering::Relaxed);
        if at >= users
            || made
                .send((at, make(&mut hasher, form, cost, world)))
                .is_err()
        {
            return;
        }
    }
}

fn make(
    hasher: &mut Hasher,
    form: Form,
    cost: Cost,
    world: World,
) -> Result<(Password, NewPassword)> {
    let password = Password::generate(form, world.random)?;
    let key: KeyId = password.key_id(world.random)?;
    let hash = hasher.hash(password.expose().as_bytes(), cost, world.random)?;
    Ok((password, NewPassword { key, hash }))
}

struct Writer<'a> {
    app: &'a mut App,
    users: &'a [PlannedUser],
    add_domain: bool,
    way: &'a mut dyn Batches,
    connections: HashMap<String, Connection>,
    /// Hashed, while one before it is not.
    ahead: BTreeMap<usize, Result<(Password, NewPassword)>>,
    /// In the order of the file, behind those that are written; both as long.
    waiting: Vec<Credential>,
    passwords: Vec<NewPassword>,
    written: usize,
}

impl Writer<'_> {
    fn all(&mut self, told: &Receiver<Made>) -> Result<()> {
        let mut deadline = Instant::now();
        loop {
            let left = match self.waiting.len() {
                0 => Duration::from_secs(3600),
                _ => deadline.saturating_duration_since(Instant::now()),
            };
            match told.recv_timeout(left) {
                Ok(made) => {
                    if self.waiting.is_empty() {
                        deadline = Instant::now() + PATIENCE;
                    }
                    let outcome = self.take(made);
                    if outcome.is_err() || self.waiting.len() >= ENOUGH {
                        self.write()?;
                    }
                    outcome?;
                }
                Err(RecvTimeoutError::Timeout) => self.write()?,
                Err(RecvTimeoutError::Disconnected) => return self.write(),
            }
        }
    }

    fn take(&mut self, (at, made): Made) -> Result<()> {
        self.ahead.insert(at, made);
        while let Some(made) = self.ahead.remove(&(self.written + self.waiting.len())) {
            let (password, new) = made?;
            let planned = &self.users[self.written + self.waiting.len()];
            let credential = Credential {
                username: planned.username.clone(),
                password,
                key: new.key.clone(),
                connection: self.connection(planned)?,
                expires_at: planned.user.expires.map(|e| e.from(self.app.now())),
                occasion: "New user",
            };
            self.waiting.push(credential);
            self.passwords.push(new);
        }
        Ok(())
    }

    fn connection(&mut self, planned: &PlannedUser) -> Result<Connection> {
        let domain = planned.username.domain();
        if let Some(known) = self.connections.get(domain.as_str()) {
            return Ok(known.clone());
        }
        let connection = self.app.connection_of(&domain)?;
        self.connections
            .insert(domain.to_string(), connection.clone());
        Ok(connection)
    }

    fn write(&mut self) -> Result<()> {
        while !self.waiting.is_empty() {
            let taken = match self.way.prepare(&self.waiting) {
                Ok(taken) => taken,
                Err(error) => {
                    self.way.withdraw();
                    return Err(error);
                }
            };
            self.commit(taken)?;
            self.written += taken;
            self.passwords.drain(..taken);
            let made: Vec<_> = self.waiting.drain(..taken).collect();
            self.way.committed(&made)?;
        }
        Ok(())
    }

    fn commit(&mut self, taken: usize) -> Result<()> {
        let planned = &self.users[self.written..self.written + taken];
        let (waiting, passwords) = (&self.waiting, &self.passwords);
        let add_domain = self.add_domain;
        let tx = match self.app.begin() {
            Ok(tx) => tx,
            Err(error) => {
                self.way.withdraw();
                return Err(error);
            }
        };
        commit_handed_over(tx, self.way, |tx| {
            for ((planned, credential), password) in planned.iter().zip(waiting).zip(passwords) {
                let user = NewUser {
                    username: &planned.username,
                    label: planned.user.label.as_ref(),
                    daily_limit: planned.user.daily_limit,
                    expires_at: credential.expires_at,
                    sending: &planned.user.sending,
                    rotation: &planned.user.rotation,
                };
                add_user(tx, add_domain, &user, password)?;
            }
            Ok(())
        })
    }
}
