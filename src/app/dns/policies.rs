//! What the domain says about its mail: DKIM, DMARC, MTA-STS, TLS-RPT.

use super::ask::Dns;
use super::{Finding, State, shown};
use crate::model::dns::dkim::{self, Key};
use crate::model::dns::tags::{dmarc_fault, has_version, mta_sts_fault, tls_rpt_fault};
use crate::model::dns::{Failure, Selector, ZoneRecord};

/// In bits (RFC 8301 §3.2).
const LEAST_RSA: usize = 1024;
const GOOD_RSA: usize = 2048;

pub fn dkim(domain: &str, selectors: &[Selector], dns: &mut Dns) -> Vec<Finding> {
    if selectors.is_empty() {
        return vec![
            Finding::new("dkim", State::Warning, "not looked at")
                .hint("say which: --selector, as the relay's signer has it (s= of its signatures)"),
        ];
    }
    let one = |selector: &Selector| key(domain, selector.as_str(), dns);
    selectors.iter().map(one).collect()
}

fn key(domain: &str, selector: &str, dns: &mut Dns) -> Finding {
    let name = format!("{selector}._domainkey.{domain}");
    let finding = |state, found: &str| Finding::new("dkim", state, format!("{selector}: {found}"));
    let texts = match dns.texts(&name) {
        Ok(texts) => texts,
        Err(failure) => return Finding::unknown("dkim", &failure),
    };
    let text = match &texts[..] {
        [] => {
            return finding(State::Missing, "no key").hint(format!(
                "publish at {name} what the relay's signer (OpenDKIM, rspamd, Exim) made for {selector}"
            ));
        }
        [text] => text,
        _ => {
            return finding(State::Wrong, &format!("{} records", texts.len())).hint(format!(
                "{name} has to have one, and other TXT records none at all"
            ));
        }
    };
    let published = match dkim::parse(text) {
        Ok(published) => published,
        Err(fault) => return finding(State::Wrong, &shown(text)).hint(fault),
    };
    let weak = "make a new key of 2048 bits, under a new selector";
    match published.key {
        Key::Revoked => finding(State::Wrong, "revoked (empty p=)")
            .hint("what is signed with it counts as unsigned: sign with another selector"),
        Key::Rsa { bits } if bits < LEAST_RSA => {
            finding(State::Wrong, &format!("RSA, {bits} bits")).hint(format!(
                "receivers take no key under {LEAST_RSA} bits: {weak}"
            ))
        }
        Key::Rsa { bits } if bits < GOOD_RSA => {
            finding(State::Warning, &format!("RSA, {bits} bits")).hint(weak)
        }
        Key::Other(kind) => finding(State::Warning, &format!("a key of the kind {kind}"))
            .hint("few receivers know that kind, if any: rsa is known to all"),
        _ if published.testing => finding(State::Warning, "a key that says it is a test (t=y)")
            .hint("take t=y out once it works"),
        Key::Rsa { bits } => finding(State::Ok, &format!("RSA, {bits} bits")),
        Key::Ed25519 => {
            finding(State::Warning, "Ed25519").hint("many receivers know RSA only: sign with both")
        }
    }
}

/// To begin with: reports, and nothing is refused.
pub fn dmarc_record(domain: &str) -> ZoneRecord {
    let policy = format!("v=DMARC1; p=none; rua=mailto:postmaster@{domain}");
    ZoneRecord::text(format!("_dmarc.{domain}"), policy)
}

pub fn dmarc(domain: &str, dns: &mut Dns) -> Finding {
    const CHECK: &str = "dmarc";
    let finding = one(
        "dmarc",
        &format!("_dmarc.{domain}"),
        "DMARC1",
        dmarc_fault,
        dns,
    );
    let others = match finding {
        Ok(finding) => return finding,
        Err(Absent::Unknown(failure)) => return Finding::unknown(CHECK, &failure),
        Err(Absent::Nothing(others)) => others,
    };
    // A domain above may speak for it (RFC 7489 §6.6.3). Which one is asked
    // for is a list of its own; we take the nearest that says something.
    let mut above = domain;
    while let Some((_, parent)) = above.split_once('.') {
        above = parent;
        if !above.contains('.') {
            break;
        }
        match one(
            CHECK,
            &format!("_dmarc.{above}"),
            "DMARC1",
            dmarc_fault,
            dns,
        ) {
            Ok(finding) => {
                let found = format!("that of {above}: {}", finding.found);
                return Finding { found, ..finding };
            }
            Err(Absent::Unknown(failure)) => return Finding::unknown(CHECK, &failure),
            Err(Absent::Nothing(_)) => {}
        }
    }
    Finding::new(CHECK, State::Missing, format!("no DMARC record{others}"))
        .hint("large receivers want one of whoever sends them much; make p= stricter later")
        .wanted(dmarc_record(domain))
}

pub fn mta_sts(domain: &str, dns: &mut Dns) -> Finding {
    const CHECK: &str = "mta-sts";
    let host = format!("mta-sts.{domain}");
    match one(
        CHECK,
        &format!("_mta-sts.{domain}"),
        "STSv1",
        mta_sts_fault,
        dns,
    ) {
        Ok(finding) if finding.state == State::Ok => match dns.addresses(&host) {
            Ok(addresses) if addresses.is_empty() => Finding {
                state: State::Wrong,
                ..finding
            }
            .hint(format!(
                "its policy is fetched from {host}, which has no address"
            )),
            Ok(_) => finding,
            Err(failure) => Finding::unknown(CHECK, &failure),
        },
        other => optional(CHECK, other),
    }
}

pub fn tls_rpt(domain: &str, dns: &mut Dns) -> Finding {
    let name = format!("_smtp._tls.{domain}");
    optional(
        "tls-rpt",
        one("tls-rpt", &name, "TLSRPTv1", tls_rpt_fault, dns),
    )
}

fn optional(check: &'static str, found: Result<Finding, Absent>) -> Finding {
    match found {
        Ok(finding) => finding,
        Err(Absent::Unknown(failure)) => Finding::unknown(check, &failure),
        Err(Absent::Nothing(_)) => Finding::new(check, State::Ok, "none, and none is needed"),
    }
}

enum Absent {
    /// With what is there instead, for people.
    Nothing(String),
    Unknown(Failure),
}

/// The one record of this version there may be.
fn one(
    check: &'static str,
    name: &str,
    version: &str,
    fault: fn(&str) -> Option<String>,
    dns: &mut Dns,
) -> Result<Finding, Absent> {
    let texts = dns.texts(name).map_err(Absent::Unknown)?;
    let (records, others): (Vec<_>, Vec<_>) = texts
        .into_iter()
        .partition(|text| has_version(text, version));
    match &records[..] {
        [] if others.is_empty() => Err(Absent::Nothing(String::new())),
        // Such as what a wildcard has for every name.
        [] => {
            let others = shown(&others.join(" | "));
            Err(Absent::Nothing(format!(" at {name}, but {others}")))
        }
        [text] => Ok(match fault(text) {
            Some(fault) => Finding::new(check, State::Wrong, shown(text)).hint(fault),
            None => Finding::new(check, State::Ok, shown(text)),
        }),
        several => {
            let found = format!("{} records: {}", several.len(), shown(&several.join(" | ")));
            let hint = format!("with more than one at {name}, none counts: keep one");
            Ok(Finding::new(check, State::Wrong, found).hint(hint))
        }
    }
}
