//! What a restore changes, for people and for programs.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::app::store_admin::restore::{ChangedUser, Comparison, PasswordFate, UserFate};
use crate::cli::terminal::record::Record;
use crate::model::name::Username;
use crate::model::text::{count, escaped};
use crate::model::time::Time;

/// The whole answer as JSON.
#[derive(Serialize)]
pub struct RestoreRecord {
    pub backup: String,
    pub at: Option<Time>,
    pub restored: bool,
    pub kept: Option<String>,
    /// Whether what was stopped since the backup is known.
    pub stopped_known: bool,
    pub changes: Vec<ChangeRecord>,
}

impl Record for RestoreRecord {
    const FIELDS: &'static [&'static str] = &["backup", "at", "restored", "kept"];

    fn fields(&self) -> Vec<String> {
        vec![
            self.backup.clone(),
            self.at.map_or(String::new(), |at| at.to_string()),
            self.restored.to_string(),
            self.kept.clone().unwrap_or_default(),
        ]
    }
}

/// One change, or something that stays although the backup has it otherwise.
#[derive(Serialize)]
pub struct ChangeRecord {
    change: &'static str,
    name: Option<String>,
    password_id: Option<String>,
    now: Option<String>,
    settings: Vec<String>,
}

impl ChangeRecord {
    fn new(change: &'static str, name: &str) -> Self {
        Self {
            change,
            name: Some(name.to_owned()),
            password_id: None,
            now: None,
            settings: Vec::new(),
        }
    }

    fn with_settings(self, settings: impl Iterator<Item = String>) -> Self {
        Self {
            settings: settings.collect(),
            ..self
        }
    }

    /// A password that works again with everything else in the backup.
    pub fn back(username: &Username, password_id: &str) -> Self {
        Self {
            password_id: Some(password_id.to_owned()),
            ..Self::new("password_back", username.as_str())
        }
    }

    /// Returns a record for each change.
    pub fn all(comparison: &Comparison) -> Vec<Self> {
        let mut all = Vec::new();
        let named = |names: &BTreeSet<&'static str>| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            names.into_iter()
        };
        if !comparison.settings.is_empty() {
            let settings = comparison.settings.iter().cloned();
            let record = Self::new("settings_changed", "").with_settings(settings);
            all.push(Self {
                name: None,
                ..record
            });
        }
        let domains = comparison.domains_back.iter();
        all.extend(domains.map(|name| Self::new("domain_back", name)));
        for (name, settings) in &comparison.domains_changed {
            all.push(Self::new("domain_changed", name).with_settings(named(settings)));
        }
        let domains = comparison.domains_gone.iter();
        all.extend(domains.map(|name| Self::new("domain_gone", name)));
        for user in comparison.users.values() {
            let name = user.username.as_str();
            if let Some(fate) = fate_name(&user.fate) {
                all.push(Self {
                    now: match &user.fate {
                        UserFate::Renamed(now) => Some(now.clone()),
                        _ => None,
                    },
                    ..Self::new(fate, name)
                });
            }
            if !user.settings.is_empty() {
                all.push(Self::new("user_changed", name).with_settings(named(&user.settings)));
            }
            for (stays, change) in [
                (user.stays_suspended, "user_stays_suspended"),
                (user.stays_expired, "user_stays_expired"),
            ] {
                if stays {
                    all.push(Self::new(change, name));
                }
            }
            for password in &user.passwords {
                all.push(Self {
                    password_id: Some(password.id.clone()),
                    ..Self::new(password_name(password.fate), name)
                });
            }
        }
        all
    }
}

const fn fate_name(fate: &UserFate) -> Option<&'static str> {
    match fate {
        UserFate::Both => None,
        UserFate::Back => Some("user_back"),
        UserFate::Gone => Some("user_gone"),
        UserFate::Kept => Some("user_new_stays"),
        UserFate::Deleted => Some("user_stays_deleted"),
        UserFate::Recreated => Some("user_stays_recreated"),
        UserFate::Renamed(_) => Some("user_stays_renamed"),
    }
}

const fn password_name(fate: PasswordFate) -> &'static str {
    match fate {
        PasswordFate::Stopped => "password_stays_stopped",
        PasswordFate::Revived => "password_revived",
        PasswordFate::Back => "password_back",
        PasswordFate::Newer => "password_new_stays",
        PasswordFate::StoppedAgain => "password_stopped",
    }
}

impl Record for ChangeRecord {
    const FIELDS: &'static [&'static str] = &["change", "name", "password_id", "now", "settings"];

    fn fields(&self) -> Vec<String> {
        vec![
            self.change.to_owned(),
            self.name.clone().unwrap_or_default(),
            self.password_id.clone().unwrap_or_default(),
            self.now.clone().unwrap_or_default(),
            self.settings.join(" "),
        ]
    }
}

/// Returns the differences for people, one for each user, domain and the installation.
pub fn lines(comparison: &Comparison) -> Vec<String> {
    let mut lines = Vec::new();
    if !comparison.settings.is_empty() {
        let names: Vec<_> = comparison.settings.iter().map(|name| words(name)).collect();
        lines.push(format!(
            "~ settings of the installation: {}",
            names.join(", ")
        ));
    }
    for name in &comparison.domains_back {
        lines.push(format!("+ domain {name}"));
    }
    for (name, settings) in &comparison.domains_changed {
        lines.push(format!("~ domain {name}: {}", listed(settings)));
    }
    for name in &comparison.domains_gone {
        lines.push(format!("- domain {name}"));
    }
    lines.extend(comparison.users.values().map(of_user));
    lines.into_iter().map(|line| escaped(&line)).collect()
}

fn of_user(user: &ChangedUser) -> String {
    let mark = match &user.fate {
        UserFate::Back => '+',
        UserFate::Gone => '-',
        _ if user.is_change() => '~',
        _ => '=',
    };
    let mut said = Vec::new();
    match &user.fate {
        UserFate::Both => {}
        UserFate::Back => said.push("comes back".to_owned()),
        UserFate::Gone => said.push("is not in the backup: is deleted".to_owned()),
        UserFate::Kept => said.push("is not in the backup, and stays".to_owned()),
        UserFate::Deleted => said.push("was deleted since, and stays so".to_owned()),
        UserFate::Recreated => {
            said.push("was deleted and created again, and stays as it is".into());
        }
        UserFate::Renamed(now) => said.push(format!("is {now} now, and stays as it is")),
    }
    if !user.settings.is_empty() {
        said.push(format!("as in the backup: {}", listed(&user.settings)));
    }
    if user.stays_suspended {
        said.push("stays suspended".to_owned());
    }
    if user.stays_expired {
        said.push("keeps its expiry".to_owned());
    }
    // Deleted users have none that works.
    let deleted = user.fate == UserFate::Deleted;
    for password in user.passwords.iter().filter(|_| !deleted) {
        said.push(format!(
            "password {} {}",
            password.id,
            of_password(password.fate)
        ));
    }
    format!("{mark} {}: {}", user.username, said.join("; "))
}

const fn of_password(fate: PasswordFate) -> &'static str {
    match fate {
        PasswordFate::Stopped => "was stopped since, and stays so",
        PasswordFate::Revived => "works again beside a newer one",
        PasswordFate::Back => "works again",
        PasswordFate::Newer => "was made since, and stays",
        PasswordFate::StoppedAgain => "is stopped, as in the backup",
    }
}

fn listed(names: &BTreeSet<&'static str>) -> String {
    let names: Vec<_> = names.iter().map(|name| words(name)).collect();
    names.join(", ")
}

fn words(name: &str) -> String {
    match name {
        "suspended_at" => "not suspended".to_owned(),
        "expires_at" => "expiry".to_owned(),
        name => name.replace('_', " "),
    }
}

/// Returns the sentence about all of it.
pub fn summary(comparison: &Comparison) -> String {
    let number = |fate| comparison.names(&fate).len() as u64;
    let of_passwords = |fates: &[PasswordFate]| comparison.passwords(fates).len() as u64;
    let changed = comparison.users.values();
    let changed = changed.filter(|user| user.fate == UserFate::Both && user.is_change());
    let stopped = of_passwords(&[PasswordFate::Stopped]);
    let said = format!(
        "{} back, {} deleted, {} changed; {} stopped since then {} so",
        count(number(UserFate::Back), "user"),
        number(UserFate::Gone),
        changed.count(),
        count(stopped, "password"),
        if stopped == 1 { "stays" } else { "stay" },
    );
    match of_passwords(&[PasswordFate::Revived]) {
        0 => said,
        1 => said + ", and 1 works again",
        again => format!("{said}, and {again} work again"),
    }
}
