//! `smtpcred show-server-config`: what to paste into a mail server. The texts
//! are beside this file, one for each.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::args::path;
use super::context::Context;
use crate::cli::terminal::column::{Cell, Column, Tone};
use crate::cli::terminal::output::OutputFormat;
use crate::cli::terminal::record::Record;
use crate::doctor::dovecot::Dovecot;
use crate::doctor::exim::Exim;
use crate::doctor::postfix::Postfix;
use crate::doctor::{Compared, Sockets};
use crate::error::Error;
use crate::model::hash::Cost;
use crate::store::{Access, Location};

/// A server to configure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ServerArg {
    Postfix,
    Exim,
    Dovecot,
}

impl From<ServerArg> for crate::doctor::MailServer {
    fn from(server: ServerArg) -> Self {
        match server {
            ServerArg::Postfix => Self::Postfix,
            ServerArg::Exim => Self::Exim,
            ServerArg::Dovecot => Self::Dovecot,
        }
    }
}

const HELP: &str = "\
Examples:
  smtpcred show-server-config postfix
  smtpcred show-server-config postfix --check
  smtpcred show-server-config exim --auth /run/smtpcred/auth --policy /run/smtpcred/policy
  smtpcred show-server-config dovecot

JSON:
  {text}; with --check a list of {place, wanted, found, good}, and exit code 7 if anything differs.";

/// Show the configuration for the mail server
///
/// For Postfix and Exim, which ask `smtpcred serve`, or for Dovecot, which reads the store itself.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct ShowServerConfig {
    /// The mail server
    #[arg(value_enum, value_name = "SERVER")]
    server: ServerArg,

    /// Use this socket for sign-ins; for a chrooted Postfix, relative to its queue directory
    #[arg(long, value_name = "SOCKET")]
    auth: Option<String>,

    /// Use this socket of the policy service
    #[arg(long, value_name = "SOCKET")]
    policy: Option<String>,

    /// Compare with the server's configuration; exits with 7 if it differs
    #[arg(long)]
    check: bool,

    /// Compare with this configuration: Postfix's folder, Exim's or Dovecot's file
    #[arg(long, value_name = "PATH", requires = "check", value_parser = path::given())]
    config: Option<PathBuf>,
}

impl ShowServerConfig {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let (auth, policy) = match self.server {
            ServerArg::Postfix => ("smtpcred/auth", "smtpcred/policy"),
            ServerArg::Exim | ServerArg::Dovecot => ("/run/smtpcred/auth", "/run/smtpcred/policy"),
        };
        for socket in [&self.auth, &self.policy].into_iter().flatten() {
            crate::model::path::given(socket)?;
        }
        let sockets = Sockets {
            auth: self.auth.unwrap_or_else(|| auth.to_owned()),
            policy: self.policy.unwrap_or_else(|| policy.to_owned()),
        };
        let store = match context.location()? {
            Location::File(path) => Location::from(std::path::absolute(&path).unwrap_or(path)),
            database @ Location::Postgres(_) => database,
        };
        let is_file = store.file().is_some();
        let store = store.to_string();
        if !self.check {
            let text = match self.server {
                ServerArg::Postfix => include_str!("postfix.txt"),
                ServerArg::Exim => include_str!("exim.txt"),
                ServerArg::Dovecot if is_file => include_str!("dovecot.txt"),
                ServerArg::Dovecot => include_str!("dovecot-postgresql.txt"),
            };
            // There may be no store yet.
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
        if self.server == ServerArg::Dovecot && !is_file {
            return Err(Error::Usage(
                "--check does not support Dovecot with a database; run it without --check".into(),
            )
            .into());
        }
        let config = self.config.as_deref();
        let compared = match self.server {
            ServerArg::Postfix => Postfix::read(config)?.compare(&sockets),
            ServerArg::Exim => Exim::read(config)?.compare(&sockets),
            ServerArg::Dovecot => Dovecot::read(config)?.compare(&store),
        };
        let wrong = compared.iter().filter(|one| !one.good).count();
        let mut list = context.out.list::<ComparisonRecord>();
        for one in &compared {
            list.push(&ComparisonRecord::new(one))?;
        }
        list.end("nothing to compare")?;
        if wrong > 0 {
            return Err(Error::Differs(wrong).into());
        }
        if context.out.format() == OutputFormat::Table {
            context.out.note("the mail server is set up correctly");
        }
        Ok(())
    }
}

/// A setting and what it should be.
#[derive(Serialize)]
struct ComparisonRecord<'a> {
    place: &'a str,
    wanted: &'a str,
    found: &'a str,
    good: bool,
}

impl<'a> ComparisonRecord<'a> {
    fn new(compared: &'a Compared) -> Self {
        Self {
            place: &compared.place,
            wanted: &compared.wanted,
            found: &compared.found,
            good: compared.good,
        }
    }
}

impl Record for ComparisonRecord<'_> {
    const COLUMNS: &'static [Column] = &[
        Column::new(""),
        Column::new("Where"),
        Column::new("Wanted").wrap(16),
        Column::new("Found").wrap(16),
    ];

    fn cells(&self) -> Vec<Cell> {
        let state = if self.good {
            Cell::new("ok", Tone::Good)
        } else {
            Cell::new("FAIL", Tone::Bad)
        };
        vec![
            state,
            self.place.into(),
            self.wanted.into(),
            self.found.into(),
        ]
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
