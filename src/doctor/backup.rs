//! Whether backups that smtpcred once made are still being made.

use super::findings::Findings;
use super::store::ExaminedStore;
use crate::app::World;
use crate::model::duration::Duration;

/// Weekly backups are made in time.
const OLD: Duration = Duration::days(8);

/// Reports the last good backup. Others make backups, too, so that none is no finding.
pub fn examine(findings: &mut Findings, store: &mut ExaminedStore, world: World) {
    let Some(app) = &mut store.app else {
        return;
    };
    let mut area = findings.area("store");
    match app.store.last_backup() {
        Ok(None) => {}
        Ok(Some(made)) => {
            let found = format!("{}: {}", made.at, made.file);
            if made.at < (world.now)().minus(OLD) {
                let advice = "make one, or find out why the timer does not: smtpcred store backup";
                area.warn("backup", &format!("the last one is old: {found}"), advice);
            } else {
                area.ok("backup", &found);
            }
        }
        Err(error) => area.error("backup", &error),
    }
}
