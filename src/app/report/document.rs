//! The report as a document for people: what is said, and in which order.

use super::sections::{ages, expiries, limits, next_steps, rotations, users, weak_hashes};
use super::traffic::{deliveries, networks, senders, traffic};
use super::{Matter, ReportFigures};
use crate::formats::html::{Document, grouped};
use crate::model::text::count;
use crate::model::time::Time;

/// Writes the report.
pub fn document(figures: &ReportFigures) -> Document {
    let now = figures.status.now;
    let attention = figures.status.look_at();
    let matters = figures.found.worst_first().count();
    Document {
        title: format!("SMTP credentials, {}", day(now)),
        lead: lead(figures),
        attention: !attention.is_empty() || matters > 0,
        sections: vec![
            next_steps(figures),
            users(figures),
            ages(figures),
            expiries(figures),
            traffic(figures),
            networks(figures),
            senders(figures),
            limits(figures),
            deliveries(figures),
            rotations(figures),
            weak_hashes(figures),
        ],
        footer: format!(
            "Made at {} by smtpcred {}. Days are those of UTC. All of it: smtpcred report --json",
            minute(now),
            env!("CARGO_PKG_VERSION"),
        ),
    }
}

/// Says the state in one sentence.
fn lead(figures: &ReportFigures) -> String {
    let counts = &figures.status.counts;
    if counts.users == 0 {
        return "There are no users yet.".into();
    }
    let able = counts.active() + counts.overlap;
    let can = format!(
        "{} of {} users can sign in",
        grouped(able),
        grouped(counts.users)
    );
    let urgent = figures.status.look_at();
    let first = urgent.first().map(|one| one.text.clone());
    let others: Vec<_> = figures.found.worst_first().collect();
    let worst = others.first();
    let worst = worst.map(|(matter, group)| matter.counted(group.findings));
    match (first, worst) {
        (Some(first), _) => format!("{can}, and something needs attention now: {first}."),
        (None, Some(worst)) => {
            let others = others.len() as u64 - 1;
            let more = match others {
                0 => String::new(),
                n => format!(" and {}", count(n, "other matter")),
            };
            format!("{can}; nothing is urgent, but look at {worst}{more}.")
        }
        (None, None) => format!("{can}, and nothing needs attention."),
    }
}

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
