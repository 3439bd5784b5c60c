//! Labels: what a user is for.

use super::password::generated_form_in;
use super::text::{invalid, is_printable};
use crate::error::{Error, Result};

/// What a user is for, in the admin's words ("WordPress"). For people only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label(String);

impl Label {
    /// In characters.
    const MAX: usize = 100;

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Label {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let label = text.trim_matches(' ');
        let printable = label.chars().all(is_printable);
        if label.is_empty() || !printable || label.chars().count() > Self::MAX {
            return Err(invalid(
                "label",
                text,
                format!("one line of 1 to {} printable characters", Self::MAX),
            ));
        }
        if generated_form_in(label).is_some() {
            return Err(invalid(
                "label",
                text,
                "not a password: labels are not secret",
            ));
        }
        Ok(Self(label.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_one_printable_line() {
        assert_eq!(
            "  Word Press ".parse::<Label>().unwrap().as_str(),
            "Word Press"
        );
        for bad in ["", "  ", "a\nb", "a\x1b[0m", "a\u{202e}b", &"x".repeat(101)] {
            assert!(bad.parse::<Label>().is_err(), "{bad:?}");
        }
        assert!("é".repeat(100).parse::<Label>().is_ok());
        let password = "smtpc_pq7TQ3kyaYcLvg9ESC2p8PCueReR89";
        for bad in [
            password,
            &password.to_lowercase(),
            &format!("old: {password}"),
        ] {
            assert!(bad.parse::<Label>().is_err());
        }
        assert!("smtpc_ for the shop".parse::<Label>().is_ok());
    }
}
