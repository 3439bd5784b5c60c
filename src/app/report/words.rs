//! Words that several sections of the report for people have.

use super::Matter;
use crate::formats::html::grouped;
use crate::model::time::Time;

/// "2026-11-20"
pub fn day(at: Time) -> String {
    let text = at.to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

/// "2026-11-20 08:00 UTC"
pub fn minute(at: Time) -> String {
    let text = at.to_string();
    let clock = text.split('T').nth(1).unwrap_or_default();
    let clock: String = clock.chars().take(5).collect();
    format!("{} {clock} UTC", day(at))
}

/// Says that a list does not have all.
pub fn cut(shown: usize, all: u64, of: &str, rest: &str) -> Option<String> {
    let shown = shown as u64;
    (all > shown).then(|| {
        format!(
            "{} of {} {of}; the rest: {rest}",
            grouped(shown),
            grouped(all)
        )
    })
}

/// Returns the heading of a matter.
pub const fn name(matter: Matter) -> &'static str {
    match matter {
        Matter::Unfinished => "Rotation not finished",
        Matter::Expired => "Expired",
        Matter::WeakHash => "Weak hash",
        Matter::Expiring => "Expires soon",
        Matter::Overlap => "Two passwords work",
        Matter::OldPassword => "Old password",
        Matter::OpenAlert => "Open alert",
        Matter::ManyNetworks => "Used from many networks",
        Matter::Stale => "Not used lately",
        Matter::NeverUsed => "Never used",
    }
}
