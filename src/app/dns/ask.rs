//! Asks the DNS about each name and type once.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::model::dns::{DnsAnswer, DnsClient, DnsFailure, RecordType, RecordValue};

/// A client that remembers the answers of one check.
pub struct Dns<'a> {
    client: &'a mut dyn DnsClient,
    known: HashMap<(String, RecordType), DnsAnswer>,
    /// How many questions are left: the records of a hostile zone can lead anywhere.
    left: u32,
    /// The answer for the root's name, which always exists; `None` if not yet queried.
    root: Option<DnsAnswer>,
}

/// What a server without a connection answers, such as that of a network of its own.
const DENIES_ALL: &str = "the name server says that not even the root of the DNS exists, as one \
    does that has no connection to the internet";

/// The most questions of one check.
const MOST: u32 = 300;

impl<'a> Dns<'a> {
    /// Returns a client without answers.
    pub fn new(client: &'a mut dyn DnsClient) -> Self {
        Self {
            client,
            known: HashMap::new(),
            left: MOST,
            root: None,
        }
    }

    fn root(&mut self) -> &DnsAnswer {
        self.root
            .get_or_insert_with(|| self.client.ask(".", RecordType::Soa))
    }

    /// Returns whether no question was answered, not even one about the root.
    pub fn is_cut_off(&mut self) -> bool {
        let fails = |answer: &DnsAnswer| matches!(answer, DnsAnswer::Failed(_));
        self.known.values().all(fails) && fails(self.root())
    }

    /// Returns what the DNS says about a name, in any case.
    pub fn ask(&mut self, name: &str, kind: RecordType) -> DnsAnswer {
        let key = (name.to_ascii_lowercase(), kind);
        if let Some(answer) = self.known.get(&key) {
            return answer.clone();
        }
        if self.left == 0 {
            let reason = "it leads to too many other names".to_owned();
            return DnsAnswer::Failed(DnsFailure::CannotTell(reason));
        }
        self.left -= 1;
        let mut answer = self.client.ask(&key.0, kind);
        // Otherwise a network that is down looks like a domain that was never registered.
        if answer == DnsAnswer::NoSuchName && *self.root() == DnsAnswer::NoSuchName {
            answer = DnsAnswer::Failed(DnsFailure::NoAnswer(DENIES_ALL.to_owned()));
        }
        self.known.insert(key, answer.clone());
        answer
    }

    /// Returns the records of a name, none if it has none.
    pub fn values(&mut self, name: &str, kind: RecordType) -> Result<Vec<RecordValue>, DnsFailure> {
        match self.ask(name, kind) {
            DnsAnswer::Found(values) => Ok(values),
            DnsAnswer::NoData | DnsAnswer::NoSuchName => Ok(Vec::new()),
            DnsAnswer::Failed(failure) => Err(failure),
        }
    }

    /// Returns the TXT records of a name.
    pub fn texts(&mut self, name: &str) -> Result<Vec<String>, DnsFailure> {
        let values = self.values(name, RecordType::Txt)?;
        let texts = values.into_iter().filter_map(|value| match value {
            RecordValue::Text(text) => Some(text),
            _ => None,
        });
        Ok(texts.collect())
    }

    /// Returns the names that records of this type point to.
    pub fn names(&mut self, name: &str, kind: RecordType) -> Result<Vec<String>, DnsFailure> {
        let values = self.values(name, kind)?;
        let names = values.into_iter().filter_map(|value| match value {
            RecordValue::Name(name) => Some(name),
            _ => None,
        });
        Ok(names.collect())
    }

    /// Returns the IPv4 and IPv6 addresses of a name, sorted.
    pub fn addresses(&mut self, name: &str) -> Result<Vec<IpAddr>, DnsFailure> {
        let mut values = self.values(name, RecordType::A)?;
        values.extend(self.values(name, RecordType::Aaaa)?);
        let addresses = values.into_iter().filter_map(|value| match value {
            RecordValue::Address(address) => Some(address),
            _ => None,
        });
        let mut addresses: Vec<_> = addresses.collect();
        addresses.sort_unstable();
        addresses.dedup();
        Ok(addresses)
    }

    /// Returns the preference and host of each MX record, the preferred one first.
    pub fn exchanges(&mut self, name: &str) -> Result<Vec<(u16, String)>, DnsFailure> {
        let values = self.values(name, RecordType::Mx)?;
        let exchanges = values.into_iter().filter_map(|value| match value {
            RecordValue::Exchange { preference, host } => Some((preference, host)),
            _ => None,
        });
        let mut exchanges: Vec<_> = exchanges.collect();
        exchanges.sort_unstable();
        Ok(exchanges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers each question about a name in the same way.
    struct Fixed(Vec<(&'static str, DnsAnswer)>);

    impl DnsClient for Fixed {
        fn ask(&mut self, name: &str, _: RecordType) -> DnsAnswer {
            let found = self.0.iter().find(|(known, _)| *known == name);
            found.map_or(DnsAnswer::NoSuchName, |(_, answer)| answer.clone())
        }
    }

    const NAME: &str = "example.com";

    fn refused() -> DnsAnswer {
        DnsAnswer::Failed(DnsFailure::CannotTell("it refuses".into()))
    }

    fn there() -> DnsAnswer {
        DnsAnswer::Found(vec![RecordValue::Other])
    }

    #[test]
    fn a_missing_name_is_not_a_missing_network() {
        for root in [there(), DnsAnswer::NoData, refused()] {
            let mut client = Fixed(vec![(".", root)]);
            let answer = Dns::new(&mut client).ask(NAME, RecordType::Soa);
            assert_eq!(answer, DnsAnswer::NoSuchName);
        }
        let answer = Dns::new(&mut Fixed(Vec::new())).ask(NAME, RecordType::Soa);
        assert_eq!(
            answer,
            DnsAnswer::Failed(DnsFailure::NoAnswer(DENIES_ALL.into()))
        );
    }

    #[test]
    fn one_answer_is_a_connection() {
        let mut client = Fixed(vec![(NAME, refused()), (".", refused())]);
        let mut dns = Dns::new(&mut client);
        dns.ask(NAME, RecordType::Soa);
        assert!(dns.is_cut_off());
        for (name, answer) in [(".", there()), ("relay.example", DnsAnswer::NoData)] {
            let known = vec![(name, answer), (NAME, refused()), (".", refused())];
            let mut client = Fixed(known);
            let mut dns = Dns::new(&mut client);
            dns.ask(NAME, RecordType::Soa);
            dns.ask("relay.example", RecordType::A);
            assert!(!dns.is_cut_off(), "{name}");
        }
    }
}
