//! A row of fields to a user, or to all that is wrong with it at once. The
//! reasons name rules and never values.

use zeroize::Zeroizing;

use super::fields::{self, Fields};
use super::format::{Columns, Format, Problem, Raw};
use crate::error::Error;
use crate::model::hash::{Accepted, Given, Scheme, given};
use crate::model::label::Label;
use crate::model::limits::{Limits, OnLimit};
use crate::model::name::{DomainName, Username};
use crate::model::password::KeyId;
use crate::model::roster::{EXPORTED, Entry, Secret};
use crate::model::settings::Limit;
use crate::model::time::Time;

/// Of CSV and JSON: what goes out, and two other ways to say it.
pub const COLUMNS: [&str; 18] = {
    let mut all = ["suspended"; 18];
    let mut i = 0;
    while i < EXPORTED.len() {
        all[i] = EXPORTED[i];
        i += 1;
    }
    all[17] = "domain";
    all
};

pub const OF_IMPORT: Columns = Columns {
    known: &COLUMNS,
    needed: &["username"],
};

pub struct Checked {
    pub row: i64,
    pub username: Username,
    pub entry: Entry,
    /// Still to be hashed.
    pub plain: Option<Zeroizing<String>>,
    /// By what it was hashed before.
    pub scheme: Option<Scheme>,
}

pub struct Rules<'a> {
    pub format: Format,
    /// Of names that have none.
    pub domain: Option<&'a DomainName>,
    pub accepted: &'a Accepted,
    pub now: Time,
}

pub fn check(raw: &Raw, rules: &Rules) -> Result<Checked, Vec<Problem>> {
    let mut check = Fields::of(raw);
    if rules.format == Format::Json {
        check.only(&COLUMNS);
    }
    let username = check.name(rules);
    let entry = check.entry(rules);
    let (password, plain, scheme) = check.password(rules);
    let old = check.old(rules);
    match username {
        Some(username) if check.problems.is_empty() => Ok(Checked {
            row: raw.row,
            username,
            entry: Entry {
                password,
                old,
                ..entry
            },
            plain,
            scheme,
        }),
        _ => Err(check.problems),
    }
}

impl Fields<'_> {
    fn name(&mut self, rules: &Rules) -> Option<Username> {
        // Mailgun names it so.
        let column = if rules.format == Format::MailgunJson {
            "login"
        } else {
            "username"
        };
        match self.field(column).or_else(|| self.field("mailbox")) {
            None | Some("") => {
                self.bad("username", "is missing");
                None
            }
            Some(name) => self.username("username", name, rules.domain),
        }
    }

    fn entry(&mut self, rules: &Rules) -> Entry {
        let empty_or = |text: &str, valid: Result<String, Error>| {
            if text.is_empty() {
                Ok(String::new())
            } else {
                valid
            }
        };
        let label = self.good("label", |text| {
            empty_or(text, text.parse::<Label>().map(|l| l.as_str().to_owned()))
        });
        let daily_limit = self.good("daily_limit", |text| match text {
            "" => Ok(0),
            _ => text.parse::<Limit>().map(Limit::get),
        });
        let on_limit = self.good("on_limit", |text| {
            empty_or(text, text.parse::<OnLimit>().map(|o| o.name().to_owned()))
        });
        let suspended = self.good("suspended", |text| match text {
            "yes" | "true" => Ok(rules.now.epoch()),
            "no" | "false" | "" => Ok(0),
            _ => Err(crate::model::text::invalid("answer", "", "yes or no")),
        });
        Entry {
            label,
            daily_limit,
            expires_at: self.time("expires_at"),
            suspended_at: self.time("suspended_at").or(suspended),
            senders: self.good("senders", senders),
            limits: self.good("limits", limits),
            on_limit,
            created_at: match rules.format {
                Format::Csv | Format::Json => self.time("created_at").filter(|at| *at != 0),
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

    fn key(&mut self, column: &str) -> Option<String> {
        let key = self.field(column).filter(|key| !key.is_empty())?.to_owned();
        if !KeyId::is_well_formed(&key) {
            self.bad(column, "is no key id");
            return None;
        }
        Some(key)
    }

    fn password(
        &mut self,
        rules: &Rules,
    ) -> (Option<Secret>, Option<Zeroizing<String>>, Option<Scheme>) {
        let key = self.key("key_id");
        let created_at = self.time("password_created_at").filter(|at| *at != 0);
        let text = match self.field("hash") {
            None | Some("") => return (None, None, None),
            Some(text) if rules.format == Format::Maddy => {
                let Some(text) = maddy(text) else {
                    let reason = "is not as maddy writes it, or of a scheme that is not supported";
                    self.bad("hash", reason);
                    return (None, None, None);
                };
                text
            }
            Some(text) => text.to_owned(),
        };
        let text = Zeroizing::new(text);
        let secret = |hash: String, made_here| Secret {
            hash,
            key,
            created_at,
            retires_at: None,
            made_here,
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
            let reason = "which `set-settings --accept-hash` leaves out";
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

    fn old(&mut self, rules: &Rules) -> Option<Secret> {
        let key = self.key("old_key_id");
        let created_at = self.time("old_password_created_at").filter(|at| *at != 0);
        let retires_at = self.time("old_retires_at").filter(|at| *at != 0);
        let text = self.field("old_hash").filter(|text| !text.is_empty())?;
        let hash = match given(text) {
            Ok(Given::Hash(hash)) => hash,
            Ok(Given::Plain(_)) => {
                self.bad("old_hash", "is a password, and no hash");
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
            self.bad("old_retires_at", "is missing");
        }
        Some(Secret {
            hash: hash.as_str().to_owned(),
            key,
            created_at,
            retires_at,
            made_here: false,
        })
    }
}

fn senders(text: &str) -> Result<Vec<String>, Error> {
    let all = fields::senders(text)?;
    Ok(all.iter().map(|s| s.as_str().to_owned()).collect())
}

/// In the order of kinds.
fn limits(text: &str) -> Result<String, Error> {
    let mut limits = Limits::default();
    for setting in fields::limits(text)? {
        limits.set(setting.kind, setting.most.value().map(Limit::get));
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
