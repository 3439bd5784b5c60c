//! The flags for limits and senders that users, domains and the installation share.

use clap::Args;

use super::one_of;
use crate::error::{Error, Result};
use crate::model::limit_kind::LimitKind;
use crate::model::limits::{LimitSetting, OnLimit};
use crate::model::sender::Sender;
use crate::model::setting::{LimitValue, Setting};
use crate::store::SendingChange;

const ACTIONS: [&str; 5] = ["defer", "reject", "suspend", "delete", "none"];

/// The flags for limits.
#[derive(Debug, Default, Args)]
pub struct LimitArgs {
    /// Allow N messages a day, or none for no limit
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub daily_limit: Option<Setting<LimitValue>>,

    /// Set another limit, such as messages/hour=100, recipients/day=500 or new-recipients/day=50;
    /// =none removes it
    #[arg(long, value_name = "KIND=N")]
    pub limit: Vec<LimitSetting>,

    /// Set what happens to a message over a limit; none removes the setting
    ///
    /// defer: a temporary failure (450). reject: a permanent failure (554). suspend: the user is
    /// suspended. delete: the user is deleted. A user's own setting overrides its domain's, which
    /// overrides the installation's. The default is defer.
    #[arg(long, value_name = "ACTION", value_parser = one_of::<Setting<OnLimit>, _>(ACTIONS))]
    pub on_limit: Option<Setting<OnLimit>>,
}

impl LimitArgs {
    /// Separates the messages per day from the other limits: `--limit messages/day=N` means the
    /// same as `--daily-limit N`.
    pub fn split(self) -> (Option<Setting<LimitValue>>, SendingChange) {
        let mut daily = self.daily_limit;
        let mut limits = Vec::new();
        for setting in self.limit {
            if setting.kind == LimitKind::MESSAGES_A_DAY {
                daily = Some(setting.most);
            } else {
                limits.push(setting);
            }
        }
        let change = SendingChange {
            senders: None,
            limits,
            on_limit: self.on_limit,
        };
        (daily, change)
    }
}

/// The flags for senders.
#[derive(Debug, Default, Args)]
pub struct SenderArgs {
    /// Allow this sender address or domain instead of the user's own domain; repeatable
    ///
    /// none restores the default, the own domain.
    ///
    /// To allow all addresses of a domain, give only the domain: example.com. Only the envelope
    /// sender is checked, not the From header, and every user may use the null sender (<>).
    /// `smtpcred serve --help` explains why and how to restrict both.
    #[arg(long, value_name = "SENDER")]
    pub sender: Vec<Setting<Sender>>,
}

impl SenderArgs {
    /// Returns the senders to set, or `None` if the flag is missing and they stay as they are.
    pub fn senders(self) -> Result<Option<Vec<Sender>>> {
        if self.sender.is_empty() {
            return Ok(None);
        }
        if self.sender == [Setting::None] {
            return Ok(Some(Vec::new()));
        }
        let all = self.sender.into_iter().map(Setting::value);
        let senders: Option<Vec<_>> = all.collect();
        senders.map(Some).ok_or_else(|| {
            Error::Usage("--sender none cannot be combined with other senders".into())
        })
    }
}
