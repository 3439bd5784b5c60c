//! `smtpcred show-server-config`: what to paste into a mail server. The texts
//! are beside this file, one for each.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::output::{Format, Record};
use super::{Context, help};
use crate::doctor::dovecot::Dovecot;
use crate::doctor::exim::Exim;
use crate::doctor::postfix::Postfix;
use crate::doctor::{Compared, Sockets};
use crate::error::Error;
use crate::model::hash::Cost;
use crate::store::{Access, Location};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Server {
    Postfix,
    Exim,
    Dovecot,
}

impl From<Server> for crate::doctor::Server {
    fn from(server: Server) -> Self {
        match server {
            Server::Postfix => Self::Postfix,
            Server::Exim => Self::Exim,
            Server::Dovecot => Self::Dovecot,
        }
    }
}

/// Show what to paste into the mail server
///
/// For Postfix and Exim, which ask `smtpcred serve`; or for Dovecot, which reads the store itself.
#[derive(Debug, Args)]
#[command(after_long_help = help::SHOW_SERVER_CONFIG)]
pub struct ShowServerConfig {
    /// Which mail server
    #[arg(value_enum, value_name = "SERVER")]
    server: Server,

    /// The socket for sign-ins; for a chrooted Postfix, relative to its queue directory
    #[arg(long, value_name = "SOCKET")]
    auth: Option<String>,

    /// The socket of the policy service
    #[arg(long, value_name = "SOCKET")]
    policy: Option<String>,

    /// Compare with the configuration that the server has; exits with 7 if it differs
    #[arg(long)]
    check: bool,

    /// The configuration to compare with: Postfix's folder, Exim's or Dovecot's file
    #[arg(long, value_name = "PATH", requires = "check")]
    config: Option<PathBuf>,
}

impl ShowServerConfig {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let (auth, policy) = match self.server {
            Server::Postfix => ("smtpcred/auth", "smtpcred/policy"),
            Server::Exim | Server::Dovecot => ("/run/smtpcred/auth", "/run/smtpcred/policy"),
        };
        let sockets = Sockets {
            auth: self.auth.unwrap_or_else(|| auth.to_owned()),
            policy: self.policy.unwrap_or_else(|| policy.to_owned()),
        };
        let store = match context.globals.location()? {
            Location::File(path) => Location::from(std::path::absolute(&path).unwrap_or(path)),
            database @ Location::Postgres(_) => database,
        };
        let is_file = store.file().is_some();
        let store = store.to_string();
        if !self.check {
            let text = match self.server {
                Server::Postfix => include_str!("postfix.txt"),
                Server::Exim => include_str!("exim.txt"),
                Server::Dovecot if is_file => include_str!("dovecot.txt"),
                Server::Dovecot => include_str!("dovecot-postgresql.txt"),
            };
            // It can be shown before there is a store.
            let cost = context
                .app(Access::Existing)
                .and_then(|mut app| app.settings())
                .map_or_else(|_| Cost::default(), |settings| settings.argon2);
            let text = text
                .replace("{auth}", &sockets.auth)
                .replace("{policy}", &sockets.policy)
                .replace("{store}", &store)
                .replace("{argon2}", &cost.to_string());
            return Ok(context.out.text(&text)?);
        }
        if self.server == Server::Dovecot && !is_file {
            return Err(Error::Usage(
                "how Dovecot reads a database is not compared: see it without --check".into(),
            )
            .into());
        }
        let config = self.config.as_deref();
        let compared = match self.server {
            Server::Postfix => Postfix::read(config)?.compare(&sockets),
            Server::Exim => Exim::read(config)?.compare(&sockets),
            Server::Dovecot => Dovecot::read(config)?.compare(&store),
        };
        let wrong = compared.iter().filter(|one| !one.good).count();
        let mut list = context.out.list::<Finding>();
        for one in &compared {
            list.push(&Finding::new(one))?;
        }
        list.end("nothing to compare")?;
        if wrong > 0 {
            return Err(Error::Differs(wrong).into());
        }
        if context.out.format() == Format::Table {
            context
                .out
                .note("the mail server is set up as it should be");
        }
        Ok(())
    }
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Finding<'a> {
    place: &'a str,
    wanted: &'a str,
    found: &'a str,
    good: bool,
}

impl<'a> Finding<'a> {
    fn new(compared: &'a Compared) -> Self {
        Self {
            place: &compared.place,
            wanted: &compared.wanted,
            found: &compared.found,
            good: compared.good,
        }
    }
}

impl Record for Finding<'_> {
    const COLUMNS: &'static [&'static str] = &["", "Where", "Wanted", "Found"];

    fn cells(&self) -> Vec<String> {
        let mut cells = self.fields();
        cells.insert(0, if self.good { "ok" } else { "FAIL" }.to_owned());
        cells.truncate(Self::COLUMNS.len());
        cells
    }

    const FIELDS: &'static [&'static str] = &["place", "wanted", "found", "good"];

    fn fields(&self) -> Vec<String> {
        vec![
            self.place.to_owned(),
            self.wanted.to_owned(),
            self.found.to_owned(),
            self.good.to_string(),
        ]
    }
}

/// The text as it is printed to programs.
#[derive(Serialize)]
pub struct Text<'a> {
    text: &'a str,
}

impl<'a> Text<'a> {
    pub const fn new(text: &'a str) -> Self {
        Self { text }
    }
}

impl Record for Text<'_> {
    const COLUMNS: &'static [&'static str] = Self::FIELDS;

    fn cells(&self) -> Vec<String> {
        self.fields()
    }

    const FIELDS: &'static [&'static str] = &["text"];

    fn fields(&self) -> Vec<String> {
        vec![self.text.to_owned()]
    }
}
