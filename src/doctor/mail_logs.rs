//! Where the mail servers of this machine log to.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{exim, tool};
use crate::model::log_source::LogSource;

/// Logs of syslog, as Debian and Red Hat name them.
const BY_SYSLOG: [&str; 2] = ["/var/log/mail.log", "/var/log/maillog"];
/// Exim's own, for users who may not read its configuration.
const BY_EXIM: [&str; 3] = [
    "/var/log/exim4/mainlog",
    "/var/log/exim/main.log",
    "/var/log/exim/mainlog",
];
const JOURNAL: &str = "/run/systemd/journal";
/// A log of syslog that nothing was written to for longer is left over: the journal has what
/// syslog would have.
const RECENT: Duration = Duration::from_secs(24 * 3600);

/// What was found out.
#[derive(Default)]
struct MailLogFacts {
    /// Postfix is installed.
    has_postfix: bool,
    /// `maillog_file`, if Postfix writes one.
    postfix_file: Option<PathBuf>,
    /// Exim is installed.
    has_exim: bool,
    /// `log_file_path`, if Exim says it.
    exim_path: Option<String>,
    /// Files of Exim that are there.
    exim_file: Option<PathBuf>,
    /// The file of syslog that is there, and whether it was written lately and can be read.
    syslog_file: Option<(PathBuf, bool)>,
    has_journal: bool,
}

/// Finds the logs of the mail servers that are installed. Empty if there is none.
pub fn sources() -> Vec<LogSource> {
    chosen(&MailLogFacts::gather())
}

/// The names that Postfix has for this machine: its own log names one of them.
pub fn own_hosts() -> Vec<String> {
    let said = tool::ask("postconf", &["-h", "myhostname"]).ok();
    let name = said.map(|said| said.stdout.trim().to_owned());
    name.into_iter().filter(|name| !name.is_empty()).collect()
}

impl MailLogFacts {
    fn gather() -> Self {
        let has_exim = ["exim4", "exim"].iter().any(|name| tool::is_there(name));
        let has_postfix = tool::is_there("postconf");
        let file = tool::ask("postconf", &["-h", "maillog_file"]).ok();
        let file = file.map(|said| PathBuf::from(said.stdout.trim()));
        let there = |paths: &[&str]| paths.iter().map(PathBuf::from).find(|path| path.exists());
        let is_readable = |path: &Path| File::open(path).is_ok();
        Self {
            has_postfix,
            // In a container it is often stdout.
            postfix_file: file.filter(|path| path.is_absolute() && !path.starts_with("/dev")),
            has_exim,
            exim_path: has_exim
                .then(|| exim::option(None, "log_file_path").ok())
                .flatten(),
            exim_file: there(&BY_EXIM),
            syslog_file: there(&BY_SYSLOG).map(|path| {
                let is_good = is_recent(&path) && is_readable(&path);
                (path, is_good)
            }),
            has_journal: Path::new(JOURNAL).exists() && tool::is_there("journalctl"),
        }
    }
}

/// A file of syslog comes before the journal, which loses lines of a busy server.
fn chosen(facts: &MailLogFacts) -> Vec<LogSource> {
    let mut sources = Vec::new();
    let exim_file = facts.exim_path.as_deref().and_then(mainlog);
    let exim_file = exim_file.or_else(|| facts.exim_file.clone());
    let by_syslog = |is_needed: bool| match &facts.syslog_file {
        _ if !is_needed => None,
        Some((path, is_good)) if *is_good || !facts.has_journal => {
            Some(LogSource::File(path.clone()))
        }
        _ if facts.has_journal => Some(LogSource::Journal),
        _ => None,
    };
    sources.extend(facts.postfix_file.clone().map(LogSource::File));
    sources.extend(
        exim_file
            .clone()
            .filter(|_| facts.has_exim)
            .map(LogSource::File),
    );
    let postfix_needs = facts.has_postfix && facts.postfix_file.is_none();
    let exim_needs = facts.has_exim && exim_file.is_none();
    sources.extend(by_syslog(postfix_needs || exim_needs));
    sources
}

/// `/var/log/exim4/%slog`, perhaps after `syslog :`
fn mainlog(log_file_path: &str) -> Option<PathBuf> {
    let mut places = log_file_path.split(':').map(str::trim);
    let place = places.find(|place| place.starts_with('/'))?;
    Some(PathBuf::from(place.replacen("%s", "main", 1)))
}

fn is_recent(path: &Path) -> bool {
    let changed = fs::metadata(path).and_then(|found| found.modified());
    let age = changed.map(|changed| {
        SystemTime::now()
            .duration_since(changed)
            .unwrap_or_default()
    });
    age.is_ok_and(|age| age < RECENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(facts: &MailLogFacts) -> String {
        let names: Vec<_> = chosen(facts).iter().map(LogSource::name).collect();
        names.join(" ")
    }

    #[test]
    fn each_mail_server_has_its_log() {
        let none = MailLogFacts::default();
        assert_eq!(names(&none), "");
        let postfix = |syslog_file, has_journal| MailLogFacts {
            has_postfix: true,
            syslog_file,
            has_journal,
            ..MailLogFacts::default()
        };
        let file = |is_recent| Some((PathBuf::from("/var/log/mail.log"), is_recent));
        assert_eq!(names(&postfix(file(true), true)), "/var/log/mail.log");
        assert_eq!(names(&postfix(file(false), true)), "journal");
        assert_eq!(names(&postfix(file(false), false)), "/var/log/mail.log");
        assert_eq!(names(&postfix(None, true)), "journal");
        assert_eq!(names(&postfix(None, false)), "");
        let own = MailLogFacts {
            postfix_file: Some("/var/log/postfix.log".into()),
            ..postfix(file(true), true)
        };
        assert_eq!(names(&own), "/var/log/postfix.log");
        let exim = |path: Option<&str>| MailLogFacts {
            has_exim: true,
            exim_path: path.map(str::to_owned),
            exim_file: Some("/var/log/exim4/mainlog".into()),
            has_journal: true,
            ..MailLogFacts::default()
        };
        assert_eq!(names(&exim(None)), "/var/log/exim4/mainlog");
        assert_eq!(
            names(&exim(Some("syslog : /srv/exim/%s.log"))),
            "/srv/exim/main.log"
        );
        let by_syslog = MailLogFacts {
            exim_file: None,
            ..exim(Some("syslog"))
        };
        assert_eq!(names(&by_syslog), "journal");
        let both = MailLogFacts {
            has_postfix: true,
            ..exim(None)
        };
        assert_eq!(names(&both), "/var/log/exim4/mainlog journal");
    }
}
