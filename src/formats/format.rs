//! The formats that an import reads.

use std::io::BufRead;
use std::str::FromStr;

use super::input::strip_bom;
use super::row::{Columns, RowSink};
use super::{csv, json, passwd, sasldb, sql};
use crate::error::{Error, Result};
use crate::model::text::invalid;

/// What kind of file an import reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportFormat {
    /// CSV as smtpcred exports it.
    Csv,
    /// A JSON list as smtpcred exports it.
    Json,
    /// A passwd-file of Dovecot.
    DovecotPasswd,
    /// An SQL dump of `PostfixAdmin`'s database.
    PostfixAdmin,
    /// A file of Apache's `htpasswd`.
    Htpasswd,
    /// An SQL dump of maddy's credentials.
    Maddy,
    /// `postfix-accounts.cf` of docker-mailserver.
    DockerMailserver,
    /// The output of `db_dump` for Cyrus SASL's `sasldb2`.
    Sasldb,
    /// Credentials as Mailgun's API lists them.
    MailgunJson,
}

impl ImportFormat {
    /// All formats, in the order of the help text.
    pub const ALL: [Self; 9] = [
        Self::Csv,
        Self::Json,
        Self::DovecotPasswd,
        Self::PostfixAdmin,
        Self::Htpasswd,
        Self::Maddy,
        Self::DockerMailserver,
        Self::Sasldb,
        Self::MailgunJson,
    ];

    /// Returns the name that `--from` takes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::DovecotPasswd => "dovecot-passwd",
            Self::PostfixAdmin => "postfixadmin",
            Self::Htpasswd => "htpasswd",
            Self::Maddy => "maddy",
            Self::DockerMailserver => "docker-mailserver",
            Self::Sasldb => "sasldb",
            Self::MailgunJson => "mailgun-json",
        }
    }

    /// Passes all rows of a file to `sink`, bad ones too, in constant memory. `columns`
    /// are those of our own CSV and JSON. Fails where the file as a whole cannot be read,
    /// and where `sink` fails.
    pub fn read(self, columns: Columns, input: &mut dyn BufRead, sink: &mut RowSink) -> Result<()> {
        let input = &mut *strip_bom(input)?;
        match self {
            Self::Csv => csv::read(columns, input, sink),
            Self::Json | Self::MailgunJson => json::read(columns, input, sink),
            Self::DovecotPasswd => passwd::read_dovecot(input, sink),
            Self::Htpasswd => passwd::read_htpasswd(input, sink),
            Self::DockerMailserver => passwd::read_docker_mailserver(input, sink),
            Self::PostfixAdmin => sql::read("mailbox", input, sink),
            Self::Maddy => sql::read("passwords", input, sink),
            Self::Sasldb => sasldb::read(input, sink),
        }
    }
}

impl FromStr for ImportFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name);
                invalid("format", text, names.join(", "))
            })
    }
}
