//! Where a store is: a file, or a PostgreSQL database.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use super::path;
use crate::error::{Error, Place, Result};

/// Where a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// An SQLite file.
    File(PathBuf),
    /// A URL as PostgreSQL's own programs accept it, never with a password.
    /// <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS>
    Postgres(String),
}

impl Location {
    /// Parses an argument or the value of a variable. Fails with [`Error::Usage`] if it
    /// holds a password or is the URL of something else.
    pub fn parse(said: &OsStr) -> Result<Self> {
        // Other programs write it like this; here it would be a folder of that name.
        if let Some(path) = said.to_str().and_then(|text| {
            let rest = text
                .strip_prefix("file:")
                .or_else(|| text.strip_prefix("sqlite:"));
            rest.filter(|rest| rest.contains('/'))
        }) {
            let path = path.strip_prefix("//").unwrap_or(path);
            return Err(Error::Usage(format!(
                "the store is a file or a database: write only the path, {path}"
            )));
        }
        let Some(text) = said.to_str().filter(|text| text.contains("://")) else {
            return path::given(said).map(Self::File);
        };
        match text.split_once("://") {
            Some(("postgres" | "postgresql", rest)) if has_password(rest) => Err(Error::Usage(
                "a password in the store's URL is visible to all users of this machine: put it \
                 into ~/.pgpass, or name a file with ?passfile=FILE"
                    .into(),
            )),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(text.to_owned())),
            _ => Err(Error::Usage(
                "the store is a file, or a database: postgres://HOST/DATABASE".into(),
            )),
        }
    }

    /// Returns the file; `None` for a database.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }
}

/// Returns whether a URL has `user:password@` before its hosts, or a parameter of that
/// name. Characters that should be escaped do not hide a password, and an escape in a
/// parameter's name counts as one: no message may repeat such a URL.
fn has_password(rest: &str) -> bool {
    let first = rest.split_once('@').map_or("", |(user, _)| user);
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = place.split('/').next().unwrap_or_default();
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    user.contains(':')
        || first.contains(':')
        || parameters
            .split('&')
            .map(|parameter| parameter.split('=').next().unwrap_or_default())
            .any(|name| name == "password" || name.contains('%'))
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Place::from(self).fmt(f)
    }
}

impl From<&Location> for Place {
    fn from(location: &Location) -> Self {
        match location {
            Location::File(path) => Self::File(path.clone()),
            Location::Postgres(url) => Self::Database(url.clone()),
        }
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Location> {
        Location::parse(OsStr::new(text))
    }

    #[test]
    fn files_and_databases_are_told_apart() {
        for path in ["smtpcred.db", "/var/lib/x", "postgres:", "a:b@c"] {
            assert_eq!(parsed(path).unwrap(), Location::File(path.into()));
        }
        for url in ["postgres://", "postgresql://u@a,b:1/x?sslmode=disable"] {
            assert_eq!(parsed(url).unwrap(), Location::Postgres(url.into()));
        }
        assert!(parsed("mysql://localhost/x").is_err());
        for url in ["file:/x/y.db", "file:///x/y.db", "sqlite:///x/y.db"] {
            let said = parsed(url).unwrap_err().to_string();
            assert!(said.ends_with("only the path, /x/y.db"), "{said}");
        }
    }

    #[test]
    fn p1_a_password_in_the_url_is_refused_and_not_repeated() {
        for url in [
            "postgres://u:hunter2@db/x",
            "postgresql://u@x:hunter2@db/x",
            "postgres:///x?host=a&password=hunter2",
            "postgres:///x?host=a&p%61ssword=hunter2",
            "postgres://u:a/hunter2@db/x",
            "postgres://u:a?hunter2@db/x",
            "postgres://u:a@hunter2@db/x",
        ] {
            let error = parsed(url).unwrap_err().to_string();
            assert!(!error.contains("hunter2") && error.contains("pgpass"));
        }
    }
}
