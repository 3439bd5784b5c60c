//! Roles: what others than the store's owner may do over SSH or sudo.

use std::fmt;
use std::str::FromStr;

use super::name::{DomainName, Username};
use super::text::invalid;
use super::time::Time;
use crate::error::{Error, Result};

/// The name of the holder of a role, in the form of a login name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HolderName(String);

/// In characters.
const MAX_NAME: usize = 64;

const NAME_RULE: &str = "up to 64 of A-Z a-z 0-9 . _ @ + -, beginning with a letter, a digit or _";

impl HolderName {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HolderName {
    type Err = Error;

    /// A name that begins with a hyphen would be an option somewhere.
    fn from_str(text: &str) -> Result<Self> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._@+-".contains(c);
        let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        if begins && text.len() <= MAX_NAME && text.chars().all(fits) {
            return Ok(Self(text.to_owned()));
        }
        Err(invalid("name of a holder", text, NAME_RULE))
    }
}

impl fmt::Display for HolderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a holder may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HolderRole {
    /// Reads.
    Viewer,
    /// Creates, changes and deletes users.
    Operator,
    /// Renews the password of one user.
    Own,
}

impl HolderRole {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Own];

    /// Returns the name on command lines and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Own => "self",
        }
    }
}

impl FromStr for HolderRole {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|role| role.name() == text);
        found.ok_or_else(|| Error::Usage("a role is viewer, operator or self".into()))
    }
}

impl fmt::Display for HolderRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a role is about: nothing else exists for its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All domains and their users, also later ones.
    All,
    /// These domains and their users, sorted.
    Domains(Vec<DomainName>),
    /// One user.
    User(Username),
}

impl Reach {
    /// Returns whether a user is within it.
    pub fn has_user(&self, username: &Username) -> bool {
        match self {
            Self::All => true,
            Self::Domains(domains) => domains.contains(&username.domain()),
            Self::User(own) => own == username,
        }
    }

    /// Returns whether a domain is within it, or that of its user.
    pub fn has_domain(&self, domain: &DomainName) -> bool {
        match self {
            Self::All => true,
            Self::Domains(domains) => domains.contains(domain),
            Self::User(own) => own.domain() == *domain,
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all domains"),
            Self::Domains(domains) => {
                let names: Vec<_> = domains.iter().map(DomainName::as_str).collect();
                f.write_str(&names.join(", "))
            }
            Self::User(username) => f.write_str(username.as_str()),
        }
    }
}

/// A role and its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenRole {
    /// Its holder.
    pub holder: HolderName,
    /// What it allows.
    pub role: HolderRole,
    /// What it is about.
    pub reach: Reach,
    /// The most changes within an hour.
    pub hourly_changes: u32,
    /// When it was granted.
    pub granted_at: Time,
}

impl GivenRole {
    /// The most changes within an hour, unless the owner says otherwise.
    pub const HOURLY_CHANGES: u32 = 100;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_like_options_or_paths_are_refused() {
        for good in ["ana", "Ana.B", "_app", "0x", "ana@example.com", "ci+1-a"] {
            assert_eq!(good.parse::<HolderName>().unwrap().as_str(), good);
        }
        let long = "a".repeat(65);
        let bad = [
            "", "-a", "--store", ".a", "a b", "a/b", "a\n", "é", "a;b", "@a",
        ];
        for bad in bad.into_iter().chain([long.as_str()]) {
            assert!(bad.parse::<HolderName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_reach_ends_at_its_domains() {
        let user = |name: &str| name.parse::<Username>().unwrap();
        let domain = |name: &str| name.parse::<DomainName>().unwrap();
        let domains = Reach::Domains(vec![domain("example.com")]);
        assert!(domains.has_user(&user("shop@example.com")));
        assert!(!domains.has_user(&user("shop@sub.example.com")));
        assert!(!domains.has_domain(&domain("example.org")));
        let own = Reach::User(user("shop@example.com"));
        assert!(own.has_user(&user("SHOP@example.com")));
        assert!(!own.has_user(&user("shop2@example.com")));
        assert!(own.has_domain(&domain("example.com")));
        let none = Reach::Domains(Vec::new());
        assert!(!none.has_user(&user("shop@example.com")));
    }
}
