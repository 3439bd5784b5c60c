//! Who is rotated, and why.

use super::super::App;
use super::{Courier, Options, Places, need_user};
use crate::error::{Error, Result};
use crate::model::delivery::Delivery;
use crate::model::duration::Duration;
use crate::model::name::Username;
use crate::model::time::Time;
use crate::model::user::{Status, User};
use crate::store::Candidate;

/// Whose passwords are looked at.
#[derive(Clone, Debug)]
pub enum Selection {
    Named(Vec<Username>),
    Due {
        /// Instead of what users, domains and the installation say.
        older_than: Option<Duration>,
        /// Before a user expires.
        ahead: Duration,
    },
}

/// One user that a run is about.
#[derive(Debug)]
pub struct Planned {
    pub username: Username,
    pub why: String,
    /// Where it goes, or why it cannot be done.
    pub delivery: Result<Delivery>,
    /// An earlier new password is stopped that may lie somewhere unseen.
    pub doubt: bool,
}

impl App {
    /// Those whose rotation is unfinished, and at most so many others.
    pub fn plan_rotation(
        &mut self,
        selection: &Selection,
        options: &Options,
        most: Option<usize>,
        courier: &dyn Courier,
    ) -> Result<Vec<Planned>> {
        let now = self.now().plausible()?;
        let mut chosen = Vec::new();
        match selection {
            Selection::Named(names) => {
                for username in names {
                    need_user(&mut self.store, username)?;
                    if !chosen.iter().any(|(_, name, _)| name == username) {
                        chosen.push((true, username.clone(), "it was named".to_owned()));
                    }
                }
            }
            Selection::Due { older_than, ahead } => {
                let near = now.plus(*ahead);
                let mut look = |user: Candidate| {
                    let every = older_than.or(user.every);
                    let why = if user.unfinished {
                        Some("an earlier rotation is unfinished".to_owned())
                    } else {
                        is_due(user.password_at, every, user.expires_at, *ahead, now)
                    };
                    if let Some(why) = why {
                        chosen.push((!user.unfinished, user.username, why));
                    }
                    Ok(())
                };
                self.store
                    .rotation_candidates(now, *older_than, near, &mut look)?;
                chosen.sort_by_key(|(due, _, _)| *due);
            }
        }
        let mut left = most.unwrap_or(usize::MAX);
        let mut places = Places::default();
        let mut kept = Vec::new();
        for (due, username, why) in chosen {
            let mut delivery = self.where_to(&username, options)?;
            if due && left == 0 && delivery.is_ok() {
                continue;
            }
            if let Ok(wanted) = &delivery
                && let Some(taken) = self.taken(&username, wanted, &mut places, courier)?
            {
                delivery = Err(taken);
            }
            // Neither who is taken up nor who cannot be rotated keeps others waiting.
            left -= usize::from(due && delivery.is_ok());
            kept.push(Planned {
                username,
                why,
                delivery,
                doubt: false,
            });
        }
        if let (Some(path), true) = (options.delivery.shared_file(), kept.len() > 1) {
            return Err(Error::Usage(format!(
                "{path} would be written for {} users: it needs {{username}} in it",
                kept.len()
            )));
        }
        Ok(kept)
    }

    fn where_to(&mut self, username: &Username, options: &Options) -> Result<Result<Delivery>> {
        if !options.delivery.is_empty() {
            return Ok(Ok(options.delivery.clone()));
        }
        let mut delivery = self.store.rotation_rules(username)?.delivery;
        if delivery.is_empty() {
            return Ok(Err(Error::NoDelivery(username.to_string())));
        }
        // Whoever can write the store would become root.
        if let (Some(owner), false) = (self.store.foreign_owner(), options.trust_store) {
            return Err(Error::UntrustedDelivery(owner));
        }
        delivery.timeout = options.delivery.timeout.or(delivery.timeout);
        Ok(Ok(delivery))
    }
}

/// Why a user cannot be rotated, if so.
pub(super) fn stopped(user: &User, now: Time) -> Option<&'static str> {
    match user.status(now) {
        Status::Suspended => Some("it is suspended"),
        Status::Expired => Some("it has expired"),
        Status::Active | Status::Overlap => None,
    }
}

/// Older than its rule allows, or about to expire and not renewed since that came
/// near.
fn is_due(
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
        return Some(format!(
            "the password is {age} old, and should be {every} at most"
        ));
    }
    let expires_at = expires_at?;
    let near = Time::from_epoch(expires_at.epoch() - ahead.seconds());
    (near <= now && now < expires_at && made < near)
        .then(|| format!("the user expires {expires_at}"))
}
