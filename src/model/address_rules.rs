//! From which addresses a user may sign in, with its password.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use super::duration::Duration;
use super::network::{Network, Networks};
use super::setting::Setting;
use super::text::invalid;
use super::time::Time;
use crate::error::{Error, Result};

/// Which addresses are allowed. The names are stable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressMode {
    /// All of them.
    #[default]
    Any,
    /// Those of good sign-ins within a learning time, and the listed ones.
    Learn,
    /// The listed ones.
    Listed,
}

/// What happens to a right password from another address. The names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownAddress {
    /// It is accepted.
    Allow,
    /// It is accepted, and the admin is told.
    Alert,
    /// It is refused like a wrong password, and the admin is told.
    Refuse,
}

/// An allowed network of a user, a domain or the installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowedNetwork {
    /// The network.
    pub network: Network,
    /// Whether it was learned from a good sign-in.
    pub learned: bool,
    /// When it was added.
    pub added_at: Time,
}

/// The rules of one owner; absent ones are those of the next wider owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressRules {
    /// Which addresses are allowed.
    pub mode: Option<AddressMode>,
    /// What happens to others.
    pub unknown: Option<UnknownAddress>,
    /// For how long addresses are learned.
    pub learn: Option<Duration>,
    /// When the learning began.
    pub learning_since: Option<Time>,
    /// Its list, by network. Lists of wider owners add to it.
    pub allowed: Vec<AllowedNetwork>,
}

/// What to set; absent values stay as they are.
#[derive(Clone, Debug, Default)]
pub struct AddressChange {
    /// Which addresses are allowed.
    pub mode: Option<Setting<AddressMode>>,
    /// What happens to others.
    pub unknown: Option<Setting<UnknownAddress>>,
    /// For how long addresses are learned.
    pub learn: Option<Setting<Duration>>,
    /// Networks to add to the list.
    pub allow: Vec<Network>,
    /// Networks to take off it, with all that are within them.
    pub disallow: Vec<Network>,
}

/// What holds for a user: the rules of the user, its domain and the installation together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressPolicy {
    /// Which addresses are allowed.
    pub mode: AddressMode,
    /// What happens to others.
    pub unknown: UnknownAddress,
    /// Until when addresses are learned; `None` if they are not.
    pub learning_until: Option<Time>,
    /// The lists of all three.
    lists: [Arc<Networks>; 3],
}

/// What follows for a right password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressVerdict {
    /// Nothing to say about it.
    Accept,
    /// The admin is told if the user never used its network.
    AcceptAndTell,
    /// The same, and it is learned.
    Learn {
        /// Whether the admin is told.
        tell: bool,
    },
    /// It is refused like a wrong password.
    Refuse,
}

/// How long addresses are learned if nothing else is set.
pub const LEARN: Duration = Duration::days(30);
/// How many networks a user, a domain or the installation may have in its list.
pub const MOST_ALLOWED: usize = 1000;
/// How many of a user's networks are learned.
pub const MOST_LEARNED: usize = 64;
/// How many networks are remembered of what a user used.
pub const MOST_SEEN: u32 = 256;

impl AddressMode {
    /// All modes.
    pub const ALL: [Self; 3] = [Self::Any, Self::Learn, Self::Listed];

    /// Returns the name on command lines, in output and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Learn => "learn",
            Self::Listed => "listed",
        }
    }
}

impl UnknownAddress {
    /// All actions, the mildest first.
    pub const ALL: [Self; 3] = [Self::Allow, Self::Alert, Self::Refuse];

    /// Returns the name on command lines, in output and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Alert => "alert",
            Self::Refuse => "refuse",
        }
    }
}

impl FromStr for AddressMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|mode| mode.name() == text);
        found.ok_or_else(|| invalid("rule for addresses", text, "any, learn or listed"))
    }
}

impl FromStr for UnknownAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|action| action.name() == text);
        found.ok_or_else(|| invalid("action", text, "allow, alert or refuse"))
    }
}

impl AddressChange {
    /// Returns whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        !self.sets_rules() && self.allow.is_empty() && self.disallow.is_empty()
    }

    /// Returns whether it changes more than the list.
    pub const fn sets_rules(&self) -> bool {
        self.mode.is_some() || self.unknown.is_some() || self.learn.is_some()
    }
}

impl AddressRules {
    /// Returns whether nothing is set, apart from the list.
    pub const fn is_empty(&self) -> bool {
        self.mode.is_none() && self.unknown.is_none() && self.learn.is_none()
    }

    /// Makes a change at this time, but not of the list. The learning begins anew with each
    /// change of it.
    pub fn change(&mut self, change: &AddressChange, now: Time) {
        fn set<T: Copy>(value: &mut Option<T>, to: Option<&Setting<T>>) {
            if let Some(to) = to {
                *value = to.as_ref().value().copied();
            }
        }
        set(&mut self.mode, change.mode.as_ref());
        set(&mut self.unknown, change.unknown.as_ref());
        set(&mut self.learn, change.learn.as_ref());
        if change.mode.is_some() || change.learn.is_some() {
            let learns = self.mode == Some(AddressMode::Learn) || self.learn.is_some();
            self.learning_since = learns.then_some(now);
        }
    }

    /// Returns the networks that were given, and not learned.
    pub fn given(&self) -> impl Iterator<Item = Network> {
        let given = self.allowed.iter().filter(|allowed| !allowed.learned);
        given.map(|allowed| allowed.network)
    }

    /// Returns its list.
    pub fn networks(&self) -> Networks {
        self.allowed.iter().map(|allowed| allowed.network).collect()
    }

    /// Returns all networks in several lists, each once.
    pub fn listed(rules: &[Self]) -> Vec<Network> {
        let listed = rules.iter().flat_map(|rules| &rules.allowed);
        let mut listed: Vec<_> = listed.map(|allowed| allowed.network).collect();
        listed.sort_unstable();
        listed.dedup();
        listed
    }

    /// Returns those of these networks that were not given yet, each once.
    pub fn not_given(&self, networks: &[Network]) -> Vec<Network> {
        let given: Vec<_> = self.given().collect();
        let mut new = networks.to_vec();
        new.sort_unstable();
        new.dedup();
        new.retain(|network| !given.contains(network));
        new
    }

    /// Returns the networks of its list that are within some of these.
    pub fn within(&self, networks: &[Network]) -> Vec<Network> {
        let own = self.allowed.iter().map(|allowed| allowed.network);
        own.filter(|own| networks.iter().any(|network| network.covers(own)))
            .collect()
    }
}

impl AddressPolicy {
    /// Returns what holds for a user that was created then, by the rules of the user, its domain
    /// and the installation.
    pub fn nearest(rules: &[AddressRules; 3], created_at: Time) -> Self {
        let lists = rules.each_ref().map(|rules| Arc::new(rules.networks()));
        Self::with_lists(rules.each_ref(), lists, created_at)
    }

    /// Does the same with the lists of the rules, which users may share.
    pub fn with_lists(
        rules: [&AddressRules; 3],
        lists: [Arc<Networks>; 3],
        created_at: Time,
    ) -> Self {
        let find = |has: fn(&AddressRules) -> bool| rules.into_iter().find(|rules| has(rules));
        let deciding = find(|rules| rules.mode.is_some());
        let lasting = find(|rules| rules.learn.is_some());
        let mode = deciding.and_then(|rules| rules.mode).unwrap_or_default();
        let learn = lasting.and_then(|rules| rules.learn).unwrap_or(LEARN);
        // An older time of an owner that decides neither says nothing.
        let since = [deciding, lasting].into_iter().flatten();
        let since = since.filter_map(|rules| rules.learning_since).max();
        let since = since.map_or(created_at, |since| since.max(created_at));
        let unknown = rules.into_iter().find_map(|rules| rules.unknown);
        let unknown = unknown.unwrap_or(match mode {
            AddressMode::Any => UnknownAddress::Alert,
            AddressMode::Learn | AddressMode::Listed => UnknownAddress::Refuse,
        });
        Self {
            mode,
            unknown,
            learning_until: (mode == AddressMode::Learn).then(|| since.plus(learn)),
            lists,
        }
    }

    /// Returns whether an address is in one of the lists.
    pub fn lists(&self, address: IpAddr) -> bool {
        self.lists.iter().any(|list| list.contain(address))
    }

    /// Returns whether all lists are empty.
    pub fn lists_nothing(&self) -> bool {
        self.lists.iter().all(|list| list.is_empty())
    }

    /// Returns whether addresses are learned at this time.
    pub fn learns(&self, now: Time) -> bool {
        self.learning_until.is_some_and(|until| now < until)
    }

    /// Returns whether some addresses are refused at this time.
    pub fn refuses(&self, now: Time) -> bool {
        self.mode != AddressMode::Any && self.unknown == UnknownAddress::Refuse && !self.learns(now)
    }

    /// Decides about an address; `None` is a client whose address the mail server does not know
    /// or does not pass on. `ignored` are addresses that say nothing, of proxies for example.
    pub fn judge(&self, address: Option<IpAddr>, ignored: &[Network], now: Time) -> AddressVerdict {
        let Some(address) = address else {
            return if self.refuses(now) {
                AddressVerdict::Refuse
            } else {
                AddressVerdict::Accept
            };
        };
        let is_ignored = ignored.iter().any(|network| network.contains(address));
        if is_ignored || self.lists(address) {
            return AddressVerdict::Accept;
        }
        let tell = self.unknown != UnknownAddress::Allow;
        if self.learns(now) {
            AddressVerdict::Learn { tell }
        } else if self.refuses(now) {
            AddressVerdict::Refuse
        } else if tell {
            AddressVerdict::AcceptAndTell
        } else {
            AddressVerdict::Accept
        }
    }
}

#[cfg(test)]
mod tests;
