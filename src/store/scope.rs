//! The owners of limits, counts and rotation rules.

use crate::model::name::{DomainName, Username};

/// The owner of limits and counts: a user, a domain, or the installation. Every message of a
/// user counts for all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope<'a>(&'a str);

impl<'a> Scope<'a> {
    /// All users together.
    pub const INSTALLATION: Self = Scope("");

    /// Returns the scope of a user.
    pub fn user(username: &'a Username) -> Self {
        Self(username.as_str())
    }

    /// Returns the scope of a domain.
    pub fn domain(domain: &'a DomainName) -> Self {
        Self(domain.as_str())
    }

    /// Returns the scopes of a user, of its domain, and of the installation.
    pub fn all(username: &'a Username) -> [Self; 3] {
        let domain = &username.as_str()[username.local_part().len() + 1..];
        [Self(username.as_str()), Self(domain), Self::INSTALLATION]
    }

    /// Returns the owner as the store names it; empty for the installation.
    pub(super) const fn as_str(self) -> &'a str {
        self.0
    }

    /// Returns the name for messages.
    pub fn name(self) -> &'a str {
        if self.0.is_empty() {
            "the installation"
        } else {
            self.0
        }
    }
}
