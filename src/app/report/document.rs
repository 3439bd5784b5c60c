//! The report as a document for people: what is said, and in which order.

use super::figures::ReportFigures;
use super::sections::{ages, expiries, limits, next_steps, rotations, users, weak_hashes};
use super::traffic::{deliveries, networks, senders, traffic};
use super::words::{day, minute};
use crate::formats::html::{self, Document, grouped};
use crate::model::text::count;
use crate::model::time::Time;

/// A report for people, ready to be written or sent.
pub struct ReportPage {
    /// The title.
    pub title: String,
    /// One page of HTML that needs nothing else.
    pub html: String,
    /// The same as text.
    pub text: String,
    /// The time of the report.
    pub at: Time,
}

impl ReportPage {
    /// Writes the report.
    pub fn new(figures: &ReportFigures) -> Self {
        let document = document(figures);
        Self {
            html: html::html(&document),
            text: html::plain(&document),
            title: document.title,
            at: figures.status.now,
        }
    }
}

fn document(figures: &ReportFigures) -> Document {
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
