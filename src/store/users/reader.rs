//! Reads the users of a list piece by piece: by name, or in another order.

use std::vec::IntoIter;

use super::list::{last_sign_of_life, matching, of_holder};
use super::{UserFilter, tags};
use crate::error::{Error, Result};
use crate::model::name::{DomainName, Username};
use crate::model::time::Time;
use crate::model::user::User;
use crate::model::user_search::UserSort;
use crate::store::Store;
use crate::store::engine::Arg;
use crate::store::page::{PIECE, Page, Pieces};

/// A list of users that is being read.
pub struct UserReader<'a> {
    filter: &'a UserFilter,
    now: Time,
    place: Place,
}

/// What is read next.
enum Place {
    After(String, Pieces),
    Sorted(IntoIter<Username>),
}

/// The most users that are sorted: their names are held in memory.
const MOST_SORTED: u32 = 100_000;

/// Sorts after all names.
const END: &str = "\u{10ffff}";

/// Selects names and labels in the order of $11; rows without a key are the last ones.
macro_rules! sorted {
    ($domain:expr) => {
        concat!(
            "SELECT w.username, w.label FROM (SELECT u.username, u.label,
                CASE CAST($11 AS TEXT)
                    WHEN 'age' THEN (SELECT max(p.created_at) FROM passwords p
                        WHERE p.username = u.username AND p.hash IS NOT NULL
                            AND p.retires_at IS NULL)
                    WHEN 'used' THEN (SELECT -max(c.seen_at) FROM last_connections c
                        WHERE c.username = u.username)
                    WHEN 'expires' THEN u.expires_at
                    WHEN 'created' THEN -u.created_at
                END AS place
                FROM users u ",
            matching!($domain),
            ") w ORDER BY CASE WHEN w.place IS NULL THEN 1 ELSE 0 END, w.place, w.username
            LIMIT $8"
        )
    };
}

impl<'a> UserReader<'a> {
    /// Begins to read by name.
    pub fn by_name(filter: &'a UserFilter, page: &Page, now: Time) -> Self {
        Self {
            filter,
            now,
            place: Place::After(page.after.to_owned(), page.pieces()),
        }
    }

    /// Returns whether all users between the first and the last one of a piece are near in the
    /// store, too.
    pub const fn is_by_name(&self) -> bool {
        matches!(self.place, Place::After(..))
    }
}

impl Store {
    /// Begins to read in this order. Fails if more would have to be sorted than fit in memory.
    pub fn sorted_users<'a>(
        &mut self,
        filter: &'a UserFilter,
        sort: UserSort,
        page: &Page,
        now: Time,
    ) -> Result<UserReader<'a>> {
        if sort == UserSort::Name {
            return Ok(UserReader::by_name(filter, page, now));
        }
        let names = self.sorted_names(filter, sort, page.most, now)?;
        Ok(UserReader {
            filter,
            now,
            place: Place::Sorted(names.into_iter()),
        })
    }

    fn sorted_names(
        &mut self,
        filter: &UserFilter,
        sort: UserSort,
        limit: Option<u32>,
        now: Time,
    ) -> Result<Vec<Username>> {
        const OF_ALL: &str = sorted!("");
        const OF_DOMAIN: &str = sorted!("AND u.domain = $12");
        const OF_HOLDER: &str = sorted!(of_holder!("$12", "$13"));
        let most = limit.unwrap_or(MOST_SORTED + 1);
        let too_many = || {
            Error::Usage(format!(
                "--sort {} shows {MOST_SORTED} users at most: add --limit N",
                sort.name()
            ))
        };
        if limit.is_some_and(|limit| limit > MOST_SORTED) {
            return Err(too_many());
        }
        let wanted = usize::try_from(most).unwrap_or(usize::MAX);
        // Rows without the text are left out here.
        let rows = filter.text.as_ref().map_or(most, |_| u32::MAX);
        let domain = filter.domain.as_ref().map(DomainName::as_str);
        let wanted_tags = tags::wanted(&filter.tags);
        let mut args = filter.args(("", END), now, rows, &wanted_tags).to_vec();
        args.push(sort.name().into());
        let holder = self.lists_for().map(str::to_owned);
        let sql = match (&holder, domain) {
            (Some(holder), domain) => {
                args.extend([Arg::from(holder.as_str()), Arg::from(domain)]);
                OF_HOLDER
            }
            (None, Some(domain)) => {
                args.push(domain.into());
                OF_DOMAIN
            }
            (None, None) => OF_ALL,
        };
        let mut names = Vec::new();
        self.engine.query(sql, &args, &mut |row| {
            let text = filter.text.as_ref();
            let (name, label) = (row.text(0)?, row.opt_text(1)?);
            if names.len() < wanted && text.is_none_or(|text| text.matches(name, label)) {
                names.push(row.parsed(0)?);
            }
            Ok(())
        })?;
        if limit.is_none() && names.len() == wanted {
            return Err(too_many());
        }
        Ok(names)
    }

    /// Passes users to the callback by name. Not for use within a change.
    pub fn users(
        &mut self,
        filter: &UserFilter,
        page: &Page,
        now: Time,
        each: &mut dyn FnMut(User) -> Result<()>,
    ) -> Result<()> {
        let mut reader = UserReader::by_name(filter, page, now);
        loop {
            let users = self.next_users(&mut reader)?;
            if users.is_empty() {
                return Ok(());
            }
            // Nothing is being read now, so a slow callback blocks no writer.
            users.into_iter().try_for_each(&mut *each)?;
        }
    }

    /// Returns the next users of a list; none after the last one.
    pub fn next_users(&mut self, reader: &mut UserReader) -> Result<Vec<User>> {
        let UserReader { filter, now, place } = reader;
        match place {
            Place::After(after, pieces) => self.next_by_name(filter, after, pieces, *now),
            Place::Sorted(names) => self.next_sorted(names),
        }
    }

    fn next_by_name(
        &mut self,
        filter: &UserFilter,
        after: &mut String,
        pieces: &mut Pieces,
        now: Time,
    ) -> Result<Vec<User>> {
        let Some(most) = pieces.next() else {
            return Ok(Vec::new());
        };
        loop {
            let rows = filter.text.as_ref().map_or(most, |_| PIECE);
            let mut users = if filter.takes_all() && self.lists_for().is_none() {
                self.next_of_all(after, rows)?
            } else {
                self.next_that_match(filter, after, now, rows)?
            };
            let Some(last) = users.last() else {
                return Ok(users);
            };
            last.username.as_str().clone_into(after);
            if let Some(text) = &filter.text {
                users.retain(|user| text.finds(user));
                let most = usize::try_from(most).unwrap_or(usize::MAX);
                users.truncate(most);
            }
            if !users.is_empty() {
                // Fewer than asked for may match here, and more after them.
                pieces.read_some(users.len());
                return Ok(users);
            }
        }
    }

    fn next_sorted(&mut self, names: &mut IntoIter<Username>) -> Result<Vec<User>> {
        let piece = usize::try_from(PIECE).unwrap_or(usize::MAX);
        loop {
            let next: Vec<Username> = names.by_ref().take(piece).collect();
            let found = self.users_named(&next.iter().collect::<Vec<_>>())?;
            // Some may have been deleted since.
            let found: Vec<User> = found.into_iter().flatten().collect();
            if !found.is_empty() || next.is_empty() {
                return Ok(found);
            }
        }
    }
}
