//! Which users a run rotates, and why.

use std::collections::HashSet;

use super::super::{App, not_found};
use super::{Deliverer, DeliveryTargets, RotationOptions};
use crate::error::{Error, Result};
use crate::model::delivery::Destination;
use crate::model::duration::Duration;
use crate::model::name::Username;
use crate::model::rotation::RotationRules;
use crate::model::time::Time;
use crate::model::user::{Status, User};
use crate::store::Candidate;

/// How many users are read at once.
const BATCH: u32 = 256;
/// A round is full with this many users: a million at once took half a gigabyte.
const ROUND: usize = 4096;

/// The users that are candidates for a rotation.
#[derive(Clone, Debug)]
pub enum Selection {
    /// These users, due or not.
    Named(Vec<Username>),
    /// All users whose password is due or whose rotation is unfinished.
    Due {
        /// The age at which passwords are due, in place of the stored rules.
        older_than: Option<Duration>,
        /// How long before a user's expiry its password is due.
        ahead: Duration,
    },
}

/// One user that a run handles.
#[derive(Debug)]
pub struct PlannedRotation {
    /// The user to rotate.
    pub username: Username,
    /// Distinguishes the user from a later one of the same name.
    pub created_at: Time,
    /// Why the user is rotated, for people.
    pub why: String,
    /// Where the new password goes, or why there is none.
    pub destination: Result<Destination>,
    /// Why it would not get there.
    pub obstacle: Option<String>,
    /// It was named on the command line, so it may not be due.
    pub named: bool,
    /// An earlier new password is revoked, although it may lie ready somewhere.
    pub assumed_lost: bool,
}

/// A user to be rotated, and why.
struct Chosen {
    username: Username,
    created_at: Time,
    why: String,
    unfinished: bool,
}

/// Plans a run in rounds, so that all its users are never in memory together: first those whose
/// rotation is unfinished, then the others, by name.
pub struct RotationRounds<'a> {
    selection: &'a Selection,
    options: &'a RotationOptions,
    deliverer: &'a dyn Deliverer,
    /// How many more users may be rotated whose rotation is not unfinished.
    left: usize,
    now: Time,
    place: Place,
    targets: DeliveryTargets,
}

/// How far a plan is: the last name that was looked at.
enum Place {
    Unfinished(String),
    Others(String),
    End,
}

impl<'a> RotationRounds<'a> {
    /// Begins a plan of all unfinished rotations of the selection and at most `most` others.
    /// Fails if the clock is wrong.
    pub fn begin(
        app: &App,
        selection: &'a Selection,
        options: &'a RotationOptions,
        most: Option<usize>,
        deliverer: &'a dyn Deliverer,
    ) -> Result<Self> {
        Ok(Self {
            selection,
            options,
            deliverer,
            left: most.unwrap_or(usize::MAX),
            now: app.now().plausible()?,
            place: Place::Unfinished(String::new()),
            targets: DeliveryTargets::default(),
        })
    }

    /// Returns whether all users are planned.
    pub(super) const fn is_at_end(&self) -> bool {
        matches!(self.place, Place::End)
    }
}

impl App {
    /// Plans the next round; without users, there are no more. Named users are one round. Fails
    /// if one of them does not exist, or if several users would share one file.
    pub fn plan_round(&mut self, rounds: &mut RotationRounds) -> Result<Vec<PlannedRotation>> {
        let mut planned = Vec::new();
        rounds.targets.begin_round();
        while planned.len() < ROUND && !rounds.is_at_end() {
            for batch in self.next_chosen(rounds)?.chunks(BATCH as usize) {
                self.plan_batch(rounds, batch, &mut planned)?;
            }
        }
        if let (Some(path), true) = (rounds.options.destination.shared_file(), planned.len() > 1) {
            return Err(Error::Usage(format!(
                "{path} would be written for {} users: add {{username}} to its name",
                planned.len()
            )));
        }
        Ok(planned)
    }

    /// Returns how many users there are after those that are planned, whether or not they can be
    /// rotated.
    pub(super) fn count_unplanned(&mut self, rounds: &RotationRounds) -> Result<usize> {
        let Selection::Due { older_than, ahead } = rounds.selection else {
            return Ok(0);
        };
        let mut after = match &rounds.place {
            Place::Others(after) => after.clone(),
            Place::Unfinished(_) => String::new(),
            Place::End => return Ok(0),
        };
        let begun = matches!(rounds.place, Place::Others(_));
        let mut count = 0;
        while let Some(last) =
            self.candidates(&after, *older_than, *ahead, rounds.now, &mut |found| {
                count += usize::from(!found.unfinished || !begun);
            })?
        {
            after = last;
        }
        Ok(count.min(rounds.left))
    }

    /// Returns the next users, and moves on behind them.
    fn next_chosen(&mut self, rounds: &mut RotationRounds) -> Result<Vec<Chosen>> {
        let now = rounds.now;
        let (older_than, ahead) = match rounds.selection {
            Selection::Named(names) => {
                rounds.place = Place::End;
                return self.named(names);
            }
            Selection::Due { older_than, ahead } => (*older_than, *ahead),
        };
        match &rounds.place {
            Place::Unfinished(after) => {
                let found = self.store.unfinished_after(after, now, BATCH)?;
                rounds.place = match found.last() {
                    Some((last, _)) => Place::Unfinished(last.to_string()),
                    None => Place::Others(String::new()),
                };
                let chosen = found.into_iter().map(|(username, created_at)| Chosen {
                    username,
                    created_at,
                    why: "an earlier rotation is unfinished".to_owned(),
                    unfinished: true,
                });
                Ok(chosen.collect())
            }
            Place::Others(after) => {
                let mut chosen = Vec::new();
                let last = self.candidates(after, older_than, ahead, now, &mut |found| {
                    chosen.extend(Some(found).filter(|found| !found.unfinished));
                })?;
                rounds.place = last.map_or(Place::End, Place::Others);
                Ok(chosen)
            }
            Place::End => Ok(Vec::new()),
        }
    }

    /// Calls `each` for the users that are due among the next ones. Returns the last name that was
    /// looked at.
    fn candidates(
        &mut self,
        after: &str,
        older_than: Option<Duration>,
        ahead: Duration,
        now: Time,
        each: &mut dyn FnMut(Chosen),
    ) -> Result<Option<String>> {
        let mut consider = |user: Candidate| {
            let every = older_than.or(user.every);
            let why = if user.unfinished {
                Some(String::new())
            } else {
                why_due(user.password_at, every, user.expires_at, ahead, now)
            };
            if let Some(why) = why {
                each(Chosen {
                    username: user.username,
                    created_at: user.created_at,
                    why,
                    unfinished: user.unfinished,
                });
            }
            Ok(())
        };
        let expires_by = now.plus(ahead);
        self.store
            .rotation_candidates(after, now, older_than, expires_by, &mut consider)
    }

    /// Gives each user its destination, or the reason why it has none.
    fn plan_batch(
        &mut self,
        rounds: &mut RotationRounds,
        batch: &[Chosen],
        planned: &mut Vec<PlannedRotation>,
    ) -> Result<()> {
        let names: Vec<_> = batch.iter().map(|chosen| &chosen.username).collect();
        let destinations = self.destinations(&names, rounds.options)?;
        let hashes = self.store.hashes_of(&names)?;
        for ((chosen, mut destination), own) in batch.iter().zip(destinations).zip(hashes) {
            let username = &chosen.username;
            if !chosen.unfinished && rounds.left == 0 && destination.is_ok() {
                continue;
            }
            if let Ok(found) = &destination
                && let Some(conflict) =
                    self.conflict(username, &own, found, &mut rounds.targets, rounds.deliverer)?
            {
                destination = Err(conflict);
            }
            let obstacle = match &destination {
                Ok(found) => self.obstacle(rounds, username, found)?,
                Err(_) => None,
            };
            // Unfinished rotations and users that cannot be rotated do not count
            // towards the limit.
            let counts = destination.is_ok() && obstacle.is_none();
            rounds.left -= usize::from(!chosen.unfinished && counts);
            planned.push(PlannedRotation {
                username: username.clone(),
                created_at: chosen.created_at,
                why: chosen.why.clone(),
                destination,
                obstacle,
                named: matches!(rounds.selection, Selection::Named(_)),
                assumed_lost: false,
            });
        }
        Ok(())
    }

    /// Returns why a password would not reach its destination, if that can be seen.
    fn obstacle(
        &mut self,
        rounds: &RotationRounds,
        username: &Username,
        destination: &Destination,
    ) -> Result<Option<String>> {
        let obstacles = rounds.deliverer.obstacles(destination, username, false);
        let mut reasons: Vec<_> = obstacles.into_iter().map(|one| one.reason).collect();
        if rounds.deliverer.needs_server_name()
            && self.server_of(&username.domain())?.host.is_none()
        {
            reasons.push(Error::HostNotSet("--prove").to_string());
        }
        Ok((!reasons.is_empty()).then(|| reasons.join("; ")))
    }

    /// Returns the named users, each once.
    fn named(&mut self, names: &[Username]) -> Result<Vec<Chosen>> {
        let mut seen = HashSet::new();
        let mut chosen = Vec::new();
        for batch in names.chunks(BATCH as usize) {
            let batch: Vec<_> = batch.iter().collect();
            for (username, user) in batch.iter().zip(self.store.users_named(&batch)?) {
                let Some(user) = user else {
                    let now = self.now();
                    return Err(not_found(&mut self.store, username, now));
                };
                if seen.insert(*username) {
                    chosen.push(Chosen {
                        username: (*username).clone(),
                        created_at: user.created_at,
                        why: "named on the command line".to_owned(),
                        unfinished: false,
                    });
                }
            }
        }
        Ok(chosen)
    }

    /// Returns each user's destination, or why there is none.
    fn destinations(
        &mut self,
        names: &[&Username],
        options: &RotationOptions,
    ) -> Result<Vec<Result<Destination>>> {
        if !options.destination.is_empty() {
            return Ok(names
                .iter()
                .map(|_| Ok(options.destination.clone()))
                .collect());
        }
        let rules = self.store.all_rotation_rules_of(names)?;
        let mut destinations = Vec::with_capacity(names.len());
        for (username, rules) in names.iter().zip(rules) {
            let mut destination = RotationRules::nearest(rules).delivery;
            if destination.is_empty() {
                destinations.push(Err(Error::NoDelivery(username.to_string())));
                continue;
            }
            // Otherwise anyone who can write the store could become root.
            if !options.trust_store {
                self.store.check_deliveries()?;
            }
            destination.timeout = options.destination.timeout.or(destination.timeout);
            destinations.push(Ok(destination));
        }
        Ok(destinations)
    }
}

/// Returns why a user in this state is not rotated, if so.
pub(super) fn inactive(user: &User, now: Time) -> Option<&'static str> {
    match user.status(now) {
        Status::Suspended => Some("it is suspended"),
        Status::Expired => Some("it has expired"),
        Status::Active | Status::Overlap => None,
    }
}

/// Returns why a password is due, if so: it is older than its rule allows, or its user is
/// about to expire and the password was made earlier.
fn why_due(
    password_at: Option<Time>,
    every: Option<Duration>,
    expires_at: Option<Time>,
    ahead: Duration,
    now: Time,
) -> Option<String> {
    let made = password_at?;
    let age = now.since(made);
    if let Some(every) = every
        && age >= every
    {
        return Some(format!("the password is {age} old (maximum {every})"));
    }
    let expires_at = expires_at?;
    let near = Time::from_epoch(expires_at.epoch() - ahead.seconds());
    (near <= now && now < expires_at && made < near)
        .then(|| format!("the user expires {expires_at}"))
}
