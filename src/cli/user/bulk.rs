//! `smtpcred user create --from FILE`

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use super::import::opened;
use super::row_record::{BulkRecord, RowRecord, Rows, UserLine};
use crate::app::App;
use crate::app::bulk::{Batches, BulkRequest, Clerk, Created, Plan, PlannedUser, plan_users};
use crate::app::credential::{Credential, Pending};
use crate::app::import::Problem;
use crate::cli::output::Output;
use crate::cli::password_folder::PasswordFolder;
use crate::cli::progress::Progress;
use crate::cli::reveal::many::{ToFolder, ToStream};
use crate::cli::reveal::stdout::Stdout;
use crate::cli::reveal::{Many, Reveal, RevealArgs};
use crate::cli::{Context, machine};
use crate::error::{Error, Result as Outcome};
use crate::model::name::Username;
use crate::store::Access;

#[derive(Debug, Args)]
#[command(next_help_heading = "Many at once")]
pub struct BulkArgs {
    /// Create a user for each row of this CSV or JSON; - for standard input
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = [
            "username", "label", "output", "password_stdin", "password_file", "choose_password"
        ]
    )]
    from: Option<PathBuf>,

    /// Write each password to a new file in this folder, named after its user
    #[arg(long, value_name = "DIR", requires = "from")]
    output_dir: Option<PathBuf>,

    /// Leave out users that are there: to go on where a run was ended
    #[arg(long, requires = "from")]
    skip_existing: bool,

    /// Check all rows, say who would be created, and change nothing
    #[arg(long, requires = "from")]
    dry_run: bool,
}

/// Where the passwords go.
enum Target {
    Folder(PasswordFolder, Reveal),
    Stream(Stdout, crate::cli::reveal::Stream),
}

impl BulkArgs {
    pub const fn is_wanted(&self) -> bool {
        self.from.is_some()
    }

    pub const fn skips_existing(&self) -> bool {
        self.skip_existing
    }

    pub fn run(
        self,
        request: &BulkRequest,
        reveal: &RevealArgs,
        context: &mut Context,
    ) -> Result<()> {
        let Some(from) = &self.from else {
            return Ok(());
        };
        let mut target = self.target(reveal, context)?;
        let mut input = opened(from)?;
        let access = if request.add_domain && !self.dry_run {
            Access::Create
        } else {
            Access::Existing
        };
        let mut app = match context.app(access) {
            Ok(app) => Some(app),
            // The run itself would make it.
            Err(Error::StoreMissing(_)) if self.dry_run && request.add_domain => None,
            Err(error) => return Err(error.into()),
        };
        if let (Target::Folder(folder, _), Some(app), false) = (&mut target, &mut app, self.dry_run)
        {
            settle(app, folder, &context.out)?;
        }
        let plan = plan(
            app.as_mut(),
            &mut *input,
            request,
            &target,
            &mut context.out,
        )?;
        target.check_hosts(app.as_mut(), &plan.users)?;
        let Some(mut app) = app.filter(|_| !self.dry_run) else {
            return Ok(would_be(context, &plan)?);
        };
        let (created, lines) = create(&mut app, request, target, &plan.users, &context.out)?;
        if let Some(folder) = &self.output_dir {
            context.out.result(&BulkRecord {
                created: created.made,
                skipped: plan.skipped,
                left: created.left,
                users: lines,
            })?;
            say(
                context,
                &created,
                &plan,
                &format!("; their passwords are in {}", folder.display()),
            );
        } else {
            say(context, &created, &plan, "");
        }
        warn_unverified(&mut app, context, &plan.users[..made(&created)]);
        ended(created, self.output_dir.as_deref(), &context.out)
    }

    fn target(&self, reveal: &RevealArgs, context: &Context) -> Outcome<Target> {
        let many = reveal.many(context.out.format(), self.output_dir.is_some())?;
        Ok(match (many, &self.output_dir) {
            (Many::Folder(reveal), Some(path)) => {
                Target::Folder(context.password_folder(path)?, reveal)
            }
            (Many::Stream(form), _) => Target::Stream(Stdout::open()?, form),
            (Many::Folder(_), None) => {
                return Err(Error::NoFolder("there is no folder".into()));
            }
        })
    }
}

impl Target {
    /// A URL needs a server, and none may be missing in the middle of it all.
    fn check_hosts(&self, mut app: Option<&mut App>, users: &[PlannedUser]) -> Outcome<()> {
        if !matches!(self, Self::Folder(_, Reveal::Url)) {
            return Ok(());
        }
        let domains: BTreeSet<_> = users.iter().map(|u| u.username.domain()).collect();
        for domain in domains {
            let host = match app.as_deref_mut() {
                Some(app) => app.connection_of(&domain)?.host,
                None => None,
            };
            if host.is_none() {
                return Err(Error::HostNotSet("--reveal url"));
            }
        }
        Ok(())
    }
}

/// Brings what an earlier run left in the folder to its end, and says so.
pub(super) fn settle(app: &mut App, folder: &mut PasswordFolder, out: &Output) -> Outcome<()> {
    let settled = folder.settle(&mut |username, key| app.has_key(username, key))?;
    for username in &settled.shown {
        let file = folder.file_of(username);
        out.note(&format!(
            "an earlier run has created {username}: its password is in {}",
            file.display()
        ));
    }
    if settled.removed > 0 {
        out.note(&format!(
            "removed passwords of an earlier run, whose users were not created: {}",
            settled.removed
        ));
    }
    for path in &settled.kept {
        out.warn(&format!(
            "an earlier run, maybe on another store, has left a password in {}",
            path.display()
        ));
    }
    Ok(())
}

/// Tells what is wrong: in a list, or beside a stream.
struct Desk<'a> {
    folder: Option<&'a PasswordFolder>,
    printer: Rows<'a>,
}

impl Clerk for Desk<'_> {
    fn problem(&mut self, problem: &Problem) -> Outcome<()> {
        if let (None, Rows::Out(out)) = (self.folder, &self.printer) {
            let Problem {
                row,
                column,
                reason,
            } = problem;
            out.warn(&format!("row {row}: {column} {reason}"));
            return Ok(());
        }
        self.printer.push(&RowRecord::bad(problem))
    }

    fn refuses(&self, username: &Username) -> Option<String> {
        self.folder.and_then(|folder| folder.refuses(username))
    }
}

fn plan(
    app: Option<&mut App>,
    input: &mut dyn io::BufRead,
    request: &BulkRequest,
    target: &Target,
    out: &mut Output,
) -> Outcome<Plan> {
    let mut desk = Desk {
        folder: match target {
            Target::Folder(folder, _) => Some(folder),
            Target::Stream(..) => None,
        },
        printer: Rows::Out(out),
    };
    let store = app.map(|app| &mut app.store);
    let plan = plan_users(store, machine::WORLD, input, request, &mut desk);
    if let Rows::List(list) = desk.printer {
        list.end("")?;
    }
    plan
}

fn would_be(context: &mut Context, plan: &Plan) -> Outcome<()> {
    let mut list = context.out.list::<RowRecord>();
    for planned in &plan.users {
        list.push(&RowRecord {
            row: Some(planned.row),
            what: "create",
            // One that is made up is another one next time.
            username: (!planned.made_up).then(|| planned.username.to_string()),
            columns: String::new(),
            reason: None,
        })?;
    }
    list.end("nothing would change")?;
    let created = plan.users.len();
    context.out.note(&format!(
        "would be created {created}{}",
        left_out(plan.skipped)
    ));
    Ok(())
}

fn left_out(skipped: u64) -> String {
    match skipped {
        0 => String::new(),
        n => format!(", left out because they are there {n}"),
    }
}

fn create(
    app: &mut App,
    request: &BulkRequest,
    target: Target,
    users: &[PlannedUser],
    out: &Output,
) -> Outcome<(Created, Vec<UserLine>)> {
    let stop = machine::stop_on_signals()?;
    // Lines would be written over it.
    let hidden = matches!(&target, Target::Stream(..)) && io::stdout().is_terminal();
    let progress = (!hidden).then(|| Progress::begin(out, users.len()));
    let mut watched = Watched {
        users,
        progress: progress.flatten(),
        lines: Vec::new(),
        at: 0,
        way: match target {
            Target::Folder(folder, reveal) => Box::new(ToFolder::new(folder, reveal)),
            Target::Stream(stdout, form) => {
                stdout.warn(out, "--output-dir DIR makes files");
                Box::new(ToStream::new(form, stdout, stop.clone()))
            }
        },
    };
    let created = app.create_users(users, request, &mut watched, &stop);
    if let Some(progress) = &watched.progress {
        progress.end();
    }
    Ok((created?, watched.lines))
}

/// Shows how far it is, and keeps who was created.
struct Watched<'a> {
    users: &'a [PlannedUser],
    progress: Option<Progress>,
    lines: Vec<UserLine>,
    at: usize,
    way: Box<dyn Batches>,
}

impl Batches for Watched<'_> {
    fn prepare(&mut self, waiting: &[Credential]) -> Outcome<usize> {
        self.way.prepare(waiting)
    }

    fn committed(&mut self, made: &[Credential]) -> Outcome<()> {
        for credential in made {
            let planned = &self.users[self.at];
            self.at += 1;
            self.lines.push(UserLine {
                row: planned.row,
                username: credential.username.to_string(),
                label: planned.user.label.as_ref().map(|l| l.as_str().to_owned()),
                key_id: credential.key.to_string(),
            });
            if let Some(progress) = &self.progress {
                progress.step();
            }
        }
        self.way.committed(made)
    }
}

impl Pending for Watched<'_> {
    fn deliver(&mut self) -> Outcome<()> {
        self.way.deliver()
    }

    fn withdraw(&mut self) {
        self.way.withdraw();
    }
}

fn made(created: &Created) -> usize {
    usize::try_from(created.made).unwrap_or(usize::MAX)
}

fn say(context: &Context, created: &Created, plan: &Plan, place: &str) {
    let place = if created.made > 0 { place } else { "" };
    context.out.note(&format!(
        "created {}{}{place}",
        created.made,
        left_out(plan.skipped)
    ));
}

fn warn_unverified(app: &mut App, context: &Context, users: &[PlannedUser]) {
    let domains: BTreeSet<_> = users.iter().map(|u| u.username.domain()).collect();
    for domain in domains {
        // The users are there: nothing that goes wrong now may say they are not.
        if app.is_kept_from_sending(&domain).unwrap_or(false) {
            context.out.warn(&format!(
                "the users of {domain} cannot send before it is verified: smtpcred domain verify {domain}"
            ));
        }
    }
}

fn ended(created: Created, folder: Option<&Path>, out: &Output) -> Result<()> {
    let Created { made, left, error } = created;
    if error.is_none() && left == 0 {
        return Ok(());
    }
    if let (Some(Error::CommitUnknown { .. }), Some(folder)) = (&error, folder) {
        out.warn(&format!(
            "passwords that may be valid are in {} under hidden names: the same command with --skip-existing brings them out, or removes them",
            folder.display()
        ));
    }
    let cause = error.unwrap_or(Error::Interrupted);
    if made == 0 {
        return Err(cause.into());
    }
    let cause = Box::new(cause);
    Err(Error::Partly { made, left, cause }.into())
}
