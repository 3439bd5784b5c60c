//! `smtpcred messages …`

mod follow;
mod list;
mod read;
mod record;
mod show;
mod state;

use anyhow::Result;
use clap::Subcommand;

use super::context::Context;
use super::lazy::Lazy;

const HELP: &str = "\
Examples:
  smtpcred set-settings --keep-messages 30d              from now on, messages are kept for 30 days
  smtpcred messages read /var/log/mail.log*              what the logs say about the past
  systemctl enable --now smtpcred-messages               what they will say (see follow --help)
  smtpcred messages list --state bounced --since 24h     what could not be delivered
  smtpcred messages show 4dXyz12AbCz                     the whole way of one message

What is kept:
  Nothing, unless --keep-messages says how long. Then, of each message that a user sent: when, the
  user, the envelope sender, the Message-ID, the size, the ids that it had in queues, and for each
  recipient the address, the state, the status code and the reply of the next server. Subjects and
  texts are not in mail logs and are never kept.
  These are personal data. `set-settings --keep-recipients domain` keeps only the domains of
  recipients, none keeps neither; addresses are then also removed from replies. A message that is
  still on its way keeps its addresses until it has its end, because later lines of the log are
  found by them.

How it goes:
  `store maintain`, which runs each night, deletes what is older than --keep-messages says, the
  oldest messages beyond 2 GiB, and messages of names that are no users of the store. With
  --keep-messages off, nothing more is recorded, and the next `store maintain` deletes all.
  Backups and copies of the store contain no messages.

Where it is:
  Beside a store file, in a file of its own: /srv/mail.db has /srv/mail-messages/messages.db. The
  reader of the logs can write it, and has no access to the store. In PostgreSQL, the role messages
  does this (see `store grant`).

States:
  sent       the next server or a mailbox here has it: it may still be filtered or returned later
  deferred   the server tries again
  bounced    it failed for good
  expired    it was tried until the server gave up
  deleted    the operator deleted it from the queue
  discarded  a rule threw it away
  held       it waits in the queue for the operator
  unknown    the log does not say; the reason says why
  What a server discards without saying so in its log, as some filters do, is sent here. What a
  client was refused is not a message. A local user who may write to the system's log can forge
  its lines.";

/// Show what users sent, and what happened to it
///
/// Read from the logs of Postfix and Exim.
#[derive(Debug, Subcommand)]
#[command(after_long_help = HELP)]
pub enum MessagesCommand {
    #[command(aliases = ["ls", "log"])]
    List(Lazy<list::ListMessages>),
    #[command(aliases = ["track", "trace"])]
    Show(Lazy<show::ShowMessage>),
    #[command(aliases = ["import", "load"])]
    Read(Lazy<read::ReadLogs>),
    #[command(alias = "watch")]
    Follow(Lazy<follow::FollowMessages>),
}

impl MessagesCommand {
    pub fn run(self, context: &mut Context) -> Result<()> {
        match self {
            Self::List(list) => list.0.run(context),
            Self::Show(show) => show.0.run(context),
            Self::Read(read) => read.0.run(context),
            Self::Follow(follow) => follow.0.run(context),
        }
    }
}
