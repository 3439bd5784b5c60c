//! Exports users: to files that an import reads again, and to other systems.

use super::{App, need_domain};
use crate::error::Result;
use crate::model::name::DomainName;
use crate::model::time::Time;
use crate::model::transfer::{StoredPassword, StoredUser};

/// A user with its live passwords.
pub struct Exported {
    /// The user.
    pub user: StoredUser,
    /// The newest live password.
    pub password: Option<StoredPassword>,
    /// The old password, while it still works.
    pub old: Option<StoredPassword>,
    /// Whether it is suspended or has expired.
    pub stopped: bool,
}

impl App {
    /// Calls `each` for all users, or those of a domain, by username, in constant memory.
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
            .stored_users(domain, &mut |user| each(exported(user, now)))
    }
}

fn exported(user: StoredUser, now: Time) -> Exported {
    let mut live: Vec<_> = user.live(now).cloned().collect();
    // The password that does not retire comes first.
    live.sort_by_key(|p| p.retires_at.is_some());
    let mut live = live.into_iter();
    let passed = |at: Option<i64>| at.is_some_and(|at| at != 0 && at <= now.epoch());
    Exported {
        stopped: user.record.suspended_at.is_some_and(|at| at != 0)
            || passed(user.record.expires_at),
        password: live.next(),
        old: live.next(),
        user,
    }
}

impl Exported {
    /// Returns the hash in Dovecot's form, or `None` if other programs that read that form
    /// do not know the scheme.
    pub fn for_dovecot(&self) -> Option<String> {
        let hash = self.password.as_ref()?.hash.as_deref()?;
        let Some((scheme, data)) = hash.strip_prefix('{').and_then(|rest| rest.split_once('}'))
        else {
            return Some(format!("{{ARGON2ID}}{hash}"));
        };
        match scheme {
            // Schemes of crypt(3) on the machine.
            "YESCRYPT" => Some(format!("{{CRYPT}}{data}")),
            "SCRYPT" if data.starts_with("$7$") => Some(format!("{{CRYPT}}{data}")),
            "SCRYPT" | "APR1" | "PBKDF2-SHA256" | "PBKDF2-SHA512" => None,
            "PBKDF2" if !data.starts_with("$1$") => None,
            _ => Some(hash.to_owned()),
        }
    }
}
