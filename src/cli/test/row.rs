//! A test in CSV.

use serde::Serialize;

use crate::cli::terminal::record::Record;

/// A row of CSV.
#[derive(Serialize)]
pub struct TestRow {
    pub host: String,
    pub port: u16,
    pub encryption: &'static str,
    pub state: &'static str,
    pub step: String,
    pub milliseconds: Option<u64>,
    pub said: String,
    pub cause: String,
    pub next: String,
}

impl Record for TestRow {
    const FIELDS: &'static [&'static str] = &[
        "host",
        "port",
        "encryption",
        "state",
        "step",
        "milliseconds",
        "said",
        "cause",
        "next",
    ];

    fn fields(&self) -> Vec<String> {
        let took = self.milliseconds.map(|took| took.to_string());
        vec![
            self.host.clone(),
            self.port.to_string(),
            self.encryption.to_owned(),
            self.state.to_owned(),
            self.step.clone(),
            took.unwrap_or_default(),
            self.said.clone(),
            self.cause.clone(),
            self.next.clone(),
        ]
    }
}
