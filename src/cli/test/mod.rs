//! `smtpcred test`

mod record;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration as StdDuration;

use anyhow::Result;
use clap::Args;
use zeroize::Zeroizing;

use self::record::{Met, TestRecord, Told};
use super::{Context, complete, help, password_input};
use crate::app::App;
use crate::app::explain::{Circumstances, Explanation, HostIs};
use crate::error::{Error, Exit};
use crate::model::duration::Duration;
use crate::model::mailbox::Mailbox;
use crate::model::name::{HostName, Username};
use crate::model::server::Server;
use crate::model::session::Session;
use crate::model::settings::{PORTS, Port, Ports};
use crate::model::text;
use crate::smtp::{self, Content, Credentials, Errand, Mail, Visit};
use crate::store::Access;

/// Sign in and send a message as an application would, and explain what is in the way
///
/// Connects to the server that `show-settings` names, checks its certificate, signs in with the
/// password on stdin, and sends one message. Each step is shown with the server's own words.
#[derive(Debug, Args)]
#[command(after_long_help = help::TEST)]
pub struct Test {
    /// Which user
    #[arg(value_name = "NAME", add = complete::usernames())]
    name: Username,

    /// Whom to send to
    #[arg(long, value_name = "ADDRESS", required_unless_present_any = ["dry_run", "without_tls"])]
    to: Option<Mailbox>,

    /// Whom to send as [default: the username]
    #[arg(long, value_name = "ADDRESS")]
    from: Option<Mailbox>,

    /// What its subject is
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "Test of your SMTP settings"
    )]
    subject: Subject,

    /// What to send [default: a few words on where it comes from]
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,

    /// Stop before a message is sent
    #[arg(long)]
    dry_run: bool,

    /// Try 587, 465, 2525 and 25; one message is sent, by the first that works
    #[arg(long, group = "where")]
    all_ports: bool,

    /// Try this port instead of the recommended one
    #[arg(long, value_name = "PORT", group = "where", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Try another server: HOST:PORT, with /tls or /starttls where the port does not say it
    #[arg(long, value_name = "SERVER", group = "where")]
    server: Option<Server>,

    /// Connect to this address, whatever the DNS says of the server's name
    #[arg(long, value_name = "ADDRESS")]
    address: Option<IpAddr>,

    /// See what an application without TLS gets; a made-up password is sent, never the right one
    #[arg(long, conflicts_with_all = ["dry_run", "to"])]
    without_tls: bool,

    /// How long to wait in each step
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "30s",
        allow_hyphen_values = true
    )]
    timeout: Duration,

    /// Read the password from a file that only you can read, and not from stdin
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// One line: it becomes a header.
#[derive(Clone, Debug)]
struct Subject(String);

impl std::str::FromStr for Subject {
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

/// A certificate that ends sooner is worth a word.
const RENEW_BEFORE: u16 = 14;

impl Test {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        app.user(&self.name)?;
        let connection = app.connection(Some(&self.name.domain()))?;
        let servers = self.servers(connection.host.as_ref(), connection.ports)?;
        let from = match &self.from {
            Some(from) => from.clone(),
            None => self.name.as_str().parse()?,
        };
        let password = self.password()?;
        let password = std::str::from_utf8(&password)
            .map_err(|_| Error::Usage("the password is not valid UTF-8".into()))?;
        let host = match (&self.server, app.domain(&self.name.domain())?.0.host) {
            (Some(_), _) => HostIs::Given,
            (None, Some(_)) => HostIs::OfTheDomain,
            (None, None) => HostIs::OfTheInstallation,
        };
        let others = self.others();
        let mut told = Told::new(&mut context.out, self.all_ports);
        let mut sent = false;
        let mut refused = false;
        for server in &servers {
            let offered =
                self.server.is_some() || connection.ports.offered().any(|port| port == server.port);
            told.begin(server, offered)?;
            let body = self.body(server);
            let to = self.to.as_ref().unwrap_or(&from);
            let message = (!self.dry_run && !sent).then_some(Content {
                subject: &self.subject.0,
                body: &body,
            });
            let credentials = Credentials {
                username: &self.name,
                password,
            };
            let errand = if self.without_tls {
                Errand::WithoutTls
            } else if refused {
                // Once is enough: each counts as a guess.
                Errand::Look
            } else if self.to.is_none() {
                Errand::SignIn(credentials)
            } else {
                let from = &from;
                Errand::Mail(
                    credentials,
                    Mail {
                        from,
                        to,
                        content: message,
                    },
                )
            };
            let visit = Visit {
                server,
                address: self.address,
                patience: StdDuration::from_secs(self.timeout.seconds().unsigned_abs()),
                errand,
            };
            let session = smtp::visit(&visit, &mut |step| told.step(step))?;
            let at = Circumstances {
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
            told.end(session, met, !refused)?;
            refused |= told.is_refused();
        }
        let (ports, exit) = told.finish();
        let record = TestRecord {
            username: self.name.as_str(),
            from: from.as_str(),
            to: self.to.as_ref().map(Mailbox::as_str),
            sent,
            ports,
        };
        record.print(&mut context.out)?;
        match exit {
            Exit::Done => Ok(()),
            exit => Err(Error::Answered(exit).into()),
        }
    }

    fn servers(&self, host: Option<&HostName>, offered: Ports) -> Result<Vec<Server>, Error> {
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
        let server = |port| Server {
            host: host.clone(),
            port,
        };
        Ok(ports.into_iter().map(server).collect())
    }

    /// The same at the other ports, to type.
    fn others(&self) -> Option<String> {
        if self.all_ports || self.server.is_some() {
            return None;
        }
        let address = self.address.map(|address| format!(" --address {address}"));
        let address = address.unwrap_or_default();
        Some(format!(
            "smtpcred test {} --dry-run --all-ports{address}",
            self.name
        ))
    }

    fn password(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        match &self.password_file {
            _ if self.without_tls => Ok(Zeroizing::default()),
            Some(path) => password_input::from_file(path),
            None => password_input::existing_password(),
        }
    }

    fn body(&self, server: &Server) -> String {
        let body = self.body.clone().unwrap_or_else(|| {
            format!(
                "This message was sent to test the SMTP settings of {}\nthrough {server} ({}).\n",
                self.name,
                server.port.encryption.name()
            )
        });
        // As SMTP ends lines: RFC 5321 §2.3.8.
        let lines = body.replace("\r\n", "\n").replace('\r', "\n");
        lines.replace('\n', "\r\n")
    }
}

/// What was met at a server: what was in the way, and what else is not as it should be.
fn meet(app: &mut App, session: &Session, at: &Circumstances) -> Met {
    let mut met = Met::default();
    if session.sign_in_in_clear {
        met.warnings.push(Explanation::auth_in_clear());
    }
    if at.in_clear {
        match &session.fault {
            // Let in with a password that is made up, or asked for another.
            None => met.fault = Some(Explanation::auth_in_clear()),
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
