//! The person behind a change, also through sudo or su, as far as the machine knows.

use super::text;

/// The person or job that changed a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The name of the person, or of the owner of a cron job.
    pub name: String,
    /// The user that the program ran as, if that is another one.
    pub run_as: Option<String>,
    /// The machine's name.
    pub host: String,
}

/// What the machine says about this process.
#[derive(Debug, Default)]
pub struct Traces {
    /// The name of the effective user id.
    pub effective: String,
    /// The name of the kernel's login uid, which survives su and sudo and which only
    /// root can set.
    pub login: Option<String>,
    /// `SUDO_USER` or `DOAS_USER`, which any user can set.
    pub behind_sudo: Option<String>,
    /// Whether the real user ID is root's, so that sudo or doas (or root itself) set the
    /// variable.
    pub is_root: bool,
    /// The machine's name.
    pub host: String,
}

/// In characters; they are names, and come from the environment.
const MAX_NAME: usize = 64;

impl Actor {
    /// Decides which of the names is the person's. Escapes and shortens all names.
    pub fn from_traces(traces: Traces) -> Self {
        let short = |name: &str| text::escaped(&name.chars().take(MAX_NAME).collect::<String>());
        let said = traces.behind_sudo.filter(|_| traces.is_root);
        let person = traces
            .login
            .or(said)
            .filter(|name| !name.is_empty() && *name != traces.effective);
        let effective = short(&traces.effective);
        let (name, run_as) = match person {
            Some(person) => (short(&person), Some(effective)),
            None => (effective, None),
        };
        Self {
            name,
            run_as,
            host: short(&traces.host),
        }
    }

    /// Returns the actor as a database names it that knows who logged in: its events name that
    /// user, and keep beside it what the program says.
    #[must_use]
    pub fn signed_by(self, user: &str) -> Self {
        if self.name == user {
            return self;
        }
        let run_as = self
            .run_as
            .map_or_else(String::new, |run_as| format!(" as {run_as}"));
        Self {
            name: user.to_owned(),
            run_as: Some(format!("{}{run_as}", self.name)),
            host: self.host,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(
        effective: &str,
        login: Option<&str>,
        behind_sudo: Option<&str>,
    ) -> (String, Option<String>) {
        let actor = Actor::from_traces(Traces {
            effective: effective.into(),
            login: login.map(Into::into),
            behind_sudo: behind_sudo.map(Into::into),
            is_root: effective == "root",
            host: "relay".into(),
        });
        (actor.name, actor.run_as)
    }

    #[test]
    fn p5_the_person_is_named_also_behind_sudo_and_su() {
        let as_root = |name: &str| (name.to_owned(), Some("root".to_owned()));
        assert_eq!(who("ana", Some("ana"), None), ("ana".into(), None));
        assert_eq!(who("root", Some("ana"), Some("ana")), as_root("ana"));
        assert_eq!(who("root", Some("ana"), None), as_root("ana"));
        // In a container there is no login.
        assert_eq!(who("root", None, Some("ana")), as_root("ana"));
        assert_eq!(who("root", None, Some("root")), ("root".into(), None));
        assert_eq!(who("root", None, Some("a\x1b[2J")).0, r"a\u{1b}[2J");
    }

    #[test]
    fn p5_nobody_passes_for_another() {
        assert_eq!(who("nobody", None, Some("ceo")), ("nobody".into(), None));
        let ana = who("ana", Some("ana"), Some("ceo"));
        assert_eq!(ana, ("ana".into(), None));
        let root = who("root", Some("ana"), Some("ceo"));
        assert_eq!(root, ("ana".into(), Some("root".into())));
        // A job of root's own.
        assert_eq!(
            who("root", Some("root"), Some("ceo")),
            ("root".into(), None)
        );
    }
}
