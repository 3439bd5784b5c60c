//! The threads of a run that do not write: those that make passwords, and those
//! that deliver them.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::super::World;
use super::super::settings::Connection;
use super::{Arrival, Courier, Credential, KILLED_WITHIN, Parcel};
use crate::error::{Error, Result};
use crate::model::delivery::Delivery;
use crate::model::hash::{Cost, Hasher};
use crate::model::name::Username;
use crate::model::password::{Form, KeyId, Password};
use crate::model::time::Time;
use crate::store::NewPassword;

/// A password to be made.
pub struct Work {
    pub username: Username,
    pub delivery: Delivery,
    pub connection: Connection,
    pub expires_at: Option<Time>,
    pub old_key: Option<KeyId>,
    pub doubt: bool,
    pub new_user: bool,
}

pub struct Made {
    pub parcel: Parcel,
    pub password: NewPassword,
}

/// What the one thread that writes is told.
pub enum Event {
    Made(Box<Made>),
    NotMade(Username, Error),
    /// It may get known from now on, if that can be written down.
    Handing {
        username: Username,
        key: KeyId,
        settles_at: Time,
        /// It waits to know.
        answer: SyncSender<bool>,
    },
    Said(Username, String),
    Delivered(Username, KeyId, Arrival),
}

/// Why nothing was delivered.
pub const STOPPED: &str = "the run was stopped before";
/// Events that wait for the one thread that writes.
pub const QUEUE: usize = 256;

/// What a run needs of others.
pub struct Crew<'a> {
    /// How many passwords there are to make.
    pub users: usize,
    /// How many are delivered at the same time.
    pub jobs: usize,
    pub cost: Cost,
    pub world: World,
    pub courier: &'a dyn Courier,
    pub stop: &'a AtomicBool,
}

/// How the one thread that writes reaches the others.
pub struct Desk {
    pub works: Sender<Work>,
    pub parcels: Sender<Parcel>,
    pub told: Receiver<Event>,
    /// Passwords that may be under way: enough that nobody waits, and no more, for
    /// each is in memory.
    pub most: usize,
}

impl Crew<'_> {
    /// All processors hash and several deliver, until whoever writes is done.
    pub fn work(self, write: impl FnOnce(&Desk)) {
        let hashers = thread::available_parallelism().map_or(1, NonZero::get);
        let jobs = self.jobs.max(1);
        let (works, to_hash) = channel();
        let (parcels, to_deliver) = channel();
        let (events, told) = sync_channel(QUEUE);
        let (to_hash, to_deliver) = (Mutex::new(to_hash), Mutex::new(to_deliver));
        let Self { cost, world, .. } = self;
        thread::scope(|scope| {
            for _ in 0..hashers.min(self.users) {
                let (events, to_hash) = (events.clone(), &to_hash);
                scope.spawn(move || hash(to_hash, &events, cost, world));
            }
            for _ in 0..jobs.min(self.users) {
                let (events, to_deliver) = (events.clone(), &to_deliver);
                let (courier, stop) = (self.courier, self.stop);
                scope.spawn(move || deliver(to_deliver, &events, courier, world, stop));
            }
            drop(events);
            // Dropped behind it: whoever waits for more ends then.
            write(&Desk {
                works,
                parcels,
                told,
                most: (hashers + jobs) * 4,
            });
        });
    }
}

fn next<T>(from: &Mutex<Receiver<T>>) -> Option<T> {
    from.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .recv()
        .ok()
}

fn hash(works: &Mutex<Receiver<Work>>, events: &SyncSender<Event>, cost: Cost, world: World) {
    let mut hasher = Hasher::default();
    while let Some(work) = next(works) {
        let username = work.username.clone();
        let event = match make(work, &mut hasher, cost, world) {
            Ok(made) => Event::Made(Box::new(made)),
            Err(error) => Event::NotMade(username, error),
        };
        if events.send(event).is_err() {
            return;
        }
    }
}

fn make(work: Work, hasher: &mut Hasher, cost: Cost, world: World) -> Result<Made> {
    let password = Password::generate(Form::Full, world.random)?;
    let key = password.key_id(world.random)?;
    let hash = hasher.hash(password.expose().as_bytes(), cost, world.random)?;
    Ok(Made {
        password: NewPassword {
            key: key.clone(),
            hash,
        },
        parcel: Parcel {
            credential: Credential {
                username: work.username,
                password,
                key,
                connection: work.connection,
                expires_at: work.expires_at,
                occasion: "New password",
            },
            delivery: work.delivery,
            old_key: work.old_key,
            doubt: work.doubt,
            new_user: work.new_user,
        },
    })
}

fn deliver(
    parcels: &Mutex<Receiver<Parcel>>,
    events: &SyncSender<Event>,
    courier: &dyn Courier,
    world: World,
    stop: &AtomicBool,
) {
    while let Some(parcel) = next(parcels) {
        let username = parcel.credential.username.clone();
        // Until the command is killed for good.
        let settles_at = |now: Time| now.plus(parcel.delivery.timeout()).plus(KILLED_WITHIN);
        let mut handing = || {
            let (answer, answered) = sync_channel(1);
            let event = Event::Handing {
                username: username.clone(),
                key: parcel.credential.key.clone(),
                settles_at: settles_at((world.now)()),
                answer,
            };
            let sent = events.send(event).is_ok();
            if sent && answered.recv() == Ok(true) {
                return Ok(());
            }
            Err(Error::System(
                "it was not written down, so nobody was told".into(),
            ))
        };
        let mut said = |line: String| {
            // Nobody listens once the run has ended.
            let _ = events.send(Event::Said(username.clone(), line));
        };
        let stopped = stop.load(Ordering::Relaxed);
        let arrival = if stopped && !parcel.doubt {
            Arrival::Stopped
        } else if stopped {
            Arrival::Not(STOPPED.into())
        } else {
            courier.deliver(&parcel, &mut handing, &mut said)
        };
        let arrival = match arrival {
            Arrival::Not(reason) if parcel.doubt => Arrival::Not(format!(
                "{reason}; and a new password of an earlier run, which has stopped now, may lie where it is read at the next start"
            )),
            arrival => arrival,
        };
        let key = parcel.credential.key.clone();
        if events
            .send(Event::Delivered(username, key, arrival))
            .is_err()
        {
            return;
        }
    }
}
