//! Makes the changes of a plan, proves them, and undoes everything if anything fails.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};

use super::content::put;
use super::journal::Journal;
use super::kept::{Effects, HostChange, Undo, UnitBefore, is_unit};
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
/// How long programs of a killed run may go on.
const ORPHANS: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

/// What a run needs from its caller.
pub struct RunWith<'a> {
    /// Opens the store, and creates it if necessary.
    pub open: &'a dyn Fn() -> Result<App>,
    /// Opens the store if there is one.
    pub open_existing: &'a dyn Fn() -> Result<Option<App>>,
    /// Random numbers, for the password of the proof.
    pub random: Random,
    /// Set by a signal: the changes are undone.
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

/// Makes the changes. If that fails, undoes them first.
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
        system::enable(&names(&machine.enable))?;
    }
    let serve = match &machine.serve {
        Some(words) => Some(Serve::start(words)?),
        None => None,
    };
    answers(&machine.sockets, &machine.connects, with)?;
    with.go_on()?;
    plan.config.iter().try_for_each(put)?;
    run_command(&plan.commands.check)?;
    run_command(&plan.commands.reload)?;
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
    run_command(&plan.commands.running)
        .map_err(|error| Error::System(format!("the mail server has ended: {error}")))?;
    Ok(proofs)
}

fn signed_in(plan: &Plan, user: &ProofUser, with: &RunWith<'_>) -> Result<Vec<Proof>> {
    if let Some(socket) = &plan.auth {
        prove::accepted(user, socket, with.stop)?;
    }
    let sign_in_ports = plan.name.iter().flat_map(|name| {
        let sign_in_ports = plan.sign_in_ports.iter();
        sign_in_ports.map(move |at| (name, *at))
    });
    sign_in_ports
        .map(|(name, at)| prove::sign_in(user, name, at, with.stop))
        .collect()
}

/// Undoes everything after a failure, and returns it with what could not be undone.
fn undone(
    error: Error,
    journal: &mut Journal,
    commands: &ServerCommands,
    with: &RunWith<'_>,
) -> Error {
    let back = restore(journal, commands, with).and_then(|()| journal.forget());
    if back.is_ok() && matches!(error, Error::Interrupted | Error::ChangedMeanwhile(_)) {
        return error;
    }
    Error::SetupFailed {
        reason: error.to_string(),
        stays: back.err().map(|back| back.to_string()),
        copies: journal.path().to_owned(),
    }
}

/// Undoes what a run that was killed has changed, and makes the server read the old files.
pub fn roll_back(
    journal: &mut Journal,
    commands: &ServerCommands,
    with: &RunWith<'_>,
) -> Result<()> {
    patiently(|| restore(journal, commands, with))?;
    if let Some(mut app) = (with.open_existing)()? {
        prove::remove(&mut app)?;
    }
    journal.forget()
}

/// Tries again for a while: a program that the killed run has started may still run, and be in the
/// way of another one of its kind.
fn patiently<T>(mut try_once: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + ORPHANS;
    loop {
        let tried = try_once();
        if tried.is_ok() || Instant::now() >= deadline {
            return tried;
        }
        thread::sleep(PAUSE);
    }
}

/// Restores the files and the rest of a change that failed. Does all of it that it can.
fn restore(journal: &Journal, commands: &ServerCommands, with: &RunWith<'_>) -> Result<()> {
    let (files, effects) = journal.roll_back();
    if journal.is_undo_underway() {
        // The restored files of the server use the sockets.
        let units = enable_again(&effects);
        let server = files.and_then(|()| start_again(journal, commands));
        return units.and(server);
    }
    let server = files.and_then(|()| start_again(journal, commands));
    server.and(take_back(&effects, with))
}

fn enable_again(effects: &Effects) -> Result<()> {
    if effects.units.is_empty() {
        return Ok(());
    }
    system::enable(&names(&effects.units))
}

/// Makes a server read its files, and starts it if it has ended.
fn start_again(journal: &Journal, commands: &ServerCommands) -> Result<()> {
    if run_command(&commands.running).is_ok() {
        return run_command(&commands.reload);
    }
    if journal.ran() {
        run_command(&commands.start)
    } else {
        Ok(())
    }
}

fn take_back(effects: &Effects, with: &RunWith<'_>) -> Result<()> {
    if !effects.units.is_empty() {
        // The files of the units may be gone already.
        if let Err(error) = system::stop(&effects.units) {
            (with.note)(&error.to_string());
        }
        system::start_those_before(&effects.units)?;
    }
    if let Some(host) = &effects.host {
        unset_host(host, with)?;
    }
    Ok(())
}

fn names(units: &[UnitBefore]) -> Vec<&str> {
    units.iter().map(|unit| unit.name.as_str()).collect()
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
    let Some(mut app) = (with.open_existing)()? else {
        return Ok(());
    };
    let now = app.settings()?.host.map(|host| host.to_string());
    if now.as_deref() == Some(host.after.as_str()) {
        set_host(&mut app, host.before.as_deref())?;
    }
    Ok(())
}

/// Returns what an undo does. The sockets stay if an edited file or another server uses them.
pub fn plan_undo(journal: &Journal) -> Result<Undo> {
    journal.undo(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        text.contains("smtpcred/auth") || text.contains("smtpcred-exim/auth")
    })
}

/// Undoes a setup. If that fails, the setup is as before.
pub fn undo(
    undo: &Undo,
    journal: &mut Journal,
    commands: &ServerCommands,
    with: &RunWith<'_>,
) -> Result<()> {
    let runs = run_command(&commands.running).is_ok();
    journal.begin_undo(undo, runs)?;
    match undo_server(undo, commands, runs).and_then(|()| undo_units(undo)) {
        Ok(()) => end_undo(undo, journal, with),
        Err(error) => Err(undone(error, journal, commands, with)),
    }
}

/// Finishes an undo that was killed: the sockets may be gone already, so there is no way back.
pub fn finish_undo(
    journal: &mut Journal,
    commands: &ServerCommands,
    with: &RunWith<'_>,
) -> Result<()> {
    let runs = run_command(&commands.running).is_ok();
    let rest = patiently(|| {
        let rest = journal.rest_of_undo()?;
        undo_server(&rest, commands, runs)?;
        Ok(rest)
    })?;
    if !runs && journal.ran() {
        run_command(&commands.start)?;
    }
    undo_units(&rest)?;
    end_undo(&rest, journal, with)
}

/// First the server, which uses the sockets. A broken configuration of one that does not run
/// is the admin's matter.
fn undo_server(undo: &Undo, commands: &ServerCommands, runs: bool) -> Result<()> {
    let config = undo.files.iter().filter(|file| !is_unit(&file.path));
    config.into_iter().try_for_each(put)?;
    if runs {
        run_command(&commands.check)?;
        run_command(&commands.reload)?;
    }
    Ok(())
}

fn undo_units(undo: &Undo) -> Result<()> {
    let mut files = undo.files.iter().filter(|file| is_unit(&file.path));
    let is_any = files.clone().next().is_some() || !undo.effects.units.is_empty();
    if !is_any {
        return Ok(());
    }
    system::stop(&undo.effects.units)?;
    files.try_for_each(put)?;
    system::start_those_before(&undo.effects.units)
}

fn end_undo(undo: &Undo, journal: &mut Journal, with: &RunWith<'_>) -> Result<()> {
    if let Some(host) = &undo.effects.host {
        unset_host(host, with)?;
    }
    journal.commit()
}

/// Runs a command, the first word of which is the program.
fn run_command(words: &[String]) -> Result<()> {
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
