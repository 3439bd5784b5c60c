//! Checks a Postfix that should use smtpcred.

use std::path::{Path, PathBuf};

use super::restrictions::{self, PERMITS, ends_for_users, services, words};
use super::{Postfix, Service};
use crate::doctor::access::Identity;
use crate::doctor::findings::{Area, Findings};
use crate::doctor::sockets::{Endpoint, KnownSockets, Sockets};

const RECIPIENT: &str = "smtpd_recipient_restrictions";
const END_OF_DATA: &str = "smtpd_end_of_data_restrictions";
const RELAY: &str = "smtpd_relay_restrictions";
const CLIENT: &str = "smtpd_client_restrictions";
const HELO: &str = "smtpd_helo_restrictions";
const SENDER: &str = "smtpd_sender_restrictions";

impl Postfix {
    /// Returns the sockets that its services use.
    pub fn sockets(&self) -> KnownSockets {
        let mut known = KnownSockets::default();
        let add = |to: &mut Vec<Endpoint>, endpoint: Endpoint| {
            if !to.contains(&endpoint) {
                to.push(endpoint);
            }
        };
        for service in self.signing_in() {
            let path = self.value(service, "smtpd_sasl_path");
            if self.value(service, "smtpd_sasl_type") == "dovecot" {
                add(&mut known.auth, self.endpoint(service, path));
            }
            for list in [RECIPIENT, END_OF_DATA] {
                for asked in services(&self.list(service, list)) {
                    add(&mut known.policy, self.endpoint(service, asked.name));
                }
            }
        }
        // Drops the policy services of other programs if there is one of ours.
        if known.policy.iter().any(names_us) {
            known.policy.retain(names_us);
        }
        known
    }

    /// Adds findings on every service that offers AUTH.
    pub fn examine(&self, findings: &mut Findings, known: &KnownSockets, with_dovecot: bool) {
        let mut area = findings.area("postfix");
        for warning in &self.warnings {
            area.warn("main.cf", warning, "set it only once, then: postfix reload");
        }
        let mut used = KnownSockets::default();
        for service in self.signing_in() {
            let auth = self.endpoint(service, self.value(service, "smtpd_sasl_path"));
            used.auth.push(auth);
            self.compared(&mut area, service, known, &mut used, with_dovecot);
            self.lists(&mut area, service);
        }
        if used.auth.is_empty() {
            let found = "no service offers AUTH";
            let advice = "smtpcred setup postfix adds one to master.cf";
            area.fail("master.cf smtpd_sasl_auth_enable", found, advice);
            return;
        }
        self.may_connect(&mut area, known, &used);
    }

    /// Compares with what show-server-config prints, in the names that the service uses for
    /// the sockets.
    fn compared(
        &self,
        area: &mut Area,
        service: &Service,
        known: &KnownSockets,
        used: &mut KnownSockets,
        with_dovecot: bool,
    ) {
        let path = self.value(service, "smtpd_sasl_path");
        let auth = self.endpoint(service, path);
        let is_known = |all: &[Endpoint], one: &Endpoint| all.iter().any(|known| known.is(one));
        let wanted_auth = match known.auth.first() {
            Some(first) if !is_known(&known.auth, &auth) => self.spelled(service, first, false),
            _ => path.to_owned(),
        };
        let mut policy = known
            .policy
            .first()
            .map_or_else(String::new, |first| self.spelled(service, first, true));
        for list in [RECIPIENT, END_OF_DATA] {
            for asked in services(&self.list(service, list)) {
                let endpoint = self.endpoint(service, asked.name);
                if is_known(&known.policy, &endpoint) {
                    asked.name.clone_into(&mut policy);
                    used.policy.push(endpoint);
                }
            }
        }
        let sockets = Sockets {
            auth: wanted_auth,
            policy,
        };
        for one in self.compare_service(service, &sockets) {
            let name = one.wanted.split(' ').next().unwrap_or_default();
            let check = format!("{} {name}", service.name);
            let of_policy = name == RECIPIENT || name == END_OF_DATA;
            let mut found = one.found.clone();
            if one.good && of_policy {
                found.clone_from(&sockets.policy);
            } else if name == "smtpd_sasl_path" && !one.good {
                found = described(service, path, &auth);
            } else if found.is_empty() {
                "empty".clone_into(&mut found);
            }
            let wanted = match name {
                RECIPIENT | END_OF_DATA => self.with_policy(service, name, &sockets.policy),
                _ => one.wanted.clone(),
            };
            let advice = format!(
                "in master.cf, below {}: -o {{ {wanted} }}, then: postfix reload",
                service.name.trim_end_matches("/inet"),
            );
            if of_policy && !one.good && with_dovecot && known.policy.is_empty() {
                area.warn(
                    &check,
                    "without smtpcred serve there are no limits",
                    &advice,
                );
            } else {
                area.judge(&check, one.good, &found, &advice);
            }
        }
    }

    /// Returns a list with the policy service first, as master.cf needs it.
    fn with_policy(&self, service: &Service, name: &str, policy: &str) -> String {
        let list = self.list(service, name);
        let mut words = words(&list).into_iter().peekable();
        let mut rest = Vec::new();
        while let Some(word) = words.next() {
            match word {
                "warn_if_reject" if words.peek() == Some(&"check_policy_service") => {}
                "check_policy_service" => {
                    let asked = words.next().unwrap_or_default();
                    // Those of other programs stay.
                    if !asked.contains("smtpcred") {
                        rest.extend([format!("{word} {asked}")]);
                    }
                }
                _ => rest.push(word.to_owned()),
            }
        }
        if rest.is_empty() && name == RECIPIENT {
            rest = ["permit_sasl_authenticated", "reject"]
                .map(str::to_owned)
                .into();
        }
        let policy = if policy.contains(':') {
            policy.to_owned()
        } else {
            format!("unix:{policy}")
        };
        let ours = format!("check_policy_service {{ {policy}, default_action=DEFER }}");
        rest.insert(0, ours);
        // No comma is needed before an argument.
        format!("{name} = {}", rest.join(", "))
    }

    /// Finds restrictions whose place in a list bypasses the policy service or rejects
    /// users.
    fn lists(&self, area: &mut Area, service: &Service) {
        let named = |name: &str| format!("{} {name}", service.name);
        for list in [RECIPIENT, END_OF_DATA] {
            for asked in services(&self.list(service, list)) {
                self.order(area, &named(list), service, &asked);
            }
        }
        let relay = self.list(service, RELAY);
        let of_recipients = relay.is_empty();
        let lets_relay = if of_recipients {
            self.list(service, RECIPIENT)
        } else {
            relay
        };
        let permits = words(&lets_relay).iter().any(|word| PERMITS.contains(word));
        let good = permits && ends_for_users(&lets_relay).is_none();
        let found = lets_relay;
        area.judge(
            &named(RELAY),
            good,
            if good { "users may relay" } else { &found },
            "users would get \"554 Relay access denied\": put permit_sasl_authenticated first",
        );
        for list in [CLIENT, HELO, SENDER, RECIPIENT] {
            let restrictions = self.list(service, list);
            if let Some(end) = ends_for_users(&restrictions)
                && !(list == RECIPIENT && of_recipients)
            {
                area.fail(
                    &format!("{} for users", named(list)),
                    &format!("{end} applies to users: {restrictions}"),
                    &format!("users would be rejected: put permit_sasl_authenticated before {end}"),
                );
            }
        }
        self.sender_maps(area, service, &named);
    }

    fn order(
        &self,
        area: &mut Area,
        check: &str,
        service: &Service,
        asked: &restrictions::PolicyService,
    ) {
        if !asked.skipped_by.is_empty() {
            area.warn(
                &format!("{check} order"),
                &format!(
                    "{} before check_policy_service accepts mail unchecked",
                    asked.skipped_by.join(", ")
                ),
                "put check_policy_service first",
            );
        }
        let action = asked
            .default_action
            .unwrap_or_else(|| self.value(service, "smtpd_policy_service_default_action"));
        let action = action.split(' ').next().unwrap_or_default().to_uppercase();
        if ["DUNNO", "OK", "PERMIT", "WARN", "INFO"].contains(&action.as_str()) {
            area.warn(
                &format!("{check} default_action"),
                &format!(
                    "default_action={action}: mail is not counted while serve does not answer"
                ),
                "set default_action=DEFER to defer mail instead",
            );
        }
    }

    /// Checks Postfix's own map of senders, which decides beside smtpcred.
    fn sender_maps(&self, area: &mut Area, service: &Service, named: &dyn Fn(&str) -> String) {
        const EVERY: [&str; 2] = [
            "reject_sender_login_mismatch",
            "reject_authenticated_sender_login_mismatch",
        ];
        const KNOWN: &str = "reject_known_sender_login_mismatch";
        let maps = self.value(service, "smtpd_sender_login_maps");
        let lists = [SENDER, RELAY, RECIPIENT].map(|list| self.list(service, list));
        let used = |wanted: &[&str]| {
            lists
                .iter()
                .any(|list| words(list).iter().any(|word| wanted.contains(word)))
        };
        if used(&EVERY) && maps.is_empty() {
            area.fail(
                &named("smtpd_sender_login_maps"),
                "empty, but senders are looked up in it, so each is rejected (553)",
                "remove reject_sender_login_mismatch: the policy service checks senders",
            );
        } else if !maps.is_empty() && (used(&EVERY) || used(&[KNOWN])) {
            area.warn(
                &named("smtpd_sender_login_maps"),
                &format!("{maps}: a second list of senders beside smtpcred's"),
                "a sender must be in both; use only `smtpcred user set USERNAME --sender ADDRESS`",
            );
        } else {
            area.ok(&named("smtpd_sender_login_maps"), "not used");
        }
    }

    /// Checks that its processes, with the groups of its user, can connect.
    fn may_connect(&self, area: &mut Area, known: &KnownSockets, used: &KnownSockets) {
        let owner = match self.main("mail_owner") {
            "" => "postfix",
            owner => owner,
        };
        let Some(who) = Identity::named(owner) else {
            return;
        };
        let group =
            "SocketGroup=postfix (or ,group=postfix for smtpcred serve) opens it for Postfix";
        for (name, known, used) in [
            ("auth", &known.auth, &used.auth),
            ("policy", &known.policy, &used.policy),
        ] {
            for endpoint in known
                .iter()
                .filter(|one| used.iter().any(|two| one.is(two)))
            {
                endpoint.judge_access(area, name, &who, group);
            }
        }
    }

    /// Returns the socket that a service calls by this name.
    fn endpoint(&self, service: &Service, name: &str) -> Endpoint {
        if let Some(address) = name.strip_prefix("inet:") {
            // A port without a host is on this machine.
            return Endpoint::Inet(if address.contains(':') {
                address.to_owned()
            } else {
                format!("localhost:{address}")
            });
        }
        let path = Path::new(name.strip_prefix("unix:").unwrap_or(name));
        let queue = Path::new(self.main("queue_directory"));
        if path.is_relative() {
            return Endpoint::Unix(queue.join(path));
        }
        if service.chroot {
            return Endpoint::Unix(queue.join(path.strip_prefix("/").unwrap_or(path)));
        }
        Endpoint::unix(path)
    }

    /// Returns the name by which a service must call a socket.
    fn spelled(&self, service: &Service, endpoint: &Endpoint, of_policy: bool) -> String {
        let queue = PathBuf::from(self.main("queue_directory"));
        let queue = std::fs::canonicalize(&queue).unwrap_or(queue);
        match endpoint {
            Endpoint::Inet(address) => format!("inet:{address}"),
            Endpoint::Unix(path) => {
                let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
                let inside = real.strip_prefix(&queue).ok();
                let shown = match inside {
                    Some(inside) if service.chroot => inside.display(),
                    _ => path.display(),
                };
                let unix = if of_policy { "unix:" } else { "" };
                format!("{unix}{shown}")
            }
        }
    }
}

fn names_us(endpoint: &Endpoint) -> bool {
    endpoint.to_string().contains("smtpcred")
}

fn described(service: &Service, path: &str, auth: &Endpoint) -> String {
    if service.chroot && path.starts_with('/') {
        return format!("{path}, which is {auth} in its chroot");
    }
    if path == auth.to_string() {
        return format!("{path}, where smtpcred serve does not listen");
    }
    format!("{path}, which is {auth}, where smtpcred serve does not listen")
}
