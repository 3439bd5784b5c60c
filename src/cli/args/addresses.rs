//! The flags for addresses that users, domains and the installation share, and their output.

use clap::Args;
use serde::Serialize;

use super::one_of;
use crate::model::address_rules::{
    AddressChange, AddressMode, AddressPolicy, AddressRules, UnknownAddress,
};
use crate::model::duration::Duration;
use crate::model::network::Network;
use crate::model::setting::Setting;
use crate::model::time::Time;

const MODES: [&str; 4] = ["any", "learn", "listed", "none"];
const ACTIONS: [&str; 4] = ["allow", "alert", "refuse", "none"];

/// The flags for the rules.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Addresses")]
pub struct AddressArgs {
    /// Set from which addresses a right password is accepted; none removes the setting
    ///
    /// any: from all. listed: from those that `user allow`, `domain allow` and `set-settings --allow`
    /// list. learn: from all for the learning time, which begins now; the networks of good sign-ins (a
    /// /24 or /64 each, 64 at most) are added to the list, and afterwards only the list counts. A
    /// user's own setting overrides its domain's, which overrides the installation's; the lists of all
    /// three add up. The default is any.
    #[arg(long, value_name = "RULE", value_parser = one_of::<Setting<AddressMode>, _>(MODES))]
    pub addresses: Option<Setting<AddressMode>>,

    /// Set what happens to a right password from another address; none removes the setting
    ///
    /// allow: it is accepted. alert: it is accepted, and a network that the user never used before
    /// raises an alert. refuse: it is refused exactly like a wrong password, and raises an alert. The
    /// default is refuse for --addresses listed and after learning, and alert for --addresses any,
    /// which never refuses.
    #[arg(long, value_name = "ACTION", value_parser = one_of::<Setting<UnknownAddress>, _>(ACTIONS))]
    pub unknown_address: Option<Setting<UnknownAddress>>,

    /// Learn addresses for this long, beginning now, with --addresses learn; 30d by default
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub learn: Option<Setting<Duration>>,
}

impl AddressArgs {
    /// Returns the change of the rules.
    pub fn change(self) -> AddressChange {
        AddressChange {
            mode: self.addresses,
            unknown: self.unknown_address,
            learn: self.learn,
            ..AddressChange::default()
        }
    }
}

/// The rules of one owner.
#[derive(Serialize)]
pub struct AddressRulesRecord {
    addresses: Option<&'static str>,
    unknown_address: Option<&'static str>,
    learn_seconds: Option<i64>,
    allowed_addresses: Vec<String>,
}

impl AddressRulesRecord {
    pub fn new(rules: &AddressRules) -> Self {
        let allowed = rules.allowed.iter();
        Self {
            addresses: rules.mode.map(AddressMode::name),
            unknown_address: rules.unknown.map(UnknownAddress::name),
            learn_seconds: rules.learn.map(Duration::seconds),
            allowed_addresses: allowed.map(|allowed| allowed.network.to_string()).collect(),
        }
    }

    /// Describes the rules for people; `None` if there are none.
    pub fn text(&self) -> Option<String> {
        let learn = self.learn_seconds.and_then(Duration::stored);
        let mut lines = Vec::new();
        lines.extend(self.addresses.map(str::to_owned));
        lines.extend(
            self.unknown_address
                .map(|action| format!("others: {action}")),
        );
        lines.extend(learn.map(|learn| format!("learned for {learn}")));
        let mut lines = vec![lines.join(", ")];
        lines.extend(self.allowed_addresses.iter().cloned());
        lines.retain(|line| !line.is_empty());
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

/// What holds for a user.
#[derive(Serialize)]
pub struct AddressPolicyRecord {
    addresses: &'static str,
    unknown_address: &'static str,
    learning_until: Option<Time>,
    /// Of the user, its domain and the installation.
    allowed_addresses: Vec<String>,
    #[serde(skip)]
    learns: bool,
}

impl AddressPolicyRecord {
    pub fn new(policy: &AddressPolicy, allowed: &[Network], now: Time) -> Self {
        Self {
            addresses: policy.mode.name(),
            unknown_address: policy.unknown.name(),
            learning_until: policy.learning_until,
            allowed_addresses: allowed.iter().map(Network::to_string).collect(),
            learns: policy.learns(now),
        }
    }

    /// Describes what holds for people; `None` if all addresses are allowed and none is listed.
    pub fn text(&self) -> Option<String> {
        let unknown = self.unknown_address;
        let rule = match (self.addresses, self.learning_until) {
            ("any", _) if self.allowed_addresses.is_empty() && unknown == "alert" => return None,
            ("any", _) => format!("any, new ones: {unknown}"),
            (_, Some(until)) if self.learns => format!("learned until {until}"),
            (_, Some(_)) => format!("learned, others: {unknown}"),
            _ => format!("listed, others: {unknown}"),
        };
        let mut lines = vec![rule];
        lines.extend(self.allowed_addresses.iter().cloned());
        Some(lines.join("\n"))
    }
}
