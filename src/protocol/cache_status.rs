//! An extension of the authentication protocol for `smtpcred doctor`, which asks how many
//! passwords serve remembers. Mail servers do not use it.

use crate::model::cache_status::CacheStatus;
use crate::model::text::number;

/// The command.
pub const REMEMBERING: &str = "X-SMTPCRED-REMEMBERING";

/// Formats the answer.
pub fn answer(state: &CacheStatus) -> String {
    let CacheStatus {
        passwords,
        used,
        most,
        crowded,
        hashes,
    } = state;
    format!("{REMEMBERING}\t{passwords}\t{used}\t{most}\t{crowded}\t{hashes}\n")
}

/// Finds the answer in a server's output.
pub fn read(text: &str) -> Option<CacheStatus> {
    let mut lines = text.split_terminator('\n');
    let fields = lines.find_map(|line| line.strip_prefix(REMEMBERING)?.strip_prefix('\t'))?;
    let mut numbers = fields.split('\t').map(number);
    let mut next = || numbers.next().flatten();
    Some(CacheStatus {
        passwords: next()?,
        used: next()?,
        most: next()?,
        crowded: next()?,
        // Earlier versions do not give it.
        hashes: next().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::auth::greeting;
    use super::*;

    #[test]
    fn what_is_remembered_is_read_as_it_is_written() {
        let state = CacheStatus {
            passwords: 1,
            used: 20,
            most: 0,
            crowded: u64::MAX,
            hashes: 3,
        };
        let said = greeting(42, 1, 7) + &answer(&state);
        assert_eq!(read(&said), Some(state));
        assert_eq!(read(&greeting(42, 1, 7)), None);
        assert_eq!(read(&said[..said.len() - 26]), None);
    }
}
