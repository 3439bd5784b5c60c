//! Runs the tools of mail servers, with a time limit. What they print is untrusted text.

use std::env::join_paths;
use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::files::MOST;
use crate::error::{Error, Result};
use crate::files::programs::{find_program, program_folders};

/// What a program printed.
pub struct ToolOutput {
    /// On stdout.
    pub stdout: String,
    /// On stderr.
    pub stderr: String,
}

/// These tools only read files: one that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of what a program says about its failure is shown, in lines.
const MOST_LINES: usize = 4;

/// Runs a program and returns what it printed. Fails if it exits with an error.
pub fn ask(program: &str, args: &[&str]) -> Result<ToolOutput> {
    ask_within(program, args, PATIENCE)
}

/// Runs a program that changes the system, with the umask that such programs expect: this
/// process has a stricter one. Signals for this process do not reach it.
pub fn change(program: &str, args: &[&str], patience: Duration) -> Result<()> {
    let mut all = vec!["-c", "umask 022; exec \"$@\"", "sh", program];
    all.extend(args);
    if !is_there(program) {
        return Err(Error::System(format!("{program} is not installed")));
    }
    // A Ctrl-C at the terminal is for this process, which decides what to do about it.
    let answer = answered("sh", &all, patience, |command| command.process_group(0))?;
    good(program, answer).map(drop)
}

fn ask_within(program: &str, args: &[&str], patience: Duration) -> Result<ToolOutput> {
    good(program, run_within(program, args, patience)?)
}

fn good(program: &str, (good, said): (bool, ToolOutput)) -> Result<ToolOutput> {
    if good {
        return Ok(said);
    }
    let mut lines: Vec<&str> = Vec::new();
    let text = if said.stderr.trim().is_empty() {
        &said.stdout
    } else {
        &said.stderr
    };
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        // The tools of Postfix call each other, and each repeats what is wrong.
        if lines.len() < MOST_LINES && !lines.contains(&line) {
            lines.push(line);
        }
    }
    let what = if lines.is_empty() {
        "it failed without a message: see the system log".to_owned()
    } else {
        lines.join("; ")
    };
    Err(Error::System(format!("{program}: {what}")))
}

/// Runs a program and returns whether it succeeded and what it printed. Fails if it cannot
/// be run or does not end in time.
pub fn run(program: &str, args: &[&str]) -> Result<(bool, ToolOutput)> {
    run_within(program, args, PATIENCE)
}

fn run_within(program: &str, args: &[&str], patience: Duration) -> Result<(bool, ToolOutput)> {
    answered(program, args, patience, |command| command)
}

fn answered(
    program: &str,
    args: &[&str],
    patience: Duration,
    with: impl FnOnce(&mut Command) -> &mut Command,
) -> Result<(bool, ToolOutput)> {
    let failed = |what: &str| Error::System(format!("{program} {what}"));
    let folders = program_folders();
    let file = find_program(program, &folders).ok_or_else(|| failed("is not installed"))?;
    // The programs that it runs are searched in the same folders.
    let path = join_paths(&folders).map_err(|_| failed("cannot be run: PATH"))?;
    let mut command = Command::new(file);
    command
        .args(args)
        .env("PATH", path)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = with(&mut command)
        .spawn()
        .map_err(|e| failed(&format!("cannot be run: {e}")))?;
    let deadline = Instant::now() + patience;
    let stdout = gathered(child.stdout.take());
    let stderr = gathered(child.stderr.take());
    let good = ended(&mut child, deadline).ok_or_else(|| failed("does not end"))?;
    // A process that it started may keep the pipes open.
    let text = |from: Receiver<Vec<u8>>| {
        let left = deadline.saturating_duration_since(Instant::now());
        let bytes = from.recv_timeout(left.max(Duration::from_secs(1)));
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    };
    let said = ToolOutput {
        stdout: text(stdout),
        stderr: text(stderr),
    };
    Ok((good, said))
}

fn gathered(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            // What was read before an error is still useful.
            let _ = pipe.take(MOST).read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    receiver
}

/// Waits for a program and returns whether it succeeded. Kills it at the deadline and
/// returns `None`.
fn ended(child: &mut Child, deadline: Instant) -> Option<bool> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.success()),
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(2)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
}

/// Returns whether a program is installed.
pub fn is_there(program: &str) -> bool {
    find_program(program, &program_folders()).is_some()
}
