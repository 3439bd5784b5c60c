//! `smtpcred show-settings`

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::record::{InstallationRecord, PortRecord};
use crate::cli::args::number;
use crate::cli::context::Context;
use crate::cli::offer::{self, NameKind, Suited};
use crate::cli::terminal::column::{Cell, Column};
use crate::cli::terminal::record::Record;
use crate::cli::{complete, snippets};
use crate::error::Error;
use crate::model::settings::MECHANISMS;
use crate::store::Access;

const HELP: &str = "\
Examples:
  smtpcred show-settings                                 of the installation
  smtpcred show-settings example.com                     of a domain
  smtpcred show-settings shop@example.com --json         of a user
  smtpcred show-settings shop@example.com --for django   text to paste
  smtpcred show-settings shop@example.com --for swaks --port 465 | sh -s you@example.org
  smtpcred show-settings --for list                      all clients

Pasted text:
  Works unchanged once the client's environment has SMTP_PASSWORD, or the file that the text names
  has the password. It always requires TLS and a certificate for the server's name; if a client
  cannot check that, its text says so. The sender is the user's own address.

JSON:
  {username, host, ports: [{port, encryption, recommended}], auth}; encryption is starttls or tls.
  Of the installation also argon2, accept_hash, day, allow_insecure, require_verified_domains,
  limits: {KIND: N}, on_limit, addresses, unknown_address, learn_seconds, allowed_addresses,
  ignore_addresses, keep_messages_seconds, keep_recipients, rotate_every_seconds, delivery, alerts, alert_exec and alert_mail. With --for:
  {client, title, file, username, host, port, encryption, text}; with --for list: a list of {client,
  title, file}. file is null if you choose it yourself.";

/// Show the settings that an application needs
///
/// Never a password: it is shown only once, when it is created.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct ShowSettings {
    /// A user or a domain; by default the installation's settings
    #[arg(value_name = "NAME", add = complete::usernames())]
    name: Option<String>,

    /// Show text to paste for this client, such as phpmailer, django or msmtp; list shows all clients
    ///
    /// It runs unchanged: it reads the password from `SMTP_PASSWORD` in the environment, or from a
    /// file that the text names.
    #[arg(long = "for", value_name = "CLIENT", value_parser = snippets::names(), hide_possible_values = true)]
    client: Option<String>,

    /// Use this port in the text instead of the recommended one
    #[arg(long, value_name = "PORT", requires = "client", value_parser = number::within(1..=u16::MAX))]
    port: Option<u16>,
}

impl ShowSettings {
    pub fn run(self, context: &mut Context) -> Result<()> {
        if let Some(client) = &self.client {
            return Ok(self.snippet(client, context)?);
        }
        let mut app = context.app(Access::Existing)?;
        let mut username = None;
        let mut installation = None;
        let server = match self.name {
            None => {
                installation = Some(InstallationRecord::new(
                    &app.settings()?,
                    &app.installation_addresses()?,
                    &app.installation_rotation()?,
                    &app.alert_rules()?,
                ));
                app.server(None)?
            }
            Some(name) if name.contains('@') => {
                let user = app.user(&name.parse()?)?;
                username = Some(user.username.to_string());
                app.server(Some(&user.username.domain()))?
            }
            Some(client) if snippets::is_client(&client) => {
                let meant = format!(
                    "{client} is a client, not a user or domain; did you mean: smtpcred show-settings shop@example.com --for {client}"
                );
                return Err(Error::Usage(meant).into());
            }
            Some(name) => app.server(Some(&name.parse()?))?,
        };
        if server.host.is_none() {
            context.out.warn(
                "the server is not set; set it with: smtpcred set-settings --host smtp.example.com",
            );
        }
        let record = SettingsRecord {
            username,
            host: server.host.map(|host| host.to_string()),
            ports: PortRecord::all(server.ports),
            auth: MECHANISMS,
            installation,
        };
        Ok(context.out.one(&record)?)
    }

    fn snippet(&self, client: &str, context: &mut Context) -> Result<(), Error> {
        if client == snippets::LIST {
            return snippets::list(context);
        }
        let chosen = match self.name {
            None => offer::any(context, NameKind::User, Suited::All)?,
            Some(_) => None,
        };
        let name = self.name.as_deref().or(chosen.as_deref());
        let Some(name) = name.filter(|name| name.contains('@')) else {
            let needs = format!(
                "--for {client} needs a user, for example: smtpcred show-settings shop@example.com --for {client}"
            );
            return Err(Error::Usage(needs));
        };
        let mut app = context.app(Access::Existing)?;
        let user = app.user(&name.parse()?)?;
        let server = app.server(Some(&user.username.domain()))?;
        let Some(host) = &server.host else {
            return Err(Error::HostNotSet("--for"));
        };
        let values = snippets::Values {
            username: &user.username,
            host,
            ports: server.ports,
            port: self.port,
        };
        snippets::show(context, client, &values)
    }
}

#[derive(Serialize)]
struct SettingsRecord {
    username: Option<String>,
    host: Option<String>,
    ports: Vec<PortRecord>,
    auth: [&'static str; 2],
    #[serde(flatten)]
    installation: Option<InstallationRecord>,
}

impl Record for SettingsRecord {
    const COLUMNS: &'static [Column] = &[
        Column::new("Server"),
        Column::new("Ports"),
        Column::new("Sign-in"),
        Column::new("Username"),
        Column::new("Password"),
        Column::new("Hash"),
        Column::new("Limits"),
        Column::new("Over a limit"),
        Column::new("Rotation"),
        Column::new("Verified domains"),
        Column::new("Alerts"),
    ];

    fn cells(&self) -> Vec<Cell> {
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
                .unwrap_or_else(|| "set by `user create`".into()),
            "shown once, by `user create` and `user reset`".to_owned(),
        ];
        let more = self.installation.as_ref().map(|installation| {
            [
                format!("Argon2id {}", installation.argon2),
                installation.limits_cell(),
                installation.on_limit.to_owned(),
                installation.rotation.text(),
                if installation.require_verified_domains {
                    "required: users of other domains cannot send".to_owned()
                } else {
                    "not required".to_owned()
                },
                installation.alerts.text().to_owned(),
            ]
        });
        let cells = cells.into_iter().chain(more.into_iter().flatten());
        cells.map(Cell::from).collect()
    }

    fn lines(&self) -> Vec<(&'static str, Cell)> {
        let titles = Self::COLUMNS.iter().map(|column| column.title);
        let mut lines: Vec<_> = titles.zip(self.cells()).collect();
        let installation = self.installation.as_ref();
        let addresses = installation.and_then(InstallationRecord::addresses_text);
        lines.extend(addresses.map(|text| ("Addresses", text.into())));
        let messages = installation.and_then(InstallationRecord::messages_text);
        lines.extend(messages.map(|text| ("Messages", text.into())));
        lines
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
