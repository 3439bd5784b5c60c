//! Texts compared line by line: a diff for people, and a change applied to a text that was
//! edited meanwhile. Pure.

use std::ops::Range;

/// The lines around a difference that are shown.
const AROUND: usize = 2;
/// The most cells of the table that finds common lines: a larger difference is one piece.
const MOST: usize = 4_000_000;

/// A piece of one text that another one has in its place, in lines.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hunk {
    old: Range<usize>,
    new: Range<usize>,
}

/// A text after a change was applied to it.
#[derive(Debug, PartialEq, Eq)]
pub struct Merged {
    /// The text.
    pub text: String,
    /// The lines of it that stay although the change concerns them: they were edited.
    pub kept: Vec<String>,
}

/// Splits a text into lines with their ends, so that joined they are the text again.
fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// Returns the differences in order.
fn hunks(old: &[&str], new: &[&str]) -> Vec<Hunk> {
    let same = |a: &&str, b: &&str| a == b;
    let head = old.iter().zip(new).take_while(|(a, b)| same(a, b)).count();
    let (rest_old, rest_new) = (&old[head..], &new[head..]);
    let tail = rest_old
        .iter()
        .rev()
        .zip(rest_new.iter().rev())
        .take_while(|(a, b)| same(a, b))
        .count();
    let a = &rest_old[..rest_old.len() - tail];
    let b = &rest_new[..rest_new.len() - tail];
    if a.is_empty() && b.is_empty() {
        return Vec::new();
    }
    if (a.len() + 1).saturating_mul(b.len() + 1) > MOST {
        return vec![Hunk {
            old: head..head + a.len(),
            new: head..head + b.len(),
        }];
    }
    let width = b.len() + 1;
    // The longest common subsequence of what follows each pair of places.
    let mut common = vec![0_u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i * width + j] = if a[i] == b[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let mut found: Vec<Hunk> = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            (i, j) = (i + 1, j + 1);
            continue;
        }
        let (from_i, from_j) = (i, j);
        while (i < a.len() || j < b.len()) && !(i < a.len() && j < b.len() && a[i] == b[j]) {
            let drops = i < a.len()
                && (j == b.len() || common[(i + 1) * width + j] >= common[i * width + j + 1]);
            if drops {
                i += 1;
            } else {
                j += 1;
            }
        }
        found.push(Hunk {
            old: head + from_i..head + i,
            new: head + from_j..head + j,
        });
    }
    found
}

/// Returns the lines that differ, with some around them: `-` before the old ones, `+` before
/// the new ones.
pub fn shown(old: &str, new: &str) -> Vec<String> {
    let (old, new) = (lines(old), lines(new));
    let mut shown = Vec::new();
    let mut done = 0;
    let bare = |sign: char, line: &str| format!("{sign}{}", line.trim_end_matches('\n'));
    let found = hunks(&old, &new);
    for (at, hunk) in found.iter().enumerate() {
        let from = hunk.old.start.saturating_sub(AROUND).max(done);
        if from > done || at == 0 {
            shown.push(format!("@@ line {} @@", from + 1));
        }
        shown.extend(old[from..hunk.old.start].iter().map(|line| bare(' ', line)));
        shown.extend(old[hunk.old.clone()].iter().map(|line| bare('-', line)));
        shown.extend(new[hunk.new.clone()].iter().map(|line| bare('+', line)));
        let next = found.get(at + 1).map_or(old.len(), |next| next.old.start);
        done = (hunk.old.end + AROUND).min(next);
        shown.extend(old[hunk.old.end..done].iter().map(|line| bare(' ', line)));
    }
    shown
}

/// Applies the change from `base` to `wanted` to a text that was `base` and was edited since.
/// Where both changed the same lines, the edit stays.
pub fn merge(base: &str, current: &str, wanted: &str) -> Merged {
    let (base, current, wanted) = (lines(base), lines(current), lines(wanted));
    let edits = hunks(&base, &current);
    let mut text = String::new();
    let mut kept = Vec::new();
    // Where in `base` and `current` the text is.
    let (mut at, mut there) = (0, 0);
    let mut edits = edits.into_iter().peekable();
    let changes = hunks(&base, &wanted);
    for change in changes
        .into_iter()
        .flat_map(|change| by_entry(&base, change))
    {
        while let Some(edit) = edits.next_if(|edit| is_before(edit, &change)) {
            text.extend(base[at..edit.old.start].iter().copied());
            text.extend(current[edit.new.clone()].iter().copied());
            (at, there) = (edit.old.end, edit.new.end);
        }
        // Edits that touch it.
        let mut end = change.old.end.max(at);
        // An edit of the entry before may have gone on into this one.
        let mut touched = change.old.start < at;
        while let Some(edit) = edits.next_if(|edit| touches(edit, &change)) {
            touched = true;
            end = end.max(edit.old.end);
            let until = there + (edit.old.start - at);
            // What comes before the edit is unchanged.
            text.extend(current[there..until].iter().copied());
            text.extend(current[edit.new.clone()].iter().copied());
            kept.extend(
                current[edit.new.clone()]
                    .iter()
                    .map(|line| line.trim().to_owned()),
            );
            (at, there) = (edit.old.end, edit.new.end);
        }
        if touched {
            text.extend(base[at..end].iter().copied());
        } else {
            text.extend(base[at..change.old.start].iter().copied());
            text.extend(wanted[change.new.clone()].iter().copied());
        }
        there += end - at;
        at = end;
    }
    for edit in edits {
        text.extend(base[at..edit.old.start].iter().copied());
        text.extend(current[edit.new.clone()].iter().copied());
        at = edit.old.end;
    }
    text.extend(base[at..].iter().copied());
    Merged { text, kept }
}

/// Splits lines that go into entries, each with the indented lines that continue it: an edit
/// of one entry keeps no other.
fn by_entry(base: &[&str], change: Hunk) -> Vec<Hunk> {
    if !change.new.is_empty() {
        return vec![change];
    }
    let begins = |at: &usize| !base[*at].starts_with([' ', '\t']);
    let mut from = change.old.start;
    let mut entries = Vec::new();
    for at in change.old.clone().filter(begins).chain([change.old.end]) {
        if at > from {
            entries.push(Hunk {
                old: from..at,
                new: change.new.clone(),
            });
            from = at;
        }
    }
    entries
}

/// Returns whether an edit ends before a change begins.
const fn is_before(edit: &Hunk, change: &Hunk) -> bool {
    if change.old.start == change.old.end {
        // Both insert at the same place, or one after the other.
        return edit.old.end <= change.old.start && edit.old.start < change.old.start;
    }
    edit.old.end <= change.old.start
}

const fn touches(edit: &Hunk, change: &Hunk) -> bool {
    edit.old.start < change.old.end
        || edit.old.start == change.old.start && change.old.start == change.old.end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(base: &str, current: &str, wanted: &str) -> (String, Vec<String>) {
        let spread = |text: &str| text.chars().flat_map(|c| [c, '\n']).collect::<String>();
        let merged = merge(&spread(base), &spread(current), &spread(wanted));
        (merged.text.replace('\n', ""), merged.kept)
    }

    #[test]
    fn a_change_is_taken_back_around_edits() {
        for (base, current, wanted, text, kept) in [
            // Not edited.
            ("abcXYd", "abcXYd", "abcd", "abcd", ""),
            ("aXc", "aXc", "abc", "abc", ""),
            // Edited elsewhere.
            ("abcXYd", "1abcXYd2", "abcd", "1abcd2", ""),
            ("abcXYd", "bcXYd", "abcd", "bcd", ""),
            ("abcdXe", "aBcdXe", "abcde", "aBcde", ""),
            ("aXbcd", "aXbcD", "abcd", "abcD", ""),
            // The same lines.
            ("abcXYd", "abcXZd", "abcd", "abcZd", "Z"),
            ("aXc", "aZc", "abc", "aZc", "Z"),
            ("aXYZc", "aXY2Zc", "ac", "a2c", ""),
            // Removed already.
            ("abcXYd", "abcd", "abcd", "abcd", ""),
            ("ab", "", "a", "", ""),
            ("", "new", "", "new", ""),
            // Two changes, one of them edited.
            ("aXbcdYe", "aXbcdZe", "abcde", "abcdZe", "Z"),
        ] {
            let kept: Vec<_> = kept.chars().map(String::from).collect();
            assert_eq!(
                merged(base, current, wanted),
                (text.to_owned(), kept),
                "{base} {current} {wanted}"
            );
        }
    }

    #[test]
    fn an_edited_entry_keeps_no_other() {
        let entry = |name: &str, option: &str| format!("{name} inet\n  -o {option}\n  -o b\n");
        let [head, tail] = ["head\n", "tail\n"].map(str::to_owned);
        let whole =
            |option: &str| head.clone() + &entry("one", "a") + &entry("two", option) + &tail;
        let merged = merge(&whole("a"), &whole("z"), &(head.clone() + &tail));
        assert_eq!(merged.text, head.clone() + &entry("two", "z") + &tail);
        assert_eq!(merged.kept, ["-o z"]);
    }

    #[test]
    fn differences_are_shown_with_their_surroundings() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        assert_eq!(shown(old, old), [""; 0]);
        let new = old.replace("4\n", "four\n") + "10";
        assert_eq!(
            shown(old, &new),
            [
                "@@ line 2 @@",
                " 2",
                " 3",
                "-4",
                "+four",
                " 5",
                " 6",
                "@@ line 8 @@",
                " 8",
                " 9",
                "+10"
            ]
        );
        assert_eq!(shown("", "a\n"), ["@@ line 1 @@", "+a"]);
    }
}
