//! Checks everything between an application and its mail on this machine, and changes
//! nothing. Mail servers report their configuration through their own tools.

pub mod access;
mod alerts;
mod backup;
mod depth;
pub mod dovecot;
pub mod exim;
mod files;
mod findings;
mod history;
mod machine;
pub mod mail_logs;
mod mail_servers;
mod messages;
mod options;
mod ports;
pub mod postfix;
mod replicas;
mod rotation;
mod serve;
mod serve_state;
pub mod sockets;
mod store;
pub mod tool;
mod usage_sums;
mod users;
mod wal;

pub use self::findings::{CheckState, Compared, Finding};
pub use self::options::{DoctorOptions, MailServer, Obstacle};
pub use self::serve_state::{ServeSocket, SocketState, named_sockets, serve_sockets};
pub use self::sockets::Sockets;

use self::depth::Depth;
use self::findings::Findings;
use self::mail_servers::MailServers;
use crate::app::World;
use crate::store::Location;

/// Checks the whole chain, from the store upwards: what fails first is often why the rest
/// fails, too.
pub fn examine(location: &Location, world: World, options: &DoctorOptions) -> Vec<Finding> {
    let depth = if options.full {
        Depth::FULL
    } else {
        Depth::SAMPLE
    };
    let mut findings = Findings::default();
    let mut store = store::examine(&mut findings, location, world, depth);
    backup::examine(&mut findings, &mut store, world);
    machine::examine(&mut findings, &mut store, world);
    let mut unread = Findings::default();
    let servers = MailServers::read(&mut unread, options, &store);
    let known = servers.known_sockets(options);
    serve::examine(&mut findings, &known, &servers, &store);
    findings.extend(unread);
    if let Some(postfix) = &servers.postfix {
        postfix.examine(&mut findings, &known, servers.dovecot.is_some());
    }
    if let Some(exim) = &servers.exim {
        exim.examine(&mut findings, &known);
    }
    if let Some(dovecot) = &servers.dovecot {
        dovecot.examine(&mut findings, &store);
    }
    ports::examine(&mut findings, &store, options, world);
    rotation::examine(&mut findings, &mut store, world);
    alerts::examine(&mut findings, &mut store, world, options.obstacle);
    messages::examine(&mut findings, &store, location, world);
    users::examine(&mut findings, &mut store, world, depth);
    findings.into_list()
}
