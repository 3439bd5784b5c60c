//! What a running relay still has to write to the store: last connections, refused sign-ins,
//! usage, counts.

mod refused_address;
mod seen_password;
mod uncounted;

use std::collections::HashMap;
use std::net::IpAddr;

pub use refused_address::RefusedAddress;
pub use seen_password::{SeenNetwork, SeenPassword, SignIn};
use uncounted::add_uncounted;

use crate::model::name::Username;
use crate::model::network::Network;
use crate::model::password::PasswordId;
use crate::model::refused_sign_ins::{RefusalReason, RefusedSignIns};
use crate::model::stranger::WrittenName;
use crate::model::time::Time;
use crate::model::usage_window::Count;
use crate::model::user::SentMail;
use crate::store::DailyUsage;

/// What is still to be written to the store.
#[derive(Default)]
pub struct PendingWrites {
    /// By user: when and from where each of its passwords was last used.
    pub seen: HashMap<Username, Vec<SeenPassword>>,
    /// By user: what was sent with each of its passwords.
    pub sent_with: HashMap<Username, Vec<(PasswordId, SentMail)>>,
    /// Refused sign-ins, by name, address and reason.
    pub refused: HashMap<(WrittenName, String, RefusalReason), RefusedSignIns>,
    /// What users sent, to add to their usage, by day.
    pub sent: HashMap<(Username, i64), DailyUsage>,
    /// What users without limits sent, to add to their counts.
    pub uncounted: HashMap<(Username, Time), Count>,
    /// To whom users sent whose new recipients no limit counts, by user and digest, and when.
    pub recipients: HashMap<(Username, u128), Time>,
    /// Counts and leases to release.
    pub releases: Vec<Release>,
    /// Right passwords that were refused because of their address, by user and network.
    pub refused_addresses: HashMap<(Username, Option<Network>), RefusedAddress>,
    /// Refusals that were too many to keep apart.
    pub lost: u64,
}

/// A lease that has ended, or the charge of an answer that did not arrive.
pub struct Release {
    /// The user whose count it is.
    pub username: Username,
    /// What was counted and not sent.
    pub left: Count,
    /// The whole lease; nothing for a charge.
    pub held: Count,
    /// The new recipients of messages that were not sent.
    pub new_recipients: Vec<u128>,
    /// The time under which it was counted.
    pub at: Time,
}

/// How many recipients are kept: they are only for alerts, and the next message to one that is
/// forgotten brings it back.
const MOST_RECIPIENTS: usize = 100_000;

/// How many kinds of refusals are kept apart until they are written, which is
/// every second.
const MOST_REFUSED: usize = 1000;
impl PendingWrites {
    /// Returns whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
            && self.sent_with.is_empty()
            && self.refused.is_empty()
            && self.refused_addresses.is_empty()
            && self.sent.is_empty()
            && self.uncounted.is_empty()
            && self.recipients.is_empty()
            && self.releases.is_empty()
    }

    /// Records that a user signed in with this password.
    pub fn signed_in(&mut self, username: Username, id: PasswordId, one: &SignIn) {
        // Room for one: few users sign in with two passwords within a second.
        let seen = self
            .seen
            .entry(username)
            .or_insert_with(|| Vec::with_capacity(1));
        let known = seen.iter().position(|known| known.id == id);
        let known = known.unwrap_or_else(|| {
            seen.push(SeenPassword::new(id, one));
            seen.len() - 1
        });
        if let Some(password) = seen.get_mut(known) {
            password.add(one);
        }
    }

    /// Records the right password of a user from an address that is not allowed.
    pub fn refused_address(&mut self, username: Username, address: Option<IpAddr>, at: Time) {
        self.refused_elsewhere(username, RefusedAddress::new(address, at));
    }

    /// Does the same with all that is known of it.
    pub fn refused_elsewhere(&mut self, username: Username, refused: RefusedAddress) {
        let key = (username, refused.address.map(Network::group));
        self.merge_refused_address(key, refused);
    }

    fn merge_refused_address(&mut self, key: (Username, Option<Network>), newer: RefusedAddress) {
        if let Some(known) = self.refused_addresses.get_mut(&key) {
            known.merge(&newer);
        } else if self.refused_addresses.len() < MOST_REFUSED {
            self.refused_addresses.insert(key, newer);
        }
    }

    /// Records that a user sent something with this password.
    pub fn sent_with(&mut self, username: &Username, password_id: &PasswordId, sent: &SentMail) {
        if let Some(known) = self.sent_with_password(username, password_id) {
            known.add(sent);
            return;
        }
        let known = self.sent_with.entry(username.clone()).or_default();
        known.push((password_id.clone(), *sent));
    }

    /// Records to whom a user sent, with the time in minutes.
    pub fn sent_to(&mut self, username: &Username, digest: u128, at: Time) {
        if self.recipients.len() < MOST_RECIPIENTS {
            let at = Time::from_epoch(at.epoch() - at.epoch().rem_euclid(60));
            let key = (username.clone(), digest);
            self.recipients.entry(key).or_insert(at);
        }
    }

    /// Takes back what did not arrive, if it is not written yet.
    pub fn not_sent_with(&mut self, username: &Username, password_id: &PasswordId, amount: Count) {
        if let Some(known) = self.sent_with_password(username, password_id) {
            known.messages = known.messages.saturating_sub(amount.messages.into());
            known.recipients = known.recipients.saturating_sub(amount.recipients.into());
        }
    }

    fn sent_with_password(
        &mut self,
        username: &Username,
        password_id: &PasswordId,
    ) -> Option<&mut SentMail> {
        let mut known = self.sent_with.get_mut(username)?.iter_mut();
        known
            .find(|(id, _)| id == password_id)
            .map(|(_, known)| known)
    }

    /// Records a refused sign-in. Beyond a bound it is only counted as lost.
    pub fn refused(
        &mut self,
        username: &WrittenName,
        address: Option<IpAddr>,
        reason: RefusalReason,
        at: Time,
    ) {
        let address = address_name(address);
        let key = (username.clone(), address.clone(), reason);
        if let Some(known) = self.refused.get_mut(&key) {
            known.count = known.count.saturating_add(1);
            known.last_at = at;
        } else if self.refused.len() < MOST_REFUSED {
            let refusals = RefusedSignIns {
                username: username.clone(),
                address,
                reason,
                first_at: at,
                last_at: at,
                count: 1,
            };
            self.refused.insert(key, refusals);
        } else {
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// Takes what changes counts and leaves the rest.
    #[must_use]
    pub fn take_counts(&mut self) -> Self {
        Self {
            uncounted: std::mem::take(&mut self.uncounted),
            releases: std::mem::take(&mut self.releases),
            ..Self::default()
        }
    }

    /// Returns the number of facts it holds.
    pub fn things(&self) -> usize {
        self.seen.len()
            + self.sent_with.len()
            + self.refused.len()
            + self.refused_addresses.len()
            + self.sent.len()
            + self.uncounted.len()
            + self.recipients.len()
            + self.releases.len()
    }

    /// Divides it into two parts of about the same size.
    pub fn halves(self) -> [Self; 2] {
        let mut halves = [Self::default(), Self::default()];
        let mut turn = (0..2).cycle();
        let mut next = || turn.next().unwrap_or(0);
        for (key, seen) in self.seen {
            halves[next()].seen.insert(key, seen);
        }
        for (key, sent) in self.sent_with {
            halves[next()].sent_with.insert(key, sent);
        }
        for (key, refusals) in self.refused {
            halves[next()].refused.insert(key, refusals);
        }
        for (key, refused) in self.refused_addresses {
            halves[next()].refused_addresses.insert(key, refused);
        }
        for (key, sent) in self.sent {
            halves[next()].sent.insert(key, sent);
        }
        for (key, amount) in self.uncounted {
            halves[next()].uncounted.insert(key, amount);
        }
        for (key, at) in self.recipients {
            halves[next()].recipients.insert(key, at);
        }
        for release in self.releases {
            halves[next()].releases.push(release);
        }
        halves
    }

    /// Describes it for the log if it holds a single fact.
    pub fn what(&self) -> String {
        if let Some(username) = self.seen.keys().next() {
            return format!("the last sign-in of {username}");
        }
        if let Some((username, _)) = self.refused_addresses.keys().next() {
            return format!("the refused address of {username}");
        }
        if let Some(username) = self.sent_with.keys().next() {
            return format!("what {username} sent with its password");
        }
        if let Some((username, _)) = self.sent.keys().next() {
            return format!("the usage of {username}");
        }
        if let Some((username, _)) = self.recipients.keys().next() {
            return format!("a recipient of {username}");
        }
        let uncounted = self.uncounted.keys().map(|(username, _)| username);
        let release = self.releases.iter().map(|release| &release.username);
        match uncounted.chain(release).next() {
            Some(username) => format!("the mail sent by {username}"),
            None => "a refused sign-in".into(),
        }
    }

    /// Adds newer findings: the latest connection wins, numbers are summed.
    pub fn merge(&mut self, mut newer: Self) {
        if self.seen.is_empty() {
            // The usual case: earlier findings are written already.
            self.seen = std::mem::take(&mut newer.seen);
        }
        for (username, seen) in newer.seen {
            let known = self.seen.entry(username).or_default();
            for newer in seen {
                match known.iter_mut().find(|known| known.id == newer.id) {
                    Some(known) => known.merge(newer),
                    None => known.push(newer),
                }
            }
        }
        for (key, refused) in newer.refused_addresses {
            self.merge_refused_address(key, refused);
        }
        for (username, sent) in newer.sent_with {
            for (password_id, sent) in sent {
                self.sent_with(&username, &password_id, &sent);
            }
        }
        for (key, refusals) in newer.refused {
            if let Some(known) = self.refused.get_mut(&key) {
                known.count = known.count.saturating_add(refusals.count);
                known.last_at = refusals.last_at;
            } else if self.refused.len() < MOST_REFUSED {
                self.refused.insert(key, refusals);
            }
        }
        for (key, sent) in newer.sent {
            let sum = self.sent.entry(key).or_default();
            sum.amount = sum.amount.saturating_add(sent.amount);
            sum.bytes = sum.bytes.saturating_add(sent.bytes);
            sum.refusals = sum.refusals.saturating_add(sent.refusals);
        }
        add_uncounted(&mut self.uncounted, newer.uncounted);
        for ((username, digest), at) in newer.recipients {
            self.sent_to(&username, digest, at);
        }
        self.releases.extend(newer.releases);
    }
}

/// Returns an address as it is written and logged; `unknown` without one.
pub fn address_name(address: Option<IpAddr>) -> String {
    address.map_or_else(|| "unknown".to_owned(), |address| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_complete_and_smaller() {
        let mut found = PendingWrites::default();
        let user: Username = "shop@example.com".parse().unwrap();
        let days = 0..5;
        for day in days.clone() {
            found
                .sent
                .insert((user.clone(), day), DailyUsage::default());
        }
        let amount = Count::default();
        found.uncounted.insert((user, Time::from_epoch(0)), amount);
        let mut pieces = vec![found];
        let mut single = Vec::new();
        while let Some(piece) = pieces.pop() {
            if piece.things() > 1 {
                pieces.extend(piece.halves());
            } else {
                single.push(piece);
            }
        }
        assert_eq!(single.len(), 6);
        let mut sent: Vec<_> = single.iter().flat_map(|one| one.sent.keys()).collect();
        sent.sort();
        assert!(sent.iter().map(|(_, day)| *day).eq(days));
    }

    #[test]
    fn refusals_are_bounded() {
        let mut found = PendingWrites::default();
        for n in 0..3000 {
            found.refused(
                &WrittenName::shown(&format!("u{n}@x.org")),
                None,
                RefusalReason::UnknownUser,
                Time::from_epoch(n),
            );
        }
        assert_eq!((found.refused.len(), found.lost), (MOST_REFUSED, 2000));
    }
}
