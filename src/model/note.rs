//! Notes: what an admin wants to remember about a user.

use super::password::generated_form_in;
use super::text::{invalid, is_printable};
use crate::error::{Error, Result};

/// A note about a user. For people only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note(String);

impl Note {
    /// In characters.
    const MAX: usize = 1000;

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Note {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let note = text.trim_matches(' ');
        let printable = note.chars().all(is_printable);
        // One line: it stands in tables, in the events and in lines of CSV.
        if note.is_empty() || !printable || note.chars().count() > Self::MAX {
            let rule = format!("one line of 1 to {} printable characters", Self::MAX);
            return Err(invalid("note", text, rule));
        }
        if generated_form_in(note).is_some() {
            return Err(invalid(
                "note",
                text,
                "not a password: notes are not secret",
            ));
        }
        Ok(Self(note.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_one_printable_line() {
        assert_eq!(" a b ".parse::<Note>().unwrap().as_str(), "a b");
        assert!("é".repeat(1000).parse::<Note>().is_ok());
        for bad in ["", " ", "a\nb", "a\x1b[0m", &"x".repeat(1001)] {
            assert!(bad.parse::<Note>().is_err(), "{bad:?}");
        }
        let password = "old: smtpc_pq7TQ3kyaYcLvg9ESC2p8PCueReR89";
        assert!(password.parse::<Note>().is_err());
    }
}
