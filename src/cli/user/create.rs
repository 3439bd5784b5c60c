//! `smtpcred user create`

use anyhow::Result;
use clap::Args;

use super::bulk::BulkArgs;
use super::record::UserRecord;
use crate::app::App;
use crate::app::bulk::BulkRequest;
use crate::app::credential::{CreateRequest, Name};
use crate::app::users::{Expiry, UserRequest};
use crate::cli::args::addresses::AddressArgs;
use crate::cli::args::limits::{LimitArgs, SenderArgs};
use crate::cli::args::password::PasswordArgs;
use crate::cli::args::rotation::RotationArgs;
use crate::cli::args::tags::TagArgs;
use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::offer::{self, NameKind, Suited};
use crate::cli::reveal::{PasswordSink, RevealArgs};
use crate::error::Error;
use crate::model::duration::Duration;
use crate::model::label::Label;
use crate::model::name::{DomainName, Username};
use crate::model::setting::Setting;
use crate::model::time::Time;
use crate::store::Access;

const HELP: &str = "\
Examples:
  smtpcred user create shop@example.com --add-domain
  smtpcred user create --domain example.com --label \"WordPress\"      creates wordpress-7kq3@example.com
  smtpcred user create --file names.csv --output-dir /root/passwords
  smtpcred user create crm@example.com --expires-in 180d --output /root/crm.password
  smtpcred user create blog@example.com --tag env=prod --note 'asked for by Jane'
  smtpcred user create app@example.com --reveal env >> app.env
  smtpcred user create app@example.com --reveal k8s | kubectl apply -f -
  pass show crm | head -n 1 | smtpcred user create crm@example.com --password-stdin
  smtpcred user create --file names.csv --reveal json | put-into-vault

JSON:
  {username, password, password_id, host, ports: [{port, encryption, recommended}], auth,
  expires_at}. With --output, or a password of your own: the user, as in `user list`. With --file
  and --output-dir: {created, skipped, left, users: [{row, username, label, password_id}]}. If rows
  are invalid, or with --dry-run: a list of {row, what, username, columns, reason}.

Many at once:
  A CSV file with a header, or a JSON list of objects, with the columns of `user import`: username
  (or name), either in full or with domain; or label and domain, from which the username is
  generated; expires_in or expires_at, daily_limit, limits (messages/hour=100 recipients/day=500),
  on_limit, senders (separated by spaces), note, tags (env=prod team=web). Only an import takes hash
  and suspended; the passwords and times of an export are left out. Flags such as --domain,
  --expires-in and --daily-limit apply to rows that leave a value empty. All rows are checked first,
  and all errors are reported together.
  Each password goes to a file in --output-dir DIR, in the form of --reveal; or all go to stdout, as
  lines of JSON or as CSV. All processors hash; users are created in the order of the file.

Interrupted runs of --file:
  After Ctrl-C, a full disk or kill -9, the users created so far stay. The same command with
  --skip-existing creates the others; for rows with only a label, it skips as many as there are
  users whose name was generated from that label.
  In DIR, a file with a user's name has the password of a user that exists. Until the user exists,
  the password is in .smtpcred-STORE-PASSWORDID-USERNAME; the next run with the same folder renames
  what a killed run has left, or removes it if the user was not created.
  On stdout, {\"created\":N} after some lines means that the first N printed users exist. A line after
  the last such line, or of CSV, is valid if `user list` shows its password_id; after a run with
  --skip-existing that exited with 0, the last line of each username is valid.

A password of your own:
  12 to 256 characters, and not easy to guess. It is printed only with --reveal or --output.

Refused destinations:
  Refused before anything changes, with exit code 74: a closed stdout, /dev/null, the system's
  journal, a file that exists.";

/// Create a user and show its password once
///
/// On a terminal, a panel shows the password and copies it to the clipboard; the password works
/// once you confirm that you have saved it. In a pipe or a script, only the password and a newline
/// are printed, and the user is created only if that succeeds.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct CreateUser {
    /// What the application signs in as, such as shop@example.com
    #[arg(value_name = "USERNAME", value_parser = Username::of_new_user)]
    username: Option<Username>,

    /// Generate a username in this domain from --label
    #[arg(long, value_name = "DOMAIN", conflicts_with = "username", add = complete::domains())]
    domain: Option<DomainName>,

    /// Describe what the user is for, or none
    #[arg(long, value_name = "TEXT")]
    label: Option<Setting<Label>>,

    /// Add the domain if it does not exist
    #[arg(long)]
    add_domain: bool,

    /// Let the user expire after this time
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    expires_in: Option<Duration>,

    /// Let the user expire at this time, such as 2027-06-30 or 2027-06-30T18:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "expires_in")]
    expires_at: Option<Time>,

    #[command(flatten)]
    tags: TagArgs,

    #[command(flatten)]
    senders: SenderArgs,

    #[command(flatten)]
    limits: LimitArgs,

    #[command(flatten)]
    many: BulkArgs,

    #[command(flatten)]
    password: PasswordArgs,

    #[command(flatten)]
    reveal: RevealArgs,

    #[command(flatten)]
    addresses: AddressArgs,

    #[command(flatten)]
    rotation: RotationArgs,
}

impl CreateUser {
    pub fn run(self, context: &mut Context) -> Result<()> {
        if self.many.is_wanted() {
            return self.run_many(context);
        }
        let label = self.label.and_then(Setting::value);
        let domain = match (&self.username, self.domain) {
            // With a label, only the domain is missing.
            (None, None) if label.is_some() => {
                let chosen = offer::any(context, NameKind::Domain, Suited::All)?;
                chosen.map(|name| name.parse()).transpose()?
            }
            (_, domain) => domain,
        };
        let name = match (self.username, domain) {
            (Some(username), _) => Name::Chosen(username),
            (None, Some(domain)) => Name::Generated(domain, label.clone()),
            (None, None) => {
                let give = "specify a username such as shop@example.com, or --domain example.com";
                return Err(Error::Usage(give.into()).into());
            }
        };
        let chosen = self.password.is_chosen()?;
        let mut sink = self.reveal.sink(&context.out, chosen)?;
        let access = if self.add_domain {
            Access::Create
        } else {
            Access::Existing
        };
        let mut app = context.app(access)?;

        let (daily_limit, mut sending) = self.limits.split();
        sending.senders = self.senders.senders()?;
        let (note, tags) = self.tags.of_new_user()?;
        let request = CreateRequest {
            name,
            add_domain: self.add_domain,
            copy_of: None,
            user: UserRequest {
                label,
                note,
                tags,
                daily_limit: daily_limit.and_then(Setting::value),
                expires: (self.expires_in.map(Expiry::In)).or(self.expires_at.map(Expiry::At)),
                sending,
                rotation: self.rotation.change()?,
                addresses: self.addresses.change(),
            },
        };
        let leaves_stdout = self.reveal.leaves_stdout(chosen);
        create(
            context,
            &mut app,
            &request,
            &self.password,
            &mut *sink,
            leaves_stdout,
        )
    }

    fn run_many(self, context: &mut Context) -> Result<()> {
        let (daily_limit, mut sending) = self.limits.split();
        sending.senders = self.senders.senders()?;
        let (note, tags) = self.tags.of_new_user()?;
        let request = BulkRequest {
            domain: self.domain,
            add_domain: self.add_domain,
            skip_existing: self.many.skips_existing(),
            form: self.password.form(),
            user: UserRequest {
                label: None,
                note,
                tags,
                daily_limit: daily_limit.and_then(Setting::value),
                expires: (self.expires_in.map(Expiry::In)).or(self.expires_at.map(Expiry::At)),
                sending,
                rotation: self.rotation.change_for_many()?,
                addresses: self.addresses.change(),
            },
        };
        self.many.run(&request, &self.reveal, context)
    }
}

/// Creates a user and hands its password over. With `leaves_stdout`, the user is printed.
pub fn create(
    context: &mut Context,
    app: &mut App,
    request: &CreateRequest,
    password: &PasswordArgs,
    sink: &mut dyn PasswordSink,
    leaves_stdout: bool,
) -> Result<()> {
    let (username, domain) = app.plan_user(request)?;
    let label = request.user.label.as_ref().map(Label::as_str);
    let password = password.password(&username, label)?;
    let user = app.create_user(&username, domain.as_ref(), request, password, sink)?;

    let password_id = user
        .password()
        .map(|password| format!(" (password ID {})", password.id));
    context.out.note(&format!(
        "created {username}{}",
        password_id.unwrap_or_default()
    ));
    sink.finish(&context.out);
    let domain = username.domain();
    // The user exists: no error from here on may suggest otherwise.
    if app.is_kept_from_sending(&domain).unwrap_or(false) {
        context.out.warn(&format!(
            "{username} cannot send until its domain is verified: smtpcred domain verify {domain}"
        ));
    }
    if leaves_stdout {
        context.out.result(&UserRecord::new(&user, app.now()))?;
    }
    Ok(())
}
