//! All of a store, as rows, from one engine to another; and what may be done by whom.

use super::engine::{Arg, Row};
use super::{Store, Tx};
use crate::error::{Error, Result};
use crate::model::event::{Action, Fields};
use crate::model::location::Location;
use crate::model::role::Role;

/// A table with all its columns, in the order of its key.
pub struct Table {
    pub name: &'static str,
    /// A letter for each column: `t` for text, `i` for a number.
    kinds: &'static str,
    select: &'static str,
    count: &'static str,
    insert: &'static str,
}

macro_rules! table {
    ($name:literal, $kinds:literal, $columns:literal, $places:literal, $key:literal) => {
        Table {
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
        }
    };
}

impl Table {
    pub const DOMAINS: Self = table!(
        "domains",
        "ttiiitti",
        "name, host, max_users, daily_limit, created_at, on_limit, verification_token, verified_at",
        "$1, $2, $3, $4, $5, $6, $7, $8",
        "name"
    );

    pub const USERS: Self = table!(
        "users",
        "tttiiiiti",
        "username, domain, label, daily_limit, expires_at, suspended_at, created_at, on_limit,
            expiry_told",
        "$1, $2, $3, $4, $5, $6, $7, $8, $9",
        "username"
    );

    pub const EVENTS: Self = table!(
        "events",
        "iittttttt",
        "id, at, actor, run_as, host, action, domain, username, fields",
        "$1, $2, $3, $4, $5, $6, $7, $8, $9",
        "id"
    );

    /// Those that others refer to come first.
    pub const ALL: [Self; 14] = [
        Self::DOMAINS,
        Self::USERS,
        table!(
            "passwords",
            "tttiiiiit",
            "username, key_id, hash, created_at, retires_at, retiring_since, retire_unused,
                retire_latest, imported",
            "$1, $2, $3, $4, $5, $6, $7, $8, $9",
            "username, key_id"
        ),
        table!(
            "last_connections",
            "ttit",
            "username, key_id, seen_at, address",
            "$1, $2, $3, $4",
            "username, key_id"
        ),
        table!("settings", "tt", "name, value", "$1, $2", "name"),
        Self::EVENTS,
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
            "username, key_id, state, began_at, settles_at, reason, with_command, write_file,
                write_env, env_name",
            "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10",
            "username"
        ),
    ];
}

/// One value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Copied {
    Null,
    Int(i64),
    Text(String),
}

impl<'a> From<&'a Copied> for Arg<'a> {
    fn from(value: &'a Copied) -> Self {
        match value {
            Copied::Null => Self::Null,
            Copied::Int(number) => Self::Int(*number),
            Copied::Text(text) => Self::Text(text),
        }
    }
}

impl Store {
    /// How many rows a table has.
    pub fn count(&mut self, table: &Table) -> Result<u64> {
        let mut count = 0;
        self.engine.query(table.count, &[], &mut |row| {
            count = row.int(0)?.unsigned_abs();
            Ok(())
        })?;
        Ok(count)
    }

    /// All rows of a table, in constant memory.
    pub fn rows(
        &mut self,
        table: &Table,
        each: &mut dyn FnMut(Vec<Copied>) -> Result<()>,
    ) -> Result<()> {
        self.engine
            .query(table.select, &[], &mut |row| each(read(row, table.kinds)?))
    }
}

fn read(row: &dyn Row, kinds: &str) -> Result<Vec<Copied>> {
    let value = |(column, kind)| {
        Ok(match kind {
            'i' => row.opt_int(column)?.map_or(Copied::Null, Copied::Int),
            _ => row
                .opt_text(column)?
                .map_or(Copied::Null, |text| Copied::Text(text.to_owned())),
        })
    };
    kinds.chars().enumerate().map(value).collect()
}

impl Tx<'_> {
    /// As it was read from another store.
    pub fn add_row(&mut self, table: &Table, row: &[Copied]) -> Result<()> {
        let args: Vec<_> = row.iter().map(Arg::from).collect();
        match self.execute(table.insert, &args)? {
            1 => Ok(()),
            _ => Err(Error::Inconsistent(format!(
                "a row of {} was not taken",
                table.name
            ))),
        }
    }

    /// All rows are there.
    pub fn end_copy(&mut self, from: &Location, rows: u64) -> Result<()> {
        self.store.engine.number_on()?;
        let fields = Fields::default()
            .with("from", from.to_string())
            .with("rows", rows);
        self.event(Action::StoreCopy, None, None, &fields)
    }

    pub fn grant(&mut self, role: Role, to: &str) -> Result<()> {
        self.store.engine.grant(role, to)?;
        let fields = Fields::default().with("role", role.name()).with("to", to);
        self.event(Action::StoreGrant, None, None, &fields)
    }
}
