//! Changes the machine: its users, folders and units.

use std::time::Duration;

use nix::unistd::{Group, User};

use super::kept::UnitBefore;
use super::machine::NewFolder;
use super::names::{ALERTS, SERVICE, SOCKETS, STORE_FOLDER, USER};
use crate::doctor::tool;
use crate::error::{Error, Result};
use crate::files;

/// For a command of the service manager.
const PATIENCE: Duration = Duration::from_secs(60);

/// Creates the user that `serve` runs as.
pub fn create_user() -> Result<()> {
    if User::from_name(USER).ok().flatten().is_some() {
        return Ok(());
    }
    let args = [
        "--system",
        "--user-group",
        "--no-create-home",
        "--home-dir",
        STORE_FOLDER,
        "--shell",
        "/usr/sbin/nologin",
        USER,
    ];
    tool::change("useradd", &args, PATIENCE)
}

/// Creates a folder that belongs to the user of `serve`, or gives it one of root's.
pub fn create_folder(folder: &NewFolder) -> Result<()> {
    let failed =
        |error: std::io::Error| Error::System(format!("{}: {error}", folder.path.display()));
    let user = User::from_name(USER).ok().flatten();
    let group = Group::from_name(&folder.group).ok().flatten();
    let (Some(user), Some(group)) = (user, group) else {
        return Err(Error::System(format!(
            "there is no user {USER} or no group {}",
            folder.group
        )));
    };
    let created = files::Folder::create(&folder.path, 0o700).map_err(failed)?;
    if created.metadata().map_err(failed)?.st_uid != 0 {
        return Ok(());
    }
    created.refuse_exchanged().map_err(failed)?;
    // The owner comes last: as long as it is root, the next run does all of this again.
    created.set_mode(folder.mode).map_err(failed)?;
    files::give(&created, Some(user.uid.as_raw()), Some(group.gid.as_raw())).map_err(failed)
}

/// Enables units and starts them anew, so that they listen where their files say.
pub fn enable(units: &[&str]) -> Result<()> {
    systemctl(&["daemon-reload"], &[])?;
    systemctl(&["enable"], units)?;
    // Of several at once, systemctl does not say which one failed.
    units.iter().try_for_each(|unit| {
        let started = systemctl(&["restart"], &[unit]);
        started.map_err(|error| Error::System(format!("{unit} does not start: {error}")))
    })
}

/// Stops units, and disables those that were not enabled before.
pub fn stop(units: &[UnitBefore]) -> Result<()> {
    let (enabled, others): (Vec<_>, Vec<_>) = units.iter().partition(|unit| unit.enabled);
    for (verb, units) in [
        (&["stop"][..], enabled),
        (&["disable", "--now"][..], others),
    ] {
        if !units.is_empty() {
            systemctl(verb, &names(&units))?;
        }
    }
    forget_failures();
    Ok(())
}

/// What could not start would be listed as failed, and its attempts would count for the next
/// setup. That a unit is not loaded any more is no fault.
fn forget_failures() {
    for unit in SOCKETS.iter().chain([&SERVICE, &ALERTS]) {
        let _ = tool::run("systemctl", &["reset-failed", unit]);
    }
}

/// Makes the service manager read the files of its units, and starts those that were active
/// before.
pub fn start_those_before(units: &[UnitBefore]) -> Result<()> {
    systemctl(&["daemon-reload"], &[])?;
    let active: Vec<_> = units.iter().filter(|unit| unit.active).collect();
    if active.is_empty() {
        return Ok(());
    }
    systemctl(&["restart"], &names(&active))
}

fn names<'a>(units: &[&'a UnitBefore]) -> Vec<&'a str> {
    units.iter().map(|unit| unit.name.as_str()).collect()
}

fn systemctl(verb: &[&str], units: &[&str]) -> Result<()> {
    let args: Vec<&str> = verb.iter().chain(units).copied().collect();
    tool::change("systemctl", &args, PATIENCE)
}
