//! `smtpcred scan`

mod deed;
mod record;
mod told;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{ArgGroup, Args, ValueHint};

use self::deed::Deed;
use self::record::PlaceRecord;
use super::args::view::{COLUMNS, ViewArgs};
use super::complete;
use super::context::Context;
use super::terminal::progress::Progress;
use crate::app::App;
use crate::app::scan::{Leak, LeakState};
use crate::error::{self, Error, Exit};
use crate::model::password::FoundPassword;
use crate::model::text::{count, escaped, in_shell};
use crate::scan::{self, Findings, ScanTargets};
use crate::store::Access;

const HELP: &str = "\
Examples:
  smtpcred scan /var/www /home                           all files in these folders
  smtpcred scan --git ~/src/shop                         and all commits of the repositories there
  smtpcred scan backup.tar.gz wp-config.php
  ssh web1 cat /var/log/app.log | smtpcred scan -
  smtpcred scan /var/www --suspend                       asks, then suspends users whose passwords work
  smtpcred scan /var/www --rotate --yes                  replaces passwords that work, for scripts
  smtpcred scan --staged                                 in a pre-commit hook of Git
  smtpcred scan --json /srv | jq -r '.[] | select(.state == \"works\") | .username'

What is found:
  Passwords that smtpcred generated: smtpc_ and 30 characters, of which six are a checksum, so nothing
  else is taken for one. They are found as text in UTF-8, UTF-16 and UTF-32, in URLs, in base64 (also
  twice, and together with a username as in AUTH PLAIN, HTTP and Kubernetes), in hexadecimal, in binary
  files, and in gzip, zip and tar archives, also in each other.
  Not found: passwords that were chosen or imported, those of the short form (--short), passwords that
  are split over lines, and what is encrypted or packed with xz, bzip2, zstd or 7-Zip.

What is read:
  Hidden files, too, and those that .gitignore names. Links are not followed; pipes, sockets, devices
  and the file systems of the kernel (/proc, /sys) are not read. Of an archive in a folder, the name of
  its member follows after an exclamation mark. An archive that unpacks to more than 200 times its size
  is not read to its end.
  The objects of a Git repository are only read with --git, which takes all of them: also those that no
  branch has any longer, and messages. The commit is the first that has the file. git runs no hook and no
  program that the repository names, and fetches nothing. As root, it runs as the repository's owner.

State:
  works: the user can sign in with it. overlap: it works until it retires. stopped: it worked once.
  unknown: it is none of this store, or its user was deleted. A state is only works or overlap if its
  hash in the store fits, too. The password itself is never printed.
  Without a store, as on a developer's machine, every password is unknown.

Alerts:
  Each password that works or is in overlap raises an alert of the kind leak, unless the store cannot be
  written. See smtpcred-alerts(7).

JSON:
  A list of {file, line, commit, username, password_id, state, user_status, until}. The line is null in
  binary files, the commit outside of histories, the username if it is unknown; until is when the
  password retires or stopped.

Exit codes:
  0 nothing found, 7 something found, also if it was suspended or rotated; 1 if nothing was found, but
  something could not be read; or if a user could not be suspended or rotated.";

/// Find passwords in files, archives and Git repositories, and say whose they are
///
/// Names the user and the password ID of each, and whether it still works. Exits with 0 if none is
/// found, and with 7 if one is.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags")]
#[command(
    after_long_help = HELP,
    mut_arg(COLUMNS, complete::columns::<PlaceRecord>),
    group = ArgGroup::new("deed")
)]
pub struct Scan {
    /// The files and folders to search; - is standard input. With --git, the default is the current
    /// folder
    #[arg(
        value_name = "PATH",
        required_unless_present_any = ["git", "staged"],
        value_hint = ValueHint::AnyPath
    )]
    paths: Vec<PathBuf>,

    /// Search all commits of the Git repositories in these folders, too
    #[arg(long)]
    git: bool,

    /// Search only what the next commit would change, in the repository of the current folder
    #[arg(long, conflicts_with = "git")]
    staged: bool,

    /// Suspend the users of passwords that work
    #[arg(long, group = "deed")]
    suspend: bool,

    /// Replace passwords that work, and deliver the new ones by the users' rotation rules; the old
    /// ones stop as soon as the new ones have arrived
    #[arg(long, group = "deed")]
    rotate: bool,

    #[command(flatten)]
    view: ViewArgs,
}

impl Scan {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let deed = self.deed();
        if self.staged && self.paths.len() > 1 {
            let one = "--staged searches one repository";
            return Err(Error::Usage(one.to_owned()).into());
        }
        if let Some(deed) = deed {
            deed.need_answer(context)?;
        }
        // Whether there is a store is known before a search that may take hours.
        let mut app = self.app(context)?;
        let found = self.search(context)?;
        let leaks = judged(app.as_mut(), &found)?;
        if let Some(app) = &mut app {
            told::tell(context, app, &found, &leaks);
        }
        tell_unread(context, &found);
        self.print(context, &found, &leaks)?;
        if let (Some(deed), Some(app)) = (deed, &mut app) {
            deed.run(context, app, &leaks)?;
        }
        if !found.passwords.is_empty() {
            return Err(Error::Answered(Exit::Attention).into());
        }
        match problems(&found) {
            0 => Ok(()),
            n => Err(Error::NotSearched(n).into()),
        }
    }

    const fn deed(&self) -> Option<Deed> {
        match (self.suspend, self.rotate) {
            (true, _) => Some(Deed::Suspend),
            (_, true) => Some(Deed::Rotate),
            _ => None,
        }
    }

    /// Opens the store. There need not be one, unless it was named or is to be changed.
    fn app(&self, context: &Context) -> Result<Option<App>> {
        match context.app(Access::Existing) {
            Err(Error::StoreMissing(at))
                if !context.names_store() && !self.suspend && !self.rotate =>
            {
                context.out.note(&format!(
                    "there is no store at {at}, so users are not named"
                ));
                Ok(None)
            }
            opened => Ok(opened.map(Some)?),
        }
    }

    fn search(&self, context: &Context) -> error::Result<Findings> {
        let progress = Progress::unbounded(&context.out);
        if let Some(progress) = &progress {
            progress.say("searching".to_owned());
        }
        let found = if self.staged {
            scan::search_staged(self.paths.first().map(PathBuf::as_path))
        } else {
            scan::search(&self.targets())
        };
        if let Some(progress) = progress {
            progress.end();
        }
        found
    }

    fn targets(&self) -> ScanTargets {
        let (stdin, mut paths): (Vec<PathBuf>, Vec<PathBuf>) = self
            .paths
            .iter()
            .cloned()
            .partition(|path| path == Path::new("-"));
        if self.paths.is_empty() {
            paths.push(".".into());
        }
        ScanTargets {
            paths,
            stdin: !stdin.is_empty(),
            history: self.git,
        }
    }

    fn print(&self, context: &mut Context, found: &Findings, leaks: &[Leak]) -> Result<()> {
        let for_people = context.out.is_for_people();
        let mut list = self.view.apply(context.out.list::<PlaceRecord>())?;
        for place in &found.places {
            list.push(&PlaceRecord::new(place, &leaks[place.password]))?;
        }
        let files = count(found.files, "file");
        list.end(&format!("no password found in {files}"))?;
        if for_people && !found.places.is_empty() {
            context.out.closing(&summary(found, leaks))?;
            if let Some(next) = next(leaks).filter(|_| self.deed().is_none()) {
                context.out.closing(&next)?;
            }
        }
        if found.more > 0 {
            let more = count(found.more, "place");
            context.out.note(&format!(
                "{more} more in files that have a password more than 100 times"
            ));
        }
        Ok(())
    }
}

/// Without a store, nothing is known about them.
fn judged(app: Option<&mut App>, found: &Findings) -> error::Result<Vec<Leak>> {
    if let Some(app) = app {
        return app.leaks(&found.passwords);
    }
    let ids = found.passwords.iter().map(FoundPassword::password_id);
    Ok(ids.map(Leak::unknown).collect())
}

fn summary(found: &Findings, leaks: &[Leak]) -> String {
    let mut text = format!(
        "{} in {}",
        count(leaks.len() as u64, "password"),
        count(found.places.len() as u64 + found.more, "place")
    );
    for (state, what) in [
        (LeakState::Works, "working"),
        (LeakState::Overlap, "retiring"),
        (LeakState::Stopped, "stopped"),
        (LeakState::Unknown, "unknown"),
    ] {
        let n = leaks.iter().filter(|leak| leak.state == state).count();
        if n > 0 {
            let _ = write!(text, ", {n} {what}");
        }
    }
    text
}

/// Returns the command that stops the passwords that work.
fn next(leaks: &[Leak]) -> Option<String> {
    let live = leaks.iter().filter(|leak| leak.state.is_live());
    let users: BTreeSet<_> = live
        .filter_map(|leak| leak.user.as_ref().map(|(username, _)| username))
        .collect();
    let mut users = users.iter();
    match (users.next()?, users.next()) {
        (user, None) => Some(format!(
            "next: smtpcred user close {}",
            in_shell(user.as_str())
        )),
        _ => Some("next, for each user: smtpcred user close NAME".to_owned()),
    }
}

/// Names what could not be read, and says what was left out.
fn tell_unread(context: &Context, found: &Findings) {
    const MOST: usize = 20;
    for problem in found.problems.iter().take(MOST) {
        context.out.warn(&format!(
            "{} was not searched: {}",
            escaped(&problem.path),
            escaped(&problem.reason)
        ));
    }
    let all = problems(found);
    if all > MOST as u64 {
        let more = all - MOST as u64;
        context
            .out
            .warn(&format!("{more} more could not be searched"));
    }
    if !found.histories.is_empty() {
        let repositories = match found.histories.len() {
            1 => "1 Git repository".to_owned(),
            n => format!("{n} Git repositories"),
        };
        context.out.note(&format!(
            "the history of {repositories} was not searched; --git does that"
        ));
    }
}

fn problems(found: &Findings) -> u64 {
    found.problems.len() as u64 + found.more_problems
}
