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
mod metrics_address;
mod metrics_thread;
mod network;
mod rebinding;
mod restart;
mod scrape_room;
mod scrapes;
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

pub use metrics_address::MetricsAddress;
pub use restart::{End, Restart, start_report};
pub use socket_spec::SocketSpec;

use crate::app::World;
use crate::app::alerts::SharedSender;
use crate::app::relay::{CarriedOver, MOST_CARRIED_OVER, Opener, Relay};
use crate::error::{Error, Result};
use crate::model::size::MemorySize;
use crate::model::store_location::Location;
use crate::model::text::count;
use alert_thread::{AlertThread, Outbox};
use log::{Level, Log, Sink};
use sealed_memory::SealedMemory;
use sockets::{Listener, Protocol, Purpose};

/// How to serve.
#[derive(Debug)]
pub struct Options {
    /// Sockets for sign-ins.
    pub auth: Vec<SocketSpec>,
    /// Sockets for the policy service.
    pub policy: Vec<SocketSpec>,
    /// For the policy protocol, on the loopback interface.
    pub listen: Vec<SocketAddr>,
    /// For metrics.
    pub metrics: Vec<MetricsAddress>,
    /// Other machines may scrape metrics.
    pub allow_remote_metrics: bool,
    /// Threads that hash; one for each processor if it is not specified.
    pub workers: Option<usize>,
    /// Memory for right passwords.
    pub remember: MemorySize,
}

/// What it needs from outside.
pub struct Parts {
    /// Open the store: one for reading, one for writing, one for metrics.
    pub openers: [Opener; 3],
    /// The clock, randomness and the actor of events.
    pub world: World,
    /// Where lines of the log go.
    pub log: Sink,
    /// Sends alerts, with its way to the store; `None` if another process does.
    pub alerts: Option<(Opener, SharedSender, Location)>,
}

/// Enough for more than 1.6 million right passwords.
pub const REMEMBER: MemorySize = MemorySize::mib(32);

/// Returns the sockets that were passed on to us, and binds the others that were specified.
fn listeners(options: &Options) -> Result<Vec<Listener>> {
    let mut inherited = Listener::inherited()?;
    let mut listeners = Vec::new();
    let mail = |protocol| move |spec| (Purpose::Mail(protocol), spec);
    let auth = options.auth.iter().map(mail(Protocol::Auth));
    let policy = options.policy.iter().map(mail(Protocol::Policy));
    let metrics = options.metrics.iter().filter_map(MetricsAddress::unix);
    let metrics = metrics.map(|spec| (Purpose::Metrics, spec));
    for (purpose, spec) in auth.chain(policy).chain(metrics) {
        let here = |listener: &Listener| listener.is_at(&spec.path);
        if listeners.iter().any(here) {
            continue;
        }
        listeners.push(match inherited.iter().position(here) {
            Some(i) => inherited.swap_remove(i).by(spec),
            None => Listener::bind(purpose, spec)?,
        });
    }
    listeners.extend(inherited);
    let policy = Purpose::Mail(Protocol::Policy);
    let policy = options.listen.iter().map(|address| (policy, *address));
    let metrics = options.metrics.iter().filter_map(MetricsAddress::tcp);
    let metrics = metrics.map(|address| (Purpose::Metrics, address));
    for (purpose, address) in policy.chain(metrics) {
        match purpose {
            Purpose::Metrics if options.allow_remote_metrics => {}
            Purpose::Metrics => Listener::check_is_local(
                address,
                "metrics name users and are not encrypted; if a firewall or a proxy protects them, \
                 add --allow-remote-metrics",
            )?,
            Purpose::Mail(_) => Listener::check_is_local(
                address,
                "the protocol has neither passwords nor encryption",
            )?,
        }
        if !listeners.iter().any(|listener| listener.is_on(address)) {
            listeners.push(Listener::bind_tcp(purpose, address)?);
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
    let is_mail = |one: &Listener| matches!(one.purpose, Purpose::Mail(_));
    if !listeners.iter().any(is_mail) {
        let give = "give --auth SOCKET, --policy SOCKET or both";
        return Err(Error::Usage(give.into()));
    }
    let workers = options
        .workers
        .or_else(|| thread::available_parallelism().ok().map(usize::from))
        .unwrap_or(1);
    let has_metrics = listeners.iter().any(|one| one.purpose == Purpose::Metrics);
    let [for_reading, for_writing, for_metrics] = parts.openers;
    let (log, writer) = Log::start(parts.log);
    let alerts = parts.alerts.map(|(open, sender, location)| {
        AlertThread::start(Outbox::new(open, parts.world, sender, location))
    });
    let mut relay = Relay::new(for_reading, parts.world, workers, options.remember)?;
    let connections = take_over(&mut relay, options.remember, workers, &log);
    let mut server = server::Server::start(
        listeners,
        connections,
        relay,
        (for_writing, has_metrics.then_some(for_metrics)),
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
