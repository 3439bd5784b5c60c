//! What a user may send, and what it sent: senders, limits, counts.

use super::settings::{ON_LIMIT, YES};
use super::{Store, Tx};
use crate::error::Result;
use crate::model::event::{Action, Fields};
use crate::model::limits::{Kind, LimitSetting, Limits, OnLimit, Span};
use crate::model::name::{DomainName, Username};
use crate::model::sender::Sender;
use crate::model::settings::Setting;
use crate::model::tally::{Amount, Bucket, Tally};
use crate::model::time::Time;

/// Whose limit it is: a user's, a domain's, or the installation's. All that a
/// user sends counts for the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner<'a>(&'a str);

impl<'a> Owner<'a> {
    pub const INSTALLATION: Self = Owner("");

    pub fn user(username: &'a Username) -> Self {
        Self(username.as_str())
    }

    pub fn domain(domain: &'a DomainName) -> Self {
        Self(domain.as_str())
    }

    /// A user, its domain, and the installation.
    pub fn all(username: &'a Username) -> [Self; 3] {
        let domain = &username.as_str()[username.local_part().len() + 1..];
        [Self(username.as_str()), Self(domain), Self::INSTALLATION]
    }

    pub(super) const fn as_str(self) -> &'a str {
        self.0
    }

    /// For people.
    pub fn name(self) -> &'a str {
        if self.0.is_empty() {
            "the installation"
        } else {
            self.0
        }
    }
}

/// What to set; absent stays as it is. Messages a day of users and domains are
/// not among the limits here, but beside their other columns.
#[derive(Clone, Debug, Default)]
pub struct SendingChange {
    /// Empty: every address of the user's domain.
    pub senders: Option<Vec<Sender>>,
    pub limits: Vec<LimitSetting>,
    pub on_limit: Option<Setting<OnLimit>>,
}

/// All that decides whether a user may send. The arrays are of the user, its
/// domain and the installation, as [`Owner::all`] names them.
#[derive(Clone, Debug)]
pub struct SendingRules {
    pub expires_at: Option<Time>,
    pub suspended_at: Option<Time>,
    /// Its domain has to be verified, and is not.
    pub unverified: bool,
    pub senders: Vec<Sender>,
    pub limits: [Limits; 3],
    pub on_limit: [Option<OnLimit>; 3],
}

impl SendingRules {
    pub fn is_limited(&self) -> bool {
        !self.limits.iter().all(Limits::is_empty)
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

/// Among the counts, for what some relay has counted ahead and may hand back.
pub(super) const HELD: &str = "held";
/// In seconds. Handed back within one; a relay that was killed never does it.
const HELD_FOR: i64 = 5;

impl Store {
    pub fn sending_rules(&mut self, username: &Username) -> Result<Option<SendingRules>> {
        const USER: &str = "SELECT u.expires_at, u.suspended_at, u.daily_limit, d.daily_limit,
                u.on_limit, d.on_limit, s.value,
                v.value, d.verified_at
            FROM users u JOIN domains d ON d.name = u.domain
            LEFT JOIN settings s ON s.name = 'on_limit'
            LEFT JOIN settings v ON v.name = 'require_verified_domains'
            WHERE u.username = $1";
        let mut found = None;
        let name = username.as_str();
        self.engine.query(USER, &[name.into()], &mut |row| {
            let mut limits = [Limits::default(); 3];
            limits[0].set(Kind::MESSAGES_A_DAY, row.opt_limit(2)?);
            limits[1].set(Kind::MESSAGES_A_DAY, row.opt_limit(3)?);
            found = Some(SendingRules {
                expires_at: row.opt_time(0)?,
                suspended_at: row.opt_time(1)?,
                unverified: row.opt_text(7)? == Some(YES) && row.opt_time(8)?.is_none(),
                senders: Vec::new(),
                limits,
                on_limit: [row.opt_parsed(4)?, row.opt_parsed(5)?, row.opt_parsed(6)?],
            });
            Ok(())
        })?;
        let Some(mut rules) = found else {
            return Ok(None);
        };
        for (owner, limits) in Owner::all(username).into_iter().zip(&mut rules.limits) {
            self.read_limits(owner, limits)?;
        }
        rules.senders = self.senders(username)?;
        Ok(Some(rules))
    }

    /// In order.
    pub fn senders(&mut self, username: &Username) -> Result<Vec<Sender>> {
        const SQL: &str = "SELECT sender FROM senders WHERE username = $1 ORDER BY sender";
        let mut found = Vec::new();
        self.engine
            .query(SQL, &[username.as_str().into()], &mut |row| {
                found.push(row.parsed(0)?);
                Ok(())
            })?;
        Ok(found)
    }

    /// Those that stand in no column of their own.
    pub fn limits(&mut self, owner: Owner) -> Result<Limits> {
        let mut limits = Limits::default();
        self.read_limits(owner, &mut limits)?;
        Ok(limits)
    }

    fn read_limits(&mut self, owner: Owner, limits: &mut Limits) -> Result<()> {
        const SQL: &str = "SELECT kind, most FROM limits WHERE owner = $1";
        self.engine.query(SQL, &[owner.0.into()], &mut |row| {
            limits.set(row.parsed(0)?, row.opt_limit(1)?);
            Ok(())
        })
    }

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

    /// What an owner sent, as far back as these limits look.
    pub fn tally(&mut self, owner: Owner, limits: &Limits, now: Time) -> Result<Tally> {
        const SQL: &str = "SELECT at, messages, recipients, new_recipients FROM counts
            WHERE owner = $1 AND span = $2 AND at >= $3";
        let mut tally = Tally::default();
        for span in Span::ALL {
            if !limits.iter().any(|(kind, _)| kind.span == span) {
                continue;
            }
            let args = [owner.0.into(), span.name().into(), span.oldest(now).into()];
            self.engine.query(SQL, &args, &mut |row| {
                let amount = Amount {
                    messages: row.opt_limit(1)?.unwrap_or(0),
                    recipients: row.opt_limit(2)?.unwrap_or(0),
                    new_recipients: row.opt_limit(3)?.unwrap_or(0),
                };
                tally.add(
                    span,
                    Bucket {
                        at: row.time(0)?,
                        amount,
                    },
                );
                Ok(())
            })?;
        }
        Ok(tally)
    }

    /// How much of an owner's counts was counted ahead by any relay, and may be
    /// handed back.
    pub fn held(&mut self, owner: Owner, now: Time) -> Result<Amount> {
        const SQL: &str = "SELECT CAST(COALESCE(sum(messages), 0) AS BIGINT),
                CAST(COALESCE(sum(recipients), 0) AS BIGINT)
            FROM counts WHERE owner = $1 AND span = $2 AND at >= $3";
        let since = Time::from_epoch(now.epoch() - HELD_FOR);
        let mut held = Amount::default();
        let args = [owner.0.into(), HELD.into(), since.into()];
        self.engine.query(SQL, &args, &mut |row| {
            held.messages = row.opt_limit(0)?.unwrap_or(0);
            held.recipients = row.opt_limit(1)?.unwrap_or(0);
            Ok(())
        })?;
        Ok(held)
    }

    /// Whether a user has sent to this recipient before, as far as that was
    /// written down.
    pub fn knows_recipient(&mut self, username: &Username, digest: &str) -> Result<bool> {
        const SQL: &str = "SELECT 1 FROM recipients WHERE username = $1 AND digest = $2";
        let mut known = false;
        let args = [username.as_str().into(), digest.into()];
        self.engine.query(SQL, &args, &mut |_| {
            known = true;
            Ok(())
        })?;
        Ok(known)
    }
}

impl Tx<'_> {
    /// The part of a change that is about sending; its event is written by
    /// whoever changes the user, the domain or the settings.
    pub(super) fn change_sending(
        &mut self,
        owner: Owner,
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
            self.execute(FORGET, &[owner.0.into()])?;
            for sender in senders {
                self.execute(ADD, &[owner.0.into(), sender.as_str().into()])?;
            }
            let names: Vec<_> = senders.iter().map(Sender::as_str).collect();
            fields = fields.with("senders", names);
        }
        for setting in &change.limits {
            let kind = setting.kind.to_string();
            let most = setting.most.as_ref().value().map(|most| most.get());
            match most {
                Some(most) => {
                    self.execute(LIMIT, &[owner.0.into(), kind.as_str().into(), most.into()])?
                }
                None => self.execute(NO_LIMIT, &[owner.0.into(), kind.as_str().into()])?,
            };
            fields = fields.with(&kind, most);
        }
        if let Some(action) = &change.on_limit {
            let action = action.as_ref().value().map(|action| action.name());
            if owner == Owner::INSTALLATION {
                self.put(ON_LIMIT, action)?;
            } else {
                let sql = if owner.0.contains('@') { USER } else { DOMAIN };
                self.execute(sql, &[owner.0.into(), action.into()])?;
            }
            fields = fields.with(ON_LIMIT, action);
        }
        Ok(fields)
    }

    /// The limits of what is deleted. What it sent counts on: who comes back
    /// under the same name has it still.
    pub(super) fn forget_limits(&mut self, owner: Owner) -> Result<()> {
        const SQL: &str = "DELETE FROM limits WHERE owner = $1";
        self.execute(SQL, &[owner.0.into()]).map(|_| ())
    }

    /// Somebody should know how much of a limit is used.
    pub fn note_limit(
        &mut self,
        action: Action,
        owner: Owner,
        kind: Kind,
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

    // What follows is found out, not changed, by anybody: it has no events.

    /// Adds what was sent to an owner's counts.
    pub fn count(&mut self, owner: Owner, amount: Amount, now: Time) -> Result<()> {
        for span in Span::ALL {
            self.add(owner, span.name(), span.bucket_at(now), amount)?;
        }
        Ok(())
    }

    /// Of what was counted, so much was counted ahead.
    pub fn hold(&mut self, owner: Owner, amount: Amount, now: Time) -> Result<()> {
        self.add(owner, HELD, now, amount)
    }

    fn add(&mut self, owner: Owner, span: &str, at: Time, amount: Amount) -> Result<()> {
        const SQL: &str = "INSERT INTO counts
            (owner, span, at, messages, recipients, new_recipients)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (owner, span, at) DO UPDATE SET
                messages = counts.messages + excluded.messages,
                recipients = counts.recipients + excluded.recipients,
                new_recipients = counts.new_recipients + excluded.new_recipients";
        let args = [
            owner.0.into(),
            span.into(),
            at.into(),
            amount.messages.into(),
            amount.recipients.into(),
            amount.new_recipients.into(),
        ];
        self.execute(SQL, &args).map(|_| ())
    }

    /// What was held since `then` was sent, or is taken back.
    pub fn let_go(&mut self, owner: Owner, amount: Amount, then: Time) -> Result<()> {
        // Nearly always it is one relay's alone.
        const ALL: &str = "DELETE FROM counts
            WHERE owner = $1 AND span = $2 AND at = $3 AND messages <= $4 AND recipients <= $5";
        let args = [
            owner.0.into(),
            HELD.into(),
            then.into(),
            amount.messages.into(),
            amount.recipients.into(),
        ];
        if self.execute(ALL, &args)? == 0 {
            self.take(owner, HELD, then, amount)?;
        }
        Ok(())
    }

    /// Takes back what was counted ahead at `then`, and not sent.
    pub fn uncount(&mut self, owner: Owner, amount: Amount, then: Time) -> Result<()> {
        for span in Span::ALL {
            self.take(owner, span.name(), span.bucket_at(then), amount)?;
        }
        Ok(())
    }

    fn take(&mut self, owner: Owner, span: &str, at: Time, amount: Amount) -> Result<()> {
        // Never below nothing, whoever tampered with it meanwhile.
        const SQL: &str = "UPDATE counts SET
                messages = CASE WHEN messages > $4 THEN messages - $4 ELSE 0 END,
                recipients = CASE WHEN recipients > $5 THEN recipients - $5 ELSE 0 END
            WHERE owner = $1 AND span = $2 AND at = $3";
        let args = [
            owner.0.into(),
            span.into(),
            at.into(),
            amount.messages.into(),
            amount.recipients.into(),
        ];
        self.execute(SQL, &args).map(|_| ())
    }

    /// Says whether the recipient is new.
    pub fn add_recipient(&mut self, username: &Username, digest: &str, now: Time) -> Result<bool> {
        const SQL: &str = "INSERT INTO recipients (username, digest, first_at)
            SELECT username, $2, $3 FROM users WHERE username = $1 ON CONFLICT DO NOTHING";
        let args = [username.as_str().into(), digest.into(), now.into()];
        Ok(self.execute(SQL, &args)? > 0)
    }
}
