//! Checks whether the domain's SPF record lets this relay send (RFC 7208 §4).
//!
//! A receiver stops at the first term that matches. This check evaluates the whole record,
//! because a fault behind that term affects other senders.

use std::net::IpAddr;

use super::ask::Dns;
use super::finding::{DnsFinding, DnsState, shown};
use super::walk::{MOST_LOOKUPS, Walk, broken};
use crate::model::dns::ZoneRecord;
use crate::model::dns::spf::{Qualifier, Spf, amended, is_spf};

/// The addresses that mail is sent from, as far as they are known.
pub struct SendingHost<'a> {
    /// The server's name, if it is set.
    pub host: Option<&'a str>,
    /// The server's addresses.
    pub addresses: &'a [IpAddr],
    /// The addresses are not known, because the DNS did not answer.
    pub failed: bool,
}

const CHECK: &str = "spf";

/// Returns what is right or wrong with the SPF record of a domain.
pub fn check(domain: &str, relay: &SendingHost, dns: &mut Dns) -> DnsFinding {
    let texts = match dns.texts(domain) {
        Ok(texts) => texts,
        Err(failure) => return DnsFinding::unknown(CHECK, &failure),
    };
    let records: Vec<String> = texts.into_iter().filter(|t| is_spf(t)).collect();
    let term = relay.host.map(|host| format!("a:{host}"));
    let amend = |finding: DnsFinding, term: Option<&str>| {
        let text = amended(&records, term);
        match text.map(|text| ZoneRecord::text(domain, text)) {
            Some(record) => finding.wanted(record),
            None => finding,
        }
    };
    let [record] = &records[..] else {
        return amend(not_one(&records), term.as_deref());
    };
    let spf: Spf = match record.parse() {
        Ok(spf) => spf,
        Err(fault) => {
            return DnsFinding::new(CHECK, DnsState::Wrong, shown(record)).hint(broken(&fault));
        }
    };
    let result = if spf.all() == Some(Qualifier::Pass) {
        // Its other terms make no difference.
        let hint = "+all lets the whole world send mail of this domain";
        let suggestion = term.map_or(Suggestion::Closed, Suggestion::With);
        Ruling::new(DnsState::Wrong, hint).suggest(suggestion)
    } else {
        let mut walk = Walk::new(dns, relay.addresses);
        let verdicts = walk.record(domain, &spf);
        let facts = SpfFacts {
            spf: &spf,
            relay,
            walk: &walk,
            verdicts: &verdicts,
        };
        let Some(ruling) = RULES.iter().find_map(|rule| rule(&facts)) else {
            let lookups = walk.lookups;
            let found = format!("{} ({lookups} of {MOST_LOOKUPS} look-ups)", shown(record));
            return DnsFinding::new(CHECK, DnsState::Ok, found);
        };
        ruling
    };
    let finding = DnsFinding {
        hint: Some(shown(&result.hint)),
        ..DnsFinding::new(CHECK, result.state, shown(record))
    };
    match result.suggestion {
        Suggestion::None => finding,
        Suggestion::Closed => amend(finding, None),
        Suggestion::With(term) => amend(finding, Some(&term)),
    }
}

/// Judges a domain that has no record, or several.
fn not_one(records: &[String]) -> DnsFinding {
    if records.is_empty() {
        let hint = "it lists the servers that may send mail of this domain; receivers refuse much of the mail without it";
        return DnsFinding::new(CHECK, DnsState::Missing, "no SPF record").hint(hint);
    }
    let found = format!(
        "{} SPF records: {}",
        records.len(),
        shown(&records.join(" | "))
    );
    DnsFinding::new(CHECK, DnsState::Wrong, found)
        .hint("receivers ignore all of them if there is more than one: replace them with one")
}

/// What is known about a record after its evaluation.
struct SpfFacts<'a, 'w, 'd> {
    spf: &'a Spf,
    relay: &'a SendingHost<'a>,
    walk: &'a Walk<'w, 'd>,
    /// Those of the relay's addresses first, then those of unused addresses.
    verdicts: &'a [Option<Qualifier>],
}

/// The record that is suggested in place of the one that was found.
enum Suggestion {
    None,
    /// One with the same terms, and an end that excludes other senders.
    Closed,
    /// One with this term added.
    With(String),
}

/// What a rule found wrong.
struct Ruling {
    state: DnsState,
    hint: String,
    suggestion: Suggestion,
}

impl Ruling {
    fn new(state: DnsState, hint: impl Into<String>) -> Self {
        Self {
            state,
            hint: hint.into(),
            suggestion: Suggestion::None,
        }
    }

    fn suggest(mut self, suggestion: Suggestion) -> Self {
        self.suggestion = suggestion;
        self
    }
}

type Rule = fn(&SpfFacts) -> Option<Ruling>;

/// The rules in order of importance: the first that applies is reported.
const RULES: [Rule; 7] = [
    is_broken,
    lets_every_address_send,
    depends_on_the_message,
    refuses_the_relay,
    relay_is_not_known,
    uses_ptr,
    ends_open,
];

fn is_broken(facts: &SpfFacts) -> Option<Ruling> {
    let (state, hint) = facts.walk.faults()?;
    Some(Ruling::new(state, hint))
}

fn lets_every_address_send(facts: &SpfFacts) -> Option<Ruling> {
    let term = facts.walk.open.as_ref()?;
    let hint = format!("{term} lets the whole world send mail of this domain: remove it");
    Some(Ruling::new(DnsState::Wrong, hint))
}

fn depends_on_the_message(facts: &SpfFacts) -> Option<Ruling> {
    let refused = facts.refused();
    (facts.walk.macros && !refused.is_empty()).then(|| {
        let names = listed(&refused);
        let hint = "it has macros, which depend on each message, so it is not known whether it lets this relay send";
        Ruling::new(DnsState::Warning, format!("{hint}: {names}"))
    })
}

fn refuses_the_relay(facts: &SpfFacts) -> Option<Ruling> {
    let refused = facts.refused();
    (!refused.is_empty()).then(|| {
        // A host needs one more look-up, addresses need none.
        let room = facts.walk.lookups < MOST_LOOKUPS;
        let term = facts.relay.host.filter(|_| room);
        let term = term.map_or_else(|| as_addresses(&refused), |host| format!("a:{host}"));
        let hint = format!("it does not let this relay send: {}", listed(&refused));
        Ruling::new(DnsState::Wrong, hint).suggest(Suggestion::With(term))
    })
}

fn relay_is_not_known(facts: &SpfFacts) -> Option<Ruling> {
    facts.relay.addresses.is_empty().then(|| {
        let state = if facts.relay.failed {
            DnsState::Unknown
        } else {
            DnsState::Warning
        };
        let hint = "it is not known whether it lets this relay send: see the check `host`";
        Ruling::new(state, hint)
    })
}

fn uses_ptr(facts: &SpfFacts) -> Option<Ruling> {
    facts.walk.deprecated.then(|| {
        let hint = "ptr is slow, and many receivers ignore it: name the hosts instead";
        Ruling::new(DnsState::Warning, hint)
    })
}

fn ends_open(facts: &SpfFacts) -> Option<Ruling> {
    let spf = facts.spf;
    let keeps_out = |one: &Option<Qualifier>| {
        matches!(one, Some(Qualifier::Fail | Qualifier::SoftFail))
            // The result depends on each message.
            || (one.is_none() && facts.walk.macros && spf.redirect.is_some())
    };
    let others = &facts.verdicts[facts.relay.addresses.len()..];
    if others.iter().all(keeps_out) {
        return None;
    }
    let warning = |hint: &str| Ruling::new(DnsState::Warning, hint);
    Some(match (spf.all(), &spf.redirect) {
        (None, None) => warning("without ~all or -all at its end it excludes no sender")
            .suggest(Suggestion::Closed),
        (None, Some(target)) => Ruling::new(
            DnsState::Warning,
            format!(
                "it redirects to {target}, which has no ~all or -all at its end and excludes no sender"
            ),
        ),
        (Some(Qualifier::Neutral), _) => {
            warning("?all excludes no sender").suggest(Suggestion::Closed)
        }
        _ => {
            warning("a term with ? before its end matches every address, so it excludes no sender")
        }
    })
}

impl SpfFacts<'_, '_, '_> {
    /// Returns the relay's addresses that the record does not let send.
    fn refused(&self) -> Vec<IpAddr> {
        let verdicts = self.relay.addresses.iter().zip(self.verdicts);
        verdicts
            .filter(|(_, verdict)| **verdict != Some(Qualifier::Pass))
            .map(|(address, _)| *address)
            .collect()
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
