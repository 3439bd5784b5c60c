//! How `smtpcred as` was called. Read word by word and not by clap: a sudoers rule may let its
//! caller write what it likes behind the first words, and no flag of that may get in between.

use std::ffi::{OsStr, OsString};

use crate::error::{Error, Result};
use crate::model::holder::HolderName;

/// The words of the owner of the store, and the command.
#[derive(Debug, Default)]
pub struct Called {
    pub store: Option<OsString>,
    pub name: Option<HolderName>,
    pub from_sudo: bool,
    /// The words behind `--`.
    pub command: Option<Vec<OsString>>,
}

impl Called {
    /// Returns `None` if it is another command, or asks for help.
    pub fn of(args: &[OsString]) -> Option<Result<Self>> {
        let mut called = Self::default();
        let (_, behind) = args.split_first()?;
        let mut args = behind.iter();
        loop {
            let word = args.next()?;
            match word
                .to_str()
                .map(|word| word.split_once('=').unwrap_or((word, "")))
            {
                Some(("as", "")) => break,
                Some(("--store", "")) if word == "--store" => {
                    called.store = Some(args.next()?.clone());
                }
                Some(("--store", store)) => called.store = Some(store.into()),
                _ => return None,
            }
        }
        let asks = |word: &OsStr| ["-h", "--help"].iter().any(|help| word == *help);
        if args.as_slice().first().is_some_and(|word| asks(word)) {
            return None;
        }
        Some(called.rest(args.as_slice()))
    }

    fn rest(mut self, words: &[OsString]) -> Result<Self> {
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.to_str() {
                Some("--") => {
                    self.command = Some(words.cloned().collect());
                    break;
                }
                Some("--from-sudo") => self.from_sudo = true,
                Some(name) if self.name.is_none() && !name.starts_with('-') => {
                    self.name = Some(name.parse()?);
                }
                _ => {
                    let how = "behind `as` come the name of a holder or --from-sudo, then -- and the command";
                    return Err(Error::Usage(how.into()));
                }
            }
        }
        if self.name.is_none() && !self.from_sudo {
            let needs = "`as` needs the name of a holder, or --from-sudo";
            return Err(Error::Usage(needs.into()));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(line: &str) -> Option<Result<Called>> {
        let args: Vec<_> = line.split(' ').map(OsString::from).collect();
        Called::of(&args)
    }

    #[test]
    fn nothing_gets_between_the_holder_and_its_command() {
        let ana = called("smtpcred --store /s as ana -- user list --store /x")
            .unwrap()
            .unwrap();
        assert_eq!(ana.store, Some("/s".into()));
        assert_eq!(ana.command.unwrap(), ["user", "list", "--store", "/x"]);
        let equal = called("smtpcred --store=/s as ana").unwrap().unwrap();
        assert_eq!((equal.store, equal.command), (Some("/s".into()), None));
        assert!(
            called("smtpcred as --from-sudo --")
                .unwrap()
                .unwrap()
                .from_sudo
        );
        for other in [
            "smtpcred",
            "smtpcred user list",
            "smtpcred --json as ana",
            "smtpcred as --help",
            "smtpcred -- smtpcred as ana",
            "smtpcred --store as",
        ] {
            assert!(called(other).is_none(), "{other}");
        }
        for refused in [
            "smtpcred as",
            "smtpcred as --",
            "smtpcred as ana user list",
            "smtpcred as ana --store /x -- user list",
            "smtpcred as ana --store=/x",
            "smtpcred as --from-sudo --store=/x -- user list",
            "smtpcred as --from-sudo ana --json",
            "smtpcred as ana -h",
            &["smtpcred as", "-ana"].join(" "),
            "smtpcred as a/b",
        ] {
            assert!(called(refused).unwrap().is_err(), "{refused}");
        }
    }
}
