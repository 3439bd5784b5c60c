//! `smtpcred show-settings` and `set-settings`

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::output::Record;
use super::rotation::{RotationArgs, RulesRecord};
use super::sending::LimitArgs;
use super::{Context, complete, help, snippets};
use crate::error::Error;
use crate::model::day::Day;
use crate::model::hash::{Accepted, Cost};
use crate::model::limits::{Kind, LimitSetting, Limits};
use crate::model::name::HostName;
use crate::model::rotation::RotationRules;
use crate::model::settings::{MECHANISMS, Port, Ports, Setting, Settings};
use crate::store::{Access, SettingsChange};

/// Show what an application has to be told to connect
///
/// Never a password: that is shown once, when it is made.
#[derive(Debug, Args)]
#[command(after_long_help = help::SHOW_SETTINGS)]
pub struct Show {
    /// A user or a domain; without one, the installation's settings
    #[arg(value_name = "NAME", add = complete::usernames())]
    name: Option<String>,

    /// Text to paste for a client, such as phpmailer, django or msmtp; list names them all
    ///
    /// It runs unchanged: the password is read from `SMTP_PASSWORD` in the environment, or from a
    /// file. The text says which.
    #[arg(long = "for", value_name = "CLIENT", value_parser = snippets::names(), hide_possible_values = true)]
    client: Option<String>,

    /// The port in that text, if not the best one
    #[arg(long, value_name = "PORT", requires = "client")]
    port: Option<u16>,
}

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

impl Show {
    pub fn run(self, context: &mut Context) -> Result<()> {
        if let Some(client) = &self.client {
            return Ok(self.snippet(client, context)?);
        }
        let mut app = context.app(Access::Existing)?;
        let mut username = None;
        let mut installation = None;
        let connection = match self.name {
            None => {
                installation = Some(Installation::new(
                    &app.settings()?,
                    &app.installation_rotation()?,
                ));
                app.connection(None)?
            }
            Some(name) if name.contains('@') => {
                let user = app.user(&name.parse()?)?;
                username = Some(user.username.to_string());
                app.connection(Some(&user.username.domain()))?
            }
            Some(name) => app.connection(Some(&name.parse()?))?,
        };
        if connection.host.is_none() {
            context
                .out
                .warn("no server name is set yet; set it with: smtpcred set-settings --host smtp.example.com");
        }
        let record = ConnectionRecord {
            username,
            host: connection.host.map(|host| host.to_string()),
            ports: PortRecord::all(connection.ports),
            auth: MECHANISMS,
            installation,
        };
        Ok(context.out.one(&record)?)
    }

    fn snippet(&self, client: &str, context: &mut Context) -> Result<(), Error> {
        if client == snippets::LIST {
            return snippets::list(context);
        }
        let Some(name) = self.name.as_deref().filter(|name| name.contains('@')) else {
            let needs = format!(
                "--for {client} needs a user, as in: smtpcred show-settings shop@example.com --for {client}"
            );
            return Err(Error::Usage(needs));
        };
        let mut app = context.app(Access::Existing)?;
        let user = app.user(&name.parse()?)?;
        let connection = app.connection(Some(&user.username.domain()))?;
        let Some(host) = &connection.host else {
            return Err(Error::HostNotSet("--for"));
        };
        let values = snippets::Values {
            username: &user.username,
            host,
            ports: connection.ports,
            port: self.port,
        };
        snippets::show(context, client, &values)
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
struct ConnectionRecord {
    username: Option<String>,
    host: Option<String>,
    ports: Vec<PortRecord>,
    auth: [&'static str; 2],
    #[serde(flatten)]
    installation: Option<Installation>,
}

/// What no application has to know.
#[derive(Serialize)]
struct Installation {
    argon2: String,
    accept_hash: String,
    day: String,
    allow_insecure: bool,
    require_verified_domains: bool,
    limits: BTreeMap<String, u32>,
    on_limit: &'static str,
    #[serde(flatten)]
    rotation: RulesRecord,
}

impl Installation {
    fn new(settings: &Settings, rotation: &RotationRules) -> Self {
        Self {
            argon2: settings.argon2.to_string(),
            accept_hash: settings.accept_hash.to_string(),
            day: settings.day.to_string(),
            allow_insecure: settings.allow_insecure,
            require_verified_domains: settings.require_verified_domains,
            limits: named(&settings.limits),
            on_limit: settings.on_limit.unwrap_or_default().name(),
            rotation: RulesRecord::new(rotation),
        }
    }

    fn limits_cell(&self) -> String {
        if self.limits.is_empty() {
            return "none".into();
        }
        let limits = limits_in_a_row(&self.limits);
        format!("{limits}, all users together; a day is {}", self.day)
    }
}

/// A port as it is printed.
#[derive(Serialize)]
pub struct PortRecord {
    port: u16,
    encryption: &'static str,
    recommended: bool,
    #[serde(skip)]
    text: String,
}

impl PortRecord {
    pub fn all(ports: Ports) -> Vec<Self> {
        let record = |port: Port| {
            let recommended = port == ports.recommended();
            let note = if recommended {
                "recommended"
            } else {
                port.note
            };
            Self {
                port: port.number,
                encryption: port.encryption.key(),
                recommended,
                text: format!("{:<5} {:<9} {note}", port.number, port.encryption.name()),
            }
        };
        ports.offered().map(record).collect()
    }
}

impl Record for ConnectionRecord {
    const COLUMNS: &'static [&'static str] = &[
        "Server",
        "Ports",
        "Sign-in",
        "Username",
        "Password",
        "Hash",
        "Limits",
        "Over a limit",
        "Rotation",
        "Verified domains",
    ];

    fn cells(&self) -> Vec<String> {
        let ports: Vec<_> = self.ports.iter().map(|port| port.text.as_str()).collect();
        let cells = [
            self.host.clone().unwrap_or_else(|| "not set".into()),
            ports.join("\n"),
            match &self.installation {
                Some(installation) if installation.allow_insecure => {
                    format!("{}, also without TLS", self.auth.join(" or "))
                }
                _ => format!("{}, over TLS only", self.auth.join(" or ")),
            },
            self.username
                .clone()
                .unwrap_or_else(|| "as given by `user create`".into()),
            "shown once, by `user create` and `user reset`".to_owned(),
        ];
        let more = self.installation.as_ref().map(|installation| {
            [
                format!("Argon2id {}", installation.argon2),
                installation.limits_cell(),
                installation.on_limit.to_owned(),
                installation.rotation.text(),
                if installation.require_verified_domains {
                    "required: users of others cannot send".to_owned()
                } else {
                    "not required".to_owned()
                },
            ]
        });
        cells
            .into_iter()
            .chain(more.into_iter().flatten())
            .collect()
    }

    const FIELDS: &'static [&'static str] =
        &["username", "host", "ports", "recommended_port", "auth"];

    fn fields(&self) -> Vec<String> {
        let list = |ports: &mut dyn Iterator<Item = &PortRecord>| {
            ports
                .map(|p| format!("{}/{}", p.port, p.encryption))
                .collect::<Vec<_>>()
                .join(" ")
        };
        vec![
            self.username.clone().unwrap_or_default(),
            self.host.clone().unwrap_or_default(),
            list(&mut self.ports.iter()),
            list(&mut self.ports.iter().filter(|p| p.recommended)),
            self.auth.join(" "),
        ]
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

/// Limits as they are printed: by the names they are set by.
pub fn named(limits: &Limits) -> BTreeMap<String, u32> {
    let named = limits.iter().map(|(kind, most)| (kind.to_string(), most));
    named.collect()
}

fn limits_in_a_row(limits: &BTreeMap<String, u32>) -> String {
    let all: Vec<_> = limits
        .iter()
        .map(|(kind, most)| format!("{kind}={most}"))
        .collect();
    all.join(" ")
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
