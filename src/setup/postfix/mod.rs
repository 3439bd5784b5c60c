//! Postfix. Its files are changed by `postconf` alone, on a copy; then the copies are put in
//! place.

mod found;
mod lists;
mod plan;
mod service;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use nix::unistd::{Group, User};

use self::found::{Edit, Edits, Found};
use super::content::{FileChange, content};
use super::draft::DraftFolder;
use super::machine::{Machine, SocketPlace};
use super::ports::{certificate, is_taken};
use super::refusal::refused;
use super::{Plan, ServerCommands, SetupOptions, host};
use crate::doctor::postfix::{Postfix, pairs};
use crate::doctor::tool;
use crate::error::{Error, Result};
use crate::model::name::HostName;
use crate::model::password::Random;
use crate::model::store_location::Location;

const FILES: [&str; 2] = ["main.cf", "master.cf"];

/// Returns the name of the record of a Postfix with this folder.
pub fn record(config: Option<&Path>) -> String {
    super::record("postfix", "/etc/postfix", config)
}

/// Returns the commands of a Postfix with this folder.
pub fn commands(config: Option<&Path>) -> ServerCommands {
    let command = |verb: &str| {
        let mut words = vec!["postfix".to_owned()];
        if let Some(folder) = config {
            words.extend(["-c".to_owned(), folder.display().to_string()]);
        }
        words.push(verb.to_owned());
        words
    };
    ServerCommands {
        start: ServerCommands::start("postfix", config, command("start")),
        check: command("check"),
        reload: command("reload"),
        running: command("status"),
    }
}

/// Looks at Postfix and this machine, and returns what to change.
pub fn plan(
    options: &SetupOptions,
    set_host: Option<&HostName>,
    location: &Location,
    random: Random,
) -> Result<Plan> {
    let config = options.config.as_deref();
    let commands = commands(config);
    let folder = usable(config, &commands)?;
    let found = read(&folder, options.host.as_ref().or(set_host))?;
    let main = |name: &str| found.expanded.main(name).to_owned();
    let (name, host) = host(options.host.as_ref(), set_host, &main("myhostname"))?;
    let Edits {
        list,
        sign_in_ports,
        warnings,
    } = plan::plan(&found, options.replace)?;
    let draft = Draft::new(&folder, random)?;
    draft.edit(&list)?;
    plan::verify(
        &Postfix::read(Some(draft.folder.path()))?,
        sign_in_ports.len(),
    )?;
    let config = draft.changes()?;
    let place = SocketPlace {
        folder: Path::new(&main("queue_directory")).join("smtpcred"),
        user: main("mail_owner"),
        group: group_of(&main("mail_owner")),
    };
    let machine = Machine::read(&place, location).plan(&place)?;
    Ok(Plan {
        machine,
        host,
        name: Some(name),
        config,
        sign_in_ports,
        auth: None,
        commands,
        warnings,
    })
}

/// Returns the folder of a Postfix that works. Fails if it does not, or if another instance
/// may be meant.
fn usable(config: Option<&Path>, commands: &ServerCommands) -> Result<PathBuf> {
    if !tool::is_there("postconf") || !tool::is_there("postfix") {
        return Err(refused(
            "Postfix is not installed",
            "install it first: apt install postfix",
        ));
    }
    let works = |words: &[String]| {
        let args: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        tool::ask(&words[0], &args)
    };
    let folder = if let Some(folder) = config {
        std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
    } else {
        let several = value(None, "multi_instance_directories").map_err(broken)?;
        if !several.is_empty() {
            return Err(refused(
                format!("this machine has several instances of Postfix: /etc/postfix, {several}"),
                "name the folder of the one for applications: --config /etc/postfix",
            ));
        }
        PathBuf::from(value(None, "config_directory")?)
    };
    value(Some(&folder), "myhostname").map_err(broken)?;
    works(&commands.check).map_err(broken)?;
    if works(&commands.running).is_err() {
        return Err(refused(
            "Postfix is not running, so no sign-in could prove the setup",
            "start it first: systemctl start postfix, or postfix start",
        ));
    }
    Ok(folder)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn broken(error: Error) -> Error {
    refused(
        format!("Postfix's configuration already has a problem: {error}"),
        "fix it until `postfix check` succeeds, then try again",
    )
}

fn postconf(folder: Option<&Path>, args: &[&str]) -> Result<String> {
    let folder = folder.map(|folder| folder.display().to_string());
    let mut all: Vec<&str> = Vec::new();
    if let Some(folder) = &folder {
        all.extend(["-c", folder]);
    }
    all.extend(args);
    Ok(tool::ask("postconf", &all)?.stdout)
}

fn value(folder: Option<&Path>, name: &str) -> Result<String> {
    Ok(postconf(folder, &["-xh", name])?.trim().to_owned())
}

fn read(folder: &Path, host: Option<&HostName>) -> Result<Found> {
    let at = Some(folder);
    let master = postconf(at, &["-M"])?;
    Ok(Found {
        version: value(at, "mail_version")?,
        main: pairs(&postconf(at, &[])?),
        overrides: pairs(&postconf(at, &["-P"])?),
        master: master.lines().map(str::to_owned).collect(),
        expanded: Postfix::read(at)?,
        taken: [587, 465]
            .into_iter()
            .filter(|port| is_taken(*port))
            .collect(),
        name_of_465: name_of_465(),
        certificate: certificate(host),
    })
}

/// Returns the name that the system knows for port 465: Postfix looks it up.
fn name_of_465() -> &'static str {
    let listed = content(Path::new("/etc/services")).ok().flatten();
    let listed = String::from_utf8_lossy(&listed.unwrap_or_default()).into_owned();
    let has = |name: &str| {
        listed.lines().any(|line| {
            let line = line.split('#').next().unwrap_or_default();
            let fields: Vec<_> = line.split_whitespace().collect();
            fields.get(1) == Some(&"465/tcp") && fields.contains(&name)
        })
    };
    ["submissions", "smtps"]
        .into_iter()
        .find(|name| has(name))
        .unwrap_or("465")
}

/// Returns the group of the user that Postfix runs as.
fn group_of(owner: &str) -> String {
    let user = User::from_name(owner).ok().flatten();
    let group = user.and_then(|user| Group::from_gid(user.gid).ok().flatten());
    group.map_or_else(|| "postfix".into(), |group| group.name)
}

/// Copies of the two files.
struct Draft {
    original: PathBuf,
    folder: DraftFolder,
    before: [Vec<u8>; 2],
}

impl Draft {
    fn new(original: &Path, random: Random) -> Result<Self> {
        let mut draft = Self {
            original: original.to_owned(),
            folder: DraftFolder::new(random)?,
            before: [Vec::new(), Vec::new()],
        };
        for (at, name) in FILES.into_iter().enumerate() {
            let file = original.join(name);
            let Some(bytes) = content(&file)? else {
                return Err(Error::System(format!("{} does not exist", file.display())));
            };
            draft.folder.add(name, &bytes)?;
            draft.before[at] = bytes;
        }
        Ok(draft)
    }

    fn edit(&self, edits: &[Edit]) -> Result<()> {
        for edit in edits {
            let (flag, setting) = match edit {
                Edit::Main { name, value } => ("-e", format!("{name}={value}")),
                Edit::Line { service, line } => ("-M", format!("{service}={line}")),
                Edit::Option {
                    service,
                    name,
                    value,
                } => ("-P", format!("{service}/{name}={value}")),
            };
            postconf(Some(self.folder.path()), &[flag, &setting])?;
        }
        Ok(())
    }

    fn changes(&self) -> Result<Vec<FileChange>> {
        let mut changes = Vec::new();
        for (name, before) in FILES.into_iter().zip(&self.before) {
            let after = content(&self.folder.path().join(name))?.unwrap_or_default();
            if after != *before {
                changes.push(FileChange {
                    path: self.original.join(name),
                    before: Some(before.clone()),
                    after: Some(after),
                });
            }
        }
        Ok(changes)
    }
}
