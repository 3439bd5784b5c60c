//! One setting: a value, or none.

use std::str::FromStr;

use super::text::{invalid, number};
use crate::error::{Error, Result};

/// A setting that can be given a value or taken away: `10`, or `none`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting<T> {
    /// Clears the value.
    None,
    /// Sets this value.
    Some(T),
}

impl<T> Setting<T> {
    /// Returns a setting that borrows the value.
    pub const fn as_ref(&self) -> Setting<&T> {
        match self {
            Self::None => Setting::None,
            Self::Some(value) => Setting::Some(value),
        }
    }

    /// Returns the value; `None` clears it.
    pub fn value(self) -> Option<T> {
        match self {
            Self::None => None,
            Self::Some(value) => Some(value),
        }
    }
}

impl<T: FromStr> FromStr for Setting<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> std::result::Result<Self, T::Err> {
        match text {
            "none" => Ok(Self::None),
            _ => text.parse().map(Self::Some),
        }
    }
}

/// A limit from 1 to [`LimitValue::MAX`]: of users of a domain, or of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitValue(u32);

impl LimitValue {
    /// The largest limit.
    pub const MAX: u32 = 1_000_000_000;

    /// Returns the number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl FromStr for LimitValue {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match number::<u32>(text) {
            Some(n) if (1..=Self::MAX).contains(&n) => Ok(Self(n)),
            _ => Err(invalid(
                "limit",
                text,
                "a whole number from 1 to 1000000000, or none",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        assert_eq!(
            "none".parse::<Setting<LimitValue>>().unwrap(),
            Setting::None
        );
        assert_eq!(
            "15".parse::<Setting<LimitValue>>()
                .unwrap()
                .value()
                .unwrap()
                .get(),
            15
        );
        for bad in ["0", "-1", "+1", "1e3", "1000000001", "", "99999999999999"] {
            assert!(bad.parse::<Setting<LimitValue>>().is_err(), "{bad:?}");
        }
    }
}
