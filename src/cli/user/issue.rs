//! `smtpcred user issue`

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::temporary::TemporaryRecord;
use crate::app::issue::IssueRequest;
use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::reveal::RevealArgs;
use crate::cli::terminal::column::{Cell, Column, TimeForm};
use crate::cli::terminal::record::Record;
use crate::cli::world::WORLD;
use crate::error::Error;
use crate::model::label::Label;
use crate::model::name::Username;
use crate::model::network::{Network, Networks};
use crate::model::password::{Form, Password};
use crate::model::temporary::Lifetime;
use crate::store::Access;

/// Networks of one password.
const MOST_NETWORKS: usize = 50;

const HELP: &str = "\
Examples:
  smtpcred user issue ci@example.com --for 1h --label 'build 4711'
  smtpcred user issue shop@example.com --for 14d --label 'Jane, contractor' --from 192.0.2.0/24
  smtpcred user issue ci@example.com --for 2h --output job.password
  smtpcred user retire shop@example.com --password-id 7kq3abcd     ends it before its time

What it is:
  A generated password beside the user's own, with an ID, a label, a last use and counts of its own.
  A user may have 20 at once. `user reset`, `user rotate` and an overlap leave them alone. One ends at
  its time, with `user retire --password-id`, while its user is suspended, and when that expires, is
  deleted or closed (user close). Open sessions that signed in with it end at their next command. Senders
  and limits are those of the user. It is in no export.
  They work with `serve`. A Dovecot that reads the store itself, without `serve`, does not know them.

Addresses:
  With --from, only that decides from where it works, and not the rules of the user. Without it,
  those rules hold; where addresses are learned, a temporary password teaches none. A client whose
  address the mail server does not pass on is refused with --from.

JSON:
  As in `user create`; expires_at is when it ends. With --output: {username, id, label, created_at,
  expires_at, works, from, last_connection, last_sent_at, messages, recipients}.";

/// Issue a temporary password beside the user's own
///
/// For CI jobs, contractors and one-time work: it ends by itself, and replaces nothing.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct IssuePassword {
    /// The user
    #[arg(value_name = "USERNAME", add = complete::usernames())]
    username: Username,

    /// How long it works: 1m to 90d
    #[arg(
        long = "for",
        value_name = "DURATION",
        required = true,
        allow_hyphen_values = true
    )]
    lifetime: Lifetime,

    /// Describe what it is for
    #[arg(long, value_name = "TEXT")]
    label: Option<Label>,

    /// Let it work only from this address or network; repeatable
    #[arg(long, value_name = "CIDR")]
    from: Vec<Network>,

    /// Generate a shorter password of 20 characters, without prefix and checksum, for devices that
    /// truncate long ones
    #[arg(long)]
    short_password: bool,

    #[command(flatten)]
    reveal: RevealArgs,
}

impl IssuePassword {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let request = IssueRequest {
            lifetime: self.lifetime,
            label: self.label,
            networks: networks(self.from)?,
        };
        let form = if self.short_password {
            Form::Short
        } else {
            Form::Full
        };
        let mut sink = self.reveal.sink(&context.out, false)?;
        let mut app = context.app(Access::Existing)?;
        let user = app.may_issue(&self.username)?;
        let password = Password::generate(form, WORLD.random)?;
        let issued = app.issue_password(&user, &request, password, &mut *sink)?;
        let record = TemporaryRecord::new(&issued, app.now());
        context.out.note(&format!(
            "issued a temporary password for {} (password ID {}); it works until {}",
            user.username, record.id, record.expires_at
        ));
        sink.finish(&context.out);
        if let Some(at) = user.expires_at.filter(|at| *at < record.expires_at) {
            context.out.warn(&format!(
                "{} itself expires before that, at {at}",
                user.username
            ));
        }
        if self.reveal.leaves_stdout(false) {
            context.out.result(&IssuedRecord {
                username: user.username.as_str(),
                issued: record,
            })?;
        }
        Ok(())
    }
}

/// Returns each network once. Fails if they are too many, or all there are.
fn networks(mut given: Vec<Network>) -> Result<Vec<Network>, Error> {
    given.sort_unstable();
    given.dedup();
    if given.len() > MOST_NETWORKS {
        return Err(Error::Usage(format!(
            "a temporary password can have {MOST_NETWORKS} networks: use --from with wider ones"
        )));
    }
    let all: Networks = given.iter().copied().collect();
    if let Some(every) = all.everything().next() {
        return Err(Error::Usage(format!(
            "--from would allow every address: {every}; name the networks that use the password"
        )));
    }
    Ok(given)
}

/// A temporary password with its user.
#[derive(Serialize)]
struct IssuedRecord<'a> {
    username: &'a str,
    #[serde(flatten)]
    issued: TemporaryRecord<'a>,
}

impl Record for IssuedRecord<'_> {
    const COLUMNS: &'static [Column] = &[
        Column::new("Username"),
        Column::new("Password ID"),
        Column::new("Label"),
        Column::new("Expires").times(TimeForm::Near),
        Column::new("From"),
    ];

    fn cells(&self) -> Vec<Cell> {
        self.fields().into_iter().map(Cell::from).collect()
    }

    const FIELDS: &'static [&'static str] =
        &["username", "password_id", "label", "expires_at", "from"];

    fn fields(&self) -> Vec<String> {
        vec![
            self.username.to_owned(),
            self.issued.id.to_owned(),
            self.issued.label.unwrap_or_default().to_owned(),
            self.issued.expires_at.to_string(),
            self.issued.from.join(" "),
        ]
    }
}
