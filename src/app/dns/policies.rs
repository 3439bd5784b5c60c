//! Checks what the domain publishes about its mail: DKIM, DMARC, MTA-STS, TLS-RPT.

use super::ask::Dns;
use super::finding::{DnsFinding, DnsState, shown};
use crate::model::dns::dkim::{self, DkimKey};
use crate::model::dns::tags::{dmarc_fault, has_version, mta_sts_fault, tls_rpt_fault};
use crate::model::dns::{DnsFailure, Selector, ZoneRecord};

/// The shortest RSA key that receivers accept and the shortest that is good, in bits
/// (RFC 8301 §3.2).
const LEAST_RSA: usize = 1024;
const GOOD_RSA: usize = 2048;

/// Checks the DKIM key of each selector.
pub fn dkim(domain: &str, selectors: &[Selector], dns: &mut Dns) -> Vec<DnsFinding> {
    if selectors.is_empty() {
        return vec![
            DnsFinding::new("dkim", DnsState::Warning, "not checked")
                .hint("name the selector with --selector; it is the s= of the relay's signatures"),
        ];
    }
    let one = |selector: &Selector| key(domain, selector.as_str(), dns);
    selectors.iter().map(one).collect()
}

fn key(domain: &str, selector: &str, dns: &mut Dns) -> DnsFinding {
    let name = format!("{selector}._domainkey.{domain}");
    let finding =
        |state, found: &str| DnsFinding::new("dkim", state, format!("{selector}: {found}"));
    let texts = match dns.texts(&name) {
        Ok(texts) => texts,
        Err(failure) => return DnsFinding::unknown("dkim", &failure),
    };
    let text = match &texts[..] {
        [] => {
            return finding(DnsState::Missing, "no key").hint(format!(
                "publish at {name} the key that the relay's signer (OpenDKIM, rspamd, Exim) has for {selector}"
            ));
        }
        [text] => text,
        _ => {
            return finding(DnsState::Wrong, &format!("{} records", texts.len()))
                .hint(format!("{name} must have exactly one TXT record"));
        }
    };
    let published = match dkim::parse(text) {
        Ok(published) => published,
        Err(fault) => return finding(DnsState::Wrong, &shown(text)).hint(fault),
    };
    let weak = "generate a new key of 2048 bits, under a new selector";
    match published.key {
        DkimKey::Revoked => finding(DnsState::Wrong, "revoked (empty p=)")
            .hint("mail that is signed with it counts as unsigned: sign with another selector"),
        DkimKey::Rsa { bits } if bits < LEAST_RSA => {
            finding(DnsState::Wrong, &format!("RSA, {bits} bits")).hint(format!(
                "receivers accept no key under {LEAST_RSA} bits: {weak}"
            ))
        }
        DkimKey::Rsa { bits } if bits < GOOD_RSA => {
            finding(DnsState::Warning, &format!("RSA, {bits} bits")).hint(weak)
        }
        DkimKey::Other(kind) => finding(DnsState::Warning, &format!("a key of type {kind}"))
            .hint("few receivers support this type, if any; all support rsa"),
        _ if published.testing => {
            finding(DnsState::Warning, "a key in test mode (t=y)").hint("remove t=y once it works")
        }
        DkimKey::Rsa { bits } => finding(DnsState::Ok, &format!("RSA, {bits} bits")),
        DkimKey::Ed25519 => finding(DnsState::Warning, "Ed25519")
            .hint("many receivers only support RSA: sign with both"),
    }
}

/// Returns a policy to begin with: it asks for reports and refuses nothing.
pub fn dmarc_record(domain: &str) -> ZoneRecord {
    let policy = format!("v=DMARC1; p=none; rua=mailto:postmaster@{domain}");
    ZoneRecord::text(format!("_dmarc.{domain}"), policy)
}

/// Checks the DMARC policy of a domain, or of the nearest domain above it.
pub fn dmarc(domain: &str, dns: &mut Dns) -> DnsFinding {
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
        Err(Absent::Unknown(failure)) => return DnsFinding::unknown(CHECK, &failure),
        Err(Absent::Nothing(others)) => others,
    };
    // A domain above may have the policy (RFC 7489 §6.6.3). Which one counts depends on
    // the Public Suffix List; the nearest that has one is close enough.
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
                return DnsFinding { found, ..finding };
            }
            Err(Absent::Unknown(failure)) => return DnsFinding::unknown(CHECK, &failure),
            Err(Absent::Nothing(_)) => {}
        }
    }
    DnsFinding::new(CHECK, DnsState::Missing, format!("no DMARC record{others}"))
        .hint("large receivers require one from bulk senders; make p= stricter later")
        .wanted(dmarc_record(domain))
}

/// Checks MTA-STS, which is optional.
pub fn mta_sts(domain: &str, dns: &mut Dns) -> DnsFinding {
    const CHECK: &str = "mta-sts";
    let host = format!("mta-sts.{domain}");
    match one(
        CHECK,
        &format!("_mta-sts.{domain}"),
        "STSv1",
        mta_sts_fault,
        dns,
    ) {
        Ok(finding) if finding.state == DnsState::Ok => match dns.addresses(&host) {
            Ok(addresses) if addresses.is_empty() => DnsFinding {
                state: DnsState::Wrong,
                ..finding
            }
            .hint(format!(
                "its policy is fetched from {host}, which has no address"
            )),
            Ok(_) => finding,
            Err(failure) => DnsFinding::unknown(CHECK, &failure),
        },
        other => optional(CHECK, other),
    }
}

/// Checks TLS-RPT, which is optional.
pub fn tls_rpt(domain: &str, dns: &mut Dns) -> DnsFinding {
    let name = format!("_smtp._tls.{domain}");
    optional(
        "tls-rpt",
        one("tls-rpt", &name, "TLSRPTv1", tls_rpt_fault, dns),
    )
}

fn optional(check: &'static str, found: Result<DnsFinding, Absent>) -> DnsFinding {
    match found {
        Ok(finding) => finding,
        Err(Absent::Unknown(failure)) => DnsFinding::unknown(check, &failure),
        Err(Absent::Nothing(_)) => DnsFinding::new(check, DnsState::Ok, "none; it is optional"),
    }
}

enum Absent {
    /// It is missing; with what was found instead, for people.
    Nothing(String),
    Unknown(DnsFailure),
}

/// Returns the finding about the single record of this version.
fn one(
    check: &'static str,
    name: &str,
    version: &str,
    fault: fn(&str) -> Option<String>,
    dns: &mut Dns,
) -> Result<DnsFinding, Absent> {
    let texts = dns.texts(name).map_err(Absent::Unknown)?;
    let (records, others): (Vec<_>, Vec<_>) = texts
        .into_iter()
        .partition(|text| has_version(text, version));
    match &records[..] {
        [] if others.is_empty() => Err(Absent::Nothing(String::new())),
        // A wildcard, for example, answers for every name.
        [] => {
            let others = shown(&others.join(" | "));
            Err(Absent::Nothing(format!(" at {name}, but {others}")))
        }
        [text] => Ok(match fault(text) {
            Some(fault) => DnsFinding::new(check, DnsState::Wrong, shown(text)).hint(fault),
            None => DnsFinding::new(check, DnsState::Ok, shown(text)),
        }),
        several => {
            let found = format!("{} records: {}", several.len(), shown(&several.join(" | ")));
            let hint =
                format!("receivers ignore all of them if {name} has more than one: keep one");
            Ok(DnsFinding::new(check, DnsState::Wrong, found).hint(hint))
        }
    }
}
