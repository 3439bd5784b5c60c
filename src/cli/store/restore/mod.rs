//! `smtpcred store restore`

mod place;
mod shown;
mod source;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use self::place::{KeptStore, become_store};
use self::shown::{ChangeRecord, RestoreRecord, lines, summary};
use self::source::Source;
use crate::app::App;
use crate::app::store_admin::restore::{Comparison, RestoreOptions, Revive, live_passwords};
use crate::cli::args::path;
use crate::cli::context::Context;
use crate::cli::store::encrypted::identities;
use crate::cli::terminal::output::OutputFormat;
use crate::cli::terminal::prompt;
use crate::cli::world::WORLD;
use crate::error::{Error, Exit};
use crate::model::text::count;
use crate::store::{Access, Integrity, Location, Store};

const HELP: &str = "\
Examples:
  smtpcred store restore /root/smtpcred.backup --dry-run
  smtpcred store restore /root/smtpcred.backup
  smtpcred store restore smtpcred.backup.age --identity key.txt
  smtpcred store restore /root/smtpcred.backup --revive example.com --keep-new-users

Result:
  Domains, users and their settings (labels, limits, senders, allowed addresses, rotation) are as in
  the backup. What was stopped since then stays stopped: deleted users stay deleted, suspended ones
  suspended, and a password that was reset, retired or revoked does not work, unless --revive names
  it. Passwords made since then keep working. Users made since then are deleted, unless
  --keep-new-users is given. Renamed users stay as they are. Usage, events and roles are kept.
  A revived password works beside the newer one, until it was unused for 30 days, and for a year at
  most.

How:
  The backup is verified, and the differences are shown; nothing happens until you confirm. All is
  one change with one event: serve and other programs go on meanwhile. The present store is kept in
  a file beside it, STORE.before-restore-TIME; that of a database, beside the backup.

If the store is lost or damaged:
  It is replaced by the backup, and what was stopped since then is unknown: all passwords of the
  backup work again. They are listed: reset or suspend the users that must not sign in.

JSON:
  {backup, at, restored, kept, stopped_known, changes}. Changes is a list of {change, name,
  password_id, now, settings}. Change is one of settings_changed, domain_back, domain_changed,
  domain_gone, user_back, user_changed, user_gone, user_new_stays, user_stays_deleted,
  user_stays_recreated, user_stays_renamed (now: the new name), user_stays_suspended,
  user_stays_expired, password_back, password_revived, password_new_stays, password_stopped,
  password_stays_stopped. CSV has the list, with settings separated by spaces.

Exit codes:
  0; 8 if --dry-run finds that something would change.";

/// Bring a backup back, without what was revoked since then
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct RestoreStore {
    /// The backup
    #[arg(value_name = "FILE", value_parser = path::given())]
    file: PathBuf,

    /// Let this work again although it was stopped since: a user, a domain, a password ID, or all
    #[arg(long, value_name = "NAME|PASSWORD-ID|all")]
    revive: Vec<String>,

    /// Keep the users that were made since the backup
    #[arg(long)]
    keep_new_users: bool,

    /// Decrypt the backup with the secret key in this file; can be repeated
    #[arg(long, value_name = "FILE", value_parser = path::given())]
    identity: Vec<PathBuf>,

    /// Restore the backup of another installation
    #[arg(long)]
    other_installation: bool,

    /// Show what would change, without changing anything
    #[arg(long)]
    dry_run: bool,
}

/// What there is to restore into.
enum Present {
    /// A store with a history.
    InUse(App),
    /// A store in which nothing was done yet.
    Unused(App),
    Missing,
    /// With the damage.
    Damaged(String),
}

impl RestoreStore {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let location = context.location()?;
        let identities = identities(&self.identity)?;
        let source = Source::open(&self.file, &location, &identities)?;
        match present(context, &location)? {
            Present::InUse(app) => self.restore(context, &location, app, source),
            Present::Unused(app) => self.replace(context, &location, source, "is empty", Some(app)),
            Present::Missing => self.replace(context, &location, source, "does not exist", None),
            Present::Damaged(reason) => {
                let why = format!("is damaged ({reason})");
                self.replace(context, &location, source, &why, None)
            }
        }
    }

    /// Restores into a store that knows what was stopped since.
    fn restore(
        &self,
        context: &mut Context,
        location: &Location,
        mut app: App,
        mut source: Source,
    ) -> Result<()> {
        let is_other = app.store.installation()? != source.contents.installation;
        if is_other && !self.other_installation {
            return Err(Error::BackupOfOther {
                backup: self.file.clone().into(),
                store: location.into(),
            }
            .into());
        }
        app.store.need_writable()?;
        let options = self.options();
        let seen = app.compare_backup(&mut source.store, &options)?;
        if seen.changes_nothing() {
            context
                .out
                .note("nothing to restore: the store is as the backup");
        }
        show(context, &seen)?;
        if self.dry_run || seen.changes_nothing() {
            if !seen.changes_nothing() {
                context
                    .out
                    .note(&format!("would restore: {}", summary(&seen)));
            }
            let changes = !seen.changes_nothing();
            finish(context, &record(&source, &seen, None))?;
            return if changes && self.dry_run {
                Err(Error::Answered(Exit::WouldChange).into())
            } else {
                Ok(())
            };
        }
        let consequence = format!("{} will be restored: {}", source.name, summary(&seen));
        confirm(context, &lines(&seen), &consequence)?;
        let kept = KeptStore::beside(location, &self.file, app.now())?;
        let mut copied = false;
        // A script asked for whatever has changed by then.
        let confirmed = (!context.confirmed_beforehand()).then_some(&seen);
        let origin = source.origin();
        let restored = app.restore(&mut source.store, &origin, &options, confirmed, &mut || {
            kept.keep(location)?;
            copied = true;
            Ok(kept.path().display().to_string())
        });
        let restored = match restored {
            Err(error) => {
                // It may have been made.
                if copied && !matches!(error, Error::CommitUnknown { .. }) {
                    kept.forget();
                }
                return Err(error.into());
            }
            Ok(restored) => restored,
        };
        context
            .out
            .note(&format!("restored {}: {}", source.name, summary(&restored)));
        let kept = kept.path().display().to_string();
        context.out.note(&format!("the former store is in {kept}"));
        finish(context, &record(&source, &restored, Some(kept)))
    }

    /// Makes the backup the store, where none is left that knows what was stopped since.
    fn replace(
        &self,
        context: &mut Context,
        location: &Location,
        mut source: Source,
        why: &str,
        app: Option<App>,
    ) -> Result<()> {
        let now = (WORLD.now)();
        let live = live_passwords(&mut source.store, now)?;
        let roles = source.store.given_roles()?;
        let said = live
            .iter()
            .map(|(username, id)| format!("+ {username}: password {id} works again"));
        let roles = roles
            .iter()
            .map(|role| format!("+ the role of {}", role.holder));
        let said: Vec<_> = said.chain(roles).collect();
        if context.out.format() == OutputFormat::Table {
            for line in &said {
                context.out.text(line)?;
            }
            shown(context)?;
        }
        let at = source.contents.made_at;
        let since = at.map_or_else(|| "the backup".to_owned(), |at| at.to_string());
        context.out.warn(&format!(
            "the store {location} {why}, so it is not known which passwords were revoked since {since}"
        ));
        let changes = live
            .iter()
            .map(|(username, id)| ChangeRecord::back(username, id));
        let mut record = RestoreRecord {
            backup: source.name.clone(),
            at,
            restored: false,
            kept: None,
            stopped_known: false,
            changes: changes.collect(),
        };
        let passwords = count(live.len() as u64, "password");
        if self.dry_run {
            context
                .out
                .note(&format!("would restore {}: {passwords}", source.name));
            finish(context, &record)?;
            return Err(Error::Answered(Exit::WouldChange).into());
        }
        let consequence = format!(
            "{} becomes the store, and {passwords} will work as of then",
            source.name
        );
        confirm(context, &said, &consequence)?;
        record.kept = self.put(location, &mut source, app, why)?;
        record.restored = true;
        context
            .out
            .note(&format!("restored {}: {passwords}", source.name));
        if let Some(kept) = &record.kept {
            context.out.note(&format!("the former store is in {kept}"));
        }
        context.out.note(
            "reset or suspend the users whose passwords were revoked since: smtpcred user reset NAME",
        );
        finish(context, &record)
    }

    /// Returns where the damaged store is kept.
    fn put(
        &self,
        location: &Location,
        source: &mut Source,
        app: Option<App>,
        why: &str,
    ) -> Result<Option<String>, Error> {
        match (location, app) {
            (_, Some(mut app)) => {
                let origin = source.origin();
                app.fill_from(&mut source.store, &origin)?;
                Ok(None)
            }
            (Location::File(path), None) => {
                let damaged = why != "does not exist";
                let now = (WORLD.now)();
                let kept = damaged
                    .then(|| KeptStore::beside(location, &self.file, now))
                    .transpose()?;
                become_store(source, path, kept.as_ref())?;
                Ok(kept.map(|kept| kept.path().display().to_string()))
            }
            (Location::Postgres(_), None) => {
                let mut app = App::new(Store::open(location, Access::Create)?, WORLD);
                let origin = source.origin();
                app.fill_from(&mut source.store, &origin)?;
                Ok(None)
            }
        }
    }

    fn options(&self) -> RestoreOptions {
        RestoreOptions {
            revive: Revive::new(self.revive.iter().cloned()),
            keep_new: self.keep_new_users,
        }
    }
}

fn record(source: &Source, comparison: &Comparison, kept: Option<String>) -> RestoreRecord {
    RestoreRecord {
        backup: source.name.clone(),
        at: source.contents.made_at,
        restored: kept.is_some(),
        kept,
        stopped_known: true,
        changes: ChangeRecord::all(comparison),
    }
}

/// Looks at the store. Fails if it cannot be told whether it is intact.
fn present(context: &Context, location: &Location) -> Result<Present, Error> {
    /// Long enough for any store.
    const ALL_OF_IT: std::time::Duration = std::time::Duration::from_secs(3600);
    let mut store = match Store::open(location, Access::Existing) {
        Err(Error::StoreMissing(_)) => return Ok(Present::Missing),
        Err(Error::StoreDamaged { reason, .. }) if location.file().is_some() => {
            return Ok(Present::Damaged(reason));
        }
        opened => opened?,
    };
    for warning in &store.warnings {
        context.out.warn(warning);
    }
    if let (Some(_), Integrity::Damaged(reason)) = (location.file(), store.check(ALL_OF_IT)?) {
        // The last line says what was found.
        let found = reason.lines().last().unwrap_or_default();
        return Ok(Present::Damaged(found.to_owned()));
    }
    let mut app = App::new(store, WORLD);
    if app.is_unused()? {
        return Ok(Present::Unused(app));
    }
    Ok(Present::InUse(app))
}

/// Shows the differences to people before anything is done.
fn show(context: &mut Context, comparison: &Comparison) -> Result<(), Error> {
    if context.out.format() != OutputFormat::Table {
        return Ok(());
    }
    for line in lines(comparison) {
        context.out.text(&line)?;
    }
    shown(context)
}

/// Before notes and questions. A reader that has seen enough still wants the restore.
fn shown(context: &mut Context) -> Result<(), Error> {
    match context.out.finish() {
        Err(Error::OutputClosed) => Ok(()),
        shown => shown,
    }
}

fn confirm(context: &Context, lines: &[String], consequence: &str) -> Result<(), Error> {
    if !context.confirmed_beforehand() && prompt::person_present() {
        for line in lines {
            context.out.before_question(line);
        }
    }
    prompt::confirm(context, "restoring a backup", consequence, "restore")
}

/// Prints everything for programs.
fn finish(context: &mut Context, record: &RestoreRecord) -> Result<()> {
    let printed = match context.out.format() {
        OutputFormat::Table => Ok(()),
        OutputFormat::Json => context.out.one(record),
        OutputFormat::Csv => csv(context, record),
    };
    if record.restored {
        return Ok(context.out.recorded(printed)?);
    }
    Ok(printed?)
}

fn csv(context: &mut Context, record: &RestoreRecord) -> Result<(), Error> {
    let mut list = context.out.list::<ChangeRecord>();
    for change in &record.changes {
        list.push(change)?;
    }
    list.end("")
}
