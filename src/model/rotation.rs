//! Rotation: how often a password is replaced, how far that came, and what becomes
//! of the old one.

use std::str::FromStr;

use super::delivery::{CommandLine, Delivery, PathTemplate, VariableName};
use super::duration::Duration;
use super::password::KeyId;
use super::settings::Setting;
use super::text::invalid;
use super::time::Time;
use crate::error::{Error, Result};

/// What an owner says about rotation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RotationRules {
    pub every: Option<Duration>,
    pub delivery: Delivery,
}

/// What to set; absent stays as it is.
#[derive(Clone, Debug, Default)]
pub struct RulesChange {
    pub every: Option<Setting<Duration>>,
    pub command: Option<Setting<CommandLine>>,
    pub write_file: Option<Setting<PathTemplate>>,
    pub write_env: Option<Setting<PathTemplate>>,
    pub env_name: Option<Setting<VariableName>>,
    pub timeout: Option<Setting<Duration>>,
}

/// When the old password stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retire {
    AtOnce,
    After(Duration),
    /// When nobody has used it for so long; after `most` in any case.
    WhenUnused {
        unused: Duration,
        most: Duration,
    },
}

/// How far a rotation came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The new password works, and no command has been given it.
    Live,
    /// It may have arrived.
    Handing,
    /// It did not arrive, and was stopped.
    Withdrawn,
}

/// A rotation that is not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// The new password; nothing once it was withdrawn.
    pub key: Option<KeyId>,
    pub stage: Stage,
    pub began_at: Time,
    /// From then on nobody hands it over any more.
    pub settles_at: Option<Time>,
    pub reason: Option<String>,
    /// A command was to have it.
    pub with_command: bool,
    /// The files it was to be in.
    pub files: Delivery,
}

impl RotationRules {
    pub const fn is_empty(&self) -> bool {
        self.every.is_none()
            && self.delivery.is_empty()
            && self.delivery.env_name.is_none()
            && self.delivery.timeout.is_none()
    }

    pub fn change(&mut self, change: &RulesChange) {
        fn set<T: Clone>(old: &mut Option<T>, new: Option<&Setting<T>>) {
            if let Some(new) = new {
                *old = new.clone().value();
            }
        }
        set(&mut self.every, change.every.as_ref());
        set(&mut self.delivery.command, change.command.as_ref());
        set(&mut self.delivery.write_file, change.write_file.as_ref());
        set(&mut self.delivery.write_env, change.write_env.as_ref());
        set(&mut self.delivery.env_name, change.env_name.as_ref());
        set(&mut self.delivery.timeout, change.timeout.as_ref());
    }

    /// Of a user's, its domain's and the installation's: the nearest that says how
    /// often, and the nearest that says where to, as a whole.
    pub fn nearest(rules: [Self; 3]) -> Self {
        let every = rules.iter().find_map(|rules| rules.every);
        let mut deliveries = rules.into_iter().map(|rules| rules.delivery);
        let delivery = deliveries.find(|delivery| !delivery.is_empty());
        Self {
            every,
            delivery: delivery.unwrap_or_default(),
        }
    }
}

impl RulesChange {
    pub const fn is_empty(&self) -> bool {
        self.every.is_none() && self.keeps_delivery()
    }

    /// Nothing of it is about where to.
    pub const fn keeps_delivery(&self) -> bool {
        self.command.is_none()
            && self.write_file.is_none()
            && self.write_env.is_none()
            && self.env_name.is_none()
            && self.timeout.is_none()
    }
}

impl Stage {
    const ALL: [Self; 3] = [Self::Live, Self::Handing, Self::Withdrawn];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Handing => "handing",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl FromStr for Stage {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|stage| stage.name() == text)
            .ok_or_else(|| invalid("stage", text, "live, handing or withdrawn"))
    }
}

impl Unfinished {
    /// For people.
    pub fn reason(&self) -> &str {
        self.reason
            .as_deref()
            .unwrap_or("it was interrupted before its end")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_rule_counts() {
        let every = |days: i64| RotationRules {
            every: format!("{days}d").parse().ok(),
            ..RotationRules::default()
        };
        let mut inherited = every(90);
        inherited.delivery.command = "deliver".parse().ok();
        let found = RotationRules::nearest([every(30), inherited.clone(), every(10)]);
        assert_eq!(found.every, every(30).every);
        assert_eq!(found.delivery, inherited.delivery);
    }
}
