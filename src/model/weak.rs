//! Chosen passwords that guessing programs try first.
//!
//! No substitute for a generated one: it refuses what is certainly bad, and
//! says why.

use super::name::Username;
use zeroize::Zeroizing;

/// Words that long weak passwords are made of, lower case.
const WORDS: [&str; 34] = [
    "password",
    "passwort",
    "passwd",
    "qwerty",
    "qwertz",
    "azerty",
    "asdfgh",
    "zxcvbn",
    "letmein",
    "welcome",
    "admin",
    "administrator",
    "root",
    "secret",
    "geheim",
    "changeme",
    "default",
    "login",
    "master",
    "monkey",
    "dragon",
    "iloveyou",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "superman",
    "trustno",
    "postmaster",
    "mailserver",
    "smtp",
    "test",
    "correcthorsebatterystaple",
    "uiop",
];
/// Rows that fingers run along.
const RUNS: [&str; 7] = [
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "qwertzuiop",
    "azertyuiop",
    "asdfghjkl",
    "zxcvbnm",
];
/// Fewer different characters than this are a pattern.
const MIN_DISTINCT: usize = 6;
/// So many characters must be left when everything guessable is taken out.
const MIN_LEFT: usize = 6;

pub fn reason(password: &str, user: &Username) -> Option<&'static str> {
    let mut left = Zeroizing::new(password.to_lowercase());
    let distinct = left
        .char_indices()
        .filter(|(i, c)| !left[..*i].contains(*c))
        .count();
    if distinct < MIN_DISTINCT {
        return Some("it repeats too few different characters");
    }
    let domain = user.domain();
    let own_parts = [user.local_part(), domain.as_str()]
        .into_iter()
        .chain(domain.as_str().split('.'));
    if take_out(&mut left, own_parts) < MIN_LEFT {
        return Some("it is little more than the username");
    }
    take_out(&mut left, WORDS.into_iter());
    take_out_runs(&mut left);
    if left.chars().filter(|c| c.is_alphanumeric()).count() < MIN_LEFT {
        return Some("it is made of words and rows of keys that are tried first");
    }
    None
}

/// Removes each part, and says how many characters are left.
fn take_out<'a>(text: &mut Zeroizing<String>, parts: impl Iterator<Item = &'a str>) -> usize {
    for part in parts.filter(|part| part.len() > 2) {
        *text = Zeroizing::new(text.replace(part, ""));
    }
    text.chars().count()
}

/// Removes four or more neighbours of a row, forwards or backwards.
fn take_out_runs(text: &mut Zeroizing<String>) {
    const SHORTEST: usize = 4;
    for run in RUNS {
        let reversed: String = run.chars().rev().collect();
        for row in [run, &reversed] {
            for length in (SHORTEST..=row.len()).rev() {
                let parts = (0..=row.len() - length).map(|from| &row[from..from + length]);
                take_out(text, parts);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_first_is_refused() {
        let user: Username = "shop@example.com".parse().unwrap();
        for bad in [
            "aaaaaaaaaaaa",
            "abababababab",
            "123456789012",
            "password1234",
            "Password!2026",
            "qwertyuiop123",
            "adminadmin123",
            "correcthorsebatterystaple",
            "shop@example.com",
            "shopexample12",
            "987654321098",
            "abcdefghijkl",
            "welcome-admin-1",
        ] {
            assert!(reason(bad, &user).is_some(), "{bad}");
        }
        for good in [
            "vague-Otter-61-harbour",
            "Xk3!vT9q#mZ2p",
            "smtpc_7Hk2mPq9",
            "nine tall ships at dawn",
        ] {
            assert_eq!(reason(good, &user), None, "{good}");
        }
    }
}
