//! Giving users out: to files that an import takes back, and to other systems.

use super::{App, need_domain};
use crate::error::Result;
use crate::model::name::DomainName;
use crate::model::roster::{Kept, KeptPassword};
use crate::model::time::Time;

/// A user, and its passwords that work: the newest, and one beside it.
pub struct Exported {
    pub user: Kept,
    pub password: Option<KeptPassword>,
    pub old: Option<KeptPassword>,
    /// It cannot sign in now, whatever the password.
    pub stopped: bool,
}

impl App {
    /// By username, in constant memory.
    pub fn export(
        &mut self,
        domain: Option<&DomainName>,
        each: &mut dyn FnMut(Exported) -> Result<()>,
    ) -> Result<()> {
        let now = self.now();
        if let Some(domain) = domain {
            need_domain(&mut self.store, domain)?;
        }
        self.store
            .kept(domain, &mut |user| each(exported(user, now)))
    }
}

fn exported(user: Kept, now: Time) -> Exported {
    let mut live: Vec<_> = user.live(now).cloned().collect();
    // The one that stays comes first.
    live.sort_by_key(|p| p.retires_at.is_some());
    let mut live = live.into_iter();
    let passed = |at: Option<i64>| at.is_some_and(|at| at != 0 && at <= now.epoch());
    Exported {
        stopped: user.entry.suspended_at.is_some_and(|at| at != 0) || passed(user.entry.expires_at),
        password: live.next(),
        old: live.next(),
        user,
    }
}

impl Exported {
    /// In the form other programs that read Dovecot's take; nothing for a hash that
    /// none of them knows.
    pub fn for_dovecot(&self) -> Option<String> {
        let hash = self.password.as_ref()?.hash.as_deref()?;
        let Some((scheme, data)) = hash.strip_prefix('{').and_then(|rest| rest.split_once('}'))
        else {
            return Some(format!("{{ARGON2ID}}{hash}"));
        };
        match scheme {
            // By the crypt(3) of the machine.
            "YESCRYPT" => Some(format!("{{CRYPT}}{data}")),
            "SCRYPT" if data.starts_with("$7$") => Some(format!("{{CRYPT}}{data}")),
            "SCRYPT" | "APR1" | "PBKDF2-SHA256" | "PBKDF2-SHA512" => None,
            "PBKDF2" if !data.starts_with("$1$") => None,
            _ => Some(hash.to_owned()),
        }
    }
}
