//! What to change in main.cf and master.cf, computed from what `postconf` prints. Pure.

use std::net::{IpAddr, Ipv4Addr};

use super::lists;
use crate::doctor::postfix::restrictions::{PERMITS, ends_for_users, services, words};
use crate::doctor::postfix::{Postfix, Service};
use crate::error::Result;
use crate::model::settings::{Encryption, PORTS, Port};
use crate::setup::Door;
use crate::setup::refusal::refused;

/// The sockets by the names that Postfix has for them: relative to its queue directory, so
/// that they are right with a chroot and without.
pub const AUTH: &str = "smtpcred/auth";
pub const POLICY: &str = "smtpcred/policy";

const RECIPIENT: &str = "smtpd_recipient_restrictions";
const END_OF_DATA: &str = "smtpd_end_of_data_restrictions";
const RELAY: &str = "smtpd_relay_restrictions";
const BEFORE: [&str; 3] = [
    "smtpd_client_restrictions",
    "smtpd_helo_restrictions",
    "smtpd_sender_restrictions",
];

/// A file with a certificate and one with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    pub certificate: String,
    pub key: String,
    /// No application trusts it.
    pub for_tests: bool,
}

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
    pub doors: Vec<Door>,
    /// What is left for an admin.
    pub warnings: Vec<String>,
}

/// A line of master.cf.
struct Line<'a> {
    /// `submission/inet`
    name: String,
    /// The address before the port, if any.
    address: Option<&'a str>,
    chroot: &'a str,
    command: &'a str,
    text: &'a str,
}

/// A port for applications.
struct Role {
    port: Port,
    names: &'static [&'static str],
}

fn roles() -> [Role; 2] {
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

/// Returns what to change. Fails with the reason if there is something that is not understood,
/// or that a change would break.
pub fn plan(found: &Found, replace: bool) -> Result<Edits> {
    let major = found.version.split('.').next().and_then(|n| n.parse().ok());
    if major.is_none_or(|major: u32| major < 3) {
        return Err(refused(
            format!(
                "this is Postfix {}, and setup needs 3.0 or newer",
                found.version
            ),
            by_hand(),
        ));
    }
    let mut edits = Edits::default();
    for role in roles() {
        let lines = found.lines(&role);
        Found::refuse_two(&role, &lines)?;
        if lines.is_empty() {
            found.add(&role, &mut edits)?;
        }
        for line in &lines {
            found.change(&role, line, replace, &mut edits)?;
        }
    }
    found.certificate(&mut edits)?;
    Ok(edits)
}

/// Checks the configuration that the changes lead to. Returns what is wrong with it.
pub fn verify(after: &Postfix, doors: usize) -> Result<()> {
    let sockets = crate::doctor::Sockets {
        auth: AUTH.into(),
        policy: format!("unix:{POLICY}"),
    };
    let mut ours = 0;
    for service in after.signing_in() {
        if !is_ours(after, service) {
            continue;
        }
        ours += 1;
        let wrong = after.compare_service(service, &sockets);
        // A socket may have another name that is as good.
        let wrong = wrong.iter().filter(|one| !one.wanted.contains("sasl_path"));
        if let Some(one) = wrong.into_iter().find(|one| !one.good) {
            return Err(refused(
                format!(
                    "{}: {} cannot be set: it would be {}",
                    one.place, one.wanted, one.found
                ),
                by_hand(),
            ));
        }
        for list in BEFORE.into_iter().chain([RELAY, RECIPIENT]) {
            if let Some(end) = ends_for_users(&after.list(service, list)) {
                return Err(refused(
                    format!("{}: {list} would reject users by {end}", service.name),
                    format!("put permit_sasl_authenticated before {end}, and try again"),
                ));
            }
        }
    }
    if ours < doors {
        return Err(refused(
            "master.cf would have no port that signs users in",
            by_hand(),
        ));
    }
    Ok(())
}

fn is_ours(postfix: &Postfix, service: &Service) -> bool {
    postfix
        .value(service, "smtpd_sasl_path")
        .contains("smtpcred")
}

fn by_hand() -> &'static str {
    "see what is needed, and set it by hand: smtpcred show-server-config postfix"
}

impl Found {
    fn lines(&self, role: &Role) -> Vec<Line<'_>> {
        let read = self.master.iter().filter_map(|line| Line::read(line));
        read.filter(|(_, port)| role.names.contains(port))
            .map(|(line, _)| line)
            .collect()
    }

    /// Refuses services that cannot all listen.
    fn refuse_two(role: &Role, lines: &[Line]) -> Result<()> {
        let number = role.port.number;
        for (at, line) in lines.iter().enumerate() {
            for other in &lines[at + 1..] {
                let both = line.address.is_none()
                    || other.address.is_none()
                    || line.address == other.address;
                if both {
                    return Err(refused(
                        format!(
                            "master.cf has two services for port {number}: {} and {}",
                            line.name, other.name
                        ),
                        "remove one of them, and try again",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Adds a service that master.cf does not have.
    fn add(&self, role: &Role, edits: &mut Edits) -> Result<()> {
        let number = role.port.number;
        if self.taken.contains(&number) {
            return Err(refused(
                format!("another program listens at port {number}, so Postfix cannot"),
                format!("see which one: ss -ltnp 'sport = :{number}'"),
            ));
        }
        let tls = role.port.encryption == Encryption::Tls;
        let name = if tls { self.name_of_465 } else { "submission" };
        let log = if tls { "submissions" } else { "submission" };
        let encryption = if tls {
            ("smtpd_tls_wrappermode", "yes")
        } else {
            ("smtpd_tls_security_level", "encrypt")
        };
        let ask = lists::ask(POLICY);
        let recipients = format!("{ask}, permit_sasl_authenticated, reject");
        let syslog = format!("postfix/{log}");
        let options = [
            ("syslog_name", syslog.as_str()),
            encryption,
            ("smtpd_tls_auth_only", "yes"),
            ("smtpd_sasl_auth_enable", "yes"),
            ("smtpd_sasl_type", "dovecot"),
            ("smtpd_sasl_path", AUTH),
            ("smtpd_sasl_security_options", "noanonymous"),
            ("smtpd_sasl_tls_security_options", "noanonymous"),
            ("smtpd_client_restrictions", ""),
            ("smtpd_helo_restrictions", ""),
            ("smtpd_sender_restrictions", ""),
            (RELAY, "permit_sasl_authenticated, reject"),
            (RECIPIENT, &recipients),
            (END_OF_DATA, &ask),
        ];
        let chroot = self.chroot();
        let mut line = format!("{name} inet n - {chroot} - - smtpd");
        for (name, value) in options {
            line = format!("{line} -o {}", lists::option(name, value));
        }
        edits.list.push(Edit::Line {
            service: format!("{name}/inet"),
            line,
        });
        edits.doors.push(self.door(role.port, None));
        Ok(())
    }

    /// Returns whether Postfix's other services for mail run chrooted.
    fn chroot(&self) -> &str {
        let smtpd = self.master.iter().find_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            (fields.get(7) == Some(&"smtpd")).then(|| fields[4])
        });
        smtpd.unwrap_or("n")
    }

    /// Changes a service that exists.
    fn change(&self, role: &Role, line: &Line, replace: bool, edits: &mut Edits) -> Result<()> {
        let name = line.name.trim_end_matches("/inet");
        if line.command != "smtpd" {
            return Err(refused(
                format!("{name} runs {}, and not smtpd", line.command),
                "give smtpd a port for applications, and try again",
            ));
        }
        let service = Service {
            name: line.name.clone(),
            chroot: line.chroot == "y",
        };
        self.refuse_other_sign_in(&service, replace)?;
        let mut options: Vec<(String, String)> = Vec::new();
        let mut set = |name: &str, value: String| options.push((name.to_owned(), value));
        self.encryption(role, &service, &mut set);
        self.sasl(&service, &mut set);
        self.restrictions(&service, &mut set, edits)?;
        edits.doors.push(self.door(role.port, line.address));
        let short: Option<Vec<_>> = options
            .iter()
            .map(|(name, value)| Some((name.clone(), lists::tight(value)?)))
            .collect();
        match short {
            Some(options) => {
                let changed = options.into_iter().map(|(name, value)| Edit::Option {
                    service: line.name.clone(),
                    name,
                    value,
                });
                edits.list.extend(changed);
            }
            // `postconf -P` accepts no white space.
            None => edits.list.push(Edit::Line {
                service: line.name.clone(),
                line: lists::with_options(line.text, &options),
            }),
        }
        Ok(())
    }

    /// Refuses to take the sign-in away from the users of another program.
    fn refuse_other_sign_in(&self, service: &Service, replace: bool) -> Result<()> {
        let value = |name| self.expanded.value(service, name);
        let enabled = is_yes(value("smtpd_sasl_auth_enable"));
        if !enabled || is_ours(&self.expanded, service) || replace {
            return Ok(());
        }
        let by = match value("smtpd_sasl_type") {
            "dovecot" => "Dovecot's protocol",
            "cyrus" => "Cyrus SASL",
            other => other,
        };
        Err(refused(
            format!(
                "{} signs users in by {by} ({}): they could no longer sign in",
                service.name.trim_end_matches("/inet"),
                value("smtpd_sasl_path"),
            ),
            "create or import these users first (smtpcred user import), then add --replace",
        ))
    }

    fn encryption(&self, role: &Role, service: &Service, set: &mut dyn FnMut(&str, String)) {
        let value = |name| self.expanded.value(service, name);
        let wraps = is_yes(value("smtpd_tls_wrappermode"));
        let wants = role.port.encryption == Encryption::Tls;
        if wraps != wants {
            set(
                "smtpd_tls_wrappermode",
                if wants { "yes" } else { "no" }.into(),
            );
        }
        let level = value("smtpd_tls_security_level");
        let offers = is_yes(value("smtpd_use_tls")) || is_yes(value("smtpd_enforce_tls"));
        let off = level.eq_ignore_ascii_case("none") || level.is_empty() && !offers;
        if !wants && off {
            set("smtpd_tls_security_level", "encrypt".into());
        }
        if !is_yes(value("smtpd_tls_auth_only")) {
            set("smtpd_tls_auth_only", "yes".into());
        }
    }

    fn sasl(&self, service: &Service, set: &mut dyn FnMut(&str, String)) {
        let value = |name| self.expanded.value(service, name);
        if !is_yes(value("smtpd_sasl_auth_enable")) {
            set("smtpd_sasl_auth_enable", "yes".into());
        }
        if value("smtpd_sasl_type") != "dovecot" {
            set("smtpd_sasl_type", "dovecot".into());
        }
        let whole = format!("{}/{AUTH}", self.expanded.main("queue_directory"));
        let path = value("smtpd_sasl_path");
        if path != AUTH && (service.chroot || path != whole) {
            set("smtpd_sasl_path", AUTH.into());
        }
        for name in [
            "smtpd_sasl_security_options",
            "smtpd_sasl_tls_security_options",
        ] {
            let options = words(value(name));
            // Passwords are needed, and come over TLS only.
            if !options.contains(&"noanonymous") || options.contains(&"noplaintext") {
                set(name, "noanonymous".into());
            }
        }
    }

    fn restrictions(
        &self,
        service: &Service,
        set: &mut dyn FnMut(&str, String),
        edits: &mut Edits,
    ) -> Result<()> {
        for name in [RECIPIENT, END_OF_DATA] {
            let list = self.expanded.list(service, name);
            let asked = services(&list);
            let good = asked.iter().any(|one| {
                one.enforced && self.is_policy(service, one.name) && one.skipped_by.is_empty()
            });
            let mut raw = self.raw(service, name).to_owned();
            if !good {
                raw = lists::with_policy(&raw, POLICY);
            }
            let end = ends_for_users(&list).filter(|_| name == RECIPIENT);
            if let Some(end) = end {
                raw = Self::permitted(service, name, &raw, end)?;
            }
            if !good || end.is_some() {
                set(name, raw);
            }
        }
        for name in BEFORE.into_iter().chain([RELAY]) {
            let list = self.expanded.list(service, name);
            if let Some(end) = ends_for_users(&list) {
                let raw = self.raw(service, name).to_owned();
                set(name, Self::permitted(service, name, &raw, end)?);
            }
        }
        self.sender_maps(service, edits)
    }

    fn permitted(service: &Service, name: &str, raw: &str, end: &str) -> Result<String> {
        lists::with_permit_before(raw, end).ok_or_else(|| {
            refused(
                format!("{}: {name} rejects users by {end}, in {raw}", service.name),
                format!("put permit_sasl_authenticated before {end}, and try again"),
            )
        })
    }

    /// Refuses a check of senders that would reject every user, and warns about a second one.
    fn sender_maps(&self, service: &Service, edits: &mut Edits) -> Result<()> {
        const CHECKS: [&str; 2] = [
            "reject_sender_login_mismatch",
            "reject_authenticated_sender_login_mismatch",
        ];
        let lists = ["smtpd_sender_restrictions", RELAY, RECIPIENT];
        let checks = lists.iter().any(|list| {
            let list = self.expanded.list(service, list);
            let all = words(&list);
            let before = all.iter().take_while(|word| !PERMITS.contains(word));
            before.into_iter().any(|word| CHECKS.contains(word))
        });
        if !checks {
            return Ok(());
        }
        let maps = self.expanded.value(service, "smtpd_sender_login_maps");
        if maps.is_empty() {
            return Err(refused(
                format!(
                    "{} looks senders up in smtpd_sender_login_maps, which is empty: each user would be rejected (553)",
                    service.name
                ),
                "remove reject_sender_login_mismatch, because the policy service checks senders; then try again",
            ));
        }
        edits.warnings.push(format!(
            "{} also looks senders up in {maps}: a sender has to be there, too",
            service.name
        ));
        Ok(())
    }

    fn is_policy(&self, service: &Service, name: &str) -> bool {
        let bare = name.strip_prefix("unix:").unwrap_or(name);
        let whole = format!("{}/{POLICY}", self.expanded.main("queue_directory"));
        bare == POLICY || !service.chroot && bare == whole
    }

    /// Returns a value as it is written.
    fn raw(&self, service: &Service, name: &str) -> &str {
        let own = format!("{}/{name}", service.name);
        let here = self.overrides.iter().find(|(at, _)| *at == own);
        let main = self.main.iter().find(|(at, _)| at == name);
        here.or(main).map_or("", |(_, value)| value)
    }

    /// Gives Postfix a certificate, if it has none.
    fn certificate(&self, edits: &mut Edits) -> Result<()> {
        let has = |name: &str| {
            let everywhere = self.overrides.iter().any(|(at, value)| {
                at.ends_with(&format!("/{name}")) && !value.is_empty() && value != "none"
            });
            let main = self.expanded.main(name);
            everywhere || !(main.is_empty() || main.eq_ignore_ascii_case("none"))
        };
        let names = [
            "smtpd_tls_chain_files",
            "smtpd_tls_cert_file",
            "smtpd_tls_eccert_file",
            "smtpd_tls_dcert_file",
        ];
        if names.iter().any(|name| has(name)) {
            return Ok(());
        }
        let Some(files) = &self.certificate else {
            return Err(refused(
                "Postfix has no certificate, so it cannot encrypt",
                "get one and set it: postconf -e smtpd_tls_chain_files=KEY.pem,FULLCHAIN.pem",
            ));
        };
        for (name, value) in [
            ("smtpd_tls_cert_file", &files.certificate),
            ("smtpd_tls_key_file", &files.key),
        ] {
            edits.list.push(Edit::Main {
                name,
                value: value.clone(),
            });
        }
        if files.for_tests {
            edits.warnings.push(format!(
                "applications do not trust the certificate {}: get one for the server's name",
                files.certificate
            ));
        }
        Ok(())
    }

    /// Returns where a service is reached on this machine.
    fn door(&self, port: Port, address: Option<&str>) -> Door {
        let listens = self.expanded.main("inet_interfaces");
        let listens: Vec<_> = words(listens)
            .into_iter()
            .map(|word| {
                word.trim_start_matches('[')
                    .trim_end_matches(']')
                    .to_owned()
            })
            .collect();
        let own = address.and_then(|address| address.parse::<IpAddr>().ok());
        let local = [
            Ipv4Addr::LOCALHOST.to_string(),
            "localhost".into(),
            "loopback-only".into(),
            "all".into(),
        ];
        let elsewhere = !listens.iter().any(|one| local.contains(one));
        let first = listens.iter().find_map(|one| one.parse().ok());
        let address = own.or_else(|| first.filter(|_| elsewhere));
        Door {
            port,
            address: address
                .filter(|address| !address.is_unspecified())
                .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        }
    }
}

fn is_yes(value: &str) -> bool {
    value.eq_ignore_ascii_case("yes")
}
