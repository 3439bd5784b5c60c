//! Rotation: does anybody start it, and did it come to its end?

use std::fs;
use std::path::{Path, PathBuf};

use super::findings::{Area, Findings};
use super::store::Examined;
use super::{advice, files, tool};
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

/// Nobody reads what a package manager or an editor leaves, such as `x.dpkg-dist`.
fn is_read(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().as_encoded_bytes();
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"_-".contains(b);
    name.iter().all(plain) || file.starts_with("/var/spool/cron")
}

/// A line that runs it, and does more than tell what it would do.
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
