//! Why a user cannot currently sign in or send.

use std::net::IpAddr;

use super::audit::{Period, Which};
use super::{App, need_user};
use crate::error::{Error, Result};
use crate::model::address_rules::{AddressPolicy, AddressRules, AddressVerdict};
use crate::model::event::{Action, Event};
use crate::model::limit_kind::{LimitKind, LimitUnit};
use crate::model::limits::LimitExceeded;
use crate::model::name::Username;
use crate::model::network::Network;
use crate::model::refused_sign_ins::{RefusalReason, RefusedSignIns};
use crate::model::rotation::Unfinished;
use crate::model::sender::Sender;
use crate::model::session::OpenSession;
use crate::model::setting::LimitValue;
use crate::model::text::in_shell;
use crate::model::time::Time;
use crate::model::usage_window::Count;
use crate::model::user::{Status, User};
use crate::store::{EventFilter, OpenAlerts, Scope};

/// All that may keep a user from signing in or sending.
pub struct Diagnosis {
    /// The time of the diagnosis.
    pub now: Time,
    /// The user.
    pub user: User,
    /// Its status at this time.
    pub status: Status,
    /// Why its records in the store are inconsistent, if so.
    pub damage: Option<Error>,
    /// Its domain must be verified, and is not.
    pub unverified: bool,
    /// Empty: all addresses of its domain.
    pub senders: Vec<Sender>,
    /// All limits that apply to it.
    pub limits: Vec<LimitStatus>,
    /// The last refusal of each kind, newest first.
    pub refusals: Vec<RefusedSignIns>,
    /// The rotation that a run left unfinished, if any.
    pub unfinished: Option<Unfinished>,
    /// A rule says where its new passwords are delivered.
    pub delivers: bool,
    /// From where it may sign in.
    pub addresses: AddressPolicy,
    /// The networks in its list, its domain's and the installation's.
    pub allowed: Vec<Network>,
    /// Networks that say nothing about a client.
    pub ignored: Vec<Network>,
    /// The address that is asked about, if there is one.
    pub from: Option<IpAddr>,
    /// The alerts about it that no one acknowledged.
    pub alerts: OpenAlerts,
    /// Its open sessions as the relays last reported them; `None` if no relay reports.
    pub sessions: Option<Vec<OpenSession>>,
    /// How its last case was closed.
    pub last_close: Option<Event>,
}

/// How many of its latest alerts are read.
const ALERTS: u32 = 3;
/// In how many of its latest events a closed case is looked for.
const EVENTS: u32 = 1000;

/// A limit and how much of it is used.
#[derive(Clone, Debug)]
pub struct LimitStatus {
    /// A username, a domain, or "the installation".
    pub owner: String,
    /// What is limited, and over which time.
    pub kind: LimitKind,
    /// The limit, and what is used of it, in messages or recipients.
    pub most: u32,
    /// What is used of the limit.
    pub used: u64,
    /// Set if there is no room for one more message.
    pub over: Option<LimitExceeded>,
}

impl App {
    /// Diagnoses a user. Fails if it does not exist.
    pub fn why(&mut self, username: &Username) -> Result<Diagnosis> {
        self.why_from(username, None)
    }

    /// Does the same for a client with this address.
    pub fn why_from(&mut self, username: &Username, from: Option<IpAddr>) -> Result<Diagnosis> {
        let now = self.now().plausible()?;
        let user = need_user(&mut self.store, username, now)?;
        let gone = || username.not_found();
        let rules = self.store.sending_rules(username)?.ok_or_else(gone)?;
        let settings = self.store.settings()?;
        let day = settings.day;
        let mut limits = Vec::new();
        for (owner, set) in Scope::all(username).into_iter().zip(&rules.limits) {
            if set.is_empty() {
                continue;
            }
            let tally = self.store.usage_window(owner, set, now, &day)?;
            for (kind, most) in set.iter() {
                limits.push(LimitStatus {
                    owner: owner.name().to_owned(),
                    kind,
                    most,
                    used: tally.used(kind, now, &day),
                    over: set.only(kind).over(&tally, one(), now, &day),
                });
            }
        }
        let refusals = self.refusals(username)?;
        let addresses = self.store.address_rules(username)?;
        Ok(Diagnosis {
            now,
            status: user.status(now),
            damage: self.unreadable(username, now)?,
            unverified: rules.unverified,
            senders: rules.senders,
            limits,
            refusals,
            unfinished: self.store.unfinished(username)?,
            addresses: AddressPolicy::nearest(&addresses, user.created_at),
            allowed: AddressRules::listed(&addresses),
            ignored: settings.ignore_addresses,
            from,
            alerts: self.store.open_alerts_of(username, ALERTS)?,
            sessions: self.reported_sessions(username, now)?,
            last_close: self.last_close(username)?,
            delivers: !self.store.rotation_rules(username)?.delivery.is_empty(),
            user,
        })
    }
}

impl App {
    /// Returns the open sessions of a user without asking the relays for them.
    fn reported_sessions(
        &mut self,
        username: &Username,
        now: Time,
    ) -> Result<Option<Vec<OpenSession>>> {
        if self.store.session_reporters(now)?.is_empty() {
            return Ok(None);
        }
        self.store.sessions(Some(username), now).map(Some)
    }

    fn last_close(&mut self, username: &Username) -> Result<Option<Event>> {
        let filter = EventFilter {
            username: Some(username.clone()),
            ..EventFilter::default()
        };
        let mut last = None;
        let latest = Which::NewestFirst(Some(EVENTS));
        self.list_events(filter, Period::default(), latest, &mut |event| {
            if last.is_none() && event.action == Action::UserClose.name() {
                last = Some(event);
            }
            Ok(())
        })?;
        Ok(last)
    }
}

/// The least that a user can send: one message to one new recipient.
const fn one() -> Count {
    Count {
        messages: 1,
        recipients: 1,
        new_recipients: 1,
    }
}

impl Diagnosis {
    /// Returns why the user cannot sign in with a correct password, if so.
    pub fn no_sign_in(&self) -> Option<String> {
        if let Some(damage) = &self.damage {
            return Some(damage.to_string());
        }
        match self.status {
            Status::Suspended => {
                let since = self.user.suspended_at;
                Some(since.map_or_else(
                    || "it is suspended".to_owned(),
                    |at| format!("it has been suspended since {at}"),
                ))
            }
            Status::Expired => {
                let at = self.user.expires_at.map(|at| format!(" at {at}"));
                Some(format!("it expired{}", at.unwrap_or_default()))
            }
            Status::Active | Status::Overlap => self.refused_address(),
        }
    }

    /// Returns why the address that is asked about is refused, or all of them, if so.
    fn refused_address(&self) -> Option<String> {
        match self.from {
            Some(from) if self.refuses(Some(from)) => Some(format!(
                "{from} is not in the list of its allowed addresses"
            )),
            None if self.addresses.refuses(self.now) && self.allowed.is_empty() => {
                Some("the list of its allowed addresses is empty".to_owned())
            }
            _ => None,
        }
    }

    fn refuses(&self, address: Option<IpAddr>) -> bool {
        let verdict = self.addresses.judge(address, &self.ignored, self.now);
        verdict == AddressVerdict::Refuse
    }

    /// Returns the last refusal of a right password because of its address, if that address is
    /// still refused.
    pub fn last_refused_address(&self) -> Option<&RefusedSignIns> {
        let mut refusals = self.refusals.iter();
        let last = refusals.find(|one| one.reason == RefusalReason::AddressNotAllowed)?;
        self.refuses(last.address.parse().ok()).then_some(last)
    }

    /// Returns the command that allows the address in question.
    fn allow(&self) -> Option<String> {
        let name = self.user.username.in_shell();
        let refused = self.last_refused_address();
        let address = match (
            self.from,
            refused.map(|last| last.address.parse::<IpAddr>()),
        ) {
            (Some(from), _) => self.refuses(Some(from)).then(|| from.to_string())?,
            (None, Some(Ok(address))) => address.to_string(),
            (None, Some(Err(_))) => {
                return Some(format!("smtpcred user set {name} --unknown-address alert"));
            }
            (None, None) => self.refused_address().map(|_| "CIDR".to_owned())?,
        };
        Some(format!("smtpcred user allow {name} {address}"))
    }

    /// Returns why the user cannot send at all, if so.
    pub fn no_sending(&self) -> Option<String> {
        let domain = self.user.username.domain();
        self.unverified
            .then(|| format!("its domain {domain} is not verified, and set-settings --require-verified-domains is on"))
    }

    /// Returns the limits that are used up, the one that frees last first. Limits of new
    /// recipients do not count: they hold back only a part of the mail.
    pub fn used_up(&self) -> Vec<&LimitStatus> {
        let is_used_up = |limit: &&LimitStatus| {
            limit.over.is_some() && limit.kind.what != LimitUnit::NewRecipients
        };
        let mut used_up: Vec<_> = self.limits.iter().filter(is_used_up).collect();
        // A limit that is too low for one message never frees.
        let frees = |limit: &LimitStatus| limit.over.as_ref().and_then(|over| over.frees_at);
        used_up.sort_by_key(|limit| {
            let at = frees(limit).map_or(i64::MAX, Time::epoch);
            std::cmp::Reverse(at)
        });
        used_up
    }

    /// Returns what to do, as commands.
    pub fn next(&self) -> Vec<String> {
        let name = &self.user.username;
        let mut next = Vec::new();
        if self.damage.is_some() {
            next.push(format!("smtpcred user reset {}", name.in_shell()));
        }
        match self.status {
            Status::Suspended => next.push(format!("smtpcred user resume {}", name.in_shell())),
            Status::Expired => next.push(format!(
                "smtpcred user set {} --expires-in 180d",
                name.in_shell()
            )),
            Status::Active | Status::Overlap => next.extend(self.allow()),
        }
        if self.unfinished.is_some() {
            // Without a rule, the command line said where it went.
            let to = if self.delivers {
                ""
            } else {
                " --deliver COMMAND"
            };
            next.push(format!("smtpcred user rotate {}{to}", name.in_shell()));
        }
        if self.unverified {
            next.push(format!("smtpcred domain verify {}", name.domain()));
        }
        for limit in self.used_up() {
            next.push(limit.raise());
        }
        next
    }
}

impl LimitStatus {
    /// Describes the limit for people.
    pub fn words(&self) -> String {
        let limit = self.kind.words(self.most);
        let left = if self.kind.what == LimitUnit::NewRecipients {
            "only mail to known recipients"
        } else {
            "none left"
        };
        match self.over.as_ref().map(|over| over.frees_at) {
            None => format!("{} of {limit} ({})", self.used, self.owner),
            Some(Some(at)) => {
                let used = self.used;
                format!("{used} of {limit} ({}): {left} until {at}", self.owner)
            }
            Some(None) => format!("{} of {limit} ({}): {left}", self.used, self.owner),
        }
    }

    /// Returns the command that raises the limit.
    pub fn raise(&self) -> String {
        let owner = &self.owner;
        let set = match owner.as_str() {
            user if user.contains('@') => format!("user set {}", in_shell(user)),
            "the installation" => "set-settings".to_owned(),
            domain => format!("domain set {domain}"),
        };
        // What was sent, and the old limit on top of it.
        let enough = self.used.saturating_add(self.most.into());
        let most = if enough <= u64::from(LimitValue::MAX) {
            enough.to_string()
        } else {
            "none".into()
        };
        format!("smtpcred {set} --limit {}={most}", self.kind)
    }
}
