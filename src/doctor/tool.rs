//! Programs of others, asked what they know: in time, and whatever they say is
//! text of a stranger.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// What a program said that ended well.
pub struct Said {
    pub stdout: String,
    pub stderr: String,
}

/// They read files; what takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(10);
/// In bytes. Nobody's configuration is as long.
const MOST: u64 = 8 << 20;

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
    if !is_there(program) {
        return Err(failed("is not installed"));
    }
    // Where Debian keeps them, also for users whose PATH is shorter.
    let path = std::env::var("PATH").unwrap_or_default();
    let mut child = Command::new(program)
        .args(args)
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
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
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/sbin:/sbin")
        .split(':')
        .any(|folder| std::path::Path::new(folder).join(program).is_file())
}
