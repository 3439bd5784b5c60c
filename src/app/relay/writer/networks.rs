//! Writes from which networks users signed in, or were refused, and tells the admin what is
//! unusual about them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::renamed_users::RenamedUsers;
use crate::app::relay::pending_writes::{PendingWrites, RefusedAddress, SeenNetwork};
use crate::error::Result;
use crate::model::alert::{AlertKind, NewAlert};
use crate::model::duration::Duration;
use crate::model::name::Username;
use crate::model::network::Network;
use crate::model::password::PasswordId;
use crate::model::text::times;
use crate::model::time::Time;
use crate::store::Tx;

/// The time within which networks are many.
const MANY_WITHIN: Duration = Duration::HOUR;

/// A network of a user, as it was found since the last time.
struct Found<'a> {
    username: &'a Username,
    password_id: &'a PasswordId,
    network: &'a SeenNetwork,
    /// When it was used before, with any password.
    before: Option<Time>,
}

pub(super) fn write(
    tx: &mut Tx,
    pending: &PendingWrites,
    names: &RenamedUsers,
    now: Time,
) -> Result<()> {
    for ((username, _), refused) in &pending.refused_addresses {
        tx.raise(&refused_address(names.now(username), refused))?;
    }
    let found = look_up(tx, pending, names)?;
    let new = new_networks(tx, &found)?;
    for one in &found {
        tx.add_network_use(one.username, one.password_id, &one.network.used)?;
        if one.network.learn {
            tx.learn_network(one.username, one.network.used.network)?;
        }
    }
    for one in new {
        tx.raise(&new_address(one))?;
    }
    let grown = found.iter().filter(|one| one.before.is_none());
    let grown: BTreeSet<_> = grown.map(|one| one.username).collect();
    for username in grown {
        tx.forget_network_uses(username)?;
    }
    tell_of_many(tx, &found, now)
}

/// Returns what was found of networks that say something, in order: neighbours share a page.
fn look_up<'a>(
    tx: &mut Tx,
    pending: &'a PendingWrites,
    names: &'a RenamedUsers,
) -> Result<Vec<Found<'a>>> {
    if pending.seen.is_empty() {
        return Ok(Vec::new());
    }
    let ignored = tx.store().settings()?.ignore_addresses;
    let mut found = Vec::with_capacity(pending.seen.len());
    for (username, passwords) in &pending.seen {
        let username = names.now(username);
        for password in passwords {
            let says_something = |network: &&SeenNetwork| {
                let address = network.used.address;
                !ignored.iter().any(|ignored| ignored.contains(address))
            };
            let networks = password.networks.iter().filter(says_something);
            found.extend(networks.map(|network| Found {
                username,
                password_id: &password.id,
                network,
                before: None,
            }));
        }
    }
    found.sort_unstable_by_key(|one| (one.username, one.network.used.network));
    let keys: Vec<_> = found
        .iter()
        .map(|one| (one.username, one.network.used.network))
        .collect();
    let before = tx.store().last_network_uses(&keys)?;
    for (one, before) in found.iter_mut().zip(before) {
        one.before = before;
    }
    Ok(found)
}

/// Returns the networks to tell about: those that a user never used before, except for its very
/// first one.
fn new_networks<'a, 'b>(tx: &mut Tx, found: &'b [Found<'a>]) -> Result<Vec<&'b Found<'a>>> {
    let new = || found.iter().filter(|one| one.before.is_none());
    let mut users: Vec<_> = new().map(|one| one.username).collect();
    users.dedup();
    let known = tx.store().networks_since(&users, Time::from_epoch(0))?;
    let mut told: Vec<&Found> = Vec::new();
    for (username, known) in users.into_iter().zip(known) {
        let mut own: Vec<_> = new().filter(|one| one.username == username).collect();
        own.sort_by_key(|one| one.network.used.first_at);
        let first = own.first().map(|one| one.network.used.network);
        own.retain(|one| known > 0 || Some(one.network.used.network) != first);
        told.extend(own.into_iter().filter(|one| one.network.tell));
    }
    Ok(told)
}

/// Tells about users that sign in from many networks: where one of them was not used lately.
fn tell_of_many(tx: &mut Tx, found: &[Found], now: Time) -> Result<()> {
    let since = now.minus(MANY_WITHIN);
    let more = found
        .iter()
        .filter(|one| one.network.tell && one.before.is_none_or(|before| before < since));
    let users: BTreeSet<_> = more.map(|one| one.username).collect();
    let users: Vec<_> = users.into_iter().collect();
    if users.is_empty() {
        return Ok(());
    }
    let Some(many) = tx.store().alert_rules()?.per_hour(AlertKind::ManyAddresses) else {
        return Ok(());
    };
    let networks = tx.store().networks_since(&users, since)?;
    for (username, networks) in users.into_iter().zip(networks) {
        if networks > u64::from(many) {
            tx.raise(&many_addresses(username, networks))?;
        }
    }
    Ok(())
}

fn new_address(found: &Found) -> NewAlert {
    let (username, used) = (found.username, &found.network.used);
    let learned = if found.network.learn {
        " It was added to its allowed addresses."
    } else {
        ""
    };
    let text = format!(
        "{username} signed in from {} with the password {} at {}: it never used the network {} \
            before.{learned}",
        used.address, found.password_id, used.last_at, used.network
    );
    NewAlert {
        address: Some(used.address.to_string()),
        matter: used.network.to_string(),
        next: Some(format!("smtpcred user addresses {}", username.in_shell())),
        ..NewAlert::of_user(AlertKind::NewAddress, username, text)
    }
}

fn many_addresses(username: &Username, networks: u64) -> NewAlert {
    let text = format!("{username} signed in from {networks} networks within an hour.");
    NewAlert {
        next: Some(format!("smtpcred user addresses {}", username.in_shell())),
        ..NewAlert::of_user(AlertKind::ManyAddresses, username, text)
    }
}

fn refused_address(username: &Username, refused: &RefusedAddress) -> NewAlert {
    let shell = username.in_shell();
    let from = refused.address.map_or_else(
        || "a client whose address is unknown".to_owned(),
        |address| address.to_string(),
    );
    let (times, since) = (times(refused.count.unsigned_abs()), refused.first_at);
    let whose = if refused.has_networks {
        "A temporary password"
    } else {
        "The right password"
    };
    let text = format!(
        "{whose} of {username} came from {from}, which is not allowed. It was refused \
            {times} since {since}."
    );
    let next = match refused.address {
        _ if refused.has_networks => format!("smtpcred user show {shell}"),
        Some(address) => format!("smtpcred user allow {shell} {}", Network::single(address)),
        None => format!("smtpcred user set {shell} --unknown-address alert"),
    };
    let network = refused.address.map(Network::group);
    NewAlert {
        address: refused.address.as_ref().map(IpAddr::to_string),
        matter: network.map_or_else(|| "unknown".to_owned(), |network| network.to_string()),
        next: Some(next),
        ..NewAlert::of_user(AlertKind::RefusedAddress, username, text)
    }
}
