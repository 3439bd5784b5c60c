//! Postfix's configuration as `postconf` prints it.

mod examine;
pub mod restrictions;

use std::path::Path;

use super::findings::Compared;
use super::sockets::Sockets;
use super::tool;
use crate::error::Result;

/// main.cf, master.cf, and the warnings of `postconf`.
pub struct Postfix {
    main: Vec<(String, String)>,
    /// `submission/inet/smtpd_sasl_path = …`
    overrides: Vec<(String, String)>,
    services: Vec<Service>,
    /// What `postconf` warns of.
    pub warnings: Vec<String>,
}

/// A service of master.cf that listens for mail.
#[derive(Clone)]
pub struct Service {
    /// `submission/inet`
    pub name: String,
    /// The service runs in the queue directory as its root.
    pub chroot: bool,
}

impl Postfix {
    /// Reads the configuration, from `folder` if given. Fails if `postconf` does.
    pub fn read(folder: Option<&Path>) -> Result<Self> {
        let folder = folder.map(|path| path.display().to_string());
        let asked = |args: &[&str]| {
            let folder = folder.iter().flat_map(|folder| ["-c", folder.as_str()]);
            let args: Vec<_> = folder.chain(args.iter().copied()).collect();
            tool::ask("postconf", &args)
        };
        // With every $name expanded.
        let main = asked(&["-x"])?;
        let overrides = asked(&["-Px"])?;
        let master = asked(&["-M"])?;
        let mut postfix = Self::of(&main.stdout, &overrides.stdout, &master.stdout);
        postfix.warnings = warnings(&main.stderr);
        Ok(postfix)
    }

    /// Reads what `postconf -x`, `-Px` and `-M` have printed.
    pub fn of(main: &str, overrides: &str, master: &str) -> Self {
        let mut postfix = Self {
            main: pairs(main),
            overrides: pairs(overrides),
            services: Vec::new(),
            warnings: Vec::new(),
        };
        // "-" is "y" in sets of defaults from before Postfix 3.0.
        let level = postfix.main("compatibility_level");
        let chrooted = level.trim().is_empty() || level.trim() == "0";
        postfix.services = master
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
        postfix
    }

    /// Returns a parameter of main.cf or its default, empty if it is unknown.
    pub fn main(&self, name: &str) -> &str {
        found(&self.main, name).unwrap_or_default()
    }

    /// Returns a parameter of a service: its own, or else that of main.cf.
    pub fn value(&self, service: &Service, name: &str) -> &str {
        found(&self.overrides, &format!("{}/{name}", service.name))
            .unwrap_or_else(|| self.main(name))
    }

    /// Returns a list of restrictions as Postfix reads it: in lower case, with restriction
    /// classes expanded.
    pub fn list(&self, service: &Service, name: &str) -> String {
        let classes = self.value(service, "smtpd_restriction_classes");
        let classes = restrictions::words(classes);
        let mut words = restrictions::words(self.value(service, name));
        // A class may name others, but hardly deeper than this.
        for _ in 0..4 {
            let stands = words.into_iter().flat_map(|word| {
                if classes.contains(&word) {
                    restrictions::words(self.value(service, word))
                } else {
                    vec![word]
                }
            });
            // A class that names itself several times would grow without end.
            words = stands.take(1000).collect();
        }
        let plain: Vec<_> = words.into_iter().map(restrictions::plain).collect();
        plain.join(", ")
    }

    fn says_yes(&self, service: &Service, name: &str) -> bool {
        self.value(service, name).eq_ignore_ascii_case("yes")
    }

    /// Returns the services that offer AUTH.
    pub fn signing_in(&self) -> impl Iterator<Item = &Service> {
        let signs_in = |service: &&Service| self.says_yes(service, "smtpd_sasl_auth_enable");
        self.services.iter().filter(signs_in)
    }

    /// Returns whether it uses smtpcred for sign-ins or limits.
    pub fn is_set_up(&self) -> bool {
        let mut all = self.main.iter().chain(&self.overrides);
        self.signing_in().next().is_some() || all.any(|(_, value)| value.contains("smtpcred"))
    }

    /// Returns whether passwords are accepted over TLS only.
    pub fn encrypts(&self, service: &Service) -> bool {
        let level = self.value(service, "smtpd_tls_security_level");
        self.says_yes(service, "smtpd_tls_auth_only")
            || level.eq_ignore_ascii_case("encrypt")
            || self.says_yes(service, "smtpd_tls_wrappermode")
    }

    /// Compares every service that offers AUTH with what show-server-config prints.
    pub fn compare(&self, sockets: &Sockets) -> Vec<Compared> {
        let mut all: Vec<_> = self
            .signing_in()
            .flat_map(|service| self.compare_service(service, sockets))
            .collect();
        if all.is_empty() {
            all.push(Compared::new(
                "master.cf",
                "smtpd_sasl_auth_enable = yes",
                "no service offers AUTH",
                false,
            ));
        }
        all
    }

    /// Compares one service with what show-server-config prints.
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
            "passwords may be sent in plain text"
        };
        let policy = [
            "smtpd_recipient_restrictions",
            "smtpd_end_of_data_restrictions",
        ]
        .map(|name| {
            let found = self.value(service, name);
            let list = self.list(service, name);
            let asked = restrictions::services(&list);
            let good = asked
                .iter()
                .any(|one| one.enforced && one.is(&sockets.policy));
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

/// Returns each warning once: `postconf` reads main.cf several times, and the second time
/// the first of two entries overrides the last.
fn warnings(text: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let about = |line: &str| {
        let override_ = line.split_once("overriding earlier entry: ");
        let name = override_.and_then(|(_, entry)| entry.split('=').next());
        name.unwrap_or(line).to_owned()
    };
    text.lines()
        .map(|line| {
            line.trim_start_matches("postconf: ")
                .trim_start_matches("warning: ")
        })
        .filter(|line| {
            let about = about(line);
            let new = !seen.contains(&about);
            seen.push(about);
            new
        })
        .map(str::to_owned)
        .collect()
}

/// Returns the names and values of lines such as `smtpd_sasl_type = dovecot`.
pub fn pairs(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| line.split_once(" ="))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

fn found<'a>(pairs: &'a [(String, String)], wanted: &str) -> Option<&'a str> {
    let pair = pairs.iter().find(|(name, _)| name == wanted);
    pair.map(|(_, value)| value.as_str())
}
