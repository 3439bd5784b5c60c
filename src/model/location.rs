//! Where a store is: a file, or a PostgreSQL database.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Place, Result};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// An SQLite file.
    File(PathBuf),
    /// A URL as PostgreSQL's own programs take it; never with a password.
    /// <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS>
    Postgres(String),
}

impl Location {
    /// What was said on the command line or in the environment.
    pub fn parse(said: &OsStr) -> Result<Self> {
        let Some(text) = said.to_str().filter(|text| text.contains("://")) else {
            return Ok(Self::File(said.into()));
        };
        match text.split_once("://") {
            Some(("postgres" | "postgresql", rest)) if has_password(rest) => Err(Error::Usage(
                "a password in the store's URL can be seen by everybody on this machine: put it \
                 into ~/.pgpass, or name a file with ?passfile=FILE"
                    .into(),
            )),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(text.to_owned())),
            _ => Err(Error::Usage(
                "the store is a file, or a database: postgres://HOST/DATABASE".into(),
            )),
        }
    }

    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }
}

/// `user:password@` before the hosts, or a parameter of that name. Also where it holds
/// what would have to be written otherwise, and the name of a parameter that nobody
/// has to write otherwise: then it is repeated in no message.
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
