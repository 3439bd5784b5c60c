//! Copies all rows of a store to another engine; grants rights.

use super::engine::{Arg, OwnedArg, Row};
use super::{Store, Tx};
use crate::error::{Error, Result};
use crate::model::event::{Action, Fields};
use crate::model::role::Role;
use crate::model::store_location::Location;

/// A table with all its columns, in the order of its key.
pub struct CopiedTable {
    /// Its name in both engines.
    pub name: &'static str,
    /// A letter for each column: `t` for text, `i` for a number.
    kinds: &'static str,
    select: &'static str,
    count: &'static str,
    insert: &'static str,
    /// Its columns come first.
    key: &'static str,
}

macro_rules! table {
    ($name:literal, $kinds:literal, $columns:literal, $places:literal, $key:literal) => {
        CopiedTable {
            name: $name,
            kinds: $kinds,
            select: concat!("SELECT ", $columns, " FROM ", $name, " ORDER BY ", $key),
            count: concat!("SELECT count(*) FROM ", $name),
            insert: concat!(
                "INSERT INTO ",
                $name,
                " (",
                $columns,
                ") VALUES (",
                $places,
                ")"
            ),
            key: $key,
        }
    };
}

impl CopiedTable {
    /// The domains.
    pub const DOMAINS: Self = table!(
        "domains",
        "ttiiitti",
        "name, host, max_users, daily_limit, created_at, on_limit, verification_token, verified_at",
        "$1, $2, $3, $4, $5, $6, $7, $8",
        "name"
    );

    /// The users.
    pub const USERS: Self = table!(
        "users",
        "tttiiiititt",
        "username, domain, label, daily_limit, expires_at, suspended_at, created_at, on_limit,
            expiry_told, note, digest_name",
        "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11",
        "username"
    );

    /// The audit trail.
    pub const EVENTS: Self = table!(
        "events",
        "iitttttttt",
        "id, at, actor, run_as, host, action, domain, username, fields, hash",
        "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10",
        "id"
    );

    /// Tables that others refer to come first. Derived tables are not copied.
    pub const ALL: [Self; 26] = [
        Self::DOMAINS,
        Self::USERS,
        table!(
            "passwords",
            "tttiiiiitiitt",
            "username, password_id, hash, created_at, retires_at, retiring_since, retire_unused,
                retire_latest, imported, generated, temporary, label, networks",
            "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13",
            "username, password_id"
        ),
        table!(
            "last_connections",
            "ttitiii",
            "username, password_id, seen_at, address, sent_at, messages, recipients",
            "$1, $2, $3, $4, $5, $6, $7",
            "username, password_id"
        ),
        table!(
            "tags",
            "ttt",
            "username, key, value",
            "$1, $2, $3",
            "username, key"
        ),
        table!(
            "old_names",
            "ttii",
            "old_name, username, renamed_at, until",
            "$1, $2, $3, $4",
            "old_name"
        ),
        table!("settings", "tt", "name, value", "$1, $2", "name"),
        Self::EVENTS,
        table!(
            "event_marks",
            "titi",
            "mark, event, hash, at",
            "$1, $2, $3, $4",
            "mark"
        ),
        table!(
            "senders",
            "tt",
            "username, sender",
            "$1, $2",
            "username, sender"
        ),
        table!(
            "limits",
            "tti",
            "owner, kind, most",
            "$1, $2, $3",
            "owner, kind"
        ),
        table!(
            "counts",
            "ttiiii",
            "owner, span, at, messages, recipients, new_recipients",
            "$1, $2, $3, $4, $5, $6",
            "owner, span, at"
        ),
        table!("limits_near", "tt", "owner, kind", "$1, $2", "owner, kind"),
        table!(
            "recipients",
            "tti",
            "username, digest, first_at",
            "$1, $2, $3",
            "username, digest"
        ),
        table!(
            "usage",
            "titiiii",
            "username, day, domain, messages, recipients, bytes, refusals",
            "$1, $2, $3, $4, $5, $6, $7",
            "username, day"
        ),
        table!(
            "failures",
            "tttiii",
            "username, address, reason, first_at, last_at, count",
            "$1, $2, $3, $4, $5, $6",
            "username, address, reason"
        ),
        table!(
            "rotation_rules",
            "titttti",
            "owner, every, command, write_file, write_env, env_name, timeout",
            "$1, $2, $3, $4, $5, $6, $7",
            "owner"
        ),
        table!(
            "rotations",
            "tttiitittt",
            "username, password_id, state, began_at, settles_at, reason, with_command, write_file,
                write_env, env_name",
            "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10",
            "username"
        ),
        table!(
            "address_rules",
            "tttii",
            "owner, addresses, unknown_address, learn, learning_since",
            "$1, $2, $3, $4, $5",
            "owner"
        ),
        table!(
            "allowed_addresses",
            "ttii",
            "owner, network, learned, added_at",
            "$1, $2, $3, $4",
            "owner, network"
        ),
        table!(
            "seen_addresses",
            "ttttiii",
            "username, password_id, network, address, first_at, last_at, sign_ins",
            "$1, $2, $3, $4, $5, $6, $7",
            "username, network, password_id"
        ),
        table!(
            "alerts",
            "iiitttttttiit",
            "id, at, last_at, kind, domain, username, address, matter, text, next, more, acked_at,
                acked_by",
            "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13",
            "id"
        ),
        table!(
            "alert_deliveries",
            "itiiit",
            "alert, way, tries, next_at, sent_at, reason",
            "$1, $2, $3, $4, $5, $6",
            "alert, way"
        ),
        table!(
            "session_ends",
            "iitttt",
            "id, at, domain, username, password_id, network",
            "$1, $2, $3, $4, $5, $6",
            "id"
        ),
        table!(
            "roles",
            "ttttiiii",
            "holder, role, reach, username, granted_at, hourly_changes, hour_from, changes",
            "$1, $2, $3, $4, $5, $6, $7, $8",
            "holder"
        ),
        table!(
            "role_domains",
            "tt",
            "holder, domain",
            "$1, $2",
            "holder, domain"
        ),
    ];
}

impl CopiedTable {
    /// Returns the part of a row that names it.
    pub fn key<'a>(&self, row: &'a [OwnedArg]) -> &'a [OwnedArg] {
        let columns = self.key.split(", ").count();
        row.get(..columns).unwrap_or(row)
    }
}

impl Store {
    /// Returns how many rows a table has.
    pub fn count(&mut self, table: &CopiedTable) -> Result<u64> {
        let mut count = 0;
        self.engine.query(table.count, &[], &mut |row| {
            count = row.int(0)?.unsigned_abs();
            Ok(())
        })?;
        Ok(count)
    }

    /// Passes all rows of a table to the callback, in constant memory.
    pub fn rows(
        &mut self,
        table: &CopiedTable,
        each: &mut dyn FnMut(Vec<OwnedArg>) -> Result<()>,
    ) -> Result<()> {
        self.engine
            .query(table.select, &[], &mut |row| each(read(row, table.kinds)?))
    }
}

fn read(row: &dyn Row, kinds: &str) -> Result<Vec<OwnedArg>> {
    let value = |(column, kind)| {
        Ok(match kind {
            'i' => row.opt_int(column)?.map_or(OwnedArg::Null, OwnedArg::Int),
            _ => row
                .opt_text(column)?
                .map_or(OwnedArg::Null, |text| OwnedArg::Text(text.to_owned())),
        })
    };
    kinds.chars().enumerate().map(value).collect()
}

impl Tx<'_> {
    /// Adds a row that was read from another store.
    pub fn add_row(&mut self, table: &CopiedTable, row: &[OwnedArg]) -> Result<()> {
        let args: Vec<_> = row.iter().map(Arg::from).collect();
        let refused = Error::Inconsistent(format!("a row of {} was not taken", table.name));
        self.change_later(table.insert, &args, refused)
    }

    /// Ends a copy: derives what is not copied, and writes its event.
    pub fn end_copy(&mut self, from: &Location, rows: u64) -> Result<()> {
        self.derive()?;
        let fields = Fields::default()
            .with("from", from.to_string())
            .with("rows", rows);
        self.event(Action::StoreCopy, None, None, &fields)
    }

    /// Derives what is not copied from what is.
    pub fn derive(&mut self) -> Result<()> {
        self.store.engine.number_on()?;
        self.read_chain_end_again();
        self.sum_later_days()?;
        self.correct_user_total()
    }

    /// Gives a database user the rights of a role in place of its former ones. Returns an error for a file.
    pub fn grant(&mut self, role: Role, to: &str) -> Result<()> {
        self.store.engine.grant(role, to)?;
        let fields = Fields::default().with("role", role.name()).with("to", to);
        self.event(Action::StoreGrant, None, None, &fields)
    }
}
