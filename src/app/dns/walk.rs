//! Going through an SPF record and those that it leads to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::State;
use super::ask::Dns;
use super::shown;
use crate::model::dns::Failure;
use crate::model::dns::spf::{Mechanism, Qualifier, Spf, is_spf};

/// §4.6.4: terms that cost a look-up, and look-ups that find nothing.
pub const MOST_LOOKUPS: u32 = 10;
const MOST_VOID: u32 = 2;
/// The same section; also the names of an MX that are looked up.
const MOST_EXCHANGES: usize = 10;
/// Where we stop counting.
const ENOUGH: u32 = 40;

pub struct Walk<'a, 'b> {
    dns: &'a mut Dns<'b>,
    /// The relay's, and then those of nobody.
    addresses: Vec<IpAddr>,
    /// From the domain to the record that is looked at.
    path: Vec<String>,
    pub lookups: u32,
    void: u32,
    fault: Option<String>,
    failed: Option<Failure>,
    pub deprecated: bool,
    pub macros: bool,
    /// The term of the domain's own record that lets everybody send.
    pub open: Option<String>,
}

/// Nobody sends from these (RFC 6890), of both halves of both families: whatever
/// lets them pass lets everybody pass.
const NOBODY: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(0, 0, 0, 1)),
    IpAddr::V4(Ipv4Addr::new(255, 255, 255, 254)),
    IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 1)),
];

/// What each address met first.
pub type Verdicts = Vec<Option<Qualifier>>;

impl<'a, 'b> Walk<'a, 'b> {
    pub fn new(dns: &'a mut Dns<'b>, relay: &[IpAddr]) -> Self {
        Self {
            dns,
            addresses: relay.iter().copied().chain(NOBODY).collect(),
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
    /// What is wrong with the record, whoever sends.
    pub fn faults(&self) -> Option<(State, String)> {
        if let Some(fault) = &self.fault {
            return Some((State::Wrong, broken(fault)));
        }
        if self.lookups > MOST_LOOKUPS {
            let more = if self.lookups >= ENOUGH {
                " or more"
            } else {
                ""
            };
            let hint = format!(
                "it takes {}{more} look-ups; receivers stop at {MOST_LOOKUPS} and take it for \
                 broken: replace include:, a and mx by ip4: and ip6:, and take out what is not used",
                self.lookups
            );
            return Some((State::Wrong, hint));
        }
        if let Some(failure) = &self.failed {
            let hint = format!("a name in it could not be looked up: {failure}");
            return Some((State::Unknown, hint));
        }
        (self.void > MOST_VOID).then(|| {
            let hint = format!(
                "{} of its names do not exist, and receivers stop after {MOST_VOID}: take them out",
                self.void
            );
            (State::Wrong, hint)
        })
    }
}

impl Walk<'_, '_> {
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
                    self.lets_nobodies(i, term.qualifier, || named(&term.mechanism));
                }
            }
            if term.mechanism == Mechanism::All {
                break; // §5.1: nothing after it counts
            }
        }
        if let (Some(target), None) = (&spf.redirect, spf.all()) {
            let theirs = self.other(target);
            for (i, theirs) in theirs.into_iter().enumerate() {
                if let (None, Some(theirs)) = (verdicts[i], theirs) {
                    verdicts[i] = Some(theirs);
                    self.lets_nobodies(i, theirs, || format!("redirect={target}"));
                }
            }
        }
        self.path.pop();
        verdicts
    }

    /// Notes the term of the domain's own record that lets the world send.
    fn lets_nobodies(&mut self, i: usize, verdict: Qualifier, term: impl Fn() -> String) {
        let nobody = i + NOBODY.len() >= self.addresses.len();
        if nobody && verdict == Qualifier::Pass && self.path.len() == 1 {
            self.open.get_or_insert_with(term);
        }
    }

    /// Which of the addresses it matches.
    fn mechanism(&mut self, domain: &str, mechanism: &Mechanism) -> Vec<bool> {
        let none = vec![false; self.addresses.len()];
        match mechanism {
            Mechanism::All => vec![true; self.addresses.len()],
            Mechanism::Ip(network, prefix) => {
                let addresses = self.addresses.iter();
                addresses.map(|a| prefix.matches(*network, *a)).collect()
            }
            Mechanism::Include(target) => {
                let theirs = self.other(target);
                let passes = |verdict: Option<Qualifier>| verdict == Some(Qualifier::Pass);
                theirs.into_iter().map(passes).collect()
            }
            Mechanism::A(name, prefix) => {
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
            Mechanism::Mx(name, prefix) => {
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
            Mechanism::Ptr => {
                self.lookups += 1;
                self.deprecated = true;
                none
            }
            Mechanism::Exists(_) => {
                self.lookups += 1;
                self.macros = true;
                none
            }
        }
    }

    /// What the record of another domain says: that has to be there (§5.2, §6.1).
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

/// As records have it, so that it is found there.
fn named(mechanism: &Mechanism) -> String {
    let target = |name: &Option<String>| match name {
        Some(name) => format!(":{name}"),
        None => String::new(),
    };
    match mechanism {
        Mechanism::All => "+all".into(),
        Mechanism::Include(name) => format!("include:{name}"),
        Mechanism::A(name, _) => format!("a{}", target(name)),
        Mechanism::Mx(name, _) => format!("mx{}", target(name)),
        Mechanism::Ip(address @ IpAddr::V4(_), prefix) => format!("ip4:{address}/{}", prefix.four),
        Mechanism::Ip(address, prefix) => format!("ip6:{address}/{}", prefix.six),
        Mechanism::Ptr => "ptr".into(),
        Mechanism::Exists(name) => format!("exists:{name}"),
    }
}

pub fn broken(fault: &str) -> String {
    format!(
        "a part of it is broken, so none of it counts: {}",
        shown(fault)
    )
}
