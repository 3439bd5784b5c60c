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
}

/// The most questions of one check.
const MOST: u32 = 300;

impl<'a> Dns<'a> {
    /// Returns a client without answers.
    pub fn new(client: &'a mut dyn DnsClient) -> Self {
        Self {
            client,
            known: HashMap::new(),
            left: MOST,
        }
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
        let answer = self.client.ask(&key.0, kind);
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
