//! A test as it is printed: line by line for people, as one document for programs.

use std::time::Duration;

use serde::Serialize;

use super::delivery::Delivery;
use super::row::TestRow;
use crate::app::explain::Explanation;
use crate::cli::terminal::output::{Output, OutputFormat};
use crate::cli::terminal::record::Record;
use crate::error::{Exit, Result};
use crate::model::host_port::HostPort;
use crate::model::smtp_session::{Certificate, Fault, Session, Stage, Step};
use crate::model::text;
use crate::model::time::Time;

/// What is reported about a session in addition to its steps.
#[derive(Default)]
pub struct SessionFindings {
    pub fault: Option<Explanation>,
    pub warnings: Vec<Explanation>,
    /// Why something that looks like a failure is correct.
    pub note: Option<String>,
}

/// Prints the steps as they happen, and keeps them.
pub struct TestReporter<'a> {
    out: &'a mut Output,
    /// Whether all ports are tried: then only the offered ones decide the exit code.
    all_ports: bool,
    ports: Vec<PortTest>,
    /// The exit code of each port that was tried.
    exits: Vec<Option<Exit>>,
    refused: bool,
}

impl<'a> TestReporter<'a> {
    /// Begins a report; `all_ports` marks ports that are not offered.
    pub fn new(out: &'a mut Output, all_ports: bool) -> Self {
        Self {
            out,
            all_ports,
            ports: Vec::new(),
            exits: Vec::new(),
            refused: false,
        }
    }

    /// Returns whether a server has rejected the password.
    pub const fn is_refused(&self) -> bool {
        self.refused
    }

    /// Prints a line at once: the next step may take long.
    fn say(&mut self, line: &str) -> Result<()> {
        if self.out.format() != OutputFormat::Table {
            return Ok(());
        }
        self.out.text(&text::escaped(line))?;
        self.out.finish()
    }

    /// Begins a port.
    pub fn begin(&mut self, server: &HostPort, offered: bool) -> Result<()> {
        let port = server.port;
        let not_offered = if offered || !self.all_ports {
            ""
        } else {
            " (not offered by set-settings --ports)"
        };
        let between = if self.ports.is_empty() { "" } else { "\n" };
        self.ports.push(PortTest {
            host: server.host.to_string(),
            port: port.number,
            encryption: port.encryption.key(),
            offered,
            ok: None,
            steps: Vec::new(),
            tls: None,
            fault: None,
            warnings: Vec::new(),
            note: None,
        });
        if !between.is_empty() {
            self.say("")?;
        }
        self.say(&format!("{server} {}{not_offered}", port.encryption.name()))
    }

    /// Prints a step that succeeded.
    pub fn step(&mut self, step: &Step) -> Result<()> {
        self.line("ok", step.took, step.stage, &step.said)
    }

    fn line(&mut self, word: &str, took: Duration, stage: Stage, said: &str) -> Result<()> {
        let took = format!("{} ms", took.as_millis());
        self.say(&format!("{word:4}  {took:>8}  {:9}  {said}", stage.words()))
    }

    /// Prints why a session failed and what to do about it.
    pub fn end(&mut self, session: Session, met: SessionFindings, tried: bool) -> Result<()> {
        let said = session.fault.as_ref().map(ToString::to_string);
        if let Some(fault) = &session.fault {
            let word = if met.fault.is_some() { "FAIL" } else { "ok" };
            let words = match fault {
                Fault::TimedOut(_) => "no answer in time".to_owned(),
                Fault::HungUp(_) => "the server hung up".to_owned(),
                Fault::Protocol(_, what) => what.clone(),
                fault => fault.to_string(),
            };
            self.line(word, session.failed_after, fault.stage(), &words)?;
        } else if met.fault.is_some() {
            self.say("FAIL")?;
        }
        if let Some(note) = &met.note {
            self.say(&format!("      because  {note}"))?;
        }
        if let Some(fault) = &met.fault {
            self.explain(fault)?;
        }
        for warning in &met.warnings {
            self.say("warn")?;
            self.explain(warning)?;
        }
        let exit = match (&met.fault, met.warnings.is_empty()) {
            (Some(fault), _) => fault.exit,
            (None, true) => Exit::Done,
            (None, false) => Exit::Attention,
        };
        self.refused |= matches!(
            &session.fault,
            Some(Fault::Reply(Stage::SignIn, reply)) if reply.code == 535
        );
        let works = met.fault.is_none();
        // A reachable port does not prove that sign-in works.
        let tried = tried || !works;
        self.exits.push(tried.then_some(exit));
        if let Some(port) = self.ports.last_mut() {
            port.ok = tried.then_some(works);
            port.steps = session.steps.iter().map(StepRecord::new).collect();
            port.tls = session.tls.map(|tls| TlsRecord {
                version: tls.version,
                certificate: tls.certificate.map(CertificateRecord::new),
            });
            port.fault = met.fault.map(|fault| FaultRecord::new(fault, said));
            let warnings = met.warnings.into_iter();
            port.warnings = warnings.map(|w| FaultRecord::new(w, None)).collect();
            port.note = met.note;
        }
        Ok(())
    }

    /// Prints the outcome of the message.
    pub fn delivery(&mut self, delivery: &Delivery) -> Result<()> {
        let word = match delivery.word() {
            "fail" => "FAIL",
            word => word,
        };
        let took = format!("{} ms", delivery.milliseconds);
        self.say(&format!(
            "{word:4}  {took:>8}  {:9}  {}",
            "delivery",
            delivery.said()
        ))?;
        if let Some((cause, next)) = delivery.advice() {
            self.say(&format!("      because  {cause}"))?;
            self.say(&format!("      {:7}  {next}", "next"))?;
        }
        Ok(())
    }

    fn explain(&mut self, explained: &Explanation) -> Result<()> {
        self.say(&format!("      because  {}", explained.cause))?;
        for (i, next) in explained.next.iter().enumerate() {
            let word = if i == 0 { "next" } else { "or" };
            self.say(&format!("      {word:7}  {next}"))?;
        }
        Ok(())
    }

    /// Returns the results and the exit code. Ports that are not offered do not count.
    pub fn finish(self) -> (Vec<PortTest>, Exit) {
        let ports = self.ports.iter().zip(self.exits);
        let counts = ports.filter(|(port, _)| port.offered || !self.all_ports);
        let exits: Vec<_> = counts.filter_map(|(_, exit)| exit).collect();
        let works = |exit: &Exit| matches!(exit, Exit::Done | Exit::Attention);
        // The result would be the same at the others.
        let decides = |exit: &Exit| matches!(exit, Exit::WrongPassword | Exit::Refused);
        let failed = exits.iter().find(|exit| decides(exit));
        let failed = failed.or_else(|| exits.iter().find(|exit| !works(exit)));
        let exit = match failed {
            Some(exit) if decides(exit) || !exits.iter().any(works) => *exit,
            None if exits.iter().all(|exit| *exit == Exit::Done) => Exit::Done,
            // Some ports work, or all work with warnings.
            _ => Exit::Attention,
        };
        (self.ports, exit)
    }
}

/// The whole test.
#[derive(Serialize)]
pub struct TestRecord<'a> {
    pub username: &'a str,
    pub from: &'a str,
    pub to: Option<&'a str>,
    pub sent: bool,
    pub ports: Vec<PortTest>,
    /// Only if it was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
}

/// The test of one port.
#[derive(Serialize)]
pub struct PortTest {
    host: String,
    port: u16,
    encryption: &'static str,
    offered: bool,
    /// `None` if sign-in was not tried.
    ok: Option<bool>,
    steps: Vec<StepRecord>,
    tls: Option<TlsRecord>,
    fault: Option<FaultRecord>,
    warnings: Vec<FaultRecord>,
    note: Option<String>,
}

#[derive(Serialize)]
struct StepRecord {
    step: &'static str,
    milliseconds: u64,
    said: String,
}

#[derive(Serialize)]
struct TlsRecord {
    version: &'static str,
    certificate: Option<CertificateRecord>,
}

#[derive(Serialize)]
struct CertificateRecord {
    names: Vec<String>,
    issuer: String,
    not_before: Time,
    not_after: Time,
}

#[derive(Serialize)]
struct FaultRecord {
    code: &'static str,
    /// The server's reply, or the error.
    said: Option<String>,
    cause: String,
    next: Vec<String>,
}

impl StepRecord {
    fn new(step: &Step) -> Self {
        Self {
            step: step.stage.name(),
            milliseconds: u64::try_from(step.took.as_millis()).unwrap_or(u64::MAX),
            said: step.said.clone(),
        }
    }
}

impl CertificateRecord {
    fn new(certificate: Certificate) -> Self {
        Self {
            names: certificate.names,
            issuer: certificate.issuer,
            not_before: certificate.not_before,
            not_after: certificate.not_after,
        }
    }
}

impl FaultRecord {
    fn new(explained: Explanation, said: Option<String>) -> Self {
        Self {
            code: explained.code,
            said,
            cause: explained.cause,
            next: explained.next,
        }
    }
}

impl TestRecord<'_> {
    /// Prints the document for programs. People have seen the steps.
    pub fn print(&self, out: &mut Output) -> Result<()> {
        match out.format() {
            OutputFormat::Table => Ok(()),
            OutputFormat::Json => out.one(self),
            OutputFormat::Csv => {
                let mut list = out.list::<TestRow>();
                for port in &self.ports {
                    for row in port.rows() {
                        list.push(&row)?;
                    }
                }
                if let Some((delivery, port)) = self.delivery.as_ref().zip(self.ports.first()) {
                    list.push(&port.delivered(delivery))?;
                }
                list.end("")
            }
        }
    }
}

impl PortTest {
    fn row(&self, state: &'static str, step: &str) -> TestRow {
        TestRow {
            host: self.host.clone(),
            port: self.port,
            encryption: self.encryption,
            state,
            step: step.to_owned(),
            milliseconds: None,
            said: String::new(),
            cause: String::new(),
            next: String::new(),
        }
    }

    fn delivered(&self, delivery: &Delivery) -> TestRow {
        let (cause, next) = delivery.advice().unwrap_or_default();
        TestRow {
            milliseconds: Some(delivery.milliseconds),
            said: delivery.reply.clone().unwrap_or_default(),
            cause,
            next,
            ..self.row(delivery.word(), "delivery")
        }
    }

    fn rows(&self) -> Vec<TestRow> {
        let row = |state, step: &str| self.row(state, step);
        let steps = self.steps.iter().map(|step| TestRow {
            milliseconds: Some(step.milliseconds),
            said: step.said.clone(),
            ..row("ok", step.step)
        });
        let explained = |state, explained: &FaultRecord| TestRow {
            said: explained.said.clone().unwrap_or_default(),
            cause: explained.cause.clone(),
            next: explained.next.join("; "),
            ..row(state, explained.code)
        };
        let faults = self.fault.iter().map(|fault| explained("fail", fault));
        let warnings = self
            .warnings
            .iter()
            .map(|warning| explained("warn", warning));
        steps.chain(faults).chain(warnings).collect()
    }
}

impl Record for TestRecord<'_> {
    const FIELDS: &'static [&'static str] = &["username", "from", "to", "sent"];

    fn fields(&self) -> Vec<String> {
        vec![
            self.username.to_owned(),
            self.from.to_owned(),
            self.to.unwrap_or_default().to_owned(),
            self.sent.to_string(),
        ]
    }
}
