//! Brings rows of a backup back: reads users for a comparison, and changes single rows.

use super::engine::{Arg, OwnedArg, Row};
use super::event_names::BLOCK;
use super::setting_names::{BACKUP_AT, INSTALLATION, LAST_BACKUP};
use super::{CopiedTable, Store, Tx};
use crate::error::{Error, Result};
use crate::model::event::{Action, Fields};
use crate::model::name::{DomainName, Username};
use crate::model::time::Time;

/// A password as it is in the store.
#[derive(Clone, Debug)]
pub struct PasswordRecord {
    /// Its ID.
    pub id: String,
    /// When it retires.
    pub retires_at: Option<Time>,
    /// `None` once it was erased.
    hash: Option<String>,
    created_at: i64,
    imported: Option<String>,
    generated: i64,
    temporary: i64,
    label: Option<String>,
    networks: Option<String>,
}

impl PasswordRecord {
    /// Returns whether it works at this time, if its user can sign in.
    pub fn is_live(&self, now: Time) -> bool {
        self.hash.is_some() && self.retires_at.is_none_or(|at| now < at)
    }

    /// Returns whether it works without an end.
    pub fn stays(&self) -> bool {
        self.hash.is_some() && self.retires_at.is_none()
    }

    /// Returns whether it was issued beside the others.
    pub const fn is_temporary(&self) -> bool {
        self.temporary != 0
    }

    /// Returns whether its hash was erased.
    pub fn is_erased(&self) -> bool {
        self.hash.is_none()
    }
}

/// What a restore compares of a user.
#[derive(Clone, Debug)]
pub struct UserRecord {
    /// Its name.
    pub username: String,
    /// Since when it is suspended.
    pub suspended_at: Option<Time>,
    /// When it expires.
    pub expires_at: Option<Time>,
    /// When it was created.
    pub created_at: Time,
    /// Its settings in its own row.
    pub own: OwnSettings,
    /// All its passwords.
    pub passwords: Vec<PasswordRecord>,
}

impl UserRecord {
    /// Returns the IDs of the passwords that were made when the user was.
    pub fn first_passwords(&self) -> impl Iterator<Item = &str> {
        let made = |password: &&PasswordRecord| password.created_at == self.created_at.epoch();
        self.passwords.iter().filter(made).map(|p| p.id.as_str())
    }
}

/// The settings of a user that are in its own row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnSettings {
    /// What it is for.
    pub label: Option<String>,
    /// The note about it.
    pub note: Option<String>,
    /// The most messages a day.
    pub daily_limit: Option<i64>,
    /// What happens at a limit.
    pub on_limit: Option<String>,
}

/// The tables that hold nothing but settings. The first column is the owner.
const SETTINGS: [&str; 7] = [
    "settings",
    "tags",
    "senders",
    "limits",
    "rotation_rules",
    "address_rules",
    "allowed_addresses",
];

/// Tables with rows of a user that comes back, and the column of its name. Tables that others
/// refer to come first.
const OF_USERS: [(&str, usize); 14] = [
    ("users", 0),
    ("passwords", 0),
    ("last_connections", 0),
    ("tags", 0),
    ("old_names", 1),
    ("senders", 0),
    ("limits", 0),
    ("limits_near", 0),
    ("recipients", 0),
    ("rotation_rules", 0),
    ("rotations", 0),
    ("address_rules", 0),
    ("allowed_addresses", 0),
    ("seen_addresses", 0),
];

impl CopiedTable {
    /// Returns the tables that hold nothing but settings.
    pub fn of_settings() -> impl Iterator<Item = &'static Self> {
        Self::named(&SETTINGS)
    }

    /// Returns the tables with rows of users, each with the column of the user's name.
    pub fn of_users() -> impl Iterator<Item = (&'static Self, usize)> {
        OF_USERS.iter().flat_map(|(name, column)| {
            Self::named(std::slice::from_ref(name)).map(|t| (t, *column))
        })
    }

    fn named(names: &'static [&'static str]) -> impl Iterator<Item = &'static Self> {
        let all: &'static [Self] = &Self::ALL;
        names
            .iter()
            .filter_map(|name| all.iter().find(|table| table.name == *name))
    }

    /// Returns whether a row of a table of settings is one: a network that a sign-in taught is
    /// not, nor is what a store knows about its own backups.
    pub fn is_setting(&self, row: &[OwnedArg]) -> bool {
        match (self.name, row) {
            ("allowed_addresses", [_, _, learned, ..]) => *learned == OwnedArg::Int(0),
            ("settings", [OwnedArg::Text(name), ..]) => {
                ![LAST_BACKUP, BACKUP_AT, INSTALLATION].contains(&name.as_str())
            }
            _ => true,
        }
    }

    fn delete(&self) -> &'static str {
        match self.name {
            "settings" => "DELETE FROM settings WHERE name = $1",
            "tags" => "DELETE FROM tags WHERE username = $1 AND key = $2",
            "senders" => "DELETE FROM senders WHERE username = $1 AND sender = $2",
            "limits" => "DELETE FROM limits WHERE owner = $1 AND kind = $2",
            "rotation_rules" => "DELETE FROM rotation_rules WHERE owner = $1",
            "address_rules" => "DELETE FROM address_rules WHERE owner = $1",
            _ => "DELETE FROM allowed_addresses WHERE owner = $1 AND network = $2",
        }
    }
}

impl Store {
    /// Returns the name of the user that is this many behind another one; `None` if there are
    /// not so many.
    pub fn username_behind(&mut self, after: &str, many: u32) -> Result<Option<String>> {
        const SQL: &str = "SELECT username FROM users WHERE username > $1
            ORDER BY username LIMIT 1 OFFSET $2";
        let mut found = None;
        self.engine
            .query(SQL, &[after.into(), many.into()], &mut |row| {
                found = Some(row.text(0)?.to_owned());
                Ok(())
            })?;
        Ok(found)
    }

    /// Returns the users after a name and up to another one, by name.
    pub fn user_records(&mut self, after: &str, last: &str) -> Result<Vec<UserRecord>> {
        const USERS: &str = "SELECT username, suspended_at, expires_at, created_at, label, note,
                daily_limit, on_limit
            FROM users WHERE username > $1 AND username <= $2 ORDER BY username";
        const PASSWORDS: &str = "SELECT username, password_id, hash, created_at, retires_at,
                imported, generated, temporary, label, networks
            FROM passwords WHERE username > $1 AND username <= $2 ORDER BY username, password_id";
        let args = [after.into(), last.into()];
        let mut users: Vec<UserRecord> = Vec::new();
        self.engine.query(USERS, &args, &mut |row| {
            users.push(read_user(row)?);
            Ok(())
        })?;
        let mut at = 0;
        self.engine.query(PASSWORDS, &args, &mut |row| {
            let name = row.text(0)?;
            while users
                .get(at)
                .is_some_and(|user| user.username.as_str() < name)
            {
                at += 1;
            }
            if let Some(user) = users.get_mut(at).filter(|user| user.username == name) {
                user.passwords.push(read_password(row)?);
            }
            Ok(())
        })?;
        Ok(users)
    }

    /// Returns the latest event: its number, and all of it in one text.
    pub fn latest_event(&mut self) -> Result<Option<(i64, String)>> {
        const SQL: &str = "SELECT max(id) FROM events";
        let mut latest = None;
        self.engine.query(SQL, &[], &mut |row| {
            latest = row.opt_int(0)?;
            Ok(())
        })?;
        let Some(latest) = latest else {
            return Ok(None);
        };
        Ok(self.event_in_words(latest)?.map(|words| (latest, words)))
    }

    /// Returns all of an event in one text; `None` if there is none of this number.
    pub fn event_in_words(&mut self, id: i64) -> Result<Option<String>> {
        const SQL: &str = "SELECT at, actor, host, action, domain, username, fields FROM events
            WHERE id = $1";
        let mut found = None;
        self.engine.query(SQL, &[id.into()], &mut |row| {
            let at = row.int(0)?.to_string();
            let mut words = vec![at.as_str()];
            for column in 1..7 {
                words.push(row.opt_text(column)?.unwrap_or_default());
            }
            found = Some(words.join("\n"));
            Ok(())
        })?;
        Ok(found)
    }

    /// Passes the users that were ever deleted to the callback, each with the time.
    pub fn deletions(&mut self, each: &mut dyn FnMut(&str, Time)) -> Result<()> {
        const SQL: &str = "SELECT username, at FROM events
            WHERE id > $1 AND id <= $2 AND action = 'user.delete' AND username IS NOT NULL";
        let last = self.last_event()?;
        let mut after = 0;
        // In pieces: a statement must not take too long.
        while after < last {
            let args = [after.into(), (after + BLOCK).into()];
            self.engine.query(SQL, &args, &mut |row| {
                each(row.text(0)?, row.time(1)?);
                Ok(())
            })?;
            after += BLOCK;
        }
        Ok(())
    }
}

fn read_user(row: &dyn Row) -> Result<UserRecord> {
    let text = |column| row.opt_text(column).map(|text| text.map(str::to_owned));
    Ok(UserRecord {
        username: row.text(0)?.to_owned(),
        suspended_at: row.opt_time(1)?,
        expires_at: row.opt_time(2)?,
        created_at: row.time(3)?,
        own: OwnSettings {
            label: text(4)?,
            note: text(5)?,
            daily_limit: row.opt_int(6)?,
            on_limit: text(7)?,
        },
        passwords: Vec::new(),
    })
}

fn read_password(row: &dyn Row) -> Result<PasswordRecord> {
    let text = |column| row.opt_text(column).map(|text| text.map(str::to_owned));
    Ok(PasswordRecord {
        id: row.text(1)?.to_owned(),
        hash: text(2)?,
        created_at: row.int(3)?,
        retires_at: row.opt_time(4)?,
        imported: text(5)?,
        generated: row.int(6)?,
        temporary: row.int(7)?,
        label: text(8)?,
        networks: text(9)?,
    })
}

/// How long a password works beside a newer one that was made since the backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beside {
    /// It stops once it was unused for this long, in seconds.
    pub unused: i64,
    /// It stops at this time at the latest.
    pub latest: Time,
}

impl Tx<'_> {
    /// Makes the settings in the row of a user these, and when it can sign in.
    pub fn put_user_back(
        &mut self,
        username: &Username,
        own: &OwnSettings,
        suspended_at: Option<Time>,
        expires_at: Option<Time>,
    ) -> Result<()> {
        const SQL: &str = "UPDATE users SET label = $2, note = $3, daily_limit = $4, on_limit = $5,
                suspended_at = $6, expires_at = $7,
                expiry_told = CASE WHEN expires_at = $7 THEN expiry_told ELSE NULL END
            WHERE username = $1";
        let args = [
            username.as_str().into(),
            own.label.as_deref().into(),
            own.note.as_deref().into(),
            own.daily_limit.into(),
            own.on_limit.as_deref().into(),
            suspended_at.into(),
            expires_at.into(),
        ];
        self.change_later(SQL, &args, Error::UserNotFound(username.to_string()))
    }

    /// Brings a password back to life: as it was, or beside a newer one.
    pub fn put_password_back(
        &mut self,
        username: &Username,
        password: &PasswordRecord,
        beside: Option<Beside>,
    ) -> Result<()> {
        const SQL: &str =
            "INSERT INTO passwords (username, password_id, hash, created_at, retires_at,
                retiring_since, retire_unused, retire_latest, imported, generated, temporary,
                label, networks)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
            ON CONFLICT (username, password_id) DO UPDATE SET hash = excluded.hash,
                retires_at = excluded.retires_at, retiring_since = excluded.retiring_since,
                retire_unused = excluded.retire_unused, retire_latest = excluded.retire_latest";
        let now = self.stamp.at;
        let until = beside.map(|beside| Time::from_epoch(now.epoch() + beside.unused));
        let args = [
            username.as_str().into(),
            password.id.as_str().into(),
            password.hash.as_deref().into(),
            password.created_at.into(),
            until.or(password.retires_at).into(),
            until.or(password.retires_at).map(|_| now).into(),
            beside.map(|beside| beside.unused).into(),
            beside.map(|beside| beside.latest).into(),
            password.imported.as_deref().into(),
            password.generated.into(),
            password.temporary.into(),
            password.label.as_deref().into(),
            password.networks.as_deref().into(),
        ];
        self.later(SQL, &args)
    }

    /// Erases the hash of a password that the backup knows to be stopped.
    pub fn stop_again(&mut self, username: &Username, password_id: &str) -> Result<()> {
        const SQL: &str = "UPDATE passwords SET hash = NULL,
                retires_at = CASE WHEN retires_at < $3 THEN retires_at ELSE $3 END
            WHERE username = $1 AND password_id = $2 AND hash IS NOT NULL";
        self.scrub = true;
        let args = [
            username.as_str().into(),
            password_id.into(),
            self.stamp.at.into(),
        ];
        self.later(SQL, &args)
    }

    /// Makes a domain what it was, without its verification, which is newer.
    pub fn put_domain_back(&mut self, row: &[OwnedArg]) -> Result<()> {
        const SQL: &str = "INSERT INTO domains (name, host, max_users, daily_limit, created_at,
                on_limit, verification_token, verified_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            ON CONFLICT (name) DO UPDATE SET host = excluded.host, max_users = excluded.max_users,
                daily_limit = excluded.daily_limit, on_limit = excluded.on_limit";
        let args: Vec<_> = row.iter().map(Arg::from).collect();
        self.later(SQL, &args)
    }

    /// Adds or replaces a row of settings.
    pub fn put_row_back(&mut self, table: &CopiedTable, row: &[OwnedArg]) -> Result<()> {
        self.remove_row(table, row)?;
        self.add_row(table, row)
    }

    /// Removes a row of settings.
    pub fn remove_row(&mut self, table: &CopiedTable, row: &[OwnedArg]) -> Result<()> {
        let key: Vec<_> = table.key(row).iter().map(Arg::from).collect();
        self.later(table.delete(), &key)
    }

    /// Deletes a user that the backup does not have.
    pub fn remove_new_user(&mut self, username: &Username) -> Result<()> {
        self.erase_user(username)
    }

    /// Deletes a domain that the backup does not have, and that has no users any more.
    pub fn remove_new_domain(&mut self, name: &DomainName) -> Result<()> {
        self.erase_domain(name)
    }

    /// Lets a user that comes back have its name, which may be an old one of another user that no
    /// longer works.
    pub fn free_name(&mut self, username: &Username) -> Result<()> {
        self.free_old_name(username)
    }

    /// Deletes all settings of the installation, before those of a backup are copied.
    pub fn forget_settings(&mut self) -> Result<()> {
        self.later("DELETE FROM settings", &[])
    }

    /// Returns the time of the change.
    pub const fn at(&self) -> Time {
        self.stamp.at
    }

    /// Ends a restore with its event.
    pub fn end_restore(&mut self, fields: &Fields) -> Result<()> {
        self.correct_user_total()?;
        self.put(BACKUP_AT, None)?;
        self.event(Action::StoreRestore, None, None, fields)
    }
}
