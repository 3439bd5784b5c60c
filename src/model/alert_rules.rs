//! Which alerts are raised, and where they are sent.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::alert::AlertKind;
use super::delivery::CommandLine;
use super::duration::Duration;
use super::mailbox::LocalMailbox;
use super::text::{invalid, number};
use crate::error::{Error, Result};

/// Whether alerts of a kind are raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertRule {
    /// They are not.
    Off,
    /// They are: from this value on, or always if the kind has none.
    On(AlertValue),
}

/// From which value on something is an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertValue {
    /// Always.
    None,
    /// From this share of a limit, or of the recipients, on.
    Percent(u32),
    /// From this many within an hour on.
    PerHour(u32),
    /// From so long before or after on.
    Time(Duration),
}

/// One rule, as it is given: `limit=90%`, or `leak`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertSetting {
    /// The kind of alert.
    pub kind: AlertKind,
    /// What applies to it.
    pub rule: AlertRule,
}

/// A command or an address that each alert is sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertWay {
    /// Reads the alert as JSON from its standard input.
    Command(CommandLine),
    /// Gets it by mail.
    Mail(LocalMailbox),
}

/// What is told, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertRules {
    /// What differs from the default.
    set: BTreeMap<AlertKind, AlertRule>,
    /// The commands that get each alert.
    pub commands: Vec<CommandLine>,
    /// The addresses that get each alert.
    pub addresses: Vec<LocalMailbox>,
}

/// A change of the rules; absent values stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertChange {
    /// The rules to set, each kind once.
    pub rules: Vec<AlertSetting>,
    /// All commands.
    pub commands: Option<Vec<CommandLine>>,
    /// All addresses.
    pub addresses: Option<Vec<LocalMailbox>>,
}

impl AlertKind {
    /// Returns what applies unless an admin sets it.
    pub const fn default_rule(self) -> AlertRule {
        match self {
            // Newsletters have many. It also costs a write for each new recipient.
            Self::NewRecipients => AlertRule::Off,
            _ => self.default_on(),
        }
    }

    /// Returns what applies if it is on and nothing more is set.
    pub const fn default_on(self) -> AlertRule {
        AlertRule::On(self.default_value())
    }

    const fn default_value(self) -> AlertValue {
        match self {
            Self::Limit => AlertValue::Percent(80),
            Self::ManyAddresses => AlertValue::PerHour(5),
            Self::NewRecipients => AlertValue::PerHour(50),
            Self::Guesses => AlertValue::PerHour(100),
            Self::Expiring => AlertValue::Time(Duration::days(14)),
            Self::Bounces => AlertValue::Percent(10),
            Self::Deferred => AlertValue::Percent(50),
            Self::QueueOld => AlertValue::Time(Duration::hours(4)),
            _ => AlertValue::None,
        }
    }

    /// Parses a value of this kind; `None` if it is not one.
    fn value(self, text: &str) -> Option<AlertValue> {
        const MOST: u32 = 1_000_000;
        match self.default_value() {
            AlertValue::None => None,
            AlertValue::Percent(_) => {
                let percent = number::<u32>(text.strip_suffix('%')?)?;
                (1..=100)
                    .contains(&percent)
                    .then_some(AlertValue::Percent(percent))
            }
            AlertValue::PerHour(_) => {
                let most = number::<u32>(text.strip_suffix("/h")?)?;
                (1..=MOST)
                    .contains(&most)
                    .then_some(AlertValue::PerHour(most))
            }
            AlertValue::Time(_) => text.parse().ok().map(AlertValue::Time),
        }
    }
}

impl FromStr for AlertSetting {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (kind, value) = match text.split_once('=') {
            Some((kind, value)) => (kind.parse()?, Some(value)),
            None => (text.parse::<AlertKind>()?, None),
        };
        let usual = kind.default_value();
        let value = match value {
            None => usual,
            Some(value) => kind.value(value).ok_or_else(|| {
                let rule = match usual {
                    AlertValue::None => format!("{} without a value", kind.name()),
                    usual => format!("{}=VALUE with a value such as {usual}", kind.name()),
                };
                invalid("alert", text, rule)
            })?,
        };
        let rule = AlertRule::On(value);
        Ok(Self { kind, rule })
    }
}

impl AlertRule {
    /// Parses the rule of a kind as the store has it.
    pub fn stored(kind: AlertKind, text: &str) -> Option<Self> {
        match text {
            "off" => Some(Self::Off),
            "on" => Some(kind.default_on()),
            value => kind.value(value).map(Self::On),
        }
    }
}

impl fmt::Display for AlertRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::On(AlertValue::None) => f.write_str("on"),
            Self::On(value) => value.fmt(f),
        }
    }
}

impl fmt::Display for AlertValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::PerHour(most) => write!(f, "{most}/h"),
            Self::Time(before) => f.write_str(&before.exact()),
        }
    }
}

impl AlertWay {
    /// Returns it as the store has it, by which its deliveries are found.
    pub fn stored(&self) -> String {
        match self {
            Self::Command(command) => format!("exec {command}"),
            Self::Mail(address) => format!("mail {address}"),
        }
    }
}

impl fmt::Display for AlertWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(command) => command.fmt(f),
            Self::Mail(address) => address.fmt(f),
        }
    }
}

impl AlertRules {
    /// Returns the rule of a kind.
    pub fn rule(&self, kind: AlertKind) -> AlertRule {
        self.set.get(&kind).copied().unwrap_or(kind.default_rule())
    }

    /// Returns whether alerts of a kind are raised.
    pub fn is_on(&self, kind: AlertKind) -> bool {
        self.rule(kind) != AlertRule::Off
    }

    /// Returns from how many an hour on alerts of a kind are raised; `None` if they are not.
    pub fn per_hour(&self, kind: AlertKind) -> Option<u32> {
        match self.rule(kind) {
            AlertRule::On(AlertValue::PerHour(most)) => Some(most),
            _ => None,
        }
    }

    /// Returns from which percentage on alerts of a kind are raised; `None` if they are not.
    pub fn percent(&self, kind: AlertKind) -> Option<u32> {
        match self.rule(kind) {
            AlertRule::On(AlertValue::Percent(percent)) => Some(percent),
            _ => None,
        }
    }

    /// Returns from which time on alerts of a kind are raised; `None` if they are not.
    pub fn time(&self, kind: AlertKind) -> Option<Duration> {
        match self.rule(kind) {
            AlertRule::On(AlertValue::Time(time)) => Some(time),
            _ => None,
        }
    }

    /// Sets the rule of a kind.
    pub fn set(&mut self, setting: AlertSetting) {
        if setting.rule == setting.kind.default_rule() {
            self.set.remove(&setting.kind);
        } else {
            self.set.insert(setting.kind, setting.rule);
        }
    }

    /// Applies a change.
    pub fn change(&mut self, change: &AlertChange) {
        for setting in &change.rules {
            self.set(*setting);
        }
        if let Some(commands) = &change.commands {
            self.commands.clone_from(commands);
        }
        if let Some(addresses) = &change.addresses {
            self.addresses.clone_from(addresses);
        }
    }

    /// Returns all commands and addresses.
    pub fn ways(&self) -> impl Iterator<Item = AlertWay> {
        let commands = self.commands.iter().cloned().map(AlertWay::Command);
        let addresses = self.addresses.iter().cloned().map(AlertWay::Mail);
        commands.chain(addresses)
    }
}

impl AlertChange {
    /// Returns whether nothing changes.
    pub const fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.commands.is_none() && self.addresses.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_back_as_they_are_written() {
        for text in [
            "limit=90%",
            "many-addresses=1/h",
            "new-recipients=1000000/h",
            "expiring=30d",
        ] {
            let setting: AlertSetting = text.parse().unwrap();
            let (kind, value) = text.split_once('=').unwrap();
            assert_eq!(setting.rule.to_string(), value);
            assert_eq!(AlertRule::stored(setting.kind, value), Some(setting.rule));
            assert_eq!(setting.kind.name(), kind);
        }
        let leak: AlertSetting = "leak".parse().unwrap();
        assert_eq!(leak.rule.to_string(), "on");
        assert_eq!(AlertRule::stored(leak.kind, "on"), Some(leak.rule));
        for bad in [
            "",
            "leaks",
            "leak=1",
            "limit=",
            "limit=0%",
            "limit=101%",
            "limit=80",
            "guesses=0/h",
            "guesses=5",
            "guesses=+5/h",
            "guesses=1000001/h",
            "expiring=14",
            "LIMIT",
        ] {
            assert!(bad.parse::<AlertSetting>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_not_set_is_at_its_default() {
        let mut rules = AlertRules::default();
        for kind in AlertKind::ALL {
            assert_eq!(rules.is_on(kind), kind != AlertKind::NewRecipients);
        }
        rules.change(&AlertChange {
            rules: ["new-recipients=9/h", "guesses=100/h"]
                .map(|rule| rule.parse().unwrap())
                .into(),
            ..AlertChange::default()
        });
        assert_eq!(rules.per_hour(AlertKind::NewRecipients), Some(9));
        assert_eq!(rules.set.len(), 1);
        rules.set(AlertSetting {
            kind: AlertKind::Guesses,
            rule: AlertRule::Off,
        });
        assert_eq!(rules.per_hour(AlertKind::Guesses), None);
    }
}
