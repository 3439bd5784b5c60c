//! Postfix's configuration, as `postconf` tells it.

use std::path::{Path, PathBuf};

use super::{Compared, Sockets, tool};
use crate::error::Result;

/// main.cf, master.cf, and what `postconf` complains about.
pub struct Postfix {
    main: Vec<(String, String)>,
    /// `submission/inet/smtpd_sasl_path = …`
    overrides: Vec<(String, String)>,
    services: Vec<Service>,
    pub warnings: Vec<String>,
}

/// One that listens for mail.
#[derive(Clone)]
pub struct Service {
    /// `submission/inet`
    pub name: String,
    pub chroot: bool,
}

/// Where a service is sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Unix(PathBuf),
    /// `127.0.0.1:10040`
    Inet(String),
}

impl Postfix {
    pub fn read(folder: Option<&Path>) -> Result<Self> {
        let folder = folder.map(|path| path.display().to_string());
        let asked = |args: &[&str]| {
            let folder = folder.iter().flat_map(|folder| ["-c", folder.as_str()]);
            let args: Vec<_> = folder.chain(args.iter().copied()).collect();
            tool::ask("postconf", &args)
        };
        // With every $name replaced by what it stands for.
        let main = asked(&["-x"])?;
        let overrides = asked(&["-Px"])?;
        let master = asked(&["-M"])?;
        let mut postfix = Self {
            main: pairs(&main.stdout),
            overrides: pairs(&overrides.stdout),
            services: Vec::new(),
            warnings: Vec::new(),
        };
        // "-" is "y" in sets of defaults from before Postfix 3.0.
        let level = postfix.main("compatibility_level");
        let chrooted = level.trim().is_empty() || level.trim() == "0";
        postfix.services = master
            .stdout
            .lines()
            .filter_map(|line| {
                let fields: Vec<_> = line.split_whitespace().collect();
                let listens = fields.get(1) == Some(&"inet") && fields.get(7) == Some(&"smtpd");
                listens.then(|| Service {
                    name: format!("{}/inet", fields[0]),
                    chroot: fields[4] == "y" || (fields[4] == "-" && chrooted),
                })
            })
            .collect();
        for line in main.stderr.lines() {
            let warning = line.strip_prefix("postconf: ").unwrap_or(line).to_owned();
            if !postfix.warnings.contains(&warning) {
                postfix.warnings.push(warning);
            }
        }
        Ok(postfix)
    }

    /// What main.cf or Postfix itself says.
    pub fn main(&self, name: &str) -> &str {
        found(&self.main, name).unwrap_or_default()
    }

    /// What holds for a service: what it sets itself, and else what main.cf says.
    pub fn value(&self, service: &Service, name: &str) -> &str {
        found(&self.overrides, &format!("{}/{name}", service.name))
            .unwrap_or_else(|| self.main(name))
    }

    /// Those that sign users in.
    pub fn signing_in(&self) -> impl Iterator<Item = &Service> {
        let signs_in = |service: &&Service| self.value(service, "smtpd_sasl_auth_enable") == "yes";
        self.services.iter().filter(signs_in)
    }

    /// Passwords come over TLS only.
    pub fn encrypts(&self, service: &Service) -> bool {
        self.value(service, "smtpd_tls_auth_only") == "yes"
            || self.value(service, "smtpd_tls_security_level") == "encrypt"
            || self.value(service, "smtpd_tls_wrappermode") == "yes"
    }

    /// Every service that signs users in.
    pub fn compare(&self, sockets: &Sockets) -> Vec<Compared> {
        let mut all: Vec<_> = self
            .signing_in()
            .flat_map(|service| self.compare_service(service, sockets))
            .collect();
        if all.is_empty() {
            all.push(Compared::new(
                "master.cf",
                "smtpd_sasl_auth_enable = yes",
                "no service signs users in",
                false,
            ));
        }
        all
    }

    pub fn compare_service(&self, service: &Service, sockets: &Sockets) -> Vec<Compared> {
        let compared =
            |wanted: &str, found: &str, good| Compared::new(&service.name, wanted, found, good);
        let equal = |name: &str, wanted: &str| {
            let found = self.value(service, name);
            compared(&format!("{name} = {wanted}"), found, found == wanted)
        };
        let encrypts = self.encrypts(service);
        let clear = if encrypts {
            "yes"
        } else {
            "passwords may come in clear"
        };
        let policy = [
            "smtpd_recipient_restrictions",
            "smtpd_end_of_data_restrictions",
        ]
        .map(|name| {
            let found = self.value(service, name);
            let good = found.contains("check_policy_service") && found.contains(&sockets.policy);
            let wanted = format!("{name} with check_policy_service … {}", sockets.policy);
            compared(&wanted, found, good)
        });
        [
            equal("smtpd_sasl_type", "dovecot"),
            equal("smtpd_sasl_path", &sockets.auth),
            compared("smtpd_tls_auth_only = yes", clear, encrypts),
        ]
        .into_iter()
        .chain(policy)
        .collect()
    }
}

fn pairs(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| line.split_once(" ="))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

fn found<'a>(pairs: &'a [(String, String)], wanted: &str) -> Option<&'a str> {
    let pair = pairs.iter().find(|(name, _)| name == wanted);
    pair.map(|(_, value)| value.as_str())
}
