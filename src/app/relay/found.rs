//! What a running relay finds out, gathered until it is written down: who
//! signed in, who was refused, what was sent.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;

use super::{Accepted, Attempt};
use crate::model::name::Username;
use crate::model::password::{KeyId, Look, look};
use crate::model::refusal::{Reason, Refusals};
use crate::model::tally::Amount;
use crate::model::text;
use crate::model::time::Time;
use crate::store::Sent;

#[derive(Default)]
pub struct Found {
    /// By user: of each key when and from where it was last seen.
    pub seen: HashMap<Username, Vec<(KeyId, Time, Option<IpAddr>)>>,
    pub refused: HashMap<(String, String, Reason), Refusals>,
    /// What users sent, to add to their usage, by day.
    pub sent: HashMap<(Username, i64), Sent>,
    /// What was sent and is not in anybody's counts yet.
    pub uncounted: HashMap<(Username, Time), Amount>,
    /// Counted ahead, and handed back.
    pub returned: Vec<Returned>,
    /// Refusals that were too many to keep apart.
    pub lost: u64,
}

/// What was counted ahead, and is not held any more.
pub struct Returned {
    pub username: Username,
    /// What was not sent.
    pub left: Amount,
    /// All there was.
    pub held: Amount,
    pub at: Time,
}

/// How many kinds of refusals are kept apart until they are written, which is
/// every second.
const MOST_REFUSED: usize = 1000;
/// In characters.
const MAX_NAME: usize = 100;

impl Found {
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
            && self.refused.is_empty()
            && self.sent.is_empty()
            && self.uncounted.is_empty()
            && self.returned.is_empty()
    }

    pub fn signed_in(&mut self, accepted: Accepted, address: Option<IpAddr>, at: Time) {
        match self.seen.entry(accepted.username) {
            // Room for one: hardly anybody uses two keys within a second.
            Entry::Vacant(entry) => {
                entry.insert(vec![(accepted.key, at, address)]);
            }
            Entry::Occupied(mut entry) => {
                let seen = entry.get_mut();
                match seen.iter_mut().find(|(key, ..)| *key == accepted.key) {
                    Some(known) => (known.1, known.2) = (at, address),
                    None => seen.push((accepted.key, at, address)),
                }
            }
        }
    }

    /// Returns the user's name as it may be shown.
    pub fn refused(&mut self, attempt: &Attempt, reason: Reason, at: Time) -> String {
        let username = shown_name(attempt);
        let address = address_name(attempt.address);
        let key = (username.clone(), address.clone(), reason);
        if let Some(known) = self.refused.get_mut(&key) {
            known.count += 1;
            known.last_at = at;
        } else if self.refused.len() < MOST_REFUSED {
            let refusals = Refusals {
                username: username.clone(),
                address,
                reason,
                first_at: at,
                last_at: at,
                count: 1,
            };
            self.refused.insert(key, refusals);
        } else {
            self.lost += 1;
        }
        username
    }

    /// What changes counts, apart from the rest.
    #[must_use]
    pub fn take_counts(&mut self) -> Self {
        Self {
            uncounted: std::mem::take(&mut self.uncounted),
            returned: std::mem::take(&mut self.returned),
            ..Self::default()
        }
    }

    /// What is newer wins, what is counted adds up.
    pub fn merge(&mut self, newer: Self) {
        for (username, seen) in newer.seen {
            let known = self.seen.entry(username).or_default();
            known.retain(|(key, ..)| !seen.iter().any(|(newer, ..)| newer == key));
            known.extend(seen);
        }
        for (key, refusals) in newer.refused {
            if let Some(known) = self.refused.get_mut(&key) {
                known.count += refusals.count;
                known.last_at = refusals.last_at;
            } else if self.refused.len() < MOST_REFUSED {
                self.refused.insert(key, refusals);
            }
        }
        for (key, sent) in newer.sent {
            let sum = self.sent.entry(key).or_default();
            sum.amount = sum.amount.plus(sent.amount);
            sum.bytes += sent.bytes;
            sum.refusals += sent.refusals;
        }
        for (key, amount) in newer.uncounted {
            let sum = self.uncounted.entry(key).or_default();
            *sum = sum.plus(amount);
        }
        self.returned.extend(newer.returned);
    }
}

/// As it is written down and logged.
pub fn address_name(address: Option<IpAddr>) -> String {
    address.map_or_else(|| "unknown".to_owned(), |address| address.to_string())
}

/// What a stranger gave as a name. People type passwords into the wrong field,
/// and those are written nowhere (promise 1).
fn shown_name(attempt: &Attempt) -> String {
    if let Ok(username) = attempt.username.parse::<Username>() {
        return username.to_string();
    }
    let name = attempt.username.as_str();
    let like_a_password = look(name.as_bytes()) != Look::Chosen
        || name.as_bytes() == attempt.password.as_slice()
        || !name.contains('@');
    if like_a_password {
        return "(not a username)".into();
    }
    text::escaped(&name.chars().take(MAX_NAME).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(username: &str, password: &str) -> Attempt {
        Attempt {
            username: username.into(),
            password: password.as_bytes().to_vec().into(),
            address: None,
            secured: true,
        }
    }

    #[test]
    fn p1_a_password_in_the_wrong_field_is_written_nowhere() {
        let secret = "smtpc_pq7TQ3kyaYcLvg9ESC2p8PCueReR89";
        for (username, password) in [
            (secret, "x"),
            ("tr0ub4dor&3", "shop@example.com"),
            ("a@b", "a@b"),
        ] {
            assert_eq!(shown_name(&attempt(username, password)), "(not a username)");
        }
        assert_eq!(
            shown_name(&attempt("Shop@Example.com", "x")),
            "shop@example.com"
        );
        assert_eq!(shown_name(&attempt("a\n@b\u{1b}", "x")), r"a\u{a}@b\u{1b}");
    }

    #[test]
    fn refusals_are_bounded() {
        let mut found = Found::default();
        for n in 0..3000 {
            let _ = found.refused(
                &attempt(&format!("u{n}@x.org"), "x"),
                Reason::UnknownUser,
                Time::from_epoch(n),
            );
        }
        assert_eq!((found.refused.len(), found.lost), (MOST_REFUSED, 2000));
    }
}
