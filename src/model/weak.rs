//! Chosen passwords that guessing programs try first.

use zxcvbn::zxcvbn;

use super::name::Username;

/// As a power of ten: a password that fewer guesses find is weak. Twelve random
/// letters need more.
const TOO_FEW_GUESSES: f64 = 11.0;
/// In characters. zxcvbn is slow with long texts and overflows with very long ones; a
/// password is as strong as its strongest part.
const LOOKED_AT: usize = 25;
/// Four words chosen at random, and then published: <https://xkcd.com/936/>.
const FAMOUS: &str = "correcthorsebatterystaple";
/// Words of the field that no list of common words has.
const OF_THE_TRADE: [&str; 8] = [
    "smtp",
    "smtpcred",
    "mail",
    "email",
    "relay",
    "postfix",
    "wordpress",
    "smarthost",
];
/// In characters: shorter ones occur in nearly every text.
const WORD: usize = 3;

/// Returns whether it is too easy to guess for someone who knows its user.
pub fn is_guessable(password: &str, user: &Username, label: Option<&str>) -> bool {
    let domain = user.domain();
    let label = label.unwrap_or_default();
    let names = [user.as_str(), user.local_part(), domain.as_str(), label];
    let words = names
        .into_iter()
        .flat_map(|name| name.split(|c: char| !c.is_alphanumeric()));
    let known: Vec<&str> = names
        .into_iter()
        .chain(words)
        .chain([FAMOUS])
        .chain(OF_THE_TRADE)
        .filter(|word| word.chars().count() >= WORD)
        .collect();
    let mut rest = password;
    while !rest.is_empty() {
        let end = rest
            .char_indices()
            .nth(LOOKED_AT)
            .map_or(rest.len(), |(at, _)| at);
        let (part, after) = rest.split_at(end);
        if zxcvbn(part, &known).guesses_log10() >= TOO_FEW_GUESSES {
            return false;
        }
        rest = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_first_is_refused() {
        let user: Username = "shop@example.com".parse().unwrap();
        let label = Some("Contact form");
        for bad in [
            "P@ssw0rd1234",
            "Summer2026!!",
            "Welcome2026!!",
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
            "contactform2026!",
            "Example2026!!",
            "987654321098",
            "abcdefghijkl",
            "welcome-admin-1",
            "Passwort1234!",
            "Wordpress2026!",
            &"a".repeat(256),
            &"1qaz2wsx".repeat(32),
            &"78963214".repeat(32),
        ] {
            assert!(is_guessable(bad, &user, label), "{bad}");
        }
        for good in [
            "vague-Otter-61-harbour",
            "Xk3!vT9q#mZ2p",
            "smtpc_7Hk2mPq9",
            "nine tall ships at dawn",
            "uX4pQz8LmW2c",
            &format!("{}Xk3!vT9q#mZ2p", "a".repeat(100)),
        ] {
            assert!(!is_guessable(good, &user, label), "{good}");
        }
    }
}
