//! Programs of others, asked what they know: in time, and whatever they say is
//! text of a stranger.

use std::env::{join_paths, split_paths, var_os};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::{AccessFlags, access};

use super::files::MOST;
use crate::error::{Error, Result};

/// What a program said that ended well.
pub struct Said {
    pub stdout: String,
    pub stderr: String,
}

/// They read files; what takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(10);

pub fn ask(program: &str, args: &[&str]) -> Result<Said> {
    let (good, said) = run(program, args)?;
    if good {
        return Ok(said);
    }
    Err(Error::System(format!("{program}: {}", said.stderr.trim())))
}

/// Also what it said where it did not end well, such as "inactive".
pub fn run(program: &str, args: &[&str]) -> Result<(bool, Said)> {
    let failed = |what: &str| Error::System(format!("{program} {what}"));
    let folders = folders();
    let file = find(program, &folders).ok_or_else(|| failed("is not installed"))?;
    // What it runs itself is looked for in the same places.
    let path = join_paths(&folders).map_err(|_| failed("cannot be run: PATH"))?;
    let mut child = Command::new(file)
        .args(args)
        .env("PATH", path)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| failed(&format!("cannot be run: {e}")))?;
    let deadline = Instant::now() + PATIENCE;
    let stdout = gathered(child.stdout.take());
    let stderr = gathered(child.stderr.take());
    let good = ended(&mut child, deadline).ok_or_else(|| failed("does not end"))?;
    // What it started may keep them open.
    let text = |from: Receiver<Vec<u8>>| {
        let left = deadline.saturating_duration_since(Instant::now());
        let bytes = from.recv_timeout(left.max(Duration::from_secs(1)));
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    };
    let said = Said {
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
            // What was read until then is as good as it gets.
            let _ = pipe.take(MOST).read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    receiver
}

/// Whether it ended well; killed at the deadline.
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

/// Is there a program of this name?
pub fn is_there(program: &str) -> bool {
    find(program, &folders()).is_some()
}

/// Those of PATH, and where systems keep them, also for users whose PATH is shorter.
/// Never the current folder, which an empty or relative part means: whoever may
/// write there would have a program of theirs run by root.
fn folders() -> Vec<PathBuf> {
    const USUAL: [&str; 6] = [
        "/usr/local/sbin",
        "/usr/local/bin",
        "/usr/sbin",
        "/usr/bin",
        "/sbin",
        "/bin",
    ];
    let path = var_os("PATH").unwrap_or_default();
    let usual = USUAL.map(PathBuf::from);
    let all = split_paths(&path).filter(|folder| folder.is_absolute());
    all.chain(usual).collect()
}

fn find(program: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let runs = |file: &Path| file.is_file() && access(file, AccessFlags::X_OK).is_ok();
    let mut files = folders.iter().map(|folder| folder.join(program));
    files.find(|file| runs(file))
}
