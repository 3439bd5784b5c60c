//! Rotation: how often a password is replaced, to whom the new one is
//! delivered, and what becomes of the old one.

use std::fmt;
use std::str::FromStr;

use super::duration::Duration;
use super::name::Username;
use super::password::KeyId;
use super::settings::Setting;
use super::text::invalid;
use super::time::Time;
use crate::error::{Error, Result};

/// A program and its arguments. No shell reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine(Vec<String>);

/// A file whose name may have `{username}` and `{domain}` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate(String);

/// The name of a variable in a file of such.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableName(String);

/// Where a new password goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    pub command: Option<CommandLine>,
    /// The password and a newline.
    pub write_file: Option<PathTemplate>,
    /// One line of a file of variables.
    pub write_env: Option<PathTemplate>,
    pub env_name: Option<VariableName>,
    /// Of the command.
    pub timeout: Option<Duration>,
}

/// What an owner says about rotation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RotationRules {
    pub every: Option<Duration>,
    pub delivery: Delivery,
}

/// What to set; absent stays as it is.
#[derive(Clone, Debug, Default)]
pub struct RulesChange {
    pub every: Option<Setting<Duration>>,
    pub command: Option<Setting<CommandLine>>,
    pub write_file: Option<Setting<PathTemplate>>,
    pub write_env: Option<Setting<PathTemplate>>,
    pub env_name: Option<Setting<VariableName>>,
    pub timeout: Option<Setting<Duration>>,
}

/// When the old password stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retire {
    AtOnce,
    After(Duration),
    /// When nobody has used it for so long; after `most` in any case.
    WhenUnused {
        unused: Duration,
        most: Duration,
    },
}

/// How far a rotation came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The new password works, and no command has been given it.
    Live,
    /// It may have arrived.
    Handing,
    /// It did not arrive, and was stopped.
    Withdrawn,
}

/// A rotation that is not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// The new password; nothing once it was withdrawn.
    pub key: Option<KeyId>,
    pub stage: Stage,
    pub began_at: Time,
    /// The process that may still be handing it over.
    pub pid: Option<u32>,
    /// From then on nobody hands it over any more.
    pub settles_at: Option<Time>,
    pub reason: Option<String>,
    /// A command was to have it.
    pub with_command: bool,
    /// The files it was to be in.
    pub files: Delivery,
}

impl CommandLine {
    pub fn words(&self) -> &[String] {
        &self.0
    }

    /// As it is stored, one that was made of words before.
    pub fn stored(words: Vec<String>) -> Option<Self> {
        (!words.is_empty()).then_some(Self(words))
    }
}

impl FromStr for CommandLine {
    type Err = Error;

    /// Quotes and backslashes as a shell reads them, and nothing else of a shell.
    fn from_str(text: &str) -> Result<Self> {
        let words = if text.chars().any(char::is_control) {
            None
        } else {
            shlex::split(text)
        };
        words.and_then(Self::stored).ok_or_else(|| {
            invalid(
                "command",
                text,
                "a program and its arguments on one line, quoted as for a shell",
            )
        })
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match shlex::try_join(self.0.iter().map(String::as_str)) {
            Ok(line) => f.write_str(&line),
            Err(_) => write!(f, "{:?}", self.0),
        }
    }
}

impl PathTemplate {
    const USERNAME: &str = "{username}";
    const DOMAIN: &str = "{domain}";

    /// Neither can have a slash in it.
    pub fn of(&self, username: &Username) -> String {
        self.0
            .replace(Self::USERNAME, username.as_str())
            .replace(Self::DOMAIN, username.domain().as_str())
    }

    /// Each user has a file of its own.
    pub fn is_for_each_user(&self) -> bool {
        self.0.contains(Self::USERNAME)
    }
}

impl PathTemplate {
    /// One that is a path by now: of a name with braces in it, too.
    pub const fn stored(path: String) -> Self {
        Self(path)
    }
}

impl FromStr for PathTemplate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let rest = text.replace(Self::USERNAME, "").replace(Self::DOMAIN, "");
        let names_a_file = !text.is_empty() && !text.ends_with('/');
        if names_a_file && !rest.contains(['{', '}']) && !text.chars().any(char::is_control) {
            return Ok(Self(text.to_owned()));
        }
        Err(invalid(
            "file",
            text,
            "a path, in which {username} and {domain} may stand and no other braces",
        ))
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Default for VariableName {
    fn default() -> Self {
        Self("SMTP_PASSWORD".into())
    }
}

impl VariableName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VariableName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !text.is_empty() && text.chars().all(word) && !text.starts_with(|c: char| c.is_numeric())
        {
            return Ok(Self(text.to_owned()));
        }
        Err(invalid(
            "variable",
            text,
            "letters, digits and underscores, such as SMTP_PASSWORD",
        ))
    }
}

impl Delivery {
    pub const fn is_empty(&self) -> bool {
        self.command.is_none() && self.write_file.is_none() && self.write_env.is_none()
    }

    pub fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(Duration::MINUTE)
    }

    /// Its files alone, as they are called for one user.
    #[must_use]
    pub fn files_of(&self, username: &Username) -> Self {
        let named =
            |path: &Option<PathTemplate>| path.as_ref().map(|path| PathTemplate(path.of(username)));
        Self {
            command: None,
            write_file: named(&self.write_file),
            write_env: named(&self.write_env),
            env_name: self.env_name.clone(),
            timeout: None,
        }
    }

    pub fn files(&self) -> usize {
        usize::from(self.write_file.is_some()) + usize::from(self.write_env.is_some())
    }

    /// Files that more than one user would have to share.
    pub fn shared_file(&self) -> Option<&PathTemplate> {
        let files = [&self.write_file, &self.write_env];
        let mut files = files.into_iter().flatten();
        files.find(|path| !path.is_for_each_user())
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(path) = &self.write_file {
            parts.push(format!("file {path}"));
        }
        if let Some(path) = &self.write_env {
            let name = self.env_name.clone().unwrap_or_default();
            parts.push(format!("{} in {path}", name.as_str()));
        }
        if let Some(command) = &self.command {
            parts.push(format!("command {command}"));
        }
        f.write_str(&parts.join(", "))
    }
}

impl RotationRules {
    pub const fn is_empty(&self) -> bool {
        self.every.is_none()
            && self.delivery.is_empty()
            && self.delivery.env_name.is_none()
            && self.delivery.timeout.is_none()
    }

    pub fn change(&mut self, change: &RulesChange) {
        fn set<T: Clone>(old: &mut Option<T>, new: Option<&Setting<T>>) {
            if let Some(new) = new {
                *old = new.clone().value();
            }
        }
        set(&mut self.every, change.every.as_ref());
        set(&mut self.delivery.command, change.command.as_ref());
        set(&mut self.delivery.write_file, change.write_file.as_ref());
        set(&mut self.delivery.write_env, change.write_env.as_ref());
        set(&mut self.delivery.env_name, change.env_name.as_ref());
        set(&mut self.delivery.timeout, change.timeout.as_ref());
    }

    /// Of a user's, its domain's and the installation's: the nearest that says how
    /// often, and the nearest that says where to, as a whole.
    pub fn nearest(rules: [Self; 3]) -> Self {
        let every = rules.iter().find_map(|rules| rules.every);
        let mut deliveries = rules.into_iter().map(|rules| rules.delivery);
        let delivery = deliveries.find(|delivery| !delivery.is_empty());
        Self {
            every,
            delivery: delivery.unwrap_or_default(),
        }
    }
}

impl RulesChange {
    pub const fn is_empty(&self) -> bool {
        self.every.is_none() && self.keeps_delivery()
    }

    /// Nothing of it is about where to.
    pub const fn keeps_delivery(&self) -> bool {
        self.command.is_none()
            && self.write_file.is_none()
            && self.write_env.is_none()
            && self.env_name.is_none()
            && self.timeout.is_none()
    }
}

impl Retire {
    pub const DEFAULT: Self = Self::After(Duration::DAY);
}

impl Stage {
    const ALL: [Self; 3] = [Self::Live, Self::Handing, Self::Withdrawn];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Handing => "handing",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl FromStr for Stage {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|stage| stage.name() == text)
            .ok_or_else(|| invalid("stage", text, "live, handing or withdrawn"))
    }
}

impl Unfinished {
    /// For people.
    pub fn reason(&self) -> &str {
        self.reason
            .as_deref()
            .unwrap_or("it was interrupted before its end")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_words_and_no_shell_reads_them() {
        let command: CommandLine = "ssh app1 'put secret; restart' $HOME".parse().unwrap();
        assert_eq!(
            command.words(),
            ["ssh", "app1", "put secret; restart", "$HOME"]
        );
        let again: CommandLine = command.to_string().parse().unwrap();
        assert_eq!(again, command);
        for bad in ["", "  ", "'open", "a\nb"] {
            assert!(bad.parse::<CommandLine>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn paths_name_users_and_domains() {
        let path: PathTemplate = "/etc/{domain}/{username}.pw".parse().unwrap();
        let user = "shop@example.com".parse().unwrap();
        assert_eq!(path.of(&user), "/etc/example.com/shop@example.com.pw");
        for bad in ["", "/etc/", "/etc/{user}", "/etc/}", "/etc/{", "a\0b"] {
            assert!(bad.parse::<PathTemplate>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn variables_are_as_a_shell_names_them() {
        assert!("MAIL_PASSWORD".parse::<VariableName>().is_ok());
        for bad in ["", "1A", "A-B", "A B", "É"] {
            assert!(bad.parse::<VariableName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_nearest_rule_counts() {
        let every = |days: i64| RotationRules {
            every: format!("{days}d").parse().ok(),
            ..RotationRules::default()
        };
        let mut inherited = every(90);
        inherited.delivery.command = "deliver".parse().ok();
        let found = RotationRules::nearest([every(30), inherited.clone(), every(10)]);
        assert_eq!(found.every, every(30).every);
        assert_eq!(found.delivery, inherited.delivery);
    }
}
