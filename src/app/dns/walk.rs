//! Evaluates an SPF record and those that it leads to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ask::Dns;
use super::finding::DnsState;
use super::finding::shown;
use crate::model::dns::DnsFailure;
use crate::model::dns::spf::{Qualifier, Spf, SpfMechanism, is_spf};

/// The most terms that need a look-up, and the most look-ups that find nothing (§4.6.4).
pub const MOST_LOOKUPS: u32 = 10;
const MOST_VOID: u32 = 2;
/// The most hosts of an MX that are looked up (same section).
const MOST_EXCHANGES: usize = 10;
/// After this many look-ups the record is not followed further.
const ENOUGH: u32 = 40;

/// The state of an evaluation.
pub struct Walk<'a, 'b> {
    dns: &'a mut Dns<'b>,
    /// The relay's, then [`UNUSED`].
    addresses: Vec<IpAddr>,
    /// The names from the domain to the current record.
    path: Vec<String>,
    /// Terms that needed a look-up.
    pub lookups: u32,
    void: u32,
    fault: Option<String>,
    failed: Option<DnsFailure>,
    /// It has a `ptr`.
    pub deprecated: bool,
    /// It has macros or `exists`, which depend on each message.
    pub macros: bool,
    /// The term of the domain's own record that lets every address send.
    pub open: Option<String>,
}

/// Addresses from which no mail comes (RFC 6890), from both halves of both families: a term
/// that matches them matches every address.
const UNUSED: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(0, 0, 0, 1)),
    IpAddr::V4(Ipv4Addr::new(255, 255, 255, 254)),
    IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 1)),
];

/// The qualifier of the first term that matches, for each address.
pub type Verdicts = Vec<Option<Qualifier>>;

impl<'a, 'b> Walk<'a, 'b> {
    /// Begins an evaluation for these addresses of the relay.
    pub fn new(dns: &'a mut Dns<'b>, relay: &[IpAddr]) -> Self {
        Self {
            dns,
            addresses: relay.iter().copied().chain(UNUSED).collect(),
            path: Vec::new(),
            lookups: 0,
            void: 0,
            fault: None,
            failed: None,
            deprecated: false,
            macros: false,
            open: None,
        }
    }
}

impl Walk<'_, '_> {
    /// Returns what is wrong with the record regardless of the sender, if anything.
    pub fn faults(&self) -> Option<(DnsState, String)> {
        if let Some(fault) = &self.fault {
            return Some((DnsState::Wrong, broken(fault)));
        }
        if self.lookups > MOST_LOOKUPS {
            let more = if self.lookups >= ENOUGH {
                " or more"
            } else {
                ""
            };
            let hint = format!(
                "it needs {}{more} look-ups; receivers stop at {MOST_LOOKUPS} and treat it as \
                 broken: replace include:, a and mx with ip4: and ip6:, and remove unused terms",
                self.lookups
            );
            return Some((DnsState::Wrong, hint));
        }
        if let Some(failure) = &self.failed {
            let hint = format!("a name in it could not be looked up: {failure}");
            return Some((DnsState::Unknown, hint));
        }
        (self.void > MOST_VOID).then(|| {
            let hint = format!(
                "{} of its names do not exist, and receivers stop after {MOST_VOID}: remove them",
                self.void
            );
            (DnsState::Wrong, hint)
        })
    }
}

impl Walk<'_, '_> {
    /// Evaluates a record of this domain for all addresses.
    pub fn record(&mut self, domain: &str, spf: &Spf) -> Verdicts {
        let mut verdicts = vec![None; self.addresses.len()];
        self.path.push(domain.to_owned());
        for term in &spf.terms {
            if self.lookups >= ENOUGH || self.fault.is_some() {
                break;
            }
            let matched = self.mechanism(domain, &term.mechanism);
            for (i, matched) in matched.into_iter().enumerate() {
                if matched && verdicts[i].is_none() {
                    verdicts[i] = Some(term.qualifier);
                    self.note_open_term(i, term.qualifier, || named(&term.mechanism));
                }
            }
            if term.mechanism == SpfMechanism::All {
                break; // §5.1: nothing after it counts
            }
        }
        if let (Some(target), None) = (&spf.redirect, spf.all()) {
            let theirs = self.other(target);
            for (i, theirs) in theirs.into_iter().enumerate() {
                if let (None, Some(theirs)) = (verdicts[i], theirs) {
                    verdicts[i] = Some(theirs);
                    self.note_open_term(i, theirs, || format!("redirect={target}"));
                }
            }
        }
        self.path.pop();
        verdicts
    }

    /// Notes the term of the domain's own record that lets every address send.
    fn note_open_term(&mut self, i: usize, verdict: Qualifier, term: impl Fn() -> String) {
        let is_unused = i + UNUSED.len() >= self.addresses.len();
        if is_unused && verdict == Qualifier::Pass && self.path.len() == 1 {
            self.open.get_or_insert_with(term);
        }
    }

    /// Returns for each address whether the mechanism matches.
    fn mechanism(&mut self, domain: &str, mechanism: &SpfMechanism) -> Vec<bool> {
        let none = vec![false; self.addresses.len()];
        match mechanism {
            SpfMechanism::All => vec![true; self.addresses.len()],
            SpfMechanism::Ip(network, prefix) => {
                let addresses = self.addresses.iter();
                addresses.map(|a| prefix.matches(*network, *a)).collect()
            }
            SpfMechanism::Include(target) => {
                let theirs = self.other(target);
                let passes = |verdict: Option<Qualifier>| verdict == Some(Qualifier::Pass);
                theirs.into_iter().map(passes).collect()
            }
            SpfMechanism::A(name, prefix) => {
                self.lookups += 1;
                let name = name.as_deref().unwrap_or(domain);
                if self.has_macros(name) {
                    return none;
                }
                let found = self.addresses_of(name);
                if found.is_empty() {
                    self.void += 1;
                }
                let matches = |a: &IpAddr| found.iter().any(|f| prefix.matches(*f, *a));
                self.addresses.iter().map(matches).collect()
            }
            SpfMechanism::Mx(name, prefix) => {
                self.lookups += 1;
                let name = name.as_deref().unwrap_or(domain);
                if self.has_macros(name) {
                    return none;
                }
                let hosts = match self.dns.exchanges(name) {
                    Ok(hosts) => hosts,
                    Err(failure) => {
                        self.failed = Some(failure);
                        return none;
                    }
                };
                if hosts.is_empty() {
                    self.void += 1;
                }
                if hosts.len() > MOST_EXCHANGES {
                    self.fault = Some(format!(
                        "{name} has more than {MOST_EXCHANGES} MX hosts, which mx does not allow"
                    ));
                    return none;
                }
                let mut found = Vec::new();
                for (_, host) in hosts {
                    found.extend(self.addresses_of(&host));
                }
                let matches = |a: &IpAddr| found.iter().any(|f| prefix.matches(*f, *a));
                self.addresses.iter().map(matches).collect()
            }
            SpfMechanism::Ptr => {
                self.lookups += 1;
                self.deprecated = true;
                none
            }
            SpfMechanism::Exists(_) => {
                self.lookups += 1;
                self.macros = true;
                none
            }
        }
    }

    /// Evaluates the record of another domain, which must exist (§5.2, §6.1).
    fn other(&mut self, target: &str) -> Verdicts {
        let nothing = vec![None; self.addresses.len()];
        self.lookups += 1;
        if self.lookups >= ENOUGH || self.has_macros(target) {
            return nothing;
        }
        if self.path.iter().any(|above| above == target) {
            self.fault = Some(format!("{target} leads back to itself"));
            return nothing;
        }
        let texts = match self.dns.texts(target) {
            Ok(texts) => texts,
            Err(failure) => {
                self.failed = Some(failure);
                return nothing;
            }
        };
        let records: Vec<_> = texts.into_iter().filter(|t| is_spf(t)).collect();
        let fault = match &records[..] {
            [record] => match record.parse::<Spf>() {
                Ok(spf) => return self.record(target, &spf),
                Err(fault) => format!("in {target}: {fault}"),
            },
            [] => format!("{target} has no SPF record"),
            _ => format!("{target} has more than one SPF record"),
        };
        self.fault.get_or_insert(fault);
        nothing
    }

    fn addresses_of(&mut self, name: &str) -> Vec<IpAddr> {
        match self.dns.addresses(name) {
            Ok(addresses) => addresses,
            Err(failure) => {
                self.failed = Some(failure);
                Vec::new()
            }
        }
    }

    fn has_macros(&mut self, name: &str) -> bool {
        let has = name.contains('%');
        self.macros |= has;
        has
    }
}

/// Returns the term as it is written in the record.
fn named(mechanism: &SpfMechanism) -> String {
    let target = |name: &Option<String>| match name {
        Some(name) => format!(":{name}"),
        None => String::new(),
    };
    match mechanism {
        SpfMechanism::All => "+all".into(),
        SpfMechanism::Include(name) => format!("include:{name}"),
        SpfMechanism::A(name, _) => format!("a{}", target(name)),
        SpfMechanism::Mx(name, _) => format!("mx{}", target(name)),
        SpfMechanism::Ip(address @ IpAddr::V4(_), prefix) => {
            format!("ip4:{address}/{}", prefix.four)
        }
        SpfMechanism::Ip(address, prefix) => format!("ip6:{address}/{}", prefix.six),
        SpfMechanism::Ptr => "ptr".into(),
        SpfMechanism::Exists(name) => format!("exists:{name}"),
    }
}

/// Describes a fault that makes receivers ignore the whole record.
pub fn broken(fault: &str) -> String {
    format!(
        "a part of it is broken, so receivers ignore all of it: {}",
        shown(fault)
    )
}
