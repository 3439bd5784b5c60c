//! Room for messages: given where nobody races, some of it ahead to who is
//! busy. And who is told when a limit is near or reached.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::found::Found;
use super::keeper::{Alert, Reservation, Reserved};
use super::recent::Recent;
use super::sending::Refusal;
use crate::error::Result;
use crate::model::day::Day;
use crate::model::event::Action;
use crate::model::limits::{Kind, OnLimit};
use crate::model::name::Username;
use crate::model::tally::{Amount, Tally};
use crate::model::time::Time;
use crate::store::{Owner, SendingRules, Tx};

/// Messages at most. A crash leaves so many too many on a user's count.
const MOST_AHEAD: u32 = 64;
/// Who asks again this soon is busy.
const BUSY: Duration = Duration::from_secs(1);
/// The same limit of the same owner is told of this often at most.
const TELL_AGAIN: Duration = Duration::from_secs(600);

/// What is known beside the store, from one transaction to the next.
pub(super) struct Books {
    /// Of users: when they last asked, and how much was counted ahead.
    pace: Recent<String, (Instant, u32)>,
    /// When somebody was last told of a limit.
    told: Recent<String, Instant>,
    /// For whom something was counted ahead that may not be spent yet.
    ahead: HashSet<Username>,
    /// Of those, the ones of this transaction.
    granted: Vec<Username>,
    /// To be said once the transaction is done.
    pub alerts: Vec<Alert>,
}

/// How often somebody is told to hand back and ask again. Near a limit nothing
/// is counted ahead, so that once is nearly always enough.
const TRIES: u8 = 3;
/// How often somebody waits for what other relays may hand back. They do so twice
/// a second, and near a limit count less and less ahead.
const WAITS: u8 = 30;
/// How many users and limits are remembered.
const REMEMBERED: usize = 10_000;

impl Books {
    pub fn new() -> Self {
        Self {
            pace: Recent::new(REMEMBERED),
            told: Recent::new(REMEMBERED),
            ahead: HashSet::new(),
            granted: Vec::new(),
            alerts: Vec::new(),
        }
    }

    pub fn begin(&mut self, found: &Found) {
        self.granted.clear();
        self.alerts.clear();
        for returned in &found.returned {
            self.ahead.remove(&returned.username);
        }
    }

    /// Nothing was counted ahead, and nothing handed back.
    pub fn roll_back(&mut self, found: &Found) {
        for username in &self.granted {
            self.ahead.remove(username);
        }
        let returned = found.returned.iter();
        self.ahead
            .extend(returned.map(|returned| returned.username.clone()));
    }

    pub fn reserve(&mut self, tx: &mut Tx, wanted: &Reservation, now: Time) -> Result<Reserved> {
        let username = &wanted.username;
        let day = tx.store().settings()?.day;
        let Some(rules) = tx.store().sending_rules(username)? else {
            return Ok(Reserved::Refused(Refusal::Stopped));
        };
        let mut amount = wanted.amount;
        let is_new = match &wanted.new_recipient {
            Some(digest) => !tx.store().knows_recipient(username, digest)?,
            None => false,
        };
        amount.new_recipients = is_new.into();
        let owners = Owner::all(username);
        let mut tallies: [Tally; 3] = Default::default();
        for i in 0..3 {
            tallies[i] = tx.store().tally(owners[i], &rules.limits[i], now)?;
            let Some(over) = rules.limits[i].over(&tallies[i], amount, now, &day) else {
                continue;
            };
            if !self.ahead.is_empty() && wanted.tries < TRIES {
                return Ok(Reserved::AskAgain);
            }
            let held = tx.store().held(owners[i], now)?;
            let without = amount.less(held);
            let is_held = without != amount
                && rules.limits[i]
                    .over(&tallies[i], without, now, &day)
                    .is_none();
            if is_held && wanted.waits < WAITS {
                return Ok(Reserved::Later);
            }
            // Nobody is punished for what was not sent.
            let action = if is_held {
                OnLimit::Defer
            } else {
                rules.on_limit()
            };
            punish(tx, username, action)?;
            let refusal = Refusal::Limit {
                owner: owners[i].name().to_owned(),
                over,
                action,
            };
            if action != OnLimit::Defer {
                let text = refusal.text();
                self.alerts
                    .push(format!("limit met: {username}: {}: {text}", action.name()));
            }
            return Ok(Reserved::Refused(refusal));
        }
        if let (Some(digest), true) = (&wanted.new_recipient, is_new) {
            tx.add_recipient(username, digest, now)?;
        }
        if !wanted.counts {
            let amount = Amount {
                new_recipients: is_new.into(),
                ..Amount::default()
            };
            if is_new {
                self.count(tx, username, &rules, &tallies, amount, now)?;
            }
            return Ok(Reserved::Granted {
                ahead: Amount::default(),
                at: now,
            });
        }
        let ahead = self.how_much_ahead(
            username,
            |ahead| is_far(&rules, &tallies, amount.plus(ahead), now, &day),
            amount,
        );
        self.count(tx, username, &rules, &tallies, amount.plus(ahead), now)?;
        self.hold(tx, username, ahead, now)?;
        Ok(Reserved::Granted { ahead, at: now })
    }

    /// Counts ahead for who is busy and has handed back the rest of the last time.
    pub fn renew(
        &mut self,
        tx: &mut Tx,
        username: &Username,
        amount: Amount,
        now: Time,
    ) -> Result<Amount> {
        let day = tx.store().settings()?.day;
        let Some(rules) = tx.store().sending_rules(username)? else {
            return Ok(Amount::default());
        };
        let owners = Owner::all(username);
        let mut tallies: [Tally; 3] = Default::default();
        for i in 0..3 {
            tallies[i] = tx.store().tally(owners[i], &rules.limits[i], now)?;
        }
        let ahead = self.how_much_ahead(
            username,
            |ahead| is_far(&rules, &tallies, ahead, now, &day),
            amount,
        );
        if ahead.messages > 0 {
            self.count(tx, username, &rules, &tallies, ahead, now)?;
            self.hold(tx, username, ahead, now)?;
        }
        Ok(ahead)
    }

    /// Makes a note of what is counted ahead: other relays wait for it.
    fn hold(&mut self, tx: &mut Tx, username: &Username, ahead: Amount, now: Time) -> Result<()> {
        if ahead.messages > 0 {
            for owner in Owner::all(username) {
                tx.hold(owner, ahead, now)?;
            }
            self.ahead.insert(username.clone());
            self.granted.push(username.clone());
        }
        Ok(())
    }

    /// How much to count for messages to come: none for who sends now and then, or
    /// has something left.
    fn how_much_ahead(
        &mut self,
        username: &Username,
        fits: impl Fn(Amount) -> bool,
        amount: Amount,
    ) -> Amount {
        let now = Instant::now();
        let before = self.pace.get_mut(username.as_str()).copied();
        let messages = match before {
            _ if self.ahead.contains(username) => return Amount::default(),
            Some((then, messages)) if now.duration_since(then) < BUSY => {
                (messages * 2).clamp(1, MOST_AHEAD)
            }
            _ => 0,
        };
        self.pace
            .insert(username.as_str().to_owned(), (now, messages));
        let ahead = times(amount, messages);
        if messages > 0 && fits(ahead) {
            ahead
        } else {
            Amount::default()
        }
    }

    /// Counts for the user, its domain and the installation; tells of a limit
    /// that is near or reached.
    fn count(
        &mut self,
        tx: &mut Tx,
        username: &Username,
        rules: &SendingRules,
        tallies: &[Tally; 3],
        amount: Amount,
        now: Time,
    ) -> Result<()> {
        let day = tx.store().settings()?.day;
        for (i, owner) in Owner::all(username).into_iter().enumerate() {
            tx.count(owner, amount, now)?;
            for (kind, most) in rules.limits[i].iter() {
                let before = tallies[i].used(kind, now, &day);
                let after = before + amount.of(kind.what);
                for (percent, action) in [(100, Action::LimitReached), (80, Action::LimitNear)] {
                    let mark = (u64::from(most) * percent).div_ceil(100);
                    if before < mark && after >= mark {
                        self.tell(tx, action, owner, kind, most, after, username)?;
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "one line of the audit trail")]
    fn tell(
        &mut self,
        tx: &mut Tx,
        action: Action,
        owner: Owner,
        kind: Kind,
        most: u32,
        used: u64,
        username: &Username,
    ) -> Result<()> {
        let key = format!("{}\t{kind}\t{}", owner.name(), action.name());
        if self
            .told
            .get_mut(&key)
            .is_some_and(|then| then.elapsed() < TELL_AGAIN)
        {
            return Ok(());
        }
        self.told.insert(key, Instant::now());
        tx.note_limit(action, owner, kind, most, used, username)?;
        let word = if action == Action::LimitReached {
            "reached"
        } else {
            "near"
        };
        self.alerts.push(format!(
            "limit {word}: {} has sent {used} of {} (last by {username})",
            owner.name(),
            kind.words(most)
        ));
        Ok(())
    }
}

/// Far from every limit: near one each message is counted.
fn is_far(
    rules: &SendingRules,
    tallies: &[Tally; 3],
    amount: Amount,
    now: Time,
    day: &Day,
) -> bool {
    let far = times(amount, 4);
    (0..3).all(|i| rules.limits[i].over(&tallies[i], far, now, day).is_none())
}

const fn times(amount: Amount, n: u32) -> Amount {
    Amount {
        messages: amount.messages.saturating_mul(n),
        recipients: amount.recipients.saturating_mul(n),
        new_recipients: 0,
    }
}

/// What the admin asked for when a limit is met.
fn punish(tx: &mut Tx, username: &Username, action: OnLimit) -> Result<()> {
    match action {
        OnLimit::Defer | OnLimit::Reject => Ok(()),
        OnLimit::Delete if tx.may_delete_users()? => tx.delete_user(username),
        OnLimit::Suspend | OnLimit::Delete => tx.suspend_user(username),
    }
}
