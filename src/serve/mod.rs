//! The running relay's side: sockets and threads around the protocols and the
//! rules. One loop answers everybody; a fixed number of threads hash; one
//! writes to the store; one writes the log.

mod auth;
mod clients;
mod connection;
mod hashing;
mod keeping;
mod listening;
pub mod log;
mod policy;
mod reports;
mod restart;
mod server;
mod signals;
mod sockets;
mod timers;

use std::net::SocketAddr;
use std::thread;

pub use restart::Restart;
pub use sockets::SocketSpec;

use crate::app::World;
use crate::app::relay::Opener;
use crate::error::{Error, Result};
use log::Sink;
use sockets::{Listener, Protocol};

#[derive(Debug)]
pub struct Options {
    pub auth: Vec<SocketSpec>,
    pub policy: Vec<SocketSpec>,
    /// For the policy protocol, on the loopback interface.
    pub listen: Vec<SocketAddr>,
    /// Threads that hash; one for each processor if not said.
    pub workers: Option<usize>,
}

/// What it needs of the world.
pub struct Parts {
    /// One for reading, one for writing.
    pub openers: [Opener; 2],
    pub world: World,
    pub log: Sink,
}

/// Why it ended.
pub enum End {
    Stopped,
    /// To be run anew, with the same sockets.
    Restart(Restart),
}

/// Those that were passed on to us, and what else was asked for.
fn listeners(options: &Options) -> Result<Vec<Listener>> {
    let mut listeners = Listener::inherited()?;
    let auth = options.auth.iter().map(|spec| (Protocol::Auth, spec));
    let policy = options.policy.iter().map(|spec| (Protocol::Policy, spec));
    for (protocol, spec) in auth.chain(policy) {
        if !listeners.iter().any(|listener| listener.is_at(&spec.path)) {
            listeners.push(Listener::bind(protocol, spec)?);
        }
    }
    for address in &options.listen {
        if !listeners.iter().any(|listener| listener.is_on(*address)) {
            listeners.push(Listener::bind_tcp(Protocol::Policy, *address)?);
        }
    }
    Ok(listeners)
}

/// Serves until it is told to stop.
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
    let (log, writer) = log::Log::start(parts.log);
    let mut server = server::Server::start(listeners, parts.openers, parts.world, workers, log)?;
    let outcome = server.run();
    let end = server.stop(outcome);
    // The last lines, too.
    let _ = writer.join();
    end
}
