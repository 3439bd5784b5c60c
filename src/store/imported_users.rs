//! Imports users as whole records.

use super::engine::Arg;
use super::{Scope, SendingChange, Tx};
use crate::error::{Error, Result};
use crate::model::event::{Action, Fields};
use crate::model::hash::Hash;
use crate::model::limit_kind::LimitKind;
use crate::model::name::Username;
use crate::model::password::PasswordId;
use crate::model::setting::Setting;
use crate::model::tag::{Tag, TagChange};
use crate::model::time::Time;
use crate::model::transfer::{StoredUser, TransferPassword, TransferRecord, fingerprint};

/// A user to import.
#[derive(Debug)]
pub struct ImportedUser<'a> {
    /// Its name.
    pub username: &'a Username,
    /// What the file specifies.
    pub record: &'a TransferRecord,
    /// The IDs of its password and of the old one.
    pub password_ids: [PasswordId; 2],
    /// The name of the format of the file.
    pub from: &'a str,
}

impl Tx<'_> {
    /// Adds a user that does not exist.
    pub fn add_imported(&mut self, new: &ImportedUser) -> Result<()> {
        const SQL: &str = "INSERT INTO users
            (username, domain, label, daily_limit, expires_at, suspended_at, created_at, note)
            SELECT $1, $2, $3, $4, $5, $6, $7, $8
            WHERE NOT EXISTS (SELECT 1 FROM old_names WHERE old_name = $1)";
        let (domain, record) = (new.username.domain(), new.record);
        let label = record.label.as_deref().filter(|l| !l.is_empty());
        let some = |value: Option<i64>| value.filter(|v| *v != 0);
        let args = [
            new.username.as_str().into(),
            domain.as_str().into(),
            label.into(),
            record.daily_limit.filter(|n| *n != 0).into(),
            some(record.expires_at).map_or(Arg::Null, Into::into),
            some(record.suspended_at).map_or(Arg::Null, Into::into),
            record.created_at.unwrap_or(self.stamp.at.epoch()).into(),
            record.note.as_deref().filter(|n| !n.is_empty()).into(),
        ];
        let exists = Error::UserExists(new.username.to_string());
        self.change_later(SQL, &args, exists)?;
        self.created += 1;
        self.add_secret(new, record.password.as_ref(), 0)?;
        self.add_secret(new, record.old.as_ref(), 1)?;
        let sending = sending(record, None)?;
        let owner = Scope::user(new.username);
        let mut fields = described(new, None);
        fields = self.change_tags(new.username, &tags(record)?, fields)?;
        if !sending.is_empty() {
            fields = self.change_sending(owner, &sending, fields)?;
        }
        self.event(
            Action::UserImport,
            Some(&domain),
            Some(new.username),
            &fields,
        )
    }

    /// Updates these columns of an existing user.
    pub fn change_imported(
        &mut self,
        new: &ImportedUser,
        kept: &StoredUser,
        columns: &[&'static str],
    ) -> Result<()> {
        const SQL: &str = "UPDATE users SET label = $2, daily_limit = $3, expires_at = $4,
            suspended_at = $5, note = $7,
            expiry_told = CASE WHEN CAST($6 AS BIGINT) = 1 THEN NULL ELSE expiry_told END
            WHERE username = $1";
        const DECIDED: &str = "DELETE FROM rotations WHERE username = $1";
        let (record, has) = (new.record, &kept.record);
        let name = new.username.as_str();
        let label = record
            .label
            .as_ref()
            .or(has.label.as_ref())
            .filter(|l| !l.is_empty());
        let number = |value: Option<i64>| value.filter(|v| *v != 0);
        let suspended = columns
            .contains(&"suspended_at")
            .then_some(record.suspended_at);
        let args = [
            name.into(),
            label.map(String::as_str).into(),
            record
                .daily_limit
                .or(has.daily_limit)
                .filter(|n| *n != 0)
                .into(),
            number(record.expires_at.or(has.expires_at)).into(),
            number(suspended.unwrap_or(has.suspended_at)).into(),
            i64::from(columns.contains(&"expires_at")).into(),
            record
                .note
                .as_deref()
                .or(has.note.as_deref())
                .filter(|note| !note.is_empty())
                .into(),
        ];
        self.later(SQL, &args)?;
        if columns.contains(&"daily_limit") {
            let limit = record.daily_limit.filter(|n| *n != 0);
            self.look_at_limit(Scope::user(new.username), LimitKind::MESSAGES_A_DAY, limit)?;
        }
        if columns.contains(&"hash") {
            self.later(DECIDED, &[name.into()])?;
            // The old password may be the current one: it retires and does not stop.
            let old = new.record.old.as_ref();
            let old = old.filter(|old| old.works(self.stamp.at));
            let there = old.and_then(|old| Some((kept.find(old)?, old.retires_at?)));
            match there {
                Some((password, at)) => {
                    self.stop_others(new.username, &password.password_id)?;
                    self.retire_at(new.username, &password.password_id, Time::from_epoch(at))?;
                }
                None => self.stop_passwords(new.username)?,
            }
            let [password, old] = [&record.password, &record.old];
            self.add_secret(new, password.as_ref(), 0)?;
            self.add_secret(new, old.as_ref().filter(|_| there.is_none()), 1)?;
        }
        let mut fields = described(new, Some(columns));
        if columns.contains(&"tags") {
            self.remove_tags(new.username)?;
            fields = self.change_tags(new.username, &tags(record)?, fields)?;
        }
        let sending = sending(record, Some((columns, has)))?;
        if !sending.is_empty() {
            fields = self.change_sending(Scope::user(new.username), &sending, fields)?;
        }
        let domain = new.username.domain();
        self.event(
            Action::UserImport,
            Some(&domain),
            Some(new.username),
            &fields,
        )
    }

    /// Adds a password unless it has already retired.
    fn add_secret(
        &mut self,
        new: &ImportedUser,
        secret: Option<&TransferPassword>,
        number: usize,
    ) -> Result<()> {
        const SQL: &str = "INSERT INTO passwords
            (username, password_id, hash, created_at, retires_at, retiring_since, imported, generated)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let now = self.stamp.at;
        let Some(secret) = secret.filter(|secret| secret.works(now)) else {
            return Ok(());
        };
        let imported = (!secret.made_here).then(|| fingerprint(&secret.hash));
        let args = [
            new.username.as_str().into(),
            new.password_ids[number].as_str().into(),
            secret.hash.as_str().into(),
            secret.created_at.unwrap_or(now.epoch()).into(),
            secret.retires_at.into(),
            secret.retires_at.map(|_| now).into(),
            imported.as_deref().into(),
            i64::from(secret.generated).into(),
        ];
        self.later(SQL, &args)
    }

    fn stop_others(&mut self, username: &Username, password_id: &PasswordId) -> Result<()> {
        const SQL: &str = "UPDATE passwords
            SET hash = NULL,
                retires_at = CASE WHEN retires_at < $3 THEN retires_at ELSE $3 END
            WHERE username = $1 AND password_id <> $2 AND hash IS NOT NULL AND temporary = 0";
        let args = [
            username.as_str().into(),
            password_id.as_str().into(),
            self.stamp.at.into(),
        ];
        self.scrub = true;
        self.later(SQL, &args)
    }

    /// Sets when a password retires. One that retires earlier keeps its time; a stopped
    /// one stays stopped.
    fn retire_at(&mut self, username: &Username, password_id: &PasswordId, at: Time) -> Result<()> {
        const SQL: &str = "UPDATE passwords
            SET retires_at = $3, retiring_since = $4, retire_unused = NULL, retire_latest = NULL
            WHERE username = $1 AND password_id = $2 AND hash IS NOT NULL
                AND (retires_at IS NULL OR retires_at > $3)";
        let args = [
            username.as_str().into(),
            password_id.as_str().into(),
            at.into(),
            self.stamp.at.into(),
        ];
        self.later(SQL, &args)
    }
}

/// Describes what is set for the audit trail; never a hash.
fn described(new: &ImportedUser, columns: Option<&[&'static str]>) -> Fields {
    let record = new.record;
    let set = |name: &str| columns.is_none_or(|some| some.contains(&name));
    let time = |at: i64| Time::from_epoch(at).to_string();
    let time = |at: Option<i64>| at.filter(|at| *at != 0).map(time);
    let mut fields = Fields::default().with("from", new.from);
    if let Some(secret) = record.password.as_ref().filter(|_| set("hash")) {
        fields = fields.with("password_id", new.password_ids[0].as_str());
        fields = fields.with("hash", Hash::scheme_of(&secret.hash).name());
    }
    let label = record.label.as_deref().filter(|label| !label.is_empty());
    let limit = record.daily_limit.filter(|limit| *limit != 0);
    if set("label") && (columns.is_some() || label.is_some()) {
        fields = fields.with("label", label);
    }
    let note = record.note.as_deref().filter(|note| !note.is_empty());
    if set("note") && (columns.is_some() || note.is_some()) {
        fields = fields.with("note", note);
    }
    if set("daily_limit") && (columns.is_some() || limit.is_some()) {
        fields = fields.with("daily_limit", limit);
    }
    if set("expires_at") && (columns.is_some() || time(record.expires_at).is_some()) {
        fields = fields.with("expires_at", time(record.expires_at));
    }
    if set("suspended_at") && (columns.is_some() || time(record.suspended_at).is_some()) {
        fields = fields.with("suspended_at", time(record.suspended_at));
    }
    fields
}

fn tags(record: &TransferRecord) -> Result<Vec<TagChange>> {
    let tags = record.tags.iter().flatten();
    tags.map(|tag| Ok(tag.parse::<Tag>()?.into())).collect()
}

/// Returns what to set: everything for a new user, otherwise only what differs.
fn sending(
    record: &TransferRecord,
    change: Option<(&[&'static str], &TransferRecord)>,
) -> Result<SendingChange> {
    let set = |name: &str| change.is_none_or(|(columns, _)| columns.contains(&name));
    let senders = record
        .senders
        .as_ref()
        .filter(|s| set("senders") && (change.is_some() || !s.is_empty()));
    let senders = senders.map(|all| all.iter().map(|s| s.parse()).collect::<Result<_>>());
    let mut limits = Vec::new();
    if let Some(said) = record.limits.as_ref().filter(|_| set("limits")) {
        let had = change
            .and_then(|(_, has)| has.limits.as_deref())
            .unwrap_or_default();
        for limit in had.split(' ').filter(|l| !l.is_empty()) {
            let kind = limit.split_once('=').map_or(limit, |(kind, _)| kind);
            limits.push(format!("{kind}=none").parse()?);
        }
        for limit in said.split(' ').filter(|l| !l.is_empty()) {
            limits.push(limit.parse()?);
        }
    }
    let on_limit = record
        .on_limit
        .as_ref()
        .filter(|o| set("on_limit") && (change.is_some() || !o.is_empty()));
    let on_limit = on_limit.map(|action| match action.as_str() {
        "" => Ok(Setting::None),
        action => action.parse().map(Setting::Some),
    });
    Ok(SendingChange {
        senders: senders.transpose()?,
        limits,
        on_limit: on_limit.transpose()?,
    })
}
