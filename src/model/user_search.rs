//! Which users a person looks for, and in which order.

use std::str::FromStr;

use super::name::in_both_forms;
use super::text::{invalid, is_printable};
use super::user::User;
use crate::error::{Error, Result};

/// A part of a username or label; case is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchText(String);

impl SearchText {
    /// In characters.
    const MAX: usize = 300;

    /// Returns whether the username or the label contains it.
    pub fn matches(&self, username: &str, label: Option<&str>) -> bool {
        let in_unicode = || in_both_forms(username).is_some_and(|both| both.contains(&self.0));
        let in_label = |label: &str| label.to_lowercase().contains(&self.0);
        username.contains(&self.0) || label.is_some_and(in_label) || in_unicode()
    }

    /// Returns whether it is in the name or label of this user.
    pub fn finds(&self, user: &User) -> bool {
        self.matches(user.username.as_str(), user.label.as_deref())
    }
}

impl FromStr for SearchText {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let empty = text.trim().is_empty();
        if empty || text.chars().nth(Self::MAX).is_some() || !text.chars().all(is_printable) {
            let rule = format!("part of a name or label: 1 to {} characters", Self::MAX);
            return Err(invalid("text", text, rule));
        }
        Ok(Self(text.to_lowercase()))
    }
}

/// The order of a list of users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserSort {
    /// By username.
    #[default]
    Name,
    /// The oldest password first.
    Age,
    /// The latest connection first.
    Used,
    /// The next expiry first.
    Expires,
    /// The newest user first.
    Created,
}

impl UserSort {
    /// All orders.
    pub const ALL: [Self; 5] = [
        Self::Name,
        Self::Age,
        Self::Used,
        Self::Expires,
        Self::Created,
    ];

    /// Returns the name on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Age => "age",
            Self::Used => "used",
            Self::Expires => "expires",
            Self::Created => "created",
        }
    }
}

impl FromStr for UserSort {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let named = Self::ALL.into_iter().find(|sort| sort.name() == text);
        named.ok_or_else(|| invalid("order", text, Self::ALL.map(Self::name).join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_makes_no_difference() {
        let found = |text: &str, label| {
            let text: SearchText = text.parse().unwrap();
            text.matches("shop@example.com", label)
        };
        assert!(found("SHOP@", None) && found("ple.c", None));
        assert!(found("über", Some("ÜBERSICHT")) && found("会計", Some("会計システム")));
        let idn: SearchText = "Bücher".parse().unwrap();
        assert!(idn.matches("shop@xn--bcher-kva.example", None));
        assert!(!found("mail", None) && !found("mail", Some("Shop")));
        for bad in ["", " ", "a\nb", &"x".repeat(301)] {
            assert!(bad.parse::<SearchText>().is_err(), "{bad:?}");
        }
    }
}
