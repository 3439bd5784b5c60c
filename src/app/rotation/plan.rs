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
const BATCH: usize = 256;

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

impl App {
    /// Plans a run: all unfinished rotations of the selection and at most `most` others.
    /// Fails if a named user does not exist, or if several users would share one file.
    pub fn plan_rotation(
        &mut self,
        selection: &Selection,
        options: &RotationOptions,
        most: Option<usize>,
        deliverer: &dyn Deliverer,
    ) -> Result<Vec<PlannedRotation>> {
        let now = self.now().plausible()?;
        let mut chosen = match selection {
            Selection::Named(names) => self.named(names)?,
            Selection::Due { older_than, ahead } => self.due(*older_than, *ahead, now)?,
        }
        .into_iter();
        let mut left = most.unwrap_or(usize::MAX);
        let mut targets = DeliveryTargets::default();
        let mut planned = Vec::new();
        loop {
            let batch: Vec<_> = chosen.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                break;
            }
            let names: Vec<_> = batch.iter().map(|chosen| &chosen.username).collect();
            let destinations = self.destinations(&names, options)?;
            let hashes = self.store.hashes_of(&names)?;
            for ((chosen, mut destination), own) in batch.into_iter().zip(destinations).zip(hashes)
            {
                let Chosen { username, .. } = &chosen;
                if !chosen.unfinished && left == 0 && destination.is_ok() {
                    continue;
                }
                if let Ok(found) = &destination
                    && let Some(conflict) =
                        self.conflict(username, &own, found, &mut targets, deliverer)?
                {
                    destination = Err(conflict);
                }
                // Unfinished rotations and users that cannot be rotated do not count
                // towards the limit.
                left -= usize::from(!chosen.unfinished && destination.is_ok());
                planned.push(PlannedRotation {
                    username: chosen.username,
                    created_at: chosen.created_at,
                    why: chosen.why,
                    destination,
                    assumed_lost: false,
                });
            }
        }
        if let (Some(path), true) = (options.destination.shared_file(), planned.len() > 1) {
            return Err(Error::Usage(format!(
                "{path} would be written for {} users: add {{username}} to its name",
                planned.len()
            )));
        }
        Ok(planned)
    }

    /// Returns the named users, each once.
    fn named(&mut self, names: &[Username]) -> Result<Vec<Chosen>> {
        let mut seen = HashSet::new();
        let mut chosen = Vec::new();
        for batch in names.chunks(BATCH) {
            let batch: Vec<_> = batch.iter().collect();
            for (username, user) in batch.iter().zip(self.store.users_named(&batch)?) {
                let Some(user) = user else {
                    return Err(not_found(&mut self.store, username));
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

    /// Returns the users with an unfinished rotation, then those whose password is due.
    fn due(
        &mut self,
        older_than: Option<Duration>,
        ahead: Duration,
        now: Time,
    ) -> Result<Vec<Chosen>> {
        let mut chosen = Vec::new();
        let mut consider = |user: Candidate| {
            let every = older_than.or(user.every);
            let why = if user.unfinished {
                Some("an earlier rotation is unfinished".to_owned())
            } else {
                why_due(user.password_at, every, user.expires_at, ahead, now)
            };
            chosen.extend(why.map(|why| Chosen {
                username: user.username,
                created_at: user.created_at,
                why,
                unfinished: user.unfinished,
            }));
            Ok(())
        };
        self.store
            .rotation_candidates(now, older_than, now.plus(ahead), &mut consider)?;
        chosen.sort_by_key(|chosen| !chosen.unfinished);
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
