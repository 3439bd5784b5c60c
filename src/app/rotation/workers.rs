//! The threads of a run that make passwords and deliver them. They tell the one thread
//! that writes to the store what happened.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::super::World;
use super::super::settings::SmtpServer;
use super::{Credential, Deliverer, Delivery, DeliveryResult, KILLED_WITHIN};
use crate::error::{Error, Result};
use crate::model::delivery::Destination;
use crate::model::hash::{Cost, Hasher};
use crate::model::name::Username;
use crate::model::password::{Form, Password, PasswordId};
use crate::model::time::Time;
use crate::store::NewPassword;

/// A request for a new password and its delivery; the fields end up in [`Delivery`].
pub struct PasswordRequest {
    pub username: Username,
    pub destination: Destination,
    pub server: SmtpServer,
    pub expires_at: Option<Time>,
    pub old_password_id: Option<PasswordId>,
    pub assumed_lost: bool,
    pub unfinished: bool,
    pub created_at: Option<Time>,
    pub new_user: bool,
}

/// A password that was made, with its hash for the store.
pub struct GeneratedPassword {
    pub delivery: Delivery,
    pub password: NewPassword,
}

/// What happened in a worker.
pub enum WorkerEvent {
    Generated(Box<GeneratedPassword>),
    NotGenerated(Username, Error),
    /// A command is about to learn the password, once that is recorded.
    HandingOver {
        username: Username,
        password_id: PasswordId,
        /// When the command will have ended for certain.
        settles_at: Time,
        /// The worker waits for whether it may go on.
        answer: SyncSender<bool>,
    },
    /// A delivery printed a line.
    Output(Username, String),
    DeliveryEnded(Username, PasswordId, DeliveryResult),
}

impl WorkerEvent {
    /// Returns the user whose rotation this event advances, or `None` if there is nothing to
    /// record.
    pub fn username(&self) -> Option<&Username> {
        match self {
            Self::Generated(made) => Some(&made.delivery.credential.username),
            Self::HandingOver { username, .. } | Self::DeliveryEnded(username, ..) => {
                Some(username)
            }
            Self::NotGenerated(..) | Self::Output(..) => None,
        }
    }
}

/// Why a password was not delivered.
pub const STOPPED: &str = "the run was stopped first";
/// How many events may wait for the thread that writes.
pub const QUEUE: usize = 256;
/// The least number of passwords in flight, so that a distant store gets large batches.
const MIN_IN_FLIGHT: usize = 64;

/// The threads of a run.
pub struct WorkerPool<'a> {
    /// How many passwords to make.
    pub users: usize,
    /// How many deliveries run at the same time.
    pub jobs: usize,
    pub cost: Cost,
    pub world: World,
    pub deliverer: &'a dyn Deliverer,
    pub stop: &'a AtomicBool,
}

/// What connects the thread that writes with the workers.
pub struct Channels {
    pub requests: Sender<PasswordRequest>,
    pub deliveries: Sender<Delivery>,
    pub events: Receiver<WorkerEvent>,
    /// How many passwords may be in flight: enough to keep all workers busy, and no more,
    /// because each is in memory.
    pub max_in_flight: usize,
}

impl WorkerPool<'_> {
    /// Starts one hashing worker per processor and `jobs` delivering ones, and runs `write`
    /// on this thread. Returns after the last worker has ended.
    pub fn work(self, write: impl FnOnce(&Channels)) {
        let hashers = thread::available_parallelism().map_or(1, NonZero::get);
        let jobs = self.jobs.max(1);
        let (requests, to_hash) = channel();
        let (deliveries, to_deliver) = channel();
        let (sender, events) = sync_channel(QUEUE);
        let (to_hash, to_deliver) = (Mutex::new(to_hash), Mutex::new(to_deliver));
        let Self { cost, world, .. } = self;
        thread::scope(|scope| {
            for _ in 0..hashers.min(self.users) {
                let (sender, to_hash) = (sender.clone(), &to_hash);
                scope.spawn(move || hash(to_hash, &sender, cost, world));
            }
            for _ in 0..jobs.min(self.users) {
                let (sender, to_deliver) = (sender.clone(), &to_deliver);
                let (deliverer, stop) = (self.deliverer, self.stop);
                scope.spawn(move || deliver(to_deliver, &sender, deliverer, world, stop));
            }
            drop(sender);
            // Dropped when `write` returns, which ends the workers.
            write(&Channels {
                requests,
                deliveries,
                events,
                max_in_flight: ((hashers + jobs) * 4).max(MIN_IN_FLIGHT),
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

fn hash(
    requests: &Mutex<Receiver<PasswordRequest>>,
    events: &SyncSender<WorkerEvent>,
    cost: Cost,
    world: World,
) {
    let mut hasher = Hasher::default();
    while let Some(request) = next(requests) {
        let username = request.username.clone();
        let event = match make(request, &mut hasher, cost, world) {
            Ok(made) => WorkerEvent::Generated(Box::new(made)),
            Err(error) => WorkerEvent::NotGenerated(username, error),
        };
        if events.send(event).is_err() {
            return;
        }
    }
}

fn make(
    request: PasswordRequest,
    hasher: &mut Hasher,
    cost: Cost,
    world: World,
) -> Result<GeneratedPassword> {
    let password = Password::generate(Form::Full, world.random)?;
    let password_id = password.password_id(world.random)?;
    let hash = hasher.hash(password.expose().as_bytes(), cost, world.random)?;
    Ok(GeneratedPassword {
        password: NewPassword {
            password_id: password_id.clone(),
            hash,
            generated: password.is_generated(),
        },
        delivery: Delivery {
            credential: Credential {
                username: request.username,
                password,
                password_id,
                server: request.server,
                expires_at: request.expires_at,
                occasion: "New password",
                replaces: None,
            },
            destination: request.destination,
            old_password_id: request.old_password_id,
            assumed_lost: request.assumed_lost,
            unfinished: request.unfinished,
            created_at: request.created_at,
            new_user: request.new_user,
        },
    })
}

fn deliver(
    deliveries: &Mutex<Receiver<Delivery>>,
    events: &SyncSender<WorkerEvent>,
    deliverer: &dyn Deliverer,
    world: World,
    stop: &AtomicBool,
) {
    while let Some(delivery) = next(deliveries) {
        let username = delivery.credential.username.clone();
        // When the command will have been killed for certain.
        let settles_at = |now: Time| now.plus(delivery.destination.timeout()).plus(KILLED_WITHIN);
        let mut on_handover = || {
            let (answer, answered) = sync_channel(1);
            let event = WorkerEvent::HandingOver {
                username: username.clone(),
                password_id: delivery.credential.password_id.clone(),
                settles_at: settles_at((world.now)()),
                answer,
            };
            let sent = events.send(event).is_ok();
            if sent && answered.recv() == Ok(true) {
                return Ok(());
            }
            Err(Error::System(
                "the handover could not be recorded, so the password was not handed over".into(),
            ))
        };
        let mut on_output = |line: String| {
            // Fails once the run has ended.
            let _ = events.send(WorkerEvent::Output(username.clone(), line));
        };
        let stopped = stop.load(Ordering::Relaxed);
        let arrival = if stopped && !delivery.assumed_lost && !delivery.unfinished {
            DeliveryResult::NotStarted
        } else if stopped {
            DeliveryResult::NotDelivered(STOPPED.into())
        } else {
            deliverer.deliver(&delivery, &mut on_handover, &mut on_output)
        };
        let arrival = match arrival {
            DeliveryResult::NotDelivered(reason) if delivery.assumed_lost => {
                DeliveryResult::NotDelivered(format!(
                    "{reason}; besides, the application may have a revoked password of an earlier run ready for its next start"
                ))
            }
            arrival => arrival,
        };
        let password_id = delivery.credential.password_id.clone();
        if events
            .send(WorkerEvent::DeliveryEnded(username, password_id, arrival))
            .is_err()
        {
            return;
        }
    }
}
