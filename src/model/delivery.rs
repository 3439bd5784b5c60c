//! Where a new password goes: to a command, into files.

use std::fmt;
use std::str::FromStr;

use super::duration::Duration;
use super::name::Username;
use super::path;
use super::shell_words;
use super::text::{invalid, quoted};
use crate::error::{Error, Result};

/// A program and its arguments. No shell reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine(Vec<String>);

/// The most words of a command line; longer ones belong in a script.
const MAX_WORDS: usize = 100;
/// In bytes.
const MAX_LENGTH: usize = 4096;

/// A file whose name may have `{username}` and `{domain}` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate(String);

/// The name of a variable in a file of variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableName(String);

/// Where a new password goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destination {
    /// The command that reads the password from its standard input.
    pub command: Option<CommandLine>,
    /// The password and a newline.
    pub write_file: Option<PathTemplate>,
    /// One line of a file of variables.
    pub write_env: Option<PathTemplate>,
    /// The variable's name in that file; `None` is [`VariableName::DEFAULT`].
    pub env_name: Option<VariableName>,
    /// Of the command.
    pub timeout: Option<Duration>,
}

impl CommandLine {
    /// Returns the program and its arguments.
    pub fn words(&self) -> &[String] {
        &self.0
    }

    /// Returns the command of stored words; `None` if there are none.
    pub fn stored(words: Vec<String>) -> Option<Self> {
        (!words.is_empty()).then_some(Self(words))
    }
}

impl FromStr for CommandLine {
    type Err = Error;

    /// Splits the line at quotes and backslashes as a shell does. Anything else that
    /// only a shell understands is refused: `tee f && reload` would write the
    /// password into a file `&&`.
    fn from_str(text: &str) -> Result<Self> {
        let refused = |rule: String| Err(invalid("command", text, rule));
        let words = if text.chars().any(char::is_control) {
            None
        } else {
            shlex::split(text)
        };
        let Some(command) = words.and_then(Self::stored) else {
            return refused(
                "a program and its arguments on one line, quoted as for a shell".into(),
            );
        };
        if command.0.len() > MAX_WORDS || text.len() > MAX_LENGTH {
            return refused(format!(
                "up to {MAX_WORDS} words and {MAX_LENGTH} bytes; put more into a script"
            ));
        }
        if let Some(operator) = shell_words::operator(text) {
            return refused(format!(
                "{} needs a shell, and no shell reads this: use sh -c '…'",
                quoted(operator)
            ));
        }
        if let Some(assignment) = shell_words::assignment(text) {
            return refused(format!(
                "{} needs a shell, and no shell reads this: use env {assignment} …",
                quoted(assignment)
            ));
        }
        if shell_words::is_in_a_home(text) {
            return refused(
                "no shell reads this, so ~ is not expanded: write the full path".into(),
            );
        }
        Ok(command)
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

    /// Returns the path for a user. Neither its name nor its domain can have a slash.
    pub fn of(&self, username: &Username) -> String {
        self.0
            .replace(Self::USERNAME, username.as_str())
            .replace(Self::DOMAIN, username.domain().as_str())
    }

    /// Returns whether each user has a file of its own.
    pub fn is_for_each_user(&self) -> bool {
        self.0.contains(Self::USERNAME)
    }
}

impl PathTemplate {
    /// Makes a template of a path in which nothing is to be replaced, not even braces.
    pub const fn stored(path: String) -> Self {
        Self(path)
    }
}

impl FromStr for PathTemplate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let rest = text.replace(Self::USERNAME, "").replace(Self::DOMAIN, "");
        path::given(text)?;
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
        Self(Self::DEFAULT.into())
    }
}

impl VariableName {
    /// The name unless one is set.
    pub const DEFAULT: &str = "SMTP_PASSWORD";

    /// Returns the name.
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

impl Destination {
    /// Returns whether there is neither a command nor a file.
    pub const fn is_empty(&self) -> bool {
        self.command.is_none() && self.write_file.is_none() && self.write_env.is_none()
    }

    /// Returns how long the command may take: a minute, unless set.
    pub fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(Duration::MINUTE)
    }

    /// Returns its files alone, with their paths for one user.
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

    /// Returns the number of files, at most 2.
    pub fn files(&self) -> usize {
        usize::from(self.write_file.is_some()) + usize::from(self.write_env.is_some())
    }

    /// Returns a file that all users would share; `None` if each has its own.
    pub fn shared_file(&self) -> Option<&PathTemplate> {
        let files = [&self.write_file, &self.write_env];
        let mut files = files.into_iter().flatten();
        files.find(|path| !path.is_for_each_user())
    }
}

impl fmt::Display for Destination {
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
    fn commands_that_need_a_shell_are_refused() {
        for bad in [
            "tee f && systemctl restart shop",
            "tee f > g",
            "tee $(hostname)",
            "~/bin/deliver",
        ] {
            let error = bad.parse::<CommandLine>().unwrap_err().to_string();
            assert!(error.contains("no shell reads this"), "{error}");
        }
        let words = |n: usize| vec!["a"; n].join(" ").parse::<CommandLine>();
        assert!(words(MAX_WORDS).is_ok());
        let error = words(1000).unwrap_err().to_string();
        assert!(error.contains("up to 100 words"), "{error}");
        assert!("a".repeat(MAX_LENGTH + 1).parse::<CommandLine>().is_err());
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
}
