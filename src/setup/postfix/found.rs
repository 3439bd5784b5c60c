//! What is found of Postfix, as `postconf` prints it, and the changes of its files.

use crate::doctor::postfix::{Postfix, Service};
use crate::model::settings::{PORTS, Port};
use crate::setup::SignInPort;
use crate::setup::ports::CertificateFiles;

/// The sockets by the names that Postfix has for them: relative to its queue directory, so
/// that they are right with a chroot and without.
pub const AUTH: &str = "smtpcred/auth";
pub const POLICY: &str = "smtpcred/policy";

pub const RECIPIENT: &str = "smtpd_recipient_restrictions";
pub const END_OF_DATA: &str = "smtpd_end_of_data_restrictions";
pub const RELAY: &str = "smtpd_relay_restrictions";
pub const BEFORE: [&str; 3] = [
    "smtpd_client_restrictions",
    "smtpd_helo_restrictions",
    "smtpd_sender_restrictions",
];

/// What is found of Postfix.
pub struct Found {
    /// `3.7.11`
    pub version: String,
    /// Values of main.cf and its defaults as they are written.
    pub main: Vec<(String, String)>,
    /// Values of services in master.cf as they are written.
    pub overrides: Vec<(String, String)>,
    /// The lines of master.cf as `postconf -M` prints them.
    pub master: Vec<String>,
    /// The same with every macro expanded.
    pub expanded: Postfix,
    /// The ports at which another program than Postfix listens.
    pub taken: Vec<u16>,
    /// What the system calls port 465.
    pub name_of_465: &'static str,
    /// A certificate for Postfix, if it has none.
    pub certificate: Option<CertificateFiles>,
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// A parameter of main.cf.
    Main { name: &'static str, value: String },
    /// A whole line of master.cf.
    Line { service: String, line: String },
    /// An option of a service in master.cf.
    Option {
        service: String,
        name: String,
        value: String,
    },
}

/// The changes of Postfix's files.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Edits {
    pub list: Vec<Edit>,
    pub sign_in_ports: Vec<SignInPort>,
    /// What is left for an admin.
    pub warnings: Vec<String>,
}

/// A line of master.cf.
pub struct Line<'a> {
    /// `submission/inet`
    pub name: String,
    /// The address before the port, if any.
    pub address: Option<&'a str>,
    pub chroot: &'a str,
    pub command: &'a str,
    pub text: &'a str,
}

/// A port for applications.
pub struct Role {
    pub port: Port,
    pub names: &'static [&'static str],
}

/// Returns the ports for applications.
pub fn roles() -> [Role; 2] {
    [
        Role {
            port: PORTS[0],
            names: &["submission", "587"],
        },
        Role {
            port: PORTS[1],
            names: &["submissions", "smtps", "ssmtp", "urd", "465"],
        },
    ]
}

impl<'a> Line<'a> {
    /// Reads `127.0.0.1:587 inet n - y - - smtpd -o …`, if it is one of TCP.
    fn read(line: &'a str) -> Option<(Self, &'a str)> {
        let mut fields = line.split_whitespace();
        let name = fields.next()?;
        if fields.next() != Some("inet") {
            return None;
        }
        let chroot = fields.nth(2)?;
        let command = fields.nth(2)?;
        let (address, port) = match name.rsplit_once(':') {
            Some((address, port)) => (Some(address), port),
            None => (None, name),
        };
        let read = Self {
            name: format!("{name}/inet"),
            address: address.map(|text| text.trim_start_matches('[').trim_end_matches(']')),
            chroot,
            command,
            text: line,
        };
        Some((read, port))
    }
}

impl Found {
    /// Returns the lines of master.cf for a port.
    pub fn lines(&self, role: &Role) -> Vec<Line<'_>> {
        let read = self.master.iter().filter_map(|line| Line::read(line));
        read.filter(|(_, port)| role.names.contains(port))
            .map(|(line, _)| line)
            .collect()
    }

    /// Returns a value as it is written.
    pub fn raw(&self, service: &Service, name: &str) -> &str {
        let own = format!("{}/{name}", service.name);
        let here = self.overrides.iter().find(|(at, _)| *at == own);
        let main = self.main.iter().find(|(at, _)| at == name);
        here.or(main).map_or("", |(_, value)| value)
    }
}

pub fn is_ours(postfix: &Postfix, service: &Service) -> bool {
    postfix
        .value(service, "smtpd_sasl_path")
        .contains("smtpcred")
}

pub fn by_hand() -> &'static str {
    "see what is needed, and set it by hand: smtpcred show-server-config postfix"
}

pub fn is_yes(value: &str) -> bool {
    value.eq_ignore_ascii_case("yes")
}
