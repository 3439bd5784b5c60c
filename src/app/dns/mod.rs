//! Checks what the DNS says about a domain and its relay. The resolver is passed in;
//! nothing here has a socket.

mod ask;
mod finding;
mod host;
mod mail;
mod policies;
mod spf;
mod walk;

pub use finding::{DnsFinding, DnsState};

use ask::Dns;
use finding::shown;
use spf::SendingHost;

use crate::model::dns::{
    DnsAnswer, DnsClient, DnsFailure, RecordType, Selector, ZoneRecord, verification,
};
use crate::model::name::{DomainName, HostName};

/// The domain to check.
pub struct Subject {
    /// Its name.
    pub domain: DomainName,
    /// The server that its applications connect to.
    pub host: Option<HostName>,
    /// The selectors of the DKIM keys to check.
    pub selectors: Vec<Selector>,
    /// Its token, if domains have to be verified.
    pub verification: Option<Verification>,
}

/// The state of a domain's verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// The value of the record to publish.
    pub token: String,
    /// The record was found.
    pub verified: bool,
}

/// Returns a finding for each record that mail of the domain needs. Fails if nothing at all can
/// be looked up.
pub fn check(subject: &Subject, client: &mut dyn DnsClient) -> Result<Vec<DnsFinding>, DnsFailure> {
    let domain = subject.domain.as_str();
    let mut dns = Dns::new(client);
    let answer = dns.ask(domain, RecordType::Soa);
    if let DnsAnswer::Failed(failure @ DnsFailure::NoAnswer(_)) = answer {
        return Err(failure);
    }
    let mut findings = Vec::new();
    let (host, addresses) = host::check(subject.host.as_ref(), &mut dns);
    if let DnsAnswer::Failed(DnsFailure::CannotTell(reason)) = &answer
        && dns.is_cut_off()
    {
        return Err(DnsFailure::NoAnswer(reason.clone()));
    }
    let failed = host.iter().any(|found| found.state == DnsState::Unknown) && addresses.is_empty();
    findings.extend(host);
    // All other checks would find the same.
    if answer == DnsAnswer::NoSuchName {
        let hint = "check the spelling, the registration, and its name servers";
        let found = format!("{domain} does not exist (NXDOMAIN)");
        findings.insert(
            0,
            DnsFinding::new("domain", DnsState::Missing, found).hint(hint),
        );
        return Ok(findings);
    }
    findings.push(mail::check(domain, &mut dns));
    let relay = SendingHost {
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

fn verified(domain: &str, known: &Verification) -> DnsFinding {
    const CHECK: &str = "verification";
    if known.verified {
        return DnsFinding::new(CHECK, DnsState::Ok, "the domain is verified");
    }
    DnsFinding::new(
        CHECK,
        DnsState::Missing,
        "not verified: its users cannot send",
    )
    .hint(format!(
        "once that is published: smtpcred domain verify {domain}"
    ))
    .wanted(verification(domain, &known.token))
}

/// Returns the records to publish for a new domain, as far as they are known here.
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

/// What `domain verify` found in the DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishedToken {
    /// The record has the token.
    Published,
    /// The token is missing; with what was found instead.
    Missing(String),
}

/// Looks for the record that verifies a domain. Fails if the DNS does not answer.
pub fn look_for(
    record: &ZoneRecord,
    client: &mut dyn DnsClient,
) -> Result<PublishedToken, DnsFailure> {
    let texts = Dns::new(client).texts(&record.name)?;
    // Control panels add spaces and quotes.
    let same = |text: &String| text.trim_matches([' ', '"']) == record.value;
    if texts.iter().any(same) {
        return Ok(PublishedToken::Published);
    }
    let found = match &texts[..] {
        [] => "nothing".to_owned(),
        others => shown(&others.join(" | ")),
    };
    Ok(PublishedToken::Missing(found))
}
