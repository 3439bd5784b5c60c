//! `smtpcred doctor`

use crate::cli::world::WORLD;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::args::path;
use super::context::Context;
use super::server_config;
use super::terminal::column::{Cell, Column, TimeForm, Tone};
use super::terminal::output::OutputFormat;
use super::terminal::record::Record;
use crate::deliver;
use crate::doctor::{self, CheckState, DoctorOptions, Finding};
use crate::error::{Error, Exit};
use crate::model::host_port::HostPort;
use crate::model::settings::Port;
use crate::model::text::{count, invalid};

const HELP: &str = "\
Examples:
  smtpcred doctor                                        checks everything on this machine
  smtpcred doctor --problems                             shows only what is not ok
  smtpcred doctor --full                                 checks all of a large store, not a sample
  smtpcred doctor --json | jq -r '.[] | select(.state == \"fail\") | .advice'
  smtpcred doctor --server exim --auth /run/smtpcred/auth --policy /run/smtpcred/policy
  smtpcred doctor --server postfix --config /etc/postfix-out --port 587 --port 4650/tls

States:
  ok; warn: works but needs attention, or cannot be checked; fail: does not work. Each cause is
  reported as one failure; its consequences are warnings that name it, and disappear once it is
  fixed. Every other warning or failure is followed by its fix.

JSON:
  A list of {area, check, state: ok | warn | fail, found, advice, because}; without advice it is
  null. because names the finding that this one follows from, by area and check, such as
  \"store file\"; others have null. The areas are store, machine, serve, server, postfix, exim,
  dovecot, ports, rotation, alerts, messages and users; what is not set up here has no findings.";

/// Check everything on this machine and suggest fixes
///
/// The store, the clock, `smtpcred serve` and its sockets, the configurations of the mail servers,
/// the ports and their certificates, rotation, alerts, the follower of messages, users. Nothing is changed. Exits with 0 if
/// everything is ok, 1 if something fails, 7 if there are only warnings. Without root, some checks may
/// be impossible.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct Doctor {
    /// Check only this mail server [default: all that are set up for smtpcred]
    #[arg(long, value_enum, value_name = "SERVER")]
    server: Option<server_config::ServerArg>,

    /// Read this configuration: Postfix's folder, Exim's or Dovecot's file
    #[arg(long, value_name = "PATH", requires = "server", value_parser = path::given())]
    config: Option<PathBuf>,

    /// Check this socket for sign-ins [default: that of serve, or of the mail server]
    #[arg(long, value_name = "SOCKET", value_parser = path::given())]
    auth: Option<PathBuf>,

    /// Check this socket of the policy service
    #[arg(long, value_name = "SOCKET", value_parser = path::given())]
    policy: Option<PathBuf>,

    /// Connect to the mail server at this address
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,

    /// Try this port instead of those of the settings, such as 587 or 4650/tls; repeatable
    #[arg(long, value_name = "PORT", value_parser = port)]
    port: Vec<Port>,

    /// Show only what is not ok
    #[arg(long)]
    problems: bool,

    /// Check all of a large store, however long that takes
    ///
    /// By default, doctor checks a random sample for a second or two, and reports that.
    #[arg(long)]
    full: bool,
}

fn port(text: &str) -> Result<Port, Error> {
    let server = format!("localhost:{text}").parse::<HostPort>();
    server
        .map(|server| server.port)
        .map_err(|_| invalid("port", text, "a number, such as 587, or 4650/tls"))
}

impl Doctor {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let location = context.location()?;
        let options = DoctorOptions {
            server: self.server.map(Into::into),
            config: self.config,
            auth: self.auth,
            policy: self.policy,
            address: self.address,
            ports: self.port,
            full: self.full,
            obstacle: deliver::alert::obstacle,
        };
        let findings = doctor::examine(&location, WORLD, &options);
        let people = context.out.format() == OutputFormat::Table;
        let mut list = context.out.list::<CheckRecord>();
        let shown = |finding: &&Finding| !self.problems || finding.state != CheckState::Ok;
        for finding in findings.iter().filter(shown) {
            list.push(&CheckRecord::new(finding))?;
            if let (true, Some(advice)) = (people, &finding.advice) {
                list.push(&AdviceRecord { advice })?;
            }
        }
        let sum = Sum::of(&findings);
        list.end_with("no problems found", Some(&sum.line()))?;
        match sum.exit() {
            Exit::Done => Ok(()),
            exit => Err(Error::Answered(exit).into()),
        }
    }
}

/// How many findings there are of each kind.
struct Sum {
    ok: u64,
    warn: u64,
    fail: u64,
    /// Those that follow from others.
    follow: u64,
}

impl Sum {
    fn of(findings: &[Finding]) -> Self {
        let number = |is_one: &dyn Fn(&Finding) -> bool| {
            findings.iter().filter(|finding| is_one(finding)).count() as u64
        };
        let alone = |state| number(&|one| one.state == state && one.because.is_none());
        Self {
            ok: alone(CheckState::Ok),
            warn: alone(CheckState::Warn),
            fail: alone(CheckState::Fail),
            follow: number(&|one| one.because.is_some()),
        }
    }

    fn line(&self) -> Cell {
        let follow = match self.follow {
            0 => String::new(),
            1 => ", and 1 that follows from another".to_owned(),
            more => format!(", and {more} that follow from others"),
        };
        let line = format!(
            "{} ok, {}, {}{follow}",
            self.ok,
            count(self.warn, "warning"),
            count(self.fail, "failure")
        );
        let tone = match self.exit() {
            Exit::Done => Tone::Good,
            Exit::Attention => Tone::Warning,
            _ => Tone::Bad,
        };
        Cell::new(line, tone)
    }

    const fn exit(&self) -> Exit {
        match (self.fail, self.warn) {
            (0, 0) => Exit::Done,
            (0, _) => Exit::Attention,
            _ => Exit::Failed,
        }
    }
}

#[derive(Serialize)]
struct CheckRecord<'a> {
    area: &'static str,
    check: &'a str,
    state: &'static str,
    found: &'a str,
    advice: Option<&'a str>,
    because: Option<&'a str>,
}

impl<'a> CheckRecord<'a> {
    fn new(finding: &'a Finding) -> Self {
        Self {
            area: finding.area,
            check: &finding.check,
            state: finding.state.name(),
            found: &finding.found,
            advice: finding.advice.as_deref(),
            because: finding.because.as_deref(),
        }
    }
}

impl Record for CheckRecord<'_> {
    const COLUMNS: &'static [Column] = &[
        Column::new(""),
        Column::new("Area"),
        Column::new("Check"),
        Column::new("Found").wrap(32).times(TimeForm::Text),
    ];

    fn cells(&self) -> Vec<Cell> {
        let state = match self.state {
            "fail" => Cell::new("FAIL", Tone::Bad),
            "warn" if self.because.is_some() => Cell::new("warn", Tone::Dim),
            "warn" => Cell::new("warn", Tone::Warning),
            other => Cell::new(other, Tone::Good),
        };
        let found = match self.because {
            Some(cause) => format!("{}, because of {cause}", self.found),
            None => self.found.to_owned(),
        };
        vec![state, self.area.into(), self.check.into(), found.into()]
    }

    const FIELDS: &'static [&'static str] =
        &["area", "check", "state", "found", "advice", "because"];

    fn fields(&self) -> Vec<String> {
        let [advice, because] = [self.advice, self.because].map(Option::unwrap_or_default);
        [
            self.area, self.check, self.state, self.found, advice, because,
        ]
        .map(str::to_owned)
        .into()
    }
}

/// The line below, for people.
#[derive(Serialize)]
struct AdviceRecord<'a> {
    advice: &'a str,
}

impl Record for AdviceRecord<'_> {
    const COLUMNS: &'static [Column] = CheckRecord::COLUMNS;

    fn cells(&self) -> Vec<Cell> {
        let advice = format!("-> {}", self.advice);
        ["", "", "", advice.as_str()].map(Cell::from).into()
    }

    const FIELDS: &'static [&'static str] = &["advice"];

    fn fields(&self) -> Vec<String> {
        vec![self.advice.to_owned()]
    }
}
