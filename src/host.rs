//! The machine and the process: the clock, random numbers, who runs this program, where
//! the store is by default, signals, and what protects the memory of the process.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::sys::{prctl, signal, stat};
use nix::unistd::{self, Pid, Uid, User};
use rand::TryRng as _;
use rand::rngs::SysRng;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::{Error, Exit, Result};
use crate::model::actor::{Actor, Traces};
use crate::model::time::Time;

/// The signals that ask a program to end.
const ENDING: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// Prevents core dumps, keeps other processes of the same user from reading this one's
/// memory, and makes new files readable for their owner only.
pub fn harden() {
    // Only fails on kernels that do not have it.
    let _ = prctl::set_dumpable(false);
    stat::umask(stat::Mode::from_bits_truncate(0o077));
}

/// Sets the name of the process, which would be the number of a descriptor if the program
/// was run by it.
pub fn name_process() {
    let _ = prctl::set_name(c"smtpcred");
}

/// Returns whether there is a process with this number on this machine.
pub fn process_runs(process: u32) -> bool {
    let process = i32::try_from(process).map(Pid::from_raw);
    process.is_ok_and(|process| signal::kill(process, None) != Err(Errno::ESRCH))
}

/// Runs this program again in this process. Signals end it then as before anything was asked: a
/// signal that was once caught has no effect any more when no one waits for it. Returns if that
/// is impossible, as while the program is replaced.
pub fn run_again(args: &[OsString]) {
    let (Ok(program), Some((name, rest))) = (std::env::current_exe(), args.split_first()) else {
        return;
    };
    let _ = Command::new(program).arg0(name).args(rest).exec();
}

/// Does the same with this environment.
pub fn run_again_in(args: &[OsString], environment: Vec<(OsString, OsString)>) {
    let (Ok(program), Some((name, rest))) = (std::env::current_exe(), args.split_first()) else {
        return;
    };
    let mut command = Command::new(program);
    let _ = command
        .arg0(name)
        .args(rest)
        .env_clear()
        .envs(environment)
        .exec();
}

/// Returns the home folder of the user that the program runs as, from the system and not from
/// the environment.
pub fn home() -> Option<PathBuf> {
    let user = User::from_uid(Uid::effective()).ok().flatten()?;
    Some(user.dir)
}

/// Returns the name of the user that logged in, as the kernel has it; `None` if none did.
pub fn login_name() -> Option<String> {
    let user = User::from_uid(login_uid()?).ok().flatten()?;
    Some(user.name)
}

/// Returns a flag that SIGINT, SIGTERM or SIGHUP sets; a second one ends the process at
/// once, with the exit code for interruptions. Fails if signals cannot be caught.
pub fn stop_on_signals() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in ENDING {
        let code = i32::from(Exit::Interrupted as u8);
        flag::register_conditional_shutdown(signal, code, Arc::clone(&stop)).map_err(uncaught)?;
    }
    set_on_signals(&stop)?;
    Ok(stop)
}

/// Returns a flag that SIGINT, SIGTERM or SIGHUP sets, however often they come: for work that
/// must not end half done. A lost connection sends two. Fails if signals cannot be caught.
pub fn outlast_signals() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    set_on_signals(&stop)?;
    Ok(stop)
}

fn set_on_signals(stop: &Arc<AtomicBool>) -> Result<()> {
    for signal in ENDING {
        flag::register(signal, Arc::clone(stop)).map_err(uncaught)?;
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn uncaught(error: io::Error) -> Error {
    Error::System(format!("signals cannot be caught: {error}"))
}

/// Returns the time by the system's clock; before 1970 it is -1, which is never plausible.
pub fn now() -> Time {
    let seconds = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(_) => -1,
    };
    Time::from_epoch(seconds)
}

/// Fills a buffer with random bytes of the system. Fails if the system has none.
pub fn random(bytes: &mut [u8]) -> Result<()> {
    SysRng
        .try_fill_bytes(bytes)
        .map_err(|e| Error::System(format!("the system provides no random numbers: {e}")))
}

/// Returns who runs this program, as far as the system and its environment tell.
pub fn actor() -> Actor {
    let env = |name| std::env::var(name).ok();
    Actor::from_traces(Traces {
        effective: name_of(Uid::effective()),
        login: login_uid().map(name_of),
        behind_sudo: env("SUDO_USER").or_else(|| env("DOAS_USER")),
        is_root: Uid::current().is_root(),
        host: unistd::gethostname()
            .map(|host| host.to_string_lossy().into_owned())
            .unwrap_or_default(),
    })
}

fn name_of(uid: Uid) -> String {
    match User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        _ => format!("uid {uid}"),
    }
}

/// Returns the user that logged in, which su and sudo do not change: see
/// `audit_setloginuid(3)`. `None` if no user did, or if the kernel does not record it.
fn login_uid() -> Option<Uid> {
    const UNSET: u32 = u32::MAX;
    let text = std::fs::read_to_string("/proc/self/loginuid").ok()?;
    let uid = text.trim().parse().ok()?;
    (uid != UNSET).then(|| Uid::from_raw(uid))
}

/// Returns whether sudo or doas started the program for another user, perhaps one that may run
/// nothing else.
pub fn is_for_another() -> bool {
    let names = ["SUDO_UID", "SUDO_USER", "DOAS_USER"];
    names.iter().any(|name| std::env::var_os(name).is_some())
}

/// Returns the file of the store that is used if none is given: the machine's for root and for
/// the user that owns it, as which the service runs. Fails if the user has no home folder.
pub fn default_store() -> Result<PathBuf> {
    const OF_MACHINE: &str = "/var/lib/smtpcred";
    let user = Uid::effective();
    let owns = |folder: std::fs::Metadata| folder.is_dir() && folder.uid() == user.as_raw();
    if user.is_root() || std::fs::symlink_metadata(OF_MACHINE).is_ok_and(owns) {
        return Ok(PathBuf::from(OF_MACHINE).join("smtpcred.db"));
    }
    directories::ProjectDirs::from("", "", "smtpcred")
        .map(|dirs| dirs.data_dir().join("smtpcred.db"))
        .ok_or(Error::NoHome)
}
