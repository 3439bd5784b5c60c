//! What `setup` prints for programs.

use std::net::IpAddr;

use serde::Serialize;

use crate::cli::terminal::record::Record;
use crate::doctor::Finding;
use crate::setup::{Plan, Proof, Step};

/// Everything about one run.
#[derive(Serialize)]
pub struct SetupRecord {
    pub server: &'static str,
    pub state: &'static str,
    steps: Vec<StepRecord>,
    warnings: Vec<String>,
    pub ports: Vec<PortRecord>,
    pub findings: Vec<FindingRecord>,
    pub serve: Option<String>,
}

#[derive(Serialize)]
struct StepRecord {
    what: String,
    file: Option<String>,
    diff: Vec<String>,
}

/// A port where a user signed in.
#[derive(Serialize)]
pub struct PortRecord {
    port: u16,
    encryption: &'static str,
    address: IpAddr,
}

/// A problem that doctor sees.
#[derive(Serialize)]
pub struct FindingRecord {
    area: &'static str,
    check: String,
    state: &'static str,
    found: String,
    advice: Option<String>,
}

impl SetupRecord {
    /// Returns a record without changes.
    pub const fn new(server: &'static str) -> Self {
        Self {
            server,
            state: "planned",
            steps: Vec::new(),
            warnings: Vec::new(),
            ports: Vec::new(),
            findings: Vec::new(),
            serve: None,
        }
    }

    /// Returns the record of a plan.
    pub fn planned(server: &'static str, plan: &Plan) -> Self {
        let mut record = Self::new(server);
        record.set(&plan.steps(), &plan.warnings);
        record
    }

    /// Sets the changes and what is to be known about them.
    pub fn set(&mut self, steps: &[Step], warnings: &[String]) {
        let step = |step: &Step| StepRecord {
            what: step.what.clone(),
            file: step.file.as_ref().map(|file| file.display().to_string()),
            diff: step.diff.clone(),
        };
        self.steps = steps.iter().map(step).collect();
        self.warnings = warnings.to_vec();
    }
}

impl PortRecord {
    pub fn new(proof: &Proof) -> Self {
        Self {
            port: proof.at.port.number,
            encryption: proof.at.port.encryption.name(),
            address: proof.at.address,
        }
    }
}

impl FindingRecord {
    pub fn new(finding: Finding) -> Self {
        Self {
            area: finding.area,
            check: finding.check,
            state: finding.state.name(),
            found: finding.found,
            advice: finding.advice,
        }
    }
}

impl Record for SetupRecord {
    const FIELDS: &'static [&'static str] = &["server", "state", "changes", "ports", "serve"];

    fn fields(&self) -> Vec<String> {
        let ports: Vec<_> = self.ports.iter().map(|one| one.port.to_string()).collect();
        vec![
            self.server.to_owned(),
            self.state.to_owned(),
            self.steps.len().to_string(),
            ports.join(" "),
            self.serve.clone().unwrap_or_default(),
        ]
    }
}
