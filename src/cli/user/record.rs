//! Users as they are printed. A long file: lists and details show the same private fields.

use std::collections::BTreeMap;

use serde::Serialize;

use super::password_record::{ConnectionRecord, PasswordRecord};
use super::refusal::RefusalRecord;
use super::temporary::{self, TemporaryRecord};
use crate::app::usage::Detail;
use crate::app::users::Trouble;
use crate::cli::args::addresses::AddressPolicyRecord;
use crate::cli::args::rotation::{RulesRecord, UnfinishedRecord};
use crate::cli::settings::record::named;
use crate::cli::terminal::column::{Cell, Column, TimeForm, Tone};
use crate::cli::terminal::record::Record;
use crate::model::limit_kind::LimitKind;
use crate::model::old_name::OldName;
use crate::model::sender::Sender;
use crate::model::tag::{self, Tags};
use crate::model::time::Time;
use crate::model::user::{EXPIRES_SOON, Status, User};

/// A user in a list.
#[derive(Serialize)]
pub struct UserRecord<'a> {
    pub(super) username: &'a str,
    domain: &'a str,
    label: Option<&'a str>,
    note: Option<&'a str>,
    tags: &'a Tags,
    status: &'static str,
    /// The live passwords, oldest first.
    pub(super) passwords: Vec<PasswordRecord<'a>>,
    password_created_at: Option<Time>,
    password_age_seconds: Option<i64>,
    last_connection: Option<ConnectionRecord<'a>>,
    daily_limit: Option<u32>,
    expires_at: Option<Time>,
    suspended_at: Option<Time>,
    created_at: Time,
    #[serde(skip)]
    trouble: Trouble,
    #[serde(skip)]
    pub(super) now: Time,
}

impl<'a> UserRecord<'a> {
    pub fn new(user: &'a User, now: Time) -> Self {
        let username = user.username.as_str();
        let password_created_at = user.password().map(|password| password.created_at);
        Self {
            username,
            domain: &username[user.username.local_part().len() + 1..],
            label: user.label.as_deref(),
            note: user.note.as_deref(),
            tags: &user.tags,
            status: user.status(now).name(),
            passwords: user.live_passwords(now).map(PasswordRecord::new).collect(),
            password_created_at,
            password_age_seconds: password_created_at.map(|at| now.since(at).seconds()),
            last_connection: user.last_connection().map(ConnectionRecord::new),
            daily_limit: user.daily_limit,
            expires_at: user.expires_at,
            suspended_at: user.suspended_at,
            created_at: user.created_at,
            trouble: Trouble::default(),
            now,
        }
    }

    /// Adds what a list for people says beside it.
    pub fn with_trouble(self, trouble: Trouble) -> Self {
        Self { trouble, ..self }
    }

    fn near_limit(&self) -> Cell {
        let Some(limit) = self.trouble.limit else {
            return Cell::default();
        };
        let tone = if limit.is_reached() {
            Tone::Bad
        } else {
            Tone::Warning
        };
        Cell::new(format!("{} {}%", limit.kind, limit.percent()), tone)
    }

    fn refused(&self) -> Cell {
        match self.trouble.refused {
            0 => Cell::default(),
            n => Cell::new(n.to_string(), Tone::Warning),
        }
    }

    fn password_ids(&self) -> String {
        let ids: Vec<_> = self.passwords.iter().map(|password| password.id).collect();
        ids.join(" ")
    }
}

impl Record for UserRecord<'_> {
    const COLUMNS: &'static [Column] = &[
        Column::new("Username"),
        Column::new("Label").rank(3).cut(12),
        Column::new("Status"),
        Column::new("Password ID").rank(4),
        Column::new("Expires").if_any().times(TimeForm::Near),
        Column::new("Near limit").rank(1).if_any(),
        Column::new("Refused").right().rank(1).if_any(),
        Column::new("Password age").rank(2),
        Column::new("Last connection").rank(1),
        Column::new("Created").rank(5).times(TimeForm::Day),
        Column::new("Daily limit").right().on_request(),
        Column::new("Suspended").on_request().times(TimeForm::Near),
        Column::new("Tags").wrap(12).on_request(),
        Column::new("Note").wrap(20).on_request(),
    ];

    fn cells(&self) -> Vec<Cell> {
        let age = self
            .password_created_at
            .map(|at| self.now.since(at).to_string());
        let last = self.last_connection.map(|last| last.text(self.now));
        vec![
            self.username.into(),
            self.label.unwrap_or_default().into(),
            status_cell(self.status),
            self.password_ids().into(),
            self.expires_at
                .map_or_else(Cell::default, |at| expiry_cell(at, self.now)),
            self.near_limit(),
            self.refused(),
            age.into(),
            Cell::or(last, "never").since(self.last_connection.map(|last| last.at)),
            self.created_at.to_string().into(),
            self.daily_limit.map(|n| n.to_string()).into(),
            self.suspended_at.map(|at| at.to_string()).into(),
            tag::listed(self.tags).join(", ").into(),
            self.note.unwrap_or_default().into(),
        ]
    }

    const FIELDS: &'static [&'static str] = &[
        "username",
        "domain",
        "label",
        "status",
        "password_ids",
        "password_created_at",
        "last_connection_at",
        "last_connection_address",
        "daily_limit",
        "expires_at",
        "suspended_at",
        "created_at",
        "last_sent_at",
    ];

    fn fields(&self) -> Vec<String> {
        let sent = self.passwords.iter().filter_map(|one| one.last_sent_at);
        let time = |at: Option<Time>| at.map_or(String::new(), |at| at.to_string());
        let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
        vec![
            self.username.to_owned(),
            self.domain.to_owned(),
            owned(self.label),
            self.status.to_owned(),
            self.password_ids(),
            time(self.password_created_at),
            time(self.last_connection.map(|last| last.at)),
            owned(self.last_connection.and_then(|last| last.address)),
            self.daily_limit.map_or(String::new(), |n| n.to_string()),
            time(self.expires_at),
            time(self.suspended_at),
            self.created_at.to_string(),
            time(sent.max()),
        ]
    }
}

/// Returns an expiry in the colour of what is left until then.
fn expiry_cell(at: Time, now: Time) -> Cell {
    let tone = if at <= now {
        Tone::Bad
    } else if at <= now.plus(EXPIRES_SOON) {
        Tone::Warning
    } else {
        Tone::Plain
    };
    Cell::new(at.to_string(), tone)
}

/// Returns the status in its colour.
fn status_cell(status: &'static str) -> Cell {
    let tone = match status {
        "active" => Tone::Good,
        "overlap" => Tone::Warning,
        _ => Tone::Bad,
    };
    Cell::new(status, tone)
}

/// Returns the names of the columns of `user list`, as in `--columns`.
pub fn list_columns() -> Vec<String> {
    UserRecord::COLUMNS.iter().map(Column::name).collect()
}

/// How many old passwords and refusals people see: the latest ones.
const SHOWN: usize = 5;

/// A user with its old passwords and all other details.
#[derive(Serialize)]
pub struct UserDetail<'a> {
    #[serde(flatten)]
    user: UserRecord<'a>,
    old_passwords: Vec<PasswordRecord<'a>>,
    temporary_passwords: Vec<TemporaryRecord<'a>>,
    /// Empty: every address of its domain.
    senders: Vec<&'a str>,
    /// Its own limits, except for messages per day.
    limits: BTreeMap<String, u32>,
    /// All its own limits, for people.
    #[serde(skip)]
    limit_words: Vec<String>,
    /// Its own, its domain's or the installation's.
    on_limit: &'static str,
    refused_sign_ins: Vec<RefusalRecord<'a>>,
    /// Its own, its domain's or the installation's.
    #[serde(flatten)]
    addresses: AddressPolicyRecord,
    /// Its own, its domain's or the installation's.
    #[serde(flatten)]
    rotation: RulesRecord,
    unfinished_rotation: Option<UnfinishedRecord>,
    old_names: Vec<OldNameRecord<'a>>,
}

#[derive(Serialize)]
struct OldNameRecord<'a> {
    username: &'a str,
    renamed_at: Time,
    /// Null if it stopped at once.
    until: Option<Time>,
    #[serde(skip)]
    works: bool,
}

impl<'a> OldNameRecord<'a> {
    fn new(old: &'a OldName, now: Time) -> Self {
        Self {
            username: old.old_name.as_str(),
            renamed_at: old.renamed_at,
            until: old.until,
            works: old.works(now),
        }
    }

    fn text(&self) -> String {
        match self.until.filter(|_| self.works) {
            Some(until) => format!("{}, works until {until}", self.username),
            None => format!("{}, until {}", self.username, self.renamed_at),
        }
    }
}

impl<'a> UserDetail<'a> {
    pub fn new(detail: &'a Detail, now: Time) -> Self {
        let user = &detail.user;
        let old = user
            .passwords
            .iter()
            .filter(|password| !password.is_live(now));
        let own = &detail.rules.limits[0];
        let mut limits = named(own);
        limits.remove(&LimitKind::MESSAGES_A_DAY.to_string());
        Self {
            user: UserRecord::new(user, now),
            old_passwords: old.map(PasswordRecord::new).collect(),
            temporary_passwords: user
                .temporary
                .iter()
                .map(|issued| TemporaryRecord::new(issued, now))
                .collect(),
            senders: detail.rules.senders.iter().map(Sender::as_str).collect(),
            limits,
            limit_words: own.iter().map(|(kind, most)| kind.words(most)).collect(),
            on_limit: detail.rules.on_limit().name(),
            refused_sign_ins: detail.refusals.iter().map(RefusalRecord::new).collect(),
            addresses: AddressPolicyRecord::new(&detail.addresses, &detail.allowed, now),
            rotation: RulesRecord::new(&detail.rotation),
            unfinished_rotation: detail
                .unfinished
                .as_ref()
                .map(|it| UnfinishedRecord::of(it, user, now)),
            old_names: detail
                .old_names
                .iter()
                .map(|old| OldNameRecord::new(old, now))
                .collect(),
        }
    }

    fn rotation_text(&self) -> String {
        let rules = self.rotation.text();
        match &self.unfinished_rotation {
            Some(unfinished) => format!("{}\n{rules}", unfinished.text()),
            None => rules,
        }
    }

    fn sending_lines(&self) -> [(&'static str, Cell); 3] {
        let user = &self.user;
        let senders = if self.senders.is_empty() {
            format!("every address of {}", user.domain)
        } else {
            self.senders.join("\n")
        };
        let or_none = |lines: Vec<String>| {
            let some = !lines.is_empty();
            Cell::or(some.then(|| lines.join("\n")), "none")
        };
        let refused = self.refused_sign_ins.iter().take(SHOWN);
        let refused = refused.map(|refusal| refusal.text(user.now)).collect();
        [
            ("Sends as", senders.into()),
            ("Limits", or_none(self.limit_words.clone())),
            ("Refused sign-ins", or_none(refused)),
        ]
    }

    fn password_line(&self, password: &PasswordRecord, until: &str) -> String {
        let now = self.user.now;
        let age = now.since(password.created_at);
        let last = password
            .last_connection
            .map_or("never used".to_owned(), |last| {
                format!("last used {}", last.text(now))
            });
        let until = password
            .retires_at
            .map_or(String::new(), |at| format!(", {until} {at}"));
        let sent = password.sent_text(now);
        format!("{}  {age} old{until}, {last}{sent}", password.id)
    }
}

impl Record for UserDetail<'_> {
    const COLUMNS: &'static [Column] = UserRecord::COLUMNS;

    fn cells(&self) -> Vec<Cell> {
        self.user.cells()
    }

    const FIELDS: &'static [&'static str] = UserRecord::FIELDS;

    fn fields(&self) -> Vec<String> {
        self.user.fields()
    }

    fn lines(&self) -> Vec<(&'static str, Cell)> {
        let user = &self.user;
        let passwords: Vec<_> = user
            .passwords
            .iter()
            .map(|password| self.password_line(password, "retires"))
            .collect();
        let old: Vec<_> = self
            .old_passwords
            .iter()
            .rev()
            .take(SHOWN)
            .map(|password| self.password_line(password, "stopped"))
            .collect();
        let expires = user.expires_at.map_or(Cell::new("never", Tone::Dim), |at| {
            let mut cell = expiry_cell(at, user.now);
            if user.status == Status::Expired.name() {
                cell.text.push_str(" (expired)");
            }
            cell
        });
        let old_names: Vec<_> = self.old_names.iter().map(OldNameRecord::text).collect();
        let mut lines = vec![("Username", user.username.into())];
        if !old_names.is_empty() {
            lines.push(("Old names", old_names.join("\n").into()));
        }
        lines.push(("Label", Cell::or(user.label, "none")));
        lines.extend(user.note.map(|note| ("Note", note.into())));
        if !user.tags.is_empty() {
            lines.push(("Tags", tag::listed(user.tags).join("\n").into()));
        }
        lines.extend([
            ("Status", status_cell(user.status)),
            ("Password", passwords.join("\n").into()),
        ]);
        if !old.is_empty() {
            lines.push(("Old passwords", old.join("\n").into()));
        }
        if let Some(text) = temporary::listed(&self.temporary_passwords, user.now) {
            lines.push(("Temporary passwords", text.into()));
        }
        let last = user.last_connection.map(|last| last.text(user.now));
        lines.extend([
            (
                "Last connection",
                Cell::or(last, "never").since(user.last_connection.map(|last| last.at)),
            ),
            ("Expires", expires),
            ("Created", user.created_at.to_string().into()),
        ]);
        let addresses = self.addresses.text();
        lines.extend(addresses.map(|text| ("Addresses", text.into())));
        let rotation = Some(self.rotation_text()).filter(|text| text != "none");
        lines.push(("Rotation", Cell::or(rotation, "none")));
        lines.extend(self.sending_lines());
        lines
    }
}
