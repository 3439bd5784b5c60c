//! What an Argon2 hash costs, with bounds on what is ever computed.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::model::text::{self, invalid};

/// What one hash costs. Memory in KiB, passes, lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub m: u32,
    /// Passes over the memory.
    pub t: u32,
    /// Lanes, which can be computed in parallel.
    pub p: u32,
}

/// OWASP's minimum for Argon2id, and the pairs of m and t it calls equal.
/// <https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>
const OWASP: [(u32, u32); 5] = [
    (47_104, 1),
    (19_456, 2),
    (12_288, 3),
    (9_216, 4),
    (7_168, 5),
];
/// Above these a stored hash is refused before it is computed: one bad row
/// must not take the machine's memory. 1 GiB, 16 passes, 16 lanes.
const CAP: Cost = Cost {
    m: 1 << 20,
    t: 16,
    p: 16,
};
impl Default for Cost {
    fn default() -> Self {
        Self {
            m: 19_456,
            t: 2,
            p: 1,
        }
    }
}

impl Cost {
    /// Returns whether a hash of this cost is ever computed.
    pub(super) const fn within_caps(self) -> bool {
        // RFC 9106 §3.1: at least 8 KiB per lane.
        self.m <= CAP.m
            && self.t <= CAP.t
            && self.p <= CAP.p
            && self.t >= 1
            && self.p >= 1
            && self.m >= 8 * self.p
    }

    fn reaches_owasp(self) -> bool {
        OWASP.iter().any(|(m, t)| self.m >= *m && self.t >= *t)
    }
}

impl FromStr for Cost {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |rule: &str| invalid("Argon2 setting", text, rule);
        let mut numbers = [None; 3];
        for part in text.split(',') {
            let slot = match part.split_at_checked(2) {
                Some(("m=", n)) => Some((0, n)),
                Some(("t=", n)) => Some((1, n)),
                Some(("p=", n)) => Some((2, n)),
                _ => None,
            };
            let number = slot.and_then(|(i, n)| text::number::<u32>(n).map(|n| (i, n)));
            match number {
                Some((i, n)) if numbers[i].is_none() => numbers[i] = Some(n),
                _ => return Err(invalid("three numbers, such as m=19456,t=2,p=1")),
            }
        }
        let [Some(m), Some(t), Some(p)] = numbers else {
            return Err(invalid(
                "all of m (KiB), t (passes) and p (lanes), such as m=19456,t=2,p=1",
            ));
        };
        let cost = Self { m, t, p };
        if !cost.within_caps() {
            return Err(invalid("at most m=1048576 (1 GiB), t=16, p=16"));
        }
        if !cost.reaches_owasp() {
            return Err(invalid(
                "below OWASP's minimum; the least is m=47104,t=1 or m=19456,t=2 or m=12288,t=3 or m=9216,t=4 or m=7168,t=5",
            ));
        }
        Ok(cost)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={},t={},p={}", self.m, self.t, self.p)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_start_at_owasps_minimum() {
        for good in ["m=19456,t=2,p=1", "p=4,m=65536,t=3", "m=7168,t=5,p=1"] {
            assert!(good.parse::<Cost>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "m=19456",
            "m=19456,t=2",
            "m=19455,t=2,p=1",
            "m=8,t=1,p=1",
            "m=2000000,t=2,p=1",
            "m=19456,t=2,p=1,x=1",
            "m=19456,t=2,p=1,p=2",
            "m=-1,t=2,p=1",
            "m=é,t=2,p=1",
            "19456,2,1",
        ] {
            assert!(bad.parse::<Cost>().is_err(), "{bad}");
        }
    }
}
