//! A service of master.cf that exists: what to change so that it signs users in, and what
//! stands against it. Pure.

use super::found::{
    AUTH, BEFORE, END_OF_DATA, Edit, Edits, Found, Line, POLICY, RECIPIENT, RELAY, Role, is_ours,
    is_yes,
};
use super::lists;
use crate::doctor::postfix::Service;
use crate::doctor::postfix::restrictions::{PERMITS, ends_for_users, services, words};
use crate::error::Result;
use crate::model::settings::Encryption;
use crate::setup::refusal::refused;

impl Found {
    /// Changes a service that exists.
    pub fn change(&self, role: &Role, line: &Line, replace: bool, edits: &mut Edits) -> Result<()> {
        let name = line.name.trim_end_matches("/inet");
        if line.command != "smtpd" {
            return Err(refused(
                format!("{name} runs {}, not smtpd", line.command),
                "let smtpd listen on this port, and try again",
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
        edits
            .sign_in_ports
            .push(self.sign_in_port(role.port, line.address));
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
                "{} signs users in through {by} ({}): they could no longer sign in",
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
                format!(
                    "{}: {name} rejects users with {end}, in {raw}",
                    service.name
                ),
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
                    "{} looks senders up in smtpd_sender_login_maps, which is empty: every user would be rejected (553)",
                    service.name
                ),
                "remove reject_sender_login_mismatch, because the policy service checks senders; then try again",
            ));
        }
        edits.warnings.push(format!(
            "{} also looks senders up in {maps}: every sender must be listed there, too",
            service.name
        ));
        Ok(())
    }

    fn is_policy(&self, service: &Service, name: &str) -> bool {
        let bare = name.strip_prefix("unix:").unwrap_or(name);
        let whole = format!("{}/{POLICY}", self.expanded.main("queue_directory"));
        bare == POLICY || !service.chroot && bare == whole
    }
}
