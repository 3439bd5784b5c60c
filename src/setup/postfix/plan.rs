//! What to change in main.cf and master.cf, computed from what `postconf` prints. Pure.

use std::net::{IpAddr, Ipv4Addr};

use super::found::{
    AUTH, BEFORE, END_OF_DATA, Edit, Edits, Found, Line, POLICY, RECIPIENT, RELAY, Role, by_hand,
    is_ours, roles,
};
use super::lists;
use crate::doctor::postfix::Postfix;
use crate::doctor::postfix::restrictions::{ends_for_users, words};
use crate::error::Result;
use crate::model::settings::{Encryption, Port};
use crate::setup::SignInPort;
use crate::setup::refusal::refused;

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
pub fn verify(after: &Postfix, sign_in_ports: usize) -> Result<()> {
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
                    format!("{}: {list} would reject users with {end}", service.name),
                    format!("put permit_sasl_authenticated before {end}, and try again"),
                ));
            }
        }
    }
    if ours < sign_in_ports {
        return Err(refused(
            "master.cf would have no port that signs users in",
            by_hand(),
        ));
    }
    Ok(())
}

impl Found {
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
                format!("another program listens on port {number}, so Postfix cannot"),
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
        edits.sign_in_ports.push(self.sign_in_port(role.port, None));
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
    pub fn sign_in_port(&self, port: Port, address: Option<&str>) -> SignInPort {
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
        SignInPort {
            port,
            address: address
                .filter(|address| !address.is_unspecified())
                .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        }
    }
}
