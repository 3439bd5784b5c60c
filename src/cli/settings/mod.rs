//! `smtpcred show-settings` and `set-settings`

mod set;
mod show;

use std::collections::BTreeMap;

use serde::Serialize;

use super::rotation::RulesRecord;
use crate::model::limits::Limits;
use crate::model::rotation::RotationRules;
use crate::model::settings::{Port, Ports, Settings};

pub use set::Set;
pub use show::Show;

/// What no application has to know.
#[derive(Serialize)]
struct Installation {
    argon2: String,
    accept_hash: String,
    day: String,
    allow_insecure: bool,
    require_verified_domains: bool,
    limits: BTreeMap<String, u32>,
    on_limit: &'static str,
    #[serde(flatten)]
    rotation: RulesRecord,
}

impl Installation {
    fn new(settings: &Settings, rotation: &RotationRules) -> Self {
        Self {
            argon2: settings.argon2.to_string(),
            accept_hash: settings.accept_hash.to_string(),
            day: settings.day.to_string(),
            allow_insecure: settings.allow_insecure,
            require_verified_domains: settings.require_verified_domains,
            limits: named(&settings.limits),
            on_limit: settings.on_limit.unwrap_or_default().name(),
            rotation: RulesRecord::new(rotation),
        }
    }

    fn limits_cell(&self) -> String {
        if self.limits.is_empty() {
            return "none".into();
        }
        let limits = limits_in_a_row(&self.limits);
        format!("{limits}, all users together; a day is {}", self.day)
    }
}

/// A port as it is printed.
#[derive(Serialize)]
pub struct PortRecord {
    port: u16,
    encryption: &'static str,
    recommended: bool,
    #[serde(skip)]
    text: String,
}

impl PortRecord {
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

/// Limits as they are printed: by the names they are set by.
pub fn named(limits: &Limits) -> BTreeMap<String, u32> {
    let named = limits.iter().map(|(kind, most)| (kind.to_string(), most));
    named.collect()
}

fn limits_in_a_row(limits: &BTreeMap<String, u32>) -> String {
    let all: Vec<_> = limits
        .iter()
        .map(|(kind, most)| format!("{kind}={most}"))
        .collect();
    all.join(" ")
}
