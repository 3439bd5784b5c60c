//! `smtpcred domain check`

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::super::output::{Format, Record};
use super::super::{Context, complete};
use super::help;
use crate::app::dns::{Finding, State, check};
use crate::dns::Resolver;
use crate::error::{Error, Exit};
use crate::model::dns::{ResolverAddress, Selector};
use crate::model::name::DomainName;
use crate::model::text::escaped;
use crate::store::Access;

/// Look a domain's DNS records up, and say what is missing or wrong
///
/// As the world sees it: /etc/hosts and the search list of resolv.conf are left aside, and nothing
/// is remembered. The server is the domain's own, or the installation's.
#[derive(Debug, Args)]
#[command(after_long_help = help::CHECK)]
pub struct Check {
    /// Which domain
    #[arg(value_name = "DOMAIN", add = complete::domains())]
    name: DomainName,

    /// A DKIM key to look at, by what stands before ._domainkey; repeatable
    #[arg(long, value_name = "SELECTOR")]
    selector: Vec<Selector>,

    /// The name server to ask; by default those of /etc/resolv.conf
    #[arg(long, value_name = "ADDR[:PORT]")]
    resolver: Option<ResolverAddress>,
}

impl Check {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let subject = context
            .app(Access::Existing)?
            .subject(&self.name, self.selector)?;
        let mut resolver = Resolver::new(self.resolver)?;
        let findings = check(&subject, &mut resolver).map_err(Error::DnsFailed)?;
        let mut list = context.out.list::<FindingRecord>();
        for finding in &findings {
            list.push(&FindingRecord::new(finding))?;
        }
        list.end("nothing to look at")?;
        if context.out.format() == Format::Table {
            let advice: Vec<_> = findings.iter().filter_map(advice).collect();
            if !advice.is_empty() {
                context.out.text(&format!("\n{}", advice.join("\n")))?;
            }
        }
        let any = |state| findings.iter().any(|finding| finding.state == state);
        if any(State::Missing) || any(State::Wrong) {
            return Err(Error::Answered(Exit::Attention).into());
        }
        if any(State::Unknown) {
            return Err(Error::Answered(Exit::TryAgain).into());
        }
        context
            .out
            .note(&format!("nothing is missing or wrong for {}", self.name));
        Ok(())
    }
}

/// What to do, and a record that can be copied: not in a table, which would
/// break it over lines.
fn advice(finding: &Finding) -> Option<String> {
    let mut lines = Vec::new();
    if let Some(hint) = &finding.hint {
        lines.push(format!("{}: {}", finding.check, escaped(hint)));
    }
    if let Some(record) = &finding.wanted {
        lines.push(format!("  {}", escaped(&record.to_string())));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[derive(Serialize)]
struct FindingRecord<'a> {
    check: &'static str,
    state: &'static str,
    found: &'a str,
    wanted: Option<String>,
    hint: Option<&'a str>,
}

impl<'a> FindingRecord<'a> {
    fn new(finding: &'a Finding) -> Self {
        Self {
            check: finding.check,
            state: finding.state.name(),
            found: &finding.found,
            wanted: finding.wanted.as_ref().map(ToString::to_string),
            hint: finding.hint.as_deref(),
        }
    }
}

impl Record for FindingRecord<'_> {
    const COLUMNS: &'static [&'static str] = &["Check", "State", "Found"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.check.to_owned(),
            self.state.to_owned(),
            self.found.to_owned(),
        ]
    }

    const FIELDS: &'static [&'static str] = &["check", "state", "found", "wanted", "hint"];

    fn fields(&self) -> Vec<String> {
        vec![
            self.check.to_owned(),
            self.state.to_owned(),
            self.found.to_owned(),
            self.wanted.clone().unwrap_or_default(),
            self.hint.unwrap_or_default().to_owned(),
        ]
    }
}
