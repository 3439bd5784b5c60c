//! Checks the relay's own name: its addresses, and whether their names lead back to them.

use std::net::IpAddr;

use super::ask::Dns;
use super::finding::{DnsFinding, DnsState};
use crate::model::dns::{RecordType, ZoneRecord, reverse_name};
use crate::model::name::HostName;

/// Checks the server name and its addresses. Returns these too, none if they are unknown.
pub fn check(host: Option<&HostName>, dns: &mut Dns) -> (Vec<DnsFinding>, Vec<IpAddr>) {
    const CHECK: &str = "host";
    let alone = |finding| (vec![finding], Vec::new());
    let Some(host) = host.map(HostName::as_str) else {
        return alone(
            DnsFinding::new(CHECK, DnsState::Missing, "no server name is set")
                .hint("set it once: smtpcred set-settings --host smtp.example.com"),
        );
    };
    let addresses = match dns.addresses(host) {
        Ok(addresses) => addresses,
        Err(failure) => return alone(DnsFinding::unknown(CHECK, &failure)),
    };
    if addresses.is_empty() {
        return alone(
            DnsFinding::new(CHECK, DnsState::Missing, format!("{host} has no address")).hint(
                format!("publish the relay's: {host}. IN A …, and AAAA if it has one"),
            ),
        );
    }
    let listed: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    let found = format!("{host} is {}", listed.join(", "));
    let private: Vec<_> = addresses.iter().filter(|a| is_private(**a)).collect();
    let mut findings = vec![match private.first() {
        None => DnsFinding::new(CHECK, DnsState::Ok, found),
        Some(address) => DnsFinding::new(CHECK, DnsState::Warning, found).hint(format!(
            "{address} cannot be reached from elsewhere: is this resolver one of your own network?"
        )),
    }];
    for address in &addresses {
        findings.push(reverse(host, *address, dns));
    }
    (findings, addresses)
}

/// Checks the name of an address: receivers expect one, and that it has this address
/// (RFC 1912 §2.1).
fn reverse(host: &str, address: IpAddr, dns: &mut Dns) -> DnsFinding {
    const CHECK: &str = "reverse";
    let name = reverse_name(address);
    let wanted = ZoneRecord {
        name: name.clone(),
        kind: "PTR",
        value: host.to_owned(),
    };
    let hint =
        "the provider of the address publishes this, often from a field in its control panel";
    let names = match dns.names(&name, RecordType::Ptr) {
        Ok(names) => names,
        Err(failure) => return DnsFinding::unknown(CHECK, &failure),
    };
    if names.is_empty() {
        return DnsFinding::new(CHECK, DnsState::Missing, format!("{address} has no name"))
            .hint(hint)
            .wanted(wanted);
    }
    let listed = names.join(", ");
    let mut failed = None;
    // Receivers look up only the first ten (RFC 7208 §4.6.4).
    for name in names.iter().take(10) {
        match dns.addresses(name) {
            Ok(addresses) if addresses.contains(&address) => {
                return DnsFinding::new(CHECK, DnsState::Ok, format!("{address} is {name}"));
            }
            Ok(_) => {}
            Err(failure) => failed = Some(failure),
        }
    }
    if let Some(failure) = failed {
        return DnsFinding::unknown(CHECK, &failure);
    }
    let found = format!("{address} is {listed}, which does not lead back");
    DnsFinding::new(CHECK, DnsState::Wrong, found)
        .hint(hint)
        .wanted(wanted)
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64; // RFC 6598
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || shared
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
        }
    }
}
