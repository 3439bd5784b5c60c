//! Runs the program again without what the caller put into its environment. The variables
//! that sshd, a shell and a session set by themselves, and that the program does not read,
//! are no reason: that would take as long as the command.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use crate::error::{Error, Result};
use crate::host;

/// Where programs are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What stays: read for the session only, or not at all.
const KEPT: [&str; 25] = [
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "SSH_TTY",
    "SSH_ORIGINAL_COMMAND",
    "SSH_USER_AUTH",
    "TERM",
    "COLORTERM",
    "LANG",
    "LANGUAGE",
    "USER",
    "LOGNAME",
    "SHELL",
    "MAIL",
    "PWD",
    "OLDPWD",
    "SHLVL",
    "_",
    "MOTD_SHOWN",
    "XDG_SESSION_ID",
    "XDG_SESSION_TYPE",
    "XDG_SESSION_CLASS",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    // They are checked.
    "PATH",
    "HOME",
];

/// What says how the session began. Behind sudo, the caller may have set it.
const OF_SSH: &str = "SSH_";

/// Returns if the environment is clean; otherwise runs the program again. Fails if that is
/// impossible.
pub fn clear(args: &[OsString], from_sudo: bool) -> Result<()> {
    let home = host::home();
    let stays = |name: &OsStr, value: &OsStr| {
        let is_kept = KEPT.iter().any(|kept| name == *kept) || is_locale(name);
        let is_good = match name.to_str() {
            Some("PATH") => is_usual(value),
            Some("HOME") => home
                .as_deref()
                .is_some_and(|home| home.as_os_str() == value),
            Some(name) => !(from_sudo && name.starts_with(OF_SSH)),
            None => false,
        };
        is_kept && is_good
    };
    let (kept, others): (Vec<_>, Vec<_>) =
        env::vars_os().partition(|(name, value)| stays(name, value));
    let lacks = |name: &str| !kept.iter().any(|(kept, _)| kept == name);
    if others.is_empty() && !lacks("PATH") && (home.is_none() || !lacks("HOME")) {
        return Ok(());
    }
    let mut clean: Vec<(OsString, OsString)> = kept
        .into_iter()
        .filter(|(name, _)| name != "PATH" && name != "HOME")
        .collect();
    clean.push(("PATH".into(), PATH.into()));
    clean.extend(home.map(|home| ("HOME".into(), home.into_os_string())));
    host::run_again_in(args, clean);
    Err(Error::System(
        "the program cannot be run again without the caller's environment".into(),
    ))
}

fn is_locale(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b"LC_")
}

/// Returns whether a search path has only folders of the system.
fn is_usual(path: &OsStr) -> bool {
    let usual = |folder: &str| {
        folder == "/usr/games"
            || folder == "/usr/local/games"
            || PATH.split(':').any(|one| one == folder)
    };
    path.to_str().is_some_and(|path| path.split(':').all(usual))
}
