//! Users as whole records: taken in, and given out. What is taken in waits in a
//! table of its own until all of it is known to be good.

use super::engine::Row;
use super::{Owner, Page, SendingChange, Store, Tx};
use crate::error::Result;
use crate::model::event::{Action, Fields};
use crate::model::hash::Hash;
use crate::model::limits::Kind;
use crate::model::name::{DomainName, Username};
use crate::model::password::KeyId;
use crate::model::roster::{Entry, Kept, KeptPassword, mark};
use crate::model::settings::Setting;
use crate::model::time::Time;

/// A user to be taken in.
#[derive(Debug)]
pub struct Arrival<'a> {
    pub username: &'a Username,
    pub entry: &'a Entry,
    /// Of its password, and of the one beside it.
    pub keys: [KeyId; 2],
    /// What it came from.
    pub from: &'a str,
}

macro_rules! select_kept {
    ($users:literal, $rest:literal) => {
        concat!(
            "SELECT u.username, u.label, u.daily_limit, u.expires_at, u.suspended_at,
                (SELECT string_agg(s.sender, '\n') FROM
                    (SELECT sender FROM senders WHERE username = u.username ORDER BY sender) s),
                (SELECT string_agg(l.kind || '=' || CAST(l.most AS TEXT), ' ')
                    FROM limits l WHERE l.owner = u.username),
                u.on_limit, u.created_at,
                p.key_id, p.hash, p.created_at, p.retires_at, p.imported
            FROM ",
            $users,
            " u LEFT JOIN passwords p ON p.username = u.username ",
            $rest,
            " ORDER BY u.username, p.created_at DESC, p.retires_at IS NOT NULL, p.key_id"
        )
    };
}

impl Store {
    /// Makes room for what is taken in; for this connection alone.
    pub fn begin_staging(&mut self) -> Result<()> {
        self.engine.make_staging()?;
        self.engine.begin_apart()
    }

    pub fn stage(&mut self, username: &Username, place: i64, record: &str) -> Result<()> {
        const SQL: &str = "INSERT INTO staged (username, place, record) VALUES ($1, $2, $3)";
        let args = [username.as_str().into(), place.into(), record.into()];
        self.engine.execute(SQL, &args).map(|_| ())
    }

    /// All is there: puts it in order.
    pub fn end_staging(&mut self) -> Result<()> {
        const SORT: &str = "CREATE INDEX staged_by_name ON staged (username, place)";
        self.engine.execute(SORT, &[])?;
        self.engine.commit()
    }

    /// What was taken in behind a name and its place, by name: up to `limit`.
    pub fn staged(
        &mut self,
        after: (&str, i64),
        limit: u32,
        each: &mut dyn FnMut(Username, i64, String) -> Result<()>,
    ) -> Result<()> {
        const SQL: &str = "SELECT username, place, record FROM staged
            WHERE username > $1 OR (username = $1 AND place > $2)
            ORDER BY username, place LIMIT $3";
        let args = [after.0.into(), after.1.into(), limit.into()];
        self.engine.query(SQL, &args, &mut |row| {
            each(row.parsed(0)?, row.int(1)?, row.text(2)?.to_owned())
        })
    }

    /// Those of the store that were taken in, from one name to another.
    pub fn kept_and_staged(
        &mut self,
        from: &str,
        to: &str,
        each: &mut dyn FnMut(Kept) -> Result<()>,
    ) -> Result<()> {
        const SQL: &str = select_kept!(
            "users",
            "WHERE u.username IN (SELECT username FROM staged WHERE username >= $1 AND username <= $2)"
        );
        self.fold_kept(SQL, &[from.into(), to.into()], each)
    }

    /// Up to `limit` users of the store that were not taken in, behind a name.
    pub fn not_staged(&mut self, after: &str, limit: u32) -> Result<Vec<Username>> {
        const SQL: &str = "SELECT u.username FROM users u WHERE u.username > $1
            AND NOT EXISTS (SELECT 1 FROM staged s WHERE s.username = u.username)
            ORDER BY u.username LIMIT $2";
        let mut found = Vec::new();
        self.engine
            .query(SQL, &[after.into(), limit.into()], &mut |row| {
                found.push(row.parsed(0)?);
                Ok(())
            })?;
        Ok(found)
    }

    /// All users, or those of a domain, by name; in constant memory. Each piece is
    /// what was true at one time. Not while something is being changed.
    pub fn kept(
        &mut self,
        domain: Option<&DomainName>,
        each: &mut dyn FnMut(Kept) -> Result<()>,
    ) -> Result<()> {
        const ALL: &str = select_kept!(
            "(SELECT * FROM users WHERE username > $1 ORDER BY username LIMIT $2)",
            ""
        );
        const OF_DOMAIN: &str = select_kept!(
            "(SELECT * FROM users WHERE username > $1 AND domain = $2 ORDER BY username LIMIT $3)",
            ""
        );
        let mut pieces = Page::default().pieces();
        let mut after = String::new();
        while let Some(most) = pieces.next() {
            let mut found = Vec::new();
            let mut push = |user| {
                found.push(user);
                Ok(())
            };
            let behind = after.as_str().into();
            match domain {
                None => self.fold_kept(ALL, &[behind, most.into()], &mut push)?,
                Some(domain) => {
                    let args = [behind, domain.as_str().into(), most.into()];
                    self.fold_kept(OF_DOMAIN, &args, &mut push)?;
                }
            }
            pieces.read(found.len());
            if let Some(last) = found.last() {
                last.username.as_str().clone_into(&mut after);
            }
            // Nothing is being read any more: whoever takes them takes their time.
            found.into_iter().try_for_each(&mut *each)?;
        }
        Ok(())
    }

    fn fold_kept(
        &mut self,
        sql: &'static str,
        args: &[super::engine::Arg],
        each: &mut dyn FnMut(Kept) -> Result<()>,
    ) -> Result<()> {
        let mut current: Option<Kept> = None;
        self.engine.query(sql, args, &mut |row| {
            let name = row.text(0)?;
            if current
                .as_ref()
                .is_none_or(|user| user.username.as_str() != name)
                && let Some(done) = current.replace(read(row)?)
            {
                each(done)?;
            }
            if let (Some(user), Some(key)) = (&mut current, row.opt_text(9)?) {
                user.passwords.push(KeptPassword {
                    key: KeyId::stored(key.to_owned()),
                    hash: row.opt_text(10)?.map(str::to_owned),
                    created_at: row.time(11)?,
                    retires_at: row.opt_time(12)?,
                    imported: row.opt_text(13)?.map(str::to_owned),
                });
            }
            Ok(())
        })?;
        current.map_or(Ok(()), each)
    }
}

fn read(row: &dyn Row) -> Result<Kept> {
    let text = |column| {
        row.opt_text(column)
            .map(|t| Some(t.unwrap_or_default().to_owned()))
    };
    let time = |column| row.opt_time(column).map(|t| Some(t.map_or(0, Time::epoch)));
    let senders = row
        .opt_text(5)?
        .map_or_else(Vec::new, |all| all.split('\n').map(str::to_owned).collect());
    let mut limits: Vec<&str> = row.opt_text(6)?.unwrap_or_default().split(' ').collect();
    limits.retain(|limit| !limit.is_empty());
    Ok(Kept {
        username: row.parsed(0)?,
        entry: Entry {
            label: text(1)?,
            daily_limit: Some(row.opt_limit(2)?.unwrap_or(0)),
            expires_at: time(3)?,
            suspended_at: time(4)?,
            senders: Some(senders),
            limits: Some(in_order(&limits)),
            on_limit: text(7)?,
            created_at: Some(row.time(8)?.epoch()),
            password: None,
            old: None,
        },
        passwords: Vec::with_capacity(1),
    })
}

/// In the order of kinds, whatever order they come in.
fn in_order(limits: &[&str]) -> String {
    let of = |kind: Kind| {
        let name = kind.to_string();
        let found = limits
            .iter()
            .find(|l| l.split_once('=').is_some_and(|(k, _)| k == name));
        found.map(|l| (*l).to_owned())
    };
    let all: Vec<_> = Kind::ALL.into_iter().filter_map(of).collect();
    all.join(" ")
}

impl Tx<'_> {
    /// A user that is not there yet.
    pub fn add_arrival(&mut self, new: &Arrival) -> Result<()> {
        const SQL: &str = "INSERT INTO users
            (username, domain, label, daily_limit, expires_at, suspended_at, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let (domain, entry) = (new.username.domain(), new.entry);
        let label = entry.label.as_deref().filter(|l| !l.is_empty());
        let some = |value: Option<i64>| value.filter(|v| *v != 0);
        let args = [
            new.username.as_str().into(),
            domain.as_str().into(),
            label.into(),
            entry.daily_limit.filter(|n| *n != 0).into(),
            some(entry.expires_at).map_or(super::engine::Arg::Null, Into::into),
            some(entry.suspended_at).map_or(super::engine::Arg::Null, Into::into),
            entry.created_at.unwrap_or(self.stamp.at.epoch()).into(),
        ];
        self.execute(SQL, &args)?;
        self.add_secrets(new)?;
        let sending = sending(entry, None)?;
        let owner = Owner::user(new.username);
        let mut fields = described(new, None);
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

    /// A user that is there, and differs in these columns.
    pub fn change_by_arrival(
        &mut self,
        new: &Arrival,
        kept: &Kept,
        columns: &[&'static str],
    ) -> Result<()> {
        const SQL: &str = "UPDATE users SET label = $2, daily_limit = $3, expires_at = $4,
            suspended_at = $5, expiry_told = CASE WHEN CAST($6 AS BIGINT) = 1 THEN NULL ELSE expiry_told END
            WHERE username = $1";
        const DECIDED: &str = "DELETE FROM rotations WHERE username = $1";
        let (entry, has) = (new.entry, &kept.entry);
        let name = new.username.as_str();
        let label = entry
            .label
            .as_ref()
            .or(has.label.as_ref())
            .filter(|l| !l.is_empty());
        let number = |value: Option<i64>| value.filter(|v| *v != 0);
        let suspended = columns
            .contains(&"suspended_at")
            .then_some(entry.suspended_at);
        let args = [
            name.into(),
            label.map(String::as_str).into(),
            entry
                .daily_limit
                .or(has.daily_limit)
                .filter(|n| *n != 0)
                .into(),
            number(entry.expires_at.or(has.expires_at)).into(),
            number(suspended.unwrap_or(has.suspended_at)).into(),
            i64::from(columns.contains(&"expires_at")).into(),
        ];
        self.execute(SQL, &args)?;
        if columns.contains(&"hash") {
            self.execute(DECIDED, &[name.into()])?;
            self.stop_passwords(new.username)?;
            self.add_secrets(new)?;
        }
        let mut fields = described(new, Some(columns));
        let sending = sending(entry, Some((columns, has)))?;
        if !sending.is_empty() {
            fields = self.change_sending(Owner::user(new.username), &sending, fields)?;
        }
        let domain = new.username.domain();
        self.event(
            Action::UserImport,
            Some(&domain),
            Some(new.username),
            &fields,
        )
    }

    fn add_secrets(&mut self, new: &Arrival) -> Result<()> {
        const SQL: &str = "INSERT INTO passwords
            (username, key_id, hash, created_at, retires_at, retiring_since, imported)
            VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let secrets = [&new.entry.password, &new.entry.old];
        for (secret, key) in secrets.into_iter().zip(&new.keys) {
            let Some(secret) = secret else { continue };
            let imported = (!secret.made_here).then(|| mark(&secret.hash));
            let args = [
                new.username.as_str().into(),
                key.as_str().into(),
                secret.hash.as_str().into(),
                secret.created_at.unwrap_or(self.stamp.at.epoch()).into(),
                secret.retires_at.into(),
                secret.retires_at.map(|_| self.stamp.at).into(),
                imported.as_deref().into(),
            ];
            self.execute(SQL, &args)?;
        }
        Ok(())
    }
}

/// All that is set, for the audit trail; never a hash.
fn described(new: &Arrival, columns: Option<&[&'static str]>) -> Fields {
    let entry = new.entry;
    let set = |name: &str| columns.is_none_or(|some| some.contains(&name));
    let time = |at: i64| Time::from_epoch(at).to_string();
    let time = |at: Option<i64>| at.filter(|at| *at != 0).map(time);
    let mut fields = Fields::default().with("from", new.from);
    if let Some(secret) = entry.password.as_ref().filter(|_| set("hash")) {
        fields = fields.with("key", new.keys[0].as_str());
        fields = fields.with("hash", Hash::scheme_of(&secret.hash).name());
    }
    let label = entry.label.as_deref().filter(|label| !label.is_empty());
    let limit = entry.daily_limit.filter(|limit| *limit != 0);
    if set("label") && (columns.is_some() || label.is_some()) {
        fields = fields.with("label", label);
    }
    if set("daily_limit") && (columns.is_some() || limit.is_some()) {
        fields = fields.with("daily_limit", limit);
    }
    if set("expires_at") && (columns.is_some() || time(entry.expires_at).is_some()) {
        fields = fields.with("expires_at", time(entry.expires_at));
    }
    if set("suspended_at") && (columns.is_some() || time(entry.suspended_at).is_some()) {
        fields = fields.with("suspended_at", time(entry.suspended_at));
    }
    fields
}

/// Of a new user all that is said, of another what differs.
fn sending(entry: &Entry, change: Option<(&[&'static str], &Entry)>) -> Result<SendingChange> {
    let set = |name: &str| change.is_none_or(|(columns, _)| columns.contains(&name));
    let senders = entry
        .senders
        .as_ref()
        .filter(|s| set("senders") && (change.is_some() || !s.is_empty()));
    let senders = senders.map(|all| all.iter().map(|s| s.parse()).collect::<Result<_>>());
    let mut limits = Vec::new();
    if let Some(said) = entry.limits.as_ref().filter(|_| set("limits")) {
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
    let on_limit = entry
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
