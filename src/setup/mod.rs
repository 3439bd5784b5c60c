//! Sets up a mail server so that it uses smtpcred, and undoes that.
//!
//! Three parts: what is found on this machine; a plan that is computed from it, without
//! touching anything; and a run that makes the changes. Changes of a server's configuration
//! are first made on a copy by the server's own tools, so the plan shows exactly what will be
//! in the files. The run records everything in [`journal`] before it happens. Whatever fails,
//! the changes are undone before the failure is reported; the next run undoes those of a run
//! that was killed, and finishes an undo that was killed.

pub mod content;
pub mod diff;
pub mod dovecot;
mod draft;
pub mod exim;
pub mod journal;
mod kept;
pub mod machine;
mod names;
mod ports;
pub mod postfix;
mod prove;
mod refusal;
mod run;
mod system;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

pub use self::content::FileChange;
pub use self::journal::Journal;
pub use self::kept::{HostChange, Undo};
pub use self::prove::Proof;
pub use self::run::{RunWith, finish_undo, make, plan_undo, roll_back, undo};

use self::refusal::refused;
use crate::error::Result;
use crate::files;
use crate::model::name::HostName;
use crate::model::settings::Port;
use machine::{MachinePlan, NewFolder};

/// What an admin asked for.
#[derive(Debug, Default)]
pub struct SetupOptions {
    /// The name of the server that applications connect to.
    pub host: Option<HostName>,
    /// The server's configuration, if it is not the usual one.
    pub config: Option<PathBuf>,
    /// Replace another sign-in of the ports for applications.
    pub replace: bool,
}

/// The commands of a mail server, each with its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerCommands {
    /// Checks the configuration.
    pub check: Vec<String>,
    /// Makes it read the configuration again.
    pub reload: Vec<String>,
    /// Succeeds while it runs.
    pub running: Vec<String>,
    /// Starts it.
    pub start: Vec<String>,
}

/// A port to sign in at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignInPort {
    /// The port.
    pub port: Port,
    /// Where it is reached on this machine.
    pub address: IpAddr,
}

/// Everything that setup will do.
#[derive(Debug)]
pub struct Plan {
    /// What the machine needs: a user, folders, sockets.
    pub machine: MachinePlan,
    /// The host name to set.
    pub host: Option<HostChange>,
    /// The name that certificates are compared with; `None` without ports.
    pub name: Option<HostName>,
    /// The files of the mail server.
    pub config: Vec<FileChange>,
    /// Where a sign-in has to work.
    pub sign_in_ports: Vec<SignInPort>,
    /// The server's own auth socket, if a sign-in has to work there.
    pub auth: Option<PathBuf>,
    /// The mail server's own commands.
    pub commands: ServerCommands,
    /// What an admin should know.
    pub warnings: Vec<String>,
}

/// One change, for people.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub what: String,
    /// The file that changes.
    pub file: Option<PathBuf>,
    /// The lines that change.
    pub diff: Vec<String>,
}

impl Plan {
    /// Returns whether everything is as it should be.
    pub fn is_empty(&self) -> bool {
        self.changes().is_empty()
    }

    /// Returns what is done, in this order: the changes and, if there are any, their proof.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = self.changes();
        if steps.is_empty() {
            return steps;
        }
        steps.push(Step::plain(
            "check the configuration, and make the mail server read it".into(),
        ));
        let ports = self
            .sign_in_ports
            .iter()
            .map(|at| at.port.number.to_string());
        let mut ports: Vec<_> = ports.collect();
        ports.dedup();
        let place = match &self.auth {
            Some(socket) => format!("at {}", socket.display()),
            None if ports.len() == 1 => format!("on port {}", ports[0]),
            None => format!("on ports {}", ports.join(" and ")),
        };
        steps.push(Step::plain(format!("sign in {place} as a temporary user")));
        steps
    }

    fn changes(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.machine.user {
            steps.push(Step::plain("create the system user smtpcred".into()));
        }
        let folder = |folder: &NewFolder| {
            Step::plain(format!("create the folder {}", folder.path.display()))
        };
        steps.extend(self.machine.folders.iter().map(folder));
        steps.extend(self.machine.units.iter().map(Step::of_file));
        if !self.machine.enable.is_empty() {
            let units = self.machine.enable.iter().map(|unit| unit.name.as_str());
            let units: Vec<_> = units.collect();
            steps.push(Step::plain(format!("enable and start {}", units.join(" "))));
        }
        if let Some(host) = &self.host {
            let from = host.before.as_deref().unwrap_or("none");
            steps.push(Step::plain(format!(
                "set the host: {from} -> {}",
                host.after
            )));
        }
        steps.extend(self.config.iter().map(Step::of_file));
        steps
    }

    /// Returns all files that change.
    fn files(&self) -> Vec<FileChange> {
        let both = self.machine.units.iter().chain(&self.config);
        both.cloned().collect()
    }
}

impl Undo {
    /// Returns the changes in the order in which they are made.
    pub fn steps(&self) -> Vec<Step> {
        let files = self.files.iter();
        let changes = files.filter(|file| file.before != file.after);
        let mut steps: Vec<_> = changes.map(Step::of_file).collect();
        let all = &self.effects.units;
        let (enabled, others): (Vec<_>, Vec<_>) = all.iter().partition(|unit| unit.enabled);
        for (verb, units) in [("stop", enabled), ("stop and disable", others)] {
            let names: Vec<_> = units.iter().map(|unit| unit.name.as_str()).collect();
            if !names.is_empty() {
                steps.push(Step::plain(format!("{verb} {}", names.join(" "))));
            }
        }
        if let Some(host) = &self.effects.host {
            let before = host.before.as_deref().unwrap_or("none");
            steps.push(Step::plain(format!(
                "set the host: {} -> {before}",
                host.after
            )));
        }
        steps
    }
}

impl Step {
    fn plain(what: String) -> Self {
        Self {
            what,
            file: None,
            diff: Vec::new(),
        }
    }

    /// Describes the change of a file.
    pub fn of_file(change: &FileChange) -> Self {
        let verb = match (&change.before, &change.after) {
            (None, _) => "create",
            (_, None) => "remove",
            _ => "change",
        };
        Self {
            what: format!("{verb} {}", change.path.display()),
            file: Some(change.path.clone()),
            diff: change.diff(),
        }
    }
}

impl ServerCommands {
    /// Returns how to start a server: by the service manager if it manages this one. Started by
    /// this process, it would belong to the session of the admin.
    fn start(service: &str, config: Option<&Path>, by_hand: Vec<String>) -> Vec<String> {
        if config.is_none() && files::is_there(Path::new("/run/systemd/system")) {
            return ["systemctl", "restart", service].map(str::to_owned).into();
        }
        by_hand
    }
}

/// Returns the name of the record of a server with this configuration: another one than the
/// usual has a record of its own.
fn record(server: &str, usual: &str, config: Option<&Path>) -> String {
    match config.filter(|path| *path != Path::new(usual)) {
        None => server.into(),
        Some(path) => {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            let text = path.display().to_string();
            format!("{server}-{}", text.replace('%', "%25").replace('/', "%2F"))
        }
    }
}

/// Returns the host name to set: the given one, or the one in the settings, or the mail
/// server's own.
fn host(
    given: Option<&HostName>,
    set: Option<&HostName>,
    own: &str,
) -> Result<(HostName, Option<HostChange>)> {
    let change = |name: &HostName| HostChange {
        before: set.map(ToString::to_string),
        after: name.to_string(),
    };
    let unusable = |whose: &str, name: &str| {
        refused(
            format!("{whose} is {name:?}, which applications cannot use"),
            "name the server that applications connect to: --host smtp.example.com",
        )
    };
    match (given, set) {
        (Some(given), set) if Some(given) != set && is_usable(given) => {
            Ok((given.clone(), Some(change(given))))
        }
        (Some(given), set) if Some(given) != set => {
            Err(unusable("the name in --host", given.as_str()))
        }
        (_, Some(set)) => Ok((set.clone(), None)),
        (_, None) => match own.parse::<HostName>() {
            Ok(name) if is_usable(&name) => {
                let change = change(&name);
                Ok((name, Some(change)))
            }
            _ => Err(unusable("the mail server's own name", own)),
        },
    }
}

/// Whether other machines can find a server by this name.
fn is_usable(name: &HostName) -> bool {
    let name = name.as_str();
    let is_local = name.split('.').next() == Some("localhost");
    !is_local && name.contains(['.', ':'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_only_this_machine_knows_is_refused() {
        for name in ["localhost", "localhost.localdomain", "vm"] {
            let name: HostName = name.parse().unwrap();
            assert!(
                host(Some(&name), None, "smtp.example.com").is_err(),
                "{name}"
            );
            assert!(host(None, None, name.as_str()).is_err(), "{name}");
            // What an admin has set stays.
            assert!(host(None, Some(&name), "").is_ok(), "{name}");
        }
        let name: HostName = "smtp.example.com".parse().unwrap();
        let (given, change) = host(Some(&name), None, "vm").unwrap();
        assert_eq!((given, change.is_some()), (name, true));
    }
}
