//! The mail servers of this machine, and the sockets of serve that they use.

use std::path::PathBuf;

use super::dovecot::Dovecot;
use super::exim::Exim;
use super::findings::Findings;
use super::options::{DoctorOptions, MailServer};
use super::postfix::Postfix;
use super::sockets::{self, Endpoint, KnownSockets};
use super::store::ExaminedStore;
use super::{access, tool};
use crate::error::Result;

/// The mail servers that are configured here.
#[derive(Default)]
pub struct MailServers {
    pub postfix: Option<Postfix>,
    pub exim: Option<Exim>,
    pub dovecot: Option<Dovecot>,
}

impl MailServers {
    /// Reads the configuration of each server that is set up here.
    pub fn read(findings: &mut Findings, options: &DoctorOptions, store: &ExaminedStore) -> Self {
        let wanted = |server, programs: &[&str]| match options.server {
            Some(only) => only == server,
            None => programs.iter().any(|program| tool::is_there(program)),
        };
        let asked = options.server.is_some();
        let config = options.config.as_deref();
        let mut servers = Self::default();
        if wanted(MailServer::Postfix, &["postconf"]) {
            let read = readable(findings, "postfix", Postfix::read(config));
            servers.postfix = read.filter(|postfix| asked || postfix.is_set_up());
        }
        if wanted(MailServer::Exim, &["exim4", "exim"]) {
            let read = readable(findings, "exim", Exim::read(config));
            servers.exim = read.filter(|exim| asked || exim.is_set_up());
        }
        if wanted(MailServer::Dovecot, &["doveconf"]) {
            let read = readable(findings, "dovecot", Dovecot::read(config));
            servers.dovecot =
                read.filter(|dovecot| asked || dovecot.is_set_up(store.file.as_deref()));
        }
        let none = servers.postfix.is_none() && servers.exim.is_none() && servers.dovecot.is_none();
        if none && findings.is_empty() {
            findings.area("server").warn(
                "configuration",
                "no mail server on this machine is configured for smtpcred",
                "smtpcred setup postfix (or exim, dovecot) configures it",
            );
        }
        servers
    }

    /// Returns where serve should listen: the sockets from the options, or the default ones
    /// that exist, or those that the mail servers use.
    pub fn known_sockets(&self, options: &DoctorOptions) -> KnownSockets {
        let configured = self.sockets();
        let needed = self.postfix.is_some() || self.exim.is_some();
        let known = |given: &Option<PathBuf>, name: &str, configured: Vec<Endpoint>| {
            if let Some(path) = given {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                return vec![Endpoint::Unix(path)];
            }
            let defaults = sockets::defaults(name);
            let there = |all: &[Endpoint]| -> Vec<Endpoint> {
                all.iter().filter(|one| one.is_there()).cloned().collect()
            };
            let found = [there(&defaults), there(&configured), configured];
            let found = found.into_iter().find(|all| !all.is_empty());
            let first = usize::from(self.postfix.is_none());
            let nowhere = || {
                if needed {
                    vec![defaults[first].clone()]
                } else {
                    Vec::new()
                }
            };
            found.unwrap_or_else(nowhere)
        };
        KnownSockets {
            auth: known(&options.auth, "auth", configured.auth),
            policy: known(&options.policy, "policy", configured.policy),
        }
    }

    /// Returns the sockets that the mail servers use.
    fn sockets(&self) -> KnownSockets {
        let mut known = KnownSockets::default();
        if let Some(postfix) = &self.postfix {
            known = postfix.sockets();
        }
        if let Some(exim) = &self.exim {
            let more = exim.sockets();
            known.auth.extend(more.auth);
            known.policy.extend(more.policy);
        }
        known
    }
}

fn readable<T>(findings: &mut Findings, area: &'static str, read: Result<T>) -> Option<T> {
    let error = match read {
        Ok(read) => return Some(read),
        Err(error) => error.to_string(),
    };
    let mut area = findings.area(area);
    let forbidden = error.to_lowercase().contains("permission denied");
    if forbidden && !access::is_root() {
        area.cannot_tell("configuration", &error);
    } else {
        area.fail(
            "configuration",
            &error,
            "fix the configuration, or name another with --config",
        );
    }
    None
}
