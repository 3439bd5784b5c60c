//! `smtpcred domain check`

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::app::dns::{DnsFinding, DnsState, check};
use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::terminal::column::{Cell, Column, Tone};
use crate::cli::terminal::output::OutputFormat;
use crate::cli::terminal::record::Record;
use crate::dns::Resolver;
use crate::error::{Error, Exit};
use crate::model::dns::{ResolverAddress, Selector};
use crate::model::name::DomainName;
use crate::model::text::escaped;
use crate::store::Access;

const HELP: &str = "\
Examples:
  smtpcred domain check example.com --selector s1
  smtpcred domain check example.com --resolver 9.9.9.9   as this resolver sees it
  smtpcred domain check example.com --json | jq -r '.[] | .wanted // empty'

Checks:
  host                the server's name has addresses
  reverse             each address has a name that resolves to that address
  mx                  bounces can be delivered: MX names have addresses and are no aliases
  spf                 one valid record, with at most ten lookups, that allows the addresses of the
                      server; other addresses that the relay may send from are not known here
  dkim                a key for each --selector, of at least 2048 bits
  dmarc               one record, of the domain or of a parent domain
  mta-sts, tls-rpt    valid, if they exist
  verification        if `set-settings --require-verified-domains` is yes

States:
  ok, missing, wrong, warning (works, but could be better), unknown (it cannot be looked up from
  here: try again, or ask another name server). If nothing at all can be looked up, that is an
  error, dns_failed, and no list.

JSON:
  A list of {check, state, found, wanted, hint}; wanted is the record to publish, as a line of a
  zone file, or null.

Exit codes:
  0 nothing is missing or wrong, 7 something is, 75 some or all cannot be looked up from here.";

/// Look up a domain's DNS records and show what is missing or wrong
///
/// As the world sees them: without /etc/hosts, without the search list of resolv.conf, and without
/// a cache. The server is the domain's own, or the installation's.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct CheckDomain {
    /// The domain
    #[arg(value_name = "DOMAIN", add = complete::domains())]
    name: DomainName,

    /// Check the DKIM key with this selector, the part before ._domainkey; repeatable
    #[arg(long, value_name = "SELECTOR")]
    selector: Vec<Selector>,

    /// Ask this name server; by default those of /etc/resolv.conf
    #[arg(long, value_name = "ADDR[:PORT]")]
    resolver: Option<ResolverAddress>,
}

impl CheckDomain {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let subject = context
            .app(Access::Existing)?
            .subject(&self.name, self.selector)?;
        let mut resolver = Resolver::new(self.resolver)?;
        let findings = check(&subject, &mut resolver)
            .map_err(|failure| Error::DnsFailed(failure.sentence(self.name.as_str())))?;
        let mut list = context.out.list::<DnsFindingRecord>();
        for finding in &findings {
            list.push(&DnsFindingRecord::new(finding))?;
        }
        list.end("nothing to check")?;
        if context.out.format() == OutputFormat::Table {
            let advice: Vec<_> = findings.iter().filter_map(advice).collect();
            if !advice.is_empty() {
                context.out.text(&format!("\n{}", advice.join("\n")))?;
            }
        }
        let any = |state| findings.iter().any(|finding| finding.state == state);
        if any(DnsState::Missing) || any(DnsState::Wrong) {
            return Err(Error::Answered(Exit::Attention).into());
        }
        if any(DnsState::Unknown) {
            return Err(Error::Answered(Exit::TryAgain).into());
        }
        context
            .out
            .note(&format!("nothing is missing or wrong for {}", self.name));
        Ok(())
    }
}

/// Returns what to do, and the record to copy. Not in the table, which would wrap it.
fn advice(finding: &DnsFinding) -> Option<String> {
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
struct DnsFindingRecord<'a> {
    check: &'static str,
    state: &'static str,
    found: &'a str,
    wanted: Option<String>,
    hint: Option<&'a str>,
}

impl<'a> DnsFindingRecord<'a> {
    fn new(finding: &'a DnsFinding) -> Self {
        Self {
            check: finding.check,
            state: finding.state.name(),
            found: &finding.found,
            wanted: finding.wanted.as_ref().map(ToString::to_string),
            hint: finding.hint.as_deref(),
        }
    }
}

impl Record for DnsFindingRecord<'_> {
    const COLUMNS: &'static [Column] = &[
        Column::new("Check"),
        Column::new("State"),
        Column::new("Found").wrap(24),
    ];

    fn cells(&self) -> Vec<Cell> {
        let tone = match self.state {
            "ok" => Tone::Good,
            "missing" | "wrong" => Tone::Bad,
            _ => Tone::Warning,
        };
        vec![
            self.check.into(),
            Cell::new(self.state, tone),
            self.found.into(),
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
