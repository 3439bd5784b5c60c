//! What a machine needs beside the mail server: the user, the folders, the sockets and the
//! service that listens on them.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use nix::unistd::User;

use super::content::{FileChange, content};
use super::kept::UnitBefore;
use super::names::{QUEUE, SERVICE, SOCKETS, STORE_FOLDER, UNITS, USER};
use super::refusal::refused;
use crate::doctor::sockets::{self, Endpoint, SocketError};
use crate::doctor::tool;
use crate::error::Result;
use crate::files::{self, Folder};
use crate::model::store_location::Location;

/// Where the two sockets have to be, and who connects to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketPlace {
    /// Their folder.
    pub folder: PathBuf,
    /// The user that connects.
    pub user: String,
    /// Its group.
    pub group: String,
}

impl SocketPlace {
    /// Returns the socket with this name, `auth` or `policy`.
    pub fn socket(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn is_usual(&self) -> bool {
        self.folder == Path::new(QUEUE).join("smtpcred") && self.group == "postfix"
    }
}

/// What is at the path of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketUse {
    /// Nothing that answers.
    Free,
    /// smtpcred answers.
    Ours,
    /// Something else, which this says.
    Other(String),
}

/// The state of a unit of the service manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitState {
    /// Its name.
    pub name: &'static str,
    /// It is installed.
    pub installed: bool,
    /// It starts when the machine does.
    pub enabled: bool,
    /// It runs.
    pub active: bool,
}

/// What is found on this machine.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "what is there")]
pub struct Machine {
    /// systemd runs.
    pub systemd: bool,
    /// The user of `serve` exists.
    pub user: bool,
    /// The folder of the store exists.
    pub store_folder: bool,
    /// The folder of the sockets exists.
    pub socket_folder: bool,
    /// The units, if systemd runs.
    pub units: Vec<UnitState>,
    /// The store that the service uses.
    pub service_store: Option<String>,
    /// The store that this command uses.
    pub store: String,
    /// This program.
    pub program: PathBuf,
    /// What is at each socket: auth, then policy.
    pub sockets: [SocketUse; 2],
    /// What is now in the drop-ins of the sockets.
    pub drop_ins: [Option<Vec<u8>>; 2],
}

/// A folder to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFolder {
    /// Its path.
    pub path: PathBuf,
    /// Its mode.
    pub mode: u32,
    /// The group it belongs to; the owner is the user of `serve`.
    pub group: String,
}

/// What the machine needs.
#[derive(Clone, Debug, Default)]
pub struct MachinePlan {
    /// The user is to be created.
    pub user: bool,
    /// Folders to create.
    pub folders: Vec<NewFolder>,
    /// Files of units to write.
    pub units: Vec<FileChange>,
    /// Units to enable and start, as they are now.
    pub enable: Vec<UnitBefore>,
    /// The sockets that have to answer, auth first.
    pub sockets: Vec<PathBuf>,
    /// The user that has to reach them.
    pub connects: String,
    /// Without systemd: how to run `serve`, the words of a command line.
    pub serve: Option<Vec<String>>,
}

impl MachinePlan {
    /// Returns what a store needs that the mail server reads itself.
    pub fn of_store(store: &Path) -> Self {
        if !store.starts_with(STORE_FOLDER) || is_made(Path::new(STORE_FOLDER)) {
            return Self::default();
        }
        Self {
            user: User::from_name(USER).ok().flatten().is_none(),
            folders: vec![NewFolder::of_store()],
            ..Self::default()
        }
    }
}

impl NewFolder {
    /// Returns the folder of the store.
    fn of_store() -> Self {
        Self {
            path: STORE_FOLDER.into(),
            mode: 0o700,
            group: USER.into(),
        }
    }
}

impl Machine {
    /// Looks at this machine.
    pub fn read(place: &SocketPlace, location: &Location) -> Self {
        let systemd = files::is_there(Path::new("/run/systemd/system"));
        let units = if systemd { states() } else { Vec::new() };
        let store = match location {
            Location::File(path) => {
                Location::from(std::path::absolute(path).unwrap_or_else(|_| path.clone()))
            }
            database @ Location::Postgres(_) => database.clone(),
        };
        Self {
            systemd,
            user: User::from_name(USER).ok().flatten().is_some(),
            store_folder: is_made(Path::new(STORE_FOLDER)),
            socket_folder: is_made(&place.folder),
            service_store: if systemd { service_store() } else { None },
            store: store.to_string(),
            program: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("smtpcred")),
            sockets: ["auth", "policy"].map(|name| socket_use(&place.socket(name))),
            drop_ins: SOCKETS.map(|unit| content(&drop_in(unit)).ok().flatten()),
            units,
        }
    }

    /// Returns what it lacks.
    pub fn plan(&self, place: &SocketPlace) -> Result<MachinePlan> {
        for used in &self.sockets {
            if let SocketUse::Other(what) = used {
                return Err(refused(
                    what,
                    "stop that program, or remove the file, and try again",
                ));
            }
        }
        let ours = self.sockets.iter().all(|used| *used == SocketUse::Ours);
        let mut plan = MachinePlan {
            user: !self.user,
            sockets: ["auth", "policy"].map(|name| place.socket(name)).into(),
            connects: place.user.clone(),
            ..MachinePlan::default()
        };
        if !self.store_folder && Path::new(&self.store).starts_with(STORE_FOLDER) {
            plan.folders.push(NewFolder::of_store());
        }
        if self.systemd {
            self.with_systemd(place, ours, &mut plan)?;
        } else {
            self.without_systemd(place, ours, &mut plan);
        }
        Ok(plan)
    }

    fn with_systemd(&self, place: &SocketPlace, ours: bool, plan: &mut MachinePlan) -> Result<()> {
        let sockets = self.units.iter().filter(|unit| unit.name != SERVICE);
        let works = sockets.clone().all(|unit| unit.enabled && unit.active);
        // A serve that an admin runs in another way.
        let none = self.units.iter().all(|unit| !unit.active);
        if ours && none {
            return Ok(());
        }
        if let Some(used) = self
            .service_store
            .as_ref()
            .filter(|used| **used != self.store)
        {
            return Err(refused(
                format!(
                    "{SERVICE} uses the store {used}, but this command would use {}",
                    self.store
                ),
                format!("specify the store of the service: --store {used}"),
            ));
        }
        if self.service_store.is_none() && self.store != format!("{STORE_FOLDER}/smtpcred.db") {
            return Err(refused(
                format!(
                    "{SERVICE} is not installed, and would use {STORE_FOLDER}/smtpcred.db, not {}",
                    self.store
                ),
                "install the units and set SMTPCRED_STORE in a drop-in: systemctl edit smtpcred.service",
            ));
        }
        self.unit_files(plan)?;
        let mut listens = works && ours;
        if !place.is_usual() {
            for ((unit, name), now) in SOCKETS.iter().zip(["auth", "policy"]).zip(&self.drop_ins) {
                let wanted = drop_in_text(place, name);
                if now.as_deref() != Some(wanted.as_bytes()) {
                    listens = false;
                    plan.units.push(FileChange {
                        path: drop_in(unit),
                        before: now.clone(),
                        after: Some(wanted.into_bytes()),
                    });
                }
            }
        }
        if !listens {
            let now = |unit: &UnitState| UnitBefore {
                name: unit.name.to_owned(),
                enabled: unit.enabled,
                active: unit.active,
            };
            plan.enable = sockets.map(now).collect();
        }
        Ok(())
    }

    /// Adds the units that no package has installed.
    fn unit_files(&self, plan: &mut MachinePlan) -> Result<()> {
        let missing: Vec<_> = self.units.iter().filter(|unit| !unit.installed).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let program = self.program.display().to_string();
        // The service sees no home folders and no temporary files of others.
        let hidden = ["/home/", "/root/", "/tmp/", "/run/", "/var/tmp/"];
        if hidden.iter().any(|at| program.starts_with(at)) {
            return Err(refused(
                format!(
                    "the service cannot run {program}, because systemd hides that folder from it"
                ),
                format!("install it first: install -m 755 {program} /usr/local/bin/"),
            ));
        }
        for unit in missing {
            let text = match unit.name {
                SERVICE => include_str!("../../dist/systemd/smtpcred.service"),
                "smtpcred-auth.socket" => include_str!("../../dist/systemd/smtpcred-auth.socket"),
                _ => include_str!("../../dist/systemd/smtpcred-policy.socket"),
            };
            plan.units.push(FileChange {
                path: Path::new(UNITS).join(unit.name),
                before: None,
                after: Some(text.replace("/usr/local/bin/smtpcred", &program).into()),
            });
        }
        Ok(())
    }

    fn without_systemd(&self, place: &SocketPlace, ours: bool, plan: &mut MachinePlan) {
        if ours {
            return;
        }
        if !self.socket_folder {
            plan.folders.push(NewFolder {
                path: place.folder.clone(),
                mode: 0o750,
                group: place.group.clone(),
            });
        }
        // Only the group passes the folder.
        let socket = |name| format!("{},mode=0666", place.socket(name).display());
        let words = [
            &self.program.display().to_string(),
            "--store",
            &self.store,
            "serve",
            "--auth",
            &socket("auth"),
            "--policy",
            &socket("policy"),
        ];
        plan.serve = Some(words.map(str::to_owned).into());
    }
}

/// Returns whether a folder exists. One of root's without anything in it does not count: a run
/// that was killed before it gave the folder away has left it.
fn is_made(path: &Path) -> bool {
    let left = |opened: Folder| {
        let is_root = opened.metadata().is_ok_and(|found| found.st_uid == 0);
        is_root && opened.names().is_ok_and(|names| names.is_empty())
    };
    files::is_there(path) && !Folder::open(path).is_ok_and(left)
}

fn drop_in(unit: &str) -> PathBuf {
    Path::new(UNITS).join(format!("{unit}.d/setup.conf"))
}

/// Returns the drop-in of a socket that is not where the unit has it.
fn drop_in_text(place: &SocketPlace, name: &str) -> String {
    let path = place.socket(name);
    let listen = if place.folder == Path::new(QUEUE).join("smtpcred") {
        String::new()
    } else {
        format!("ListenStream={}\n", path.display())
    };
    format!(
        "# Written by `smtpcred setup`.\n[Socket]\n{listen}SocketGroup={}\n",
        place.group
    )
}

/// Returns what answers at the path of a socket.
fn socket_use(path: &Path) -> SocketUse {
    let endpoint = Endpoint::unix(path);
    if !files::is_there(path) {
        return SocketUse::Free;
    }
    if !endpoint.is_there() {
        return SocketUse::Other(format!("{} is not a socket", path.display()));
    }
    let is_auth = path.ends_with("auth");
    let answer = if is_auth {
        sockets::remembering(&endpoint).map(drop)
    } else {
        sockets::ruling(&endpoint)
    };
    match answer {
        Ok(()) => SocketUse::Ours,
        Err(SocketError::Other(why)) if why == "nothing listens" => SocketUse::Free,
        Err(SocketError::Other(_)) => {
            SocketUse::Other(format!("another program listens on {}", path.display()))
        }
        Err(SocketError::Forbidden | SocketError::Removed(_)) => SocketUse::Free,
    }
}

fn systemctl(args: &[&str]) -> bool {
    tool::run("systemctl", args).is_ok_and(|(good, _)| good)
}

fn states() -> Vec<UnitState> {
    let state = |name: &'static str| UnitState {
        name,
        installed: systemctl(&["cat", name]),
        enabled: systemctl(&["is-enabled", "--quiet", name]),
        active: systemctl(&["is-active", "--quiet", name]),
    };
    let [auth, policy] = SOCKETS;
    [SERVICE, auth, policy].map(state).into()
}

/// Returns the store that the service uses.
fn service_store() -> Option<String> {
    let args = ["show", "--property=Environment", "--value", SERVICE];
    let (good, said) = tool::run("systemctl", &args).ok()?;
    let mut words = said.stdout.split_whitespace().filter(|_| good);
    let store = words.find_map(|word| word.strip_prefix("SMTPCRED_STORE="));
    store.map(str::to_owned)
}
