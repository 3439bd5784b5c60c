//! What an application has to be told to connect.

use super::{App, need_domain};
use crate::error::Result;
use crate::model::name::{DomainName, HostName};
use crate::model::rotation::RotationRules;
use crate::model::settings::{Ports, Settings};
use crate::store::{Owner, SettingsChange};

/// Where to connect: a domain's own server, or the installation's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    pub host: Option<HostName>,
    pub ports: Ports,
}

impl App {
    pub fn settings(&mut self) -> Result<Settings> {
        self.store.settings()
    }

    pub fn set_settings(&mut self, change: &SettingsChange) -> Result<Settings> {
        let mut tx = self.begin()?;
        tx.set_settings(change)?;
        tx.commit()?;
        self.settings()
    }

    pub fn installation_rotation(&mut self) -> Result<RotationRules> {
        self.store.own_rotation_rules(Owner::INSTALLATION)
    }

    pub fn connection(&mut self, domain: Option<&DomainName>) -> Result<Connection> {
        match domain {
            Some(name) => {
                need_domain(&mut self.store, name)?;
                self.connection_of(name)
            }
            None => Ok(self.settings()?.into()),
        }
    }

    /// Also for a domain that is only about to be added.
    pub fn connection_of(&mut self, domain: &DomainName) -> Result<Connection> {
        let mut connection: Connection = self.settings()?.into();
        if let Some(host) = self.store.domain(domain)?.and_then(|d| d.host) {
            connection.host = Some(host);
        }
        Ok(connection)
    }
}

impl From<Settings> for Connection {
    fn from(settings: Settings) -> Self {
        Self {
            host: settings.host,
            ports: settings.ports,
        }
    }
}
