//! `smtpcred doctor`

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::output::{Format, Record};
use super::{Context, help, machine, server_config};
use crate::doctor::{self, Finding, Options, State};
use crate::error::{Error, Exit};
use crate::model::server::Server;
use crate::model::settings::Port;
use crate::model::text::invalid;

/// Examine the whole chain on this machine, and say what to do about what is wrong
///
/// The store, the clock, `smtpcred serve` and its sockets, the mail servers' configurations, the
/// ports and their certificates, rotation, users. Nothing is changed. Exits with 0 if all is well,
/// 1 if something fails, 7 if there are warnings only. An ordinary user may not see everything.
#[derive(Debug, Args)]
#[command(after_long_help = help::DOCTOR)]
pub struct Doctor {
    /// This mail server and no other [default: those that are set up for smtpcred]
    #[arg(long, value_enum, value_name = "SERVER")]
    server: Option<server_config::Server>,

    /// Its configuration: Postfix's folder, Exim's or Dovecot's file
    #[arg(long, value_name = "PATH", requires = "server")]
    config: Option<PathBuf>,

    /// The socket for sign-ins [default: where serve has it, or the mail server looks for it]
    #[arg(long, value_name = "SOCKET")]
    auth: Option<PathBuf>,

    /// The socket of the policy service
    #[arg(long, value_name = "SOCKET")]
    policy: Option<PathBuf>,

    /// Where the mail server listens
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,

    /// A port to try instead of those of the settings, such as 587 or 4650/tls; repeatable
    #[arg(long, value_name = "PORT", value_parser = port)]
    port: Vec<Port>,

    /// Only what is not ok
    #[arg(long)]
    problems: bool,
}

fn port(text: &str) -> Result<Port, Error> {
    let server = format!("localhost:{text}").parse::<Server>();
    server
        .map(|server| server.port)
        .map_err(|_| invalid("port", text, "a number, such as 587, or 4650/tls"))
}

impl Doctor {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let location = context.globals.location()?;
        let options = Options {
            server: self.server.map(Into::into),
            config: self.config,
            auth: self.auth,
            policy: self.policy,
            address: self.address,
            ports: self.port,
        };
        let findings = doctor::examine(&location, machine::WORLD, &options);
        let people = context.out.format() == Format::Table;
        let mut list = context.out.list::<Line>();
        let shown = |finding: &&Finding| !self.problems || finding.state != State::Ok;
        for finding in findings.iter().filter(shown) {
            list.push(&Line::new(finding))?;
            if let (true, Some(advice)) = (people, &finding.advice) {
                list.push(&Advice { advice })?;
            }
        }
        list.end("nothing to complain about")?;
        let count = |state| findings.iter().filter(|one| one.state == state).count();
        let [fail, warn] = [count(State::Fail), count(State::Warn)];
        if people {
            let ok = count(State::Ok);
            context
                .out
                .note(&format!("{ok} ok, {warn} to look at, {fail} wrong"));
        }
        let exit = match (fail, warn) {
            (0, 0) => return Ok(()),
            (0, _) => Exit::Attention,
            _ => Exit::Failed,
        };
        Err(Error::Answered(exit).into())
    }
}

#[derive(Serialize)]
struct Line<'a> {
    area: &'static str,
    check: &'a str,
    state: &'static str,
    found: &'a str,
    advice: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn new(finding: &'a Finding) -> Self {
        Self {
            area: finding.area,
            check: &finding.check,
            state: finding.state.name(),
            found: &finding.found,
            advice: finding.advice.as_deref(),
        }
    }
}

impl Record for Line<'_> {
    const COLUMNS: &'static [&'static str] = &["", "Area", "Check", "Found"];

    fn cells(&self) -> Vec<String> {
        let state = match self.state {
            "fail" => "FAIL",
            other => other,
        };
        [state, self.area, self.check, self.found]
            .map(str::to_owned)
            .into()
    }

    const FIELDS: &'static [&'static str] = &["area", "check", "state", "found", "advice"];

    fn fields(&self) -> Vec<String> {
        let advice = self.advice.unwrap_or_default();
        [self.area, self.check, self.state, self.found, advice]
            .map(str::to_owned)
            .into()
    }
}

/// The line below, for people.
#[derive(Serialize)]
struct Advice<'a> {
    advice: &'a str,
}

impl Record for Advice<'_> {
    const COLUMNS: &'static [&'static str] = Line::COLUMNS;

    fn cells(&self) -> Vec<String> {
        let advice = format!("-> {}", self.advice);
        ["", "", "", advice.as_str()].map(str::to_owned).into()
    }

    const FIELDS: &'static [&'static str] = &["advice"];

    fn fields(&self) -> Vec<String> {
        vec![self.advice.to_owned()]
    }
}
