//! The flags for alerts, and their output.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::model::alert::AlertKind;
use crate::model::alert_rules::{AlertChange, AlertRule, AlertRules, AlertSetting};
use crate::model::delivery::CommandLine;
use crate::model::mailbox::LocalMailbox;
use crate::model::setting::Setting;

/// The flags for alerts.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Alerts")]
pub struct AlertArgs {
    /// Raise alerts of this kind, from a value on: leak, limit=90%, many-addresses=5/h,
    /// new-recipients=50/h, guesses=100/h, expiring=14d, bounces=10%, deferred=50%, queue-old=4h;
    /// repeatable
    ///
    /// The kinds are new-address, many-addresses, refused-address, limit, suspended, guesses,
    /// old-password, new-recipients, rotation-failed, rotation-unfinished, expiring, store-trouble,
    /// leak, bounces, deferred and queue-old. All are on by default except new-recipients. See
    /// smtpcred-alerts(7).
    #[arg(long, value_name = "KIND[=VALUE]", hide_short_help = true)]
    alert: Vec<AlertSetting>,

    /// Raise no alerts of this kind; repeatable
    #[arg(long, value_name = "KIND", hide_short_help = true)]
    no_alert: Vec<AlertKind>,

    /// Run this command for each alert, with JSON on its standard input; repeatable, or none
    ///
    /// It is run without a shell. All that are given replace those that were set.
    #[arg(long, value_name = "CMD", allow_hyphen_values = true)]
    alert_exec: Vec<Setting<CommandLine>>,

    /// Mail each alert to this address, such as root; repeatable, or none
    ///
    /// Through the mail server of this machine. All that are given replace those that were set.
    #[arg(long, value_name = "ADDRESS")]
    alert_mail: Vec<Setting<LocalMailbox>>,
}

impl AlertArgs {
    /// Returns the change. Fails if a kind is both on and off.
    pub fn change(self) -> Result<AlertChange> {
        let mut rules: BTreeMap<AlertKind, AlertSetting> = BTreeMap::new();
        for setting in self.alert {
            rules.insert(setting.kind, setting);
        }
        for kind in self.no_alert {
            let off = AlertSetting {
                kind,
                rule: AlertRule::Off,
            };
            if rules.insert(kind, off).is_some_and(|set| set != off) {
                let both = format!("--alert and --no-alert both name {}", kind.name());
                return Err(Error::Usage(both));
            }
        }
        Ok(AlertChange {
            rules: rules.into_values().collect(),
            commands: all("--alert-exec", self.alert_exec)?,
            addresses: all("--alert-mail", self.alert_mail)?,
        })
    }
}

/// Returns all values of a flag, each once; `None` if the flag is missing.
fn all<T: PartialEq>(flag: &str, given: Vec<Setting<T>>) -> Result<Option<Vec<T>>> {
    if given.is_empty() {
        return Ok(None);
    }
    if given == [Setting::None] {
        return Ok(Some(Vec::new()));
    }
    let mut found = Vec::new();
    for one in given {
        let Setting::Some(one) = one else {
            let wrong = format!("{flag} none cannot be combined with others");
            return Err(Error::Usage(wrong));
        };
        if !found.contains(&one) {
            found.push(one);
        }
    }
    Ok(Some(found))
}

/// The rules of alerts as they are printed.
#[derive(Serialize)]
pub struct AlertRulesRecord {
    alerts: BTreeMap<&'static str, String>,
    alert_exec: Vec<Vec<String>>,
    alert_mail: Vec<String>,
    #[serde(skip)]
    text: String,
}

impl AlertRulesRecord {
    pub fn new(rules: &AlertRules) -> Self {
        let named = AlertKind::ALL.map(|kind| (kind.name(), rules.rule(kind).to_string()));
        let words = |command: &CommandLine| command.words().to_vec();
        Self {
            alerts: named.into(),
            alert_exec: rules.commands.iter().map(words).collect(),
            alert_mail: rules.addresses.iter().map(ToString::to_string).collect(),
            text: text(rules),
        }
    }

    /// Returns them for people.
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn text(rules: &AlertRules) -> String {
    let kinds = |on: bool| {
        AlertKind::ALL
            .into_iter()
            .filter(move |kind| rules.is_on(*kind) == on)
    };
    let off: Vec<_> = kinds(false).map(AlertKind::name).collect();
    let differ = kinds(true).filter(|kind| rules.rule(*kind) != kind.default_on());
    let differ = differ.map(|kind| format!("{}={}", kind.name(), rules.rule(kind)));
    let differ: Vec<_> = differ.collect();
    let mut lines = vec![match &off[..] {
        [] => "all kinds".to_owned(),
        off if off.len() == AlertKind::ALL.len() => "none".to_owned(),
        off => format!("all kinds but {}", off.join(" and ")),
    }];
    if !differ.is_empty() {
        lines.push(differ.join(" "));
    }
    let ways: Vec<_> = rules.ways().map(|way| format!("to {way}")).collect();
    if ways.is_empty() {
        lines.push("sent nowhere: see smtpcred alert list".into());
    }
    lines.extend(ways);
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;

    /// Each kind has a cause in the tests of the relay.
    #[test]
    fn the_help_lists_the_kinds_that_are_raised() {
        let command = AlertArgs::augment_args(Command::new("set"));
        let mut args = command.get_arguments();
        let flag = args.find(|arg| arg.get_id() == "alert").unwrap();
        let help = flag.get_long_help().unwrap().to_string();
        let (_, kinds) = help.split_once("The kinds are ").unwrap();
        let (kinds, _) = kinds.split_once(". All").unwrap();
        let kinds = kinds.replace(" and ", ", ").replace('\n', " ");
        let listed: Vec<_> = kinds.split(", ").map(str::trim).collect();
        assert_eq!(listed, AlertKind::ALL.map(AlertKind::name));
        for kind in help.split("value on: ").skip(1).flat_map(|rest| {
            let (examples, _) = rest.split_once("; repeatable").unwrap();
            examples.split(", ")
        }) {
            assert!(kind.parse::<AlertSetting>().is_ok(), "{kind}");
        }
    }
}
