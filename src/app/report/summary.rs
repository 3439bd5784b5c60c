//! Counts findings by matter and keeps the first of each, in constant memory.

use super::{Matter, ReportFinding, ReportRequest};
use crate::app::App;
use crate::error::Result;
use crate::model::name::Username;
use crate::model::time::Time;
use crate::store::UserScan;

/// How often each matter was found.
#[derive(Debug)]
pub struct ReportSummary {
    groups: [MatterGroup; Matter::ALL.len()],
    /// How many findings of each matter are kept.
    kept: usize,
}

/// The findings of one matter.
#[derive(Clone, Debug, Default)]
pub struct MatterGroup {
    /// All findings.
    pub findings: u64,
    /// The users they are about.
    pub users: u64,
    /// The earliest ones, each about another user: what is oldest or comes next.
    pub first: Vec<ReportFinding>,
    last: Option<Username>,
}

impl ReportSummary {
    /// Counts nothing yet, and will keep this many findings of each matter.
    pub fn keeping(kept: usize) -> Self {
        Self {
            groups: <[MatterGroup; Matter::ALL.len()]>::default(),
            kept,
        }
    }

    /// Counts a finding. They come by username.
    pub fn add(&mut self, finding: ReportFinding) {
        if let Some(group) = self.groups.get_mut(finding.matter as usize) {
            group.add(finding, self.kept);
        }
    }

    /// Returns what was found of a matter.
    pub const fn of(&self, matter: Matter) -> &MatterGroup {
        &self.groups[matter as usize]
    }

    /// Returns what was found, the worst first.
    pub fn worst_first(&self) -> impl Iterator<Item = (Matter, &MatterGroup)> {
        let groups = Matter::WORST_FIRST.into_iter();
        let groups = groups.map(|matter| (matter, self.of(matter)));
        groups.filter(|(_, group)| group.users > 0)
    }
}

impl App {
    /// Reads everything and counts it. Of each matter, this many users are kept.
    pub fn report_summary(&mut self, wanted: ReportRequest, kept: usize) -> Result<ReportSummary> {
        let mut summary = ReportSummary::keeping(kept);
        self.report(wanted, UserScan::all(), None, &mut |piece| {
            for finding in piece {
                summary.add(finding);
            }
            Ok(())
        })?;
        Ok(summary)
    }
}

impl MatterGroup {
    fn add(&mut self, finding: ReportFinding, kept: usize) {
        self.findings += 1;
        if self.last.as_ref() != Some(&finding.username) {
            self.users += 1;
            self.last = Some(finding.username.clone());
        }
        let about_same = |kept: &ReportFinding| kept.username == finding.username;
        if let Some(same) = self.first.iter().position(about_same) {
            if self.first[same].at <= finding.at {
                return;
            }
            self.first.remove(same);
        }
        let earlier = |kept: &ReportFinding| kept.at <= finding.at;
        let at = self.first.partition_point(earlier);
        if at < kept {
            self.first.insert(at, finding);
            self.first.truncate(kept);
        }
    }

    /// Returns how many users are not among the first.
    pub const fn others(&self) -> u64 {
        self.users.saturating_sub(self.first.len() as u64)
    }

    /// Returns the time of the earliest finding.
    pub fn earliest(&self) -> Option<Time> {
        self.first.first().map(|finding| finding.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, at: i64) -> ReportFinding {
        ReportFinding {
            username: format!("{name}@example.com").parse().unwrap(),
            matter: Matter::WeakHash,
            at: Time::from_epoch(at),
            detail: None,
            ways_out: None,
        }
    }

    #[test]
    fn the_earliest_are_kept_and_all_are_counted() {
        let mut summary = ReportSummary::keeping(3);
        for (name, at) in [
            ("a", 50),
            ("b", 40),
            ("b", 10),
            ("c", 30),
            ("d", 20),
            ("e", 60),
        ] {
            summary.add(found(name, at));
        }
        let group = summary.of(Matter::WeakHash);
        assert_eq!((group.findings, group.users, group.others()), (6, 5, 2));
        let kept = group.first.iter().map(|kept| kept.username.local_part());
        assert_eq!(kept.collect::<Vec<_>>(), ["b", "d", "c"]);
        assert_eq!(group.earliest(), Some(Time::from_epoch(10)));
        assert_eq!(summary.of(Matter::Expired).users, 0);
    }

    #[test]
    fn matters_are_counted_apart_and_the_worst_comes_first() {
        let mut summary = ReportSummary::keeping(3);
        for matter in Matter::ALL {
            summary.add(ReportFinding {
                matter,
                ..found("a", 1)
            });
        }
        assert!(
            Matter::ALL
                .iter()
                .all(|matter| summary.of(*matter).users == 1)
        );
        let order: Vec<_> = summary.worst_first().map(|(matter, _)| matter).collect();
        assert_eq!(order, Matter::WORST_FIRST);
    }
}
