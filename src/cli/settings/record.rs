//! Settings as they are printed.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::args::addresses::AddressRulesRecord;
use crate::cli::args::alerts::AlertRulesRecord;
use crate::cli::args::rotation::RulesRecord;
use crate::model::address_rules::AddressRules;
use crate::model::alert_rules::AlertRules;
use crate::model::duration::Duration;
use crate::model::limits::Limits;
use crate::model::network::Network;
use crate::model::rotation::RotationRules;
use crate::model::settings::{Port, Ports, Settings};

/// The settings that applications do not need.
#[derive(Serialize)]
pub struct InstallationRecord {
    pub argon2: String,
    pub accept_hash: String,
    pub day: String,
    pub allow_insecure: bool,
    pub require_verified_domains: bool,
    pub limits: BTreeMap<String, u32>,
    pub on_limit: &'static str,
    #[serde(flatten)]
    pub addresses: AddressRulesRecord,
    pub ignore_addresses: Vec<String>,
    pub keep_messages_seconds: Option<i64>,
    pub keep_recipients: &'static str,
    #[serde(flatten)]
    pub rotation: RulesRecord,
    #[serde(flatten)]
    pub alerts: AlertRulesRecord,
}

impl InstallationRecord {
    pub fn new(
        settings: &Settings,
        addresses: &AddressRules,
        rotation: &RotationRules,
        alerts: &AlertRules,
    ) -> Self {
        Self {
            argon2: settings.argon2.to_string(),
            accept_hash: settings.accept_hash.to_string(),
            day: settings.day.to_string(),
            allow_insecure: settings.allow_insecure,
            require_verified_domains: settings.require_verified_domains,
            limits: named(&settings.limits),
            on_limit: settings.on_limit.unwrap_or_default().name(),
            addresses: AddressRulesRecord::new(addresses),
            ignore_addresses: settings
                .ignore_addresses
                .iter()
                .map(Network::to_string)
                .collect(),
            keep_messages_seconds: settings.messages.keep.map(Duration::seconds),
            keep_recipients: settings.messages.recipients.name(),
            rotation: RulesRecord::new(rotation),
            alerts: AlertRulesRecord::new(alerts),
        }
    }

    /// Returns the rules about addresses for people; `None` if there are none.
    pub fn addresses_text(&self) -> Option<String> {
        let ignored = &self.ignore_addresses;
        let ignored = (!ignored.is_empty()).then(|| format!("ignored: {}", ignored.join(", ")));
        let lines: Vec<_> = self.addresses.text().into_iter().chain(ignored).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// Returns what is kept of messages for people; `None` if nothing is.
    pub fn messages_text(&self) -> Option<String> {
        let keep = Duration::stored(self.keep_messages_seconds?)?;
        let recipients = match self.keep_recipients {
            "full" => "",
            "domain" => ", only the domains of recipients",
            _ => ", without recipients",
        };
        Some(format!("kept for {}{recipients}", keep.exact()))
    }

    /// Returns the limits for people.
    pub fn limits_cell(&self) -> String {
        if self.limits.is_empty() {
            return "none".into();
        }
        let limits = limits_in_a_row(&self.limits);
        let day = match self.day.as_str() {
            "rolling" => "counts the last 24 hours".to_owned(),
            zone => format!("begins at midnight in {zone}"),
        };
        format!("{limits}, for all users together; a day {day}")
    }
}

/// A port as it is printed.
#[derive(Serialize)]
pub struct PortRecord {
    pub port: u16,
    pub encryption: &'static str,
    pub recommended: bool,
    #[serde(skip)]
    pub text: String,
}

impl PortRecord {
    /// Returns a record for each port.
    pub fn all(ports: Ports) -> Vec<Self> {
        let record = |port: Port| {
            let recommended = port == ports.recommended();
            let note = if recommended {
                "recommended"
            } else {
                port.note
            };
            Self {
                port: port.number,
                encryption: port.encryption.key(),
                recommended,
                text: format!("{:<5} {:<9} {note}", port.number, port.encryption.name()),
            }
        };
        ports.offered().map(record).collect()
    }
}

/// Returns limits by the names they are set with.
pub fn named(limits: &Limits) -> BTreeMap<String, u32> {
    let named = limits.iter().map(|(kind, most)| (kind.to_string(), most));
    named.collect()
}

/// Returns limits as the command line takes them.
pub fn limits_in_a_row(limits: &BTreeMap<String, u32>) -> String {
    let all: Vec<_> = limits
        .iter()
        .map(|(kind, most)| format!("{kind}={most}"))
        .collect();
    all.join(" ")
}
