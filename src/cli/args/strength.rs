//! Checks in a separate process whether a chosen password is easy to guess: the
//! library leaves copies of it in memory, which are freed with the process.

use std::io::{self, Write as _};
use std::process::{Command, Stdio};

use clap::Args;
use zeroize::Zeroizing;

use super::secret_line::read_line;
use crate::error::{Error, Exit, Result};
use crate::model::name::Username;
use crate::model::password::Password;
use crate::model::weak;

/// The hidden command: exits with 4 if the password on stdin is easy to guess.
#[derive(Debug, Args)]
pub struct Strength {
    username: Username,
    label: Option<String>,
}

impl Strength {
    pub fn run(&self) -> Result<()> {
        let bytes = read_line(&mut io::stdin().lock()).map_err(|e| Error::System(e.to_string()))?;
        let password = std::str::from_utf8(&bytes).map_err(|e| Error::System(e.to_string()))?;
        if weak::is_guessable(password, &self.username, self.label.as_deref()) {
            return Err(Error::Answered(Exit::Refused));
        }
        Ok(())
    }
}

/// Fails if the password is easy to guess, or if that could not be checked.
pub fn refuse_guessable(password: &Password, user: &Username, label: Option<&str>) -> Result<()> {
    match guessable(password, user, label) {
        Ok(0) => Ok(()),
        Ok(code) if code == Exit::Refused as i32 => Err(Error::WeakPassword(
            "it is easy to guess: words, names, dates or keyboard patterns".into(),
        )),
        Ok(code) => Err(unchecked_error(&format!("its check exited with {code}"))),
        Err(error) => Err(unchecked_error(&error.to_string())),
    }
}

fn unchecked_error(reason: &str) -> Error {
    Error::System(format!(
        "the strength of the password could not be checked ({reason})"
    ))
}

fn guessable(password: &Password, user: &Username, label: Option<&str>) -> io::Result<i32> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["password-strength", "--", user.as_str()])
        .args(label)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        let mut line = Zeroizing::new(Vec::with_capacity(password.expose().len() + 1));
        line.extend_from_slice(password.expose().as_bytes());
        line.push(b'\n');
        stdin.write_all(&line)?;
    }
    Ok(child.wait()?.code().unwrap_or(-1))
}
