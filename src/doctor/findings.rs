//! What came of an examination.

use std::path::Path;

/// As a shell takes it for one word.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub struct Finding {
    pub area: &'static str,
    pub check: String,
    pub state: State,
    pub found: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// One thing that a mail server's configuration should say.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Of which service or file.
    pub place: String,
    pub wanted: String,
    pub found: String,
    pub good: bool,
}

#[derive(Default)]
pub struct Findings(Vec<Finding>);

/// Those of one area.
pub struct Area<'a> {
    name: &'static str,
    all: &'a mut Findings,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl Findings {
    pub const fn area(&mut self, name: &'static str) -> Area<'_> {
        Area { name, all: self }
    }

    pub fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    pub fn into_list(self) -> Vec<Finding> {
        self.0
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn fails_in(&self, areas: &[&str]) -> bool {
        let fails = |finding: &&Finding| finding.state == State::Fail;
        let mut failing = self.0.iter().filter(fails);
        failing.any(|finding| areas.contains(&finding.area))
    }
}

impl Area<'_> {
    pub fn ok(&mut self, check: &str, found: &str) {
        self.add(check, State::Ok, found, None);
    }

    pub fn warn(&mut self, check: &str, found: &str, advice: &str) {
        self.add(check, State::Warn, found, Some(advice));
    }

    pub fn fail(&mut self, check: &str, found: &str, advice: &str) {
        self.add(check, State::Fail, found, Some(advice));
    }

    /// Something that this user may not read.
    pub fn cannot_tell(&mut self, check: &str, found: &str) {
        self.warn(check, &format!("cannot tell: {found}"), "run this as root");
    }

    pub fn judge(&mut self, check: &str, good: bool, found: &str, advice: &str) {
        if good {
            self.ok(check, found);
        } else {
            self.fail(check, found, advice);
        }
    }

    fn add(&mut self, check: &str, state: State, found: &str, advice: Option<&str>) {
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
    pub fn new(place: &str, wanted: &str, found: &str, good: bool) -> Self {
        Self {
            place: place.to_owned(),
            wanted: wanted.to_owned(),
            found: found.to_owned(),
            good,
        }
    }

    pub fn there(place: &str, wanted: &str, good: bool) -> Self {
        Self::new(place, wanted, if good { "yes" } else { "not there" }, good)
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
