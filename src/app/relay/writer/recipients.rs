//! Records to whom users send for the first time, and tells the admin who has many new recipients.

use std::collections::BTreeMap;

use super::renamed_users::RenamedUsers;
use crate::app::relay::pending_writes::PendingWrites;
use crate::error::Result;
use crate::model::alert::NewAlert;
use crate::model::name::Username;
use crate::model::time::Time;
use crate::model::usage_window::Count;
use crate::store::{Scope, SendingRules, Tx};

/// Records the recipients of users whose new recipients no limit counts.
pub(super) fn write(
    tx: &mut Tx,
    pending: &PendingWrites,
    names: &RenamedUsers,
    now: Time,
) -> Result<()> {
    if pending.recipients.is_empty() {
        return Ok(());
    }
    // In their order: neighbours share a page, which is then written once.
    let sent = pending.recipients.iter();
    let sent: BTreeMap<_, _> = sent
        .map(|((username, digest), at)| ((names.now(username), *digest), *at))
        .collect();
    let mut new: BTreeMap<_, BTreeMap<Time, u32>> = BTreeMap::new();
    for ((username, digest), at) in sent {
        if tx.add_recipient(username, digest, at)? {
            *new.entry(username).or_default().entry(at).or_default() += 1;
        }
    }
    for (username, times) in new {
        for (at, number) in times {
            let count = Count {
                new_recipients: number,
                ..Count::default()
            };
            for owner in Scope::all(username) {
                tx.count(owner, count, at)?;
            }
        }
        if let Some(rules) = tx.store().sending_rules(username)? {
            tell_of_many(tx, username, &rules, now)?;
        }
    }
    Ok(())
}

/// Tells about a user who just sent to new recipients, if they are many by now.
pub(super) fn tell_of_many(
    tx: &mut Tx,
    username: &Username,
    rules: &SendingRules,
    now: Time,
) -> Result<()> {
    let Some(many) = rules.many_new_recipients else {
        return Ok(());
    };
    let number = tx.store().new_recipients_in_hour(username, now)?;
    if number > u64::from(many) {
        tx.raise(&NewAlert::new_recipients(username, number))?;
    }
    Ok(())
}
