//! Messages: does anything follow the logs, is it behind, and were lines dropped?

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use super::findings::{Area, Findings};
use super::store::{ExaminedStore, UNREAD};
use crate::app::World;
use crate::error::{Error, Result};
use crate::model::log_position::LogPosition;
use crate::model::text::count;
use crate::model::time::Time;
use crate::store::{Access, Location, MessageStore};

/// How long to wait for a lock.
const PATIENCE: Duration = Duration::from_secs(5);
/// A follower records at least every half a minute how far it read. In seconds.
const LATE: i64 = 180;
/// What it would read again after a kill is not counted as read. In bytes.
const BEHIND: u64 = 80 << 20;
const START: &str = "systemctl enable --now smtpcred-messages.service; \
                     or in the foreground: smtpcred messages follow";

/// Checks what follows the logs, if messages are kept.
pub fn examine(findings: &mut Findings, store: &ExaminedStore, location: &Location, world: World) {
    let mut area = findings.area("messages");
    if store.app.is_none() {
        if let Some(cause) = &store.unread {
            area.follows("follower", UNREAD, cause);
        }
        return;
    }
    match followed(location) {
        Ok(None) | Err(Error::MessagesNotKept) => {}
        Ok(Some(positions)) => judge(&mut area, &positions, (world.now)()),
        Err(error) => area.error("follower", &error),
    }
}

/// Returns how far the logs were read. `None` if messages are not kept.
fn followed(location: &Location) -> Result<Option<Vec<LogPosition>>> {
    let mut store = MessageStore::open_within(location, Access::Look, PATIENCE)?;
    if store.rules()?.keep.is_none() {
        return Ok(None);
    }
    store.positions().map(Some)
}

fn judge(area: &mut Area, positions: &[LogPosition], now: Time) {
    let Some(newest) = positions.iter().map(|position| position.read_at).max() else {
        return area.fail(
            "follower",
            "messages are kept, but nothing reads the logs",
            START,
        );
    };
    if newest.epoch() + LATE < now.epoch() {
        let found = format!("nothing has read the logs since {newest}");
        return area.fail("follower", &found, START);
    }
    for position in positions {
        let source = &position.source;
        match behind(position).filter(|bytes| *bytes > BEHIND) {
            Some(bytes) => area.warn(
                "follower",
                &format!("{source} is read, but {} MB behind", bytes / 1_000_000),
                "wait; if it stays behind, see: systemctl status smtpcred-messages",
            ),
            // A log that is not followed any more.
            None if position.read_at.epoch() + LATE < now.epoch() => {}
            None => area.ok(
                "follower",
                &format!("{source} was read at {}", position.read_at),
            ),
        }
    }
    let dropped = positions.iter().map(|position| position.dropped).sum();
    if dropped > 0 {
        let lines = count(dropped, "line");
        let verb = if dropped == 1 { "was" } else { "were" };
        area.warn(
            "dropped lines",
            &format!("{lines} of the mail log {verb} dropped within a day"),
            "raise RateLimitBurst= in journald.conf, or have syslog write a file",
        );
    }
}

/// Returns how much of a file was not read, if it still has its name.
fn behind(position: &LogPosition) -> Option<u64> {
    let found = fs::metadata(&position.source).ok()?;
    let is_same = position.file == Some((found.dev(), found.ino()));
    is_same.then(|| found.len().saturating_sub(position.offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::CheckState;

    fn judged(positions: &[LogPosition]) -> Vec<(CheckState, String)> {
        let mut findings = Findings::default();
        judge(
            &mut findings.area("messages"),
            positions,
            Time::from_epoch(10_000),
        );
        let list = findings.into_list();
        list.into_iter().map(|one| (one.state, one.found)).collect()
    }

    fn position(read_at: i64, dropped: u64) -> LogPosition {
        LogPosition {
            source: "journal".into(),
            file: None,
            offset: 0,
            cursor: None,
            read_at: Time::from_epoch(read_at),
            log_at: None,
            dropped,
        }
    }

    #[test]
    fn a_follower_is_there_and_lost_nothing() {
        assert_eq!(judged(&[])[0].0, CheckState::Fail);
        let old = judged(&[position(9_000, 0)]);
        assert_eq!(old.len(), 1);
        assert_eq!(old[0].0, CheckState::Fail);
        let good = judged(&[position(9_990, 0)]);
        assert_eq!(good.len(), 1);
        assert_eq!(good[0].0, CheckState::Ok);
        let dropped = judged(&[position(9_990, 33)]);
        assert_eq!(
            dropped[1],
            (
                CheckState::Warn,
                "33 lines of the mail log were dropped within a day".into()
            )
        );
    }
}
