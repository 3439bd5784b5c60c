//! Rotation: is it started regularly, and are runs finished?

use std::fs;
use std::path::{Path, PathBuf};

use super::findings::{Area, Findings};
use super::store::{ExaminedStore, UNREAD};
use super::{files, tool};
use crate::app::World;
use crate::model::duration::Duration;
use crate::model::name::Username;
use crate::model::time::Time;

const UNIT: &str = "smtpcred-rotate.timer";
/// A nightly run resumes unfinished rotations, so one this old is stuck.
const OLD: Duration = Duration::days(7);

/// Checks the timer of rotations, and those that are unfinished.
pub fn examine(findings: &mut Findings, store: &mut ExaminedStore, world: World) {
    let mut area = findings.area("rotation");
    let Some(app) = &mut store.app else {
        if let Some(cause) = &store.unread {
            area.follows("timer", UNREAD, cause);
            area.follows("unfinished", UNREAD, cause);
        }
        return;
    };
    match app.store.rotates() {
        Ok(true) => timer(&mut area),
        Ok(false) => area.ok("timer", "not needed: no rotation rule is set"),
        Err(error) => area.error("timer", &error),
    }
    let mut unfinished = 0_u64;
    let mut oldest: Option<(Time, Username)> = None;
    let counted = app.store.each_unfinished(&mut |username, rotation| {
        unfinished += 1;
        let earlier = |(at, _): &(Time, Username)| *at <= rotation.began_at;
        if !oldest.as_ref().is_some_and(earlier) {
            oldest = Some((rotation.began_at, username));
        }
        Ok(())
    });
    if let Err(error) = counted {
        return area.error("unfinished", &error);
    }
    let Some((began_at, username)) = oldest else {
        return area.ok("unfinished", "none");
    };
    let age = (world.now)().since(began_at);
    let found = format!("{unfinished}, the oldest {age} old, of {username}");
    let mut advice =
        "list them: smtpcred report --unfinished; resume them: smtpcred user rotate --due"
            .to_owned();
    // It may have ended meanwhile.
    if let Ok(Some(ways_out)) = app.ways_out(&username) {
        advice = format!("{ways_out}; {advice}");
    }
    if age >= OLD {
        area.fail("unfinished", &found, &advice);
    } else {
        area.warn("unfinished", &found, &advice);
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
        "smtpcred-rotate.timer is enabled, but not started"
    } else {
        "rotation rules are set, but nothing rotates passwords"
    };
    area.warn(
        "timer",
        found,
        "systemctl enable --now smtpcred-rotate.timer, or add a line to /etc/cron.d/smtpcred",
    );
}

/// Returns the crontab with a line that rotates, if any.
fn cron() -> Option<String> {
    let folders = ["/etc/cron.d", "/etc/cron.daily", "/var/spool/cron/crontabs"];
    let files = folders
        .into_iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flat_map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())));
    [PathBuf::from("/etc/crontab")]
        .into_iter()
        .chain(files)
        .filter(|file| is_read(file))
        .find(|file| {
            let text = files::text(file).unwrap_or_default();
            text.lines().any(rotates)
        })
        .map(|file| file.display().to_string())
}

/// Returns whether cron reads this file: not `x.dpkg-dist` or backups of editors.
fn is_read(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().as_encoded_bytes();
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"_-".contains(b);
    name.iter().all(plain) || file.starts_with("/var/spool/cron")
}

/// Returns whether a line rotates passwords, rather than only showing what would happen.
fn rotates(line: &str) -> bool {
    let words: Vec<_> = line.split_whitespace().collect();
    let is_ours = |word: &str| word == "smtpcred" || word.ends_with("/smtpcred");
    let at = words.iter().position(|word| is_ours(word));
    let rest = at.map_or(&words[..0], |at| &words[at..]);
    let says = |word: &&str| ["echo", "printf", "logger"].contains(word);
    !line.trim_start().starts_with('#')
        && rest.windows(2).any(|pair| pair == ["user", "rotate"])
        && !rest.iter().any(|word| word.starts_with("--dry-run"))
        && !words.iter().any(says)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_rotate() {
        for (line, runs) in [
            ("17 3 * * * root smtpcred user rotate --due", true),
            (
                "/usr/bin/smtpcred --store /s.db user rotate --due >/dev/null",
                true,
            ),
            ("# 17 3 * * * root smtpcred user rotate --due", false),
            ("0 4 * * * root smtpcred user rotate --due --dry-run", false),
            ("echo never run: smtpcred user rotate --due", false),
            ("0 4 * * * root smtpcred user list rotate", false),
            ("0 4 * * * root notsmtpcred user rotate", false),
        ] {
            assert_eq!(rotates(line), runs, "{line}");
        }
    }

    #[test]
    fn files_that_cron_reads() {
        for (file, read) in [
            ("/etc/cron.d/smtpcred", true),
            ("/etc/cron.d/smtpcred.dpkg-dist", false),
            ("/etc/cron.daily/smtpcred~", false),
            ("/var/spool/cron/crontabs/a.b", true),
        ] {
            assert_eq!(is_read(Path::new(file)), read, "{file}");
        }
    }
}
