//! Creates planned users. Passwords are delivered and committed in batches, in the order
//! of the file, because fsync takes longer than everything else in a batch. No user is
//! committed whose password was not delivered (promise 2).

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{BatchSink, BulkOutcome, BulkRequest, PlannedUser};
use crate::app::capacity::DomainCapacity;
use crate::app::credential::{Credential, add_user, commit_handed_over, withdrawn};
use crate::app::settings::SmtpServer;
use crate::app::{App, World};
use crate::error::{Error, Result};
use crate::model::hash::{Cost, Hasher};
use crate::model::name::DomainName;
use crate::model::password::{Form, Password, PasswordId};
use crate::store::{NewPassword, NewUser};

/// How many users make a batch, and how long the first of them waits for more.
const ENOUGH: usize = 64;
const PATIENCE: Duration = Duration::from_millis(250);
/// How many passwords may wait in memory for the thread that writes.
const QUEUE: usize = 256;

/// A user's place in the plan, and its password.
type HashedUser = (usize, Result<(Password, NewPassword)>);

impl App {
    /// Creates the planned users in order, and delivers their passwords in batches. Ends
    /// before the next batch once `stop` is set. What ends a run early is in the outcome;
    /// an error means that it could not begin.
    pub fn create_users(
        &mut self,
        users: &[PlannedUser],
        request: &BulkRequest,
        sink: &mut dyn BatchSink,
        stop: &AtomicBool,
    ) -> Result<BulkOutcome> {
        let cost = self.store.settings()?.argon2;
        let (world, form) = (self.world, request.form);
        let servers = self.servers_for(users)?;
        let hashers = thread::available_parallelism().map_or(1, NonZero::get);
        let next = AtomicUsize::new(0);
        let (made, hashed) = sync_channel(QUEUE);
        let mut writer = BulkCreator {
            app: self,
            users,
            sink,
            servers,
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
            let outcome = writer.all(&hashed);
            // Threads that still send must not wait for a receiver.
            drop(hashed);
            outcome.err()
        });
        Ok(BulkOutcome {
            made: writer.written as u64,
            left: (users.len() - writer.written) as u64,
            error,
        })
    }

    fn servers_for(&mut self, users: &[PlannedUser]) -> Result<BTreeMap<DomainName, SmtpServer>> {
        let domains: BTreeSet<_> = users.iter().map(|u| u.username.domain()).collect();
        let servers = self.servers_of(&domains.iter().collect::<Vec<_>>())?;
        Ok(domains.into_iter().zip(servers).collect())
    }
}

fn hash(
    next: &AtomicUsize,
    users: usize,
    stop: &AtomicBool,
    made: &SyncSender<HashedUser>,
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
    let password_id: PasswordId = password.password_id(world.random)?;
    let hash = hasher.hash(password.expose().as_bytes(), cost, world.random)?;
    let generated = password.is_generated();
    let new = NewPassword {
        password_id,
        hash,
        generated,
    };
    Ok((password, new))
}

struct BulkCreator<'a> {
    app: &'a mut App,
    users: &'a [PlannedUser],
    sink: &'a mut dyn BatchSink,
    servers: BTreeMap<DomainName, SmtpServer>,
    /// Hashed users that wait for one before them.
    ahead: BTreeMap<usize, Result<(Password, NewPassword)>>,
    /// The next users to write, in the order of the file; both lists are as long.
    waiting: Vec<Credential>,
    passwords: Vec<NewPassword>,
    written: usize,
}

impl BulkCreator<'_> {
    fn all(&mut self, receiver: &Receiver<HashedUser>) -> Result<()> {
        let mut deadline = Instant::now();
        loop {
            let left = match self.waiting.len() {
                0 => Duration::from_secs(3600),
                _ => deadline.saturating_duration_since(Instant::now()),
            };
            match receiver.recv_timeout(left) {
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

    fn take(&mut self, (at, made): HashedUser) -> Result<()> {
        self.ahead.insert(at, made);
        while let Some(made) = self.ahead.remove(&(self.written + self.waiting.len())) {
            let (password, new) = made?;
            let planned = &self.users[self.written + self.waiting.len()];
            let domain = planned.username.domain();
            let Some(server) = self.servers.get(&domain) else {
                return Err(Error::DomainNotFound(domain.to_string()));
            };
            let credential = Credential {
                username: planned.username.clone(),
                password,
                password_id: new.password_id.clone(),
                server: server.clone(),
                expires_at: planned.user.expires_at(self.app.now())?,
                occasion: "New user",
                replaces: None,
            };
            self.waiting.push(credential);
            self.passwords.push(new);
        }
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        while !self.waiting.is_empty() {
            let taken = match self.sink.present(&self.waiting) {
                Ok(taken) => taken,
                Err(error) => {
                    self.sink.withdraw();
                    return Err(error);
                }
            };
            self.commit(taken)?;
            self.written += taken;
            self.passwords.drain(..taken);
            let made: Vec<_> = self.waiting.drain(..taken).collect();
            self.sink.committed(&made)?;
        }
        Ok(())
    }

    fn commit(&mut self, taken: usize) -> Result<()> {
        let planned = &self.users[self.written..self.written + taken];
        let (waiting, passwords) = (&self.waiting, &self.passwords);
        let tx = match self.app.begin() {
            Ok(tx) => tx,
            Err(error) => return Err(withdrawn(self.sink, error)),
        };
        commit_handed_over(tx, self.sink, |tx| {
            let domains: Vec<_> = planned.iter().map(|p| p.username.domain()).collect();
            let mut capacity = DomainCapacity::default();
            capacity.look_up(tx.store(), domains.iter())?;
            for ((planned, credential), password) in planned.iter().zip(waiting).zip(passwords) {
                let user = NewUser {
                    username: &planned.username,
                    label: planned.user.label.as_ref(),
                    copy_of: None,
                    note: planned.user.note.as_ref(),
                    tags: &planned.user.tags,
                    daily_limit: planned.user.daily_limit,
                    expires_at: credential.expires_at,
                    sending: &planned.user.sending,
                    rotation: &planned.user.rotation,
                    addresses: &planned.user.addresses,
                };
                add_user(tx, &mut capacity, planned.new_domain, &user, password)?;
            }
            Ok(())
        })
    }
}
