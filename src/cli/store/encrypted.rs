//! Encrypted backups. What is not encrypted yet, or not any more, is only in memory or in the
//! folder of the store.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::app::App;
use crate::cli::world::WORLD;
use crate::error::{Error, Place, Result};
use crate::files::{self, Elsewhere, PrivateFolder};
use crate::model::age::{AgeError, FileKey, Identity, Recipient, decrypt, encrypt, read_again};

/// The name of a copy in its private folder.
pub const COPY: &str = "backup.db";
/// What an encrypted file begins with.
const BEGINNING: &[u8] = b"age-encryption.org/";
/// Long enough for thousands of keys.
const LONGEST: u64 = 1 << 20;

/// Reads the secret keys in these files.
pub fn identities(files: &[PathBuf]) -> Result<Vec<Identity>> {
    let mut found = Vec::new();
    for path in files {
        let refused = |why: &str| {
            Error::Usage(format!(
                "--identity {} cannot be used: {why}",
                path.display()
            ))
        };
        let mut text = Zeroizing::new(String::new());
        let read = files::open_and_wait(path)
            .and_then(|file| file.take(LONGEST).read_to_string(&mut text));
        read.map_err(|e| refused(&e.to_string()))?;
        found.extend(Identity::all_of(&text).map_err(refused)?);
    }
    Ok(found)
}

/// Returns whether age encrypted this file.
pub fn is_encrypted(file: &mut File) -> io::Result<bool> {
    let mut beginning = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    let most = BEGINNING.len() as u64;
    (&mut *file).take(most).read_to_end(&mut beginning)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(beginning == BEGINNING)
}

/// Decrypts a backup into a private folder.
pub fn decrypted(
    path: &Path,
    file: &mut File,
    identities: &[Identity],
    elsewhere: Elsewhere,
) -> Result<(PrivateFolder, File)> {
    let unfit = |reason: String, cure: &str| Error::BackupUnfit {
        backup: Place::from(path),
        reason,
        cure: cure.to_owned(),
    };
    if identities.is_empty() {
        return Err(unfit(
            "it is encrypted".into(),
            "name the file with the secret key: --identity FILE",
        ));
    }
    let mut opened = || -> std::result::Result<_, AgeError> {
        let size = file.metadata()?.len();
        // A migration writes beside it.
        let private = PrivateFolder::with_room(size.saturating_mul(3), elsewhere)?;
        let mut plain = private.folder().create_file(COPY.as_ref(), 0o600)?;
        decrypt(&mut BufReader::new(&mut *file), &mut plain, identities)?;
        let plain = private.folder().read(COPY.as_ref())?;
        Ok((private, plain))
    };
    opened().map_err(|error| match error {
        AgeError::OtherKey => unfit(
            "it is encrypted for another key".into(),
            "name the file with the secret key for one of its recipients: --identity FILE",
        ),
        AgeError::Damaged(how) => unfit(
            format!("it is damaged: {how}"),
            "take another one; this checks all of a folder: smtpcred store verify --all FOLDER",
        ),
        AgeError::Io(error) => unfit(error.to_string(), "free some space, or check its disk"),
        AgeError::Random(error) => error,
    })
}

/// Encrypts a backup.
pub fn encrypt_backup(
    plain: &mut File,
    to: &mut dyn Write,
    recipients: &[Recipient],
) -> io::Result<FileKey> {
    let sealed = encrypt(plain, to, recipients, WORLD.random);
    sealed.map_err(in_words)
}

/// Reads an encrypted backup again.
pub fn check_backup(file: File, key: &FileKey) -> io::Result<()> {
    read_again(&mut BufReader::new(file), key).map_err(in_words)
}

fn in_words(error: AgeError) -> io::Error {
    match error {
        AgeError::Io(error) => error,
        AgeError::Damaged(how) => io::Error::other(how),
        AgeError::Random(error) => io::Error::other(error.to_string()),
        AgeError::OtherKey => io::Error::other("it is encrypted for another key"),
    }
}

/// Returns about how large a copy of a store is.
pub fn size_of(app: &mut App) -> Result<u64> {
    /// A row with its share of the indexes.
    const ROW: u64 = 1024;
    let contents = app.contents()?;
    Ok(contents.space.map_or_else(
        || (contents.users + contents.events) * ROW,
        |space| space.whole,
    ))
}
