//! The circumstances of a fault.

use crate::model::host_port::HostPort;
use crate::model::mailbox::Mailbox;
use crate::model::name::Username;

/// The circumstances of a fault.
#[derive(Clone, Copy)]
pub struct FaultContext<'a> {
    /// The user that tried to sign in or send.
    pub username: &'a Username,
    /// What the application sent.
    pub password: &'a [u8],
    /// The server and port.
    pub server: &'a HostPort,
    /// The sender of the message.
    pub from: &'a Mailbox,
    /// TLS was left out on purpose.
    pub in_clear: bool,
    /// Where the name of the server came from.
    pub host: HostSource,
    /// The command that tries the other ports, unless all were tried.
    pub others: Option<&'a str>,
}

/// Where the name of the server came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostSource {
    /// The command line.
    Flag,
    /// The settings of the user's domain.
    Domain,
    /// The settings of the installation.
    Settings,
}

impl FaultContext<'_> {
    /// Returns the command that sets another server name, unless a flag named it.
    pub(super) fn set_host(&self, host: &str) -> Option<String> {
        match self.host {
            HostSource::Flag => None,
            HostSource::Domain => {
                let domain = self.username.domain();
                Some(format!("smtpcred domain set {domain} --host {host}"))
            }
            HostSource::Settings => Some(format!("smtpcred set-settings --host {host}")),
        }
    }
}
