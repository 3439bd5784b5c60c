//! Connection parameters from the same sources as in PostgreSQL's programs: the URL, then a
//! service, then the environment
//! (<https://www.postgresql.org/docs/current/libpq-pgservice.html>,
//! <https://www.postgresql.org/docs/current/libpq-envars.html>).

use std::io::{ErrorKind, Read as _};
use std::path::PathBuf;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::files;
use crate::model::path;
use crate::model::text::quoted;

/// Parameters and their environment variables.
const VARIABLES: [(&str, &str); 27] = [
    ("application_name", "PGAPPNAME"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("dbname", "PGDATABASE"),
    ("gssencmode", "PGGSSENCMODE"),
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    ("options", "PGOPTIONS"),
    ("passfile", "PGPASSFILE"),
    ("password", "PGPASSWORD"),
    ("port", "PGPORT"),
    ("require_auth", "PGREQUIREAUTH"),
    ("requirepeer", "PGREQUIREPEER"),
    ("service", "PGSERVICE"),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    ("sslcert", "PGSSLCERT"),
    ("sslcertmode", "PGSSLCERTMODE"),
    ("sslcrl", "PGSSLCRL"),
    ("sslcrldir", "PGSSLCRLDIR"),
    ("sslkey", "PGSSLKEY"),
    ("sslmode", "PGSSLMODE"),
    ("sslnegotiation", "PGSSLNEGOTIATION"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("user", "PGUSER"),
];
/// The folders of the system's service file: in Debian, in Red Hat, and PostgreSQL's own.
const SYSTEM: [&str; 3] = [
    "/etc/postgresql-common",
    "/etc/sysconfig/pgsql",
    "/usr/local/pgsql/etc",
];

/// Which part of the program uses a parameter.
#[derive(Debug, PartialEq, Eq)]
enum Consumer<'a> {
    Ours,
    /// The library, under this name.
    Library(&'a str),
    /// It has no effect here.
    None,
    Unsupported,
}

fn consumer<'a>(name: &'a str, value: &str) -> Consumer<'a> {
    match (name, value) {
        (
            "passfile"
            | "require_auth"
            | "service"
            | "sslcert"
            | "sslkey"
            | "sslmode"
            | "sslrootcert"
            | "target_session_attrs",
            _,
        ) => Consumer::Ours,
        ("keepalives_count", _) => Consumer::Library("keepalives_retries"),
        // The encoding is always UTF-8, and there is neither Kerberos nor compression.
        (
            "client_encoding"
            | "fallback_application_name"
            | "gssdelegation"
            | "gsslib"
            | "krbsrvname"
            | "sslcompression"
            | "sslsni",
            _,
        )
        | ("gssencmode", "disable" | "prefer")
        | ("sslcertmode", "allow")
        | ("ssl_min_protocol_version", "TLSv1" | "TLSv1.1" | "TLSv1.2")
        | ("ssl_max_protocol_version", "TLSv1.3") => Consumer::None,
        (
            "gssencmode"
            | "replication"
            | "requirepeer"
            | "ssl_max_protocol_version"
            | "ssl_min_protocol_version"
            | "sslcertmode"
            | "sslcrl"
            | "sslcrldir"
            | "sslpassword",
            _,
        ) => Consumer::Unsupported,
        (name, _) => Consumer::Library(name),
    }
}

struct Parameter {
    name: String,
    /// It may be a password.
    value: Zeroizing<String>,
    /// The name that the admin gave it.
    origin: String,
}

/// Each parameter is in it once.
pub struct Conninfo(Vec<Parameter>);

impl Conninfo {
    /// `parameters` are those of the URL.
    pub fn read(parameters: &str, env: Variables) -> Result<Self> {
        let mut all = Self(Vec::new());
        let given = parameters.split('&').filter(|p| !p.is_empty());
        // The last value of a parameter counts.
        for parameter in given.rev() {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = percent_decode_str(value).decode_utf8();
            let value = value.map_err(|_| invalid(&format!("{name} is not UTF-8")))?;
            all.add(name, value.into_owned().into(), name.to_owned());
        }
        let service = all.find("service").map(str::to_owned);
        if let Some(service) = service.or_else(|| env("PGSERVICE")) {
            for (name, value) in read_service(&service, env)? {
                let origin = format!("{name} of the service {service}");
                all.add(&name, value, origin);
            }
        }
        for (name, variable) in VARIABLES {
            if let Some(value) = env(variable) {
                all.add(name, value.into(), variable.to_owned());
            }
        }
        for Parameter {
            name,
            value,
            origin,
        } in &all.0
        {
            if consumer(name, value) == Consumer::Unsupported {
                return Err(invalid(&format!("{origin} is not supported: remove it")));
            }
        }
        Ok(all)
    }

    fn add(&mut self, name: &str, value: Zeroizing<String>, origin: String) {
        if self.find(name).is_none() {
            let name = name.to_owned();
            self.0.push(Parameter {
                name,
                value,
                origin,
            });
        }
    }

    /// Returns the value of a parameter; `None` if it is not set.
    pub fn find(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|parameter| parameter.name == name);
        found.map(|parameter| parameter.value.as_str())
    }

    /// Returns the library's parameters for a URL, without those in `except`, which the
    /// URL may already have.
    pub fn for_library(&self, except: &[&str]) -> String {
        let used = |parameter: &Parameter| match consumer(&parameter.name, &parameter.value) {
            Consumer::Library(name) if !except.contains(&name) => {
                let value = utf8_percent_encode(&parameter.value, NON_ALPHANUMERIC);
                Some(format!("{name}={value}"))
            }
            _ => None,
        };
        let all: Vec<_> = self.0.iter().filter_map(used).collect();
        all.join("&")
    }
}

type Parameters = Vec<(String, Zeroizing<String>)>;

/// Reads a service from the user's file, or else from the system's.
fn read_service(name: &str, env: Variables) -> Result<Parameters> {
    let named = env("PGSERVICEFILE").map(path::given).transpose()?;
    let own = || env("HOME").map(|home| PathBuf::from(home).join(".pg_service.conf"));
    let system = env("PGSYSCONFDIR").map_or_else(
        || SYSTEM.map(PathBuf::from).to_vec(),
        |folder| vec![folder.into()],
    );
    let system = system.iter().map(|folder| folder.join("pg_service.conf"));
    for file in named.clone().or_else(own).into_iter().chain(system) {
        let must_be = named.as_ref() == Some(&file);
        let failed = |reason: &str| invalid(&format!("{}: {reason}", file.display()));
        let mut text = Zeroizing::default();
        let read = files::open(&file).and_then(|mut opened| opened.read_to_string(&mut text));
        match read {
            Err(error)
                if !must_be
                    && matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                continue;
            }
            read => read.map_err(|error| failed(&error.to_string()))?,
        };
        if let Some(found) = service(&text, name).map_err(|reason| failed(&reason))? {
            return Ok(found);
        }
    }
    Err(invalid(&format!(
        "the service {} is not in any pg_service.conf: add [{}] to ~/.pg_service.conf, or name the file \
         with PGSERVICEFILE",
        quoted(name),
        quoted(name)
    )))
}

/// Finds the parameters of a service in a file.
fn service(text: &str, name: &str) -> std::result::Result<Option<Parameters>, String> {
    let lines = text
        .lines()
        .zip(1..)
        .map(|(line, number)| (line.trim(), number));
    let lines = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    let mut found: Option<Parameters> = None;
    for (line, number) in lines {
        if let Some(group) = line.strip_prefix('[') {
            if found.is_some() {
                break;
            }
            if group.strip_suffix(']') == Some(name) {
                found = Some(Vec::new());
            }
        } else if let Some(found) = &mut found {
            match line.split_once('=') {
                Some(("service", _)) => {
                    return Err(format!(
                        "line {number}: a service cannot name another service"
                    ));
                }
                Some((key, value)) => found.push((key.to_owned(), value.to_owned().into())),
                None => return Err(format!("line {number} has no =")),
            }
        }
    }
    Ok(found)
}

/// Returns the value of an environment variable; `None` if it is unset or empty.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Returns the error for a URL, a variable or a file that cannot be used.
pub fn invalid(reason: &str) -> Error {
    Error::Usage(format!("the store's URL cannot be used: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_read_as_libpq_reads_it() {
        let text = "# a comment\nlost=1\n[other]\nhost=no\n\n[mail]\r\n host=db\nport=7\r\n\
                    # password=no\npassword= a=b #c \nport=8\n[mail]\nhost=no\n";
        let found = service(text, "mail").unwrap().unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        let expected = [
            ("host", "db"),
            ("port", "7"),
            ("password", " a=b #c"),
            ("port", "8"),
        ];
        assert_eq!(found, expected);
        assert_eq!(service(text, "mai").unwrap(), None);
        assert!(service("[a]\nservice=b", "a").is_err());
        assert!(service("[a]\nldap://x", "a").is_err());
    }
}
