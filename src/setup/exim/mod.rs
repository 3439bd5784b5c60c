//! Exim with Debian's configuration, which `update-exim4.conf` makes of files in /etc/exim4.
//! What setup adds is in files of its own, or in blocks of its own in the template. It is first
//! added to a copy, which Exim checks; then it is put in place.

mod blocks;
mod found;
mod layout;
mod names;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Group, User};

use self::found::{DOORS, Found};
use self::layout::Layout;
use self::names::{SOCKETS, by_hand};
use super::content::content;
use super::draft::DraftFolder;
use super::machine::{Machine, SocketPlace};
use super::ports::is_taken;
use super::refusal::refused;
use super::{Plan, ServerCommands, SetupOptions, SignInPort, host};
use crate::doctor::exim::{Exim, option};
use crate::doctor::tool;
use crate::error::{Error, Result};
use crate::files;
use crate::model::name::HostName;
use crate::model::password::Random;
use crate::model::store_location::Location;

/// Where Debian's configuration is.
const FOLDER: &str = "/etc/exim4";
/// Makes Exim's configuration of it.
const GENERATOR: &str = "update-exim4.conf";
/// For it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Debian's small Exim lacks the authenticator.
const HEAVY: &str = "install the one that has it: apt install exim4-daemon-heavy";

/// Returns the name of the record of Exim.
pub fn record(config: Option<&Path>) -> String {
    super::record("exim", FOLDER, config)
}

/// Returns the commands of Debian's Exim.
pub fn commands() -> ServerCommands {
    let shell = |line: &str| ["sh", "-c", line].map(str::to_owned).into();
    ServerCommands {
        check: [GENERATOR, "--check"].map(str::to_owned).into(),
        // Not every release makes the configuration anew when it reloads.
        reload: shell("update-exim4.conf && service exim4 reload"),
        running: shell("kill -0 \"$(cat /run/exim4/exim.pid)\""),
        start: shell("update-exim4.conf && service exim4 restart"),
    }
}

/// Looks at Exim and this machine, and returns what to change.
pub fn plan(
    options: &SetupOptions,
    set_host: Option<&HostName>,
    location: &Location,
    random: Random,
) -> Result<Plan> {
    let commands = commands();
    usable(options, &commands)?;
    let layout = Layout::read(Path::new(FOLDER))?;
    let draft = DraftFolder::new(random)?;
    let bare = layout.bare()?;
    let before = generated(&draft, "before", &bare).map_err(broken)?;
    let found = read(&before)?;
    let (name, host) = host(
        options.host.as_ref(),
        set_host,
        &found.value("primary_hostname"),
    )?;
    let additions = found.plan()?;
    let planned = bare.with(&additions.blocks())?;
    let after = generated(&draft, "after", &planned).map_err(unfit)?;
    found::verify(&Exim::read(Some(&after))?, &read(&after)?)?;
    let place = place(&found);
    let machine = Machine::read(&place, location).plan(&place)?;
    let mut warnings = found.warnings();
    if machine.serve.is_some() {
        warnings.push(format!(
            "create the sockets' folder at each start, before serve: install -d -o smtpcred -g {} -m 750 {SOCKETS}",
            place.group
        ));
    }
    let address = found.address();
    Ok(Plan {
        machine,
        host,
        name: Some(name),
        auth: None,
        config: layout.changes(&planned),
        sign_in_ports: DOORS.map(|port| SignInPort { port, address }).into(),
        commands,
        warnings,
    })
}

/// Fails if there is no Exim that works, or its configuration is not Debian's.
fn usable(options: &SetupOptions, commands: &ServerCommands) -> Result<()> {
    if !tool::is_there("exim4") && !tool::is_there("exim") {
        return Err(refused("Exim is not installed", HEAVY));
    }
    let by_admin = Path::new(FOLDER).join("exim4.conf");
    let other = options
        .config
        .as_deref()
        .filter(|path| *path != Path::new(FOLDER));
    let other = other.or_else(|| Some(by_admin.as_path()).filter(|path| files::is_there(path)));
    if let Some(other) = other {
        return Err(refused(
            format!(
                "{} is written by hand: setup changes only what Debian's {GENERATOR} makes",
                other.display()
            ),
            by_hand(),
        ));
    }
    if !tool::is_there(GENERATOR) || !tool::is_there("exim4") {
        return Err(refused(
            format!("this Exim is not configured by Debian's {GENERATOR}"),
            by_hand(),
        ));
    }
    if !speaks_dovecot(&tool::ask("exim4", &["-bV"]).map_err(broken)?.stdout) {
        return Err(refused("this Exim has no authenticator `dovecot`", HEAVY));
    }
    if starts_with_ports() {
        return Err(refused(
            "/etc/default/exim4 starts Exim with -oX, which decides the ports",
            "remove -oX from it and restart Exim: daemon_smtp_ports does the same; then try again",
        ));
    }
    let (program, args) = (&commands.running[0], &commands.running[1..]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if tool::ask(program, &args).is_err() {
        return Err(refused(
            "Exim does not run as a daemon, so no sign-in could prove the setup",
            "start it first: service exim4 start",
        ));
    }
    Ok(())
}

/// Returns whether an Exim that says this of itself has the protocol of `serve`.
fn speaks_dovecot(version: &str) -> bool {
    let mut lines = version.lines();
    let drivers = lines.find_map(|line| line.strip_prefix("Authenticators: "));
    drivers.is_some_and(|all| all.split_whitespace().any(|one| one == "dovecot"))
}

/// Returns whether the command line of the daemon names its ports.
fn starts_with_ports() -> bool {
    let text = content(Path::new("/etc/default/exim4")).ok().flatten();
    let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
    text.lines()
        .any(|line| !line.trim_start().starts_with('#') && line.contains("-oX"))
}

/// Makes Exim's configuration of a copy of Debian's, and returns its file.
fn generated(draft: &DraftFolder, name: &str, layout: &Layout) -> Result<PathBuf> {
    for (file, bytes) in layout.files() {
        draft.add(&format!("{name}/{file}"), bytes)?;
    }
    let from = draft.path().join(name);
    let config = draft.path().join(format!("{name}.conf"));
    let (from, to) = (from.display().to_string(), config.display().to_string());
    tool::change(GENERATOR, &["-d", &from, "-o", &to], PATIENCE)?;
    tool::ask("exim4", &["-C", &to, "-bV"])?;
    Ok(config)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn broken(error: Error) -> Error {
    refused(
        format!("Exim's configuration already has a problem: {error}"),
        format!("fix it until `{GENERATOR} --check` succeeds, then try again"),
    )
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unfit(error: Error) -> Error {
    refused(
        format!("Exim does not accept what setup would add: {error}"),
        by_hand(),
    )
}

fn read(config: &Path) -> Result<Found> {
    let values = found::OPTIONS.map(|name| Ok((name, option(Some(config), name)?)));
    let values: Result<Vec<_>> = values.into_iter().collect();
    // Those of a setup before this one are Exim's own.
    let own = found::ports(&option(None, "daemon_smtp_ports")?);
    let taken = DOORS.iter().map(|port| port.number);
    Ok(Found {
        config: Exim::read(Some(config))?,
        values: values?,
        taken: taken
            .filter(|port| !own.contains(port) && is_taken(*port))
            .collect(),
    })
}

/// Returns where the sockets have to be for Exim's user.
fn place(found: &Found) -> SocketPlace {
    let name = found.value("exim_user");
    let user = User::from_name(&name).ok().flatten();
    let group = user.and_then(|user| Group::from_gid(user.gid).ok().flatten());
    SocketPlace {
        folder: SOCKETS.into(),
        group: group.map_or_else(|| name.clone(), |group| group.name),
        user: name,
    }
}
