//! From which networks each password was used.

use std::net::IpAddr;

use super::engine::{Row, add};
use super::{Store, Tx};
use crate::error::Result;
use crate::model::address_rules::MOST_SEEN;
use crate::model::name::Username;
use crate::model::network::Network;
use crate::model::password::PasswordId;
use crate::model::time::Time;

/// Good sign-ins with one password from one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkUse {
    /// The network: a /24 or a /64.
    pub network: Network,
    /// The last address in it.
    pub address: IpAddr,
    /// The first sign-in.
    pub first_at: Time,
    /// The last sign-in.
    pub last_at: Time,
    /// How many there were.
    pub sign_ins: i64,
}

impl Store {
    /// Returns what is known of the networks of a user, each with the password, by network.
    pub fn network_uses(&mut self, username: &Username) -> Result<Vec<(PasswordId, NetworkUse)>> {
        const SQL: &str = "SELECT password_id, network, address, first_at, last_at, sign_ins
            FROM seen_addresses WHERE username = $1 ORDER BY network, password_id";
        let mut found = Vec::new();
        self.engine
            .query(SQL, &[username.as_str().into()], &mut |row| {
                found.push((PasswordId::stored(row.text(0)?.to_owned()), read(row)?));
                Ok(())
            })?;
        Ok(found)
    }

    /// Returns when each user last used a network, with any password; `None` if it never did.
    pub fn last_network_uses(&mut self, of: &[(&Username, Network)]) -> Result<Vec<Option<Time>>> {
        const SQL: &str = "SELECT max(last_at) FROM seen_addresses
            WHERE username = $1 AND network = $2";
        let networks: Vec<_> = of.iter().map(|(_, network)| network.to_string()).collect();
        let args = of.iter().zip(&networks);
        let args: Vec<_> = args
            .map(|((username, _), network)| vec![username.as_str().into(), network.as_str().into()])
            .collect();
        let mut found = vec![None; of.len()];
        self.engine.query_each(SQL, &args, &mut |number, row| {
            found[number] = row.opt_int(0)?.map(Time::from_epoch);
            Ok(())
        })?;
        Ok(found)
    }

    /// Returns how many networks each user has used since a time.
    pub fn networks_since(&mut self, usernames: &[&Username], since: Time) -> Result<Vec<u64>> {
        const SQL: &str = "SELECT count(DISTINCT network) FROM seen_addresses
            WHERE username = $1 AND last_at >= $2";
        let args: Vec<_> = usernames
            .iter()
            .map(|username| vec![username.as_str().into(), since.into()])
            .collect();
        let mut counts = vec![0; usernames.len()];
        self.engine.query_each(SQL, &args, &mut |number, row| {
            counts[number] = row.int(0)?.unsigned_abs();
            Ok(())
        })?;
        Ok(counts)
    }
}

fn read(row: &dyn Row) -> Result<NetworkUse> {
    Ok(NetworkUse {
        network: row.parsed(1)?,
        address: row.parsed(2)?,
        first_at: row.time(3)?,
        last_at: row.time(4)?,
        sign_ins: row.int(5)?,
    })
}

// Measured, not changed by an admin: no events.
impl Tx<'_> {
    /// Adds good sign-ins from a network to those before. Changes nothing if the password is
    /// gone.
    pub fn add_network_use(
        &mut self,
        username: &Username,
        password_id: &PasswordId,
        found: &NetworkUse,
    ) -> Result<()> {
        const SQL: &str = concat!(
            "INSERT INTO seen_addresses
                (username, password_id, network, address, first_at, last_at, sign_ins)
            SELECT username, password_id, $3, $4, $5, $6, $7
            FROM passwords WHERE username = $1 AND password_id = $2
            ON CONFLICT (username, network, password_id) DO UPDATE
                SET address = excluded.address, last_at = excluded.last_at,
                first_at = CASE WHEN seen_addresses.first_at > excluded.last_at
                    THEN excluded.first_at ELSE seen_addresses.first_at END, ",
            add!("seen_addresses", "sign_ins")
        );
        let (network, address) = (found.network.to_string(), found.address.to_string());
        let args = [
            username.as_str().into(),
            password_id.as_str().into(),
            network.as_str().into(),
            address.as_str().into(),
            found.first_at.into(),
            found.last_at.into(),
            found.sign_ins.into(),
        ];
        self.later(SQL, &args)
    }

    /// Forgets the networks that a user has not used for the longest time, beyond
    /// [`MOST_SEEN`].
    pub fn forget_network_uses(&mut self, username: &Username) -> Result<()> {
        const SQL: &str = "DELETE FROM seen_addresses WHERE username = $1 AND network IN
            (SELECT network FROM seen_addresses WHERE username = $1
                GROUP BY network ORDER BY max(last_at) DESC, network LIMIT 1000000 OFFSET $2)";
        self.later(SQL, &[username.as_str().into(), MOST_SEEN.into()])
    }
}
