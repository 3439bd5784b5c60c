//! The running relay: sockets and threads around the decisions of [`crate::app::relay`].
//! One loop answers all clients; a fixed number of threads compute hashes; one thread
//! writes to the store, and one writes the log.

pub mod alert_thread;
mod connection;
mod connections;
mod decisions;
mod effect;
mod hash_workers;
mod housekeeping;
mod listeners;
pub mod log;
mod network;
mod rebinding;
mod restart;
mod sealed_memory;
mod server;
mod sign_ins;
mod signals;
mod socket_files;
mod socket_spec;
mod sockets;
mod tables;
mod timers;
mod writer_thread;

use std::net::SocketAddr;
use std::thread;

pub use restart::{End, Restart, start_report};
pub use socket_spec::SocketSpec;

use crate::app::World;
use crate::app::alerts::SharedSender;
use crate::app::relay::{CarriedOver, MOST_CARRIED_OVER, Opener, Relay};
use crate::error::{Error, Result};
use crate::model::size::MemorySize;
use crate::model::text::count;
use alert_thread::AlertThread;
use log::{Level, Log, Sink};
use sealed_memory::SealedMemory;
use sockets::{Listener, Protocol};

/// How to serve.
#[derive(Debug)]
pub struct Options {
    /// Sockets for sign-ins.
    pub auth: Vec<SocketSpec>,
    /// Sockets for the policy service.
    pub policy: Vec<SocketSpec>,
    /// For the policy protocol, on the loopback interface.
    pub listen: Vec<SocketAddr>,
    /// Threads that hash; one for each processor if it is not specified.
    pub workers: Option<usize>,
    /// Memory for right passwords.
    pub remember: MemorySize,
}

/// What it needs from outside.
pub struct Parts {
    /// Open the store: one for reading, one for writing.
    pub openers: [Opener; 2],
    /// The clock, randomness and the actor of events.
    pub world: World,
    /// Where lines of the log go.
    pub log: Sink,
    /// Sends alerts, with its way to the store; `None` if another process does.
    pub alerts: Option<(Opener, SharedSender)>,
}

/// Enough for more than 1.6 million right passwords.
pub const REMEMBER: MemorySize = MemorySize::mib(32);

/// Returns the sockets that were passed on to us, and binds the others that were specified.
fn listeners(options: &Options) -> Result<Vec<Listener>> {
    let mut inherited = Listener::inherited()?;
    let mut listeners = Vec::new();
    let auth = options.auth.iter().map(|spec| (Protocol::Auth, spec));
    let policy = options.policy.iter().map(|spec| (Protocol::Policy, spec));
    for (protocol, spec) in auth.chain(policy) {
        let here = |listener: &Listener| listener.is_at(&spec.path);
        if listeners.iter().any(here) {
            continue;
        }
        listeners.push(match inherited.iter().position(here) {
            Some(i) => inherited.swap_remove(i).by(spec),
            None => Listener::bind(protocol, spec)?,
        });
    }
    listeners.extend(inherited);
    for address in &options.listen {
        if !listeners.iter().any(|listener| listener.is_on(*address)) {
            listeners.push(Listener::bind_tcp(Protocol::Policy, *address)?);
        }
    }
    Ok(listeners)
}

/// Continues with what the previous program has carried over. Without that, or if it is
/// damaged, it begins with nothing. Returns the number of the last connection.
fn take_over(relay: &mut Relay, remember: MemorySize, workers: usize, log: &Log) -> u64 {
    let read = |mut file| CarriedOver::read(&mut file, remember, workers);
    match SealedMemory::inherited(MOST_CARRIED_OVER).map(|file| file.and_then(read)) {
        None => 0,
        Some(Ok(memory)) => {
            let connections = memory.connections;
            relay.take_over(memory);
            let passwords = count(relay.remembering().passwords, "password");
            let line = format!("took over what the previous program remembered: {passwords}");
            log.say(Level::Info, line);
            connections
        }
        Some(Err(error)) => {
            let line = format!(
                "what the previous program remembered is not used: {error}; each password is hashed \
                once more"
            );
            log.say(Level::Warning, line);
            0
        }
    }
}

/// Serves until a signal stops it. An error means that it could not start, or that the
/// system failed.
pub fn run(options: &Options, parts: Parts) -> Result<End> {
    let listeners = listeners(options)?;
    if listeners.is_empty() {
        let give = "give --auth SOCKET, --policy SOCKET or both";
        return Err(Error::Usage(give.into()));
    }
    let workers = options
        .workers
        .or_else(|| thread::available_parallelism().ok().map(usize::from))
        .unwrap_or(1);
    let [for_reading, for_writing] = parts.openers;
    let (log, writer) = Log::start(parts.log);
    let alerts = parts
        .alerts
        .map(|(open, sender)| AlertThread::start(open, parts.world, sender));
    let mut relay = Relay::new(for_reading, parts.world, workers, options.remember)?;
    let connections = take_over(&mut relay, options.remember, workers, &log);
    let mut server = server::Server::start(
        listeners,
        connections,
        relay,
        for_writing,
        parts.world,
        workers,
        log,
    )?;
    let outcome = server.run();
    if let Some(alerts) = alerts {
        alerts.stop();
    }
    let end = server.stop(outcome);
    writer.finish();
    end
}
