//! `smtpcred show-settings`

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::{Installation, PortRecord};
use crate::cli::output::Record;
use crate::cli::{Context, complete, help, snippets};
use crate::error::Error;
use crate::model::settings::MECHANISMS;
use crate::store::Access;

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

#[derive(Serialize)]
struct ConnectionRecord {
    username: Option<String>,
    host: Option<String>,
    ports: Vec<PortRecord>,
    auth: [&'static str; 2],
    #[serde(flatten)]
    installation: Option<Installation>,
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
