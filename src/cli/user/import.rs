//! `smtpcred user import`

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use zeroize::Zeroizing;

use super::bulk;
use super::roster_help;
use super::row_record::{RowRecord, Rows};
use crate::app::import::{Change, Format, ImportOptions, Imported, Importer, Problem};
use crate::cli::new_file::NewFile;
use crate::cli::output::Record;
use crate::cli::password_folder::PasswordFolder;
use crate::cli::{Context, prompt};
use crate::error::{Error, Result as Outcome};
use crate::model::name::{DomainName, Username};
use crate::model::password::{KeyId, Password};
use crate::store::Access;

/// Take in the users of another system, with the passwords they have
///
/// All rows are checked first, and all that is wrong is told at once; then all are taken, or none.
/// Taking in the same file again changes nothing.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags")]
#[command(after_long_help = roster_help::USER_IMPORT)]
pub struct Import {
    /// The file, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// What it is: csv, json, dovecot-passwd, postfixadmin, htpasswd, maddy, docker-mailserver,
    /// sasldb or mailgun-json
    #[arg(long, value_name = "FORMAT")]
    from: Format,

    /// The domain of names that have none
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<DomainName>,

    /// Add domains that are not there yet
    #[arg(long)]
    add_domain: bool,

    /// Change users that are there to what the file says
    #[arg(long)]
    update: bool,

    /// Delete users that are not in the file, which must have at least one
    #[arg(long, conflicts_with = "skip_bad")]
    prune: bool,

    /// Take the good rows, and write the others to this new file, with why
    #[arg(long, value_name = "FILE")]
    skip_bad: Option<PathBuf>,

    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Make passwords for new users without one: each into a new file of the user's name in this
    /// folder
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
}

impl Import {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut input = opened(&self.file)?;
        let folder = self.output_dir.as_deref();
        let mut folder = folder.map(|f| context.password_folder(f)).transpose()?;
        let aside = self.skip_bad.as_deref().map(Aside::begin).transpose()?;
        let options = ImportOptions {
            format: self.from,
            domain: self.domain,
            add_domain: self.add_domain,
            update: self.update,
            prune: self.prune,
            dry_run: self.dry_run,
            skip_bad: aside.is_some(),
            generate: self.output_dir.is_some(),
        };
        let access = if self.add_domain {
            Access::Create
        } else {
            Access::Existing
        };
        let mut app = context.app(access)?;
        if let Some(folder) = folder.as_mut().filter(|_| !self.dry_run) {
            bulk::settle(&mut app, folder, &context.out)?;
        }
        let mut told = Told {
            confirmed: context.confirmed_beforehand(),
            printer: Rows::Out(&mut context.out),
            aside,
            folder: folder.as_mut(),
        };
        let outcome = app.import(&mut *input, &options, &mut told);
        let wrote = told.end(outcome.as_ref().err(), self.dry_run);
        if let Some(folder) = folder.as_mut().filter(|_| !self.dry_run) {
            // Whatever an error says, the store knows who is there.
            let settled = folder.settle(&mut |username, key| app.has_key(username, key));
            if outcome.is_ok() {
                settled?;
            }
        }
        let imported = outcome?;
        finish(context, &options, imported, wrote?)
    }
}

pub(super) fn opened(file: &Path) -> Outcome<Box<dyn BufRead>> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let unread = |e: io::Error| Error::Usage(format!("{} cannot be read: {e}", file.display()));
    let opened = File::open(file).map_err(unread)?;
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
            "{0} is a database: pass on what `sqlite3 {0} .dump` prints",
            file.display()
        );
        return Err(Error::Usage(text));
    }
    Ok(Box::new(input))
}

fn finish(
    context: &mut Context,
    options: &ImportOptions,
    imported: Imported,
    listed: bool,
) -> Result<()> {
    if imported.plain > 0 && !options.dry_run {
        context.out.warn(&format!(
            "passwords that stood in the file as they are: {}; whoever has the file has them",
            imported.plain
        ));
    }
    let record = Summary {
        created: imported.created,
        updated: imported.updated,
        unchanged: imported.unchanged,
        deleted: imported.deleted,
        bad: imported.bad,
        generated: imported.generated,
        hashes: imported.schemes,
    };
    let would = if options.dry_run { "would be " } else { "" };
    context.out.note(&format!("{would}{}", record.line()));
    if listed {
        return Ok(());
    }
    Ok(context.out.result(&record)?)
}

struct Told<'a> {
    confirmed: bool,
    printer: Rows<'a>,
    aside: Option<Aside>,
    folder: Option<&'a mut PasswordFolder>,
}

impl Told<'_> {
    /// Says whether there was a list.
    fn end(self, error: Option<&Error>, dry_run: bool) -> Outcome<bool> {
        if let (Some(aside), None) = (self.aside, error)
            && !dry_run
        {
            aside.keep()?;
        }
        match self.printer {
            Rows::List(list) => list.end("").map(|()| true),
            Rows::Out(out) if dry_run && error.is_none() => out
                .list::<RowRecord>()
                .end("nothing would change")
                .map(|()| true),
            _ => Ok(false),
        }
    }
}

impl Importer for Told<'_> {
    fn problem(&mut self, problem: &Problem, text: &str) -> Outcome<()> {
        if let Some(aside) = &mut self.aside {
            return aside.push(problem, text);
        }
        self.printer.push(&RowRecord::bad(problem))
    }

    fn change(&mut self, change: &Change) -> Outcome<()> {
        self.printer.push(&RowRecord {
            row: None,
            what: change.kind.name(),
            username: Some(change.username.to_string()),
            columns: change.columns.join(" "),
            reason: None,
        })
    }

    fn confirm(&mut self, deleted: u64) -> Outcome<()> {
        let consequence =
            format!("users that are not in the file, and would be deleted: {deleted}");
        match &self.printer {
            _ if self.confirmed => Ok(()),
            Rows::Out(out) => {
                prompt::confirm_beside(out, "deleting users", &consequence, &deleted.to_string())
            }
            _ => Err(Error::NeedsConfirmation("deleting users")),
        }
    }

    fn deliver(&mut self, username: &Username, key: &KeyId, password: &Password) -> Outcome<()> {
        let Some(folder) = &mut self.folder else {
            return Err(Error::NoFolder("there is no folder for it".into()));
        };
        let line = Zeroizing::new(format!("{}\n", password.expose()));
        folder.put(username, key, line.as_bytes())
    }

    fn delivered(&mut self) -> Outcome<()> {
        self.folder.as_ref().map_or(Ok(()), |folder| folder.sync())
    }
}

/// What is put aside: as CSV, each row with why.
struct Aside(NewFile);

impl Aside {
    fn begin(path: &Path) -> Outcome<Self> {
        let mut aside = Self(NewFile::create(path)?);
        aside.line(&["row", "column", "reason", "text"])?;
        Ok(aside)
    }

    fn push(&mut self, problem: &Problem, text: &str) -> Outcome<()> {
        self.line(&[
            &problem.row.to_string(),
            &problem.column,
            &problem.reason,
            text,
        ])
    }

    fn line(&mut self, values: &[&str]) -> Outcome<()> {
        let mut csv = csv::Writer::from_writer(self.0.writer());
        let written = csv.write_record(values).map_err(io::Error::from);
        written
            .and_then(|()| csv.flush())
            .map_err(|e| Error::Undelivered(e.to_string()))
    }

    fn keep(self) -> Outcome<()> {
        self.0.keep()
    }
}

#[derive(Serialize)]
struct Summary {
    created: u64,
    updated: u64,
    unchanged: u64,
    deleted: u64,
    bad: u64,
    generated: u64,
    hashes: BTreeMap<&'static str, u64>,
}

impl Summary {
    fn line(&self) -> String {
        let Self {
            created,
            updated,
            unchanged,
            deleted,
            bad,
            ..
        } = self;
        let mut line = format!("created {created}, updated {updated}, unchanged {unchanged}");
        if *deleted > 0 {
            line = format!("{line}, deleted {deleted}");
        }
        if *bad > 0 {
            line = format!("{line}, put aside {bad}");
        }
        line
    }
}

impl Record for Summary {
    const COLUMNS: &'static [&'static str] = Self::FIELDS;

    fn cells(&self) -> Vec<String> {
        self.fields()
    }

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
