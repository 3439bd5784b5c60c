//! Networks that addresses belong to: an address with the length of its prefix (CIDR,
//! RFC 4632 §3.1 and RFC 4291 §2.3).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::name::DomainName;
use super::text::invalid;
use crate::error::{Error, Result};

/// A network such as `192.0.2.0/24`, or a single address. An IPv4 address within IPv6
/// (`::ffff:192.0.2.1`) is the IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network(IpNet);

/// What providers give to one customer at least, by which addresses are grouped.
const GROUP_V4: u8 = 24;
const GROUP_V6: u8 = 64;
/// Bits of `::ffff:0:0/96`.
const MAPPED: u8 = 96;

impl Network {
    /// Returns the network of a single address.
    pub fn single(address: IpAddr) -> Self {
        Self(address.to_canonical().into())
    }

    /// Returns the group that an address belongs to: its /24, or its /64.
    pub fn group(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let length = if address.is_ipv4() {
            GROUP_V4
        } else {
            GROUP_V6
        };
        Self(IpNet::new_assert(address, length).trunc())
    }

    /// Returns whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Returns whether all addresses of another one are in it.
    pub fn covers(&self, other: &Self) -> bool {
        self.0.contains(&other.0)
    }
}

/// Networks among which an address is found quickly, however many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Box<[IpNet]>);

impl Networks {
    /// Returns whether an address is in one of them.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        // None of them overlap.
        let next = self.0.partition_point(|net| net.network() <= address);
        let before = next.checked_sub(1).and_then(|last| self.0.get(last));
        before.is_some_and(|net| net.contains(&address))
    }

    /// Returns every address of a family, for each family of which all are in them.
    pub fn everything(&self) -> impl Iterator<Item = Network> {
        let all = self.0.iter().filter(|net| net.prefix_len() == 0);
        all.copied().map(Network)
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Network> for Networks {
    fn from_iter<T: IntoIterator<Item = Network>>(networks: T) -> Self {
        let all: Vec<_> = networks.into_iter().map(|network| network.0).collect();
        let mut all = IpNet::aggregate(&all);
        all.sort_unstable_by_key(IpNet::network);
        Self(all.into())
    }
}

/// Returns what is an address or a network. A host name is neither: it may change its addresses.
fn rule_for(text: &str) -> String {
    const RULE: &str = "an address such as 192.0.2.1 or 2001:db8::1, or a network such as \
        192.0.2.0/24 or 2001:db8::/64";
    let is_name = text.parse::<DomainName>().is_ok() || text == "localhost";
    if is_name && text.ends_with(|last: char| last.is_ascii_alphabetic()) {
        return format!(
            "{RULE}; names are not looked up: give its addresses, which this prints: getent ahosts {text}"
        );
    }
    RULE.to_owned()
}

impl FromStr for Network {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::single(address));
        }
        let Ok(given) = text.parse::<IpNet>() else {
            return Err(invalid("address or network", text, rule_for(text)));
        };
        if given != given.trunc() {
            let meant = format!(
                "a network whose bits behind the prefix are 0: {}, or {} for the one address",
                given.trunc(),
                given.addr()
            );
            return Err(invalid("network", text, &meant));
        }
        let IpNet::V6(v6) = given else {
            return Ok(Self(given));
        };
        match (
            v6.addr().to_ipv4_mapped(),
            v6.prefix_len().checked_sub(MAPPED),
        ) {
            (Some(v4), Some(length)) => Ok(Self(IpNet::new_assert(v4.into(), length))),
            _ => Ok(Self(given)),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            write!(f, "{}", self.0.addr())
        } else {
            write!(f, "{}", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn one_form_for_each_network() {
        for (given, shown) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1/32", "192.0.2.1"),
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("2001:db8::/64", "2001:db8::/64"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(network(given).to_string(), shown);
            assert_eq!(network(shown), network(given));
        }
        for bad in [
            "",
            " 192.0.2.1",
            "192.0.2",
            "192.0.2.0/33",
            "192.0.2.1/24",
            "a",
            "::1/-1",
            "192.0.2.0/24/24",
            "fe80::1%eth0",
            "010.0.0.1",
        ] {
            assert!(bad.parse::<Network>().is_err(), "{bad:?}");
        }
        let error = "192.0.2.7/24".parse::<Network>().unwrap_err().to_string();
        assert!(error.contains("192.0.2.0/24, or 192.0.2.7"), "{error}");
    }

    #[test]
    fn an_address_is_found_among_many_networks() {
        let texts = [
            "192.0.2.0/24",
            "192.0.2.128/25",
            "192.0.3.7",
            "10.0.0.0/8",
            "10.1.0.0/16",
            "2001:db8::/64",
            "198.51.100.0/24",
        ];
        let networks: Networks = texts.iter().map(|text| network(text)).collect();
        for (address, is_in) in [
            ("192.0.2.1", true),
            ("192.0.2.200", true),
            ("::ffff:192.0.2.1", true),
            ("192.0.3.7", true),
            ("192.0.3.8", false),
            ("192.0.1.255", false),
            ("10.200.0.1", true),
            ("9.255.255.255", false),
            ("255.255.255.255", false),
            ("2001:db8::ffff", true),
            ("2001:db8:0:1::", false),
            ("::", false),
        ] {
            assert_eq!(
                networks.contain(address.parse().unwrap()),
                is_in,
                "{address}"
            );
        }
        assert!(!Networks::default().contain("10.0.0.1".parse().unwrap()));
        let everything: Networks = [network("::/0")].into_iter().collect();
        assert!(everything.contain("2001:db8::1".parse().unwrap()));
        assert!(!everything.contain("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn addresses_are_grouped_and_contained() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(
            Network::group(address("192.0.2.77")),
            network("192.0.2.0/24")
        );
        assert_eq!(
            Network::group(address("::ffff:192.0.2.77")),
            network("192.0.2.0/24")
        );
        assert_eq!(
            Network::group(address("2001:db8::5:6:7:8")),
            network("2001:db8::/64")
        );
        assert!(network("192.0.2.0/24").contains(address("::ffff:192.0.2.9")));
        assert!(!network("::/0").contains(address("192.0.2.9")));
        assert!(network("192.0.2.0/24").covers(&network("192.0.2.8")));
    }

    #[test]
    fn networks_are_everything_together() {
        let everything = |texts: &[&str]| {
            let networks: Networks = texts.iter().map(|text| network(text)).collect();
            let all: Vec<_> = networks.everything().map(|all| all.to_string()).collect();
            all.join(" ")
        };
        assert_eq!(everything(&["0.0.0.0/0"]), "0.0.0.0/0");
        assert_eq!(everything(&["0.0.0.0/1", "128.0.0.0/1"]), "0.0.0.0/0");
        assert_eq!(everything(&["8000::/1", "192.0.2.0/24", "::/1"]), "::/0");
        let both = ["::/0", "::ffff:0:0/97", "128.0.0.0/2", "192.0.0.0/2"];
        assert_eq!(everything(&both), "0.0.0.0/0 ::/0");
        assert_eq!(everything(&["0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/3"]), "");
        assert_eq!(everything(&["0.0.0.0/1", "8000::/1"]), "");
    }
}
