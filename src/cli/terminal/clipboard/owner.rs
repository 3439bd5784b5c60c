//! The process that owns the desktop's clipboard: started by `desktop`, it gets the text on
//! stdin, and clears it after a while.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{self, Instant};

use arboard::{Clipboard, SetExtLinux as _};
use clap::Args;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::model::duration::Duration;

/// The answer if the text is in the clipboard; any other answer is the reason why not.
pub const COPIED: &str = "copied";

#[derive(Debug, Args)]
pub struct ClipboardOwner {
    timeout: Duration,
}

impl ClipboardOwner {
    /// Owns the clipboard until the time is over or a signal arrives.
    pub fn run(&self) -> Result<()> {
        close_inherited();
        // Leave the terminal's session: closing the window must not end this process before it
        // has cleared the clipboard. This fails only if a person started it by hand.
        let _ = nix::unistd::setsid();

        let mut text = Zeroizing::new(String::with_capacity(4096));
        io::stdin()
            .take(4096)
            .read_to_string(&mut text)
            .map_err(|e| Error::System(e.to_string()))?;
        let owned = own(&text);
        let answer = match &owned {
            Ok(_) => COPIED.to_owned(),
            Err(e) => e.to_string(),
        };
        // The parent may have given up; the clipboard is cleared all the same.
        let _ = writeln!(io::stdout(), "{}", answer.replace('\n', " "));
        if let Ok(mut clipboard) = owned {
            self.wait(&mut clipboard, &text)?;
            clear_if_ours(&mut clipboard, &text);
            // Released by drop, never by exiting: some desktops keep the selection of an owner
            // that was killed.
        }
        Ok(())
    }

    /// Waits until the time is over, a signal arrives, or another program owns the clipboard.
    fn wait(&self, clipboard: &mut Clipboard, text: &str) -> Result<()> {
        const LOOK_EVERY: time::Duration = time::Duration::from_secs(2);
        let failed = |e: io::Error| Error::System(e.to_string());
        let (mut wake, sender) = UnixStream::pair().map_err(failed)?;
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            let sender = sender.try_clone().map_err(failed)?;
            signal_hook::low_level::pipe::register(signal, sender).map_err(failed)?;
        }
        let until =
            Instant::now() + time::Duration::from_secs(self.timeout.seconds().unsigned_abs());
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            wake.set_read_timeout(Some(left.min(LOOK_EVERY)))
                .map_err(failed)?;
            if wake.read(&mut [0]).is_ok() || is_lost(clipboard, text) {
                return Ok(());
            }
        }
    }
}

/// Returns whether another program owns the clipboard, or the desktop is gone.
fn is_lost(clipboard: &mut Clipboard, text: &str) -> bool {
    match clipboard.get_text() {
        Ok(now) => Zeroizing::new(now).as_str() != text,
        Err(e) => !matches!(e, arboard::Error::ClipboardOccupied),
    }
}

fn own(text: &str) -> std::result::Result<Clipboard, arboard::Error> {
    let mut clipboard = Clipboard::new()?;
    clipboard.set().exclude_from_history().text(text)?;
    Ok(clipboard)
}

/// Clears the clipboard twice: a clipboard manager may restore what was cleared.
fn clear_if_ours(clipboard: &mut Clipboard, text: &str) {
    const MANAGERS_NEED: time::Duration = time::Duration::from_millis(300);
    for _ in 0..2 {
        let ours = clipboard
            .get_text()
            .is_ok_and(|now| Zeroizing::new(now).as_str() == text);
        if ours {
            // If the desktop is gone, so is its clipboard.
            let _ = clipboard.clear();
        }
        thread::sleep(MANAGERS_NEED);
    }
}

/// Closes everything that the shell had open: another program may wait for a lock, or for the
/// end of a pipe.
fn close_inherited() {
    const STANDARD: RawFd = 2;
    let open: Vec<RawFd> = fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > STANDARD)
        .collect();
    for fd in open {
        // The descriptor that listed them is closed by now.
        let _ = nix::unistd::close(fd);
    }
}
