//! Which legs there are, and which continue which.

use std::collections::{HashMap, VecDeque};

use super::interner::Interner;
use super::leg::{Leg, LegKey, Ordered, Owner, Phase};
use super::leg_table::LegTable;
use super::log_age::LogAge;
use super::outcome;
use super::references::LegReferences;
use super::shared_queues::SharedQueues;
use crate::formats::maillog::queue_id::QueueId;
use crate::model::followed_message::{
    FollowedMessage, MessageChange, RefusedMessage, UnknownReason,
};
use crate::model::log_time::LogTime;

/// How long lines about a closed leg are expected, in seconds: filters log at their own pace.
pub const GRACE: u64 = 60;
/// How long a client may take to send a message.
const RECEIVING: u64 = 24 * 3600;
/// How long a message may be in the queue without a line.
const SILENT: u64 = 31 * 24 * 3600;

/// Where and when an event was logged.
#[derive(Clone, Copy)]
pub struct Place {
    pub at: LogTime,
    pub host: u16,
    /// The first part of the program: the instance, or what `syslog_name` says.
    pub program: u16,
    pub pid: u32,
}

/// All that is followed.
pub struct Tracker {
    pub legs: LegTable,
    pub hosts: Interner,
    pub programs: Interner,
    /// Orders of smtpd for the next message of a process.
    pub orders: HashMap<(u16, u32), Ordered>,
    /// Changes of messages that were removed since.
    pub last_changes: Vec<MessageChange>,
    pub refusals: Vec<RefusedMessage>,
    pub changed: Vec<LegKey>,
    shared_queues: SharedQueues,
    pub age: LogAge,
    pub references: LegReferences,
    closed: VecDeque<(u64, LegKey)>,
    pub receiving: VecDeque<LegKey>,
    own: VecDeque<LegKey>,
    strangers: VecDeque<LegKey>,
    limit: usize,
}

impl Tracker {
    pub fn new(limit: usize) -> Self {
        Self {
            legs: LegTable::default(),
            hosts: Interner::default(),
            programs: Interner::default(),
            orders: HashMap::new(),
            last_changes: Vec::new(),
            refusals: Vec::new(),
            changed: Vec::new(),
            shared_queues: SharedQueues::default(),
            age: LogAge::new(),
            references: LegReferences::default(),
            closed: VecDeque::new(),
            receiving: VecDeque::new(),
            own: VecDeque::new(),
            strangers: VecDeque::new(),
            limit,
        }
    }

    /// Time goes on, and what is over is let go.
    pub fn advance(&mut self, at: LogTime) {
        self.age.advance(at);
        while let Some((closed, key)) = self.closed.front().copied()
            && closed + GRACE <= self.age.seconds()
        {
            self.closed.pop_front();
            self.settle(key, false);
        }
        self.let_go_of_old();
        while self.legs.bytes() > self.limit && self.evict() {}
    }

    /// A new leg, or one of an earlier run of which the lines are read again. An open one
    /// with its id lost its end.
    pub fn start(&mut self, place: &Place, id: QueueId) -> LegKey {
        let again = self.legs.with_id(&id).find(|(_, leg)| {
            let is_first = leg.is_adopted && leg.previous.is_none();
            is_first && leg.host == place.host && leg.started == place.at
        });
        if let Some((key, _)) = again {
            return key;
        }
        let reused: Vec<LegKey> = self
            .legs
            .with_id(&id)
            .filter(|(_, leg)| leg.host == place.host && leg.phase != Phase::Closed)
            .filter(|(_, leg)| self.shared_queues.share(leg.program, place.program))
            .map(|(key, _)| key)
            .collect();
        for key in reused {
            let leg = self.legs.get(key);
            if leg.is_some_and(|leg| leg.is_adopted && leg.previous.is_some()) {
                // Its own lines are read again, and say more.
                self.remove(key);
            } else {
                self.give_up(key, UnknownReason::IdUsedAgain);
            }
        }
        let mut at = place.at;
        let is_taken = |at| {
            let mut legs = self.legs.with_id(&id);
            legs.any(|(_, leg)| leg.host == place.host && leg.started == at)
        };
        // Traditional times have no fractions, and the time is part of the message's key.
        while is_taken(at) {
            at = LogTime::from_micros(at.micros() + 1);
        }
        let mut leg = Leg::new(id, place.host, place.program, at);
        leg.first_event = self.age.events();
        leg.touched = self.age.seconds();
        let key = self.legs.insert(leg);
        self.receiving.push_back(key);
        key
    }

    /// Takes a leg of an earlier run.
    pub fn adopt(&mut self, leg: Leg) -> LegKey {
        let key = self.legs.insert(leg);
        if let Some(leg) = self.legs.get(key) {
            self.references.add(key, leg);
        }
        self.own.push_back(key);
        self.closed.push_back((self.age.seconds(), key));
        key
    }

    /// The open leg with this id on this host, or a closed one of an earlier run, of which
    /// lines are read again. If instances there use it at the same time,
    /// the one of this instance.
    pub fn open(&mut self, place: &Place, id: &QueueId) -> Option<LegKey> {
        let mut open = self
            .legs
            .with_id(id)
            .filter(|(_, leg)| leg.host == place.host)
            .filter(|(_, leg)| leg.phase != Phase::Closed || leg.is_adopted)
            .map(|(key, leg)| (key, leg.program));
        let (key, program) = open.next()?;
        let others: Vec<(LegKey, u16)> = open.collect();
        if others.is_empty() {
            self.shared_queues.join(program, place.program);
            return Some(key);
        }
        let mut all = std::iter::once((key, program)).chain(others);
        let found = all.find(|(_, program)| self.shared_queues.share(*program, place.program));
        Some(found.map_or(key, |(key, _)| key))
    }

    /// The newest leg with this id on this host, even if it is closed.
    pub fn newest(&mut self, place: &Place, id: &QueueId) -> Option<LegKey> {
        self.open(place, id).or_else(|| {
            let mut legs = self.legs.with_id(id);
            legs.find(|(_, leg)| leg.host == place.host)
                .map(|(key, _)| key)
        })
    }

    /// The server accepted it.
    pub fn accept(&mut self, key: LegKey) {
        let accepted = self.legs.change(key, |leg| {
            let is_new = leg.phase == Phase::Receiving;
            leg.phase = if is_new { Phase::Accepted } else { leg.phase };
            (is_new, leg.owner == Owner::Stranger)
        });
        match accepted {
            Some((true, true)) => self.strangers.push_back(key),
            Some((true, false)) => self.own.push_back(key),
            _ => {}
        }
    }

    /// Something about it changed.
    pub fn touch(&mut self, key: LegKey, at: LogTime) {
        let elapsed = self.age.seconds();
        self.legs.change(key, |leg| {
            leg.touched = elapsed;
            leg.last_at = at;
        });
        let root = self.root(key);
        let is_new = self.legs.change(root, |leg| {
            leg.touched = elapsed;
            let is_own = matches!(leg.owner, Owner::User(_));
            is_own && !std::mem::replace(&mut leg.is_changed, true)
        });
        if is_new == Some(true) {
            self.changed.push(root);
        }
    }

    /// It left the queue.
    pub fn close(&mut self, key: LegKey, at: LogTime) {
        self.accept(key);
        self.legs.change(key, |leg| leg.phase = Phase::Closed);
        self.touch(key, at);
        let root = self.root(key);
        self.closed.push_back((self.age.seconds(), root));
    }

    fn give_up(&mut self, key: LegKey, reason: UnknownReason) {
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        if leg.phase == Phase::Receiving {
            self.abandon(key);
            return;
        }
        let at = leg.last_at;
        self.legs.change(key, |leg| leg.given_up = Some(reason));
        self.close(key, at);
    }

    /// The message of the user that this leg belongs to.
    pub fn root(&self, key: LegKey) -> LegKey {
        self.legs.root_and_depth(key).0
    }

    /// Lets legs find this message by its Message-ID.
    pub fn index_message_id(&mut self, key: LegKey) {
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        self.references.add(key, leg);
    }

    /// The message as it is known now.
    pub fn message(&self, key: LegKey) -> Option<FollowedMessage> {
        outcome::message(&self.legs, &self.hosts, key, self.age.gap())
    }

    /// Tells the end of a message before it is removed.
    fn tell_last(&mut self, key: LegKey) {
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        if !leg.is_message() || !matches!(leg.owner, Owner::User(_)) {
            return;
        }
        let settled = MessageChange::Settled(outcome::message_key(&self.hosts, leg));
        let is_changed = leg.is_changed;
        if let Some(message) = self.message(key).filter(|_| is_changed) {
            self.last_changes.push(MessageChange::Changed(message));
        }
        self.last_changes.push(settled);
    }

    /// Gives out a message for the last time, if all its legs are closed or it must be.
    fn settle(&mut self, key: LegKey, must: bool) {
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        if !must {
            if leg
                .previous
                .is_some_and(|previous| self.legs.get(previous).is_some())
            {
                return;
            }
            if leg.touched + GRACE > self.age.seconds() && self.limit >= self.legs.bytes() {
                self.closed.push_back((leg.touched, key));
                return;
            }
            if !self.legs.tree(key).iter().all(|key| self.is_closed(*key)) {
                return;
            }
        }
        self.tell_last(key);
        for key in self.legs.tree(key) {
            self.remove(key);
        }
    }

    fn is_closed(&self, key: LegKey) -> bool {
        self.legs
            .get(key)
            .is_none_or(|leg| leg.phase == Phase::Closed)
    }

    fn remove(&mut self, key: LegKey) {
        let Some(leg) = self.legs.remove(key) else {
            return;
        };
        self.references.remove(key, &leg);
    }

    /// Drops a message that the client never finished; unless lines were dropped, too.
    fn abandon(&mut self, key: LegKey) {
        let age = &self.age;
        let is_lost = self.legs.change(key, |leg| {
            let is_lost = leg.message_id.is_some() && age.has_gap_after(leg.first_event);
            leg.given_up = is_lost.then_some(UnknownReason::LinesDropped);
            leg.is_changed = true;
            is_lost
        });
        if is_lost == Some(true) {
            self.tell_last(key);
        }
        self.remove(key);
    }

    fn let_go_of_old(&mut self) {
        // Removed legs wait behind one that stays.
        let most = 2 * self.legs.len() + 1024;
        for queue in [&mut self.receiving, &mut self.own, &mut self.strangers] {
            if queue.len() > most {
                queue.retain(|key| self.legs.get(*key).is_some());
            }
        }
        if let Some(key) = self.receiving.front().copied() {
            let leg = self
                .legs
                .get(key)
                .filter(|leg| leg.phase == Phase::Receiving);
            let is_late = leg.map(|leg| leg.touched + RECEIVING < self.age.seconds());
            if is_late != Some(false) {
                self.receiving.pop_front();
            }
            if is_late == Some(true) {
                self.abandon(key);
            }
        }
        for is_own in [true, false] {
            let queue = if is_own { &self.own } else { &self.strangers };
            if let Some(key) = queue.front().copied() {
                let leg = self.legs.get(key).filter(|leg| leg.phase != Phase::Closed);
                let is_silent = leg.map(|leg| leg.touched + SILENT < self.age.seconds());
                if is_silent != Some(false) {
                    let queue = if is_own {
                        &mut self.own
                    } else {
                        &mut self.strangers
                    };
                    queue.pop_front();
                }
                if is_silent == Some(true) {
                    self.give_up(key, UnknownReason::Silent);
                }
            }
        }
    }

    /// Makes room: closed messages first, then legs of strangers, then the oldest messages.
    fn evict(&mut self) -> bool {
        if let Some((_, key)) = self.closed.pop_front() {
            self.settle(key, false);
        } else if let Some(key) = self.strangers.pop_front() {
            let leg = self.legs.get(key);
            if leg.is_some_and(|leg| leg.owner == Owner::Stranger && leg.previous.is_none()) {
                self.remove(key);
            }
        } else if let Some(key) = self.own.pop_front() {
            self.legs.change(key, |leg| {
                leg.given_up = Some(UnknownReason::TooManyOpen);
                leg.is_changed = true;
                leg.phase = Phase::Closed;
            });
            self.settle(key, true);
        } else if let Some(key) = self.receiving.pop_front() {
            self.abandon(key);
        } else {
            return false;
        }
        true
    }

    /// Nothing more is read: what can settle does, and the rest is told as it is.
    pub fn finish(&mut self) {
        self.age.wait(GRACE + 1);
        while let Some((_, key)) = self.closed.pop_front() {
            self.settle(key, false);
        }
        while let Some(key) = self.receiving.pop_front() {
            let leg = self.legs.get(key);
            if leg.is_some_and(|leg| leg.phase == Phase::Receiving) {
                self.abandon(key);
            }
        }
    }
}
