//! Examines what is between an application and its mail on this machine, one
//! thing after the other, and changes nothing. Mail servers are asked with their
//! own tools what their configuration says.

mod access;
pub mod dovecot;
pub mod exim;
mod files;
mod findings;
mod log;
mod machine;
mod ports;
pub mod postfix;
mod rotation;
mod serve;
mod sockets;
mod store;
mod tool;
mod users;

use std::net::IpAddr;
use std::path::PathBuf;

pub use self::findings::{Compared, Finding, State};
pub use self::sockets::Sockets;

use self::dovecot::Dovecot;
use self::exim::Exim;
use self::findings::Findings;
use self::postfix::Postfix;
use self::sockets::Known;
use crate::app::World;
use crate::error::{Error, Result};
use crate::model::settings::Port;
use crate::store::Location;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Postfix,
    Exim,
    Dovecot,
}

/// What to examine, where that is not what is found.
#[derive(Debug)]
pub struct Options {
    /// None but this one; without it, those that are installed and set up.
    pub server: Option<Server>,
    /// Postfix's folder, Exim's or Dovecot's file.
    pub config: Option<PathBuf>,
    pub auth: Option<PathBuf>,
    pub policy: Option<PathBuf>,
    /// Of the ports.
    pub address: IpAddr,
    /// Instead of what the settings offer.
    pub ports: Vec<Port>,
}

/// The configurations that were found.
#[derive(Default)]
struct Servers {
    postfix: Option<Postfix>,
    exim: Option<Exim>,
    dovecot: Option<Dovecot>,
}

/// From the store upwards: what fails first is often why the rest does.
pub fn examine(location: &Location, world: World, options: &Options) -> Vec<Finding> {
    let mut findings = Findings::default();
    let mut store = store::examine(&mut findings, location, world);
    machine::examine(&mut findings, &mut store, world);
    let mut unread = Findings::default();
    let servers = servers(&mut unread, options, &store);
    let known = Known::find(options, &servers);
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
    users::examine(&mut findings, &mut store);
    findings.into_list()
}

/// Reads the configuration of each server that is set up here.
fn servers(findings: &mut Findings, options: &Options, store: &store::Examined) -> Servers {
    let wanted = |server, programs: &[&str]| match options.server {
        Some(only) => only == server,
        None => programs.iter().any(|program| tool::is_there(program)),
    };
    let asked = options.server.is_some();
    let config = options.config.as_deref();
    let mut servers = Servers::default();
    if wanted(Server::Postfix, &["postconf"]) {
        let read = readable(findings, "postfix", Postfix::read(config));
        servers.postfix = read.filter(|postfix| asked || postfix.is_set_up());
    }
    if wanted(Server::Exim, &["exim4", "exim"]) {
        let read = readable(findings, "exim", Exim::read(config));
        servers.exim = read.filter(|exim| asked || exim.is_set_up());
    }
    if wanted(Server::Dovecot, &["doveconf"]) {
        let read = readable(findings, "dovecot", Dovecot::read(config));
        servers.dovecot = read.filter(|dovecot| asked || dovecot.is_set_up(store.file.as_deref()));
    }
    let none = servers.postfix.is_none() && servers.exim.is_none() && servers.dovecot.is_none();
    if none && findings.is_empty() {
        findings.area("server").warn(
            "configuration",
            "no mail server on this machine is set up for smtpcred",
            "smtpcred show-server-config postfix (or exim, dovecot) says what to set up",
        );
    }
    servers
}

fn readable<T>(findings: &mut Findings, area: &'static str, read: Result<T>) -> Option<T> {
    let error = match read {
        Ok(read) => return Some(read),
        Err(error) => error.to_string(),
    };
    let mut area = findings.area(area);
    let forbidden = error.to_lowercase().contains("permission denied");
    if forbidden && !access::is_root() {
        area.cannot_tell("configuration", &error);
    } else {
        area.fail(
            "configuration",
            &error,
            "mend what it complains about, or name another with --config",
        );
    }
    None
}

/// What to do about an error of the store's.
fn advice(error: &Error) -> String {
    error.hint().unwrap_or_default()
}
