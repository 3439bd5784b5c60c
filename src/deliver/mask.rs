//! Masks the passwords in the output of a delivery: the new one, what its files held
//! before, and everything that looks like a generated password. An old password may still
//! be live, and `diff old new` prints both.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::model::password::{PasswordId, PasswordKind, classify, generated_form_in};

const MASK: &str = "********";
/// Replaces each byte of a secret; a terminal shows no NUL.
const HIDDEN: char = '\0';
/// The shortest text that is masked, in bytes: shorter text occurs everywhere.
const SHORTEST: usize = 6;

/// The secrets of one delivery.
#[derive(Default)]
pub struct Mask {
    /// The longest first: one may be part of another.
    secrets: Vec<Zeroizing<String>>,
    /// Identifies the replaced password, whose short form has no prefix.
    old_password_id: Option<PasswordId>,
}

impl Mask {
    /// Masks a password and each line of `before`, the contents of files or variables.
    pub fn new(
        password: &str,
        before: &[Zeroizing<Vec<u8>>],
        old_password_id: Option<PasswordId>,
    ) -> Self {
        let mut secrets = Vec::new();
        let mut add = |secret: &str| {
            let in_base64 = |text: &str| Zeroizing::new(STANDARD.encode(text));
            let line = Zeroizing::new(format!("{secret}\n"));
            secrets.push(in_base64(secret));
            secrets.push(in_base64(&line));
            secrets.push(Zeroizing::new(secret.to_owned()));
        };
        add(password);
        // Without its prefix, which may be encoded (`smtpc%5F`) or missing.
        if let Some((_, body)) = password.split_once('_') {
            add(body);
        }
        for text in before {
            // Decoded as the output is.
            let text = Zeroizing::new(String::from_utf8_lossy(text).into_owned());
            let lines = text.lines().map(str::trim);
            lines
                .filter(|line| line.len() >= SHORTEST)
                .for_each(&mut add);
        }
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self {
            secrets,
            old_password_id,
        }
    }

    /// Masks a text and returns its first `shown` bytes. It is cut after masking, so that no
    /// part of a password remains at the end.
    pub fn apply(&self, text: &str, shown: usize) -> String {
        let mut text = Zeroizing::new(text.to_owned());
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                text = Zeroizing::new(text.replace(secret.as_str(), &hidden(secret)));
            }
        }
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let words = text.split_inclusive(|c| !is_part(c));
        let mut masked: String = words
            .map(|word| {
                let whole = word.trim_end_matches(|c| !is_part(c));
                match self.begins(whole) {
                    Some(at) => word.replace(&whole[at..], &hidden(&whole[at..])),
                    None => word.to_owned(),
                }
            })
            .collect();
        masked.truncate(
            (0..=shown)
                .rev()
                .find(|at| masked.is_char_boundary(*at))
                .unwrap_or(0),
        );
        collapsed(&masked)
    }

    /// Returns where in this word a password begins, if anywhere.
    fn begins(&self, word: &str) -> Option<usize> {
        let is_old = || self.old_password_id.is_some() && self.old_password_id == id_of(word);
        generated_form_in(word).or_else(|| is_old().then_some(0))
    }
}

/// Keeps the length, so that the text after it does not move.
fn hidden(secret: &str) -> String {
    HIDDEN.to_string().repeat(secret.len())
}

/// Replaces each run of hidden bytes by one mask, which hides its length.
fn collapsed(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    let mut was_hidden = false;
    for c in text.chars() {
        if c != HIDDEN {
            short.push(c);
        } else if !was_hidden {
            short.push_str(MASK);
        }
        was_hidden = c == HIDDEN;
    }
    short
}

fn id_of(word: &str) -> Option<PasswordId> {
    match classify(word.as_bytes()) {
        PasswordKind::Generated(password_id) => Some(password_id),
        PasswordKind::Mistyped | PasswordKind::Chosen => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::password::{Form, Password};

    const NEW: &str = "smtpc_2222222222222222222222222222222222";
    const OLD: &str = "smtpc_abcdefghijkmnopqrstuvwxyz23456";

    fn before(texts: &[&str]) -> Vec<Zeroizing<Vec<u8>>> {
        let texts = texts.iter();
        texts
            .map(|text| Zeroizing::new(text.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn every_password_of_ours_is_masked_wherever_it_stands() {
        let mask = Mask::new(NEW, &[], None);
        for (text, shown) in [
            (format!("-P={OLD}"), "-P=********"),
            (
                format!("{OLD} {OLD}\t{NEW};"),
                "******** ********\t********;",
            ),
            (format!("x{OLD}y"), "x********"),
            (format!("smtpc_{OLD}"), "smtpc_********"),
            (
                format!("\u{1b}[31m{OLD}\u{1b}[0m"),
                "\u{1b}[31m********\u{1b}[0m",
            ),
            (format!("é{}é", OLD.to_uppercase()), "é********é"),
            (
                format!("sent {} on", STANDARD.encode(NEW)),
                "sent ******** on",
            ),
            (NEW.replace('_', "%5F"), "smtpc%5F********"),
            (NEW.replace("smtpc_", "set "), "set ********"),
            (
                "smtpc_ is how they begin: smtpc_abc".into(),
                "smtpc_ is how they begin: smtpc_abc",
            ),
            (
                "restarted shop_2 at 10:15".into(),
                "restarted shop_2 at 10:15",
            ),
        ] {
            assert_eq!(mask.apply(&text, 1000), shown, "{text}");
        }
    }

    #[test]
    fn the_previous_contents_of_a_file_are_masked() {
        let mask = Mask::new(
            NEW,
            &before(&["Correct horse\n", "", "no", "a=1\nöld secret"]),
            None,
        );
        assert_eq!(
            mask.apply("Correct horse, öld secret, no, a=1", 1000),
            "********, ********, no, a=1"
        );
    }

    #[test]
    fn no_part_of_a_password_is_left_where_a_line_is_cut() {
        let mask = Mask::new(NEW, &[], None);
        let all = format!("{OLD} ").repeat(20);
        for cut in 0..all.len() {
            let (read, shown) = (&all[..cut], cut.saturating_sub(OLD.len()));
            let masked = mask.apply(read, shown);
            assert!(!masked.contains("smtpc"), "{masked}");
        }
        assert_eq!(mask.apply("ééé", 3), "é");
        assert_eq!(mask.apply("é", 100), "é");
    }

    #[test]
    fn the_short_form_is_known_by_its_key() {
        let random = |bytes: &mut [u8]| {
            bytes.fill(7);
            Ok(())
        };
        let old = Password::generate(Form::Short, random).unwrap();
        let password_id = old.password_id(random).unwrap();
        let mask = Mask::new(NEW, &[], Some(password_id));
        let text = format!("{}: 23456789ABCDEFGHJKLM", old.expose());
        assert_eq!(mask.apply(&text, 1000), "********: 23456789ABCDEFGHJKLM");
    }
}
