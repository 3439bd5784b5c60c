//! Who did it: the person, also behind sudo or su, as far as the machine knows.

use super::text;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Who sat at the keyboard, or whose cron job it was.
    pub name: String,
    /// Whom the program ran as, where that is another.
    pub run_as: Option<String>,
    pub host: String,
}

/// What the machine says about this process.
#[derive(Debug, Default)]
pub struct Traces {
    /// The name of the effective user id.
    pub effective: String,
    /// `SUDO_USER` or `DOAS_USER`.
    pub behind_sudo: Option<String>,
    /// The name of the kernel's login uid, which survives su and sudo.
    pub login: Option<String>,
    pub host: String,
}

/// In characters; they are names, and come from the environment.
const MAX_NAME: usize = 64;

impl Actor {
    pub fn from_traces(traces: Traces) -> Self {
        let short = |name: &str| text::escaped(&name.chars().take(MAX_NAME).collect::<String>());
        let person = [traces.behind_sudo, traces.login]
            .into_iter()
            .flatten()
            .find(|name| !name.is_empty() && *name != traces.effective);
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(
        effective: &str,
        behind_sudo: Option<&str>,
        login: Option<&str>,
    ) -> (String, Option<String>) {
        let actor = Actor::from_traces(Traces {
            effective: effective.into(),
            behind_sudo: behind_sudo.map(Into::into),
            login: login.map(Into::into),
            host: "relay".into(),
        });
        (actor.name, actor.run_as)
    }

    #[test]
    fn p5_the_person_is_named_also_behind_sudo_and_su() {
        assert_eq!(who("ana", None, Some("ana")), ("ana".into(), None));
        assert_eq!(
            who("root", Some("ana"), Some("ana")),
            ("ana".into(), Some("root".into()))
        );
        assert_eq!(
            who("root", None, Some("ana")),
            ("ana".into(), Some("root".into()))
        );
        assert_eq!(who("root", Some("root"), None), ("root".into(), None));
        assert_eq!(who("root", Some("a\x1b[2J"), None).0, r"a\u{1b}[2J");
    }
}
