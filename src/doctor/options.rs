//! What to check.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::model::delivery::CommandLine;
use crate::model::settings::Port;

/// A mail server that doctor knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailServer {
    /// <https://www.postfix.org>
    Postfix,
    /// <https://www.exim.org>
    Exim,
    /// <https://www.dovecot.org>
    Dovecot,
}

/// Returns why this user cannot start a command.
pub type Obstacle = fn(&CommandLine) -> Option<String>;

/// What to check in place of what is found.
#[derive(Debug)]
pub struct DoctorOptions {
    /// Only this mail server; without it, all that are installed and configured.
    pub server: Option<MailServer>,
    /// The configuration: Postfix's folder, Exim's or Dovecot's file.
    pub config: Option<PathBuf>,
    /// The auth socket of serve.
    pub auth: Option<PathBuf>,
    /// The policy socket of serve.
    pub policy: Option<PathBuf>,
    /// Where the ports are visited.
    pub address: IpAddr,
    /// The ports to visit; if empty, those that the settings offer.
    pub ports: Vec<Port>,
    /// Reads all of a large store.
    pub full: bool,
    /// Looks at the commands that get alerts.
    pub obstacle: Obstacle,
}
