//! Rotation: does anybody start it, and did it come to its end?

use std::fs;

use super::findings::{Area, Findings};
use super::store::Examined;
use super::{advice, tool};
use crate::app::World;
use crate::model::duration::Duration;

const UNIT: &str = "smtpcred-rotate.timer";
/// A run a night takes unfinished ones up again.
const OLD: Duration = Duration::days(7);

pub fn examine(findings: &mut Findings, store: &mut Examined, world: World) {
    let mut area = findings.area("rotation");
    let Some(app) = &mut store.app else {
        return;
    };
    match app.store.rotates() {
        Ok(true) => timer(&mut area),
        Ok(false) => area.ok("timer", "not needed: nothing is rotated by its age"),
        Err(error) => area.fail("timer", &error.to_string(), &advice(&error)),
    }
    let mut unfinished = 0_u64;
    let mut oldest = None;
    let counted = app.store.each_unfinished(&mut |_, rotation| {
        unfinished += 1;
        oldest = oldest.into_iter().chain([rotation.began_at]).min();
        Ok(())
    });
    if let Err(error) = counted {
        return area.fail("unfinished", &error.to_string(), &advice(&error));
    }
    let Some(oldest) = oldest else {
        return area.ok("unfinished", "none");
    };
    let age = (world.now)().since(oldest);
    let found = format!("{unfinished}, the oldest {age} old");
    let advice = "smtpcred report --unfinished lists them; smtpcred user rotate --due goes on";
    if age >= OLD {
        area.fail("unfinished", &found, advice);
    } else {
        area.warn("unfinished", &found, advice);
    }
}

fn timer(area: &mut Area) {
    let says = |verb: &str| {
        let said = tool::run("systemctl", &[verb, UNIT]);
        said.map(|(_, said)| said.stdout.trim().to_owned())
            .unwrap_or_default()
    };
    if says("is-active") == "active" {
        return area.ok("timer", "smtpcred-rotate.timer is active");
    }
    if let Some(file) = cron() {
        return area.ok("timer", &format!("in {file}"));
    }
    let found = if says("is-enabled") == "enabled" {
        "smtpcred-rotate.timer is enabled, and not started"
    } else {
        "passwords are to be rotated, and nothing does it"
    };
    area.warn(
        "timer",
        found,
        "systemctl enable --now smtpcred-rotate.timer, or a line in /etc/cron.d/smtpcred",
    );
}

/// The file of cron's that has a line for it.
fn cron() -> Option<String> {
    let folders = ["/etc/cron.d", "/etc/cron.daily", "/var/spool/cron/crontabs"];
    let files = folders
        .into_iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flat_map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())));
    let rotates = |line: &str| {
        let line = line.trim_start();
        !line.starts_with('#') && line.contains("smtpcred") && line.contains("user rotate")
    };
    ["/etc/crontab".into()]
        .into_iter()
        .chain(files)
        .find(|file| {
            let text = fs::read(file).unwrap_or_default();
            String::from_utf8_lossy(&text).lines().any(rotates)
        })
        .map(|file| file.display().to_string())
}
