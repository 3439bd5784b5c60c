//! Amounts of memory as admins write them: `64K`, `32M`, `1G`; `0` for none.

use std::fmt;
use std::str::FromStr;

use super::text::{invalid, number};
use crate::error::{Error, Result};

/// A number of bytes: 0, or 64 KiB to 64 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemorySize(u64);

/// Powers of 1024, as in Dovecot's and systemd's settings.
const UNITS: [(char, u64); 3] = [('G', 1 << 30), ('M', 1 << 20), ('K', 1 << 10)];
const LEAST: u64 = 64 << 10;
const MOST: u64 = 64 << 30;

impl MemorySize {
    /// Returns a size given in MiB.
    pub const fn mib(mib: u16) -> Self {
        Self((mib as u64) << 20)
    }

    /// Returns the number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for MemorySize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (digits, unit) = UNITS
            .iter()
            .find_map(|(unit, size)| Some((text.strip_suffix(*unit)?, *size)))
            .unwrap_or((text, 1));
        let bytes = number::<u64>(digits).and_then(|count| count.checked_mul(unit));
        match bytes {
            Some(bytes) if bytes == 0 || (LEAST..=MOST).contains(&bytes) => Ok(Self(bytes)),
            _ => Err(invalid(
                "size",
                text,
                "a whole number and a unit out of K M G, such as 32M, from 64K to 64G; or 0",
            )),
        }
    }
}

impl fmt::Display for MemorySize {
    /// Prints the largest unit that divides it, which reads back as the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS
            .iter()
            .find(|(_, size)| self.0 > 0 && self.0.is_multiple_of(*size));
        match unit {
            Some((unit, size)) => write!(f, "{}{unit}", self.0 / size),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_admins_write() {
        for (text, bytes) in [
            ("0", 0),
            ("64K", 65_536),
            ("32M", 33_554_432),
            ("1G", 1_073_741_824),
            ("64G", 68_719_476_736),
            ("100000", 100_000),
        ] {
            let read: MemorySize = text.parse().unwrap();
            assert_eq!(read.bytes(), bytes);
            assert_eq!(read.to_string(), text);
        }
        assert_eq!("1024K".parse::<MemorySize>().unwrap().to_string(), "1M");
        for bad in [
            "",
            "M",
            "100",
            "63K",
            "65G",
            "-1M",
            "+1M",
            "032M",
            "1.5M",
            "32 M",
            "32m",
            "32MB",
            "99999999999999999999G",
        ] {
            assert!(bad.parse::<MemorySize>().is_err(), "{bad:?}");
        }
    }
}
