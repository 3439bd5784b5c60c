//! `smtpcred show-settings` and `set-settings`

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::output::Record;
use super::{Context, complete, help};
use crate::error::Error;
use crate::model::hash::Cost;
use crate::model::name::HostName;
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
}

impl Show {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let mut username = None;
        let mut argon2 = None;
        let connection = match self.name {
            None => {
                argon2 = Some(app.settings()?.argon2.to_string());
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
            argon2,
        };
        Ok(context.out.one(&record)?)
    }
}

impl Set {
    pub fn run(self, context: &mut Context) -> Result<()> {
        if self.host.is_none() && self.ports.is_none() && self.argon2.is_none() {
            let give = "nothing to set: give --host, --ports or --argon2";
            return Err(Error::Usage(give.into()).into());
        }
        let mut app = context.app(Access::Create)?;
        let change = SettingsChange {
            host: self.host,
            ports: self.ports,
            argon2: self.argon2,
        };
        let settings = app.set_settings(&change)?;
        context.out.note("changed the settings");
        Ok(context.out.result(&SettingsRecord::new(&settings))?)
    }
}

#[derive(Serialize)]
struct ConnectionRecord {
    username: Option<String>,
    host: Option<String>,
    ports: Vec<PortRecord>,
    auth: [&'static str; 2],
    /// Of the installation: what a new hash costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    argon2: Option<String>,
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
    const COLUMNS: &'static [&'static str] =
        &["Server", "Ports", "Sign-in", "Username", "Password", "Hash"];

    fn cells(&self) -> Vec<String> {
        let ports: Vec<_> = self.ports.iter().map(|port| port.text.as_str()).collect();
        let cells = [
            self.host.clone().unwrap_or_else(|| "not set".into()),
            ports.join("\n"),
            format!("{}, over TLS only", self.auth.join(" or ")),
            self.username
                .clone()
                .unwrap_or_else(|| "as given by `user create`".into()),
            "shown once, by `user create` and `user reset`".to_owned(),
        ];
        let hash = self.argon2.as_ref().map(|cost| format!("Argon2id {cost}"));
        cells.into_iter().chain(hash).collect()
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
    argon2: String,
}

impl SettingsRecord {
    fn new(settings: &Settings) -> Self {
        Self {
            host: settings.host.as_ref().map(ToString::to_string),
            ports: settings.ports.offered().map(|port| port.number).collect(),
            argon2: settings.argon2.to_string(),
        }
    }
}

impl Record for SettingsRecord {
    const COLUMNS: &'static [&'static str] = Self::FIELDS;

    fn cells(&self) -> Vec<String> {
        self.fields()
    }

    const FIELDS: &'static [&'static str] = &["host", "ports", "argon2"];

    fn fields(&self) -> Vec<String> {
        let ports: Vec<_> = self.ports.iter().map(ToString::to_string).collect();
        vec![
            self.host.clone().unwrap_or_default(),
            ports.join(" "),
            self.argon2.clone(),
        ]
    }
}
