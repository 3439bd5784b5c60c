//! Makes the changes of a plan, proves them, and brings everything back if anything fails.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};

use super::content::{FileChange, put};
use super::journal::{Effects, HostChange, Journal};
use super::names::USER;
use super::prove::{self, Proof, ProofUser};
use super::{Plan, ServerCommands, system};
use crate::app::App;
use crate::doctor::access::Identity;
use crate::doctor::sockets::{self, Endpoint};
use crate::doctor::tool;
use crate::error::{Error, Result};
use crate::model::password::Random;
use crate::model::setting::Setting;
use crate::store::SettingsChange;

/// For a command of a mail server.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long `serve` may take to answer.
const START: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(50);

/// What a run needs from its caller.
pub struct RunWith<'a> {
    /// Opens the store, and creates it if necessary.
    pub open: &'a dyn Fn() -> Result<App>,
    /// Random numbers, for the password of the proof.
    pub random: Random,
    /// Set by a signal: the run is brought back.
    pub stop: &'a AtomicBool,
    /// Is told what was done.
    pub note: &'a dyn Fn(&str),
}

impl RunWith<'_> {
    fn go_on(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        Ok(())
    }
}

/// Makes the changes. If that fails, brings everything back first.
pub fn make(plan: &Plan, journal: &mut Journal, with: &RunWith<'_>) -> Result<Vec<Proof>> {
    with.go_on()?;
    let effects = Effects {
        units: plan.machine.enable.clone(),
        host: plan.host.clone(),
    };
    let begun = journal.begin(&plan.files(), &effects);
    begun.map_err(|error| Error::System(format!("{error}; nothing was changed")))?;
    let made = change(plan, with);
    match made {
        Ok(proofs) => {
            journal.commit()?;
            Ok(proofs)
        }
        Err(error) => Err(undone(error, journal, &plan.commands, with)),
    }
}

fn change(plan: &Plan, with: &RunWith<'_>) -> Result<Vec<Proof>> {
    let machine = &plan.machine;
    if machine.user {
        system::create_user()?;
    }
    machine.folders.iter().try_for_each(system::create_folder)?;
    machine.units.iter().try_for_each(put)?;
    with.go_on()?;
    let mut app = (with.open)()?;
    if let Some(host) = &plan.host {
        set_host(&mut app, Some(&host.after))?;
    }
    if !machine.enable.is_empty() {
        system::enable(&machine.enable)?;
    }
    let serve = match &machine.serve {
        Some(words) => Some(Serve::start(words)?),
        None => None,
    };
    answers(&machine.sockets, &machine.connects, with)?;
    with.go_on()?;
    plan.config.iter().try_for_each(put)?;
    ask(&plan.commands.check)?;
    ask(&plan.commands.reload)?;
    with.go_on()?;
    let proofs = proven(plan, &mut app, with);
    drop(serve);
    proofs
}

fn proven(plan: &Plan, app: &mut App, with: &RunWith<'_>) -> Result<Vec<Proof>> {
    let user = prove::create(app, with.random)?;
    let proofs = signed_in(plan, &user, with);
    let removed = prove::remove(app);
    let proofs = proofs?;
    removed?;
    // The server may have ended after it had answered.
    ask(&plan.commands.running)?;
    Ok(proofs)
}

fn signed_in(plan: &Plan, user: &ProofUser, with: &RunWith<'_>) -> Result<Vec<Proof>> {
    if let Some(socket) = &plan.auth {
        prove::accepted(user, socket, with.stop)?;
    }
    let doors = plan.name.iter().flat_map(|name| {
        let doors = plan.doors.iter();
        doors.map(move |door| (name, *door))
    });
    doors
        .map(|(name, door)| prove::sign_in(user, name, door, with.stop))
        .collect()
}

/// Brings everything back after a failure, and returns it with what could not be brought back.
fn undone(
    error: Error,
    journal: &mut Journal,
    commands: &ServerCommands,
    with: &RunWith<'_>,
) -> Error {
    let back = bring_back(journal, commands, with);
    if back.is_ok() && matches!(error, Error::Interrupted | Error::ChangedMeanwhile(_)) {
        return error;
    }
    Error::SetupFailed {
        reason: error.to_string(),
        stays: back.err().map(|back| back.to_string()),
        copies: journal.path().to_owned(),
    }
}

/// Brings back what a run that failed or was killed has changed, and makes the server read
/// the old files.
pub fn bring_back(
    journal: &mut Journal,
    commands: &ServerCommands,
    with: &RunWith<'_>,
) -> Result<()> {
    let files = journal.bring_back();
    // The rest is brought back even if that failed.
    let server = start_again(commands);
    let effects = files?;
    let rest = take_back(&effects, with);
    server.and(rest)?;
    journal.forget()
}

/// Makes a server read its files, and starts it if it has ended.
fn start_again(commands: &ServerCommands) -> Result<()> {
    if ask(&commands.running).is_ok() {
        return ask(&commands.reload);
    }
    ask(&commands.start)
}

fn take_back(effects: &Effects, with: &RunWith<'_>) -> Result<()> {
    if !effects.units.is_empty() {
        // The files of the units may be gone already.
        let disabled = system::disable(&effects.units);
        system::read_units()?;
        if let Err(error) = disabled {
            (with.note)(&error.to_string());
        }
    }
    if let Some(host) = &effects.host {
        unset_host(host, with)?;
    }
    Ok(())
}

fn set_host(app: &mut App, host: Option<&str>) -> Result<()> {
    let host = match host {
        Some(host) => Setting::Some(host.parse()?),
        None => Setting::None,
    };
    let change = SettingsChange {
        host: Some(host),
        ..SettingsChange::default()
    };
    app.set_settings(&change).map(drop)
}

/// Sets the host back, unless it was changed since.
fn unset_host(host: &HostChange, with: &RunWith<'_>) -> Result<()> {
    let mut app = (with.open)()?;
    let now = app.settings()?.host.map(|host| host.to_string());
    if now.as_deref() == Some(host.after.as_str()) {
        set_host(&mut app, host.before.as_deref())?;
    }
    Ok(())
}

/// Returns whether files use the sockets even after an undo: what was edited stays.
pub fn keeps_sockets(files: &[FileChange]) -> bool {
    let uses = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        text.contains("smtpcred/auth") || text.contains("smtpcred-exim/auth")
    };
    let config = files.iter().filter(|file| !is_unit(file));
    config.filter_map(|file| file.after.as_deref()).any(uses)
}

/// Returns whether it is a file of a unit.
pub fn is_unit(file: &FileChange) -> bool {
    file.path.starts_with(super::names::UNITS)
}

/// Takes a setup back. The sockets stay if a file still uses them.
pub fn undo(
    files: &[FileChange],
    journal: &mut Journal,
    commands: &ServerCommands,
    with: &RunWith<'_>,
) -> Result<()> {
    let mut effects = journal.effects().clone();
    // First the server, which uses the sockets; then the units.
    let (units, config): (Vec<_>, Vec<_>) = files.iter().cloned().partition(is_unit);
    if keeps_sockets(files) {
        effects.units.clear();
    }
    journal.begin_undo(files)?;
    let is_running = ask(&commands.running).is_ok();
    let done = config
        .iter()
        .try_for_each(put)
        .and_then(|()| ask(&commands.check))
        .and_then(|()| {
            if is_running {
                ask(&commands.reload)
            } else {
                Ok(())
            }
        })
        .and_then(|()| system::disable(&effects.units))
        .and_then(|()| units.iter().try_for_each(put))
        .and_then(|()| {
            if units.is_empty() && effects.units.is_empty() {
                return Ok(());
            }
            system::read_units()
        });
    if let Err(error) = done {
        return Err(undone(error, journal, commands, with));
    }
    if let Some(host) = &effects.host {
        unset_host(host, with)?;
    }
    journal.commit()
}

/// Runs a command, the first word of which is the program.
fn ask(words: &[String]) -> Result<()> {
    let Some((program, args)) = words.split_first() else {
        return Ok(());
    };
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    tool::change(program, &args, PATIENCE)
}

/// Waits until both sockets answer, and checks that this user reaches them.
fn answers(paths: &[PathBuf], user: &str, with: &RunWith<'_>) -> Result<()> {
    let deadline = Instant::now() + START;
    for path in paths {
        let endpoint = Endpoint::unix(path);
        loop {
            with.go_on()?;
            let answer = if path.ends_with(Path::new("auth")) {
                sockets::greeting(&endpoint).map(drop)
            } else {
                sockets::ruling(&endpoint)
            };
            if answer.is_ok() {
                break;
            }
            if Instant::now() >= deadline {
                return Err(Error::System(format!(
                    "smtpcred serve does not answer at {}: see its log (journalctl -u smtpcred)",
                    path.display()
                )));
            }
            thread::sleep(PAUSE);
        }
        let who = Identity::named(user);
        let closed = who.and_then(|who| who.kept_from_writing(path).ok().flatten());
        if let Some(closed) = closed {
            return Err(Error::System(format!(
                "{user} cannot connect to {}: {closed}",
                path.display()
            )));
        }
    }
    Ok(())
}

/// A `serve` for the time of the proof, where no service manager runs one.
struct Serve(Child);

impl Serve {
    fn start(words: &[String]) -> Result<Self> {
        let failed =
            |what: &str| Error::System(format!("smtpcred serve cannot be started: {what}"));
        let user = User::from_name(USER).ok().flatten();
        let user = user.ok_or_else(|| failed("its user does not exist"))?;
        let (program, args) = words.split_first().ok_or_else(|| failed("no command"))?;
        let child = Command::new(program)
            .args(args)
            .env_remove("SMTPCRED_STORE")
            .uid(user.uid.as_raw())
            .gid(user.gid.as_raw())
            .current_dir("/")
            // A Ctrl-C must not end it before the server has its old files again.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        child.map(Self).map_err(|error| failed(&error.to_string()))
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        if let Ok(id) = i32::try_from(self.0.id()) {
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
        let _ = self.0.wait();
    }
}
