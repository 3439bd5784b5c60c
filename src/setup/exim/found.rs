//! What is found of Exim without setup's additions, and what to add. Pure.

use std::net::{IpAddr, Ipv4Addr};

use super::blocks::Additions;
use super::names::{SOCKETS, by_hand};
use crate::doctor::Sockets;
use crate::doctor::exim::Exim;
use crate::error::Result;
use crate::model::settings::{Encryption, PORTS, Port};
use crate::setup::refusal::refused;

/// The options whose values matter, also where they are not set.
pub const OPTIONS: [&str; 8] = [
    "auth_advertise_hosts",
    "daemon_smtp_ports",
    "exim_user",
    "local_interfaces",
    "primary_hostname",
    "tls_advertise_hosts",
    "tls_certificate",
    "tls_on_connect_ports",
];

/// The ports for applications.
pub const DOORS: [Port; 2] = [PORTS[0], PORTS[1]];

/// What is found of Exim.
pub struct Found {
    /// Its configuration.
    pub config: Exim,
    /// The values of [`OPTIONS`].
    pub values: Vec<(&'static str, String)>,
    /// The ports at which another program than Exim listens.
    pub taken: Vec<u16>,
}

impl Found {
    /// Returns the value of an option.
    pub fn value(&self, name: &str) -> String {
        let found = self.values.iter().find(|(option, _)| *option == name);
        found.map_or_else(String::new, |(_, value)| value.clone())
    }

    /// Returns what to add. Fails with the reason if there is something that is not understood,
    /// or that the additions would break.
    pub fn plan(&self) -> Result<Additions> {
        self.refuse_other_sign_in()?;
        self.refuse_hidden()?;
        self.refuse_interfaces()?;
        let mut additions = Additions {
            recipient: self.acl("acl_smtp_rcpt")?.unwrap_or_default(),
            data: self.acl("acl_smtp_data")?,
            ..Additions::default()
        };
        if !self.config.accepts_users(&additions.recipient) {
            return Err(refused(
                "no statement of the ACL for acl_smtp_rcpt is `accept authenticated = *`: it would refuse the users",
                by_hand(),
            ));
        }
        self.add_ports(&mut additions)?;
        Ok(additions)
    }

    /// Refuses to take the sign-in away from the users of another program.
    fn refuse_other_sign_in(&self) -> Result<()> {
        for (name, mechanism) in self.config.servers() {
            if !["PLAIN", "LOGIN"].contains(&mechanism.to_ascii_uppercase().as_str()) {
                continue;
            }
            if name.starts_with("smtpcred_") {
                return Err(refused(
                    format!("the authenticator {name} was set by hand"),
                    "compare it: smtpcred show-server-config exim --check; or remove what is there for smtpcred, and try again",
                ));
            }
            return Err(refused(
                format!(
                    "the authenticator {name} signs users in by {mechanism}: they could no longer sign in"
                ),
                "create or import these users first (smtpcred user import), then remove the server_ options of that authenticator, and try again",
            ));
        }
        Ok(())
    }

    /// Refuses what would hide TLS or AUTH from applications.
    fn refuse_hidden(&self) -> Result<()> {
        let tls = self.value("tls_advertise_hosts");
        if tls != "*" {
            return Err(refused(
                format!("tls_advertise_hosts is {tls:?}: port 587 would not encrypt for everyone"),
                "set it to *, and try again",
            ));
        }
        let hosts = self.value("auth_advertise_hosts");
        if hosts != "*" && !hosts.contains("tls_") {
            return Err(refused(
                format!("auth_advertise_hosts is {hosts:?}: not everyone could sign in"),
                "set it to *, and try again: smtpcred's authenticators are offered over TLS only",
            ));
        }
        Ok(())
    }

    /// Refuses ports in the list of addresses.
    fn refuse_interfaces(&self) -> Result<()> {
        let all = self.value("local_interfaces");
        let strange = list(&all).find(|one| one.parse::<IpAddr>().is_err());
        strange.map_or(Ok(()), |one| {
            Err(refused(
                format!("local_interfaces has {one:?}, and not only addresses"),
                by_hand(),
            ))
        })
    }

    /// Returns the name of the ACL that an option has, if it can be called by another one.
    fn acl(&self, option: &str) -> Result<Option<String>> {
        let Some(name) = self.config.set(option) else {
            return Ok(None);
        };
        let lines = self.config.acl(option);
        if lines.is_empty() {
            return Err(refused(
                format!("{option} is {name:?}, which is not the name of an ACL"),
                by_hand(),
            ));
        }
        let discards = |line: &&str| line.split_whitespace().next() == Some("discard");
        if lines.iter().any(discards) {
            return Err(refused(
                format!("the ACL {name} discards mail, so that no other ACL can call it"),
                by_hand(),
            ));
        }
        Ok(Some(name.to_owned()))
    }

    fn add_ports(&self, additions: &mut Additions) -> Result<()> {
        let listens = ports(&self.value("daemon_smtp_ports"));
        let missing: Vec<u16> = DOORS
            .iter()
            .map(|port| port.number)
            .filter(|port| !listens.contains(port))
            .collect();
        if let Some(port) = missing.iter().find(|port| self.taken.contains(port)) {
            return Err(refused(
                format!("another program listens at port {port}, so Exim cannot"),
                format!("see which one: ss -ltnp 'sport = :{port}'"),
            ));
        }
        let mut add = |option: &str, wanted: Vec<u16>| {
            let all: Vec<_> = wanted.iter().map(ToString::to_string).collect();
            let line = format!("{option} = {}", all.join(" : "));
            match self.config.set(option) {
                None => {
                    additions.options.push(line);
                    Ok(())
                }
                Some(now) => Err(refused(
                    format!("{option} is set to {now:?}"),
                    format!("set it yourself, and try again: {line}"),
                )),
            }
        };
        if !missing.is_empty() {
            let all = listens.iter().chain(&missing).copied();
            add("daemon_smtp_ports", all.collect())?;
        }
        let tls = ports(&self.value("tls_on_connect_ports"));
        let wanted = DOORS
            .iter()
            .filter(|port| port.encryption == Encryption::Tls);
        let lacks: Vec<u16> = wanted
            .map(|port| port.number)
            .filter(|port| !tls.contains(port))
            .collect();
        if tls.contains(&587) {
            return Err(refused(
                "tls_on_connect_ports has 587, where applications use STARTTLS",
                "remove 587 from it, and try again",
            ));
        }
        if !lacks.is_empty() {
            add(
                "tls_on_connect_ports",
                tls.into_iter().chain(lacks).collect(),
            )?;
        }
        additions.only_users = missing;
        Ok(())
    }

    /// Returns an address at which Exim listens, on this machine.
    pub fn address(&self) -> IpAddr {
        let all = self.value("local_interfaces");
        let all: Vec<IpAddr> = list(&all).filter_map(|one| one.parse().ok()).collect();
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let anywhere = all.contains(&local) || all.contains(&IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let first = all.iter().find(|one| !one.is_unspecified()).copied();
        first.filter(|_| !anywhere).unwrap_or(local)
    }

    /// Returns what is left for an admin.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.value("tls_certificate").is_empty() {
            warnings.push(
                "Exim has no certificate and makes one that no application trusts: get one, and set MAIN_TLS_ENABLE, MAIN_TLS_CERTIFICATE and MAIN_TLS_PRIVATEKEY"
                    .to_owned(),
            );
        }
        let all = self.value("local_interfaces");
        let mut addresses = list(&all)
            .filter_map(|one| one.parse::<IpAddr>().ok())
            .peekable();
        if addresses.peek().is_some() && addresses.all(|one| one.is_loopback()) {
            warnings.push(format!(
                "Exim listens on this machine only ({all}): dpkg-reconfigure exim4-config changes that"
            ));
        }
        warnings
    }
}

/// Checks the configuration that the additions lead to.
pub fn verify(after: &Exim, values: &Found) -> Result<()> {
    let sockets = Sockets {
        auth: format!("{SOCKETS}/auth"),
        policy: format!("{SOCKETS}/policy"),
    };
    if let Some(one) = after.compare(&sockets).iter().find(|one| !one.good) {
        return Err(refused(
            format!("{} cannot be set: it would be {}", one.wanted, one.found),
            by_hand(),
        ));
    }
    let listens = ports(&values.value("daemon_smtp_ports"));
    let silent = DOORS.iter().find(|port| !listens.contains(&port.number));
    silent.map_or(Ok(()), |port| {
        Err(refused(
            format!("Exim would not listen at port {}", port.number),
            by_hand(),
        ))
    })
}

/// Returns the ports of a list.
pub fn ports(value: &str) -> Vec<u16> {
    let number = |one: &str| match one {
        "smtp" => Some(25),
        "submission" => Some(587),
        "submissions" | "smtps" | "ssmtp" => Some(465),
        other => other.parse().ok(),
    };
    list(value).filter_map(number).collect()
}

/// Splits one of Exim's lists: `25 : 587`, or `<; ::1 ; 127.0.0.1`.
fn list(value: &str) -> impl Iterator<Item = &str> {
    let value = value.trim();
    let given = value.strip_prefix('<').and_then(|rest| rest.chars().next());
    let (separator, rest) = match given {
        Some(separator) => (separator, &value[1 + separator.len_utf8()..]),
        None => (':', value),
    };
    rest.split(separator)
        .map(str::trim)
        .filter(|one| !one.is_empty())
}
