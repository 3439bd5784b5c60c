//! Dovecot. Setup adds files of its own, and changes none of the package's or an admin's.

mod blocks;
mod plan;
#[cfg(test)]
mod tests;
mod views;

use std::path::{Path, PathBuf};

use self::plan::{BY_HAND, Drafted, Found};
use super::content::{FileChange, content};
use super::draft::DraftFolder;
use super::machine::MachinePlan;
use super::refusal::refused;
use super::{Plan, ServerCommands, SetupOptions, host};
use crate::doctor::tool;
use crate::error::{Error, Result};
use crate::model::name::HostName;
use crate::model::password::Random;
use crate::model::store_location::Location;

const USUAL: &str = "/etc/dovecot/dovecot.conf";

/// Returns the name of the record of a Dovecot with this file.
pub fn record(config: Option<&Path>) -> String {
    super::record("dovecot", USUAL, config)
}

/// Returns the commands of a Dovecot with this file.
pub fn commands(config: Option<&Path>) -> ServerCommands {
    let file = config.map(|file| std::path::absolute(file).unwrap_or_else(|_| file.to_owned()));
    let command = |program: &str, words: &[&str]| {
        let mut all = vec![program.to_owned()];
        if let Some(file) = &file {
            all.extend(["-c".to_owned(), file.display().to_string()]);
        }
        all.extend(words.iter().map(|word| (*word).to_owned()));
        all
    };
    ServerCommands {
        check: command("doveconf", &["-n"]),
        reload: command("doveadm", &["reload"]),
        running: command("doveadm", &["process", "status"]),
        start: ServerCommands::start("dovecot", config, command("dovecot", &[])),
    }
}

/// Looks at Dovecot and this machine, and returns what to change.
pub fn plan(
    options: &SetupOptions,
    set_host: Option<&HostName>,
    location: &Location,
    random: Random,
) -> Result<Plan> {
    if options.replace {
        return Err(refused(
            "setup replaces no passdb of Dovecot: its file stands beside them",
            "try again without --replace",
        ));
    }
    let Location::File(store) = location else {
        return Err(refused(
            "in a database, Dovecot needs a role and a password of its own",
            BY_HAND,
        ));
    };
    let store = std::path::absolute(store).unwrap_or_else(|_| store.clone());
    let commands = commands(options.config.as_deref());
    let server = Server::usable(options.config.as_deref(), &commands)?;
    let auth = server.auth_socket()?;
    let Drafted { files, warnings } = plan::plan(&server.found(&store)?)?;
    let config = changes(files)?;
    server.check(&config, random)?;
    let given = options.host.as_ref();
    let host = given.map(|given| host(Some(given), set_host, ""));
    Ok(Plan {
        machine: MachinePlan::of_store(&store),
        host: host.transpose()?.and_then(|(_, change)| change),
        name: None,
        config,
        sign_in_ports: Vec::new(),
        auth: Some(auth),
        commands,
        warnings,
    })
}

/// Returns what changes in these files.
fn changes(files: Vec<(PathBuf, String)>) -> Result<Vec<FileChange>> {
    let mut changes = Vec::new();
    for (path, text) in files {
        let before = content(&path)?;
        if before.as_deref() != Some(text.as_bytes()) {
            changes.push(FileChange {
                path,
                before,
                after: Some(text.into_bytes()),
            });
        }
    }
    Ok(changes)
}

/// A Dovecot that runs.
struct Server {
    file: Option<PathBuf>,
    /// What `doveconf -n` prints.
    config: String,
}

impl Server {
    /// Reads the configuration. Fails if it has a problem or Dovecot does not run.
    fn usable(file: Option<&Path>, commands: &ServerCommands) -> Result<Self> {
        if ["dovecot", "doveconf", "doveadm"]
            .iter()
            .any(|program| !tool::is_there(program))
        {
            return Err(refused(
                "Dovecot is not installed",
                "install it first: apt install dovecot-core dovecot-sqlite",
            ));
        }
        let asked = |words: &[String]| {
            let args: Vec<&str> = words[1..].iter().map(String::as_str).collect();
            tool::ask(&words[0], &args)
        };
        let said = asked(&commands.check).map_err(broken)?;
        if asked(&commands.running).is_err() {
            return Err(refused(
                "Dovecot does not run, so no sign-in could prove the setup",
                "start it first: systemctl start dovecot, or dovecot",
            ));
        }
        Ok(Self {
            file: file.map(|file| std::path::absolute(file).unwrap_or_else(|_| file.to_owned())),
            config: said.stdout,
        })
    }

    /// Returns the value of a setting or its default; an unknown one is empty.
    fn value(&self, name: &str) -> String {
        let file = self.file.as_ref().map(|file| file.display().to_string());
        let from = file.iter().flat_map(|file| ["-c", file.as_str()]);
        let args: Vec<_> = from.chain(["-h", name]).collect();
        let said = tool::ask("doveconf", &args);
        said.map_or_else(|_| String::new(), |said| said.stdout.trim().to_owned())
    }

    /// Returns the socket at which Dovecot says who may sign in.
    fn auth_socket(&self) -> Result<PathBuf> {
        let socket = Path::new(&self.value("base_dir")).join("auth-client");
        if crate::files::is_there(&socket) {
            return Ok(socket);
        }
        Err(refused(
            format!(
                "Dovecot has no socket {}, at which a sign-in could prove the setup",
                socket.display()
            ),
            BY_HAND,
        ))
    }

    fn found(&self, store: &Path) -> Result<Found> {
        // The first line names it: "# 2.3.19.1 (9b53102964): /etc/dovecot/dovecot.conf".
        let first = self.config.lines().next().unwrap_or_default();
        let named = first.split_once("): ").map_or(USUAL, |(_, file)| file);
        let main = self.file.clone().unwrap_or_else(|| named.into());
        let text = content(&main)?.unwrap_or_default();
        let version = tool::ask("dovecot", &["--version"])?.stdout;
        Ok(Found {
            version: version.trim().to_owned(),
            text: String::from_utf8_lossy(&text).into_owned(),
            own: crate::files::is_there(&plan::own_file(&main)),
            main,
            config: self.config.clone(),
            queries: plan::query_files(&self.config)
                .into_iter()
                .filter_map(|path| {
                    let text = content(Path::new(&path)).ok().flatten()?;
                    Some((path, String::from_utf8_lossy(&text).into_owned()))
                })
                .collect(),
            mechanisms: self.value("auth_mechanisms"),
            username_format: self.value("auth_username_format"),
            worker: match self.value("service/auth-worker/user").as_str() {
                "$default_internal_user" | "$SET:default_internal_user" => {
                    self.value("default_internal_user")
                }
                user => user.to_owned(),
            },
            reads_sqlite: self.reads_sqlite(),
            schemes: tool::ask("doveadm", &["pw", "-l"])?.stdout,
            store: store.display().to_string(),
        })
    }

    /// Returns whether the driver for SQLite is installed: as a module, or built in.
    fn reads_sqlite(&self) -> bool {
        let folder = self.value("mail_plugin_dir");
        let module = Path::new(&folder).join("auth/libdriver_sqlite.so");
        let options = tool::ask("dovecot", &["--build-options"]);
        let options = options.map_or_else(|_| String::new(), |said| said.stdout);
        let built_in = |line: &str| line.starts_with("SQL drivers:") && line.contains("sqlite");
        crate::files::is_there(&module) || options.lines().any(built_in)
    }

    /// Has Dovecot read the new files before they are in place, from a folder of their own.
    fn check(&self, changes: &[FileChange], random: Random) -> Result<()> {
        let draft = DraftFolder::new(random)?;
        let include = |file: &Path| format!("!include {}\n", file.display());
        // Has to be the first setting in 2.4.
        let is_version = |line: &&str| line.starts_with("dovecot_config_version = ");
        let version = self.config.lines().find(is_version);
        let version = version.map(|line| format!("{line}\n"));
        let main = include(self.file.as_deref().unwrap_or_else(|| Path::new(USUAL)));
        let mut lines: Vec<String> = version.into_iter().chain([main]).collect();
        for change in changes {
            let name = change.path.file_name().unwrap_or_default();
            let name = name.to_string_lossy();
            draft.add(&name, change.after.as_deref().unwrap_or_default())?;
            if name.ends_with(".conf") {
                lines.push(include(&draft.path().join(&*name)));
            }
        }
        draft.add("dovecot.conf", lines.concat().as_bytes())?;
        let file = draft.path().join("dovecot.conf").display().to_string();
        tool::ask("doveconf", &["-c", &file, "-n"]).map(drop)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn broken(error: Error) -> Error {
    refused(
        format!("Dovecot's configuration already has a problem: {error}"),
        "fix it until `doveconf -n` succeeds, then try again",
    )
}
