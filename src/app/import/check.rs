//! Checks a row, and reports all problems of it at once. Reasons name rules and never
//! values.

use zeroize::Zeroizing;

use crate::app::columns::COLUMNS;
use crate::app::users::Expiry;
use crate::error::Error;
use crate::formats::fields::{self, RowFields};
use crate::formats::format::ImportFormat;
use crate::formats::row::{InputRow, RowProblem};
use crate::model::hash::{AcceptedSchemes, Given, Scheme, given, unlocked};
use crate::model::label::Label;
use crate::model::limits::{Limits, OnLimit};
use crate::model::name::{DomainName, Username};
use crate::model::note::Note;
use crate::model::password::PasswordId;
use crate::model::setting::{LimitValue, Setting};
use crate::model::time::Time;
use crate::model::transfer::{TransferPassword, TransferRecord};

pub struct CheckedRow {
    pub row: i64,
    pub username: Username,
    pub record: TransferRecord,
    /// The password, if it is not hashed yet.
    pub plain: Option<Zeroizing<String>>,
    /// The scheme of the hash in the file.
    pub scheme: Option<Scheme>,
    /// The account is locked and has no hash behind the lock.
    pub never_had_one: bool,
}

pub struct CheckRules<'a> {
    pub format: ImportFormat,
    /// The domain of names without one.
    pub domain: Option<&'a DomainName>,
    pub accepted: &'a AcceptedSchemes,
    pub now: Time,
}

pub fn check(row: &InputRow, rules: &CheckRules) -> Result<CheckedRow, Vec<RowProblem>> {
    let mut check = RowFields::of(row);
    if rules.format == ImportFormat::Json {
        check.only(&COLUMNS);
    }
    let username = check.name(rules);
    let mut record = check.record(rules);
    let hash = check.field("hash").unwrap_or_default();
    let unlocked = unlocked(hash).map(Zeroizing::new);
    if unlocked.is_some() {
        let suspended_at = record.suspended_at.filter(|at| *at != 0);
        record.suspended_at = suspended_at.or(Some(rules.now.epoch()));
    }
    let never_had_one = unlocked.as_ref().is_some_and(|hash| hash.is_empty());
    let hash = unlocked.as_ref().map_or(hash, |hash| hash.as_str());
    let (password, plain, scheme) = check.password(hash, rules);
    let old = check.old(rules);
    match username {
        Some(username) if check.problems.is_empty() => Ok(CheckedRow {
            row: row.number,
            username,
            record: TransferRecord {
                password,
                old,
                ..record
            },
            plain,
            scheme,
            never_had_one,
        }),
        _ => Err(check.problems),
    }
}

impl RowFields<'_> {
    fn name(&mut self, rules: &CheckRules) -> Option<Username> {
        // Mailgun's name for it.
        let column = if rules.format == ImportFormat::MailgunJson {
            "login"
        } else {
            "username"
        };
        let other = if rules.format == ImportFormat::MailgunJson {
            "mailbox"
        } else {
            "name"
        };
        let named =
            [column, other].map(|column| self.field(column).filter(|name| !name.is_empty()));
        if rules.format != ImportFormat::MailgunJson && named.iter().all(Option::is_some) {
            self.bad("name", "is given twice: as name and as username");
            return None;
        }
        match named[0].or(named[1]) {
            None => {
                self.bad("username", "is missing");
                None
            }
            Some(name) => self.username("username", name, rules.domain),
        }
    }

    /// When the user expires: at a time, or in a duration from now.
    fn expiry(&mut self, now: Time) -> Option<i64> {
        let expires_at = self.time("expires_at");
        if self.field("expires_in").is_none_or(str::is_empty) {
            return expires_at;
        }
        if self
            .field("expires_at")
            .is_some_and(|text| !text.is_empty())
        {
            self.bad("expires_at", "is given beside expires_in");
        }
        self.good("expires_in", |text| {
            let at = Expiry::In(text.parse()?).from(now)?;
            Ok(at.epoch())
        })
    }

    fn record(&mut self, rules: &CheckRules) -> TransferRecord {
        let empty_or = |text: &str, valid: Result<String, Error>| {
            if text.is_empty() {
                Ok(String::new())
            } else {
                valid
            }
        };
        let label = self.good("label", |text| {
            let label = text.parse::<Setting<Label>>().map(Setting::value);
            let label =
                label.map(|label| label.map_or_else(String::new, |l| l.as_str().to_owned()));
            empty_or(text, label)
        });
        let note = self.good("note", |text| {
            let note = text.parse::<Setting<Note>>().map(Setting::value);
            let note = note.map(|note| note.map_or_else(String::new, |n| n.as_str().to_owned()));
            empty_or(text, note)
        });
        let daily_limit = self.good("daily_limit", |text| match text {
            "" => Ok(0),
            _ => text.parse::<LimitValue>().map(LimitValue::get),
        });
        let on_limit = self.good("on_limit", |text| {
            empty_or(text, text.parse::<OnLimit>().map(|o| o.name().to_owned()))
        });
        let suspended = self.yes_or_no("suspended");
        let suspended = suspended.map(|yes| if yes { rules.now.epoch() } else { 0 });
        TransferRecord {
            label,
            note,
            tags: self.good("tags", tags),
            daily_limit,
            expires_at: self.expiry(rules.now),
            suspended_at: self.time("suspended_at").or(suspended),
            senders: self.good("senders", senders),
            limits: self.good("limits", limits),
            on_limit,
            created_at: match rules.format {
                ImportFormat::Csv | ImportFormat::Json => {
                    self.time("created_at").filter(|at| *at != 0)
                }
                _ => None,
            },
            password: None,
            old: None,
        }
    }

    fn time(&mut self, column: &str) -> Option<i64> {
        self.good(column, |text| match text {
            "" => Ok(0),
            _ => text.parse::<Time>().map(Time::epoch),
        })
    }

    fn yes_or_no(&mut self, column: &str) -> Option<bool> {
        self.good(column, |text| match text {
            "yes" | "true" => Ok(true),
            "no" | "false" | "" => Ok(false),
            _ => Err(crate::model::text::invalid("answer", "", "yes or no")),
        })
    }

    fn password_id(&mut self, column: &str) -> Option<String> {
        let password_id = self
            .field(column)
            .filter(|password_id| !password_id.is_empty())?
            .to_owned();
        if !PasswordId::is_well_formed(&password_id) {
            self.bad(column, "is not a password ID");
            return None;
        }
        Some(password_id)
    }

    fn password(
        &mut self,
        hash: &str,
        rules: &CheckRules,
    ) -> (
        Option<TransferPassword>,
        Option<Zeroizing<String>>,
        Option<Scheme>,
    ) {
        let password_id = self.password_id("password_id");
        let created_at = self.time("password_created_at").filter(|at| *at != 0);
        let generated = self.yes_or_no("generated").unwrap_or(false);
        let text = match hash {
            "" => return (None, None, None),
            text if rules.format == ImportFormat::Maddy => {
                let Some(text) = maddy(text) else {
                    let reason = "is not as maddy writes it, or of a scheme that is not supported";
                    self.bad("hash", reason);
                    return (None, None, None);
                };
                text
            }
            text => text.to_owned(),
        };
        let text = Zeroizing::new(text);
        let secret = |hash: String, made_here| TransferPassword {
            hash,
            password_id,
            created_at,
            retires_at: None,
            made_here,
            new: false,
            generated,
        };
        let given = match given(&text) {
            Ok(given) => given,
            Err(reason) => {
                self.bad("hash", reason);
                return (None, None, None);
            }
        };
        let scheme = match &given {
            Given::Hash(hash) => hash.scheme(),
            Given::Plain(_) => Scheme::Plain,
        };
        if !rules.accepted.accepts(scheme) {
            let reason = "which `set-settings --accept-hash` does not allow";
            self.bad("hash", format!("is {}, {reason}", scheme.name()));
            return (None, None, None);
        }
        match given {
            Given::Hash(hash) => {
                let secret = secret(hash.as_str().to_owned(), false);
                (Some(secret), None, Some(scheme))
            }
            Given::Plain(plain) if plain.is_empty() || plain.len() > 1024 => {
                self.bad("hash", "is a password that is empty or too long");
                (None, None, None)
            }
            Given::Plain(plain) => (Some(secret(String::new(), true)), Some(plain), Some(scheme)),
        }
    }

    fn old(&mut self, rules: &CheckRules) -> Option<TransferPassword> {
        let password_id = self.password_id("old_password_id");
        let created_at = self.time("old_password_created_at").filter(|at| *at != 0);
        let retires_at = self.time("old_retires_at").filter(|at| *at != 0);
        let generated = self.yes_or_no("old_generated").unwrap_or(false);
        let text = self.field("old_hash").filter(|text| !text.is_empty())?;
        let hash = match given(text) {
            Ok(Given::Hash(hash)) => hash,
            Ok(Given::Plain(_)) => {
                self.bad("old_hash", "is a password, not a hash");
                return None;
            }
            Err(reason) => {
                self.bad("old_hash", reason);
                return None;
            }
        };
        if !rules.accepted.accepts(hash.scheme()) {
            self.bad(
                "old_hash",
                "is of a scheme that `set-settings --accept-hash` leaves out",
            );
        }
        if self.field("hash").is_none_or(str::is_empty) {
            self.bad("old_hash", "is there without a hash");
        }
        if retires_at.is_none() {
            let reason =
                "is missing: the user's rotation is unfinished in the store that was exported";
            self.bad("old_retires_at", reason);
        }
        if password_id.is_some() && self.field("old_password_id") == self.field("password_id") {
            self.bad(
                "old_password_id",
                "is the same as password_id: each password has an ID of its own",
            );
        }
        Some(TransferPassword {
            hash: hash.as_str().to_owned(),
            password_id,
            created_at,
            retires_at,
            made_here: false,
            new: false,
            generated,
        })
    }
}

fn senders(text: &str) -> Result<Vec<String>, Error> {
    let all = fields::senders(text)?;
    Ok(all.iter().map(|s| s.as_str().to_owned()).collect())
}

fn tags(text: &str) -> Result<Vec<String>, Error> {
    let all = fields::tags(text)?;
    Ok(all.iter().map(ToString::to_string).collect())
}

/// Returns limits in the order of their kinds.
fn limits(text: &str) -> Result<String, Error> {
    let mut limits = Limits::default();
    for setting in fields::limits(text)? {
        limits.set(setting.kind, setting.most.value().map(LimitValue::get));
    }
    let all: Vec<_> = limits
        .iter()
        .map(|(kind, most)| format!("{kind}={most}"))
        .collect();
    Ok(all.join(" "))
}

/// `bcrypt:$2a$…`, or `argon2:TIME:MEMORY:THREADS:SALT:TAG`.
fn maddy(text: &str) -> Option<String> {
    if let Some(hash) = text.strip_prefix("bcrypt:") {
        return Some(hash.to_owned());
    }
    let parts: Vec<_> = text.strip_prefix("argon2:")?.split(':').collect();
    let &[t, m, p, salt, tag] = parts.as_slice() else {
        return None;
    };
    let (salt, tag) = (salt.trim_end_matches('='), tag.trim_end_matches('='));
    Some(format!("$argon2id$v=19$m={m},t={t},p={p}${salt}${tag}"))
}
