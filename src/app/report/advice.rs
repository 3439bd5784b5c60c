//! What to type about each matter.

use super::{Matter, MatterGroup, ReportRequest};
use crate::model::duration::Duration;
use crate::model::text::count;

impl Matter {
    /// Returns how often something was found: "1 weak hash", "2 expired users".
    pub fn counted(self, n: u64) -> String {
        match self {
            Self::Unfinished => count(n, "unfinished rotation"),
            Self::Expired => count(n, "expired user"),
            Self::Expiring => count(n, "expiring user"),
            Self::OldPassword => count(n, "old password"),
            Self::Overlap => count(n, "overlap"),
            Self::NeverUsed => count(n, "unused user"),
            Self::Stale => count(n, "stale user"),
            Self::WeakHash if n == 1 => "1 weak hash".to_owned(),
            Self::WeakHash => format!("{n} weak hashes"),
            Self::OpenAlert => format!("{} with alerts", count(n, "user")),
            Self::ManyNetworks => format!("{} in many networks", count(n, "user")),
        }
    }

    /// Returns the command that lists all of it.
    pub fn command(self, wanted: ReportRequest) -> String {
        let age = |flag: &str, age: Option<Duration>| {
            let age = age.map(|age| format!(" {}", age.exact()));
            format!("{flag}{}", age.unwrap_or_default())
        };
        let flag = match self {
            Self::Unfinished => "--unfinished".to_owned(),
            Self::Expired | Self::Expiring => age("--expiring", wanted.expiring),
            Self::WeakHash => "--weak-hashes".to_owned(),
            Self::Overlap => "--overlaps".to_owned(),
            Self::OldPassword => age("--old-passwords", wanted.old_passwords),
            Self::Stale => age("--stale", wanted.stale),
            Self::NeverUsed => "--never-used".to_owned(),
            Self::OpenAlert => "--alerts".to_owned(),
            Self::ManyNetworks => {
                let most = wanted.many_networks.unwrap_or_default();
                format!("--many-networks {most}")
            }
        };
        format!("smtpcred report {flag}")
    }

    /// Returns what to do about the first user.
    pub fn cure(self, group: &MatterGroup) -> Option<String> {
        let name = group.first.first()?.username.in_shell();
        let extend = format!("smtpcred user set {name} --expires-in 180d");
        match self {
            Self::Expired => Some(format!(
                "extend it: {extend}\nor remove it: smtpcred user delete {name}"
            )),
            Self::Expiring => Some(format!("extend it: {extend}")),
            Self::OpenAlert => Some(format!("what happened: smtpcred why {name}")),
            Self::ManyNetworks => Some(format!(
                "see from where: smtpcred user addresses {name}\nallow only those of the next 30d: smtpcred user set {name} --addresses learn"
            )),
            _ => None,
        }
    }
}
