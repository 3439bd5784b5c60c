//! `smtpcred user export`

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::roster_help;
use crate::app::export::Exported;
use crate::cli::new_file::{NewFile, failed};
use crate::cli::output::{Format, write_failed};
use crate::cli::{Context, complete};
use crate::error::{Error, Result as Outcome};
use crate::model::name::DomainName;
use crate::model::roster::{EXPORTED, KeptPassword};
use crate::model::time::Time;
use crate::store::Access;

/// Write the users out, as CSV or JSON that `user import` takes back
///
/// Without hashes, unless --with-hashes says so; those go only to a new file that nobody else can
/// read.
#[derive(Debug, Args)]
#[command(after_long_help = roster_help::USER_EXPORT)]
pub struct Export {
    /// Only those of one domain
    #[arg(long, value_name = "DOMAIN", add = complete::domains())]
    domain: Option<DomainName>,

    /// In which form; csv if nothing else is said
    #[arg(long, value_name = "FORM")]
    to: Option<Form>,

    /// With the hashes of the passwords; needs --output
    #[arg(long, requires = "output")]
    with_hashes: bool,

    /// Into this new file, with the mode 0600
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Csv,
    Json,
    /// A passwd-file of Dovecot
    DovecotPasswd,
}

impl Export {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let form = self.to.unwrap_or(match context.out.format() {
            Format::Json => Form::Json,
            _ => Form::Csv,
        });
        if form == Form::DovecotPasswd && !self.with_hashes {
            let give = "a passwd-file without hashes is of no use: give --with-hashes and --output";
            return Err(Error::Usage(give.into()).into());
        }
        let mut app = context.app(Access::Existing)?;
        if self.with_hashes {
            app.store.see_hashes()?;
        }
        let Some(path) = &self.output else {
            let stdout = &mut context.out.stdout;
            let mut sheet = Sheet::begin(form, false, stdout).map_err(|e| write_failed(&e))?;
            app.export(self.domain.as_ref(), &mut |user| {
                sheet.user(&user).map_err(|e| write_failed(&e))
            })?;
            sheet.end().map_err(|e| write_failed(&e))?;
            return Ok(());
        };
        let mut file = NewFile::create(path)?;
        let unwritten = |e: std::io::Error| -> Error { failed(path, &e) };
        let mut sheet = Sheet::begin(form, self.with_hashes, file.writer()).map_err(unwritten)?;
        app.export(self.domain.as_ref(), &mut |user| -> Outcome<()> {
            sheet.user(&user).map_err(unwritten)
        })?;
        let (users, left_out) = sheet.end().map_err(unwritten)?;
        file.keep()?;
        if left_out > 0 {
            context.out.warn(&format!(
                "users that are not in it: {left_out}; Dovecot does not know how their passwords are hashed"
            ));
        }
        context
            .out
            .note(&format!("users written to {}: {users}", path.display()));
        Ok(())
    }
}

const WITHOUT_HASHES: usize = 11;

struct Sheet<'a> {
    form: Form,
    columns: &'static [&'static str],
    out: &'a mut dyn Write,
    users: u64,
    left_out: u64,
}

impl<'a> Sheet<'a> {
    fn begin(form: Form, with_hashes: bool, out: &'a mut dyn Write) -> std::io::Result<Self> {
        let columns = if with_hashes {
            &EXPORTED[..]
        } else {
            &EXPORTED[..WITHOUT_HASHES]
        };
        if form == Form::Csv {
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
            Form::Csv => {
                let values = self.columns.iter().map(|column| flat(&value(user, column)));
                line(self.out, &values.collect::<Vec<_>>())?;
            }
            Form::Json => {
                let members: Map<_, _> = self
                    .columns
                    .iter()
                    .map(|c| ((*c).to_owned(), value(user, c)))
                    .collect();
                let before = if self.users == 0 { "[\n" } else { ",\n" };
                write!(self.out, "{before}{}", Value::Object(members))?;
            }
            Form::DovecotPasswd => {
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
            Form::Json if self.users == 0 => writeln!(self.out, "[]")?,
            Form::Json => writeln!(self.out, "\n]")?,
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
    let entry = &user.user.entry;
    let text = |text: &Option<String>| match text.as_deref() {
        None | Some("") => Value::Null,
        Some(text) => text.into(),
    };
    let time = |at: Option<i64>| match at {
        None | Some(0) => Value::Null,
        Some(at) => Time::from_epoch(at).to_string().into(),
    };
    let of = |password: &Option<KeptPassword>, part: fn(&KeptPassword) -> Value| {
        password.as_ref().map_or(Value::Null, part)
    };
    let key = |p: &KeptPassword| p.key.as_str().into();
    let created_at = |p: &KeptPassword| p.created_at.to_string().into();
    let hash = |p: &KeptPassword| json!(p.hash);
    match column {
        "username" => user.user.username.as_str().into(),
        "label" => text(&entry.label),
        "suspended_at" => time(entry.suspended_at),
        "expires_at" => time(entry.expires_at),
        "daily_limit" => entry.daily_limit.filter(|n| *n != 0).into(),
        "limits" => limits(entry.limits.as_deref().unwrap_or_default()),
        "on_limit" => text(&entry.on_limit),
        "senders" => json!(entry.senders),
        "created_at" => time(entry.created_at),
        "key_id" => of(&user.password, key),
        "password_created_at" => of(&user.password, created_at),
        "hash" => of(&user.password, hash),
        "old_key_id" => of(&user.old, key),
        "old_password_created_at" => of(&user.old, created_at),
        "old_retires_at" => of(&user.old, |p| json!(p.retires_at)),
        "old_hash" => of(&user.old, hash),
        _ => Value::Null,
    }
}

fn limits(text: &str) -> Value {
    let limits = text.split(' ').filter_map(|limit| {
        let (kind, most) = limit.split_once('=')?;
        Some((kind.to_owned(), most.parse::<u32>().ok()?.into()))
    });
    Value::Object(limits.collect())
}

/// As it stands in a field of CSV.
fn flat(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Object(limits) => {
            let all: Vec<_> = limits
                .iter()
                .map(|(kind, most)| format!("{kind}={most}"))
                .collect();
            all.join(" ")
        }
        Value::Array(senders) => {
            let all: Vec<_> = senders.iter().filter_map(Value::as_str).collect();
            // One with a space in it cannot be told from two.
            if all.iter().any(|sender| sender.contains(' ')) {
                all.iter().flat_map(|sender| [sender, "\n"]).collect()
            } else {
                all.join(" ")
            }
        }
        Value::Null | Value::Bool(_) => String::new(),
    }
}
