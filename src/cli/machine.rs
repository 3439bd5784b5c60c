//! What this machine gives and says: time, randomness, who runs us, where
//! things are; and the first thing `main` does.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::{prctl, stat};
use nix::unistd::{self, Uid, User};
use rand::TryRng as _;
use rand::rngs::SysRng;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::app::World;
use crate::error::{Error, Result};
use crate::model::actor::{Actor, Traces};
use crate::model::time::Time;

pub const WORLD: World = World { now, random, actor };

/// No core files, no reading of our memory by other processes of the same
/// user, and no file of ours that others can read.
pub fn harden() {
    // Refused only by kernels that do not know it.
    let _ = prctl::set_dumpable(false);
    stat::umask(stat::Mode::from_bits_truncate(0o077));
}

/// Whoever is under way is brought to an end; a second signal ends it at once.
pub fn stop_on_signals() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let code = i32::from(crate::error::Exit::Interrupted as u8);
        signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .map_err(|error| Error::System(format!("signals cannot be caught: {error}")))?;
    }
    Ok(stop)
}

fn now() -> Time {
    let seconds = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        // Before 1970: not plausible, which is all that matters.
        Err(_) => -1,
    };
    Time::from_epoch(seconds)
}

fn random(bytes: &mut [u8]) -> Result<()> {
    SysRng
        .try_fill_bytes(bytes)
        .map_err(|e| Error::System(format!("the system gives no random numbers: {e}")))
}

fn actor() -> Actor {
    let env = |name| std::env::var(name).ok();
    Actor::from_traces(Traces {
        effective: name_of(Uid::effective()),
        behind_sudo: env("SUDO_USER").or_else(|| env("DOAS_USER")),
        login: login_uid().map(name_of),
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

/// Set once at login, and kept through su and sudo: see `audit_setloginuid(3)`.
fn login_uid() -> Option<Uid> {
    const UNSET: u32 = u32::MAX;
    let text = std::fs::read_to_string("/proc/self/loginuid").ok()?;
    let uid = text.trim().parse().ok()?;
    (uid != UNSET).then(|| Uid::from_raw(uid))
}

pub fn default_store() -> Result<PathBuf> {
    if Uid::effective().is_root() {
        return Ok("/var/lib/smtpcred/smtpcred.db".into());
    }
    directories::ProjectDirs::from("", "", "smtpcred")
        .map(|dirs| dirs.data_dir().join("smtpcred.db"))
        .ok_or(Error::NoHome)
}
