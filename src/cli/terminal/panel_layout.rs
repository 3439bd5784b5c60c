//! The lines of the panel, in the rows of a window of any size. They break at spaces; a password
//! or a name breaks only if it is wider than the window.

use zeroize::Zeroizing;

/// A line of the panel. A small window shows the most important ones.
pub struct PanelLine {
    pub priority: Priority,
    name: &'static str,
    /// Whether it has a name in front, which other rows leave empty.
    named: bool,
    text: Zeroizing<String>,
}

/// How important a line is, most important first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    Password,
    Username,
    Question,
    OldPassword,
    Clipboard,
    Title,
    Rest,
}

const BY_PRIORITY: [Priority; 7] = [
    Priority::Password,
    Priority::Username,
    Priority::Question,
    Priority::OldPassword,
    Priority::Clipboard,
    Priority::Title,
    Priority::Rest,
];

/// The columns before a text, and before a value with its name.
const MARGIN: usize = 2;
const INDENT: usize = 16;

/// One row on the screen: no copy of the text.
pub struct PanelRow<'a> {
    /// The name, or spaces.
    pub before: String,
    pub text: &'a str,
}

impl PanelLine {
    /// Creates a line of text.
    pub fn text(priority: Priority, text: &str) -> Self {
        Self {
            priority,
            name: "",
            named: false,
            text: Zeroizing::new(text.to_owned()),
        }
    }

    /// Creates a value with its name.
    pub fn named(priority: Priority, name: &'static str, value: &str) -> Self {
        Self {
            name,
            named: true,
            ..Self::text(priority, value)
        }
    }

    /// Returns whether it is what the panel is about.
    pub fn is_strong(&self) -> bool {
        [Priority::Password, Priority::Title].contains(&self.priority)
    }

    /// Returns it in one piece, in parts to print one after the other.
    pub fn whole(&self) -> [&str; 4] {
        const SPACES: &str = "                ";
        let gap = INDENT - MARGIN - self.name.len();
        match (self.named, self.text.is_empty()) {
            (_, true) => ["", self.name, "", ""],
            (false, _) => [&SPACES[..MARGIN], "", "", &self.text],
            (true, _) => [&SPACES[..MARGIN], self.name, &SPACES[..gap], &self.text],
        }
    }

    /// Returns its rows in a window of this width.
    pub fn rows(&self, columns: usize) -> Vec<PanelRow<'_>> {
        let columns = columns.max(1);
        if !self.named || (self.name.is_empty() && self.text.is_empty()) {
            let margin = if columns > MARGIN * 8 { MARGIN } else { 0 };
            return self.beside(&" ".repeat(margin), margin, columns);
        }
        let label = format!(
            "{:MARGIN$}{:width$}",
            "",
            self.name,
            width = INDENT - MARGIN
        );
        let width = columns.saturating_sub(INDENT);
        if width > 0 && self.longest_word() <= width {
            return self.beside(&label, INDENT, columns);
        }
        if self.longest_word() <= columns {
            // The value in one piece, below its name.
            let margin = MARGIN.min(columns - self.longest_word());
            let mut rows = vec![PanelRow {
                before: label.trim_end().chars().take(columns).collect(),
                text: "",
            }];
            rows.extend(self.beside(&" ".repeat(margin), margin, columns));
            return rows;
        }
        self.chopped(&label, columns)
    }

    fn longest_word(&self) -> usize {
        let words = self.text.split(' ').map(|word| word.chars().count());
        words.max().unwrap_or_default()
    }

    /// Breaks the text at spaces, beside what stands before it.
    fn beside(&self, before: &str, margin: usize, columns: usize) -> Vec<PanelRow<'_>> {
        let mut rows = Vec::new();
        for text in broken(&self.text, columns.saturating_sub(margin).max(1)) {
            let before = if rows.is_empty() {
                before.to_owned()
            } else {
                " ".repeat(margin)
            };
            rows.push(PanelRow { before, text });
        }
        if let [PanelRow { before, text: "" }] = &mut rows[..] {
            before.truncate(before.trim_end().len());
        }
        rows
    }

    /// Breaks a word that is wider than the window.
    fn chopped(&self, label: &str, columns: usize) -> Vec<PanelRow<'_>> {
        let first = columns.saturating_sub(INDENT);
        let (text, mut rest) = split(&self.text, first);
        let before = label.chars().take(columns).collect();
        let mut rows = vec![PanelRow { before, text }];
        while !rest.is_empty() {
            let (text, more) = split(rest, columns);
            rows.push(PanelRow {
                before: String::new(),
                text,
            });
            rest = more;
        }
        rows
    }
}

/// Returns the number of rows that it takes.
pub fn rows_of(line: &PanelLine, columns: usize) -> usize {
    line.rows(columns).len()
}

/// Returns as many lines as fit beside a question of `room` rows, the most important ones first,
/// and whether the question fits. Returns none if not even the password fits: part of one would
/// look like a whole one.
pub fn fitting(
    lines: &[PanelLine],
    (rows, columns): (usize, usize),
    room: usize,
) -> Option<(Vec<&PanelLine>, bool)> {
    BY_PRIORITY.into_iter().rev().find_map(|least| {
        let chosen = lines.iter().filter(|line| line.priority <= least);
        let chosen: Vec<_> = chosen.collect();
        let asks = Priority::Question <= least;
        let taken: usize = chosen.iter().map(|line| rows_of(line, columns)).sum();
        let taken = taken + if asks { room } else { 0 };
        (taken <= rows).then_some((chosen, asks))
    })
}

fn split(text: &str, columns: usize) -> (&str, &str) {
    let end = text.char_indices().nth(columns);
    text.split_at(end.map_or(text.len(), |(at, _)| at))
}

/// Breaks a text at spaces, and a word only if it is wider than a row.
fn broken(text: &str, columns: usize) -> Vec<&str> {
    let mut rows = Vec::new();
    let mut rest = text;
    loop {
        let (row, more) = split(rest, columns);
        if more.is_empty() {
            rows.push(row);
            return rows;
        }
        let space = if more.starts_with(' ') {
            Some(row.len())
        } else {
            row.rfind(' ').filter(|at| *at > 0)
        };
        let end = space.unwrap_or(row.len());
        rows.push(rest[..end].trim_end());
        rest = rest[end..].trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &PanelLine, columns: usize) -> Vec<String> {
        let rows = line.rows(columns);
        rows.iter()
            .map(|row| format!("{}{}", row.before, row.text))
            .collect()
    }

    #[test]
    fn lines_break_at_spaces() {
        let clipboard = PanelLine::named(
            Priority::Clipboard,
            "Clipboard",
            "cleared when you press Enter; paste it first",
        );
        assert_eq!(
            shown(&clipboard, 80),
            ["  Clipboard     cleared when you press Enter; paste it first"]
        );
        assert_eq!(
            shown(&clipboard, 40),
            [
                "  Clipboard     cleared when you press",
                "                Enter; paste it first"
            ]
        );
        let text = PanelLine::text(Priority::Rest, "Only a hash is stored");
        assert_eq!(shown(&text, 20), ["  Only a hash is", "  stored"]);
        assert_eq!(shown(&PanelLine::named(Priority::Rest, "", ""), 80), [""]);
    }

    #[test]
    fn a_password_is_in_one_piece_if_it_fits() {
        let secret = "smtpc_0123456789";
        let line = PanelLine::named(Priority::Password, "Password", secret);
        assert_eq!(shown(&line, 32), ["  Password      smtpc_0123456789"]);
        assert_eq!(shown(&line, 31), ["  Password", "  smtpc_0123456789"]);
        assert_eq!(shown(&line, 16), ["  Password", "smtpc_0123456789"]);
        assert_eq!(
            shown(&line, 15),
            ["  Password     ", "smtpc_012345678", "9"]
        );
        for columns in 1..40 {
            let rows = line.rows(columns);
            let joined: String = rows.iter().map(|row| row.text).collect();
            assert_eq!(joined, secret);
            let wide = rows
                .iter()
                .map(|row| row.before.len() + row.text.len())
                .max();
            assert!(
                wide <= Some(columns),
                "{columns}: {:?}",
                shown(&line, columns)
            );
        }
    }

    #[test]
    fn a_small_window_has_the_most_important_lines() {
        let lines = [
            PanelLine::text(Priority::Title, "new user"),
            PanelLine::named(Priority::Username, "Username", "a@example.com"),
            PanelLine::named(Priority::Password, "Password", "secret"),
        ];
        let shown = |rows| {
            let (chosen, asks) = fitting(&lines, (rows, 80), 1)?;
            Some((chosen.len(), asks))
        };
        assert_eq!(shown(4), Some((3, true)));
        assert_eq!(shown(3), Some((2, true)));
        assert_eq!(shown(2), Some((2, false)));
        assert_eq!(shown(1), Some((1, false)));
        assert_eq!(shown(0), None);
    }
}
