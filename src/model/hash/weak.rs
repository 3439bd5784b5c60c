//! Finds hashes that are weaker than those made today, by how they begin.

use super::{Cost, Hash, Scheme, phc};
use crate::model::text;

impl Cost {
    fn is_cheaper_than(self, today: Self) -> bool {
        let work = |cost: Self| u64::from(cost.m) * u64::from(cost.t);
        self != today && work(self) <= work(today)
    }
}

impl Hash {
    /// How every Argon2 hash begins.
    pub const ARGON2: &str = "$argon2";

    /// Returns whether it costs less than today's hashes, or another system made it.
    pub fn is_cheaper_than(&self, today: Cost) -> bool {
        if self.0.starts_with('{') {
            return true;
        }
        phc::parse(&self.0).is_none_or(|p| p.cost.is_cheaper_than(today))
    }

    /// Returns whether a text is a hash without its salt and tag, as the database shows it
    /// to roles that may not see hashes.
    pub fn is_hidden(text: &str) -> bool {
        let made = text.rsplit(['$', '{']).next().unwrap_or_default();
        text.is_empty() || made.ends_with('}') || made.starts_with("m=")
    }

    /// Returns the part before the salt of every hash of this cost.
    pub fn beginning(cost: Cost) -> String {
        format!("{}id$v=19${cost}$", Self::ARGON2)
    }

    /// Returns the scheme of a stored hash if it costs less than today's hashes, or another
    /// system made it. The part before the salt is enough.
    pub fn weak_scheme(text: &str, today: Cost) -> Option<Scheme> {
        if text.starts_with('{') {
            return Some(Self::scheme_of(text));
        }
        let mut numbers = text.split('$').nth(3)?.split(',');
        let mut number = |name| text::number(numbers.next()?.strip_prefix(name)?);
        let cost = Cost {
            m: number("m=")?,
            t: number("t=")?,
            p: number("p=")?,
        };
        cost.is_cheaper_than(today).then_some(Scheme::Argon2)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Hasher;
    use super::*;

    fn made_at(cost: Cost) -> Hash {
        let random = |bytes: &mut [u8]| {
            bytes.fill(7);
            Ok(())
        };
        Hasher::default().hash(b"x", cost, random).unwrap()
    }

    #[test]
    fn only_cheaper_hashes_are_made_again() {
        let hash = made_at(Cost { m: 16, t: 1, p: 1 });
        assert!(hash.is_cheaper_than(Cost { m: 16, t: 2, p: 1 }));
        assert!(!hash.is_cheaper_than(Cost { m: 16, t: 1, p: 1 }));
        assert!(!hash.is_cheaper_than(Cost { m: 8, t: 1, p: 1 }));
    }

    #[test]
    fn what_is_made_today_begins_so_and_is_not_weak() {
        let [one, other] = [1, 16].map(|p| Cost { m: 128, t: 1, p });
        let today = Hash::beginning(one);
        let [hash, cheaper] = [one, other].map(made_at);
        assert!(hash.as_str().starts_with(&today));
        assert!(hash.as_str().starts_with(Hash::ARGON2));
        assert_eq!(Hash::weak_scheme(hash.as_str(), one), None);
        assert!(!cheaper.as_str().starts_with(&today), "p=1 and p=16");
        let scheme = Hash::weak_scheme(cheaper.as_str(), one);
        assert_eq!(scheme, Some(Scheme::Argon2));
    }
}
