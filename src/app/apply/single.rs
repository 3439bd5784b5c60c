//! What a single command would change: the same comparison as for a plan.

use super::differ::{domain, settings, user};
use super::difference::FieldChange;
use crate::error::Result;
use crate::model::address_rules::AddressChange;
use crate::model::limits::LimitSetting;
use crate::model::name::DomainName;
use crate::model::plan::{Common, DomainPlan, SettingsPlan, UserPlan};
use crate::model::rotation::RulesChange;
use crate::model::sender::Sender;
use crate::store::{DomainChange, SendingChange, SettingsChange, Store, UserChange, UserRules};

/// Returns the fields of a user that a change makes different.
pub fn user_changes(has: &UserRules, change: &UserChange) -> Vec<FieldChange> {
    let UserChange {
        label,
        daily_limit,
        expires_at,
        sending,
        rotation,
        note,
        tags,
        addresses,
    } = change;
    let wanted = UserPlan {
        line: 0,
        label: label.clone(),
        note: note.clone(),
        tags: tags.clone(),
        daily_limit: daily_limit.clone(),
        expires_at: expires_at.clone(),
        suspended: None,
        senders: sending.senders.as_deref().map(sorted),
        common: common(sending, rotation, addresses),
    };
    user(Some(has), &wanted).fields
}

/// Returns the fields of a domain that a change makes different.
pub fn domain_changes(
    store: &mut Store,
    name: &DomainName,
    change: &DomainChange,
) -> Result<Vec<FieldChange>> {
    let DomainChange {
        host,
        max_users,
        daily_limit,
        sending,
        rotation,
        addresses,
    } = change;
    let wanted = DomainPlan {
        line: 0,
        host: host.clone(),
        max_users: max_users.clone(),
        daily_limit: daily_limit.clone(),
        common: common(sending, rotation, addresses),
    };
    Ok(domain(Some(store), name, &wanted)?.fields)
}

/// Returns the settings that a change makes different.
pub fn settings_changes(store: &mut Store, change: &SettingsChange) -> Result<Vec<FieldChange>> {
    let SettingsChange {
        host,
        ports,
        argon2,
        accept_hash,
        allow_insecure,
        require_verified_domains,
        day,
        sending,
        rotation,
        alerts,
        addresses,
        ignore_addresses,
        keep_messages,
        keep_recipients,
    } = change;
    let wanted = SettingsPlan {
        line: 0,
        host: host.clone(),
        ports: *ports,
        argon2: *argon2,
        accept_hash: accept_hash.clone(),
        day: day.clone(),
        allow_insecure: *allow_insecure,
        require_verified_domains: *require_verified_domains,
        alerts: alerts.clone(),
        ignore_addresses: ignore_addresses.clone(),
        keep_messages: *keep_messages,
        keep_recipients: *keep_recipients,
        common: common(sending, rotation, addresses),
    };
    Ok(settings(Some(store), Some(&wanted))?.0)
}

fn common(sending: &SendingChange, rotation: &RulesChange, addresses: &AddressChange) -> Common {
    Common {
        limits: last_of_each(&sending.limits),
        on_limit: sending.on_limit.clone(),
        rotation: rotation.clone(),
        addresses: addresses.clone(),
        allowed: None,
    }
}

/// Returns each limit once: of several for one kind, the last counts.
fn last_of_each(limits: &[LimitSetting]) -> Vec<LimitSetting> {
    let is_last = |at: usize, kind| limits[at + 1..].iter().all(|later| later.kind != kind);
    let numbered = limits.iter().enumerate();
    let last = numbered.filter(|(at, limit)| is_last(*at, limit.kind));
    last.map(|(_, limit)| limit.clone()).collect()
}

/// Returns the senders as the store has them.
fn sorted(senders: &[Sender]) -> Vec<Sender> {
    let mut senders = senders.to_vec();
    senders.sort();
    senders.dedup();
    senders
}
