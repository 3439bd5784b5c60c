//! The flags about sending that users, domains and the installation share.

use clap::Args;

use crate::error::{Error, Result};
use crate::model::limits::{Kind, LimitSetting, OnLimit};
use crate::model::sender::Sender;
use crate::model::settings::{Limit, Setting};
use crate::store::SendingChange;

#[derive(Debug, Default, Args)]
pub struct LimitArgs {
    /// How many messages a day may be sent, or none
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub daily_limit: Option<Setting<Limit>>,

    /// Another limit: messages/hour=100, recipients/day=500, new-recipients/day=50, …; or =none
    #[arg(long, value_name = "KIND=N")]
    pub limit: Vec<LimitSetting>,

    /// What becomes of a message over a limit: defer, reject, suspend or delete; or none
    ///
    /// defer: refused for now (450). reject: refused for good (554). suspend: its user is suspended.
    /// delete: its user is deleted. A user's own setting comes before its domain's, and that before
    /// the installation's, which is defer.
    #[arg(long, value_name = "ACTION")]
    pub on_limit: Option<Setting<OnLimit>>,
}

impl LimitArgs {
    /// Messages a day stand apart: `--limit messages/day=N` says the same as
    /// `--daily-limit N`.
    pub fn split(self) -> (Option<Setting<Limit>>, SendingChange) {
        let mut daily = self.daily_limit;
        let mut limits = Vec::new();
        for setting in self.limit {
            if setting.kind == Kind::MESSAGES_A_DAY {
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

#[derive(Debug, Default, Args)]
pub struct SenderArgs {
    /// An address or domain it may send as; instead of its own domain, unless that is given too.
    /// Repeatable; none: only its own domain
    #[arg(long, value_name = "SENDER")]
    pub sender: Vec<Setting<Sender>>,
}

impl SenderArgs {
    /// Nothing if they are to stay.
    pub fn senders(self) -> Result<Option<Vec<Sender>>> {
        if self.sender.is_empty() {
            return Ok(None);
        }
        if self.sender == [Setting::None] {
            return Ok(Some(Vec::new()));
        }
        let all = self.sender.into_iter().map(Setting::value);
        let senders: Option<Vec<_>> = all.collect();
        senders
            .map(Some)
            .ok_or_else(|| Error::Usage("--sender none stands alone".into()))
    }
}
