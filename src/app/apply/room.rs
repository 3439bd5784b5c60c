//! Finds early whether new users can be created.

use crate::app::capacity::DomainCapacity;
use crate::app::taken;
use crate::error::{Error, Result};
use crate::model::name::Username;
use crate::model::time::Time;
use crate::store::Store;

/// Checks that each name is free and its domain has room.
pub fn have_room(store: &mut Store, names: &[&Username], now: Time) -> Result<Vec<Result<()>>> {
    let domains: Vec<_> = names.iter().map(|name| name.domain()).collect();
    let mut capacity = DomainCapacity::default();
    capacity.look_up(store, domains.iter())?;
    let users = store.users_named(names)?;
    let old_names = store.old_names_named(names)?;
    let found = users.into_iter().zip(old_names);
    let room = names.iter().zip(&domains).zip(found);
    let room = room.map(|((name, domain), found)| match found {
        (Some(_), _) => Err(Error::UserExists(name.to_string())),
        (None, Some(old)) => Err(taken(&old, now)),
        (None, None) => capacity.take(domain),
    });
    Ok(room.collect())
}
