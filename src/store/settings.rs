//! The installation's settings: one row for each that differs from its default.

use super::{Owner, SendingChange, Store, Tx};
use crate::error::Result;
use crate::model::day::Day;
use crate::model::event::{Action, Fields};
use crate::model::hash::{Accepted, Cost};
use crate::model::name::HostName;
use crate::model::rotation::RulesChange;
use crate::model::settings::{Ports, Setting, Settings};

/// What to set; absent stays as it is.
#[derive(Clone, Debug, Default)]
pub struct SettingsChange {
    pub host: Option<Setting<HostName>>,
    pub ports: Option<Ports>,
    pub argon2: Option<Cost>,
    pub accept_hash: Option<Accepted>,
    pub allow_insecure: Option<bool>,
    pub require_verified_domains: Option<bool>,
    pub day: Option<Day>,
    pub sending: SendingChange,
    pub rotation: RulesChange,
}

const HOST: &str = "host";
const PORTS: &str = "ports";
const ARGON2: &str = "argon2";
const ACCEPT_HASH: &str = "accept_hash";
const ALLOW_INSECURE: &str = "allow_insecure";
const REQUIRE_VERIFIED: &str = "require_verified_domains";
const DAY: &str = "day";
pub(super) const ON_LIMIT: &str = "on_limit";
pub(super) const YES: &str = "yes";

impl Store {
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
                // A zone that this machine does not know must not keep anybody
                // from signing in; the last 24 hours are never less strict.
                DAY => settings.day = row.parsed(1).unwrap_or_default(),
                ON_LIMIT => settings.on_limit = Some(row.parsed(1)?),
                // Of a later version that kept the schema.
                _ => {}
            }
            Ok(())
        })?;
        settings.limits = self.limits(Owner::INSTALLATION)?;
        Ok(settings)
    }
}

impl Tx<'_> {
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
        ];
        let mut fields = Fields::default();
        for (name, value) in rows {
            if let Some(value) = value {
                self.put(name, value.as_deref())?;
                fields = fields.with(name, value);
            }
        }
        let owner = Owner::INSTALLATION;
        let fields = self.change_sending(owner, &change.sending, fields)?;
        let fields = self.change_rotation_rules(owner, &change.rotation, fields)?;
        self.event(Action::SettingsSet, None, None, &fields)
    }

    pub(super) fn put(&mut self, name: &str, value: Option<&str>) -> Result<()> {
        const SET: &str = "INSERT INTO settings (name, value) VALUES ($1, $2)
            ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        const UNSET: &str = "DELETE FROM settings WHERE name = $1";
        match value {
            Some(value) => self.execute(SET, &[name.into(), value.into()])?,
            None => self.execute(UNSET, &[name.into()])?,
        };
        Ok(())
    }
}
