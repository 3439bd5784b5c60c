//! Where to connect: the URL, and what PostgreSQL's own programs read beside it
//! (<https://www.postgresql.org/docs/current/libpq-connect.html>).

use std::env;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Uid, User};
use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use super::passfile;
use super::tls::{Mode, TlsFiles};
use crate::error::{Error, Result};

/// A database, on one server or on several of which one is the primary.
pub struct Target {
    /// One for each server, in order.
    pub servers: Vec<Server>,
    pub tls: TlsFiles,
}

#[derive(Clone)]
pub struct Server {
    pub config: Config,
    pub mode: Mode,
}

/// The parameters that the library does not know.
const OURS: [&str; 5] = ["sslmode", "sslrootcert", "sslcert", "sslkey", "passfile"];
/// A server that is gone is found out after so long where its network is, too.
const KEEPALIVE: Duration = Duration::from_secs(10);

type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Target {
    pub fn of(url: &str) -> Result<Self> {
        let env = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        Self::read(url, &env)
    }

    fn read(url: &str, env: Env) -> Result<Self> {
        let (place, parameters) = url.split_once('?').unwrap_or((url, ""));
        let mut ours = Vec::new();
        let mut theirs = Vec::new();
        for parameter in parameters.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if OURS.contains(&name) {
                let value = percent_decode_str(value).decode_utf8();
                let value = value.map_err(|_| invalid(&format!("{name} is no UTF-8")))?;
                ours.push((name, value.into_owned()));
            } else {
                theirs.push(parameter);
            }
        }
        let said = |name: &str, variable: &str| {
            let own = ours.iter().rev().find(|(known, _)| *known == name);
            own.map(|(_, value)| value.clone())
                .or_else(|| env(variable))
        };
        let url = match theirs.join("&").as_str() {
            "" => place.to_owned(),
            rest => format!("{place}?{rest}"),
        };
        let config: Config = url.parse().map_err(|e| invalid(&reason(&e)))?;
        let roots = said("sslrootcert", "PGSSLROOTCERT");
        let of_system = roots.as_deref() == Some("system");
        let tls = TlsFiles {
            roots: match &roots {
                Some(_) if of_system => None,
                Some(file) => Some(file.into()),
                None => home(env, "root.crt"),
            },
            certificate: said("sslcert", "PGSSLCERT").map(PathBuf::from),
            key: said("sslkey", "PGSSLKEY").map(PathBuf::from),
        };
        let mode = said("sslmode", "PGSSLMODE").map(|mode| Mode::named(&mode));
        let mode = match mode.transpose()? {
            // Anybody has a certificate that some of its authorities have signed.
            Some(mode) if of_system && mode != Mode::VerifyFull => {
                return Err(invalid("sslrootcert=system needs sslmode=verify-full"));
            }
            mode => mode.or(of_system.then_some(Mode::VerifyFull)),
        };
        let passfile = said("passfile", "PGPASSFILE").map(PathBuf::from);
        let base = Base::read(config, says_port(place, &theirs), env)?;
        Ok(Self {
            servers: base.servers(mode, &tls, passfile.as_deref(), env)?,
            tls,
        })
    }
}

/// What the URL says, with what it leaves out.
struct Base {
    config: Config,
    user: String,
    database: String,
    hosts: Vec<Host>,
    ports: Vec<u16>,
}

impl Base {
    fn read(config: Config, says_port: bool, env: Env) -> Result<Self> {
        match config.get_target_session_attrs() {
            TargetSessionAttrs::Any | TargetSessionAttrs::ReadWrite => {}
            _ => {
                return Err(invalid(
                    "only a primary will do: target_session_attrs=read-write",
                ));
            }
        }
        let user = config.get_user().map(str::to_owned);
        let user = match user.or_else(|| env("PGUSER")) {
            Some(user) => user,
            None => own_name()?,
        };
        let database = config.get_dbname().filter(|name| !name.is_empty());
        let database = database.map(str::to_owned).or_else(|| env("PGDATABASE"));
        let database = database.unwrap_or_else(|| user.clone());
        let mut hosts = config.get_hosts().to_vec();
        if hosts.is_empty() {
            let said = env("PGHOST").unwrap_or_default();
            hosts = said
                .split(',')
                .filter(|h| !h.is_empty())
                .map(host)
                .collect();
        }
        if hosts.is_empty() && config.get_hostaddrs().is_empty() {
            // Where Debian's and Red Hat's packages put it; PostgreSQL's own is /tmp.
            let there = Path::new("/var/run/postgresql");
            let folder = if there.is_dir() {
                there
            } else {
                Path::new("/tmp")
            };
            hosts.push(Host::Unix(folder.to_owned()));
        }
        let mut ports = config.get_ports().to_vec();
        if !says_port && let Some(said) = env("PGPORT") {
            ports.clear();
            for port in said.split(',') {
                let port = port.trim().parse();
                ports.push(port.map_err(|_| invalid("PGPORT is no port number"))?);
            }
        }
        Ok(Self {
            config,
            user,
            database,
            hosts,
            ports,
        })
    }

    fn servers(
        &self,
        mode: Option<Mode>,
        tls: &TlsFiles,
        passfile: Option<&Path>,
        env: Env,
    ) -> Result<Vec<Server>> {
        let addresses = self.config.get_hostaddrs();
        let count = self.hosts.len().max(addresses.len());
        let fits = |given: usize| given <= 1 || given == count;
        let missing = !self.hosts.is_empty() && self.hosts.len() != count;
        if !fits(self.ports.len()) || missing || (!addresses.is_empty() && addresses.len() != count)
        {
            return Err(invalid("as many hosts as ports or addresses are needed"));
        }
        let passwords = passfile::read(passfile, env)?;
        let mut servers = Vec::new();
        for i in 0..count {
            let port = self.ports.get(i).or_else(|| self.ports.first());
            let port = port.copied().unwrap_or(5432);
            let host = self.hosts.get(i);
            let address = addresses.get(i).copied();
            let mut config = self.blank();
            config.port(port);
            match host {
                Some(Host::Tcp(name)) => config.host(name),
                Some(Host::Unix(folder)) => config.host_path(folder),
                None => &mut config,
            };
            if let Some(address) = address {
                config.hostaddr(address);
            }
            let local = is_local(host, address);
            let mode = match (host, mode) {
                (Some(Host::Unix(_)), _) => Mode::Disable,
                (_, Some(Mode::Require)) if tls.roots.is_some() => Mode::VerifyCa,
                (_, Some(mode)) => mode,
                (_, None) if local => Mode::Prefer,
                (_, None) => Mode::VerifyFull,
            };
            config.ssl_mode(match mode {
                Mode::Disable => SslMode::Disable,
                Mode::Prefer => SslMode::Prefer,
                _ => SslMode::Require,
            });
            let named = match (host, address) {
                (Some(Host::Tcp(name)), _) => name.clone(),
                (Some(Host::Unix(_)), _) => "localhost".into(),
                (None, address) => address.map(|a| a.to_string()).unwrap_or_default(),
            };
            let found = passwords.find(&named, port, &self.database, &self.user);
            if let Some(password) = env("PGPASSWORD").or(found) {
                config.password(password);
            }
            servers.push(Server { config, mode });
        }
        Ok(servers)
    }

    /// All but where it is.
    fn blank(&self) -> Config {
        let said = &self.config;
        let mut config = Config::new();
        config
            .user(&self.user)
            .dbname(&self.database)
            .application_name(said.get_application_name().unwrap_or("smtpcred"))
            .channel_binding(said.get_channel_binding())
            .ssl_negotiation(said.get_ssl_negotiation())
            .keepalives(said.get_keepalives())
            .keepalives_idle(said.get_keepalives_idle().min(KEEPALIVE))
            .keepalives_interval(said.get_keepalives_interval().unwrap_or(KEEPALIVE))
            .keepalives_retries(said.get_keepalives_retries().unwrap_or(3))
            .tcp_user_timeout(*said.get_tcp_user_timeout().unwrap_or(&(KEEPALIVE * 3)));
        if let Some(options) = said.get_options() {
            config.options(options);
        } else if let Ok(options) = env::var("PGOPTIONS") {
            config.options(options);
        }
        if let Some(timeout) = said.get_connect_timeout() {
            config.connect_timeout(*timeout);
        }
        config
    }
}

impl Mode {
    fn named(name: &str) -> Result<Self> {
        match name {
            "disable" => Ok(Self::Disable),
            "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyCa),
            "verify-full" => Ok(Self::VerifyFull),
            _ => Err(invalid(
                "sslmode is disable, prefer, require, verify-ca or verify-full",
            )),
        }
    }
}

/// The library does not tell the usual port from one that was asked for.
fn says_port(place: &str, parameters: &[&str]) -> bool {
    let authority = place.split("://").nth(1).unwrap_or_default();
    let authority = authority.split('/').next().unwrap_or_default();
    let hosts = authority.rsplit('@').next().unwrap_or_default();
    let with_port = |host: &str| {
        host.rsplit(']')
            .next()
            .is_some_and(|rest| rest.contains(':'))
    };
    hosts.split(',').any(with_port) || parameters.iter().any(|p| p.starts_with("port="))
}

fn host(name: &str) -> Host {
    if name.starts_with('/') {
        Host::Unix(name.into())
    } else {
        Host::Tcp(name.to_owned())
    }
}

/// Nobody listens in between.
fn is_local(host: Option<&Host>, address: Option<IpAddr>) -> bool {
    if let Some(address) = address {
        return address.is_loopback();
    }
    match host {
        Some(Host::Tcp(name)) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|a| a.is_loopback())
        }
        Some(Host::Unix(_)) => true,
        None => false,
    }
}

/// A file of the user's that PostgreSQL's programs read, too, if it is there.
fn home(env: Env, name: &str) -> Option<PathBuf> {
    let file = PathBuf::from(env("HOME")?).join(".postgresql").join(name);
    file.is_file().then_some(file)
}

fn own_name() -> Result<String> {
    let user = User::from_uid(Uid::effective()).ok().flatten();
    user.map(|user| user.name)
        .ok_or_else(|| invalid("it names no user, and neither does PGUSER"))
}

fn invalid(reason: &str) -> Error {
    Error::Usage(format!("the store's URL cannot be used: {reason}"))
}

fn reason(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str, variables: &[(&str, &str)]) -> Result<Target> {
        let env = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Target::read(url, &env)
    }

    fn modes(url: &str, variables: &[(&str, &str)]) -> Vec<Mode> {
        let target = read(url, variables).unwrap();
        target.servers.iter().map(|server| server.mode).collect()
    }

    #[test]
    fn a_server_on_the_network_is_verified_unless_told_otherwise() {
        let far = "postgres://u@db.example.com/x";
        assert_eq!(modes(far, &[]), [Mode::VerifyFull]);
        assert_eq!(modes(far, &[("PGSSLMODE", "require")]), [Mode::Require]);
        let roots = [("PGSSLMODE", "require"), ("PGSSLROOTCERT", "/ca.pem")];
        assert_eq!(modes(far, &roots), [Mode::VerifyCa]);
        let mixed = "postgres://u@localhost,db,%2Frun%2Fpg/x";
        let expected = [Mode::Prefer, Mode::VerifyFull, Mode::Disable];
        assert_eq!(modes(mixed, &[]), expected);
        let none = modes(
            "postgres://u@db/x?sslmode=disable",
            &[("PGSSLMODE", "require")],
        );
        assert_eq!(none, [Mode::Disable]);
    }

    #[test]
    fn what_the_url_leaves_out_comes_from_the_environment() {
        let variables = [
            ("PGHOST", "one,two"),
            ("PGPORT", "1,2"),
            ("PGUSER", "ana"),
            ("PGDATABASE", "mail"),
            ("PGPASSWORD", "secret"),
        ];
        let target = read("postgres://", &variables).unwrap();
        let [one, two] = &target.servers[..] else {
            panic!("two servers");
        };
        assert_eq!(one.config.get_hosts(), [Host::Tcp("one".into())]);
        assert_eq!(two.config.get_ports(), [2]);
        assert_eq!(two.config.get_user(), Some("ana"));
        assert_eq!(two.config.get_dbname(), Some("mail"));
        assert_eq!(one.config.get_password(), Some(&b"secret"[..]));
        let said = read("postgres://bob@three:3/other", &variables).unwrap();
        assert_eq!(said.servers[0].config.get_user(), Some("bob"));
        assert_eq!(said.servers[0].config.get_ports(), [3]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for url in [
            "postgres://u@a/x?sslmode=allow",
            "postgres://u@a/x?sslmode=require&sslrootcert=system",
            "postgres://u@a/x?nonsense=1",
            "postgres://u@a/x?target_session_attrs=read-only",
            "postgres://u@a:0x/x",
            "postgres://u@a,b,c/x?hostaddr=127.0.0.1,127.0.0.2",
            "postgres://u@a/x?sslrootcert=%ff",
        ] {
            assert!(read(url, &[]).is_err(), "{url}");
        }
        assert!(read("postgres://u@a", &[("PGPORT", "many")]).is_err());
        assert!(read("postgres://u@[::1]:7", &[("PGPORT", "many")]).is_ok());
    }
}
