//! Whether the domain's SPF record lets this relay send (RFC 7208 §4).
//!
//! Not as a receiver does it, who stops at the first match: the whole record is
//! looked at, because what is wrong behind that match is wrong for others.

use std::net::IpAddr;

use super::ask::Dns;
use super::walk::{MOST_LOOKUPS, Walk, broken};
use super::{Finding, State, shown};
use crate::model::dns::ZoneRecord;
use crate::model::dns::spf::{Qualifier, Spf, amended, is_spf};

/// The addresses mail is sent from, as far as they are known.
pub struct Relay<'a> {
    pub host: Option<&'a str>,
    pub addresses: &'a [IpAddr],
    /// They are not known, because the DNS did not say.
    pub failed: bool,
}

const CHECK: &str = "spf";

pub fn check(domain: &str, relay: &Relay, dns: &mut Dns) -> Finding {
    let texts = match dns.texts(domain) {
        Ok(texts) => texts,
        Err(failure) => return Finding::unknown(CHECK, &failure),
    };
    let records: Vec<String> = texts.into_iter().filter(|t| is_spf(t)).collect();
    let term = relay.host.map(|host| format!("a:{host}"));
    let wanted = |finding: Finding, term: Option<&str>| {
        let text = amended(&records, term);
        match text.map(|text| ZoneRecord::text(domain, text)) {
            Some(record) => finding.wanted(record),
            None => finding,
        }
    };
    let record = match &records[..] {
        [] => {
            let hint = "says who may send mail of this domain; without it, much of it is refused";
            let finding = Finding::new(CHECK, State::Missing, "no SPF record").hint(hint);
            return wanted(finding, term.as_deref());
        }
        [record] => record,
        several => {
            let found = format!(
                "{} SPF records: {}",
                several.len(),
                shown(&several.join(" | "))
            );
            let finding = Finding::new(CHECK, State::Wrong, found)
                .hint("with more than one, none counts: put one in their place");
            return wanted(finding, term.as_deref());
        }
    };
    let spf: Spf = match record.parse() {
        Ok(spf) => spf,
        Err(fault) => return Finding::new(CHECK, State::Wrong, shown(record)).hint(broken(&fault)),
    };
    if spf.all() == Some(Qualifier::Pass) {
        let finding = Finding::new(CHECK, State::Wrong, shown(record))
            .hint("+all lets the whole world send mail of this domain");
        return wanted(finding, term.as_deref());
    }
    let mut walk = Walk::new(dns, relay.addresses);
    let verdicts = walk.record(domain, &spf);
    let finding = |(state, hint): (State, String)| Finding {
        hint: Some(shown(&hint)),
        ..Finding::new(CHECK, state, shown(record))
    };
    if let Some(fault) = walk.faults() {
        return finding(fault);
    }
    if let Some(term) = &walk.open {
        let hint = format!("{term} lets the whole world send mail of this domain: take it out");
        return finding((State::Wrong, hint));
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
        return wanted(finding((State::Wrong, hint)), Some(&term));
    }
    if let Some(hint) = relay.not_known() {
        return finding(hint);
    }
    if walk.deprecated {
        let hint = "ptr is slow, and many receivers ignore it: name the hosts instead";
        return finding((State::Warning, hint.into()));
    }
    let keeps = |one: &Option<Qualifier>| {
        matches!(one, Some(Qualifier::Fail | Qualifier::SoftFail))
            // It depends on each message.
            || (one.is_none() && walk.macros && spf.redirect.is_some())
    };
    if verdicts.iter().skip(relay.addresses.len()).all(keeps) {
        let lookups = walk.lookups;
        let found = format!("{} ({lookups} of {MOST_LOOKUPS} look-ups)", shown(record));
        return Finding::new(CHECK, State::Ok, found);
    }
    let warning = |hint: String| finding((State::Warning, hint));
    let close = |hint: &str| wanted(warning(hint.to_owned()), None);
    match (spf.all(), &spf.redirect) {
        (None, None) => close("without ~all or -all at its end it keeps nobody from sending"),
        (None, Some(target)) => warning(format!(
            "what it leads to, {target}, has no ~all or -all at its end: it keeps nobody from sending"
        )),
        (Some(Qualifier::Neutral), _) => close("?all keeps nobody from sending"),
        _ => warning(
            "a term with ? before its end matches everybody: it keeps nobody from sending".into(),
        ),
    }
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
