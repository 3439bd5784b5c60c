//! `smtpcred user import`. A long file: a third is its help, which describes each format.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use zeroize::Zeroizing;

use super::input::{open_input, recover_folder};
use super::rejected_rows::RejectedRows;
use super::row_record::{RowList, RowRecord};
use crate::app::App;
use crate::app::import::{
    ImportChange, ImportCounts, ImportFormat, ImportFrontend, ImportOptions, OF_IMPORT, RowProblem,
    guess,
};
use crate::cli::args::{one_of, path};
use crate::cli::context::Context;
use crate::cli::password_folder::PasswordFolder;
use crate::cli::terminal::output::Output;
use crate::cli::terminal::prompt;
use crate::cli::terminal::record::Record;
use crate::cli::world::WORLD;
use crate::error::Error;
use crate::host;
use crate::model::name::{DomainName, Username};
use crate::model::password::{Password, PasswordId};
use crate::model::text::count;
use crate::store::{Access, Location, Store};

const HELP: &str = "\
Examples:
  smtpcred user import /etc/dovecot/users --dry-run
  smtpcred user import /etc/dovecot/users --add-domain
  smtpcred user import users.csv --update --skip-bad bad.csv
  mysqldump postfix mailbox | smtpcred user import - --add-domain
  sqlite3 credentials.db .dump | smtpcred user import -
  db5.3_dump -p /etc/sasldb2 | smtpcred user import -
  smtpcred user import .htpasswd --from htpasswd --domain example.com

CSV:
  A header with names: username (or name), or with domain; hash; label; suspended (yes or no) or
  suspended_at; expires_at or expires_in; daily_limit; limits (messages/hour=100
  recipients/day=500); on_limit; senders (separated by spaces); note; tags (env=prod team=web);
  created_at; password_id; password_created_at; generated (yes or no: smtpcred generated the
  password); old_hash, old_password_id, old_password_created_at, old_retires_at and old_generated of
  a second password that also works. A missing column leaves the value unchanged; an empty field
  removes it, as does none for a label. An expiry in the past is accepted with a warning: a user
  that has expired in the other system must be expired here, too.
  JSON is a list of objects with the same names; senders is a list, limits is {KIND: N}, tags is
  {KEY: VALUE}.

Formats:
  dovecot-passwd       user:{SCHEME}hash:…; nologin suspends, nopassword has no password
  postfixadmin         a dump of the table mailbox by mysqldump, pg_dump or sqlite3; active is kept
  htpasswd             user:hash, of every kind except DES (-d) and plain text (-p)
  maddy                a dump of the table passwords by sqlite3 or pg_dump
  docker-mailserver    postfix-accounts.cf
  sasldb               the output of db_dump for /etc/sasldb2; or of sasldblistusers2, names only
  mailgun-json         /v3/domains/DOMAIN/credentials: names only, so --output-dir is needed
  A dump must be complete: one without the last line that its program writes is refused.

Hashes:
  As Dovecot writes them, {SCHEME}…, or with their own $id$: Argon2i and Argon2id, bcrypt, yescrypt,
  scrypt (passlib's and crypt's), PBKDF2 (Dovecot's and passlib's), SCRAM-SHA-1 and -256,
  SHA512-CRYPT, SHA256-CRYPT, MD5-CRYPT and $apr1$, SSHA512, SSHA256, SSHA, SMD5, SHA512, SHA256,
  SHA, MD5; also in LDAP's notation. {PLAIN} is hashed by the import. The others are verified as
  they are, and replaced by Argon2id at the first successful sign-in. A password that was replaced
  here in the meantime is not restored.

Cost limits:
  A sign-in computes the hash, so hashes that take too much time or memory are refused and never
  computed: bcrypt above cost 15, SHA-crypt above 2,000,000 rounds, PBKDF2 above 4,000,000, scrypt
  and yescrypt above 256 MiB or twice the work of that, Argon2 above m=1048576, t=16, p=16.

JSON:
  {created, updated, unchanged, deleted, bad, generated, hashes: {SCHEME: N}}. If rows are invalid,
  or with --dry-run: a list of {row, what, username, columns, reason}; what is bad, create, update
  or delete. --skip-bad writes CSV: row, column, reason, text.";

/// Import users of another system with their passwords
///
/// All rows are checked first, and all errors are reported together, before anything changes. A
/// long file is then written in batches, between which others can use the store; if a run is
/// interrupted, the same command imports the rest. Importing the same file again changes nothing.
/// If there is no store yet, the rows are checked in a temporary one, in TMPDIR or /tmp.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags")]
#[command(after_long_help = HELP)]
pub struct ImportUsers {
    /// The file, or - for standard input
    #[arg(value_name = "FILE", value_parser = path::given())]
    file: PathBuf,

    /// The format of the file [default: guessed]
    #[arg(long, value_name = "FORMAT", value_parser = one_of::<ImportFormat, _>(ImportFormat::ALL.map(ImportFormat::name)))]
    from: Option<ImportFormat>,

    /// Use this domain for names without one
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<DomainName>,

    /// Add domains that do not exist
    #[arg(long)]
    add_domain: bool,

    /// Update existing users from the file
    #[arg(long)]
    update: bool,

    /// Delete users that are not in the file, which must have at least one user
    #[arg(long, conflicts_with = "skip_bad")]
    prune: bool,

    /// Import valid rows and write the others to this new file, with the reasons
    #[arg(long, value_name = "FILE", value_parser = path::given())]
    skip_bad: Option<PathBuf>,

    /// Check everything and show what would change, without changing it
    #[arg(long)]
    dry_run: bool,

    /// Generate passwords for new users without one, each in a new file in this folder, named after
    /// its user
    #[arg(long, value_name = "DIR", value_parser = path::given())]
    output_dir: Option<PathBuf>,
}

impl ImportUsers {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let (format, mut input) = self.input(&context.out)?;
        let folder = self.output_dir.as_deref();
        let mut folder = folder.map(|f| context.password_folder(f)).transpose()?;
        let aside = self
            .skip_bad
            .as_deref()
            .map(RejectedRows::begin)
            .transpose()?;
        let options = ImportOptions {
            format,
            domain: self.domain,
            add_domain: self.add_domain,
            update: self.update,
            prune: self.prune,
            dry_run: self.dry_run,
            skip_bad: aside.is_some(),
            generate: self.output_dir.is_some(),
        };
        let app = context.app_to_change(self.add_domain)?;
        let missing = app.is_none().then(|| context.location()).transpose()?;
        let mut app = match app {
            Some(app) => app,
            // It is created once nothing is in the way.
            None => App::new(Store::scratch()?, WORLD),
        };
        if let Some(folder) = folder.as_mut().filter(|_| !self.dry_run) {
            recover_folder(&mut app, folder, &context.out)?;
        }
        let mut reporter = ImportReporter {
            confirmed: context.confirmed_beforehand(),
            printer: RowList::Out(&mut context.out),
            aside,
            folder: folder.as_mut(),
            missing,
            stop: None,
        };
        let outcome = app.import(&mut *input, &options, &mut reporter);
        let aside = reporter.aside.take();
        let wrote = reporter.end(outcome.as_ref().err(), self.dry_run);
        if let Some(folder) = folder.as_mut().filter(|_| !self.dry_run) {
            // The store knows which users exist, whatever the error was.
            let recovered = folder.recover(&mut |passwords| app.have_live_passwords(passwords));
            if outcome.is_ok() {
                recovered?;
            }
        }
        let imported = outcome?;
        let kept = aside
            .filter(|_| !self.dry_run)
            .map_or(Ok(()), RejectedRows::keep);
        finish(context, &options, imported, wrote?)?;
        Ok(kept?)
    }
}

impl ImportUsers {
    /// Opens the file, and guesses its format unless that is given.
    fn input(&self, out: &Output) -> Result<(ImportFormat, Box<dyn BufRead>)> {
        let input = open_input(&self.file)?;
        if let Some(format) = self.from {
            return Ok((format, input));
        }
        let (guessed, input) = guess(OF_IMPORT, input)?;
        let Some(format) = guessed else {
            let names = ImportFormat::ALL.map(ImportFormat::name).join(", ");
            return Err(Error::Usage(format!(
                "the format of {} cannot be guessed; specify --from with one of {names}",
                self.file.display()
            ))
            .into());
        };
        out.note(&format!("reading the file as {}", format.name()));
        Ok((format, input))
    }
}

fn finish(
    context: &mut Context,
    options: &ImportOptions,
    imported: ImportCounts,
    listed: bool,
) -> Result<()> {
    if imported.plain > 0 && !options.dry_run {
        context.out.warn(&format!(
            "the file contains {} in plain text; anyone who can read it can sign in",
            count(imported.plain, "password")
        ));
    }
    if imported.expired > 0 {
        context.out.warn(&format!(
            "imported {} whose expiry has passed and who cannot sign in; list them with: smtpcred report --expiring 1d",
            count(imported.expired, "user")
        ));
    }
    let record = ImportRecord {
        created: imported.created,
        updated: imported.updated,
        unchanged: imported.unchanged,
        deleted: imported.deleted,
        bad: imported.bad,
        generated: imported.generated,
        hashes: imported.schemes,
    };
    context.out.note(&record.line(options.dry_run));
    if listed {
        return Ok(());
    }
    Ok(context.out.result(&record)?)
}

struct ImportReporter<'a> {
    confirmed: bool,
    printer: RowList<'a>,
    aside: Option<RejectedRows>,
    folder: Option<&'a mut PasswordFolder>,
    /// Where the store will be that does not exist yet.
    missing: Option<Location>,
    /// Set once the first change is made.
    stop: Option<Arc<AtomicBool>>,
}

impl ImportReporter<'_> {
    /// Ends the list. Returns whether there was one.
    fn end(self, error: Option<&Error>, dry_run: bool) -> Result<bool, Error> {
        match self.printer {
            RowList::List(list) => list.end("").map(|()| true),
            RowList::Out(out) if dry_run && error.is_none() => out
                .list::<RowRecord>()
                .end("nothing would change")
                .map(|()| true),
            _ => Ok(false),
        }
    }
}

impl ImportFrontend for ImportReporter<'_> {
    fn problem(&mut self, problem: &RowProblem, text: &str) -> Result<(), Error> {
        if let Some(aside) = &mut self.aside {
            return aside.push(problem, text);
        }
        self.printer.push(&RowRecord::bad(problem))
    }

    fn change(&mut self, change: &ImportChange) -> Result<(), Error> {
        self.printer.push(&RowRecord {
            row: None,
            what: change.kind.name(),
            username: Some(change.username.to_string()),
            columns: change.columns.join(" "),
            reason: None,
        })
    }

    fn refuses(&self, username: &Username) -> Option<String> {
        self.folder.as_ref()?.refuses(username)
    }

    fn create_store(&mut self) -> Result<Option<Store>, Error> {
        let missing = self.missing.take();
        missing
            .map(|location| Store::open(&location, Access::Create))
            .transpose()
    }

    fn confirm(&mut self, deleted: u64) -> Result<bool, Error> {
        let consequence = format!("{} not in the file will be deleted", count(deleted, "user"));
        match &self.printer {
            _ if self.confirmed => Ok(false),
            RowList::Out(out) => {
                let typed = deleted.to_string();
                prompt::confirm_beside(out, "deleting users", &consequence, &typed).map(|()| true)
            }
            _ => Err(Error::NeedsConfirmation("deleting users")),
        }
    }

    fn deliver(
        &mut self,
        username: &Username,
        password_id: &PasswordId,
        password: &Password,
    ) -> Result<(), Error> {
        let Some(folder) = &mut self.folder else {
            return Err(Error::NoFolder(
                "there is no folder for new passwords".into(),
            ));
        };
        let line = Zeroizing::new(format!("{}\n", password.expose()));
        folder.put(username, password_id, line.as_bytes())
    }

    fn delivered(&mut self) -> Result<(), Error> {
        // From here on an error cannot mean that nothing was changed.
        if let Some(aside) = &mut self.aside {
            aside.sync()?;
        }
        self.stop = Some(host::stop_on_signals()?);
        self.folder.as_ref().map_or(Ok(()), |folder| folder.sync())
    }

    fn is_stopped(&self) -> bool {
        let stop = self.stop.as_ref();
        stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }
}

#[derive(Serialize)]
struct ImportRecord {
    created: u64,
    updated: u64,
    unchanged: u64,
    deleted: u64,
    bad: u64,
    generated: u64,
    hashes: BTreeMap<&'static str, u64>,
}

impl ImportRecord {
    fn line(&self, dry_run: bool) -> String {
        let Self {
            created,
            updated,
            unchanged,
            deleted,
            bad,
            ..
        } = self;
        let mut line = if dry_run {
            format!("would create {created}, update {updated}, leave {unchanged} unchanged")
        } else {
            format!("created {created}, updated {updated}, unchanged {unchanged}")
        };
        if *deleted > 0 {
            let word = if dry_run { "delete" } else { "deleted" };
            line = format!("{line}, {word} {deleted}");
        }
        if *bad > 0 {
            let word = if dry_run { "skip" } else { "skipped" };
            line = format!("{line}, {word} {bad}");
        }
        line
    }
}

impl Record for ImportRecord {
    const FIELDS: &'static [&'static str] = &[
        "created",
        "updated",
        "unchanged",
        "deleted",
        "bad",
        "generated",
    ];

    fn fields(&self) -> Vec<String> {
        let all = [
            self.created,
            self.updated,
            self.unchanged,
            self.deleted,
            self.bad,
            self.generated,
        ];
        all.map(|n| n.to_string()).into()
    }
}
