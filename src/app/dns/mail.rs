//! Checks where mail to the domain goes: bounces must be deliverable.

use std::net::IpAddr;

use super::ask::Dns;
use super::finding::{DnsFinding, DnsState};
use crate::model::dns::{DnsFailure, RecordType};

const CHECK: &str = "mx";

/// Checks the MX records of a domain.
pub fn check(domain: &str, dns: &mut Dns) -> DnsFinding {
    match looked_up(domain, dns) {
        Ok(finding) => finding,
        Err(failure) => DnsFinding::unknown(CHECK, &failure),
    }
}

fn looked_up(domain: &str, dns: &mut Dns) -> Result<DnsFinding, DnsFailure> {
    let exchanges = dns.exchanges(domain)?;
    let nowhere = "bounces and replies cannot be delivered, and some receivers refuse such mail";
    if exchanges.is_empty() {
        let addresses = dns.addresses(domain)?;
        return Ok(match addresses.first() {
            // RFC 5321 §5.1
            Some(address) => DnsFinding::new(
                CHECK,
                DnsState::Warning,
                format!("no MX: mail to {domain} goes to its address {address}"),
            )
            .hint(
                "if that is intended, publish an MX for it; else publish the MX of its mail server",
            ),
            None => DnsFinding::new(CHECK, DnsState::Missing, "no MX, and no address")
                .hint(format!("{nowhere}: publish the MX of its mail server")),
        });
    }
    // RFC 7505
    if exchanges.iter().any(|(_, host)| host.is_empty()) {
        let finding = if exchanges.len() == 1 {
            DnsFinding::new(
                CHECK,
                DnsState::Warning,
                "the domain accepts no mail (null MX)",
            )
            .hint(nowhere)
        } else {
            DnsFinding::new(CHECK, DnsState::Wrong, "a null MX beside others")
                .hint("a null MX must be the only one (RFC 7505): remove it, or all the others")
        };
        return Ok(finding);
    }
    let listed: Vec<_> = exchanges
        .iter()
        .map(|(preference, host)| format!("{preference} {host}"))
        .collect();
    let found = super::shown(&listed.join(", "));
    for (_, host) in exchanges.iter().take(20) {
        if let Some(fault) = fault(host, dns)? {
            return Ok(DnsFinding::new(CHECK, DnsState::Wrong, found).hint(fault));
        }
    }
    Ok(DnsFinding::new(CHECK, DnsState::Ok, found))
}

fn fault(host: &str, dns: &mut Dns) -> Result<Option<String>, DnsFailure> {
    if host.parse::<IpAddr>().is_ok() {
        return Ok(Some(format!(
            "{host} is an address: an MX must name a host"
        )));
    }
    // RFC 2181 §10.3
    if let Some(other) = dns.names(host, RecordType::Cname)?.first() {
        return Ok(Some(format!(
            "{host} is an alias of {other} (CNAME), which an MX must not name: name {other} instead"
        )));
    }
    let there = !dns.addresses(host)?.is_empty();
    Ok((!there).then(|| format!("{host} has no address")))
}
