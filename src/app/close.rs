//! The case of a stolen password: what is known, and how it is closed.

use super::addresses::UserNetwork;
use super::sessions::OpenSessions;
use super::users::need_same;
use super::{App, need_user};
use crate::error::Result;
use crate::model::address_rules::AddressPolicy;
use crate::model::delivery::Destination;
use crate::model::known_networks::KnownNetworks;
use crate::model::name::Username;
use crate::model::network::Network;
use crate::model::note::Note;
use crate::model::password::PasswordId;
use crate::model::rotation::RotationRules;
use crate::model::session::SessionEnd;
use crate::model::since::Since;
use crate::model::time::Time;
use crate::model::user::User;
use crate::store::UserClose;

/// What is known of a user whose password may be stolen.
#[derive(Debug)]
pub struct StolenCase {
    /// The user, as it was.
    pub user: User,
    /// When this was looked up.
    pub at: Time,
    /// Its open sessions.
    pub open: OpenSessions,
    /// New recipients are counted since then.
    pub since: Time,
    /// To how many it sent for the first time; `None` if that is not recorded.
    pub new_recipients: Option<u64>,
    /// Where a new password would go; `None` if that is not set.
    pub destination: Option<Destination>,
    /// The networks it signed in from, the last used one first.
    pub used: Vec<UserNetwork>,
    /// What holds for its addresses.
    pub policy: AddressPolicy,
    /// From where it may sign in afterwards; `None` if that stays as it is.
    pub kept: Option<Vec<Network>>,
}

impl StolenCase {
    /// Returns the passwords that may be stolen: those that work.
    pub fn stolen(&self) -> Vec<PasswordId> {
        let all = self.user.all_passwords();
        let live = all.filter(|password| password.is_live(self.at));
        live.map(|password| password.id.clone()).collect()
    }

    /// Returns whether its application would go on with a new password.
    pub fn can_be_rotated(&self) -> bool {
        self.destination.is_some() && self.user.status(self.at).can_sign_in()
    }
}

impl App {
    /// Looks up what is known of a user whose password may be stolen.
    pub fn stolen_case(
        &mut self,
        username: &Username,
        since: Since,
        known: Option<&KnownNetworks>,
    ) -> Result<StolenCase> {
        let at = self.now().plausible()?;
        let user = need_user(&mut self.store, username, at)?;
        let which = SessionEnd {
            username: Some(username.clone()),
            ..SessionEnd::default()
        };
        let open = self.open_sessions(&which)?;
        let since = since.at(at);
        let rules = self.store.sending_rules(username)?;
        let is_recorded = rules.is_some_and(|rules| rules.records_recipients());
        let new_recipients = if is_recorded {
            Some(self.store.new_recipients_since(username, since)?)
        } else {
            None
        };
        let mut seen = self.user_addresses(username)?;
        seen.networks.retain(|network| network.used.is_some());
        let own = self.store.address_rules(username)?;
        let kept = known.map(|known| known.kept(&own[0], &first_uses(&seen.networks)));
        let rules = self.store.all_rotation_rules_of(&[username])?.pop();
        let destination = rules.map(|rules| RotationRules::nearest(rules).delivery);
        Ok(StolenCase {
            user,
            at,
            open,
            since,
            new_recipients,
            destination: destination.filter(|destination| !destination.is_empty()),
            used: seen.networks,
            policy: seen.policy,
            // With nothing in any list, its owner could not sign in, either.
            kept: kept.filter(|kept| {
                !kept.is_empty() || own[1..].iter().any(|wider| !wider.allowed.is_empty())
            }),
        })
    }

    /// Closes a case: stops the stolen passwords because a new one was delivered, or suspends
    /// the user. Ends the sessions in both cases, and allows only the networks that are kept.
    /// Returns the user.
    pub fn close_user(
        &mut self,
        case: &StolenCase,
        new: Option<&PasswordId>,
        reason: Option<&Note>,
        known: Option<&KnownNetworks>,
    ) -> Result<User> {
        let username = &case.user.username;
        let now = self.now();
        let is_known = case.open.relays > 0 && case.open.silent.is_empty();
        let mut tx = self.begin()?;
        need_same(tx.store(), &case.user, now)?;
        let rules = tx.store().address_rules(username)?;
        let addresses = known.zip(case.kept.clone()).map(|(known, kept)| {
            let change = known.change(&rules, kept);
            let [own, ..] = rules;
            (own, change)
        });
        tx.close_user(UserClose {
            username,
            stolen: &case.stolen(),
            new,
            reason,
            sessions: is_known.then_some(case.open.sessions.len() as u64),
            addresses,
        })?;
        tx.commit()?;
        need_user(&mut self.store, username, now)
    }
}

/// Returns each network with its first use.
fn first_uses(networks: &[UserNetwork]) -> Vec<(Network, Time)> {
    let used = networks.iter().filter_map(|network| network.used);
    used.map(|used| (used.network, used.first_at)).collect()
}
