//! `smtpcred serve`

use crate::cli::world::WORLD;
use crate::host;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use nix::unistd::Uid;

use super::args::number;
use super::context::Context;
use super::serve_check;
use super::terminal::stream::log_line;
use crate::app::alerts::SharedSender;
use crate::app::relay::Opener;
use crate::deliver::alert::SystemAlertSender;
use crate::error::Error;
use crate::model::size::MemorySize;
use crate::model::store_location::Location;
use crate::model::text::{invalid, socket_address};
use crate::serve::{self, End, MetricsAddress, Options, Parts, SocketSpec};
use crate::store::{Access, Store};

const HELP: &str = "\
Examples:
  smtpcred serve --auth /var/spool/postfix/smtpcred/auth,group=postfix \\
                 --policy /var/spool/postfix/smtpcred/policy,group=postfix
  smtpcred serve --auth /run/smtpcred/auth,mode=0666 --listen 127.0.0.1:10040
  smtpcred serve --auth /run/smtpcred/auth --metrics 127.0.0.1:9590
  smtpcred serve --check                                 exits with 0 if a running serve answers

Sockets:
  serve creates them anew, with the mode 0660 unless you specify another one. Sockets from systemd's
  socket activation (FileDescriptorName=auth, policy or metrics) replace the flags.

Log:
  One line each on stderr. A sign-in that was refused:
    sign-in refused: address=203.0.113.9 reason=wrong-password user=shop@example.com
  A name that may be or contain a password is hidden, see `smtpcred audit failures`.
  The reasons: unknown-user, wrong-password, mistyped (looks like a generated password, but a
  character is wrong or missing), old-password (was replaced by a newer one), suspended, expired,
  address-not-allowed (the password is right), no-tls, malformed. The client learns none of them.

Open sessions:
  A session ends with its password: after a reset, the end of an overlap, suspension, expiry or
  deletion, its next recipient or message gets 421 4.7.0, and Postfix hangs up. Sessions with a
  password that is still valid continue. serve recognises a session by the process ID that the mail
  server gives at sign-in and with each message. Postfix does this by itself, Exim with the lines
  that `smtpcred show-server-config exim` prints; Exim answers 451 each time and does not hang up.
  Two kinds of sessions are not recognised and are stopped only by suspension, expiry and deletion
  (554): those that were open when `serve` started (not those from before a SIGUSR2, which the new
  program knows), and those of two mail servers in containers that share a process ID, as long as the
  password of either is valid.

What counts:
  A message and its recipients count when the mail server asks at the end of the message; rejected
  recipients and aborted messages do not, nor does a message whose answer never reaches the mail
  server. Recipients over a limit get 452 4.5.3 once the message has others: they can be sent in
  another message. Milters, header_checks and a full disk reject a message later, so it still counts.
  A client that retries such a message uses up its limit: if you check contents, leave --on-limit at
  defer and raise the limits of users whose messages are often rejected. In Exim, put such checks
  above `acl_smtpcred_data`.

Guesses:
  Users are never locked out. A remembered password is not hashed and never waits. A generated
  password whose ID belongs to a live password of its user is hashed first. All other passwords wait,
  for up to 6 s, until their network (an IPv4 address or an IPv6 /48) and their user may have another
  wrong password hashed. The limits are 1 a second for a network, after 4 at once; 1 a second for a
  user from networks that have not guessed within the hour, and 0.5 from all others. Right passwords
  do not count. The wrong passwords of a network are answered one a second. A sign-in that
  is not hashed within 6 s has its connection closed (a temporary failure). Each guess moves a
  client back by half a second in the queue, and clients that have guessed never get the last free worker of two
  or more. A generated password with a wrong checksum waits in the same way and is hashed only if
  the user has a chosen password. An address from which the user has signed in before gets no extra
  delay for wrong passwords (1 s instead of up to 4 s), and up to its first wrong password only the
  limit of its network applies.
  Limits of this: while guesses keep coming from new networks, a chosen password from a new address
  waits among them unless it is remembered. The same applies to a chosen password from the network
  that is guessing it.

Memory:
  serve hashes a right password once and remembers it until serve ends, as a keyed hash that is bound
  to the hash in the store. SIGUSR2 hands what is remembered to the new program in a sealed file in
  memory without a name, so an upgrade costs no hash; a program that does not know the format starts
  with nothing remembered. The store is read at each sign-in: after a reset, suspension or deletion
  the remembered password is useless. --remember limits the memory for this. The memory is allocated
  as needed, 20 to 25 bytes for each password: 32M is enough for 1,600,000 passwords, and 10M for
  500,000. Once it is full, some new passwords replace ones that were not used lately, and others are
  not remembered; `smtpcred doctor` and the log say so. With a tenth more users than fit, about a
  tenth of the sign-ins are hashed; each takes about 30 ms of processor time. With 0, serve remembers
  nothing and hashes at every sign-in.
  Hashing takes 19 MiB for each of the --workers, at the default cost. All other memory is limited,
  too, and the least recently used entries are dropped first: 16,384 connections, or 64 fewer than
  the limit of open files if that is less; 20,000 sign-ins that wait for their answer; 40,000 wrong
  passwords; 40,000 users and networks that guess, and 40,000 addresses from which users have signed
  in; 20,000 messages in progress, with 500,000 recipients; the sessions of 8,192 processes of mail
  servers. While the store cannot be written to, serve keeps the entries to write: one for each
  password, one for each user and day, and refused sign-ins of 1,000 kinds.

Senders:
  Only the envelope sender (MAIL FROM) is checked: the mail server passes nothing else. The From
  header, which recipients see, is not checked. A user can write any address there, and a DKIM
  signer that goes by the From header signs the message. To check it, use a milter that knows the
  user ({auth_authen}), such as rspamd. If all users share a few domains, Postfix's header_checks can
  do it, in a cleanup service that only the submission services use (cleanup_service_name):
    /^From:.*@example\\.com>?$/  DUNNO
    /^From:/                     REJECT a From address of another domain
  Every user may use the null sender (MAIL FROM:<>), whatever its senders are: bounces and automatic
  replies need it (RFC 5321 section 4.5.5). Such messages count. If no application sends them:
    -o smtpd_sender_restrictions=check_sender_access,inline:{<>=REJECT}

Metrics:
  --metrics answers GET /metrics as Prometheus scrapes it, and GET /healthz with 200, or with 503
  while the store cannot be read. Counters begin when serve starts: sign-ins by result and the time
  until they were accepted, decisions about messages by reason, messages by user for the first 1,000
  users that send, the others together. What the store says is the same as in `smtpcred status
  --format openmetrics`; a thread of its own reads it when someone scrapes, at most every 5 seconds
  and less often if the store is large. At most 16 clients are connected; the oldest one makes room.
  A page is written at most once a second. No password is asked for: anyone who may connect sees
  the names of users.

Temporary failures:
  If the store is locked, missing or damaged, or if there is too much to do, serve closes the
  connection, and the mail server defers its client (454 or 435 for a sign-in, 451 for a message).
  It never answers \"wrong\" then.

JSON:
  --check prints a list of {name: auth | policy, path, answers, found}; found says why it does not
  answer, or is null.";

/// Sign users in, for Postfix, Exim and others
///
/// Speaks Dovecot's authentication protocol and Postfix's access policy protocol on sockets that the
/// mail server connects to; see `smtpcred show-server-config` for its side. Stays in the foreground
/// and logs to stderr. SIGTERM answers pending requests and ends; SIGHUP reads the settings again;
/// SIGUSR2 restarts into the program that has replaced this one, without closing the sockets or losing
/// a request, once that program has shown that it can start; it continues with what this one remembers.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
#[expect(clippy::struct_excessive_bools, reason = "flags of the command line")]
pub struct Serve {
    /// A socket for sign-ins: PATH[,mode=0660][,owner=NAME][,group=NAME]; repeatable
    #[arg(long, value_name = "SOCKET")]
    auth: Vec<SocketSpec>,

    /// A socket for the policy service, in the same form; repeatable
    #[arg(long, value_name = "SOCKET")]
    policy: Vec<SocketSpec>,

    /// An address of this machine for the policy service, such as 127.0.0.1:10040; repeatable
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    listen: Vec<SocketAddr>,

    /// Where metrics are scraped: ADDRESS:PORT, or unix:PATH as for --auth; repeatable
    ///
    /// Answers GET /metrics, in the formats of Prometheus, and GET /healthz.
    #[arg(long, value_name = "ADDRESS")]
    metrics: Vec<MetricsAddress>,

    /// Let other machines scrape the metrics, which name users and are not encrypted
    #[arg(long, requires = "metrics")]
    allow_remote_metrics: bool,

    /// How many passwords are hashed at the same time [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = number::within(1..=256_u16))]
    workers: Option<u16>,

    /// Memory for right passwords, which are then not hashed again: 0, or a size such as 100M
    #[arg(long, value_name = "SIZE", default_value_t = serve::REMEMBER)]
    remember: MemorySize,

    /// Run as root, which is unnecessary and not recommended
    #[arg(long)]
    allow_root: bool,

    /// Only check whether a running `serve` answers at these sockets: for health checks
    ///
    /// Without sockets, asks those in /var/spool/postfix/smtpcred and /run/smtpcred. Exits with 0 if
    /// all answer and the store can be read, with 1 if one does not answer or there is none, and with
    /// 75 while the store is busy or unreachable.
    #[arg(long, conflicts_with_all = ["workers", "remember", "allow_root"])]
    check: bool,

    /// Leave sending alerts to `smtpcred alert send --follow`, as in the units of the packages
    #[arg(long)]
    no_alerts: bool,

    /// Only check whether all of this can start: a running `serve` asks this of the program that
    /// is about to replace it
    #[arg(long, hide = true)]
    check_start: bool,
}

fn address(text: &str) -> Result<SocketAddr, Error> {
    let rule = "an IP address and a port, such as 127.0.0.1:10040 or [::1]:10040";
    socket_address(text).ok_or_else(|| invalid("address", text, rule))
}

impl Serve {
    pub fn run(self, context: &mut Context) -> Result<()> {
        if self.check {
            let [auth, policy] =
                [&self.auth, &self.policy].map(|all| all.iter().map(|one| one.path.as_path()));
            return serve_check::run(context, auth, policy, &self.listen);
        }
        if Uid::effective().is_root() && !self.allow_root {
            return Err(Error::RunsAsRoot.into());
        }
        let location = context.location()?;
        if self.check_start {
            can_read(&location)?;
            context.out.text(&serve::start_report())?;
            return Ok(());
        }
        host::name_process();
        let options = Options {
            auth: self.auth,
            policy: self.policy,
            listen: self.listen,
            metrics: self.metrics,
            allow_remote_metrics: self.allow_remote_metrics,
            workers: self.workers.map(usize::from),
            remember: self.remember,
        };
        // Opens the store once, to print its warnings and to fail early. Not under socket
        // activation: clients may be waiting already, and to defer them is better than to
        // keep them waiting.
        if std::env::var_os("LISTEN_FDS").is_none() {
            drop(context.app(Access::Existing)?);
        }
        let opener = || -> Opener {
            let location = location.clone();
            Box::new(move |patience| {
                let mut store = Store::open_within(&location, Access::Existing, patience)?;
                store.keep_little()?;
                Ok(store)
            })
        };
        let parts = Parts {
            openers: [opener(), opener(), opener()],
            world: WORLD,
            log: sink(context.out.is_quiet()),
            alerts: (!self.no_alerts).then(|| {
                (
                    opener(),
                    Arc::new(SystemAlertSender) as SharedSender,
                    location.clone(),
                )
            }),
        };
        match serve::run(&options, parts)? {
            End::Stopped => Ok(()),
            End::Restart(restart) => Err(restart.run().into()),
        }
    }
}

/// Checks that this version can use the store in its current state. A locked or
/// unreachable store is no error: the running program cannot read it, either.
fn can_read(location: &Location) -> Result<()> {
    // Nothing is changed: the program that serves migrates an older store.
    let is_file = location.file().is_some();
    let schema = match Store::open_within(location, Access::Look, Duration::from_secs(1)) {
        Ok(mut store) => store.schema()?,
        Err(
            Error::StoreBusy(_)
            | Error::StoreUnreachable { .. }
            | Error::StoreFailed { passes: true, .. },
        ) => return Ok(()),
        // A database with two primaries ends it, too. A file with two names may be in use.
        Err(Error::StoreNotUnique { .. }) if !is_file => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let store = || location.into();
    let (found, known) = (schema.found, schema.known);
    if found > known {
        return Err(Error::StoreTooNew {
            store: store(),
            found,
            known,
        }
        .into());
    }
    if found < known && !is_file {
        return Err(Error::StoreTooOld {
            store: store(),
            found,
            known,
        }
        .into());
    }
    Ok(())
}

fn sink(quiet: bool) -> serve::log::Sink {
    Box::new(move |level, line| log_line(level as u8, line, quiet))
}
