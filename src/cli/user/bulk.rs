//! `smtpcred user create --file FILE`

use crate::cli::world::WORLD;
use crate::host;
use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use super::input::{open_input, recover_folder};
use super::row_record::{BulkRecord, CreatedUserRecord, RowList, RowRecord};
use crate::app::App;
use crate::app::bulk::{
    BatchSink, BulkOutcome, BulkPlan, BulkReporter, BulkRequest, PlannedUser, plan_users,
};
use crate::app::credential::{Credential, Pending};
use crate::app::import::RowProblem;
use crate::cli::args::path;
use crate::cli::context::Context;
use crate::cli::password_folder::PasswordFolder;
use crate::cli::reveal::RevealArgs;
use crate::cli::reveal::target::PasswordTarget;
use crate::cli::terminal::output::Output;
use crate::cli::terminal::progress::Progress;
use crate::error::Error;
use crate::model::name::Username;
use crate::model::text::count;
use crate::store::Access;

/// Flags that describe a single user. With them, clap no longer requires --file:
/// `--dry-run` would have created the user.
const OF_ONE: [&str; 6] = [
    "username",
    "label",
    "output",
    "password_stdin",
    "password_file",
    "choose_password",
];

#[derive(Debug, Args)]
#[command(next_help_heading = "Many at once")]
pub struct BulkArgs {
    /// Create a user for each row of this CSV or JSON file; - for standard input
    // --from is the format of an import; scripts may still name a file by it.
    #[arg(
        long,
        alias = "from",
        value_name = "FILE",
        conflicts_with_all = OF_ONE,
        value_parser = path::given(),
    )]
    file: Option<PathBuf>,

    /// Write each password to a new file in this folder, named after its user
    #[arg(long, value_name = "DIR", requires = "file", conflicts_with_all = OF_ONE, value_parser = path::given())]
    output_dir: Option<PathBuf>,

    /// Skip users that exist: continues an interrupted run
    #[arg(long, requires = "file", conflicts_with_all = OF_ONE)]
    skip_existing: bool,

    /// Check all rows and show which users would be created, without changing anything
    #[arg(long, requires = "file", conflicts_with_all = OF_ONE)]
    dry_run: bool,
}

impl BulkArgs {
    pub const fn is_wanted(&self) -> bool {
        self.file.is_some()
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
        let Some(file) = &self.file else {
            return Ok(());
        };
        let mut target = PasswordTarget::open(reveal, self.output_dir.as_deref(), context)?;
        let mut input = open_input(file)?;
        let mut app = context.app_to_change(request.add_domain)?;
        if let (PasswordTarget::Folder(folder, _), Some(app), false) =
            (&mut target, &mut app, self.dry_run)
        {
            recover_folder(app, folder, &context.out)?;
        }
        let plan = plan(
            app.as_mut(),
            &mut *input,
            request,
            &target,
            &mut context.out,
        )?;
        let names = plan.users.iter().map(|planned| &planned.username);
        target.check_hosts(app.as_mut(), names)?;
        target.check_room(plan.users.len() as u64)?;
        if self.dry_run {
            return Ok(list_planned(context, &plan)?);
        }
        let mut app = match app {
            Some(app) => app,
            None => context.app(Access::Create)?,
        };
        let (created, lines) = create(&mut app, request, target, &plan.users, &context.out)?;
        if let Some(folder) = &self.output_dir {
            context.out.result(&BulkRecord {
                created: created.made,
                skipped: plan.skipped,
                left: created.left,
                users: lines,
            })?;
            note_created(
                context,
                &created,
                &plan,
                &format!("; passwords are in {}", folder.display()),
            );
        } else {
            note_created(context, &created, &plan, "");
        }
        warn_unverified(&mut app, context, &plan.users[..made(&created)]);
        bulk_result(created, self.output_dir.as_deref(), &context.out)
    }
}

/// Reports invalid rows: in a list, or on stderr if passwords go to stdout.
struct PlanReporter<'a> {
    folder: Option<&'a PasswordFolder>,
    printer: RowList<'a>,
}

impl BulkReporter for PlanReporter<'_> {
    fn problem(&mut self, problem: &RowProblem) -> Result<(), Error> {
        if let (None, RowList::Out(out)) = (self.folder, &self.printer) {
            let RowProblem {
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
    target: &PasswordTarget,
    out: &mut Output,
) -> Result<BulkPlan, Error> {
    let mut desk = PlanReporter {
        folder: target.folder(),
        printer: RowList::Out(out),
    };
    let store = app.map(|app| &mut app.store);
    let plan = plan_users(store, WORLD, input, request, &mut desk);
    if let RowList::List(list) = desk.printer {
        list.end("")?;
    }
    plan
}

fn list_planned(context: &mut Context, plan: &BulkPlan) -> Result<(), Error> {
    let mut list = context.out.list::<RowRecord>();
    for planned in &plan.users {
        list.push(&RowRecord {
            row: Some(planned.row),
            what: "create",
            // A generated name differs each time.
            username: (!planned.made_up).then(|| planned.username.to_string()),
            columns: String::new(),
            reason: None,
        })?;
    }
    list.end("nothing would change")?;
    let created = count(plan.users.len() as u64, "user");
    context
        .out
        .note(&format!("would create {created}{}", left_out(plan.skipped)));
    Ok(())
}

fn left_out(skipped: u64) -> String {
    match skipped {
        0 => String::new(),
        n => format!(", skipped {n} that exist"),
    }
}

fn create(
    app: &mut App,
    request: &BulkRequest,
    target: PasswordTarget,
    users: &[PlannedUser],
    out: &Output,
) -> Result<(BulkOutcome, Vec<CreatedUserRecord>), Error> {
    let stop = host::stop_on_signals()?;
    // A progress bar would mix with the lines.
    let hidden = matches!(&target, PasswordTarget::Stream(..)) && io::stdout().is_terminal();
    let progress = (!hidden).then(|| Progress::begin(out, users.len()));
    let mut watched = CreationReporter {
        users,
        progress: progress.flatten(),
        lines: Vec::new(),
        at: 0,
        sink: target.into_sink("created", out, &stop),
    };
    let created = app.create_users(users, request, &mut watched, &stop);
    if let Some(progress) = &watched.progress {
        progress.end();
    }
    Ok((created?, watched.lines))
}

/// Shows the progress and keeps the created users.
struct CreationReporter<'a> {
    users: &'a [PlannedUser],
    progress: Option<Progress>,
    lines: Vec<CreatedUserRecord>,
    at: usize,
    sink: Box<dyn BatchSink>,
}

impl BatchSink for CreationReporter<'_> {
    fn present(&mut self, waiting: &[Credential]) -> Result<usize, Error> {
        self.sink.present(waiting)
    }

    fn committed(&mut self, made: &[Credential]) -> Result<(), Error> {
        for credential in made {
            let planned = &self.users[self.at];
            self.at += 1;
            self.lines.push(CreatedUserRecord {
                row: planned.row,
                username: credential.username.to_string(),
                label: planned.user.label.as_ref().map(|l| l.as_str().to_owned()),
                password_id: credential.password_id.to_string(),
            });
            if let Some(progress) = &self.progress {
                progress.step();
            }
        }
        self.sink.committed(made)
    }
}

impl Pending for CreationReporter<'_> {
    fn commit_delivery(&mut self) -> Result<(), Error> {
        self.sink.commit_delivery()
    }

    fn withdraw(&mut self) {
        self.sink.withdraw();
    }

    fn is_out(&self) -> bool {
        self.sink.is_out()
    }
}

fn made(created: &BulkOutcome) -> usize {
    usize::try_from(created.made).unwrap_or(usize::MAX)
}

fn note_created(context: &Context, created: &BulkOutcome, plan: &BulkPlan, place: &str) {
    let place = if created.made > 0 { place } else { "" };
    context.out.note(&format!(
        "created {}{}{place}",
        count(created.made, "user"),
        left_out(plan.skipped)
    ));
}

fn warn_unverified(app: &mut App, context: &Context, users: &[PlannedUser]) {
    let domains: BTreeSet<_> = users.iter().map(|u| u.username.domain()).collect();
    for domain in domains {
        // The users exist: no error from here on may suggest otherwise.
        if app.is_kept_from_sending(&domain).unwrap_or(false) {
            context.out.warn(&format!(
                "the users of {domain} cannot send until it is verified: smtpcred domain verify {domain}"
            ));
        }
    }
}

fn bulk_result(created: BulkOutcome, folder: Option<&Path>, out: &Output) -> Result<()> {
    let BulkOutcome { made, left, error } = created;
    if error.is_none() && left == 0 {
        return Ok(());
    }
    if let (Some(Error::CommitUnknown { .. }), Some(folder)) = (&error, folder) {
        out.warn(&format!(
            "passwords that may be valid are in {} under hidden names; run the same command with --skip-existing to recover or remove them",
            folder.display()
        ));
    }
    let cause = error.unwrap_or(Error::Interrupted);
    if made == 0 {
        return Err(cause.into());
    }
    let cause = Box::new(cause);
    Err(Error::PartlyCreated { made, left, cause }.into())
}
