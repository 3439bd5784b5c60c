//! `smtpcred user export`

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use crate::app::export::Exported;
use crate::cli::args::path;
use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::new_file::{NewFile, unwritten};
use crate::cli::terminal::output::OutputFormat;
use crate::cli::terminal::stream::write_error;
use crate::error::Error;
use crate::model::name::DomainName;
use crate::model::text::{self, count};
use crate::model::time::Time;
use crate::model::transfer::{EXPORTED, StoredPassword};
use crate::store::Access;

const HELP: &str = "\
Examples:
  smtpcred user export > users.csv
  smtpcred user export --json | jq -r '.[].username'
  smtpcred user export --with-hashes --output users.csv          for `user import`
  smtpcred user export --to dovecot-passwd --with-hashes --output /etc/dovecot/users

JSON:
  A list of {username, label, suspended_at, expires_at, daily_limit, limits: {KIND: N}, on_limit,
  senders, created_at, note, tags: {KEY: VALUE}, password_id, password_created_at}; with
  --with-hashes also hash, generated (smtpcred generated the password), old_password_id,
  old_password_created_at, old_retires_at, old_hash and old_generated. A missing value is null. CSV
  has the same names, with yes and no. Not exported: rules of rotation, passwords that no longer
  work, last connections, usage.

dovecot-passwd:
  A line for each user with its newest password; nologin for users that are suspended or expired.";

/// Export users as CSV or JSON, for `user import`
///
/// Without hashes, unless --with-hashes is given; hashes go only to a new file that only you can
/// read.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct ExportUsers {
    /// Export only users of this domain
    #[arg(long, value_name = "DOMAIN", add = complete::domains())]
    domain: Option<DomainName>,

    /// Write this format; csv by default
    #[arg(long, value_name = "FORM")]
    to: Option<ExportForm>,

    /// Include the hashes of the passwords; requires --output
    #[arg(long, requires = "output")]
    with_hashes: bool,

    /// Write to this new file, with the mode 0600
    #[arg(long, short, value_name = "FILE", value_parser = path::given())]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExportForm {
    Csv,
    Json,
    /// A Dovecot passwd-file
    DovecotPasswd,
}

impl ExportUsers {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let form = self.to.unwrap_or(match context.out.format() {
            OutputFormat::Json => ExportForm::Json,
            _ => ExportForm::Csv,
        });
        if form == ExportForm::DovecotPasswd && !self.with_hashes {
            let give = "a passwd-file without hashes is useless; add --with-hashes and --output";
            return Err(Error::Usage(give.into()).into());
        }
        let mut app = context.app(Access::Existing)?;
        if self.with_hashes {
            app.store.require_hash_access()?;
        }
        let Some(path) = &self.output else {
            let stdout = &mut context.out.stdout;
            let mut sheet = UserWriter::begin(form, false, stdout).map_err(|e| write_error(&e))?;
            app.export(self.domain.as_ref(), &mut |user| {
                sheet.user(&user).map_err(|e| write_error(&e))
            })?;
            sheet.end().map_err(|e| write_error(&e))?;
            return Ok(());
        };
        let mut file = NewFile::create(path)?;
        let failed = |e: std::io::Error| unwritten(path, &e);
        let mut sheet = UserWriter::begin(form, self.with_hashes, file.writer()).map_err(failed)?;
        app.export(self.domain.as_ref(), &mut |user| -> Result<(), Error> {
            sheet.user(&user).map_err(failed)
        })?;
        let (users, left_out) = sheet.end().map_err(failed)?;
        file.keep().map_err(failed)?;
        if left_out > 0 {
            context.out.warn(&format!(
                "left out {}: Dovecot does not support their hashes",
                count(left_out, "user")
            ));
        }
        context.out.note(&format!(
            "exported {} to {}",
            count(users, "user"),
            path.display()
        ));
        Ok(())
    }
}

const WITHOUT_HASHES: usize = 13;

struct UserWriter<'a> {
    form: ExportForm,
    columns: &'static [&'static str],
    out: &'a mut dyn Write,
    users: u64,
    left_out: u64,
}

impl<'a> UserWriter<'a> {
    fn begin(form: ExportForm, with_hashes: bool, out: &'a mut dyn Write) -> std::io::Result<Self> {
        let columns = if with_hashes {
            &EXPORTED[..]
        } else {
            &EXPORTED[..WITHOUT_HASHES]
        };
        if form == ExportForm::Csv {
            line(out, columns)?;
        }
        Ok(Self {
            form,
            columns,
            out,
            users: 0,
            left_out: 0,
        })
    }

    fn user(&mut self, user: &Exported) -> std::io::Result<()> {
        match self.form {
            ExportForm::Csv => {
                let values = self.columns.iter().map(|column| {
                    let flat = flat(&value(user, column));
                    text::for_sheet(&flat).into_owned()
                });
                line(self.out, &values.collect::<Vec<_>>())?;
            }
            ExportForm::Json => {
                let members: Map<_, _> = self
                    .columns
                    .iter()
                    .map(|c| ((*c).to_owned(), value(user, c)))
                    .collect();
                let before = if self.users == 0 { "[\n" } else { ",\n" };
                write!(self.out, "{before}{}", Value::Object(members))?;
            }
            ExportForm::DovecotPasswd => {
                let Some(hash) = user.for_dovecot() else {
                    self.left_out += 1;
                    return Ok(());
                };
                let extra = if user.stopped { "nologin=y" } else { "" };
                writeln!(self.out, "{}:{hash}::::::{extra}", user.user.username)?;
            }
        }
        self.users += 1;
        Ok(())
    }

    fn end(self) -> std::io::Result<(u64, u64)> {
        match self.form {
            ExportForm::Json if self.users == 0 => writeln!(self.out, "[]")?,
            ExportForm::Json => writeln!(self.out, "\n]")?,
            _ => {}
        }
        Ok((self.users, self.left_out))
    }
}

fn line<T: AsRef<[u8]>>(out: &mut dyn Write, values: &[T]) -> std::io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(values).map_err(std::io::Error::from)?;
    csv.flush()
}

fn value(user: &Exported, column: &str) -> Value {
    let record = &user.user.record;
    let text = |text: &Option<String>| match text.as_deref() {
        None | Some("") => Value::Null,
        Some(text) => text.into(),
    };
    let time = |at: Option<i64>| match at {
        None | Some(0) => Value::Null,
        Some(at) => Time::from_epoch(at).to_string().into(),
    };
    let of = |password: &Option<StoredPassword>, part: fn(&StoredPassword) -> Value| {
        password.as_ref().map_or(Value::Null, part)
    };
    let password_id = |p: &StoredPassword| p.password_id.as_str().into();
    let created_at = |p: &StoredPassword| p.created_at.to_string().into();
    let hash = |p: &StoredPassword| json!(p.hash);
    let generated = |p: &StoredPassword| p.generated.into();
    match column {
        "username" => user.user.username.as_str().into(),
        "label" => text(&record.label),
        "suspended_at" => time(record.suspended_at),
        "expires_at" => time(record.expires_at),
        "daily_limit" => record.daily_limit.filter(|n| *n != 0).into(),
        "limits" => limits(record.limits.as_deref().unwrap_or_default()),
        "on_limit" => text(&record.on_limit),
        "senders" => json!(record.senders),
        "created_at" => time(record.created_at),
        "note" => text(&record.note),
        "tags" => tags(record.tags.as_deref().unwrap_or_default()),
        "password_id" => of(&user.password, password_id),
        "password_created_at" => of(&user.password, created_at),
        "hash" => of(&user.password, hash),
        "generated" => of(&user.password, generated),
        "old_password_id" => of(&user.old, password_id),
        "old_password_created_at" => of(&user.old, created_at),
        "old_retires_at" => of(&user.old, |p| json!(p.retires_at)),
        "old_hash" => of(&user.old, hash),
        "old_generated" => of(&user.old, generated),
        _ => Value::Null,
    }
}

fn limits(text: &str) -> Value {
    let limits = text.split(' ').filter_map(|limit| {
        let (kind, most) = limit.split_once('=')?;
        Some((kind.to_owned(), text::number::<u32>(most)?.into()))
    });
    Value::Object(limits.collect())
}

fn tags(all: &[String]) -> Value {
    let tags = all.iter().filter_map(|tag| {
        let (key, value) = tag.split_once('=')?;
        Some((key.to_owned(), value.into()))
    });
    Value::Object(tags.collect())
}

/// Returns the value as a field of CSV.
fn flat(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Object(members) => {
            let all = members.iter().map(|(key, value)| match value {
                Value::String(text) => format!("{key}={text}"),
                number => format!("{key}={number}"),
            });
            in_one_field(&all.collect::<Vec<_>>())
        }
        Value::Array(senders) => {
            let all = senders.iter().filter_map(Value::as_str).map(str::to_owned);
            in_one_field(&all.collect::<Vec<_>>())
        }
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Null => String::new(),
    }
}

/// Joins what stands in one field of CSV: by spaces, or by line breaks if a part of it has a
/// space, which would look like two parts.
fn in_one_field(parts: &[String]) -> String {
    if parts.iter().any(|part| part.contains(' ')) {
        parts
            .iter()
            .flat_map(|part| [part.as_str(), "\n"])
            .collect()
    } else {
        parts.join(" ")
    }
}
