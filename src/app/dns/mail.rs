//! Where mail to the domain goes: bounces have to come back.

use std::net::IpAddr;

use super::ask::Dns;
use super::{Finding, State};
use crate::model::dns::{Failure, Kind};

const CHECK: &str = "mx";

pub fn check(domain: &str, dns: &mut Dns) -> Finding {
    match looked_up(domain, dns) {
        Ok(finding) => finding,
        Err(failure) => Finding::unknown(CHECK, &failure),
    }
}

fn looked_up(domain: &str, dns: &mut Dns) -> Result<Finding, Failure> {
    let exchanges = dns.exchanges(domain)?;
    let nowhere = "bounces and answers cannot come back, and some receivers refuse such mail";
    if exchanges.is_empty() {
        let addresses = dns.addresses(domain)?;
        return Ok(match addresses.first() {
            // RFC 5321 §5.1
            Some(address) => Finding::new(
                CHECK,
                State::Warning,
                format!("no MX: mail to {domain} goes to its address {address}"),
            )
            .hint("if that is meant, say it with an MX; else publish the MX of its mail server"),
            None => Finding::new(CHECK, State::Missing, "no MX, and no address").hint(format!(
                "{nowhere}: publish the MX of whoever takes its mail"
            )),
        });
    }
    // RFC 7505
    if exchanges.iter().any(|(_, host)| host.is_empty()) {
        let finding = if exchanges.len() == 1 {
            Finding::new(CHECK, State::Warning, "the domain takes no mail (null MX)").hint(nowhere)
        } else {
            Finding::new(CHECK, State::Wrong, "a null MX beside others")
                .hint("a null MX stands alone (RFC 7505): take it out, or all the others")
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
            return Ok(Finding::new(CHECK, State::Wrong, found).hint(fault));
        }
    }
    Ok(Finding::new(CHECK, State::Ok, found))
}

fn fault(host: &str, dns: &mut Dns) -> Result<Option<String>, Failure> {
    if host.parse::<IpAddr>().is_ok() {
        return Ok(Some(format!(
            "{host} is an address: an MX has to be a name"
        )));
    }
    // RFC 2181 §10.3
    if let Some(other) = dns.names(host, Kind::Cname)?.first() {
        return Ok(Some(format!(
            "{host} is another name for {other} (CNAME), which an MX must not be: put {other} there"
        )));
    }
    let there = !dns.addresses(host)?.is_empty();
    Ok((!there).then(|| format!("{host} has no address")))
}
