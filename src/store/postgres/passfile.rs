//! The file that PostgreSQL's programs read passwords from
//! (<https://www.postgresql.org/docs/current/libpq-pgpass.html>).

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::files;

/// The contents of a password file; empty if none exists.
#[derive(Default)]
pub struct Passwords(Zeroizing<String>);

/// The file named, or `~/.pgpass` if there is one. One that others can read is an
/// error: PostgreSQL's programs pass it over, and the admin wonders why.
pub fn read(named: Option<&Path>, env: &dyn Fn(&str) -> Option<String>) -> Result<Passwords> {
    const OTHERS: u32 = 0o077;
    let own = || env("HOME").map(|home| PathBuf::from(home).join(".pgpass"));
    let Some(path) = named.map(Path::to_owned).or_else(own) else {
        return Ok(Passwords::default());
    };
    let failed = |reason: String| Error::Usage(format!("{}: {reason}", path.display()));
    let opened = files::open(&path).and_then(|file| Ok((file.metadata()?, file)));
    let (found, mut file) = match opened {
        Ok(opened) => opened,
        Err(_) if named.is_none() => return Ok(Passwords::default()),
        Err(error) => return Err(failed(error.to_string())),
    };
    if found.is_file() && found.mode() & OTHERS != 0 {
        let reason = "others can read the passwords in it; chmod 0600 it";
        return Err(failed(reason.into()));
    }
    let mut text = Zeroizing::default();
    file.read_to_string(&mut text)
        .map_err(|error| failed(error.to_string()))?;
    Ok(Passwords(text))
}

impl Passwords {
    /// Of the first line that fits.
    pub fn find(&self, host: &str, port: u16, database: &str, user: &str) -> Option<String> {
        let port = port.to_string();
        let wanted = [host, &port, database, user];
        self.0.lines().find_map(|line| {
            let fields = fields(line.trim_end_matches('\r'))?;
            let fits = |(field, wanted): (&String, &&str)| field == "*" || field == *wanted;
            let (password, place) = fields.split_last()?;
            let fits = place.iter().zip(&wanted).all(fits);
            fits.then(|| password.clone())
        })
    }
}

/// Five, divided by colons; a backslash before what is meant as it stands.
fn fields(line: &str) -> Option<[String; 5]> {
    if line.starts_with('#') {
        return None;
    }
    let mut fields: [String; 5] = Default::default();
    let mut at = 0;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => fields[at].extend(letters.next()),
            // The password may have them as they are.
            ':' if at < 4 => at += 1,
            letter => fields[at].push(letter),
        }
    }
    (at == 4).then_some(fields)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_first_line_that_fits_counts() {
        let text = "# a comment\nbroken\r\nother:5432:mail:ana:no\n\
                    db:*:mail:ana:a\\:b\\\\c:d\r\n*:*:*:*:last";
        let passwords = Passwords(Zeroizing::new(text.into()));
        let find = |host, user| passwords.find(host, 5432, "mail", user);
        assert_eq!(find("db", "ana").as_deref(), Some("a:b\\c:d"));
        assert_eq!(find("db", "bob").as_deref(), Some("last"));
        assert_eq!(Passwords::default().find("db", 5432, "mail", "ana"), None);
    }

    #[test]
    fn p1_a_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pass");
        fs::write(&path, "*:*:*:*:secret").unwrap();
        for (mode, good) in [(0o644, false), (0o640, false), (0o600, true), (0o400, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let read = read(Some(&path), &|_| None);
            assert_eq!(read.is_ok(), good, "{mode:o}");
        }
        assert!(read(Some(&folder.path().join("none")), &|_| None).is_err());
        assert!(read(None, &|_| Some("/nonexistent".into())).is_ok());
    }
}
