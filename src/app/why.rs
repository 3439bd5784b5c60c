//! Why a user cannot sign in or send, now.

use super::{App, need_user};
use crate::error::{Error, Result};
use crate::model::limits::{Kind, Over, What};
use crate::model::name::Username;
use crate::model::refusal::Refusals;
use crate::model::rotation::Unfinished;
use crate::model::sender::Sender;
use crate::model::settings::Limit;
use crate::model::tally::Amount;
use crate::model::time::Time;
use crate::model::user::{Status, User};
use crate::store::Owner;

pub struct Why {
    pub now: Time,
    pub user: User,
    pub status: Status,
    /// Its domain has to be verified, and is not.
    pub unverified: bool,
    /// None: its whole domain.
    pub senders: Vec<Sender>,
    pub limits: Vec<Standing>,
    /// The last of each kind, the latest first.
    pub refusals: Vec<Refusals>,
    pub unfinished: Option<Unfinished>,
    /// Something says where its new passwords go.
    pub delivers: bool,
}

/// A limit, and how far it is used up.
#[derive(Clone, Debug)]
pub struct Standing {
    /// A user, a domain, or the installation.
    pub owner: String,
    pub kind: Kind,
    pub most: u32,
    pub used: u64,
    /// There is no room for one message more.
    pub over: Option<Over>,
}

impl App {
    pub fn why(&mut self, username: &Username) -> Result<Why> {
        let now = self.now().plausible()?;
        let user = need_user(&mut self.store, username)?;
        let gone = || Error::UserNotFound(username.to_string());
        let rules = self.store.sending_rules(username)?.ok_or_else(gone)?;
        let day = self.store.settings()?.day;
        let mut limits = Vec::new();
        for (owner, set) in Owner::all(username).into_iter().zip(&rules.limits) {
            if set.is_empty() {
                continue;
            }
            let tally = self.store.tally(owner, set, now)?;
            for (kind, most) in set.iter() {
                limits.push(Standing {
                    owner: owner.name().to_owned(),
                    kind,
                    most,
                    used: tally.used(kind, now, &day),
                    over: set.only(kind).over(&tally, one(), now, &day),
                });
            }
        }
        let refusals = self.refusals(username)?;
        Ok(Why {
            now,
            status: user.status(now),
            unverified: rules.unverified,
            senders: rules.senders,
            limits,
            refusals,
            unfinished: self.store.unfinished(username)?,
            delivers: !self.store.rotation_rules(username)?.delivery.is_empty(),
            user,
        })
    }
}

/// The least there is to send: to somebody it has sent to before or not.
const fn one() -> Amount {
    Amount {
        messages: 1,
        recipients: 1,
        new_recipients: 1,
    }
}

impl Why {
    /// What keeps it from signing in, with a right password.
    pub fn no_sign_in(&self) -> Option<String> {
        match self.status {
            Status::Suspended => {
                let since = self.user.suspended_at.map(|at| format!(" since {at}"));
                Some(format!("it is suspended{}", since.unwrap_or_default()))
            }
            Status::Expired => {
                let at = self.user.expires_at.map(|at| format!(" at {at}"));
                Some(format!("it expired{}", at.unwrap_or_default()))
            }
            Status::Active | Status::Overlap => None,
        }
    }

    /// What keeps all its mail back, however little it sends.
    pub fn no_sending(&self) -> Option<String> {
        let domain = self.user.username.domain();
        self.unverified
            .then(|| format!("its domain {domain} is not verified, and has to be"))
    }

    /// The limits without room, the one that frees last at first. Not those of new
    /// recipients: they keep back a part of its mail.
    pub fn used_up(&self) -> Vec<&Standing> {
        let is_used_up =
            |limit: &&Standing| limit.over.is_some() && limit.kind.what != What::NewRecipients;
        let mut used_up: Vec<_> = self.limits.iter().filter(is_used_up).collect();
        // Nothing frees what is never enough.
        let frees = |limit: &Standing| limit.over.as_ref().and_then(|over| over.frees_at);
        used_up.sort_by_key(|limit| {
            let at = frees(limit).map_or(i64::MAX, Time::epoch);
            std::cmp::Reverse(at)
        });
        used_up
    }

    /// What to do, as commands.
    pub fn next(&self) -> Vec<String> {
        let name = &self.user.username;
        let mut next = Vec::new();
        match self.status {
            Status::Suspended => next.push(format!("smtpcred user resume {name}")),
            Status::Expired => next.push(format!("smtpcred user set {name} --expires-in 180d")),
            Status::Active | Status::Overlap => {}
        }
        if self.unfinished.is_some() {
            // Where it went was said on a command line, then.
            let to = if self.delivers {
                ""
            } else {
                " --deliver COMMAND"
            };
            next.push(format!("smtpcred user rotate {name}{to}"));
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

impl Standing {
    /// How a person would put it.
    pub fn words(&self) -> String {
        let limit = self.kind.words(self.most);
        let left = if self.kind.what == What::NewRecipients {
            "mail to whom it has sent before alone"
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

    /// The command that makes room.
    pub fn raise(&self) -> String {
        let owner = &self.owner;
        let set = match owner.as_str() {
            user if user.contains('@') => format!("user set {user}"),
            "the installation" => "set-settings".to_owned(),
            domain => format!("domain set {domain}"),
        };
        // Enough for what was sent, and as much again as was allowed.
        let enough = self.used.saturating_add(self.most.into());
        let most = if enough <= u64::from(Limit::MAX) {
            enough.to_string()
        } else {
            "none".into()
        };
        format!("smtpcred {set} --limit {}={most}", self.kind)
    }
}
