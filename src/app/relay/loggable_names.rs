//! How names given by strangers are logged and stored (promise 1).
//!
//! A name is written only if it is a username or could be one: its domain is in the
//! store, and the part before the `@` is too short for a password. Anything else becomes
//! a keyed hash, which only shows whether two of them are the same. The key exists only
//! in memory and is new at each start, except after a replacement in place: stored beside the
//! hashes, it would make them a quick test for guesses at a chosen password.

use super::sign_in::keyed;
use super::{Attempt, Relay};
use crate::app::verify::read;
use crate::model::name::{DomainName, Username};
use crate::model::refused_sign_ins::RefusalReason;
use crate::model::stranger::{WrittenName, may_be_password, meant};
use crate::model::text::hexadecimal;

/// Bytes of a hash: 8 characters, enough to distinguish a few thousand names.
const HASH: usize = 4;

impl Relay {
    /// Returns the name of a refused attempt in the form that may be written. An
    /// error of the store hides the name.
    pub fn written_attempt(&mut self, attempt: &Attempt, reason: RefusalReason) -> WrittenName {
        // A recent answer is not looked up again: many guesses use names of no user.
        let is_user = match reason {
            _ if attempt.username.parse::<Username>().is_err() => None,
            RefusalReason::UnknownUser => Some(false),
            RefusalReason::WrongPassword
            | RefusalReason::OldPassword
            | RefusalReason::Suspended
            | RefusalReason::Expired
            | RefusalReason::AddressNotAllowed => Some(true),
            _ => None,
        };
        self.written(&attempt.username, &attempt.password, is_user)
    }

    /// Does the same for names from a mail server: the signed-in user and the sender
    /// address.
    pub fn written_name(&mut self, name: &str) -> WrittenName {
        self.written(name, b"", None)
    }

    fn written(&mut self, name: &str, password: &[u8], is_user: Option<bool>) -> WrittenName {
        if name.is_empty() {
            return WrittenName::none();
        }
        let Some(username) = meant(name) else {
            return self.hidden(name, None);
        };
        if is_user.unwrap_or_else(|| self.is_user(&username)) {
            return WrittenName::shown(name);
        }
        let domain = username.domain();
        if !self.is_domain(&domain) {
            return self.hidden(name, None);
        }
        // If the two fields are swapped, a chosen password may look like a username.
        let swapped = std::str::from_utf8(password)
            .is_ok_and(|password| meant(password).is_some() || password.eq_ignore_ascii_case(name));
        if swapped || may_be_password(username.local_part()) {
            return self.hidden(name, Some(domain.as_str()));
        }
        WrittenName::shown(name)
    }

    fn hidden(&self, name: &str, domain: Option<&str>) -> WrittenName {
        let hash = keyed(&self.sign_ins.secret, b'h', &[name.as_bytes()]);
        WrittenName::hidden(&hexadecimal(&hash[..HASH]), domain)
    }

    fn is_user(&mut self, username: &Username) -> bool {
        let generation = self.reader.generation();
        let known = self.sign_ins.users.get_mut(username.as_str());
        known.is_some_and(|known| known.generation == generation)
            || self
                .store()
                .is_ok_and(|store| matches!(read(store, username), Ok(Some(_))))
    }

    fn is_domain(&mut self, domain: &DomainName) -> bool {
        let generation = self.reader.generation();
        if let Some((read, is_ours)) = self.domains.get_mut(domain.as_str())
            && *read == generation
        {
            return *is_ours;
        }
        let Ok(found) = self.store().and_then(|store| store.domain(domain)) else {
            return false;
        };
        let is_ours = found.is_some();
        self.domains
            .insert(domain.as_str().into(), (generation, is_ours));
        is_ours
    }
}
