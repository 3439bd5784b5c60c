//! A command that takes a new password, from its standard input, to where it is
//! needed.

use std::collections::HashSet;
use std::fs;
use std::io::{self, BufRead as _, BufReader, PipeReader, Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use zeroize::Zeroizing;

use crate::app::rotation::{Arrival, KILLED_WITHIN, Parcel};
use crate::error::Result;
use crate::model::delivery::CommandLine;
use crate::model::password::KeyId;

/// `EX_TEMPFAIL` of sysexits(3): by this a command says that nothing was delivered.
const TRY_AGAIN: i32 = 75;
/// In characters, of a line that is shown. The rest of it is not.
const LINE: usize = 1000;
/// In bytes: more than any password has, and less than a pipe takes at once.
const ROOM: usize = 1024;
/// How long after its end something it left running may still print.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// And all of it, where it does not stop.
const ALL_LAST_WORDS: Duration = Duration::from_secs(1);
/// Lines that are not shown yet: who prints faster than that waits.
const QUEUE: usize = 64;

const KEY_ID: &str = "SMTPCRED_KEY_ID";
const USERNAME: &str = "SMTPCRED_USERNAME";
/// Means nothing to a command.
pub const STORE_ID: &str = "SMTPCRED_STORE_ID";

enum Event {
    Said(Zeroizing<String>),
    Ended(io::Result<ExitStatus>),
}

/// Runs it to its end, or to the end of its time. `known` says that the password
/// was written to a file before.
pub fn run(
    command: &CommandLine,
    parcel: &Parcel,
    variables: Vec<(&'static str, String)>,
    known: bool,
    handing: &mut dyn FnMut() -> Result<()>,
    said: &mut dyn FnMut(String),
) -> Arrival {
    let not = |reason: String| {
        if known {
            Arrival::Unknown(reason)
        } else {
            Arrival::Not(reason)
        }
    };
    if let Err(error) = handing() {
        return not(error.to_string());
    }
    let program = command.words().first().map_or("", String::as_str);
    let mut started = match start(command, parcel, variables) {
        Ok(started) => started,
        Err(error) => return not(format!("{program} could not be started: {error}")),
    };

    let deadline = Instant::now() + seconds(parcel.delivery.timeout());
    let password = parcel.credential.password.expose();
    let mut last = String::new();
    let mut show = |text: &str| {
        let mut text = text.replace(password, "********");
        if let Some((end, _)) = text.char_indices().nth(LINE) {
            text.truncate(end);
        }
        text.clone_into(&mut last);
        said(text);
    };
    let ended = wait(&started.events, deadline, &mut show);
    if ended.is_none() {
        end(&started);
    }
    // What is still in the pipe nobody has read, and nobody will.
    let mut rest = Zeroizing::new(Vec::with_capacity(ROOM));
    let unread = started.reader.read_to_end(&mut rest).unwrap_or(0);
    let reason = match ended {
        None => format!(
            "{program} did not end within {} and was killed",
            parcel.delivery.timeout()
        ),
        Some(Err(error)) => format!("{program}: {error}"),
        // The newline may be left.
        Some(Ok(status)) if status.success() && unread <= 1 => return Arrival::Arrived,
        Some(Ok(status)) if status.success() => {
            format!("{program} exited with 0 and did not read the password")
        }
        Some(Ok(status)) => match status.code() {
            Some(TRY_AGAIN) => return not(with_last(format!("{program} put it off (75)"), &last)),
            Some(code) => format!("{program} exited with {code}"),
            None => format!(
                "{program} was killed by signal {}",
                status.signal().unwrap_or(0)
            ),
        },
    };
    let reason = with_last(reason, &last);
    if unread > password.len() {
        not(reason)
    } else {
        Arrival::Unknown(reason)
    }
}

fn with_last(reason: String, said: &str) -> String {
    if said.is_empty() {
        return reason;
    }
    format!("{reason}: {said}")
}

struct Started {
    group: Pid,
    /// The other end of what it reads from.
    reader: PipeReader,
    events: Receiver<Event>,
}

/// The password is in the pipe before anybody reads from it: whoever is killed, a
/// command that has begun finds all of it, and never an empty one.
fn start(
    command: &CommandLine,
    parcel: &Parcel,
    variables: Vec<(&'static str, String)>,
) -> io::Result<Started> {
    let (reader, mut writer) = io::pipe()?;
    let mut line = Zeroizing::new(Vec::with_capacity(ROOM));
    line.extend_from_slice(parcel.credential.password.expose().as_bytes());
    line.push(b'\n');
    writer.write_all(&line)?;
    drop(writer);
    let (output, theirs) = io::pipe()?;
    let [program, args @ ..] = command.words() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut command = Command::new(program);
    command
        .args(args)
        .envs(variables)
        .stdin(reader.try_clone()?)
        .stdout(theirs.try_clone()?)
        .stderr(theirs)
        // So that all it started ends with it.
        .process_group(0);
    let child = command.spawn()?;
    // It holds the other ends of the pipes.
    drop(command);
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    let (sender, events) = sync_channel(QUEUE);
    let listener = sender.clone();
    // Not waited for: what it left running may hold the pipe open for ever.
    thread::spawn(move || listen(output, &listener));
    thread::spawn(move || reap(child, &sender));
    Ok(Started {
        group: Pid::from_raw(pid),
        reader,
        events,
    })
}

/// Found by its environment: what it left running counts as well. Nothing where
/// this system does not tell.
pub fn is_running(key: &KeyId) -> Option<bool> {
    let variable = format!("{KEY_ID}={}", key.as_str());
    let mut all = environments()?;
    Some(all.any(|environment| {
        let mut variables = environment.split(|byte| *byte == 0);
        variables.any(|found| found == variable.as_bytes())
    }))
}

/// The users of a store that commands run for.
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

/// Of all processes; empty of those of others, which are none that we started.
fn environments() -> Option<impl Iterator<Item = Vec<u8>>> {
    fs::metadata("/proc/self/environ").ok()?;
    let processes = fs::read_dir("/proc").ok()?.flatten();
    Some(processes.map(|process| fs::read(process.path().join("environ")).unwrap_or_default()))
}

/// All but the password.
pub fn variables(parcel: &Parcel) -> Vec<(&'static str, String)> {
    let credential = &parcel.credential;
    let connection = &credential.connection;
    let mut variables = vec![
        (USERNAME, credential.username.to_string()),
        ("SMTPCRED_DOMAIN", credential.username.domain().to_string()),
        (
            "SMTPCRED_PORT",
            connection.ports.recommended().number.to_string(),
        ),
        (KEY_ID, credential.key.to_string()),
    ];
    if let Some(host) = &connection.host {
        variables.push(("SMTPCRED_HOST", host.to_string()));
    }
    if let Some(key) = &parcel.old_key {
        variables.push(("SMTPCRED_OLD_KEY_ID", key.to_string()));
    }
    variables
}

fn listen(output: PipeReader, events: &SyncSender<Event>) {
    // More than is shown, so that no password is cut where a line is.
    const MOST: usize = LINE + ROOM;
    let mut output = BufReader::new(output);
    loop {
        let mut line = Zeroizing::new(Vec::with_capacity(MOST));
        match (&mut output).take(MOST as u64).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(MOST) if !line.ends_with(b"\n") && output.skip_until(b'\n').is_err() => return,
            Ok(_) => {}
        }
        let text = Zeroizing::new(String::from_utf8_lossy(&line).trim_end().to_owned());
        if !text.is_empty() && events.send(Event::Said(text)).is_err() {
            return;
        }
    }
}

fn reap(mut child: Child, events: &SyncSender<Event>) {
    let status = child.wait();
    // Nobody asks any more once the time is over.
    let _ = events.send(Event::Ended(status));
}

/// Until it has ended and said all; nothing if its time is over before.
fn wait(
    events: &Receiver<Event>,
    mut deadline: Instant,
    show: &mut dyn FnMut(&str),
) -> Option<io::Result<ExitStatus>> {
    let mut ended = None;
    loop {
        let mut left = deadline.saturating_duration_since(Instant::now());
        // However much there is to be shown.
        if left.is_zero() {
            return ended;
        }
        if ended.is_some() {
            left = left.min(LAST_WORDS);
        }
        match events.recv_timeout(left) {
            Ok(Event::Said(text)) => show(&text),
            Ok(Event::Ended(status)) => {
                ended = Some(status);
                deadline = Instant::now() + ALL_LAST_WORDS;
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return ended,
        }
    }
}

/// All of it, first asked, then not.
fn end(started: &Started) {
    let Started { group, events, .. } = started;
    // Gone already is as good.
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
