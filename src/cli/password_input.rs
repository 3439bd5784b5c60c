//! Where a password comes from. Never from the command line or the
//! environment, which other users of the machine can read.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Read};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use clap::Args;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use zeroize::Zeroizing;

use super::{machine, prompt, tty};
use crate::error::{Error, Result};
use crate::model::name::Username;
use crate::model::password::{Form, Password};

/// Nothing: smtpcred generates one.
#[derive(Debug, Args)]
#[command(next_help_heading = "The password (generated, unless one of these is given)")]
pub struct PasswordArgs {
    /// Read the password from stdin; one trailing newline is not part of it
    #[arg(long, group = "password_source")]
    password_stdin: bool,

    /// Read the password from a file that only you can read
    #[arg(long, group = "password_source", value_name = "FILE")]
    password_file: Option<PathBuf>,

    /// Ask for the password, without showing what is typed
    #[arg(long, group = "password_source")]
    choose_password: bool,

    /// Generate a shorter one of 20 characters, for devices that cut long ones
    #[arg(long, group = "password_source")]
    short_password: bool,
}

impl PasswordArgs {
    /// Whether somebody chooses it; refused early where nobody can.
    pub fn is_chosen(&self) -> Result<bool> {
        if self.choose_password && !prompt::person_present() {
            return Err(Error::Usage(
                "--choose-password needs a terminal; use --password-stdin or --password-file"
                    .into(),
            ));
        }
        Ok(self.password_stdin || self.password_file.is_some() || self.choose_password)
    }

    /// Of generated ones.
    pub const fn form(&self) -> Form {
        if self.short_password {
            Form::Short
        } else {
            Form::Full
        }
    }

    pub fn password(&self, user: &Username) -> Result<Password> {
        if self.password_stdin {
            Password::chosen(from_stdin("--password-stdin")?, user)
        } else if let Some(path) = &self.password_file {
            Password::chosen(from_file(path)?, user)
        } else if self.choose_password {
            Password::chosen(prompt::new_password()?, user)
        } else {
            Password::generate(self.form(), machine::WORLD.random)
        }
    }
}

/// From stdin, or from a person where stdin is one; of a command that changes nothing.
pub fn existing_password() -> Result<Zeroizing<Vec<u8>>> {
    if prompt::person_present() {
        let password = prompt::hidden("Password: ")?;
        tty::let_signals_end()
            .map_err(|e| Error::System(format!("signals cannot be let through: {e}")))?;
        return Ok(password);
    }
    from_stdin("the password")
}

fn from_stdin(what: &str) -> Result<Zeroizing<Vec<u8>>> {
    if io::stdin().is_terminal() {
        return Err(Error::Usage(format!(
            "{what} has to come through a pipe or from a file on stdin"
        )));
    }
    // A file of our own: std's buffer would keep a copy.
    let password = io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .and_then(|stdin| read_line(&mut File::from(stdin)))
        .map_err(|e| Error::Usage(format!("{what} cannot be read from stdin: {e}")))?;
    if password.is_empty() {
        return Err(Error::Usage("there is no password on stdin".into()));
    }
    Ok(password)
}

pub fn from_file(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    const OTHERS: u32 = 0o077;
    let refused =
        |reason: String| Error::Usage(format!("the password file {} {reason}", path.display()));
    let mut file = OpenOptions::new()
        .read(true)
        // Opening a FIFO that nobody writes to would wait for ever …
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .map_err(|e| refused(format!("cannot be read: {e}")))?;
    // … and reading one that somebody writes to has to wait.
    fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))
        .map_err(|e| refused(format!("cannot be read: {e}")))?;
    let meta = file
        .metadata()
        .map_err(|e| refused(format!("cannot be read: {e}")))?;
    if meta.is_dir() {
        return Err(refused("is a folder".into()));
    }
    if meta.is_file() && meta.mode() & OTHERS != 0 {
        return Err(refused(format!(
            "can be read by others (mode {:04o}); chmod 600 it",
            meta.mode() & 0o7777
        )));
    }
    let password = read_line(&mut file).map_err(|e| refused(format!("cannot be read: {e}")))?;
    if password.is_empty() {
        return Err(refused("is empty".into()));
    }
    Ok(password)
}

/// All of it, less one trailing newline. The buffer never grows: a buffer that
/// does leaves copies behind.
fn read_line(source: &mut dyn Read) -> io::Result<Zeroizing<Vec<u8>>> {
    const MAX: usize = 4096;
    let mut bytes = Zeroizing::new(vec![0; MAX + 1]);
    let mut filled = 0;
    while filled <= MAX {
        match source.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    if filled > MAX {
        return Err(io::Error::other("it is longer than 4096 bytes"));
    }
    if bytes[..filled].ends_with(b"\n") {
        filled -= 1;
        if bytes[..filled].ends_with(b"\r") {
            filled -= 1;
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut bytes: &[u8]) -> Vec<u8> {
        read_line(&mut bytes).unwrap().to_vec()
    }

    #[test]
    fn one_trailing_newline_is_not_part_of_it() {
        assert_eq!(read(b"secret\n"), b"secret");
        assert_eq!(read(b"secret\r\n"), b"secret");
        assert_eq!(read(b"secret\n\n"), b"secret\n");
        assert_eq!(read(b"secret"), b"secret");
        assert_eq!(read(b""), b"");
        assert!(read_line(&mut vec![b'x'; 5000].as_slice()).is_err());
    }
}
