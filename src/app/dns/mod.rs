//! What the DNS says about a domain and its relay, judged. Whom to ask is
//! passed in; nothing here has a socket.

mod ask;
mod host;
mod mail;
mod policies;
mod spf;
mod walk;

use ask::Dns;
use spf::Relay;

use crate::model::dns::{Answer, Ask, Failure, Kind, Selector, ZoneRecord, verification};
use crate::model::name::{DomainName, HostName};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Ok,
    Missing,
    Wrong,
    /// It works, and could be better.
    Warning,
    /// The DNS did not say.
    Unknown,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Missing => "missing",
            Self::Wrong => "wrong",
            Self::Warning => "warning",
            Self::Unknown => "unknown",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub check: &'static str,
    pub state: State,
    pub found: String,
    /// The record to publish.
    pub wanted: Option<ZoneRecord>,
    pub hint: Option<String>,
}

impl Finding {
    fn new(check: &'static str, state: State, found: impl Into<String>) -> Self {
        Self {
            check,
            state,
            found: shown(&found.into()),
            wanted: None,
            hint: None,
        }
    }

    fn unknown(check: &'static str, failure: &Failure) -> Self {
        let found = format!("not known: {failure}");
        Self::new(check, State::Unknown, found)
            .hint("ask again, or ask somebody else with --resolver")
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        let hint = Some(shown(&hint.into()));
        Self { hint, ..self }
    }

    fn wanted(self, record: ZoneRecord) -> Self {
        let wanted = Some(record);
        Self { wanted, ..self }
    }
}

/// What is looked at.
pub struct Subject {
    pub domain: DomainName,
    /// The server its applications connect to.
    pub host: Option<HostName>,
    pub selectors: Vec<Selector>,
    /// Where domains have to be verified.
    pub verification: Option<Verification>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    pub token: String,
    pub verified: bool,
}

/// Everything that mail of the domain needs in the DNS, or why nobody answers.
pub fn check(subject: &Subject, whom: &mut dyn Ask) -> Result<Vec<Finding>, String> {
    let domain = subject.domain.as_str();
    let mut dns = Dns::new(whom);
    let answer = dns.ask(domain, Kind::Soa);
    if let Answer::Failed(Failure::NoAnswer(reason)) = answer {
        return Err(reason);
    }
    let mut findings = Vec::new();
    let (host, addresses) = host::check(subject.host.as_ref(), &mut dns);
    let failed = host.iter().any(|found| found.state == State::Unknown) && addresses.is_empty();
    findings.extend(host);
    // Each of the others would say the same.
    if answer == Answer::NoSuchName {
        let hint = "is it spelled as it is registered? Registered, and its name servers set?";
        let found = format!("{domain} does not exist (NXDOMAIN)");
        findings.insert(0, Finding::new("domain", State::Missing, found).hint(hint));
        return Ok(findings);
    }
    findings.push(mail::check(domain, &mut dns));
    let relay = Relay {
        host: subject.host.as_ref().map(HostName::as_str),
        addresses: &addresses,
        failed,
    };
    findings.push(spf::check(domain, &relay, &mut dns));
    findings.extend(policies::dkim(domain, &subject.selectors, &mut dns));
    findings.push(policies::dmarc(domain, &mut dns));
    findings.push(policies::mta_sts(domain, &mut dns));
    findings.push(policies::tls_rpt(domain, &mut dns));
    if let Some(verification) = &subject.verification {
        findings.push(verified(domain, verification));
    }
    Ok(findings)
}

fn verified(domain: &str, known: &Verification) -> Finding {
    const CHECK: &str = "verification";
    if known.verified {
        return Finding::new(CHECK, State::Ok, "the domain is verified");
    }
    Finding::new(CHECK, State::Missing, "not verified: its users cannot send")
        .hint(format!(
            "once that is published: smtpcred domain verify {domain}"
        ))
        .wanted(verification(domain, &known.token))
}

/// The records to publish for a new domain, as far as we can know them.
pub fn records(subject: &Subject) -> Vec<ZoneRecord> {
    let domain = subject.domain.as_str();
    let mut records = Vec::new();
    if let Some(host) = &subject.host {
        let term = format!("a:{host}");
        let text = crate::model::dns::spf::amended(&[], Some(&term));
        records.extend(text.map(|text| ZoneRecord::text(domain, text)));
    }
    records.push(policies::dmarc_record(domain));
    if let Some(known) = &subject.verification {
        records.push(verification(domain, &known.token));
    }
    records
}

/// What `domain verify` found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    There,
    /// With what is there instead.
    NotThere(String),
}

pub fn look_for(record: &ZoneRecord, whom: &mut dyn Ask) -> Result<Token, Failure> {
    let texts = Dns::new(whom).texts(&record.name)?;
    // Dashboards add spaces and quotes of their own.
    let same = |text: &String| text.trim_matches([' ', '"']) == record.value;
    if texts.iter().any(same) {
        return Ok(Token::There);
    }
    let found = match &texts[..] {
        [] => "nothing".to_owned(),
        others => shown(&others.join(" | ")),
    };
    Ok(Token::NotThere(found))
}

/// As much of it as anybody reads: a record has up to 64 KiB.
fn shown(text: &str) -> String {
    const MOST: usize = 500;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}
