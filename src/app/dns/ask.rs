//! Asking, each thing once.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::model::dns::{Answer, Ask, Failure, Kind, Value};

pub struct Dns<'a> {
    whom: &'a mut dyn Ask,
    known: HashMap<(String, Kind), Answer>,
    /// Who runs a broken zone can lead us anywhere.
    left: u32,
}

/// Questions of one check.
const MOST: u32 = 300;

impl<'a> Dns<'a> {
    pub fn new(whom: &'a mut dyn Ask) -> Self {
        Self {
            whom,
            known: HashMap::new(),
            left: MOST,
        }
    }

    pub fn ask(&mut self, name: &str, kind: Kind) -> Answer {
        let key = (name.to_ascii_lowercase(), kind);
        if let Some(answer) = self.known.get(&key) {
            return answer.clone();
        }
        if self.left == 0 {
            let reason = "it leads to too many other names".to_owned();
            return Answer::Failed(Failure::CannotTell(reason));
        }
        self.left -= 1;
        let answer = self.whom.ask(&key.0, kind);
        self.known.insert(key, answer.clone());
        answer
    }

    /// None is an answer.
    pub fn values(&mut self, name: &str, kind: Kind) -> Result<Vec<Value>, Failure> {
        match self.ask(name, kind) {
            Answer::Found(values) => Ok(values),
            Answer::NoData | Answer::NoSuchName => Ok(Vec::new()),
            Answer::Failed(failure) => Err(failure),
        }
    }

    pub fn texts(&mut self, name: &str) -> Result<Vec<String>, Failure> {
        let values = self.values(name, Kind::Txt)?;
        let texts = values.into_iter().filter_map(|value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        });
        Ok(texts.collect())
    }

    pub fn names(&mut self, name: &str, kind: Kind) -> Result<Vec<String>, Failure> {
        let values = self.values(name, kind)?;
        let names = values.into_iter().filter_map(|value| match value {
            Value::Name(name) => Some(name),
            _ => None,
        });
        Ok(names.collect())
    }

    /// Of both kinds, in order.
    pub fn addresses(&mut self, name: &str) -> Result<Vec<IpAddr>, Failure> {
        let mut values = self.values(name, Kind::A)?;
        values.extend(self.values(name, Kind::Aaaa)?);
        let addresses = values.into_iter().filter_map(|value| match value {
            Value::Address(address) => Some(address),
            _ => None,
        });
        let mut addresses: Vec<_> = addresses.collect();
        addresses.sort_unstable();
        addresses.dedup();
        Ok(addresses)
    }

    /// The preferred one first.
    pub fn exchanges(&mut self, name: &str) -> Result<Vec<(u16, String)>, Failure> {
        let values = self.values(name, Kind::Mx)?;
        let exchanges = values.into_iter().filter_map(|value| match value {
            Value::Exchange { preference, host } => Some((preference, host)),
            _ => None,
        });
        let mut exchanges: Vec<_> = exchanges.collect();
        exchanges.sort_unstable();
        Ok(exchanges)
    }
}
