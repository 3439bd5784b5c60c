//! `smtpcred setup`

mod record;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use clap::Args;
use nix::unistd::Uid;

use self::record::{FindingRecord, PortRecord, SetupRecord};
use super::context::Context;
use super::server_config::ServerArg;
use crate::cli::args::path;
use crate::cli::hints;
use crate::cli::terminal::output::OutputFormat;
use crate::cli::terminal::prompt;
use crate::cli::world::WORLD;
use crate::deliver;
use crate::doctor::{self, CheckState, DoctorOptions, MailServer};
use crate::error::{Error, Exit};
use crate::host;
use crate::model::name::HostName;
use crate::model::text;
use crate::setup::{
    self, Journal, Plan, Proof, RunWith, ServerCommands, SetupOptions, Step, dovecot, exim, postfix,
};
use crate::store::Access;

const HELP: &str = include_str!("help.txt");

/// Set up the mail server on this machine
///
/// Makes the changes that `show-server-config` describes: shows them, asks, makes them, and proves
/// them with a sign-in. Needs root.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct SetUp {
    /// The mail server
    #[arg(value_enum, value_name = "SERVER")]
    server: ServerArg,

    /// Set the name of the server that applications connect to
    #[arg(long, value_name = "HOST", conflicts_with = "undo")]
    host: Option<HostName>,

    /// Show what would change, without changing it; exit code 8 if anything would
    #[arg(long)]
    dry_run: bool,

    /// Undo the setup; the system user, the folders and the store stay
    #[arg(long)]
    undo: bool,

    /// Replace another sign-in on ports 587 and 465: its users can no longer sign in
    #[arg(long, conflicts_with = "undo")]
    replace: bool,

    /// Use this configuration: Postfix's folder, Exim's or Dovecot's file
    #[arg(long, value_name = "PATH", value_parser = path::given())]
    config: Option<PathBuf>,
}

impl SetUp {
    pub fn run(self, context: &mut Context) -> Result<()> {
        if !Uid::effective().is_root() {
            return Err(Error::NeedsRoot("the mail server's configuration").into());
        }
        let config = self.config.as_deref();
        let (record, commands) = match self.server {
            ServerArg::Postfix => (postfix::record(config), postfix::commands(config)),
            ServerArg::Exim => (exim::record(config), exim::commands()),
            ServerArg::Dovecot => (dovecot::record(config), dovecot::commands(config)),
        };
        let stop = host::outlast_signals()?;
        let mut journal = if self.dry_run && !Journal::exists(&record) {
            None
        } else {
            Some(Journal::open(&record)?)
        };
        if let Some(journal) = journal.as_mut().filter(|journal| journal.is_underway()) {
            self.end_interrupted(context, journal, &commands, &stop)?;
        }
        if self.undo {
            return self.undo(context, journal, &commands, &stop);
        }
        let plan = self.plan(context)?;
        let mut shown = SetupRecord::planned(self.name(), &plan);
        show(context, &plan.steps(), &plan.warnings)?;
        if plan.is_empty() {
            shown.state = "unchanged";
            context.out.note("nothing to change");
            show_serve(context, &plan, &mut shown)?;
            return Ok(context.out.result(&shown)?);
        }
        if self.dry_run {
            shown.serve = plan.machine.serve.as_deref().map(serve_line);
            context.out.result(&shown)?;
            context.out.note(&format!(
                "nothing was changed; to do it, and to prove it with a sign-in: {}",
                hints::without(&hints::typed(), "--dry-run")
            ));
            return Err(Error::Answered(Exit::WouldChange).into());
        }
        ask(
            context,
            &plan.steps(),
            "these changes set up the mail server",
        )?;
        let Some(mut journal) = journal else {
            return Ok(());
        };
        let proofs = with(context, &stop, |with| {
            setup::make(&plan, &mut journal, with)
        })?;
        shown.state = "done";
        self.report(context, &plan, &proofs, &mut shown)?;
        let printed = context.out.result(&shown);
        Ok(context.out.recorded(printed)?)
    }

    const fn name(&self) -> &'static str {
        match self.server {
            ServerArg::Postfix => "postfix",
            ServerArg::Exim => "exim",
            ServerArg::Dovecot => "dovecot",
        }
    }

    fn plan(&self, context: &Context) -> Result<Plan> {
        let options = SetupOptions {
            host: self.host.clone(),
            config: self.config.clone(),
            replace: self.replace,
        };
        let set = match context.app(Access::Existing) {
            Ok(mut app) => {
                app.store.need_writable()?;
                app.settings()?.host
            }
            Err(Error::StoreMissing(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let location = context.location()?;
        let (set, random) = (set.as_ref(), WORLD.random);
        Ok(match self.server {
            ServerArg::Postfix => postfix::plan(&options, set, &location, random)?,
            ServerArg::Exim => exim::plan(&options, set, &location, random)?,
            ServerArg::Dovecot => dovecot::plan(&options, set, &location, random)?,
        })
    }

    /// Says where the user signed in, and what doctor finds.
    fn report(
        &self,
        context: &mut Context,
        plan: &Plan,
        proofs: &[Proof],
        shown: &mut SetupRecord,
    ) -> Result<()> {
        for proof in proofs {
            let port = proof.at.port;
            let how = port.encryption.name();
            context
                .out
                .note(&format!("port {} ({how}): a user signed in", port.number));
        }
        shown.ports = proofs.iter().map(PortRecord::new).collect();
        if show_serve(context, plan, shown)? {
            return Ok(());
        }
        if let Some(socket) = &plan.auth {
            let socket = socket.display();
            context.out.note(&format!("{socket}: a user signed in"));
        }
        let findings = doctor::examine(
            &context.location()?,
            WORLD,
            &DoctorOptions {
                server: Some(MailServer::from(self.server)),
                config: self.config.clone(),
                auth: None,
                policy: None,
                address: plan
                    .sign_in_ports
                    .first()
                    .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |at| at.address),
                ports: plan.sign_in_ports.iter().map(|at| at.port).collect(),
                full: false,
                obstacle: deliver::alert::obstacle,
            },
        );
        let mut here = vec!["server", "postfix", "exim", "dovecot"];
        // Dovecot reads the store itself.
        if plan.auth.is_none() {
            here.extend(["serve", "ports"]);
        }
        for one in findings {
            let relevant = here.contains(&one.area) && one.because.is_none();
            if !relevant || one.state == CheckState::Ok {
                continue;
            }
            let advice = one
                .advice
                .as_deref()
                .map_or_else(String::new, |advice| format!("; {advice}"));
            context.out.warn(&format!(
                "{} {}: {}{advice}",
                one.area, one.check, one.found
            ));
            shown.findings.push(FindingRecord::new(one));
        }
        Ok(())
    }

    /// Undoes what a setup that was killed has changed, or finishes an undo.
    fn end_interrupted(
        &self,
        context: &Context,
        journal: &mut Journal,
        commands: &ServerCommands,
        stop: &AtomicBool,
    ) -> Result<()> {
        let is_undo = journal.is_undo_underway();
        if self.dry_run {
            context.out.note(if is_undo {
                "an interrupted undo would be finished first"
            } else {
                "the changes of an interrupted setup would be undone first"
            });
            return Err(Error::Answered(Exit::WouldChange).into());
        }
        with(context, stop, |with| {
            if is_undo {
                setup::finish_undo(journal, commands, with)
            } else {
                setup::roll_back(journal, commands, with)
            }
        })?;
        context.out.note(if is_undo {
            "finished an interrupted undo"
        } else {
            "undid the changes of an interrupted setup"
        });
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted.into());
        }
        Ok(())
    }

    fn undo(
        &self,
        context: &mut Context,
        journal: Option<Journal>,
        commands: &ServerCommands,
        stop: &AtomicBool,
    ) -> Result<()> {
        let mut shown = SetupRecord::new(self.name());
        let Some(mut journal) = journal.filter(|journal| !journal.is_empty()) else {
            shown.state = "unchanged";
            context.out.note("nothing to undo");
            return Ok(context.out.result(&shown)?);
        };
        let undo = setup::plan_undo(&journal)?;
        let steps = undo.steps();
        let stay = &undo.stay;
        let is_any = !steps.is_empty() || !undo.units_stay;
        shown.set(&steps, stay);
        show(context, &steps, stay)?;
        if !is_any {
            shown.state = "unchanged";
            context.out.note("nothing to undo");
            return Ok(context.out.result(&shown)?);
        }
        if self.dry_run {
            context.out.result(&shown)?;
            return Err(Error::Answered(Exit::WouldChange).into());
        }
        ask(context, &steps, "these changes undo the setup")?;
        with(context, stop, |with| {
            setup::undo(&undo, &mut journal, commands, with)
        })?;
        shown.state = "undone";
        context.out.note(if stay.is_empty() {
            "undid the setup"
        } else {
            "undid everything else"
        });
        let printed = context.out.result(&shown);
        Ok(context.out.recorded(printed)?)
    }
}

/// Calls `run` with what it needs of this command.
fn with<T>(
    context: &Context,
    stop: &AtomicBool,
    run: impl FnOnce(&RunWith<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    run(&RunWith {
        open: &|| context.app(Access::Create),
        open_existing: &|| match context.app(Access::Existing) {
            Err(Error::StoreMissing(_)) => Ok(None),
            opened => opened.map(Some),
        },
        random: WORLD.random,
        stop,
        note: &|text| context.out.note(text),
    })
}

/// Shows the changes and the warnings to people.
fn show(context: &mut Context, steps: &[Step], warnings: &[String]) -> Result<(), Error> {
    if context.out.format() == OutputFormat::Table {
        for step in steps {
            context.out.text(&described(step))?;
        }
    }
    match context.out.finish() {
        Err(Error::OutputClosed) | Ok(()) => {}
        Err(error) => return Err(error),
    }
    for warning in warnings {
        context.out.warn(warning);
    }
    Ok(())
}

/// Asks a person who has seen the changes.
fn ask(context: &Context, steps: &[Step], consequence: &str) -> Result<(), Error> {
    if prompt::person_present() && !context.confirmed_beforehand() {
        for step in steps {
            context.out.before_question(&described(step));
        }
    }
    prompt::confirm(context, "setting up a mail server", consequence, "yes")
}

fn described(step: &Step) -> String {
    let mut lines = vec![text::escaped(&step.what)];
    let diff = step.diff.iter().map(|line| {
        let line = line.replace('\t', "    ");
        format!("  {}", text::escaped(line.trim_end()))
    });
    lines.extend(diff);
    lines.join("\n")
}

/// Shows how to run `serve` where there is no systemd, and returns whether that is needed.
fn show_serve(context: &mut Context, plan: &Plan, shown: &mut SetupRecord) -> Result<bool, Error> {
    let Some(words) = &plan.machine.serve else {
        return Ok(false);
    };
    let command = serve_line(words);
    context.out.warn(
        "there is no systemd: until this command runs as a service, applications cannot sign in",
    );
    if context.out.format() == OutputFormat::Table {
        context.out.text(&command)?;
    }
    shown.serve = Some(command);
    Ok(true)
}

/// Returns a command line that runs `serve` as its user.
fn serve_line(words: &[String]) -> String {
    let words: Vec<_> = words.iter().map(|word| text::in_shell(word)).collect();
    format!("runuser -u smtpcred -- {}", words.join(" "))
}
