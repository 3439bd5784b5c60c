//! The installation's settings: one row for each that differs from its default.

use super::engine::Row;
use super::setting_names::{
    ACCEPT_HASH, ALLOW_INSECURE, ARGON2, DAY, HOST, IGNORE_ADDRESSES, KEEP_MESSAGES,
    KEEP_RECIPIENTS, LIMIT_ALERT, ON_LIMIT, PORTS, REQUIRE_VERIFIED, YES,
};
use super::{Scope, SendingChange, Store, Tx};
use crate::error::Result;
use crate::model::address_rules::AddressChange;
use crate::model::alert::AlertKind;
use crate::model::alert_rules::{AlertChange, AlertRule};
use crate::model::day::Day;
use crate::model::duration::Duration;
use crate::model::event::{Action, Fields};
use crate::model::hash::{AcceptedSchemes, Cost};
use crate::model::message_rules::{KeepMessages, KeptRecipients};
use crate::model::name::HostName;
use crate::model::network::Network;
use crate::model::rotation::RulesChange;
use crate::model::setting::Setting;
use crate::model::settings::{Ports, Settings};

/// A change of the settings; absent fields stay.
#[derive(Clone, Debug, Default)]
pub struct SettingsChange {
    /// The name of the mail server.
    pub host: Option<Setting<HostName>>,
    /// Its ports.
    pub ports: Option<Ports>,
    /// The cost of new hashes.
    pub argon2: Option<Cost>,
    /// Which imported hashes are accepted.
    pub accept_hash: Option<AcceptedSchemes>,
    /// Whether sign-ins without TLS are allowed.
    pub allow_insecure: Option<bool>,
    /// Whether users of unverified domains cannot send.
    pub require_verified_domains: Option<bool>,
    /// When a day begins.
    pub day: Option<Day>,
    /// The limits of the installation.
    pub sending: SendingChange,
    /// The rotation rules of the installation.
    pub rotation: RulesChange,
    /// What is told, and where.
    pub alerts: AlertChange,
    /// From where all users may sign in.
    pub addresses: AddressChange,
    /// Networks that say nothing about a client; empty for none.
    pub ignore_addresses: Option<Vec<Network>>,
    /// Whether and how long messages are kept.
    pub keep_messages: Option<KeepMessages>,
    /// What is kept of their recipients.
    pub keep_recipients: Option<KeptRecipients>,
}

impl Store {
    /// Returns the settings; defaults for those that are not set.
    pub fn settings(&mut self) -> Result<Settings> {
        const SQL: &str = "SELECT name, value FROM settings";
        let mut settings = Settings::default();
        self.engine.query(SQL, &[], &mut |row| {
            match row.text(0)? {
                HOST => settings.host = Some(row.parsed(1)?),
                PORTS => settings.ports = row.parsed(1)?,
                ARGON2 => settings.argon2 = row.parsed(1)?,
                ACCEPT_HASH => settings.accept_hash = row.parsed(1)?,
                ALLOW_INSECURE => settings.allow_insecure = row.text(1)? == YES,
                REQUIRE_VERIFIED => settings.require_verified_domains = row.text(1)? == YES,
                // A zone that this machine does not know must not prevent sign-ins;
                // the last 24 hours are never less strict.
                DAY => settings.day = row.parsed(1).unwrap_or_default(),
                ON_LIMIT => settings.on_limit = Some(row.parsed(1)?),
                IGNORE_ADDRESSES => settings.ignore_addresses = networks(row)?,
                KEEP_MESSAGES => settings.messages.keep = row.parsed::<KeepMessages>(1)?.0,
                KEEP_RECIPIENTS => settings.messages.recipients = row.parsed(1)?,
                LIMIT_ALERT => {
                    settings.limit_alert = AlertRule::stored(AlertKind::Limit, row.text(1)?);
                }
                // Of a later version that kept the schema.
                _ => {}
            }
            Ok(())
        })?;
        settings.limits = self.limits(Scope::INSTALLATION)?;
        Ok(settings)
    }
}

/// Reads networks with spaces between.
fn networks(row: &dyn Row) -> Result<Vec<Network>> {
    let text = row.text(1)?;
    let networks = text.split(' ').map(str::parse::<Network>);
    networks
        .collect::<Result<_>>()
        .map_err(|_| row.not_valid(text))
}

/// Returns networks as the store has them; `None` for none of them.
fn ignored(networks: &[Network]) -> Option<String> {
    let texts: Vec<_> = networks.iter().map(Network::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(" "))
}

impl Tx<'_> {
    /// Changes settings.
    pub fn set_settings(&mut self, change: &SettingsChange) -> Result<()> {
        let host = change
            .host
            .as_ref()
            .map(|h| h.as_ref().value().map(ToString::to_string));
        let yes = |set: Option<bool>| set.map(|yes| yes.then(|| YES.to_owned()));
        let rows = [
            (HOST, host),
            (PORTS, change.ports.map(|p| Some(p.to_string()))),
            (ARGON2, change.argon2.map(|c| Some(c.to_string()))),
            (
                ACCEPT_HASH,
                change
                    .accept_hash
                    .as_ref()
                    .map(|some| Some(some.to_string())),
            ),
            (ALLOW_INSECURE, yes(change.allow_insecure)),
            (REQUIRE_VERIFIED, yes(change.require_verified_domains)),
            (DAY, change.day.as_ref().map(|day| Some(day.to_string()))),
            (
                IGNORE_ADDRESSES,
                change.ignore_addresses.as_deref().map(ignored),
            ),
            (
                KEEP_MESSAGES,
                change.keep_messages.map(|said| said.0.map(Duration::exact)),
            ),
            (
                KEEP_RECIPIENTS,
                change.keep_recipients.map(|kept| Some(kept.to_string())),
            ),
        ];
        let mut fields = Fields::default();
        for (name, value) in rows {
            if let Some(value) = value {
                self.put(name, value.as_deref())?;
                fields = fields.with(name, value);
            }
        }
        let owner = Scope::INSTALLATION;
        let fields = self.change_sending(owner, &change.sending, fields)?;
        let rules = self.store.own_rotation_rules(owner)?;
        let fields = self.change_rotation_rules(owner, rules, &change.rotation, fields)?;
        let fields = self.change_alert_rules(&change.alerts, fields)?;
        let rules = self.store.own_address_rules(owner)?;
        let fields = self.change_addresses(owner, rules, &change.addresses, fields)?;
        self.event(Action::SettingsSet, None, None, &fields)
    }

    pub(super) fn put(&mut self, name: &str, value: Option<&str>) -> Result<()> {
        const SET: &str = "INSERT INTO settings (name, value) VALUES ($1, $2)
            ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        const UNSET: &str = "DELETE FROM settings WHERE name = $1";
        match value {
            Some(value) => self.later(SET, &[name.into(), value.into()]),
            None => self.later(UNSET, &[name.into()]),
        }
    }
}
