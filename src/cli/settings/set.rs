//! `smtpcred set-settings`

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::{Installation, limits_in_a_row};
use crate::cli::output::Record;
use crate::cli::rotation::RotationArgs;
use crate::cli::sending::LimitArgs;
use crate::cli::{Context, help};
use crate::error::Error;
use crate::model::day::Day;
use crate::model::hash::{Accepted, Cost};
use crate::model::limits::{Kind, LimitSetting};
use crate::model::name::HostName;
use crate::model::rotation::RotationRules;
use crate::model::settings::{Ports, Setting, Settings};
use crate::store::{Access, SettingsChange};

/// Change the installation's settings
#[derive(Debug, Args)]
#[command(after_long_help = help::SET_SETTINGS)]
pub struct Set {
    /// The server applications connect to, or none
    #[arg(long, value_name = "HOST")]
    host: Option<Setting<HostName>>,

    /// Which of the ports 587, 465, 2525 and 25 this relay offers
    #[arg(long, value_name = "PORTS")]
    ports: Option<Ports>,

    /// What a new hash costs: memory in KiB, passes, lanes
    ///
    /// Older, cheaper hashes are made again when their password is next verified.
    #[arg(long, value_name = "m=…,t=…,p=…")]
    argon2: Option<Cost>,

    /// Which hashes `user import` takes: all, or some of argon2,scrypt,yescrypt,bcrypt,…
    #[arg(long, value_name = "SCHEMES")]
    accept_hash: Option<Accepted>,

    /// When a limit of a day begins anew: rolling (the last 24 hours count), or at midnight in a
    /// time zone such as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    day: Option<Day>,

    /// Let passwords come over connections without TLS: yes or no
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no)]
    allow_insecure: Option<bool>,

    /// Let only users of verified domains send: yes or no
    ///
    /// See `domain verify`. It is the policy service that refuses the others, at once, with 554;
    /// signing in still works. A Dovecot that reads the store itself, with no policy service behind
    /// it, lets them send.
    #[arg(long, value_name = "YES|NO", value_parser = yes_or_no)]
    require_verified_domains: Option<bool>,

    #[command(flatten)]
    limits: LimitArgs,

    #[command(flatten)]
    rotation: RotationArgs,
}

fn yes_or_no(text: &str) -> Result<bool, &'static str> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("yes or no"),
    }
}

impl Set {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let (daily_limit, mut sending) = self.limits.split();
        if let Some(most) = daily_limit {
            let kind = Kind::MESSAGES_A_DAY;
            sending.limits.push(LimitSetting { kind, most });
        }
        let rotation = self.rotation.change_for_many()?;
        let nothing = self.host.is_none()
            && self.ports.is_none()
            && self.argon2.is_none()
            && self.accept_hash.is_none()
            && self.day.is_none()
            && self.allow_insecure.is_none()
            && self.require_verified_domains.is_none()
            && rotation.is_empty()
            && sending.is_empty();
        if nothing {
            let give = "nothing to set: give --host, --ports, --argon2, --accept-hash, --day, --allow-insecure, --require-verified-domains, --daily-limit, --limit, --on-limit, --rotate-every or --deliver";
            return Err(Error::Usage(give.into()).into());
        }
        let mut app = context.app(Access::Create)?;
        let change = SettingsChange {
            host: self.host,
            ports: self.ports,
            argon2: self.argon2,
            accept_hash: self.accept_hash,
            allow_insecure: self.allow_insecure,
            require_verified_domains: self.require_verified_domains,
            day: self.day,
            sending,
            rotation,
        };
        let settings = app.set_settings(&change)?;
        let rotation = app.installation_rotation()?;
        context.out.note("changed the settings");
        if self.require_verified_domains == Some(true) {
            let unverified = app.unverified_domains()?;
            if unverified > 0 {
                context.out.warn(&format!(
                    "{unverified} domains with users are not verified: they cannot send any more; `smtpcred domain verify` each"
                ));
            }
        }
        Ok(context
            .out
            .result(&SettingsRecord::new(&settings, &rotation))?)
    }
}

#[derive(Serialize)]
struct SettingsRecord {
    host: Option<String>,
    ports: Vec<u16>,
    #[serde(flatten)]
    installation: Installation,
}

impl SettingsRecord {
    fn new(settings: &Settings, rotation: &RotationRules) -> Self {
        Self {
            host: settings.host.as_ref().map(ToString::to_string),
            ports: settings.ports.offered().map(|port| port.number).collect(),
            installation: Installation::new(settings, rotation),
        }
    }
}

impl Record for SettingsRecord {
    const COLUMNS: &'static [&'static str] = Self::FIELDS;

    fn cells(&self) -> Vec<String> {
        self.fields()
    }

    const FIELDS: &'static [&'static str] = &[
        "host",
        "ports",
        "argon2",
        "day",
        "allow_insecure",
        "limits",
        "on_limit",
        "require_verified_domains",
        "accept_hash",
    ];

    fn fields(&self) -> Vec<String> {
        let ports: Vec<_> = self.ports.iter().map(ToString::to_string).collect();
        vec![
            self.host.clone().unwrap_or_default(),
            ports.join(" "),
            self.installation.argon2.clone(),
            self.installation.day.clone(),
            self.installation.allow_insecure.to_string(),
            limits_in_a_row(&self.installation.limits),
            self.installation.on_limit.to_owned(),
            self.installation.require_verified_domains.to_string(),
            self.installation.accept_hash.clone(),
        ]
    }
}
