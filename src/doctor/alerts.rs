//! Alerts: do they go somewhere, and do they arrive there?

use super::findings::{Area, Cause, Findings};
use super::options::Obstacle;
use super::store::{ExaminedStore, UNREAD};
use crate::app::{App, World};
use crate::error::Result;
use crate::model::alert_rules::{AlertRules, AlertWay};
use crate::model::text::count;
use crate::model::time::Time;

/// Senders look for alerts every second. In seconds.
const LATE: i64 = 300;
const START: &str = "start serve, or: systemctl enable --now smtpcred-alerts.service; \
                     once: smtpcred alert send";

/// Checks where alerts go, and whether anything sends them.
pub fn examine(
    findings: &mut Findings,
    store: &mut ExaminedStore,
    world: World,
    obstacle: Obstacle,
) {
    let serve = findings.failure_in(&["serve"]);
    let mut area = findings.area("alerts");
    let Some(app) = &mut store.app else {
        if let Some(cause) = &store.unread {
            area.follows("destination", UNREAD, cause);
        }
        return;
    };
    // As root, it fails if others decide what root runs.
    let rules = match app.safe_alert_rules() {
        Ok(rules) => rules,
        Err(error) => return area.error("destination", &error),
    };
    let ways: Vec<_> = rules.ways().collect();
    if ways.is_empty() {
        let nowhere =
            "alerts are only listed; to send them: smtpcred set-settings --alert-mail ADDRESS";
        return area.ok("destination", nowhere);
    }
    commands(&mut area, &rules, obstacle);
    let now = (world.now)();
    let checked = delivered(&mut area, app, &ways).and_then(|()| sent(&mut area, app, now, serve));
    if let Err(error) = checked {
        area.error("delivery", &error);
    }
}

fn commands(area: &mut Area, rules: &AlertRules, obstacle: Obstacle) {
    for command in &rules.commands {
        match obstacle(command) {
            None => area.ok("destination", &format!("{command}: this user can start it")),
            Some(obstacle) => area.fail(
                "destination",
                &obstacle,
                "install it, or set another: smtpcred set-settings --alert-exec CMD",
            ),
        }
    }
    for address in &rules.addresses {
        area.ok("destination", &format!("mail to {address}"));
    }
}

/// Reports what could not be sent since something last was.
fn delivered(area: &mut Area, app: &mut App, ways: &[AlertWay]) -> Result<()> {
    let mut all_sent = true;
    for way in ways {
        if let Some(unsent) = app.store.unsent_alerts(way)? {
            all_sent = false;
            let found = format!(
                "{} not sent to {way} since {}: {}",
                count(unsent.count, "alert"),
                unsent.since,
                unsent.reason
            );
            let advice = "to see whether it works now: smtpcred alert test; \
                          then, if they were given up: smtpcred alert ack --all";
            area.fail("delivery", &found, advice);
        }
    }
    if all_sent {
        area.ok("delivery", "no failure since the last one that was sent");
    }
    Ok(())
}

/// Reports what nothing tried to send.
fn sent(area: &mut Area, app: &mut App, now: Time, serve: Option<Cause>) -> Result<()> {
    let Some((due, since)) = app
        .store
        .alerts_due_by(Time::from_epoch(now.epoch() - LATE))?
    else {
        area.ok("sender", "nothing waits to be sent");
        return Ok(());
    };
    let verb = if due == 1 { "waits" } else { "wait" };
    let found = format!(
        "{} {verb} since {since}, and nothing sends them",
        count(due, "alert")
    );
    match serve {
        Some(cause) => area.follows("sender", &found, &cause),
        None => area.fail("sender", &found, START),
    }
    Ok(())
}
