//! Small numbers for the few names of hosts and programs in a log.

use std::collections::HashMap;

/// More names than this share the last number.
const MOST: usize = 4096;

/// Gives each name a number.
#[derive(Default)]
pub struct Interner {
    numbers: HashMap<Box<[u8]>, u16>,
    names: Vec<Box<[u8]>>,
    /// The number that the last name got, which most lines ask for again.
    last: Option<u16>,
}

impl Interner {
    /// The number of a name, now and later.
    pub fn number(&mut self, name: &[u8]) -> u16 {
        if let Some(last) = self.last
            && *self.names[usize::from(last)] == *name
        {
            return last;
        }
        let number = match self.numbers.get(name) {
            Some(number) => *number,
            None => self.add(name),
        };
        self.last = Some(number);
        number
    }

    /// The name of a number.
    pub fn name(&self, number: u16) -> &[u8] {
        self.names.get(usize::from(number)).map_or(b"", |name| name)
    }

    fn add(&mut self, name: &[u8]) -> u16 {
        let next = self.names.len().min(MOST);
        let number = u16::try_from(next).unwrap_or(u16::MAX);
        if next < MOST {
            self.names.push(name.into());
            self.numbers.insert(name.into(), number);
        } else if self.names.len() == MOST {
            self.names.push(Box::default());
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_number() {
        let mut interner = Interner::default();
        assert_eq!(interner.number(b"a"), 0);
        assert_eq!(interner.number(b"b"), 1);
        assert_eq!(interner.number(b"a"), 0);
        for n in 0..2 * MOST {
            interner.number(n.to_string().as_bytes());
        }
        assert_eq!(interner.number(b"b"), 1);
        assert_eq!(interner.name(1), b"b");
        assert_eq!(interner.number(b"new"), interner.number(b"newer"));
    }
}
