//! `smtpcred test`

mod delivery;
mod record;
mod row;

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use zeroize::Zeroizing;

use self::delivery::Awaited;
use self::record::{SessionFindings, TestRecord, TestReporter};
use super::complete;
use super::context::Context;
use crate::app::App;
use crate::app::explain::{Explanation, FaultContext, HostSource, auth_in_clear};
use crate::cli::args::path;
use crate::cli::args::{number, password};
use crate::error::{Error, Exit};
use crate::model::duration::Duration;
use crate::model::host_port::HostPort;
use crate::model::mailbox::Mailbox;
use crate::model::name::{HostName, Username};
use crate::model::settings::{PORTS, Port, Ports};
use crate::model::smtp_session::Session;
use crate::model::text;
use crate::smtp::{self, Content, Errand, Mail, SignInAs, Visit};
use crate::store::{Access, Location};

const HELP: &str = "\
Examples:
  smtpcred test shop@example.com --to you@example.org    asks for the password, hidden
  smtpcred test shop@example.com --to you@example.org < /root/shop.password
  smtpcred test shop@example.com --dry-run --all-ports < /root/shop.password
  smtpcred test shop@example.com --to you@example.org --port 465 --address 127.0.0.1 \\
                                 --password-file /root/shop.password --json
  smtpcred test shop@example.com --to you@example.org --wait 60s   and is it delivered?
  smtpcred test shop@example.com --without-tls           what an application without TLS gets

Steps:
  address, connect, greeting, STARTTLS, TLS, EHLO, AUTH, MAIL FROM, RCPT TO, DATA. Without --to the
  test ends after AUTH, and with --dry-run before DATA. A message that is sent counts towards the
  limits. With --wait, the test goes on until the log of the mail server shows that the next server
  took the message, or refused it: messages must be kept and followed on this machine
  (smtpcred set-settings --keep-messages 30d).

JSON:
  {username, from, to, sent, ports: [{host, port, encryption, offered, ok, steps: [{step,
  milliseconds, said}], tls: {version, certificate: {names, issuer, not_before, not_after}}, fault:
  {code, said, cause, next}, warnings, note}], delivery: {queue_id, state, dsn, reply, milliseconds}}. delivery is there
  with --wait; its state is as in `smtpcred messages list`, or null. said is the server's reply. ok is null if the
  sign-in was not repeated after a refusal. A code is one of
  wrong_password, mistyped_password, old_password, suspended, expired, address_not_allowed,
  server_asks_elsewhere, sign_in_refused, cannot_check, mechanism_refused, encryption_required,
  auth_in_clear, sign_in_required, sender_not_owned, sender_refused, domain_not_verified, relay_denied,
  recipient_refused, limit_reached, try_later, server_trouble, server_closing, too_large,
  message_refused, refused, no_auth, no_starttls, wants_tls, wants_starttls, certificate_unknown,
  certificate_expired, certificate_not_yet_valid, certificate_other_name, certificate_refused,
  certificate_expiring, tls_failed, connection_refused, unreachable, timed_out, hung_up,
  no_such_host, dns_failed, cannot_sign_in or protocol.

Exit codes:
  0 everything works; 7 it works with warnings, not on every offered port, or the delivery was
  deferred; 1 it was not delivered; 75 the log did not show it in time. Otherwise the reason: 6 wrong password, 4 refused by a rule, 75 an outage that may pass, 1 anything else.

Environment:
  SSL_CERT_FILE     certificates to trust instead of this machine's";

/// Sign in and send a message like an application, and explain failures
///
/// Connects to the server of `show-settings`, checks its certificate, signs in with the password on
/// stdin, and sends one message. Each step is shown with the server's reply.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct SendTest {
    /// The user
    #[arg(value_name = "NAME", add = complete::usernames())]
    name: Username,

    /// Send to this address
    #[arg(long, value_name = "ADDRESS", required_unless_present_any = ["dry_run", "without_tls"])]
    to: Option<Mailbox>,

    /// Send from this address [default: the username]
    #[arg(long, value_name = "ADDRESS")]
    from: Option<Mailbox>,

    /// Use this subject
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "Test of your SMTP settings"
    )]
    subject: SubjectLine,

    /// Send this text [default: a few words on where it comes from]
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,

    /// Stop before sending a message
    #[arg(long)]
    dry_run: bool,

    /// Try 587, 465, 2525 and 25; the first one that works sends the message
    #[arg(long, group = "where")]
    all_ports: bool,

    /// Try this port instead of the recommended one
    #[arg(long, value_name = "PORT", group = "where", value_parser = number::within(1..=u16::MAX))]
    port: Option<u16>,

    /// Try another server: HOST:PORT, with /tls or /starttls if the port is not a standard one
    #[arg(long, value_name = "SERVER", group = "where")]
    server: Option<HostPort>,

    /// Connect to this address instead of those that the DNS returns for the server
    #[arg(long, value_name = "ADDRESS")]
    address: Option<IpAddr>,

    /// Show what an application without TLS gets; sends a made-up password, never the real one
    #[arg(long, conflicts_with_all = ["dry_run", "to"])]
    without_tls: bool,

    /// Wait this long in each step
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "30s",
        allow_hyphen_values = true
    )]
    timeout: Duration,

    /// Wait until the log shows the outcome of the message, at most this long
    #[arg(
        long,
        value_name = "DURATION",
        requires = "to",
        conflicts_with = "dry_run",
        allow_hyphen_values = true
    )]
    wait: Option<Duration>,

    /// Read the password from a file that only you can read, instead of stdin
    #[arg(long, value_name = "FILE", value_parser = path::given())]
    password_file: Option<PathBuf>,
}

/// One line, because it becomes a header.
#[derive(Clone, Debug)]
struct SubjectLine(String);

impl std::str::FromStr for SubjectLine {
    type Err = Error;

    fn from_str(given: &str) -> Result<Self, Error> {
        const MAX: usize = 200;
        let fits = given.chars().count() <= MAX && given.chars().all(text::is_printable);
        if !fits {
            let rule = "one printable line of up to 200 characters";
            return Err(text::invalid("subject", given, rule));
        }
        Ok(Self(given.to_owned()))
    }
}

/// A certificate that expires within this many days gets a warning.
const RENEW_BEFORE: u16 = 14;

impl SendTest {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        app.user(&self.name)?;
        let usual = app.server(Some(&self.name.domain()))?;
        let servers = self.servers(usual.host.as_ref(), usual.ports)?;
        let from = match &self.from {
            Some(from) => from.clone(),
            None => self.name.as_str().parse()?,
        };
        // Before anything is sent.
        let mut awaited = self.awaited(&mut app, &context.location()?)?;
        let password = self.password()?;
        let password = std::str::from_utf8(&password)
            .map_err(|_| Error::Usage("the password is not valid UTF-8".into()))?;
        let host = match (&self.server, app.domain(&self.name.domain())?.0.host) {
            (Some(_), _) => HostSource::Flag,
            (None, Some(_)) => HostSource::Domain,
            (None, None) => HostSource::Settings,
        };
        let others = self.others();
        let mut reporter = TestReporter::new(&mut context.out, self.all_ports);
        let (mut sent, mut delivery) = (false, None);
        let mut refused = false;
        for server in &servers {
            let offered =
                self.server.is_some() || usual.ports.offered().any(|port| port == server.port);
            reporter.begin(server, offered)?;
            let body = self.body(server);
            let to = self.to.as_ref().unwrap_or(&from);
            let message = (!self.dry_run && !sent).then_some(Content {
                subject: &self.subject.0,
                body: &body,
            });
            let accepts = message.is_some();
            let mail = Mail {
                from: &from,
                to,
                content: message,
            };
            let visit = Visit {
                server,
                address: self.address,
                patience: std::time::Duration::from_secs(self.timeout.seconds().unsigned_abs()),
                any_certificate: false,
                errand: self.errand(password, refused, mail),
            };
            let session = smtp::visit(&visit, &mut |step| reporter.step(step))?;
            let at = FaultContext {
                username: &self.name,
                password: password.as_bytes(),
                server,
                from: &from,
                in_clear: self.without_tls,
                host,
                others: others.as_deref(),
            };
            sent |= session.handed_over;
            let met = meet(&mut app, &session, &at);
            let accepted = accepts && session.fault.is_none();
            let queue_id = session.queue_id().map(str::to_owned);
            reporter.end(session, met, !refused)?;
            if let Some(awaited) = awaited.as_mut().filter(|_| accepted) {
                let outcome = awaited.delivery(queue_id.as_deref(), app.now())?;
                reporter.delivery(&outcome)?;
                delivery = Some(outcome);
            }
            refused |= reporter.is_refused();
        }
        let (ports, mut exit) = reporter.finish();
        if let Some(delivery) = delivery.as_ref().filter(|_| exit == Exit::Done) {
            exit = delivery.exit();
        }
        let record = TestRecord {
            username: self.name.as_str(),
            from: from.as_str(),
            to: self.to.as_ref().map(Mailbox::as_str),
            sent,
            ports,
            delivery,
        };
        record.print(&mut context.out)?;
        match exit {
            Exit::Done => Ok(()),
            exit => Err(Error::Answered(exit).into()),
        }
    }

    fn servers(&self, host: Option<&HostName>, offered: Ports) -> Result<Vec<HostPort>, Error> {
        if let Some(server) = &self.server {
            return Ok(vec![server.clone()]);
        }
        let host = host.ok_or(Error::HostNotSet("a test"))?;
        let ports = match self.port {
            _ if self.all_ports => PORTS.to_vec(),
            Some(number) => {
                let known = PORTS.into_iter().find(|port| port.number == number);
                vec![known.unwrap_or(Port { number, ..PORTS[0] })]
            }
            None => vec![offered.recommended()],
        };
        let server = |port| HostPort {
            host: host.clone(),
            port,
        };
        Ok(ports.into_iter().map(server).collect())
    }

    fn errand<'a>(&'a self, password: &'a str, refused: bool, mail: Mail<'a>) -> Errand<'a> {
        let credentials = SignInAs {
            username: &self.name,
            password,
        };
        if self.without_tls {
            Errand::WithoutTls
        } else if refused {
            // Once is enough: each attempt counts as a guess.
            Errand::Look
        } else if self.to.is_none() {
            Errand::SignIn(credentials)
        } else {
            Errand::Mail(credentials, mail)
        }
    }

    /// Prepares to wait for the delivery. Fails if messages are not kept any more: then nothing
    /// follows the log.
    fn awaited(&self, app: &mut App, location: &Location) -> Result<Option<Awaited>, Error> {
        let Some(patience) = self.wait else {
            return Ok(None);
        };
        if app.settings()?.messages.keep.is_none() {
            return Err(Error::MessagesNotKept);
        }
        Ok(Some(Awaited {
            messages: app.messages(location)?,
            patience: std::time::Duration::from_secs(patience.seconds().unsigned_abs()),
        }))
    }

    /// Returns the command that tries the other ports.
    fn others(&self) -> Option<String> {
        if self.all_ports || self.server.is_some() {
            return None;
        }
        let address = self.address.map(|address| format!(" --address {address}"));
        let address = address.unwrap_or_default();
        Some(format!(
            "smtpcred test {} --dry-run --all-ports{address}",
            self.name.in_shell()
        ))
    }

    fn password(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        if self.without_tls {
            return Ok(Zeroizing::default());
        }
        password::existing_password(self.password_file.as_deref())
    }

    fn body(&self, server: &HostPort) -> String {
        let body = self.body.clone().unwrap_or_else(|| {
            format!(
                "This message was sent to test the SMTP settings of {}\nthrough {server} ({}).\n",
                self.name,
                server.port.encryption.name()
            )
        });
        // SMTP ends lines with CRLF: RFC 5321 §2.3.8.
        let lines = body.replace("\r\n", "\n").replace('\r', "\n");
        lines.replace('\n', "\r\n")
    }
}

/// Explains a session: its failure, and what else needs attention.
fn meet(app: &mut App, session: &Session, at: &FaultContext) -> SessionFindings {
    let mut met = SessionFindings::default();
    if session.sign_in_in_clear {
        met.warnings.push(auth_in_clear());
    }
    if at.in_clear {
        match &session.fault {
            // The server accepted a made-up password, or asked for one.
            None => met.fault = Some(auth_in_clear()),
            Some(fault) => {
                let explained = app.explain(fault, at);
                let as_it_should = matches!(explained.code, "encryption_required" | "wants_tls");
                if as_it_should {
                    met.note = Some(explained.cause);
                } else {
                    met.fault = Some(explained);
                }
            }
        }
        if met.fault.is_some() {
            met.warnings.clear();
        }
        return met;
    }
    met.fault = session.fault.as_ref().map(|fault| app.explain(fault, at));
    let certificate = session
        .tls
        .as_ref()
        .and_then(|tls| tls.certificate.as_ref());
    if let Some(certificate) = certificate {
        let left = Duration::between(app.now().epoch(), certificate.not_after.epoch());
        if left < Duration::days(RENEW_BEFORE) {
            met.warnings.push(Explanation::expiring(certificate, left));
        }
    }
    met
}
