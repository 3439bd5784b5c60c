//! Where a password comes from: never the command line or the environment, which
//! other users of the machine can read.

use crate::cli::world::WORLD;
use std::fs::{File, Metadata};
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use nix::sys::statvfs::{FsFlags, fstatvfs};
use nix::unistd::geteuid;
use zeroize::Zeroizing;

use super::path;
use super::secret_line::read_line;
use super::strength::refuse_guessable;
use crate::cli::terminal::{prompt, tty};
use crate::error::{Error, Result};
use crate::files;
use crate::model::name::Username;
use crate::model::password::{Form, Password};

/// The flags for a new password. Without them, smtpcred generates one.
#[derive(Debug, Args)]
#[command(next_help_heading = "The password (generated, unless one of these is given)")]
pub struct PasswordArgs {
    /// Read the password from stdin, without one trailing newline
    #[arg(long, group = "password_source")]
    password_stdin: bool,

    /// Read the password from a file that only you can read
    #[arg(long, group = "password_source", value_name = "FILE", value_parser = path::given())]
    password_file: Option<PathBuf>,

    /// Ask for the password without showing it
    #[arg(long, group = "password_source")]
    choose_password: bool,

    /// Generate a shorter password of 20 characters, without prefix and checksum, for devices that
    /// truncate long ones
    #[arg(long, group = "password_source")]
    short_password: bool,
}

impl PasswordArgs {
    /// Returns whether the password is chosen, not generated. Fails early if --choose-password has
    /// no terminal to ask on.
    pub fn is_chosen(&self) -> Result<bool> {
        if self.choose_password && !prompt::person_present() {
            return Err(Error::Usage(
                "--choose-password needs a terminal; use --password-stdin or --password-file"
                    .into(),
            ));
        }
        Ok(self.password_stdin || self.password_file.is_some() || self.choose_password)
    }

    /// Returns the form of a generated password.
    pub const fn form(&self) -> Form {
        if self.short_password {
            Form::Short
        } else {
            Form::Full
        }
    }

    /// Reads or generates the password. One that is easy to guess, for example because it is made
    /// from the username or the label, is an error.
    pub fn password(&self, user: &Username, label: Option<&str>) -> Result<Password> {
        let chosen = if self.password_stdin {
            from_stdin("--password-stdin")?
        } else if let Some(path) = &self.password_file {
            from_file(path, "--password-stdin <")?
        } else if self.choose_password {
            return prompt::new_password(&|typed| accepted(typed, user, label));
        } else {
            return Password::generate(self.form(), WORLD.random);
        };
        accepted(chosen, user, label)
    }
}

/// Returns a chosen password, or why it is refused.
fn accepted(chosen: Zeroizing<Vec<u8>>, user: &Username, label: Option<&str>) -> Result<Password> {
    if let Some(reason) = has_lines(&chosen) {
        return Err(Error::WeakPassword(reason));
    }
    let password = Password::chosen(chosen)?;
    refuse_guessable(&password, user, label)?;
    Ok(password)
}

/// Reads an existing password from a file, from stdin, or from a person if stdin is a terminal.
/// For commands that change nothing.
pub fn existing_password(file: Option<&Path>) -> Result<Zeroizing<Vec<u8>>> {
    let password = match file {
        Some(path) => from_file(path, "<")?,
        None if prompt::person_present() => {
            let password = prompt::hidden("Password: ")?;
            tty::let_signals_end()
                .map_err(|e| Error::System(format!("signals cannot be let through: {e}")))?;
            if password.is_empty() {
                return Err(Error::Usage("no password was typed".into()));
            }
            password
        }
        None => from_stdin("the password")?,
    };
    if password.contains(&0) || password.starts_with("\u{feff}".as_bytes()) {
        return Err(Error::Usage(
            "the password cannot be read: it is UTF-16, or has a byte order mark before it".into(),
        ));
    }
    match has_lines(&password) {
        Some(reason) => Err(Error::Usage(format!(
            "the password cannot be read: {reason}"
        ))),
        None => Ok(password),
    }
}

/// Returns why a password with several lines is rejected: password managers print names and
/// notes below the password.
fn has_lines(password: &[u8]) -> Option<String> {
    let lines = password.split(|byte| *byte == b'\n').count();
    (lines > 1).then(|| {
        format!("it has {lines} lines; pass only the first one, for example with `head -n 1`")
    })
}

fn from_stdin(what: &str) -> Result<Zeroizing<Vec<u8>>> {
    if io::stdin().is_terminal() {
        return Err(Error::Usage(format!(
            "{what} must come from a pipe or a file on stdin"
        )));
    }
    // A file of our own: std's buffer would keep a copy.
    let password = io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .and_then(|stdin| read_line(&mut File::from(stdin)))
        .map_err(|e| Error::Usage(format!("{what} cannot be read from stdin: {e}")))?;
    if password.is_empty() {
        return Err(Error::Usage("stdin has no password".into()));
    }
    Ok(password)
}

/// `instead` is how to pass a file whose mode cannot be changed.
fn from_file(path: &Path, instead: &str) -> Result<Zeroizing<Vec<u8>>> {
    const OTHERS: u32 = 0o077;
    let refused =
        |reason: String| Error::Usage(format!("the password file {} {reason}", path.display()));
    let mut file = files::open(path).map_err(|e| refused(format!("cannot be read: {e}")))?;
    let meta = file
        .metadata()
        .map_err(|e| refused(format!("cannot be read: {e}")))?;
    if meta.is_dir() {
        return Err(refused("is a folder".into()));
    }
    if meta.is_file() && meta.mode() & OTHERS != 0 {
        let mode = meta.mode() & 0o7777;
        let advice = if is_mounted_secret(&file, &meta) {
            format!(
                "which is normal for a mounted secret; pass it as: {instead} {}",
                path.display()
            )
        } else {
            format!(
                "run: chmod 600 {}",
                crate::model::text::in_shell(&path.to_string_lossy())
            )
        };
        return Err(refused(format!(
            "can be read by others (mode {mode:04o}); {advice}"
        )));
    }
    let password = read_line(&mut file).map_err(|e| refused(format!("cannot be read: {e}")))?;
    if password.is_empty() {
        return Err(refused("is empty".into()));
    }
    Ok(password)
}

/// Docker and Kubernetes mount secrets with modes such as 0444 and 0440 on read-only
/// file systems, often for another user. chmod does not work there.
fn is_mounted_secret(file: &File, meta: &Metadata) -> bool {
    const WRITABLE: u32 = 0o222;
    let own = geteuid();
    let is_foreign = !own.is_root() && meta.uid() != own.as_raw();
    let is_read_only = || fstatvfs(file).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_RDONLY));
    meta.mode() & WRITABLE == 0 || is_foreign || is_read_only()
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
        assert_eq!(read(b"secret"), b"secret");
        assert_eq!(read(b""), b"");
        assert!(read_line(&mut vec![b'x'; 5000].as_slice()).is_err());
    }

    #[test]
    fn lines_below_it_are_counted() {
        assert_eq!(has_lines(&read(b"secret\r\n")), None);
        for (lines, text) in [(2, "secret\n\n"), (3, "secret\r\nuser: x\r\nnote")] {
            let said = has_lines(&read(text.as_bytes())).unwrap();
            assert!(said.contains(&format!("{lines} lines")), "{said}");
        }
    }
}
