//! The ports that applications use, visited as an application does: greeting, TLS with its
//! certificate, and only then AUTH.

use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use super::findings::{Area, Cause, CheckState, Finding, Findings};
use super::options::DoctorOptions;
use super::store::{ExaminedStore, UNREAD};
use crate::app::World;
use crate::error::Result;
use crate::model::duration::Duration as Age;
use crate::model::host_port::HostPort;
use crate::model::name::HostName;
use crate::model::settings::{Port, Settings};
use crate::model::smtp_session::{Certificate, Distrust, Fault, Session, Stage};
use crate::model::time::Time;
use crate::smtp::{self, Errand, Visit};

/// For each step.
const PATIENCE: Duration = Duration::from_secs(8);
/// A certificate that has not been renewed this long before its end never will be.
const EXPIRING: Age = Age::days(14);

/// Visits each port as an application does.
pub fn examine(
    findings: &mut Findings,
    store: &ExaminedStore,
    options: &DoctorOptions,
    world: World,
) {
    // What fails there shows here, too.
    let cause = findings.failure_in(&["serve", "server", "postfix", "exim"]);
    let cause = cause.as_ref().or_else(|| store.broken());
    let in_clear = findings.failure(offers_in_clear);
    let mut area = findings.area("ports");
    let settings = &store.settings;
    let host = match &settings.host {
        Some(host) => Some(host.clone()),
        // Without one, certificates are compared with no real name.
        None => "localhost".parse().ok(),
    };
    let Some(host) = host else {
        return;
    };
    if let Some(cause) = &store.unread {
        area.follows("host", UNREAD, cause);
    } else if settings.host.is_none() {
        area.warn(
            "host",
            "no server name is set to compare certificates with",
            "smtpcred set-settings --host smtp.example.com",
        );
    }
    let asked = !options.ports.is_empty();
    let ports = if asked {
        options.ports.clone()
    } else {
        settings.ports.offered().collect()
    };
    let visits = visited(&host, options.address, &ports);
    let works = |visited: &Result<Session>| {
        let fault = visited.as_ref().map(|session| session.fault.as_ref());
        matches!(fault, Ok(None | Some(Fault::Distrusted(..))))
    };
    let none_listens = visits.iter().all(is_closed);
    let working: Vec<_> = ports
        .iter()
        .zip(&visits)
        .filter(|(_, visited)| works(visited))
        .map(|(port, _)| *port)
        .collect();
    for (port, visited) in ports.iter().zip(&visits) {
        let seen = PortCheck {
            port: *port,
            settings,
            working: &working,
            asked,
            none_listens,
            cause,
            in_clear: in_clear.as_ref(),
            now: (world.now)(),
        };
        match visited {
            Ok(session) => seen.judge(&mut area, session),
            Err(error) => {
                let found = format!("cannot tell: {error}");
                let server = format!("{}:{}", options.address, port.number);
                let advice = format!("try another client, such as swaks --server {server}");
                area.warn(&seen.name(), &found, &advice);
            }
        }
    }
}

fn is_closed(visited: &Result<Session>) -> bool {
    let fault = visited.as_ref().map(|session| session.fault.as_ref());
    matches!(fault, Ok(Some(Fault::Refused | Fault::Unreachable(_))))
}

/// Returns whether a mail server's configuration offers AUTH before TLS.
fn offers_in_clear(finding: &Finding) -> bool {
    let options = ["smtpd_tls_auth_only", "auth_advertise_hosts"];
    options.iter().any(|option| finding.check.contains(option))
}

/// Visits all ports at the same time, so that one that does not answer delays no other.
fn visited(host: &HostName, address: IpAddr, ports: &[Port]) -> Vec<Result<Session>> {
    let visit = |port: &Port| {
        let server = HostPort {
            host: host.clone(),
            port: *port,
        };
        let visit = Visit {
            server: &server,
            address: Some(address),
            patience: PATIENCE,
            any_certificate: false,
            errand: Errand::Look,
        };
        smtp::visit(&visit, &mut |_| Ok(()))
    };
    thread::scope(|scope| {
        let begun: Vec<_> = ports
            .iter()
            .map(|port| scope.spawn(move || visit(port)))
            .collect();
        let gone = |_| {
            Err(crate::error::Error::System(
                "the visit was interrupted".into(),
            ))
        };
        let ended = begun.into_iter().map(|one| one.join().unwrap_or_else(gone));
        ended.collect()
    })
}

struct PortCheck<'a> {
    port: Port,
    settings: &'a Settings,
    working: &'a [Port],
    /// The ports were named on the command line.
    asked: bool,
    /// Nothing listens at any port, which is one failure.
    none_listens: bool,
    /// An earlier finding that may explain failures here.
    cause: Option<&'a Cause>,
    /// The mail server is configured to offer AUTH before TLS.
    in_clear: Option<&'a Cause>,
    now: Time,
}

impl PortCheck<'_> {
    fn name(&self) -> String {
        format!("{} {}", self.port.number, self.port.encryption.name())
    }

    fn judge(&self, area: &mut Area, session: &Session) {
        let name = self.name();
        if session.sign_in_in_clear {
            let check = format!("{name} before TLS");
            let found = "AUTH is offered: passwords may come in clear";
            let advice =
                "smtpd_tls_auth_only = yes (Postfix), auth_advertise_hosts over TLS (Exim)";
            if let Some(cause) = self.in_clear {
                area.follows(&check, found, cause);
            } else if self.settings.allow_insecure {
                area.warn(&check, found, advice);
            } else {
                area.fail(&check, found, advice);
            }
        }
        let certificate = format!("{name} certificate");
        match &session.fault {
            Some(Fault::Distrusted(why, shown)) => {
                self.distrusted(area, &certificate, why, shown.as_ref());
            }
            Some(fault) => self.fault(area, &name, fault),
            None => {
                let tls = session.tls.as_ref();
                let version = tls.map_or("no TLS", |tls| tls.version);
                area.ok(&name, &format!("{version}, AUTH PLAIN or LOGIN"));
            }
        }
        let shown = session
            .tls
            .as_ref()
            .and_then(|tls| tls.certificate.as_ref());
        if let Some(shown) = shown {
            self.expiry(area, &certificate, shown);
        }
    }

    fn distrusted(
        &self,
        area: &mut Area,
        check: &str,
        why: &Distrust,
        shown: Option<&Certificate>,
    ) {
        let of = shown.map_or_else(String::new, |shown| format!(" ({shown})"));
        let host = self
            .settings
            .host
            .as_ref()
            .map_or("the server's name", HostName::as_str);
        let advice = match why {
            // With no name to compare it with there is nothing wrong with it.
            Distrust::OtherName if self.settings.host.is_none() => return,
            Distrust::OtherName => format!(
                "get one for {host}, or set the name that it is for: smtpcred set-settings --host HOST"
            ),
            Distrust::Expired | Distrust::ChainExpired => {
                "renew it, and reload the mail server".to_owned()
            }
            Distrust::NotYetValid => "check the clock".to_owned(),
            Distrust::UnknownIssuer => {
                "give the mail server the whole chain (fullchain.pem), or make this machine and \
                 the applications trust the issuer"
                    .to_owned()
            }
            Distrust::Authority | Distrust::Other(_) => format!("get another one for {host}"),
        };
        let found = format!("{why}{of}");
        area.add_once(&found, CheckState::Fail, [check, &found, &advice]);
    }

    fn fault(&self, area: &mut Area, name: &str, fault: &Fault) {
        let found = fault.to_string();
        // Many mail servers do not offer these ports.
        let extra = !self.asked && [25, 2525].contains(&self.port.number);
        let follows = matches!(
            fault,
            Fault::HungUp(_)
                | Fault::NoSignIn
                | Fault::Reply(..)
                | Fault::TimedOut(Stage::Greeting | Stage::Hello | Stage::StartTls)
        );
        let advice = self.advice(fault);
        match self.cause {
            Some(cause) if follows => area.follows(name, &found, cause),
            _ if self.none_listens => {
                area.add_once("closed", CheckState::Fail, [name, &found, &advice]);
            }
            _ if extra && matches!(fault, Fault::Refused | Fault::NoSignIn) => {
                area.warn(name, &found, &self.without());
            }
            _ => area.fail(name, &found, &advice),
        }
    }

    fn expiry(&self, area: &mut Area, check: &str, shown: &Certificate) {
        let left = shown.not_after.since(self.now);
        // A certificate that is valid for a few days is renewed late.
        let life = shown.not_after.since(shown.not_before);
        let found = shown.to_string();
        if left < EXPIRING && left.seconds() < life.seconds() / 3 {
            let found = format!("{found}: {left} left");
            let advice = "renew it, and reload the mail server";
            area.add_once(&found, CheckState::Warn, [check, &found, advice]);
        } else {
            area.ok(check, &found);
        }
    }

    /// Advises to offer only the ports that work.
    fn without(&self) -> String {
        let others: Vec<_> = self
            .working
            .iter()
            .filter(|port| port.number != self.port.number)
            .map(|port| port.number.to_string())
            .collect();
        if self.asked || others.is_empty() {
            return "start the mail server, or name it with --address and --port".into();
        }
        format!(
            "configure it, or offer only the others: smtpcred set-settings --ports {}",
            others.join(",")
        )
    }

    fn advice(&self, fault: &Fault) -> String {
        match fault {
            Fault::Refused | Fault::Unreachable(_) => self.without(),
            Fault::SpeaksTls => "smtpd_tls_wrappermode = yes is for port 465 only".into(),
            Fault::SpeaksPlain => {
                "smtpd_tls_wrappermode = yes (Postfix), tls_on_connect_ports (Exim)".into()
            }
            Fault::NoStartTls => {
                "give the mail server a certificate: smtpd_tls_chain_files (Postfix), tls_certificate \
                 (Exim)"
                    .into()
            }
            Fault::NoSignIn => "smtpcred show-server-config shows how to offer it".into(),
            _ => "see the mail server's log".into(),
        }
    }
}
