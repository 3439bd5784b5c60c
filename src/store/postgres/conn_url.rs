//! Where to connect: the URL, and the sources that PostgreSQL's own programs also read
//! (<https://www.postgresql.org/docs/current/libpq-connect.html>).

use std::env;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Uid, User};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::auth_methods::AuthMethods;
use super::conninfo::{Conninfo, Variables, invalid};
use super::passfile::{self, Passwords};
use super::tls::{TlsFiles, TlsMode};
use crate::error::Result;
use crate::model::path;

/// A database, on one server or on several of which one is the primary.
pub struct ConnUrl {
    /// One for each server, in order.
    pub servers: Vec<DatabaseServer>,
    pub tls: TlsFiles,
}

/// One server of the database, and how to connect to it.
#[derive(Clone)]
pub struct DatabaseServer {
    pub config: Config,
    pub mode: TlsMode,
    pub methods: AuthMethods,
}

impl DatabaseServer {
    /// The name in its certificate.
    pub fn name(&self) -> String {
        match (self.config.get_hosts(), self.config.get_hostaddrs()) {
            ([Host::Tcp(name), ..], _) => name.clone(),
            (_, [address, ..]) => address.to_string(),
            _ => String::new(),
        }
    }

    /// The name to look up: it may stand for several servers, which may change.
    pub fn looked_up(&self) -> Option<&str> {
        match (self.config.get_hosts(), self.config.get_hostaddrs()) {
            ([Host::Tcp(name), ..], []) if !is_local(self.config.get_hosts().first(), None) => {
                name.parse::<IpAddr>().is_err().then_some(name)
            }
            _ => None,
        }
    }

    /// Returns the port; 5432 if none is set.
    pub fn port(&self) -> u16 {
        self.config.get_ports().first().copied().unwrap_or(5432)
    }

    /// For messages.
    pub fn place(&self) -> String {
        let host = match (self.config.get_hosts(), self.config.get_hostaddrs()) {
            ([Host::Unix(folder), ..], _) => folder.display().to_string(),
            _ => self.name(),
        };
        match host.parse::<Ipv6Addr>() {
            Ok(address) => format!("[{address}]:{}", self.port()),
            Err(_) => format!("{host}:{}", self.port()),
        }
    }
}

/// How long an idle connection to a server whose network is gone stays unnoticed.
const KEEPALIVE: Duration = Duration::from_secs(10);

impl ConnUrl {
    /// Reads a URL, the variables `PG…` and the password file. Returns an error if a parameter is
    /// invalid or not supported.
    pub fn of(url: &str) -> Result<Self> {
        let env = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        Self::read(url, &env)
    }

    fn read(url: &str, env: Variables) -> Result<Self> {
        let (place, parameters) = url.split_once('?').unwrap_or((url, ""));
        let conninfo = Conninfo::read(parameters, env)?;
        let said = |name: &str| conninfo.find(name).filter(|value| !value.is_empty());
        // Values before the URL's parameters take precedence over other sources.
        let mut elsewhere = vec!["user", "password", "dbname", "host", "port"];
        elsewhere.retain(|name| !says(parameters, name));
        let url = match conninfo.for_library(&elsewhere).as_str() {
            "" => place.to_owned(),
            rest => format!("{place}?{rest}"),
        };
        let config: Config = url.parse().map_err(|e| invalid(&reason(&e)))?;
        if !matches!(
            said("target_session_attrs"),
            None | Some("any" | "read-write" | "primary")
        ) {
            return Err(invalid(
                "a store needs a primary: set target_session_attrs=primary, or remove it",
            ));
        }
        let roots = said("sslrootcert");
        let of_system = roots == Some("system");
        let tls = TlsFiles {
            roots: match &roots {
                Some(_) if of_system => None,
                Some(file) => Some(file.into()),
                None => home(env, "root.crt"),
            },
            certificate: said("sslcert").map(PathBuf::from),
            key: said("sslkey").map(PathBuf::from),
        };
        let mode = said("sslmode").map(TlsMode::named);
        let mode = match mode.transpose()? {
            // AnyCertificate has a certificate that some of its authorities have signed.
            Some(mode) if of_system && mode != TlsMode::VerifyFull => {
                return Err(invalid("sslrootcert=system needs sslmode=verify-full"));
            }
            mode => mode.or(of_system.then_some(TlsMode::VerifyFull)),
        };
        let passfile = said("passfile").map(PathBuf::from);
        let files = [&tls.roots, &tls.certificate, &tls.key, &passfile];
        for file in files.into_iter().flatten() {
            path::given(file)?;
        }
        let methods = said("require_auth").map(AuthMethods::named);
        let methods = methods.transpose().map_err(|rule| invalid(&rule))?;
        let has_port = says(parameters, "port") || has_port(place);
        let base = Base::read(config, has_port, &conninfo)?;
        let passwords = passfile::read(passfile.as_deref(), env)?;
        let mut servers = base.servers(mode, &tls, &passwords, &conninfo)?;
        if let Some(methods) = methods {
            for server in &mut servers {
                server.methods = methods.clone();
            }
        }
        Ok(Self { servers, tls })
    }
}

/// The URL, completed from the other sources.
struct Base {
    config: Config,
    user: String,
    database: String,
    hosts: Vec<Host>,
    ports: Vec<u16>,
}

impl Base {
    fn read(config: Config, has_port: bool, conninfo: &Conninfo) -> Result<Self> {
        let said = |name: &str| conninfo.find(name).map(str::to_owned);
        let user = config.get_user().map(str::to_owned);
        let user = match user.or_else(|| said("user")) {
            Some(user) => user,
            None => own_name()?,
        };
        let database = config.get_dbname().filter(|name| !name.is_empty());
        let database = database.map(str::to_owned).or_else(|| said("dbname"));
        let database = database.unwrap_or_else(|| user.clone());
        let mut hosts = config.get_hosts().to_vec();
        if hosts.is_empty() {
            let given = said("host").unwrap_or_default();
            hosts = given
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
        if !has_port && let Some(given) = said("port") {
            ports.clear();
            for port in given.split(',') {
                let port = match port {
                    "" => Ok(5432),
                    // libpq accepts a sign, leading zeros and spaces, too.
                    port => port.trim().parse(),
                };
                ports.push(port.map_err(|_| invalid("its port is not a number"))?);
            }
        }
        if ports.contains(&0) {
            return Err(invalid("its port is 0"));
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
        mode: Option<TlsMode>,
        tls: &TlsFiles,
        passwords: &Passwords,
        conninfo: &Conninfo,
    ) -> Result<Vec<DatabaseServer>> {
        let addresses = self.config.get_hostaddrs();
        let count = self.hosts.len().max(addresses.len());
        let fits = |given: usize| given <= 1 || given == count;
        let missing = !self.hosts.is_empty() && self.hosts.len() != count;
        if !fits(self.ports.len()) || missing || (!addresses.is_empty() && addresses.len() != count)
        {
            return Err(invalid("as many hosts as ports or addresses are needed"));
        }
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
                (Some(Host::Unix(_)), _) => TlsMode::Disable,
                (_, Some(TlsMode::Require)) if tls.roots.is_some() => TlsMode::VerifyCa,
                (_, Some(mode)) => mode,
                (_, None) if local => TlsMode::Prefer,
                (_, None) => TlsMode::VerifyFull,
            };
            config.ssl_mode(match mode {
                TlsMode::Disable => SslMode::Disable,
                TlsMode::Prefer => SslMode::Prefer,
                _ => SslMode::Require,
            });
            let named = match (host, address) {
                (Some(Host::Tcp(name)), _) => name.clone(),
                (Some(Host::Unix(_)), _) => "localhost".into(),
                (None, address) => address.map(|a| a.to_string()).unwrap_or_default(),
            };
            if let Some(password) = conninfo.find("password").filter(|text| !text.is_empty()) {
                config.password(password);
            } else if let Some(password) = passwords.find(&named, port, &self.database, &self.user)
            {
                config.password(password);
            }
            let methods = match mode {
                TlsMode::VerifyCa | TlsMode::VerifyFull => AuthMethods::all(),
                _ => AuthMethods::unverified(),
            };
            servers.push(DatabaseServer {
                config,
                mode,
                methods,
            });
        }
        Ok(servers)
    }

    /// Returns the configuration without the server's place.
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
        }
        if let Some(timeout) = said.get_connect_timeout() {
            config.connect_timeout(*timeout);
        }
        config
    }
}

impl TlsMode {
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

/// Returns whether a URL has a parameter.
fn says(parameters: &str, name: &str) -> bool {
    let mut names = parameters.split('&').filter_map(|p| p.split('=').next());
    names.any(|given| given == name)
}

/// Returns whether the part before the parameters has a port. The library does not
/// distinguish the default port from a given one.
fn has_port(place: &str) -> bool {
    let authority = place.split("://").nth(1).unwrap_or_default();
    let authority = authority.split('/').next().unwrap_or_default();
    let hosts = authority.rsplit('@').next().unwrap_or_default();
    let with_port = |host: &str| {
        host.rsplit(']')
            .next()
            .is_some_and(|rest| rest.contains(':'))
    };
    hosts.split(',').any(with_port)
}

fn host(name: &str) -> Host {
    if name.starts_with('/') {
        Host::Unix(name.into())
    } else {
        Host::Tcp(name.to_owned())
    }
}

/// Returns whether the server is on this machine, so that no one can listen in between.
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

/// Returns a file in the user's `~/.postgresql`, if it exists.
fn home(env: Variables, name: &str) -> Option<PathBuf> {
    let file = PathBuf::from(env("HOME")?).join(".postgresql").join(name);
    file.is_file().then_some(file)
}

fn own_name() -> Result<String> {
    let user = User::from_uid(Uid::effective()).ok().flatten();
    user.map(|user| user.name)
        .ok_or_else(|| invalid("it names no user, and neither does PGUSER"))
}

fn reason(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests;
