//! Finds generated passwords in any bytes: as text in UTF-8, UTF-16 and UTF-32, in base64 (also
//! twice, and together with a username, as in AUTH PLAIN), in hexadecimal, and with an escaped
//! underscore. One pass looks for the prefix in each of these codings; only what follows it is
//! decoded, and the checksum decides. So it makes no difference what stands before and after.

use std::iter;

use aho_corasick::{AhoCorasick, Input, MatchKind};

use super::password::FoundPassword;

/// The most bytes of one password in any coding, with line breaks: pieces that are
/// searched one after the other overlap by as many.
pub const LONGEST: usize = 512;

/// Searches for passwords.
pub struct PasswordSearch {
    prefixes: AhoCorasick,
    codings: Vec<Coding>,
}

/// A password, and where it is.
#[derive(Debug)]
pub struct FoundAt {
    /// Where its prefix begins, in bytes.
    pub at: usize,
    /// Whether each character takes several bytes, of which all but one are zero.
    pub wide: bool,
    /// The password.
    pub password: FoundPassword,
}

/// How the prefix looks in one coding, and how what begins with it is decoded.
struct Coding {
    /// What is searched for: those bytes that are the same in every password.
    prefix: Vec<u8>,
    /// From the outermost; none for text in UTF-8.
    steps: Vec<Step>,
    /// How many characters of the prefix are lost at the beginning of the decoded text: they
    /// share a byte with what stands before.
    lost: usize,
}

/// One step of decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// One byte of several is the character, after some to skip.
    Wide { unit: usize, skip: usize },
    /// Six bits in each character, after some bits to skip.
    Base64 { skip: usize },
    /// Four bits in each character.
    Hex,
}

/// How the underscore is written in URLs, mail, HTML, JSON, Markdown and source text.
const UNDERSCORES: [&[u8]; 9] = [
    b"_",
    b"\\_",
    b"%5F",
    b"%5f",
    b"=5F",
    b"&#95;",
    b"&lowbar;",
    b"\\u005f",
    b"\\x5f",
];

impl Default for PasswordSearch {
    fn default() -> Self {
        let codings = codings();
        let prefixes = codings.iter().map(|coding| &coding.prefix);
        let prefixes = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .build(prefixes);
        // It fails if there are too many patterns, of which there are about twenty.
        let prefixes = prefixes.unwrap_or_else(|error| unreachable!("{error}"));
        Self { prefixes, codings }
    }
}

impl PasswordSearch {
    /// Calls `each` for every password whose prefix begins before `end`.
    pub fn each(&self, bytes: &[u8], end: usize, each: &mut dyn FnMut(FoundAt)) {
        let mut from = 0;
        while let Some(found) = self.prefixes.find(Input::new(bytes).range(from..)) {
            let at = found.start();
            if at >= end {
                break;
            }
            from = at + 1;
            let coding = &self.codings[found.pattern()];
            let coded = &bytes[at..bytes.len().min(at + LONGEST)];
            if let Some(password) = coding.decode(coded) {
                let wide = matches!(coding.steps.first(), Some(Step::Wide { .. }));
                each(FoundAt { at, wide, password });
            }
        }
    }
}

impl Coding {
    fn decode(&self, coded: &[u8]) -> Option<FoundPassword> {
        if self.steps.is_empty() {
            return in_text(coded);
        }
        let first: Box<dyn Iterator<Item = u8>> = Box::new(coded.iter().copied());
        let mut text = self
            .steps
            .iter()
            .fold(first, |text, step| step.decode(text));
        let prefix = &FoundPassword::PREFIX.as_bytes()[self.lost..];
        let is_whole = prefix.iter().all(|byte| text.next() == Some(*byte));
        is_whole.then(|| FoundPassword::after_prefix(text))?
    }

    /// The same text in base64, where `before` bytes stand before it in its group of three.
    fn in_base64(&self, before: usize) -> Self {
        let bytes: Vec<u8> = iter::repeat_n(0, before)
            .chain(self.prefix.iter().copied())
            .collect();
        // Characters that have no bit of what stands before or after.
        let begin = (before * 8).div_ceil(6);
        let end = bytes.len() * 8 / 6;
        let encoded = data_encoding::BASE64.encode(&bytes);
        let bytes_lost = (begin * 6).saturating_sub(before * 8).div_ceil(8);
        let skip = (before + bytes_lost) * 8 - begin * 6;
        let (inner, lost) = shifted(&self.steps, self.lost, bytes_lost);
        Self {
            prefix: encoded.as_bytes()[begin..end].to_vec(),
            steps: iter::once(Step::Base64 { skip }).chain(inner).collect(),
            lost,
        }
    }
}

/// Returns the steps for a text of which the first bytes are missing.
fn shifted(steps: &[Step], lost: usize, missing: usize) -> (Vec<Step>, usize) {
    let Some((first, rest)) = steps.split_first() else {
        return (Vec::new(), lost + missing);
    };
    let (first, then_missing) = match *first {
        Step::Wide { unit, skip } => {
            let fewer = missing.saturating_sub(skip).div_ceil(unit);
            let skip = skip + fewer * unit - missing;
            (Step::Wide { unit, skip }, fewer)
        }
        Step::Base64 { skip } => {
            let bits = missing * 6;
            let fewer = bits.saturating_sub(skip).div_ceil(8);
            let skip = skip + fewer * 8 - bits;
            (Step::Base64 { skip }, fewer)
        }
        // Never within another coding.
        Step::Hex => (Step::Hex, missing),
    };
    let (rest, lost) = shifted(rest, lost, then_missing);
    (iter::once(first).chain(rest).collect(), lost)
}

/// All codings. Passwords in base64 within UTF-16 and the like are rare enough to be left out.
fn codings() -> Vec<Coding> {
    let plain = Coding {
        prefix: FoundPassword::PREFIX.into(),
        steps: Vec::new(),
        lost: 0,
    };
    let wide = |unit: usize| {
        let mut prefix: Vec<u8> = plain
            .prefix
            .iter()
            .flat_map(|byte| wide(*byte, unit))
            .collect();
        // Big-endian text has the zeros before a character.
        prefix.truncate(prefix.len() - (unit - 1));
        Coding {
            prefix,
            steps: vec![Step::Wide { unit, skip: 0 }],
            lost: 0,
        }
    };
    let hex = |prefix: String| Coding {
        prefix: prefix.into(),
        steps: vec![Step::Hex],
        lost: 0,
    };
    let in_base64 = |coding: &Coding| [0, 1, 2].map(|before| coding.in_base64(before));
    let once = in_base64(&plain);
    let twice = once.iter().flat_map(in_base64).collect::<Vec<_>>();
    let text = Coding {
        prefix: FoundPassword::PREFIX.trim_end_matches('_').into(),
        steps: Vec::new(),
        lost: 0,
    };
    let mut all = vec![
        text,
        wide(2),
        wide(4),
        hex(data_encoding::HEXLOWER.encode(&plain.prefix)),
        hex(data_encoding::HEXUPPER.encode(&plain.prefix)),
    ];
    all.extend(once);
    all.extend(twice);
    all.extend(in_base64(&wide(2)));
    all
}

fn wide(byte: u8, unit: usize) -> impl Iterator<Item = u8> {
    iter::once(byte).chain(iter::repeat_n(0, unit - 1))
}

impl Step {
    fn decode<'a>(
        self,
        coded: Box<dyn Iterator<Item = u8> + 'a>,
    ) -> Box<dyn Iterator<Item = u8> + 'a> {
        match self {
            Self::Wide { unit, skip } => Box::new(narrowed(coded, unit, skip)),
            Self::Base64 { skip } => Box::new(of_base64(coded, skip)),
            Self::Hex => Box::new(joined(coded.map_while(hex_value), 4, 0)),
        }
    }
}

/// Decodes text in UTF-8: the underscore may be escaped, and quoted-printable breaks lines.
fn in_text(coded: &[u8]) -> Option<FoundPassword> {
    let mut rest = coded.get(FoundPassword::PREFIX.len() - 1..)?;
    let escaped = UNDERSCORES
        .iter()
        .find(|escaped| rest.starts_with(escaped))?;
    rest = &rest[escaped.len()..];
    FoundPassword::after_prefix(iter::from_fn(|| {
        for line_break in [&b"=\r\n"[..], b"=\n"] {
            rest = rest.strip_prefix(line_break).unwrap_or(rest);
        }
        let (first, after) = rest.split_first()?;
        rest = after;
        Some(*first)
    }))
}

/// Returns every byte of several, as long as the others are zero.
fn narrowed(coded: impl Iterator<Item = u8>, unit: usize, skip: usize) -> impl Iterator<Item = u8> {
    let units = coded.skip(skip).enumerate();
    let units = units.map_while(move |(i, byte)| {
        let is_character = i % unit == 0;
        (is_character || byte == 0).then_some((is_character, byte))
    });
    units.filter_map(|(is_character, byte)| is_character.then_some(byte))
}

/// Decodes base64 of both alphabets. Skips line breaks, also escaped ones, and the indentation
/// of the next line.
fn of_base64(coded: impl Iterator<Item = u8>, skip: usize) -> impl Iterator<Item = u8> {
    let mut coded = coded.peekable();
    let mut is_new_line = false;
    let values = iter::from_fn(move || {
        loop {
            let byte = coded.next()?;
            match byte {
                b'\r' | b'\n' => is_new_line = true,
                b'\\' if coded.next_if(|next| b"rn".contains(next)).is_some() => {
                    is_new_line = true;
                }
                b' ' | b'\t' if is_new_line => {}
                _ => {
                    is_new_line = false;
                    return base64_value(byte);
                }
            }
        }
    });
    joined(values, 6, skip)
}

/// Makes bytes of values that have a few bits each, after some bits to skip.
fn joined(
    mut values: impl Iterator<Item = u8>,
    bits: usize,
    mut skip: usize,
) -> impl Iterator<Item = u8> {
    let (mut gathered, mut held) = (0_u32, 0);
    iter::from_fn(move || {
        while held < 8 + skip {
            gathered = gathered << bits | u32::from(values.next()?);
            held += bits;
            if skip > 0 && held >= skip {
                held -= skip;
                skip = 0;
                gathered &= (1 << held) - 1;
            }
        }
        held -= 8;
        let byte = gathered >> held;
        gathered &= (1 << held) - 1;
        u8::try_from(byte).ok()
    })
}

fn base64_value(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    })
}

fn hex_value(byte: u8) -> Option<u8> {
    Some(match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
