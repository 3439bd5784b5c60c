//! Input of `user create --file` and `user import`, and recovery of what an earlier run left in
//! a folder of passwords.

use std::io::{self, BufRead, BufReader};
use std::path::Path;

use crate::app::App;
use crate::cli::password_folder::PasswordFolder;
use crate::cli::terminal::output::Output;
use crate::error::{Error, Result};
use crate::files;
use crate::model::text::count;

/// Opens a file of users, or standard input for `-`.
pub fn open_input(file: &Path) -> Result<Box<dyn BufRead>> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let unread = |e: io::Error| Error::Usage(format!("{} cannot be read: {e}", file.display()));
    let opened = files::open_and_wait(file).map_err(unread)?;
    if opened.metadata().map_err(unread)?.is_dir() {
        return Err(Error::Usage(format!("{} is a folder", file.display())));
    }
    let mut input = BufReader::with_capacity(64 * 1024, opened);
    if input
        .fill_buf()
        .map_err(unread)?
        .starts_with(b"SQLite format 3\0")
    {
        let text = format!(
            "{0} is a database; import the output of: sqlite3 {0} .dump",
            file.display()
        );
        return Err(Error::Usage(text));
    }
    Ok(Box::new(input))
}

/// Finishes what an earlier run left in the folder, and prints what it did.
pub fn recover_folder(app: &mut App, folder: &mut PasswordFolder, out: &Output) -> Result<()> {
    let recovered = folder.recover(&mut |passwords| app.have_live_passwords(passwords))?;
    for username in &recovered.shown {
        let file = folder.file_of(username);
        out.note(&format!(
            "an earlier run gave {username} the password in {}",
            file.display()
        ));
    }
    if recovered.removed > 0 {
        out.note(&format!(
            "removed {} of an earlier run, which were never valid",
            count(recovered.removed, "password")
        ));
    }
    for path in &recovered.kept {
        out.warn(&format!(
            "an earlier run, perhaps with another store, left a password in {}",
            path.display()
        ));
    }
    Ok(())
}
