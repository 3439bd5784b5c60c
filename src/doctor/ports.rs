//! The ports that applications use, visited as an application does: greeting, TLS with its
//! certificate, and only then AUTH.

use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use super::findings::{Area, Findings};
use super::options::DoctorOptions;
use super::store::ExaminedStore;
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
    let explained = findings.fails_in(&["serve", "postfix", "exim", "server"]);
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
    if settings.host.is_none() && store.app.is_some() {
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
            explained,
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
    /// An earlier finding explains failures here.
    explained: bool,
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
            if self.settings.allow_insecure {
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
        area.fail(check, &format!("{why}{of}"), &advice);
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
        if self.explained && follows {
            area.warn(name, &found, "fix the failures above first");
        } else if extra && matches!(fault, Fault::Refused | Fault::NoSignIn) {
            area.warn(name, &found, &self.without());
        } else {
            area.fail(name, &found, &self.advice(fault));
        }
    }

    fn expiry(&self, area: &mut Area, check: &str, shown: &Certificate) {
        let left = shown.not_after.since(self.now);
        // A certificate that is valid for a few days is renewed late.
        let life = shown.not_after.since(shown.not_before);
        let found = shown.to_string();
        if left < EXPIRING && left.seconds() < life.seconds() / 3 {
            let found = format!("{found}: {left} left");
            area.warn(check, &found, "renew it, and reload the mail server");
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
