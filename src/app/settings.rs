//! Settings, and the servers that applications connect to.

use super::apply::{FieldChange, settings_changes};
use super::{App, need_domain};
use crate::error::Result;
use crate::model::alert_rules::AlertRules;
use crate::model::name::{DomainName, HostName};
use crate::model::rotation::RotationRules;
use crate::model::settings::{Ports, Settings};
use crate::store::{Scope, SettingsChange};

/// Where to connect: a domain's own server, or the installation's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpServer {
    /// The server's name, `None` if none is set.
    pub host: Option<HostName>,
    /// The ports to offer.
    pub ports: Ports,
}

impl App {
    /// Returns the settings of the installation.
    pub fn settings(&mut self) -> Result<Settings> {
        self.store.settings()
    }

    /// Changes settings. Returns all of them and the fields that differ now; nothing is
    /// written if none does.
    pub fn set_settings(
        &mut self,
        change: &SettingsChange,
    ) -> Result<(Settings, Vec<FieldChange>)> {
        let mut tx = self.begin()?;
        let fields = settings_changes(tx.store(), change)?;
        if fields.is_empty() {
            drop(tx);
        } else {
            tx.set_settings(change)?;
            tx.commit()?;
        }
        Ok((self.settings()?, fields))
    }

    /// Returns the rules of rotations that the installation sets.
    pub fn installation_rotation(&mut self) -> Result<RotationRules> {
        self.store.own_rotation_rules(Scope::INSTALLATION)
    }

    /// Returns which alerts are raised, and where they are sent.
    pub fn alert_rules(&mut self) -> Result<AlertRules> {
        self.store.alert_rules()
    }

    /// Returns where the users of a domain connect, or users in general. Fails if the
    /// domain does not exist.
    pub fn server(&mut self, domain: Option<&DomainName>) -> Result<SmtpServer> {
        match domain {
            Some(name) => {
                need_domain(&mut self.store, name)?;
                self.server_of(name)
            }
            None => Ok(self.settings()?.into()),
        }
    }

    /// Returns where users of a domain connect. The domain need not exist yet.
    pub fn server_of(&mut self, domain: &DomainName) -> Result<SmtpServer> {
        match self.servers_of(&[domain])?.pop() {
            Some(server) => Ok(server),
            None => Ok(self.settings()?.into()),
        }
    }

    /// Returns where the users of each domain connect.
    pub(super) fn servers_of(&mut self, domains: &[&DomainName]) -> Result<Vec<SmtpServer>> {
        let common: SmtpServer = self.settings()?.into();
        let found = self.store.domains_named(domains)?.into_iter();
        let servers = found.map(|domain| {
            let own = domain.and_then(|domain| domain.host);
            let host = own.or_else(|| common.host.clone());
            SmtpServer {
                host,
                ports: common.ports,
            }
        });
        Ok(servers.collect())
    }
}

impl From<Settings> for SmtpServer {
    fn from(settings: Settings) -> Self {
        Self {
            host: settings.host,
            ports: settings.ports,
        }
    }
}
