//! Where lines break.

use std::borrow::Cow;

use super::column::width_of;

/// In place of a space at which no line breaks.
const JOINT: char = '\u{e000}';

/// Wraps between words: a longer one is never broken, so that it can be copied.
pub(super) fn pieces(line: &str, width: Option<usize>) -> Vec<Cow<'_, str>> {
    let Some(width) = width.filter(|width| width_of(line) > *width) else {
        return vec![Cow::Borrowed(line)];
    };
    let joined = joined(line, width);
    let lines = textwrap::wrap(&joined, words(width)).into_iter();
    lines
        .map(|line| Cow::Owned(line.replace(JOINT, " ")))
        .collect()
}

/// Wraps like [`pieces`], and breaks the words that are wider: beside other columns they would run
/// past the end of the line.
pub(super) fn broken(line: &str, width: usize) -> Vec<Cow<'_, str>> {
    if width == 0 || width_of(line) <= width {
        return vec![Cow::Borrowed(line)];
    }
    let mut lines = Vec::new();
    for piece in pieces(line, Some(width)) {
        let mut rest = piece.as_ref();
        while let Some((first, more)) = split_at_width(rest, width) {
            lines.push(Cow::Owned(first.to_owned()));
            rest = more;
        }
        lines.push(Cow::Owned(rest.to_owned()));
    }
    lines
}

/// Returns what fits, at least a character, and the rest. `None` if all fits.
fn split_at_width(text: &str, width: usize) -> Option<(&str, &str)> {
    if width_of(text) <= width {
        return None;
    }
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    // Marks above a letter have no width: they stay with it.
    let fits = ends
        .clone()
        .take_while(|&at| width_of(&text[..at]) <= width);
    let at = fits.last().or_else(|| ends.clone().next())?;
    Some(text.split_at(at)).filter(|(_, rest)| !rest.is_empty())
}

/// Joins the words of a field, `label=Web shop`, and those of a time, `3 Dec 05:21 +01:00`, if
/// they fit on a line. A field whose value then does not fit may continue after its name.
fn joined(line: &str, width: usize) -> String {
    let typed: Vec<&str> = line.split(' ').collect();
    let has_fields = typed.first().is_some_and(|first| field(first).is_some());
    let fits = |words: &[&str]| width_of(&words.join(" ")) <= width;
    let mut words = Vec::new();
    for (at, &word) in typed.iter().enumerate() {
        let whole = &typed[at..at + words_of_time(&typed[at..])];
        match field(word) {
            Some((name, value)) if has_fields && !fits(whole) => words.extend([name, value]),
            _ => words.push(word),
        }
    }
    let mut joined = String::with_capacity(line.len());
    let mut rest = words.as_slice();
    while !rest.is_empty() {
        let others = rest.iter().skip(1);
        let values = others.take_while(|word| field(word).is_none()).count();
        let of_field = if has_fields { 1 + values } else { 1 };
        let length = [of_field, words_of_time(rest)]
            .into_iter()
            .find(|&length| length > 1 && fits(&rest[..length]))
            .unwrap_or(1);
        let (together, others) = rest.split_at(length);
        joined.push_str(&together.join(&JOINT.to_string()));
        if !others.is_empty() {
            joined.push(' ');
        }
        rest = others;
    }
    joined
}

/// Returns the name of a field with its `=`, and the first word of its value.
pub(super) fn field(word: &str) -> Option<(&str, &str)> {
    let at = word.find('=')?;
    let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    (at > 0 && is_name(&word[..at])).then(|| word.split_at(at + 1))
}

/// Returns how many of these words are a time, as people get it: `Thu 3 Dec 2026 05:21 +01:00`.
/// At least one word.
fn words_of_time(words: &[&str]) -> usize {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let number = |word: &str, lengths: &[usize]| {
        lengths.contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit())
    };
    // A time may be the value of a field, and end a part of a sentence.
    let bare = |at: usize| {
        let word: &str = words.get(at).copied().unwrap_or_default();
        let value = field(word).filter(|_| at == 0);
        value
            .map_or(word, |(_, value)| value)
            .trim_end_matches([',', ';', ')', '.'])
    };
    let mut at = usize::from(DAYS.contains(&bare(0)));
    if !number(bare(at), &[1, 2]) || !MONTHS.contains(&bare(at + 1)) {
        return 1;
    }
    at += 2;
    at += usize::from(number(bare(at), &[4]));
    let is_clock =
        |word: &str| word.contains(':') && word.starts_with(|c: char| c.is_ascii_digit());
    at += usize::from(is_clock(bare(at)));
    at + usize::from(bare(at).starts_with(['+', '-']) && bare(at).contains(':'))
}

/// Lines of whole words.
fn words(width: usize) -> textwrap::Options<'static> {
    textwrap::Options::new(width)
        .break_words(false)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .wrap_algorithm(textwrap::WrapAlgorithm::FirstFit)
}

/// Wraps a message for people, whose first line has less room. A command in it stays on one line,
/// so that it can be copied.
pub(super) fn wrap_message(message: &str, before: usize, width: usize) -> String {
    /// A narrower terminal wraps by itself.
    const NARROWEST: usize = 20;
    let fits = before + width_of(message) <= width;
    if fits || width < NARROWEST || message.contains(JOINT) {
        return message.to_owned();
    }
    let mut joined = String::with_capacity(message.len());
    let mut in_command = false;
    for word in message.split(' ') {
        if !joined.is_empty() {
            joined.push(if in_command { JOINT } else { ' ' });
        }
        let bare = word.trim_start_matches(['`', '(', '\'']);
        in_command = (in_command || bare == "smtpcred") && !word.ends_with([';', ',', ')', '`']);
        joined.push_str(word);
    }
    let indent = "x".repeat(before);
    let options = words(width).initial_indent(&indent);
    let lines = textwrap::wrap(&joined, options);
    let lines: Vec<_> = lines.iter().map(AsRef::as_ref).collect();
    lines.join("\n")[before..].replace(JOINT, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_wrapped_and_a_command_in_it_stays_whole() {
        let message = "did you mean shop@example.com? If not, list them with: smtpcred user \
            list --domain example.com, or ask";
        assert_eq!(
            wrap_message(message, 6, 40),
            "did you mean shop@example.com? If\nnot, list them with:\n\
             smtpcred user list --domain example.com,\nor ask"
        );
        assert_eq!(wrap_message(message, 6, 10), message);
        assert_eq!(wrap_message(message, 6, 500), message);
        assert_eq!(wrap_message("", 7, 40), "");
    }

    #[test]
    fn a_field_and_a_time_stay_whole_where_they_fit() {
        let set = "label=Office printer old_retires_at=1 Dec 22:22:25 +00:00 password_id=7f";
        assert_eq!(
            pieces(set, Some(40)),
            [
                "label=Office printer",
                "old_retires_at=1 Dec 22:22:25 +00:00",
                "password_id=7f"
            ]
        );
        assert_eq!(
            broken(set, 22),
            [
                "label=Office printer",
                "old_retires_at=",
                "1 Dec 22:22:25 +00:00",
                "password_id=7f"
            ]
        );
        assert_eq!(
            broken(set, 12),
            [
                "label=Office",
                "printer",
                "old_retires_",
                "at=",
                "1 Dec",
                "22:22:25",
                "+00:00",
                "password_id=",
                "7f"
            ]
        );
        assert_eq!(
            pieces(
                "shop  in 35 days, Mon 4 Jan 2027 12:00 +01:00, soon",
                Some(30)
            ),
            ["shop  in 35 days,", "Mon 4 Jan 2027 12:00 +01:00,", "soon"]
        );
    }

    #[test]
    fn only_what_is_wider_than_the_line_is_broken() {
        assert_eq!(broken("one two", 4), ["one", "two"]);
        assert_eq!(broken("a/long/path is", 6), ["a/long", "/path", "is"]);
        assert_eq!(broken("会計システム", 5), ["会計", "シス", "テム"]);
        assert_eq!(broken("会計", 1), ["会", "計"]);
        assert_eq!(broken("e\u{301}e\u{301}", 1), ["e\u{301}", "e\u{301}"]);
        assert_eq!(broken("xx", 0), ["xx"]);
    }
}
