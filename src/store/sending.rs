//! What a user may send: its senders, its limits, and what happens over a limit.

use super::setting_names::{NEW_RECIPIENTS_ALERT, ON_LIMIT, YES};
use super::{Scope, Store, Tx};
use crate::error::Result;
use crate::model::alert::AlertKind;
use crate::model::alert_rules::{AlertRule, AlertValue};
use crate::model::event::{Action, Fields};
use crate::model::limit_kind::{LimitKind, LimitUnit};
use crate::model::limits::{LimitSetting, Limits, OnLimit};
use crate::model::name::{DomainName, Username};
use crate::model::sender::Sender;
use crate::model::setting::Setting;
use crate::model::time::Time;

/// What to set; absent stays as it is. Messages a day of users and domains are
/// not among the limits here, but beside their other columns.
#[derive(Clone, Debug, Default)]
pub struct SendingChange {
    /// Empty: every address of the user's domain.
    pub senders: Option<Vec<Sender>>,
    /// Limits to set or remove.
    pub limits: Vec<LimitSetting>,
    /// What happens over a limit.
    pub on_limit: Option<Setting<OnLimit>>,
}

/// All that decides whether a user may send. The arrays are of the user, its
/// domain and the installation, as [`Scope::all`] names them.
#[derive(Clone, Debug)]
pub struct SendingRules {
    /// When the user expires.
    pub expires_at: Option<Time>,
    /// Since when the user is suspended.
    pub suspended_at: Option<Time>,
    /// The name in the digests of its recipients, if it was renamed.
    pub digest_name: Option<Username>,
    /// Its domain has to be verified, and is not.
    pub unverified: bool,
    /// Addresses and domains that it may send as; empty: its own domain.
    pub senders: Vec<Sender>,
    /// The limits.
    pub limits: [Limits; 3],
    /// What happens over a limit.
    pub on_limit: [Option<OnLimit>; 3],
    /// More new recipients than these within an hour are an alert; `None` if they are none.
    pub many_new_recipients: Option<u32>,
}

impl SendingRules {
    /// Returns whether the user is suspended or has expired.
    pub fn is_stopped(&self, now: Time) -> bool {
        self.suspended_at.is_some() || self.expires_at.is_some_and(|at| at <= now)
    }

    /// Returns the name in the digests of the recipients of this user.
    pub fn digest_name<'a>(&'a self, username: &'a Username) -> &'a Username {
        self.digest_name.as_ref().unwrap_or(username)
    }

    /// Returns whether any limit is set.
    pub fn is_limited(&self) -> bool {
        !self.limits.iter().all(Limits::is_empty)
    }

    /// Some limit counts new recipients.
    pub fn limits_new_recipients(&self) -> bool {
        let mut kinds = self.limits.iter().flat_map(Limits::iter);
        kinds.any(|(kind, _)| kind.what == LimitUnit::NewRecipients)
    }

    /// Returns whether it is recorded to whom the user sends.
    pub fn records_recipients(&self) -> bool {
        self.many_new_recipients.is_some() || self.limits_new_recipients()
    }

    /// The nearest that says something: the user's own, its domain's, the
    /// installation's.
    pub fn on_limit(&self) -> OnLimit {
        self.on_limit
            .into_iter()
            .flatten()
            .next()
            .unwrap_or_default()
    }
}

/// Returns how many new recipients are no alert yet, given the rule if one is set.
fn many_new_recipients(rule: &str) -> Option<u32> {
    match AlertRule::stored(AlertKind::NewRecipients, rule)? {
        AlertRule::On(AlertValue::PerHour(most)) => Some(most),
        _ => None,
    }
}

impl Store {
    /// Returns what decides whether a user may send; `None` if it does not exist.
    pub fn sending_rules(&mut self, username: &Username) -> Result<Option<SendingRules>> {
        const USER: &str = "SELECT u.expires_at, u.suspended_at, u.daily_limit, d.daily_limit,
                u.on_limit, d.on_limit, s.value,
                v.value, d.verified_at, u.digest_name, r.value
            FROM users u JOIN domains d ON d.name = u.domain
            LEFT JOIN settings s ON s.name = 'on_limit'
            LEFT JOIN settings v ON v.name = 'require_verified_domains'
            LEFT JOIN settings r ON r.name = $2
            WHERE u.username = $1";
        let mut found = None;
        let args = [username.as_str().into(), NEW_RECIPIENTS_ALERT.into()];
        self.engine.query(USER, &args, &mut |row| {
            let mut limits = [Limits::default(); 3];
            limits[0].set(LimitKind::MESSAGES_A_DAY, row.opt_limit(2)?);
            limits[1].set(LimitKind::MESSAGES_A_DAY, row.opt_limit(3)?);
            found = Some(SendingRules {
                expires_at: row.opt_time(0)?,
                suspended_at: row.opt_time(1)?,
                unverified: row.opt_text(7)? == Some(YES) && row.opt_time(8)?.is_none(),
                digest_name: row.opt_parsed(9)?,
                senders: Vec::new(),
                limits,
                on_limit: [row.opt_parsed(4)?, row.opt_parsed(5)?, row.opt_parsed(6)?],
                many_new_recipients: row.opt_text(10)?.and_then(many_new_recipients),
            });
            Ok(())
        })?;
        let Some(mut rules) = found else {
            return Ok(None);
        };
        for (owner, limits) in Scope::all(username).into_iter().zip(&mut rules.limits) {
            self.read_limits(owner, limits)?;
        }
        rules.senders = self.senders(username)?;
        Ok(Some(rules))
    }

    /// Returns the senders of a user, sorted.
    pub fn senders(&mut self, username: &Username) -> Result<Vec<Sender>> {
        const SQL: &str = "SELECT sender FROM senders WHERE username = $1 ORDER BY sender";
        let mut found = Vec::new();
        self.engine
            .query(SQL, &[username.as_str().into()], &mut |row| {
                let sender = row.text(0)?;
                found.push(Sender::stored(sender).ok_or_else(|| row.not_valid(sender))?);
                Ok(())
            })?;
        Ok(found)
    }

    /// Returns the limits that have no column of their own.
    pub fn limits(&mut self, owner: Scope) -> Result<Limits> {
        let mut limits = Limits::default();
        self.read_limits(owner, &mut limits)?;
        Ok(limits)
    }

    fn read_limits(&mut self, owner: Scope, limits: &mut Limits) -> Result<()> {
        const SQL: &str = "SELECT kind, most FROM limits WHERE owner = $1";
        self.engine
            .query(SQL, &[owner.as_str().into()], &mut |row| {
                limits.set(row.parsed(0)?, row.opt_limit(1)?);
                Ok(())
            })
    }

    /// Returns what happens over a limit of this domain; `None` if nothing is set.
    pub fn domain_on_limit(&mut self, domain: &DomainName) -> Result<Option<OnLimit>> {
        const SQL: &str = "SELECT on_limit FROM domains WHERE name = $1";
        let mut found = None;
        self.engine
            .query(SQL, &[domain.as_str().into()], &mut |row| {
                found = row.opt_parsed(0)?;
                Ok(())
            })?;
        Ok(found)
    }
}

impl Tx<'_> {
    /// Changes what concerns sending and adds it to the fields of an event. The caller
    /// writes the event.
    pub(super) fn change_sending(
        &mut self,
        owner: Scope,
        change: &SendingChange,
        mut fields: Fields,
    ) -> Result<Fields> {
        const FORGET: &str = "DELETE FROM senders WHERE username = $1";
        const ADD: &str = "INSERT INTO senders (username, sender) VALUES ($1, $2)
            ON CONFLICT DO NOTHING";
        const LIMIT: &str = "INSERT INTO limits (owner, kind, most) VALUES ($1, $2, $3)
            ON CONFLICT (owner, kind) DO UPDATE SET most = excluded.most";
        const NO_LIMIT: &str = "DELETE FROM limits WHERE owner = $1 AND kind = $2";
        const USER: &str = "UPDATE users SET on_limit = $2 WHERE username = $1";
        const DOMAIN: &str = "UPDATE domains SET on_limit = $2 WHERE name = $1";
        if let Some(senders) = &change.senders {
            self.later(FORGET, &[owner.as_str().into()])?;
            for sender in senders {
                self.later(ADD, &[owner.as_str().into(), sender.as_str().into()])?;
            }
            let names: Vec<_> = senders.iter().map(Sender::as_str).collect();
            fields = fields.with("senders", names);
        }
        for setting in &change.limits {
            let kind = setting.kind.to_string();
            let most = setting.most.as_ref().value().map(|most| most.get());
            match most {
                Some(most) => {
                    self.later(
                        LIMIT,
                        &[owner.as_str().into(), kind.as_str().into(), most.into()],
                    )?;
                }
                None => self.later(NO_LIMIT, &[owner.as_str().into(), kind.as_str().into()])?,
            }
            self.look_at_limit(owner, setting.kind, most)?;
            fields = fields.with(&kind, most);
        }
        if let Some(action) = &change.on_limit {
            let action = action.as_ref().value().map(|action| action.name());
            if owner == Scope::INSTALLATION {
                self.put(ON_LIMIT, action)?;
            } else {
                let sql = if owner.as_str().contains('@') {
                    USER
                } else {
                    DOMAIN
                };
                self.later(sql, &[owner.as_str().into(), action.into()])?;
            }
            fields = fields.with(ON_LIMIT, action);
        }
        Ok(fields)
    }

    /// Deletes the limits of a deleted user or domain. What it sent still counts if one of
    /// the same name is created.
    pub(super) fn delete_limits(&mut self, owner: Scope) -> Result<()> {
        const SQL: &str = "DELETE FROM limits WHERE owner = $1";
        self.later(SQL, &[owner.as_str().into()])
    }

    /// Records that a limit is near or reached.
    pub fn record_limit(
        &mut self,
        action: Action,
        owner: Scope,
        kind: LimitKind,
        most: u32,
        used: u64,
        by: &Username,
    ) -> Result<()> {
        let fields = Fields::default()
            .with("of", owner.name())
            .with("limit", format!("{kind}={most}"))
            .with("used", used);
        self.event(action, Some(&by.domain()), Some(by), &fields)
    }
}
