//! Temporary passwords: issued beside a user's own, for minutes to days.

use std::str::FromStr;

use super::duration::Duration;
use super::network::Network;
use super::text::invalid;
use super::time::Time;
use crate::error::{Error, Result};

/// How many of them a user may have that work.
pub const MOST_TEMPORARY: usize = 20;

/// How long one works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime(Duration);

impl Lifetime {
    const SHORTEST: Duration = Duration::MINUTE;
    const LONGEST: Duration = Duration::days(90);

    /// Returns when one ends that is issued now.
    pub fn end(self, now: Time) -> Time {
        now.plus(self.0)
    }
}

impl FromStr for Lifetime {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let rule = "1m to 90d, such as 30m, 8h or 7d; for longer, create a user with --expires-in";
        match text.parse::<Duration>() {
            Ok(found) if (Self::SHORTEST..=Self::LONGEST).contains(&found) => Ok(Self(found)),
            Ok(_) => Err(invalid("duration", text, rule)),
            Err(error) => Err(error),
        }
    }
}

/// Writes networks as the store has them.
pub fn written(networks: &[Network]) -> Option<String> {
    let networks: Vec<_> = networks.iter().map(ToString::to_string).collect();
    (!networks.is_empty()).then(|| networks.join(" "))
}

/// Reads them again.
pub fn networks(written: Option<&str>) -> Result<Vec<Network>> {
    let networks = written.unwrap_or_default().split(' ');
    let networks = networks.filter(|network| !network.is_empty());
    networks.map(str::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_works_for_a_minute_to_ninety_days() {
        let end = |text: &str| {
            let lifetime = text.parse::<Lifetime>().ok()?;
            Some(lifetime.end(Time::from_epoch(1_000)).epoch())
        };
        for (text, expected) in [
            ("1m", Some(1_060)),
            ("60s", Some(1_060)),
            ("90d", Some(7_777_000)),
            ("59s", None),
            ("91d", None),
            ("100y", None),
            ("0h", None),
            ("", None),
        ] {
            assert_eq!(end(text), expected, "{text:?}");
        }
        let said = "91d".parse::<Lifetime>().unwrap_err().to_string();
        assert!(said.contains("1m to 90d"), "{said}");
    }

    #[test]
    fn networks_are_read_as_they_were_written() {
        let given: Vec<Network> = ["192.0.2.0/24", "2001:db8::1"]
            .map(|n| n.parse().unwrap())
            .into();
        let text = written(&given);
        assert_eq!(text.as_deref(), Some("192.0.2.0/24 2001:db8::1"));
        assert_eq!(networks(text.as_deref()).unwrap(), given);
        assert_eq!(written(&[]), None);
        assert!(networks(None).unwrap().is_empty());
    }
}
