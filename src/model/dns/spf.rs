//! The text of an SPF record (RFC 7208 §4.6.1, §12).
//! This file is long on purpose: half of it tests what the rules refuse.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::macros::{self, Within};
use crate::model::text::number;

/// The result of a match (RFC 7208 §2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qualifier {
    /// The client may send.
    Pass,
    /// The client may not send.
    Fail,
    /// The client probably may not send.
    SoftFail,
    /// The domain says nothing about the client.
    Neutral,
}

/// How many leading bits of an address must match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Of an IPv4 address, up to 32.
    pub four: u8,
    /// Of an IPv6 address, up to 128.
    pub six: u8,
}

/// A condition on the client's address (RFC 7208 §5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpfMechanism {
    /// Any address.
    All,
    /// The addresses that the record of this domain passes.
    Include(String),
    /// The addresses of this domain; `None` is the record's own.
    A(Option<String>, Prefix),
    /// The addresses of this domain's mail servers; `None` is the record's own.
    Mx(Option<String>, Prefix),
    /// Addresses with a name in the domain (deprecated).
    Ptr,
    /// A network.
    Ip(IpAddr, Prefix),
    /// Any address, if this name has an A record.
    Exists(String),
}

/// A mechanism with its qualifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The result if it matches.
    pub qualifier: Qualifier,
    /// What it matches.
    pub mechanism: SpfMechanism,
}

/// An SPF record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spf {
    /// In their order: the first that matches decides.
    pub terms: Vec<Term>,
    /// The domain whose record applies if no term matches.
    pub redirect: Option<String>,
}

impl Prefix {
    const WHOLE: Self = Self { four: 32, six: 128 };

    /// Returns whether an address is in the network.
    pub fn matches(self, network: IpAddr, address: IpAddr) -> bool {
        match (network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.four.min(32));
                let differ = network.to_bits() ^ address.to_bits();
                differ.checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.six.min(128));
                let differ = network.to_bits() ^ address.to_bits();
                differ.checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl Spf {
    /// Returns the result for mail that no term before `all` matches; `None` without `all`.
    pub fn all(&self) -> Option<Qualifier> {
        let all = self.terms.iter().find(|t| t.mechanism == SpfMechanism::All);
        all.map(|term| term.qualifier)
    }
}

/// Returns whether a text record is meant as an SPF record.
pub fn is_spf(text: &str) -> bool {
    text.split(' ')
        .next()
        .is_some_and(|first| first.eq_ignore_ascii_case("v=spf1"))
}

/// The error says which term, and what is wrong with it.
impl FromStr for Spf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut spf = Self::default();
        let mut explained = false;
        for word in text.split(' ').skip(1).filter(|word| !word.is_empty()) {
            let end = word.find([':', '/', '=']);
            if let Some(end) = end.filter(|end| word[*end..].starts_with('=')) {
                let (name, value) = (&word[..end], &word[end + 1..]);
                if name.eq_ignore_ascii_case("redirect") {
                    if spf.redirect.is_some() {
                        return Err("there are two redirect=".into());
                    }
                    spf.redirect = Some(domain(word, value)?);
                } else if name.eq_ignore_ascii_case("exp") {
                    if explained {
                        return Err("there are two exp=".into());
                    }
                    explained = true;
                    domain(word, value)?;
                } else if !is_modifier(name) || !macros::are_good(value, Within::Text) {
                    return Err(format!("{word}: no such modifier"));
                }
                continue; // what is not known yet (§6)
            }
            spf.terms.push(word.parse()?);
        }
        Ok(spf)
    }
}

impl FromStr for Term {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let (qualifier, rest) = match word.split_at_checked(1) {
            Some(("+", rest)) => (Qualifier::Pass, rest),
            Some(("-", rest)) => (Qualifier::Fail, rest),
            Some(("~", rest)) => (Qualifier::SoftFail, rest),
            Some(("?", rest)) => (Qualifier::Neutral, rest),
            _ => (Qualifier::Pass, word),
        };
        let end = rest.find([':', '/']).unwrap_or(rest.len());
        let (name, argument) = rest.split_at(end);
        let value = argument.strip_prefix(':');
        let mechanism = match (name.to_ascii_lowercase().as_str(), value) {
            ("all", None) if argument.is_empty() => SpfMechanism::All,
            ("include", Some(value)) => SpfMechanism::Include(domain(word, value)?),
            ("exists", Some(value)) => SpfMechanism::Exists(domain(word, value)?),
            ("a", _) => {
                let (name, prefix) = target(word, argument)?;
                SpfMechanism::A(name, prefix)
            }
            ("mx", _) => {
                let (name, prefix) = target(word, argument)?;
                SpfMechanism::Mx(name, prefix)
            }
            ("ptr", None) if argument.is_empty() => SpfMechanism::Ptr,
            ("ptr", Some(value)) => {
                domain(word, value)?;
                SpfMechanism::Ptr
            }
            ("ip4" | "ip6", Some(value)) => {
                let four = name.eq_ignore_ascii_case("ip4");
                let (address, prefix) = network(value, four).ok_or_else(|| {
                    let example = if four {
                        "192.0.2.0/24"
                    } else {
                        "2001:db8::/32"
                    };
                    format!("{word}: what follows the colon is not like {example}")
                })?;
                SpfMechanism::Ip(address, prefix)
            }
            ("include" | "exists" | "ip4" | "ip6", None) => {
                return Err(format!("{word}: nothing follows it"));
            }
            _ => return Err(format!("{word}: no such mechanism")),
        };
        Ok(Self {
            qualifier,
            mechanism,
        })
    }
}

fn network(value: &str, four: bool) -> Option<(IpAddr, Prefix)> {
    let (address, bits) = match value.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (value, None),
    };
    let mut prefix = Prefix::WHOLE;
    let address = if four {
        prefix.four = bits.map_or(Some(32), |bits| length(bits, 32))?;
        IpAddr::from(address.parse::<Ipv4Addr>().ok()?)
    } else {
        prefix.six = bits.map_or(Some(128), |bits| length(bits, 128))?;
        IpAddr::from(address.parse::<Ipv6Addr>().ok()?)
    };
    Some((address, prefix))
}

fn length(bits: &str, most: u8) -> Option<u8> {
    number(bits).filter(|n| *n <= most)
}

/// `:name/24//64`, every part of it optional.
fn target(word: &str, argument: &str) -> Result<(Option<String>, Prefix), String> {
    let bad = || format!("{word}: its end is not like /24 or //64");
    let (name, bits) = argument.split_at(argument.find('/').unwrap_or(argument.len()));
    let mut prefix = Prefix::WHOLE;
    let (four, six) = match bits.split_once("//") {
        Some((four, six)) => (four, Some(six)),
        None => (bits, None),
    };
    if !four.is_empty() {
        let four = four.strip_prefix('/').and_then(|n| length(n, 32));
        prefix.four = four.ok_or_else(bad)?;
    }
    if let Some(six) = six {
        prefix.six = length(six, 128).ok_or_else(bad)?;
    }
    let name = match name.strip_prefix(':') {
        Some(name) => Some(domain(word, name)?),
        None => None,
    };
    Ok((name, prefix))
}

/// §12: a letter, and then letters, digits and `-_.`
fn is_modifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// §7.1: letters, digits and inner hyphens, and not only digits.
fn is_top_label(label: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    label.bytes().all(good)
        && !label.starts_with('-')
        && !label.ends_with('-')
        && !label.bytes().all(|b| b.is_ascii_digit())
}

/// A name with two parts at least, or one with macros.
fn domain(word: &str, text: &str) -> Result<String, String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.contains('%') {
        let broken = || format!("{word}: no such macro");
        return macros::are_good(name, Within::Domain)
            .then(|| name.to_owned())
            .ok_or_else(broken);
    }
    if name.parse::<IpAddr>().is_ok() {
        return Err(format!(
            "{word}: that is an address, which is written ip4: or ip6:"
        ));
    }
    let good = name.contains('.')
        && name.split('.').all(|label| (1..=63).contains(&label.len()))
        && name.bytes().all(|b| b.is_ascii_graphic() && b != b'/')
        && name.rsplit('.').next().is_some_and(is_top_label);
    if !good {
        return Err(format!("{word}: what follows it is not a domain"));
    }
    Ok(name.to_ascii_lowercase())
}

/// Returns a record that merges these and also allows this term. Terms that let everyone
/// send are dropped. `None` if a record is broken, because its meaning is unknown, or if
/// the result would let no host send.
pub fn amended(records: &[String], term: Option<&str>) -> Option<String> {
    let mut words: Vec<&str> = term.into_iter().collect();
    let mut redirect = None;
    let mut all = None;
    for word in records.iter().flat_map(|r| r.split(' ').skip(1)) {
        let lower = word.to_ascii_lowercase();
        if lower.starts_with("redirect=") {
            redirect = Some(word);
        } else if lower.trim_start_matches(['+', '-', '~', '?']) == "all" {
            if lower.starts_with(['-', '~']) && all != Some("-all") {
                all = Some(if lower == "-all" { "-all" } else { "~all" });
            }
        } else if !word.is_empty() && !words.contains(&word) {
            words.push(word);
        }
    }
    let end = all.or(redirect).unwrap_or("~all");
    words.insert(0, "v=spf1");
    words.push(end);
    let text = words.join(" ");
    let spf: Spf = text.parse().ok()?;
    let lets = |term: &Term| term.mechanism != SpfMechanism::All;
    (spf.terms.iter().any(lets) || spf.redirect.is_some()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        format!("v=spf1 {text}").parse::<Spf>().unwrap_err()
    }

    #[test]
    fn records() {
        let text = "v=spf1  MX a:Smtp.example.com/24//64 ~ip4:192.0.2.0/24 ip6:2001:db8::/32 \
            ?include:_spf.example.org exists:%{i}.example.org ptr:example.com \
            unknown=thing exp=why.example.com redirect=example.org -all";
        let spf: Spf = text.parse().unwrap();
        let pass = |mechanism| Term {
            qualifier: Qualifier::Pass,
            mechanism,
        };
        let prefix = Prefix { four: 24, six: 64 };
        assert_eq!(spf.terms[0], pass(SpfMechanism::Mx(None, Prefix::WHOLE)));
        let host = Some("smtp.example.com".to_owned());
        assert_eq!(spf.terms[1], pass(SpfMechanism::A(host, prefix)));
        assert_eq!(spf.terms[2].qualifier, Qualifier::SoftFail);
        assert_eq!(spf.terms[4].qualifier, Qualifier::Neutral);
        assert_eq!(spf.redirect.as_deref(), Some("example.org"));
        assert_eq!(spf.all(), Some(Qualifier::Fail));
        assert!(is_spf("V=SPF1") && is_spf("v=spf1 -all"));
        assert!(!is_spf("v=spf10 -all") && !is_spf(" v=spf1"));
    }

    #[test]
    fn faults_name_their_term() {
        for bad in [
            "inlcude:example.org",
            "include",
            "include:",
            "include:localhost",
            "a:192.0.2.1",
            "a:",
            "a/33",
            "a/x",
            "a//129",
            "mx:example.com/-1",
            "ip4:192.0.2",
            "ip4:192.0.2.0/33",
            "ip4:192.0.2.0/032",
            "ip4:192.0.2.0/00",
            "ip4:192.0.2.0/+24",
            "ip4:192.0.2.0/",
            "ip4:192.0.2.010",
            "ip6:2001:db8::/064",
            "a/024",
            "mx//064",
            "a:example.com/024//64",
            "include:%{c}.example.org",
            "include:%{d0}.example.org",
            "include:example.-org",
            "include:example.o_rg",
            "ip4:2001:db8::1",
            "ip6:192.0.2.1",
            "ip6:2001:db8::/+9",
            "all:x",
            "-",
            "ü",
            "redirect=",
            "redirect=a.example redirect=b.example",
            "exp=a.example exp=a.example",
            "exp=",
            "1x=foo",
            "x=%{x}",
            "exists:%{x}.example",
            "exists:%{i.example",
            "exists:%i.example",
            "include:%{dz}.example",
        ] {
            let word = bad.split(' ').next().unwrap();
            let said = fault(bad);
            let of_two = said.contains("redirect") || said.contains("exp");
            assert!(said.contains(word) || of_two, "{said}");
        }
        assert!(fault("a:192.0.2.1").contains("ip4:"));
        for good in ["exists:%{ir}.%{v}.%{D2}.%{l1r+-}.example", "x=%%%_%-"] {
            assert!(format!("v=spf1 {good}").parse::<Spf>().is_ok(), "{good}");
        }
    }

    #[test]
    fn networks() {
        let matches = |term: &str, address: &str| {
            let SpfMechanism::Ip(network, prefix) = term.parse::<Term>().unwrap().mechanism else {
                panic!("{term}");
            };
            prefix.matches(network, address.parse().unwrap())
        };
        assert!(matches("ip4:192.0.2.0/24", "192.0.2.255"));
        assert!(!matches("ip4:192.0.2.0/24", "192.0.3.0"));
        assert!(matches("ip4:0.0.0.0/0", "203.0.113.9"));
        assert!(matches("ip4:192.0.2.7", "192.0.2.7"));
        assert!(!matches("ip4:192.0.2.7", "192.0.2.6"));
        assert!(matches("ip6:2001:db8::/32", "2001:db8:ffff::1"));
        assert!(!matches("ip6:2001:db8::/32", "2001:db9::1"));
        assert!(matches("ip6:::/0", "2001:db9::1"));
        assert!(!matches("ip4:0.0.0.0/0", "::1"));
    }

    #[test]
    fn amending() {
        let amended = |records: &[&str], term| {
            let records: Vec<_> = records.iter().map(ToString::to_string).collect();
            amended(&records, term).unwrap_or_default()
        };
        let term = Some("a:smtp.example.com");
        assert_eq!(amended(&[], term), "v=spf1 a:smtp.example.com ~all");
        assert_eq!(
            amended(&["v=spf1 mx -all"], term),
            "v=spf1 a:smtp.example.com mx -all"
        );
        assert_eq!(
            amended(
                &["v=spf1 mx ~all", "v=spf1 mx include:b.example -all"],
                None
            ),
            "v=spf1 mx include:b.example -all"
        );
        assert_eq!(
            amended(&["v=spf1 +all"], term),
            "v=spf1 a:smtp.example.com ~all"
        );
        assert_eq!(
            amended(&["v=spf1 redirect=b.example"], term),
            "v=spf1 a:smtp.example.com redirect=b.example"
        );
        assert_eq!(amended(&["v=spf1 +all"], None), "", "no client may");
        assert_eq!(amended(&["v=spf1 inlcude:b.example -all"], term), "");
    }
}
