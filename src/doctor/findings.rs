//! The results of checks.

use std::path::Path;

use crate::error::Error;

/// Returns a path as one word of a shell.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckState {
    /// All is well.
    Ok,
    /// It works, but should be looked at.
    Warn,
    /// It does not work.
    Fail,
}

/// The result of one check.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The part of the chain.
    pub area: &'static str,
    /// What was checked.
    pub check: String,
    /// How it ended.
    pub state: CheckState,
    /// What was found.
    pub found: String,
    /// What to do about it, often a command.
    pub advice: Option<String>,
}

/// One line that a mail server's configuration should have.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The service or file.
    pub place: String,
    /// The line as it should be.
    pub wanted: String,
    /// The line as it is.
    pub found: String,
    /// What was found does what is wanted.
    pub good: bool,
}

/// All findings so far.
#[derive(Default)]
pub struct Findings(Vec<Finding>);

/// Adds findings of one area.
pub struct Area<'a> {
    name: &'static str,
    all: &'a mut Findings,
}

impl CheckState {
    /// Returns the word for scripts and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl Findings {
    /// Returns an area to add findings to.
    pub const fn area(&mut self, name: &'static str) -> Area<'_> {
        Area { name, all: self }
    }

    /// Adds findings after the present ones.
    pub fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// Returns the findings in the order in which they were added.
    pub fn into_list(self) -> Vec<Finding> {
        self.0
    }

    /// Returns whether there are no findings.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether a check in one of these areas has failed.
    pub fn fails_in(&self, areas: &[&str]) -> bool {
        let fails = |finding: &&Finding| finding.state == CheckState::Fail;
        let mut failing = self.0.iter().filter(fails);
        failing.any(|finding| areas.contains(&finding.area))
    }
}

impl Area<'_> {
    /// Adds a finding that is fine.
    pub fn ok(&mut self, check: &str, found: &str) {
        self.add(check, CheckState::Ok, found, None);
    }

    /// Adds a finding that should be looked at. An empty `advice` is left out.
    pub fn warn(&mut self, check: &str, found: &str, advice: &str) {
        self.add(check, CheckState::Warn, found, Some(advice));
    }

    /// Adds a finding of something that does not work. An empty `advice` is left out.
    pub fn fail(&mut self, check: &str, found: &str, advice: &str) {
        self.add(check, CheckState::Fail, found, Some(advice));
    }

    /// Adds an error and what to do about it.
    pub fn error(&mut self, check: &str, error: &Error) {
        let advice = error.hint().unwrap_or_default();
        self.fail(check, &error.to_string(), &advice);
    }

    /// Warns of a check that needs root's rights.
    pub fn cannot_tell(&mut self, check: &str, found: &str) {
        self.warn(check, &format!("cannot tell: {found}"), "run this as root");
    }

    /// Adds a finding that is fine or has failed.
    pub fn judge(&mut self, check: &str, good: bool, found: &str, advice: &str) {
        if good {
            self.ok(check, found);
        } else {
            self.fail(check, found, advice);
        }
    }

    fn add(&mut self, check: &str, state: CheckState, found: &str, advice: Option<&str>) {
        self.all.0.push(Finding {
            area: self.name,
            check: check.to_owned(),
            state,
            found: found.to_owned(),
            advice: advice
                .filter(|advice| !advice.is_empty())
                .map(str::to_owned),
        });
    }
}

impl Compared {
    /// Compares a line with what was found in its place.
    pub fn new(place: &str, wanted: &str, found: &str, good: bool) -> Self {
        Self {
            place: place.to_owned(),
            wanted: wanted.to_owned(),
            found: found.to_owned(),
            good,
        }
    }

    /// Compares a line that is there or missing.
    pub fn there(place: &str, wanted: &str, good: bool) -> Self {
        Self::new(place, wanted, if good { "yes" } else { "missing" }, good)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_can_be_typed() {
        for (path, typed) in [
            ("/var/lib/a_b-1.db", "/var/lib/a_b-1.db"),
            ("/my store/s.db", "'/my store/s.db'"),
            ("/it's", r"'/it'\''s'"),
            ("/a;$(b)*", "'/a;$(b)*'"),
            ("/~x", "'/~x'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(Path::new(path)), typed);
        }
    }
}
