//! `smtpcred store verify`

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::encrypted::{COPY, decrypted, identities, is_encrypted};
use crate::app::store_admin::backup::{Contents, verify_store};
use crate::cli::args::path;
use crate::cli::context::Context;
use crate::cli::terminal::column::Column;
use crate::cli::terminal::record::Record;
use crate::cli::world::WORLD;
use crate::error::{Error, Exit, Place};
use crate::files::{self, Elsewhere, Folder};
use crate::model::age::Identity;
use crate::model::time::Time;
use crate::store::{Access, Location, Store};

const HELP: &str = "\
Examples:
  smtpcred store verify                                the store itself
  smtpcred store verify /root/smtpcred.backup
  smtpcred store verify --all /mnt/nas/
  smtpcred store verify smtpcred.backup.age --identity key.txt

Checks:
  The file is complete and its pages are intact; its tables are those of smtpcred; sign-in can read
  the record of each user; each event fits the one before it (see smtpcred audit verify). Nothing is written, to the file or beside it. A file that age encrypted
  cannot be checked: decrypt it first.

JSON:
  A list of {file, result, reason, at, users, domains, schema, installation}; result is good, bad or unchecked.
  Unless it is good, all but file, result and reason are null. Users and domains are null for a backup of
  an older version, whose tables are checked, but not their rows. In at is when a backup was made,
  null for a copy by another program.

Exit codes:
  0; 7 if one is bad, if there is none in the folder, or if the one that was named is unchecked.";

/// Check whether a backup, or the store itself, is intact
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct VerifyStore {
    /// The backup; without it, the store
    #[arg(value_name = "FILE|FOLDER", value_parser = path::given())]
    file: Option<PathBuf>,

    /// Check the store and all backups in the folder
    #[arg(long, requires = "file")]
    all: bool,

    /// Decrypt backups with the secret key in this file; can be repeated
    #[arg(long, value_name = "FILE", requires = "file", value_parser = path::given())]
    identity: Vec<PathBuf>,
}

impl VerifyStore {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let identities = identities(&self.identity)?;
        let mut list = Vec::new();
        if self.all || self.file.is_none() {
            list.push(None);
        }
        match &self.file {
            Some(folder) if self.all => list.extend(backups(folder)?.into_iter().map(Some)),
            file => list.extend(file.clone().map(Some)),
        }
        let none_found = self.all && list.len() == 1;
        let mut all_good = !none_found;
        let location = context.location()?;
        let mut out = context.out.list::<VerifiedRecord>();
        for file in list {
            let place =
                file.map_or_else(|| (location.clone(), false), |f| (Location::File(f), true));
            let verified = if place.1 {
                backup(&place.0, &location, &identities)?
            } else {
                verified(&place.0, Store::open(&place.0, Access::Look), false)?
            };
            // Where backups are made, the key may be missing on purpose.
            let passes = verified.result == UNCHECKED && self.all;
            all_good &= verified.result == GOOD || passes;
            out.push(&verified)?;
        }
        out.end("nothing to check")?;
        if none_found {
            context.out.note("the folder has no backup of smtpcred");
        }
        if all_good {
            return Ok(());
        }
        Err(Error::Answered(Exit::Attention).into())
    }
}

/// Returns the backups in a folder, by name.
fn backups(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |e: std::io::Error| Error::StoreUnreachable {
        store: Place::from(path),
        reason: e.to_string(),
    };
    let folder = Folder::open(path).map_err(failed)?;
    let mut names = folder.names().map_err(failed)?;
    let is_backup = |name: &[u8]| name.ends_with(b".backup") || name.ends_with(b".backup.age");
    names.retain(|name| is_backup(name.as_encoded_bytes()));
    names.sort_unstable();
    Ok(names.iter().map(|name| path.join(name)).collect())
}

/// Verifies a backup, which may be encrypted.
fn backup(
    place: &Location,
    store: &Location,
    identities: &[Identity],
) -> Result<VerifiedRecord, Error> {
    let Location::File(path) = place else {
        return verified(place, Store::open(place, Access::Look), true);
    };
    let encrypted = files::open(path).and_then(|mut file| Ok((is_encrypted(&mut file)?, file)));
    let Ok((true, mut file)) = encrypted else {
        return verified(place, Store::open_backup(path), true);
    };
    if identities.is_empty() {
        return Ok(VerifiedRecord::unchecked(place.to_string()));
    }
    let elsewhere = Elsewhere {
        beside: store.file(),
        temporary: false,
    };
    match decrypted(path, &mut file, identities, elsewhere) {
        Ok((private, _)) => {
            let plain = Store::open_backup(&private.path().join(COPY));
            verified(place, plain, true)
        }
        Err(Error::BackupUnfit { reason, .. }) => {
            Ok(VerifiedRecord::bad(place.to_string(), reason))
        }
        Err(error) => Err(error),
    }
}

/// Fails only if it cannot be found out now.
fn verified(
    place: &Location,
    opened: Result<Store, Error>,
    is_backup: bool,
) -> Result<VerifiedRecord, Error> {
    let contents = opened.and_then(|mut store| verify_store(&mut store, place, (WORLD.now)()));
    let file = place.to_string();
    match contents {
        Ok(contents) => Ok(VerifiedRecord::good(file, is_backup, contents)),
        Err(error) if error.exit() == Exit::TryAgain => Err(error),
        Err(error) => Ok(VerifiedRecord::bad(file, error.to_string())),
    }
}

const GOOD: &str = "good";
const UNCHECKED: &str = "unchecked";

#[derive(Serialize)]
struct VerifiedRecord {
    file: String,
    result: &'static str,
    reason: Option<String>,
    at: Option<Time>,
    users: Option<u64>,
    domains: Option<u64>,
    schema: Option<i64>,
    installation: Option<String>,
}

impl VerifiedRecord {
    fn good(file: String, is_backup: bool, contents: Contents) -> Self {
        Self {
            file,
            result: GOOD,
            reason: None,
            at: contents.made_at.filter(|_| is_backup),
            users: contents.users,
            domains: contents.domains,
            schema: Some(contents.schema),
            installation: contents.installation,
        }
    }

    const fn bad(file: String, reason: String) -> Self {
        Self::without_contents(file, "bad", reason)
    }

    fn unchecked(file: String) -> Self {
        let reason = "it is encrypted: --identity FILE checks it";
        Self::without_contents(file, UNCHECKED, reason.to_owned())
    }

    const fn without_contents(file: String, result: &'static str, reason: String) -> Self {
        Self {
            file,
            result,
            reason: Some(reason),
            at: None,
            users: None,
            domains: None,
            schema: None,
            installation: None,
        }
    }
}

impl Record for VerifiedRecord {
    const COLUMNS: &'static [Column] = &[
        Column::new("File"),
        Column::new("Result"),
        Column::new("Reason").wrap(24),
        Column::new("At"),
        Column::new("Users").right(),
        Column::new("Domains").right(),
        Column::new("Schema").right().rank(1),
        Column::new("Installation").rank(1),
    ];

    const FIELDS: &'static [&'static str] = &[
        "file",
        "result",
        "reason",
        "at",
        "users",
        "domains",
        "schema",
        "installation",
    ];

    fn fields(&self) -> Vec<String> {
        let number = |n: Option<u64>| n.map_or(String::new(), |n| n.to_string());
        vec![
            self.file.clone(),
            self.result.to_owned(),
            self.reason.clone().unwrap_or_default(),
            self.at.map_or(String::new(), |at| at.to_string()),
            number(self.users),
            number(self.domains),
            self.schema.map_or(String::new(), |n| n.to_string()),
            self.installation.clone().unwrap_or_default(),
        ]
    }
}
