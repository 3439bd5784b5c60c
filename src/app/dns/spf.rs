//! Whether the domain's SPF record lets this relay send (RFC 7208 §4).
//!
//! Not as a receiver does it, who stops at the first match: the whole record is
//! looked at, because what is wrong behind that match is wrong for others.

use std::net::IpAddr;

use super::ask::Dns;
use super::{Finding, State, shown};
use crate::model::dns::spf::{Mechanism, Qualifier, Spf, amended, is_spf};
use crate::model::dns::{Failure, ZoneRecord};

/// §4.6.4: terms that cost a look-up, and look-ups that find nothing.
const MOST_LOOKUPS: u32 = 10;
const MOST_VOID: u32 = 2;
/// The same section; also the names of an MX that are looked up.
const MOST_EXCHANGES: usize = 10;
/// Where we stop counting.
const ENOUGH: u32 = 40;

/// The addresses mail is sent from, as far as they are known.
pub struct Relay<'a> {
    pub host: Option<&'a str>,
    pub addresses: &'a [IpAddr],
    /// They are not known, because the DNS did not say.
    pub failed: bool,
}

struct Walk<'a, 'b> {
    dns: &'a mut Dns<'b>,
    addresses: &'a [IpAddr],
    /// From the domain to the record that is looked at.
    path: Vec<String>,
    lookups: u32,
    void: u32,
    fault: Option<String>,
    failed: Option<Failure>,
    deprecated: bool,
    macros: bool,
}

/// What each address met first.
type Verdicts = Vec<Option<Qualifier>>;

const CHECK: &str = "spf";

pub fn check(domain: &str, relay: &Relay, dns: &mut Dns) -> Finding {
    let texts = match dns.texts(domain) {
        Ok(texts) => texts,
        Err(failure) => return Finding::unknown(CHECK, &failure),
    };
    let records: Vec<String> = texts.into_iter().filter(|t| is_spf(t)).collect();
    let term = relay.host.map(|host| format!("a:{host}"));
    let wanted = || ZoneRecord::text(domain, amended(&records, term.as_deref()));
    let record = match &records[..] {
        [] => {
            let hint = "says who may send mail of this domain; without it, much of it is refused";
            let finding = Finding::new(CHECK, State::Missing, "no SPF record").hint(hint);
            // Without the server it would say that nobody may.
            return match &term {
                Some(_) => finding.wanted(wanted()),
                None => finding,
            };
        }
        [record] => record,
        several => {
            let found = format!(
                "{} SPF records: {}",
                several.len(),
                shown(&several.join(" | "))
            );
            return Finding::new(CHECK, State::Wrong, found)
                .hint("with more than one, none counts: put this one in their place")
                .wanted(wanted());
        }
    };
    let spf: Spf = match record.parse() {
        Ok(spf) => spf,
        Err(fault) => return Finding::new(CHECK, State::Wrong, shown(record)).hint(broken(&fault)),
    };
    if spf.all() == Some(Qualifier::Pass) {
        return Finding::new(CHECK, State::Wrong, shown(record))
            .hint("+all lets the whole world send mail of this domain")
            .wanted(wanted());
    }
    let mut walk = Walk {
        dns,
        addresses: relay.addresses,
        path: Vec::new(),
        lookups: 0,
        void: 0,
        fault: None,
        failed: None,
        deprecated: false,
        macros: false,
    };
    let verdicts = walk.record(domain, &spf);
    let finding = |(state, hint): (State, String)| Finding {
        hint: Some(shown(&hint)),
        ..Finding::new(CHECK, state, shown(record))
    };
    if let Some(fault) = walk.faults() {
        return finding(fault);
    }
    let refused: Vec<_> = relay
        .addresses
        .iter()
        .zip(&verdicts)
        .filter(|(_, verdict)| **verdict != Some(Qualifier::Pass))
        .map(|(address, _)| *address)
        .collect();
    let names = listed(&refused);
    if !refused.is_empty() && walk.macros {
        let hint = "it has macros, which depend on each message: whether it lets this relay send";
        return finding((State::Warning, format!("{hint} cannot be told: {names}")));
    }
    if !refused.is_empty() {
        // Where there is room for one more look-up.
        let term = term.filter(|_| walk.lookups < MOST_LOOKUPS);
        let term = term.unwrap_or_else(|| as_addresses(&refused));
        let hint = format!("it does not let this relay send: {names}");
        return finding((State::Wrong, hint))
            .wanted(ZoneRecord::text(domain, amended(&records, Some(&term))));
    }
    if let Some(hint) = relay.not_known() {
        return finding(hint);
    }
    if walk.deprecated {
        let hint = "ptr is slow, and many receivers ignore it: name the hosts instead";
        return finding((State::Warning, hint.into()));
    }
    let open = match (spf.all(), &spf.redirect) {
        (None, None) => "without ~all or -all at its end it keeps nobody from sending",
        (Some(Qualifier::Neutral), _) => "?all keeps nobody from sending",
        _ => {
            let lookups = walk.lookups;
            let found = format!("{} ({lookups} of {MOST_LOOKUPS} look-ups)", shown(record));
            return Finding::new(CHECK, State::Ok, found);
        }
    };
    let closed = ZoneRecord::text(domain, amended(&records, None));
    finding((State::Warning, open.into())).wanted(closed)
}

fn broken(fault: &str) -> String {
    format!(
        "a part of it is broken, so none of it counts: {}",
        shown(fault)
    )
}

impl Relay<'_> {
    /// Why nothing can be said about its addresses.
    fn not_known(&self) -> Option<(State, String)> {
        let hint = "whether it lets this relay send cannot be told: see the check `host`";
        let state = if self.failed {
            State::Unknown
        } else {
            State::Warning
        };
        self.addresses.is_empty().then(|| (state, hint.to_owned()))
    }
}

impl Walk<'_, '_> {
    /// What is wrong with the record, whoever sends.
    fn faults(&self) -> Option<(State, String)> {
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

fn listed(addresses: &[IpAddr]) -> String {
    let all: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    all.join(", ")
}

fn as_addresses(addresses: &[IpAddr]) -> String {
    let all: Vec<_> = addresses
        .iter()
        .map(|address| match address {
            IpAddr::V4(four) => format!("ip4:{four}"),
            IpAddr::V6(six) => format!("ip6:{six}"),
        })
        .collect();
    all.join(" ")
}

impl Walk<'_, '_> {
    fn record(&mut self, domain: &str, spf: &Spf) -> Verdicts {
        let mut verdicts = vec![None; self.addresses.len()];
        self.path.push(domain.to_owned());
        for term in &spf.terms {
            if self.lookups >= ENOUGH || self.fault.is_some() {
                break;
            }
            let matched = self.mechanism(domain, &term.mechanism);
            for (verdict, matched) in verdicts.iter_mut().zip(matched) {
                if matched && verdict.is_none() {
                    *verdict = Some(term.qualifier);
                }
            }
            if term.mechanism == Mechanism::All {
                break; // §5.1: nothing after it counts
            }
        }
        if let (Some(target), None) = (&spf.redirect, spf.all()) {
            let theirs = self.other(target);
            for (verdict, theirs) in verdicts.iter_mut().zip(theirs) {
                *verdict = verdict.or(theirs);
            }
        }
        self.path.pop();
        verdicts
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
