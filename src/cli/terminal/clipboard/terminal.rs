//! Asks the terminal to put text into its clipboard: OSC 52, see
//! <https://invisible-island.net/xterm/ctlseqs/ctlseqs.html>.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::choose::Terminal;
use super::environment::Env;

/// Sends the text. A terminal does not acknowledge it.
pub fn send(terminal: Terminal, env: &Env, text: &[u8]) -> io::Result<()> {
    match terminal {
        Terminal::Tmux => through_tmux(env, text),
        Terminal::Osc52 => to_terminal(b"", text, b""),
        // Device control string: its content goes to the outer terminal.
        Terminal::Screen => to_terminal(b"\x1bP", text, b"\x1b\\"),
    }
}

/// Writes to the terminal, never to stdout, which may be a file.
fn to_terminal(before: &[u8], text: &[u8], after: &[u8]) -> io::Result<()> {
    let mut base64 = Zeroizing::new(vec![0; text.len().div_ceil(3) * 4]);
    let length = STANDARD
        .encode_slice(text, &mut base64)
        .map_err(io::Error::other)?;
    let mut sequence = Zeroizing::new(Vec::with_capacity(length + 32));
    for part in [before, b"\x1b]52;c;", &base64[..length], b"\x07", after] {
        sequence.extend_from_slice(part);
    }
    let mut tty = OpenOptions::new().write(true).open("/dev/tty")?;
    tty.write_all(&sequence)
}

/// `load-buffer -w` (tmux 3.2 or newer) reaches the terminal whatever `set-clipboard` is set to.
/// The buffer must not stay.
fn through_tmux(env: &Env, text: &[u8]) -> io::Result<()> {
    let buffer = format!("smtpcred-{}", std::process::id());
    let mut child = tmux(env, &["load-buffer", "-w", "-b", &buffer, "-"])
        .stdin(Stdio::piped())
        .spawn()?;
    let written = match child.stdin.take() {
        Some(mut stdin) => stdin.write_all(text),
        None => Ok(()),
    };
    let status = child.wait()?;
    // If loading failed, there is no buffer.
    let _ = tmux(env, &["delete-buffer", "-b", &buffer]).status();
    written?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(
            "tmux failed (version 3.2 or newer is needed)",
        ))
    }
}

fn tmux(env: &Env, args: &[&str]) -> Command {
    let mut command = Command::new("tmux");
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(socket) = &env.tmux {
        command.env("TMUX", socket);
    }
    command
}
