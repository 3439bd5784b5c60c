//! `smtpcred messages follow`

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::state::StateRecord;
use crate::cli::args::path;
use crate::cli::context::Context;
use crate::cli::terminal::stream::{log_line, wait_while_read};
use crate::cli::time_zone;
use crate::doctor::mail_logs;
use crate::error::Error;
use crate::files::Folder;
use crate::follow::{self, Machine, MessageOpener, Parts, StatePrinter};
use crate::host;
use crate::model::log_source::LogSource;
use crate::model::store_location::Location;
use crate::store::{Access, MessageStore};

/// How long it waits for the store at a time.
const PATIENCE: Duration = Duration::from_secs(5);

const HELP: &str = "\
Examples:
  smtpcred set-settings --keep-messages 30d
  systemctl enable --now smtpcred-messages               follows in the background
  smtpcred messages follow --print                       shows what happens now
  smtpcred messages follow --print --json | jq -r 'select(.state == \"bounced\") | .reply'
  smtpcred messages follow --log /var/log/postfix-out.log --log /var/log/postfix-in.log

Logs:
  Without --log and --journal it finds them: the file that Postfix's maillog_file names, Exim's
  mainlog, /var/log/mail.log or /var/log/maillog if syslog wrote to it within a day, or else the
  journal. One follower has to read all logs of a relay, because a message can pass several
  instances. A log may be renamed, emptied, replaced or missing: what was not read before is read
  from the rotated log, also if that is compressed with gzip.

Rights:
  Logs in /var/log are often readable for the group adm, and the journal for systemd-journal.
  smtpcred-messages.service is in both, and has no access to passwords.

What is recorded:
  The state of each recipient of each message of a user, and with it how far the logs were read: if
  it is killed, it continues from there. While the store is full or unreachable, it waits. Lines that
  journald or rsyslog dropped are counted and reported; recipients whose end is not in the log are
  unknown, with the reason. See `smtpcred messages list` and `show`.

JSON:
  With --print --json, one object on each line: {at, queue_id, username, sender, message_id, size,
  address, original, state, dsn, reply, reason, count}. address is null for recipients that the log
  only counts.";

/// Follow the logs of the mail server and record the result of each message
///
/// Stays in the foreground and reports to stderr. Runs as smtpcred-messages.service; only one may
/// record at the same time. SIGTERM writes what is known and ends.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct FollowMessages {
    /// Follow this file; repeatable
    #[arg(long, value_name = "FILE", value_parser = path::given())]
    log: Vec<PathBuf>,

    /// Follow the journal
    #[arg(long)]
    journal: bool,

    /// Print each new state of a recipient. If messages are not kept, or another process records
    /// them, only print what happens from now on
    #[arg(long)]
    print: bool,
}

impl FollowMessages {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let location = context.location()?;
        let sources = self.sources()?;
        let recording = recording(&location, self.print, context)?;
        // Held until the end.
        let (open, _lock) = recording.unzip();
        host::name_process();
        let stop = host::stop_on_signals()?;
        let quiet = context.out.is_quiet();
        let parts = Parts {
            sources,
            machine: machine(&location),
            open,
            print: if self.print {
                Some(printer(context)?)
            } else {
                None
            },
            wait_while_read: self.print.then_some(wait_while_read),
            say: Box::new(move |urgency, text| log_line(urgency as u8, text, quiet)),
            zone: time_zone::find(None).0,
            now: host::now,
            stop,
        };
        Ok(follow::run(parts)?)
    }

    fn sources(&self) -> Result<Vec<LogSource>> {
        let mut sources = Vec::new();
        for path in &self.log {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            let source = LogSource::File(path);
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        sources.extend(self.journal.then_some(LogSource::Journal));
        if sources.is_empty() {
            sources = mail_logs::sources();
        }
        if sources.is_empty() {
            return Err(Error::NoMailLog.into());
        }
        Ok(sources)
    }
}

/// What this run records with, and the lock that keeps others from recording, too. `None` if
/// this run only prints.
fn recording(
    location: &Location,
    print: bool,
    context: &Context,
) -> Result<Option<(MessageOpener, Option<File>)>> {
    let kept = match MessageStore::open_within(location, Access::Existing, PATIENCE) {
        Err(Error::MessagesNotKept) if print => None,
        opened => Some(opened?),
    };
    let is_kept = |mut store: MessageStore| -> Result<_, Error> {
        let is_kept = store.rules()?.keep.is_some();
        Ok(is_kept.then_some(store))
    };
    let Some(mut store) = kept.map(is_kept).transpose()?.flatten() else {
        if print {
            context
                .out
                .note("messages are not kept: nothing is recorded");
            return Ok(None);
        }
        return Err(Error::MessagesNotKept.into());
    };
    let lock = match lock(location) {
        Err(Error::FollowerRunning) if print => {
            context
                .out
                .note("another process records the messages: this one only prints");
            return Ok(None);
        }
        lock => lock?,
    };
    for warning in &store.warnings {
        context.out.warn(warning);
    }
    store.keep_little()?;
    Ok(Some((opener(location, store), lock)))
}

/// Locks the folder of a file of messages. Each machine that shares a database follows logs
/// of its own.
fn lock(location: &Location) -> Result<Option<File>, Error> {
    let file = MessageStore::file_of(location);
    let Some(folder) = file.as_deref().and_then(Path::parent) else {
        return Ok(None);
    };
    match Folder::open(folder).and_then(|folder| folder.lock()) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(Error::FollowerRunning),
        Err(error) => Err(Error::System(format!(
            "{} cannot be locked: {error}",
            folder.display()
        ))),
        Ok(lock) => Ok(Some(lock)),
    }
}

/// Gives out this store first, and opens it again later.
fn opener(location: &Location, first: MessageStore) -> MessageOpener {
    let location = location.clone();
    let mut first = Some(first);
    Box::new(move || {
        if let Some(first) = first.take() {
            return Ok(first);
        }
        let mut store = MessageStore::open_within(&location, Access::Existing, PATIENCE)?;
        store.keep_little()?;
        Ok(store)
    })
}

/// Which of several machines this is, if they can share the store.
fn machine(location: &Location) -> Option<Machine> {
    if location.file().is_some() {
        return None;
    }
    let name = nix::unistd::gethostname().unwrap_or_default();
    let name = name.to_string_lossy().into_owned();
    let mut hosts = mail_logs::own_hosts();
    hosts.push(name.clone());
    let short = |host: &String| host.split('.').next().map(str::to_owned);
    let shorts: Vec<String> = hosts.iter().filter_map(short).collect();
    hosts.extend(shorts);
    Some(Machine { name, hosts })
}

fn printer(context: &mut Context) -> crate::error::Result<StatePrinter<'_>> {
    let mut rows = context.out.live::<StateRecord<'_>>()?;
    Ok(Box::new(move |message, recipient| {
        rows.push(&StateRecord::new(message, recipient))
    }))
}
