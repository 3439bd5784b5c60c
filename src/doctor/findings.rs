//! The results of checks.

use std::collections::HashMap;
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
    /// The finding that it follows from: area and check.
    pub because: Option<String>,
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
pub struct Findings {
    list: Vec<Finding>,
    /// The causes that several checks may meet, by area and what they have in common.
    met: HashMap<(&'static str, String), Cause>,
}

/// A finding that others follow from.
#[derive(Clone, Debug)]
pub struct Cause {
    /// Its area and check.
    name: String,
    /// It is a failure, and not only what this user cannot tell.
    pub fails: bool,
}

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
        self.list.extend(more.list);
    }

    /// Returns the findings in the order in which they were added.
    pub fn into_list(self) -> Vec<Finding> {
        self.list
    }

    /// Returns whether there are no findings.
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns the first failure that is like this and follows from no other.
    pub fn failure(&self, is_wanted: impl Fn(&Finding) -> bool) -> Option<Cause> {
        let fails = |one: &&Finding| one.state == CheckState::Fail && one.because.is_none();
        let found = self.list.iter().filter(fails).find(|one| is_wanted(one));
        found.map(Finding::cause)
    }

    /// Returns the first failure in these areas.
    pub fn failure_in(&self, areas: &[&str]) -> Option<Cause> {
        self.failure(|one| areas.contains(&one.area))
    }
}

impl Finding {
    fn cause(&self) -> Cause {
        Cause {
            name: format!("{} {}", self.area, self.check),
            fails: self.state == CheckState::Fail,
        }
    }
}

impl Area<'_> {
    /// Adds a finding that is fine.
    pub fn ok(&mut self, check: &str, found: &str) {
        self.add(check, CheckState::Ok, found, None, None);
    }

    /// Adds a finding that should be looked at. An empty `advice` is left out.
    pub fn warn(&mut self, check: &str, found: &str, advice: &str) {
        self.add(check, CheckState::Warn, found, Some(advice), None);
    }

    /// Adds a finding of something that does not work. An empty `advice` is left out.
    pub fn fail(&mut self, check: &str, found: &str, advice: &str) {
        self.add(check, CheckState::Fail, found, Some(advice), None);
    }

    /// Adds what follows from another finding, and needs nothing done about it.
    pub fn follows(&mut self, check: &str, found: &str, cause: &Cause) {
        let because = Some(cause.name.clone());
        self.add(check, CheckState::Warn, found, None, because);
    }

    /// Adds a finding that several checks of this area may meet: the first time as it is, then
    /// as what follows from that.
    pub fn add_once(&mut self, matter: &str, state: CheckState, texts: [&str; 3]) {
        let [check, found, advice] = texts;
        let key = (self.name, matter.to_owned());
        if let Some(cause) = self.all.met.get(&key).cloned() {
            return self.follows(check, found, &cause);
        }
        self.add(check, state, found, Some(advice), None);
        let cause = self.all.list.last().map(Finding::cause);
        self.all.met.extend(cause.map(|cause| (key, cause)));
    }

    /// Returns where a finding that is like this, and not ok, comes from.
    pub fn trouble(&self, is_wanted: impl Fn(&Finding) -> bool) -> Option<Cause> {
        let mut list = self.all.list.iter();
        let found = list.find(|one| one.state != CheckState::Ok && is_wanted(one))?;
        let mut cause = found.cause();
        cause.name = found.because.clone().unwrap_or(cause.name);
        Some(cause)
    }

    /// Returns the last finding of this area that is not ok.
    pub fn last_trouble(&self) -> Option<Cause> {
        let trouble = |one: &&Finding| one.area == self.name && one.state != CheckState::Ok;
        self.all.list.iter().rfind(trouble).map(Finding::cause)
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

    fn add(
        &mut self,
        check: &str,
        state: CheckState,
        found: &str,
        advice: Option<&str>,
        because: Option<String>,
    ) {
        self.all.list.push(Finding {
            area: self.name,
            check: check.to_owned(),
            state,
            found: found.to_owned(),
            advice: advice
                .filter(|advice| !advice.is_empty())
                .map(str::to_owned),
            because,
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
