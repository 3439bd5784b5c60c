//! A command that delivers a new password, which it reads from its standard input.

use std::collections::HashSet;
use std::io::{self, BufRead as _, BufReader, ErrorKind, PipeReader, Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{AccessFlags, Pid, eaccess};
use zeroize::Zeroizing;

use super::mask::Mask;
use crate::app::rotation::{Delivery, DeliveryResult, KILLED_WITHIN};
use crate::error::Result;
use crate::model::delivery::CommandLine;
use crate::model::password::PasswordId;

/// The variables that the command of an alert inherits.
const KEPT: [&str; 7] = ["PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ"];
/// `EX_TEMPFAIL` of sysexits(3): the command did not deliver the password.
const TRY_AGAIN: i32 = 75;
/// How much of a line of output is shown, in bytes.
const MAX_LINE: usize = 1000;
/// In bytes: longer than any password, and less than a pipe buffers.
const ROOM: usize = 1024;
/// How long after the command's end each line of a process that it left running may take.
const LATE_LINE: Duration = Duration::from_millis(100);
/// How long all late lines together may take.
const LATE_OUTPUT: Duration = Duration::from_secs(1);
/// Lines that wait to be shown: a command that prints faster is slowed down.
const QUEUE: usize = 64;

const PASSWORD_ID: &str = "SMTPCRED_PASSWORD_ID";
const USERNAME: &str = "SMTPCRED_USERNAME";
/// For [`running_for`]; commands need not know it.
pub const STORE_ID: &str = "SMTPCRED_STORE_ID";

enum CommandEvent {
    Output(Zeroizing<String>),
    Ended(io::Result<ExitStatus>),
}

/// Runs a command until it ends or its time is over. `written` says that the password has
/// been written to a file before.
pub fn run(
    command: &CommandLine,
    delivery: &Delivery,
    variables: Vec<(&'static str, String)>,
    written: bool,
    mask: &Mask,
    on_handover: &mut dyn FnMut() -> Result<()>,
    on_output: &mut dyn FnMut(String),
) -> DeliveryResult {
    let not_delivered = |reason: String| {
        if written {
            DeliveryResult::Unknown(reason)
        } else {
            DeliveryResult::NotDelivered(reason)
        }
    };
    if let Err(error) = on_handover() {
        return not_delivered(error.to_string());
    }
    let program = command.words().first().map_or("", String::as_str);
    let password = delivery.credential.password.expose();
    let mut line = Zeroizing::new(Vec::with_capacity(ROOM));
    line.extend_from_slice(password.as_bytes());
    line.push(b'\n');
    let mut started = match start(command, &line, |command| command.envs(variables)) {
        Ok(started) => started,
        Err(error) => return not_delivered(format!("{program} could not be started: {error}")),
    };

    let deadline = Instant::now() + seconds(delivery.destination.timeout());
    let mut last = String::new();
    let mut show = |text: &str| {
        let text = mask.apply(text, MAX_LINE);
        text.clone_into(&mut last);
        on_output(text);
    };
    let ended = wait(&started.events, deadline, &mut show);
    if ended.is_none() {
        end(&started);
    }
    // What is still in the pipe was not read and never will be.
    let mut rest = Zeroizing::new(Vec::with_capacity(ROOM));
    let unread = started.reader.read_to_end(&mut rest).unwrap_or(0);
    let reason = match ended {
        None => format!(
            "{program} did not end within {} and was killed",
            delivery.destination.timeout()
        ),
        Some(Err(error)) => format!("{program}: {error}"),
        // The command may leave the newline.
        Some(Ok(status)) if status.success() && unread <= 1 => return DeliveryResult::Delivered,
        Some(Ok(status)) if status.success() => {
            format!("{program} exited with 0 but did not read the password")
        }
        Some(Ok(status)) => match status.code() {
            Some(TRY_AGAIN) => {
                let reason = format!("{program} deferred the delivery (exit code 75)");
                return not_delivered(with_last(reason, &last));
            }
            Some(code) => format!("{program} exited with {code}"),
            None => format!(
                "{program} was killed by signal {}",
                status.signal().unwrap_or(0)
            ),
        },
    };
    let reason = with_last(reason, &last);
    if unread > password.len() {
        not_delivered(reason)
    } else {
        DeliveryResult::Unknown(reason)
    }
}

/// Runs a command that reads an alert, with an environment that has nothing of ours. Fails
/// with the reason, which has the last line of its output.
pub fn tell(
    command: &CommandLine,
    input: &[u8],
    most: Duration,
) -> std::result::Result<(), String> {
    let program = command.words().first().map_or("", String::as_str);
    let kept = KEPT
        .iter()
        .filter_map(|name| Some((name, env::var_os(name)?)));
    let started = start(command, input, |command| command.env_clear().envs(kept))
        .map_err(|error| format!("{program} could not be started: {error}"))?;
    let mask = Mask::default();
    let mut last = String::new();
    let mut show = |text: &str| mask.apply(text, MAX_LINE).clone_into(&mut last);
    let ended = wait(&started.events, Instant::now() + most, &mut show);
    let reason = match ended {
        None => {
            end(&started);
            format!(
                "{program} did not end within {} s and was killed",
                most.as_secs()
            )
        }
        Some(Err(error)) => format!("{program}: {error}"),
        Some(Ok(status)) if status.success() => return Ok(()),
        Some(Ok(status)) => match status.code() {
            Some(code) => format!("{program} exited with {code}"),
            None => format!(
                "{program} was killed by signal {}",
                status.signal().unwrap_or(0)
            ),
        },
    };
    Err(with_last(reason, &last))
}

/// Returns why a command cannot be started, as far as that can be seen without starting it.
pub fn obstacle(command: &CommandLine) -> Option<String> {
    let program = command.words().first()?;
    let error = may_start(program).err()?;
    Some(format!("{program} could not be started: {error}"))
}

/// Looks for a program as the system does that starts it.
fn may_start(program: &str) -> io::Result<()> {
    if program.contains('/') {
        return may_run(Path::new(program));
    }
    // Where the variable is missing.
    let path = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let mut outcome = Err(Errno::ENOENT.into());
    for folder in env::split_paths(&path) {
        match may_run(&folder.join(program)) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => outcome = Err(error),
            Err(_) => {}
        }
    }
    outcome
}

fn may_run(program: &Path) -> io::Result<()> {
    if !fs::metadata(program)?.is_file() {
        return Err(Errno::EACCES.into());
    }
    Ok(eaccess(program, AccessFlags::X_OK)?)
}

/// Appends the last line of output.
fn with_last(reason: String, line: &str) -> String {
    if line.is_empty() {
        return reason;
    }
    format!("{reason}: {line}")
}

struct RunningCommand {
    group: Pid,
    /// Our copy of its standard input.
    reader: PipeReader,
    events: Receiver<CommandEvent>,
}

/// Starts the command. The whole input is in its pipe beforehand: whichever process is
/// killed, a command that has started reads all of it.
fn start(
    command: &CommandLine,
    input: &[u8],
    prepare: impl FnOnce(&mut Command) -> &mut Command,
) -> io::Result<RunningCommand> {
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(input)?;
    drop(writer);
    let (output, child_output) = io::pipe()?;
    let [program, args @ ..] = command.words() else {
        return Err(ErrorKind::InvalidInput.into());
    };
    let mut command = Command::new(program);
    prepare(&mut command)
        .args(args)
        .stdin(reader.try_clone()?)
        .stdout(child_output.try_clone()?)
        .stderr(child_output)
        // All processes that it starts can be killed with it.
        .process_group(0);
    let child = command.spawn()?;
    // Closes the other ends of the pipes.
    drop(command);
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    let (sender, events) = sync_channel(QUEUE);
    let listener = sender.clone();
    // Never joined: a process that the command left running may keep the pipe open.
    thread::spawn(move || listen(output, &listener));
    thread::spawn(move || reap(child, &sender));
    Ok(RunningCommand {
        group: Pid::from_raw(pid),
        reader,
        events,
    })
}

/// Returns whether a process is running that was started to deliver this password, or
/// `None` if this system does not say. Its environment identifies it, so processes that a
/// command left running count as well.
pub fn is_running(password_id: &PasswordId) -> Option<bool> {
    let variable = format!("{PASSWORD_ID}={}", password_id.as_str());
    let mut all = environments()?;
    Some(all.any(|environment| {
        let mut variables = environment.split(|byte| *byte == 0);
        variables.any(|found| found == variable.as_bytes())
    }))
}

/// Returns the users of a store that commands are running for.
pub fn running_for(store_id: &str) -> HashSet<String> {
    let all = environments().into_iter().flatten();
    let users = all.filter_map(|environment| {
        let value = |name: &str| {
            let mut variables = environment.split(|byte| *byte == 0);
            variables.find_map(|found| found.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        };
        value(STORE_ID).filter(|id| *id == store_id.as_bytes())?;
        String::from_utf8(value(USERNAME)?.to_vec()).ok()
    });
    users.collect()
}

/// Reads the environment of every process; it is empty for those of other users, which
/// this program did not start.
fn environments() -> Option<impl Iterator<Item = Vec<u8>>> {
    fs::metadata("/proc/self/environ").ok()?;
    let processes = fs::read_dir("/proc").ok()?.flatten();
    Some(processes.map(|process| fs::read(process.path().join("environ")).unwrap_or_default()))
}

/// Returns the variables that describe a delivery, without the password.
pub fn variables(delivery: &Delivery) -> Vec<(&'static str, String)> {
    let credential = &delivery.credential;
    let server = &credential.server;
    let mut variables = vec![
        (USERNAME, credential.username.to_string()),
        ("SMTPCRED_DOMAIN", credential.username.domain().to_string()),
        (
            "SMTPCRED_PORT",
            server.ports.recommended().number.to_string(),
        ),
        (PASSWORD_ID, credential.password_id.to_string()),
    ];
    if let Some(host) = &server.host {
        variables.push(("SMTPCRED_HOST", host.to_string()));
    }
    if let Some(password_id) = &delivery.old_password_id {
        variables.push(("SMTPCRED_OLD_PASSWORD_ID", password_id.to_string()));
    }
    variables
}

fn listen(output: PipeReader, events: &SyncSender<CommandEvent>) {
    // More than is shown, so that no password is cut at the end of a line.
    const MOST: usize = MAX_LINE + ROOM;
    let mut output = BufReader::new(output);
    loop {
        let mut line = Zeroizing::new(Vec::with_capacity(MOST));
        match (&mut output).take(MOST as u64).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(MOST) if !line.ends_with(b"\n") && output.skip_until(b'\n').is_err() => return,
            Ok(_) => {}
        }
        let text = Zeroizing::new(String::from_utf8_lossy(&line).trim_end().to_owned());
        if !text.is_empty() && events.send(CommandEvent::Output(text)).is_err() {
            return;
        }
    }
}

fn reap(mut child: Child, events: &SyncSender<CommandEvent>) {
    let status = child.wait();
    // Fails once the time is over.
    let _ = events.send(CommandEvent::Ended(status));
}

/// Waits until the command has ended and its output was shown. Returns `None` if the
/// deadline came first.
fn wait(
    events: &Receiver<CommandEvent>,
    mut deadline: Instant,
    show: &mut dyn FnMut(&str),
) -> Option<io::Result<ExitStatus>> {
    let mut ended = None;
    loop {
        let mut left = deadline.saturating_duration_since(Instant::now());
        // Even if there is more output.
        if left.is_zero() {
            return ended;
        }
        if ended.is_some() {
            left = left.min(LATE_LINE);
        }
        match events.recv_timeout(left) {
            Ok(CommandEvent::Output(text)) => show(&text),
            Ok(CommandEvent::Ended(status)) => {
                ended = Some(status);
                deadline = Instant::now() + LATE_OUTPUT;
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return ended,
        }
    }
}

/// Ends the command and all processes of its group: first SIGTERM, then SIGKILL.
fn end(started: &RunningCommand) {
    let RunningCommand { group, events, .. } = started;
    // Fails if it has ended by now.
    let _ = killpg(*group, Signal::SIGTERM);
    let deadline = Instant::now() + seconds(KILLED_WITHIN) / 2;
    let ended = wait(events, deadline, &mut |_| {});
    let _ = killpg(*group, Signal::SIGKILL);
    if ended.is_none() {
        let _ = wait(
            events,
            Instant::now() + seconds(KILLED_WITHIN) / 4,
            &mut |_| {},
        );
    }
}

fn seconds(duration: crate::model::duration::Duration) -> Duration {
    Duration::from_secs(duration.seconds().unsigned_abs())
}
