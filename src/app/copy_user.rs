//! Makes a new user like another one, with a password of its own.

use super::credential::{CreateRequest, Name};
use super::users::UserRequest;
use super::{App, not_found};
use crate::error::Result;
use crate::model::address_rules::{AddressChange, AddressRules};
use crate::model::delivery::Destination;
use crate::model::label::Label;
use crate::model::name::Username;
use crate::model::rotation::{RotationRules, RulesChange};
use crate::model::sender::Sender;
use crate::model::setting::Setting;
use crate::model::tag::{Tag, TagChange};
use crate::store::{SendingChange, UserRules};

/// A user to create like another one.
pub struct CopyRequest {
    /// What to create.
    pub create: CreateRequest,
    /// The copied user's destination, if the new user cannot share it.
    pub left_out: Option<Destination>,
}

impl App {
    /// Returns the request for a user like `from`: with its tags, limits, senders, rules of
    /// rotation and rules about addresses, and without its note, expiry and suspension. Without a label, it gets one
    /// that is made of the other's.
    pub fn copy_of(
        &mut self,
        from: &Username,
        to: &Username,
        label: Option<Setting<Label>>,
    ) -> Result<CopyRequest> {
        let Some(rules) = self.store.rules_of_users(&[from])?.pop().flatten() else {
            let now = self.now();
            return Err(not_found(&mut self.store, from, now));
        };
        let label = match label {
            Some(label) => label.value(),
            None => (rules.user.label.as_deref()).and_then(|label| like(label, from, to)),
        };
        let (rotation, left_out) = rotation(&rules.rotation, from);
        let tags = rules.user.tags.iter();
        let tags = tags.map(|(key, value)| format!("{key}={value}").parse::<Tag>());
        let daily_limit = rules.user.daily_limit.map(|most| most.to_string().parse());
        let user = UserRequest {
            label,
            note: None,
            tags: tags
                .map(|tag| tag.map(TagChange::from))
                .collect::<Result<_>>()?,
            daily_limit: daily_limit.transpose()?,
            expires: None,
            sending: sending(&rules, from, to)?,
            rotation,
            addresses: addresses(&rules.addresses),
        };
        let create = CreateRequest {
            name: Name::Chosen(to.clone()),
            add_domain: false,
            copy_of: Some(from.clone()),
            user,
        };
        Ok(CopyRequest { create, left_out })
    }
}

/// Returns the label of a copy: of "WordPress" or "WordPress (shop)" it is "WordPress (blog)",
/// if these are the names of the two.
fn like(label: &str, from: &Username, to: &Username) -> Option<Label> {
    let own = format!("({})", from.local_part());
    let stem = label.strip_suffix(&own).unwrap_or(label).trim_end();
    let named = format!("{stem} ({})", to.local_part());
    // Both names together may be too long.
    named.parse().or_else(|_| label.parse()).ok()
}

/// Replaces the user's own address among the senders with that of the new user.
fn sending(rules: &UserRules, from: &Username, to: &Username) -> Result<SendingChange> {
    let mut senders: Vec<Sender> = Vec::new();
    for sender in &rules.senders {
        senders.push(if sender.as_str() == from.as_str() {
            to.as_str().parse()?
        } else {
            sender.clone()
        });
    }
    senders.sort();
    senders.dedup();
    let limits = rules.limits.iter();
    let limits = limits.map(|(kind, most)| format!("{kind}={most}").parse());
    Ok(SendingChange {
        senders: (!senders.is_empty()).then_some(senders),
        limits: limits.collect::<Result<_>>()?,
        on_limit: rules.on_limit.map(Setting::Some),
    })
}

/// Returns the rules about addresses for the copy, which learns its own.
fn addresses(rules: &AddressRules) -> AddressChange {
    AddressChange {
        mode: rules.mode.map(Setting::Some),
        unknown: rules.unknown.map(Setting::Some),
        learn: rules.learn.map(Setting::Some),
        allow: rules.given().collect(),
        disallow: Vec::new(),
    }
}

/// Returns the rules of rotation for the copy. Two users cannot have their passwords in the
/// same place: a destination that is the other's own is left out, and returned.
fn rotation(rules: &RotationRules, from: &Username) -> (RulesChange, Option<Destination>) {
    let every = rules.every.map(Setting::Some);
    let to = &rules.delivery;
    let names_it = |word: &String| word.contains(from.as_str());
    let command = to.command.as_ref();
    let is_its_own = to.shared_file().is_some()
        || command.is_some_and(|command| command.words().iter().any(names_it));
    if is_its_own {
        let change = RulesChange {
            every,
            ..RulesChange::default()
        };
        return (change, Some(to.clone()));
    }
    let change = RulesChange {
        every,
        command: to.command.clone().map(Setting::Some),
        write_file: to.write_file.clone().map(Setting::Some),
        write_env: to.write_env.clone().map(Setting::Some),
        env_name: to.env_name.clone().map(Setting::Some),
        timeout: to.timeout.map(Setting::Some),
    };
    (change, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_of_a_copy_names_the_copy() {
        let (shop, blog) = (
            "shop@example.com".parse().unwrap(),
            "blog@example.com".parse().unwrap(),
        );
        for (label, copy) in [
            ("WordPress", "WordPress (blog)"),
            ("WordPress (shop)", "WordPress (blog)"),
            ("WordPress (EU)", "WordPress (EU) (blog)"),
        ] {
            assert_eq!(like(label, &shop, &blog).unwrap().as_str(), copy);
        }
        let long = "x".repeat(100);
        assert_eq!(like(&long, &shop, &blog).unwrap().as_str(), long);
    }

    #[test]
    fn two_users_do_not_share_a_destination() {
        let shop = "shop@example.com".parse().unwrap();
        let mut rules = RotationRules {
            every: "90d".parse().ok(),
            ..RotationRules::default()
        };
        rules.delivery.write_file = "/etc/smtp/{username}".parse().ok();
        rules.delivery.command = "put".parse().ok();
        let (change, left_out) = rotation(&rules, &shop);
        assert!(change.write_file.is_some() && change.command.is_some() && left_out.is_none());
        for (file, command) in [
            ("/etc/smtp/shop", "put"),
            ("/etc/{username}", "put shop@example.com"),
        ] {
            rules.delivery.write_file = file.parse().ok();
            rules.delivery.command = command.parse().ok();
            let (change, left_out) = rotation(&rules, &shop);
            assert!(change.every.is_some() && change.keeps_delivery() && left_out.is_some());
        }
    }
}
