//! How tables fit a terminal: which columns are shown, how wide, and what is cut or wrapped.
//!
//! comfy-table draws the rows. The rest is ours, because it breaks words, cannot leave
//! columns out and holds all rows in memory. A third of this file is its tests.

use std::borrow::Cow;

use comfy_table::{Attribute, CellAlignment, Color, ContentArrangement, Table, presets};
use dialoguer::console::truncate_str;

use super::color::DARK_YELLOW;
use super::column::{BAR, Cell, Column, Fit, Shown, Tone, width_of};
use super::wrap::{broken, field, pieces};

/// The space between two columns.
const GAP: usize = 2;

/// A narrower terminal shows one value on each line, unless the table fits.
const NARROW: usize = 50;

/// The width of most terminals. Names of half of it are usual, even without more room.
const USUAL: usize = 80;

/// The columns of a table that are shown, with their widths.
#[derive(Debug)]
pub struct Layout {
    columns: &'static [Column],
    shown: Vec<(usize, usize)>,
    /// Whether long names get a line of their own: a program reads one line for each row.
    folds: bool,
}

impl Layout {
    /// Lays out these rows. Without a width, as for a program, nothing is left out, cut or
    /// wrapped. `None` if not even the columns that must be shown fit.
    pub fn fit(
        columns: &'static [Column],
        chosen: &[usize],
        rows: &[Vec<Cell>],
        width: Option<usize>,
    ) -> Option<Self> {
        let natural = |i: usize| {
            let cells = rows.iter().filter_map(|row| row.get(i));
            let widest = cells.map(|cell| widest_line(&cell.text)).max();
            width_of(columns[i].title).max(widest.unwrap_or(0))
        };
        let shown = chosen.iter().filter(|&&i| is_shown(&columns[i], i, rows));
        let mut shown: Vec<(usize, usize)> = shown.map(|&i| (i, natural(i))).collect();
        let Some(width) = width else {
            return Some(Self {
                columns,
                shown,
                folds: false,
            });
        };
        if total(shown.iter().map(|&(_, natural)| natural)) > width {
            if width < NARROW {
                return None;
            }
            let most = (width.min(USUAL) / 2).max(width / 3);
            for (at, (i, natural)) in shown.iter_mut().enumerate() {
                if at == 0 || matches!(columns[*i].fit, Fit::Name(_)) {
                    *natural = usual_width(columns[*i], *i, rows, most).min(*natural);
                }
            }
            // Words are broken before names are.
            let tight = [(true, true), (false, true), (true, false)].into_iter();
            let words: Vec<_> = (0..columns.len()).map(|i| longest_word(i, rows)).collect();
            shown = tight
                .map(|(whole_words, whole_names)| {
                    let least = |&(i, natural): &(usize, usize)| match columns[i].fit {
                        Fit::Name(_) if whole_names => natural,
                        Fit::Wrap(_) if whole_words => {
                            columns[i].least(natural).max(words[i].min(natural))
                        }
                        _ => columns[i].least(natural),
                    };
                    narrowed(columns, chosen, shown.clone(), &least, width)
                })
                .find_map(std::convert::identity)?;
        }
        Some(Self {
            columns,
            shown,
            folds: true,
        })
    }

    /// Returns how wide the table is.
    pub fn total(&self) -> usize {
        total(self.shown.iter().map(|&(_, width)| width))
    }

    /// Returns the names of the chosen columns that are left out.
    pub fn left_out(&self, chosen: &[usize], rows: &[Vec<Cell>]) -> Vec<&'static str> {
        let shown = |i: usize| self.shown.iter().any(|&(shown, _)| shown == i);
        let left_out = chosen.iter().filter(|&&i| !shown(i));
        let left_out = left_out.filter(|&&i| is_shown(&self.columns[i], i, rows));
        left_out.map(|&i| self.columns[i].title).collect()
    }

    /// Draws the header and these rows.
    pub fn draw(&self, rows: &[Vec<Cell>], colored: bool) -> Vec<String> {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(self.shown.iter().map(|&(i, _)| {
                let title = self.columns[i].title.to_uppercase();
                drawn(&title, Tone::Strong, &self.columns[i])
            }));
        if colored {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        // The number of lines of each row, and what stands above it.
        let mut heights = Vec::with_capacity(rows.len());
        for row in rows {
            let above = self.outlier(row);
            let mut height = 1;
            table.add_row(self.shown.iter().enumerate().map(|(at, &(i, width))| {
                let cell = row.get(i).filter(|_| at > 0 || above.is_none());
                let cell = cell.cloned().unwrap_or_default();
                let column = &self.columns[i];
                let text = fitted(&cell.text, column, width);
                height = height.max(text.split('\n').count());
                drawn(&text, cell.tone, column)
            }));
            heights.push((height, above));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 0));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_padding((u16::try_from(GAP).unwrap_or(0), 0));
        }
        let mut drawn = table.lines().map(|line| line.trim_end().to_owned());
        let mut lines: Vec<String> = drawn.by_ref().take(1).map(without_padding).collect();
        for (height, above) in heights {
            lines.extend(above.map(|cell| cell.tone.paint(&cell.text, colored)));
            lines.extend(drawn.by_ref().take(height));
        }
        lines
    }

    /// Returns the first cell of a row if it needs a line of its own.
    fn outlier<'a>(&self, row: &'a [Cell]) -> Option<&'a Cell> {
        let &(i, width) = self.shown.first()?;
        let whole = self.folds && self.columns[i].fit == Fit::Whole;
        row.get(i)
            .filter(|cell| whole && width_of(&cell.text) > width)
    }

    /// Appends the line of the header.
    pub fn header(&self, line: &mut String, colored: bool) {
        let header: Vec<Cell> = self
            .columns
            .iter()
            .map(|column| Cell::new(column.title.to_uppercase(), Tone::Strong))
            .collect();
        self.line(line, &header, colored);
    }

    /// Appends one row on one line. Nothing wraps.
    pub fn line(&self, line: &mut String, cells: &[Cell], colored: bool) {
        // Trailing spaces are never written.
        let mut spaces = 0;
        let mut shown = self.shown.as_slice();
        if let (Some(outlier), [(_, width), rest @ ..]) = (self.outlier(cells), shown) {
            line.push_str(&outlier.tone.paint(&outlier.text, colored));
            line.push('\n');
            spaces = width + GAP;
            shown = rest;
        }
        for &(i, width) in shown {
            let column = &self.columns[i];
            let cell = cells.get(i);
            let text = cell.map_or("", |cell| cell.text.as_str());
            let text = match column.fit {
                Fit::Cut(_) => cut(text, width),
                Fit::Bar(_) if self.folds => shortened(text, width),
                Fit::Whole | Fit::Name(_) | Fit::Wrap(_) | Fit::Bar(_) => Cow::Borrowed(text),
            };
            let pad = width.saturating_sub(width_of(&text));
            let (before, after) = if column.right { (pad, 0) } else { (0, pad) };
            spaces += before;
            if !text.is_empty() {
                line.extend(std::iter::repeat_n(' ', spaces));
                spaces = 0;
                match cell {
                    Some(cell) if colored => line.push_str(&cell.tone.paint(&text, true)),
                    _ => line.push_str(&text),
                }
            }
            spaces += after + GAP;
        }
    }
}

/// Lays a record out with one value on each line; continued lines are indented.
pub fn block(lines: &[(&'static str, Cell)], width: Option<usize>, colored: bool) -> Vec<String> {
    let names = lines.iter().map(|(name, _)| width_of(name)).max();
    let indent = names.unwrap_or(0) + GAP;
    // A terminal of a few columns wraps by itself.
    let room = width.and_then(|width| width.checked_sub(indent).filter(|room| *room >= 20));
    let mut out = Vec::new();
    for (name, cell) in lines {
        let mut name = *name;
        for part in cell.text.split('\n') {
            // A line break in a command would be copied with it; the terminal's own is not.
            let is_command = part.trim_start().starts_with("smtpcred ");
            for piece in pieces(part, room.filter(|_| !is_command)) {
                let space = indent.saturating_sub(width_of(name));
                let painted = cell.tone.paint(&piece, colored);
                let line = format!("{name}{:space$}{painted}", "");
                out.push(line.trim_end().to_owned());
                name = "";
            }
        }
    }
    out
}

/// Returns the width of the longest word in a column that wraps. One that is very long, such as a
/// path, overflows instead of taking all the space.
fn longest_word(i: usize, rows: &[Vec<Cell>]) -> usize {
    const LONGEST: usize = 24;
    let cells = rows.iter().filter_map(|row| row.get(i));
    let words = cells.flat_map(|cell| cell.text.split([' ', '\n']));
    let words = words.flat_map(|word| match field(word) {
        Some((name, value)) => [name, value],
        None => [word, ""],
    });
    let widths = words.map(width_of).filter(|width| *width <= LONGEST);
    widths.max().unwrap_or(0)
}

/// Returns the width of the first column without cells that are wider than `most`.
fn usual_width(column: Column, i: usize, rows: &[Vec<Cell>], most: usize) -> usize {
    let cells = rows.iter().filter_map(|row| row.get(i));
    let widths = cells.map(|cell| width_of(&cell.text));
    let widest = widths.filter(|width| *width <= most).max();
    width_of(column.title).max(widest.unwrap_or(0))
}

/// Whether a column that was chosen has something to show.
fn is_shown(column: &Column, i: usize, rows: &[Vec<Cell>]) -> bool {
    let filled = |row: &Vec<Cell>| row.get(i).is_some_and(|cell| !cell.text.is_empty());
    column.shown != Shown::IfAny || rows.iter().any(filled)
}

fn total(widths: impl Iterator<Item = usize>) -> usize {
    let (sum, n) = widths.fold((0, 0), |(sum, n), width| (sum + width, n + 1));
    sum + GAP * usize::saturating_sub(n, 1)
}

/// Leaves out columns until the others fit this width, and shares it among them. `None` if not even
/// those that must be shown fit.
fn narrowed(
    columns: &[Column],
    chosen: &[usize],
    mut shown: Vec<(usize, usize)>,
    least: &dyn Fn(&(usize, usize)) -> usize,
    width: usize,
) -> Option<Vec<(usize, usize)>> {
    let position = |i: usize| chosen.iter().position(|&chosen| chosen == i);
    let mut left = Vec::new();
    while total(shown.iter().map(least)) > width {
        let highest = shown.iter().max_by_key(|&&(i, _)| (columns[i].rank, i));
        let left_out = highest.map(|&(i, _)| i).filter(|&i| columns[i].rank > 0)?;
        left.extend(shown.extract_if(.., |&mut (i, _)| i == left_out));
    }
    // A wide one made room for several others.
    for column in left.into_iter().rev() {
        let at = shown.partition_point(|&(i, _)| position(i) < position(column.0));
        shown.insert(at, column);
        if total(shown.iter().map(least)) > width {
            shown.remove(at);
        }
    }
    share_out(least, &mut shown, width);
    Some(shown)
}

/// Gives each column its smallest width, and then one more as long as there is room.
fn share_out(least: &dyn Fn(&(usize, usize)) -> usize, shown: &mut [(usize, usize)], width: usize) {
    let natural: Vec<usize> = shown.iter().map(|&(_, natural)| natural).collect();
    for column in shown.iter_mut() {
        column.1 = least(column);
    }
    let mut spare = width - total(shown.iter().map(|&(_, width)| width)).min(width);
    while spare > 0 {
        let before = spare;
        for ((_, width), natural) in shown.iter_mut().zip(&natural) {
            if spare > 0 && *width < *natural {
                *width += 1;
                spare -= 1;
            }
        }
        if spare == before {
            return;
        }
    }
}

/// Removes the spaces at the end of a line that is coloured to its end.
fn without_padding(line: String) -> String {
    const RESET: &str = "\x1b[0m";
    match line.strip_suffix(RESET) {
        Some(text) => format!("{}{RESET}", text.trim_end()),
        None => line,
    }
}

fn drawn(text: &str, tone: Tone, column: &Column) -> comfy_table::Cell {
    let cell = comfy_table::Cell::new(text);
    let cell = match tone {
        Tone::Plain => cell,
        Tone::Good => cell.fg(Color::DarkGreen),
        Tone::Warning => cell.fg(Color::AnsiValue(DARK_YELLOW)),
        Tone::Bad => cell.fg(Color::DarkRed),
        Tone::Dim => cell.add_attribute(Attribute::Dim),
        Tone::Strong => cell.add_attribute(Attribute::Bold),
    };
    if column.right {
        cell.set_alignment(CellAlignment::Right)
    } else {
        cell
    }
}

fn fitted<'a>(text: &'a str, column: &Column, width: usize) -> Cow<'a, str> {
    match column.fit {
        Fit::Whole => Cow::Borrowed(text),
        Fit::Cut(_) => cut(text, width),
        Fit::Bar(_) => shortened(text, width),
        Fit::Name(_) | Fit::Wrap(_) if widest_line(text) <= width => Cow::Borrowed(text),
        Fit::Name(_) | Fit::Wrap(_) => {
            let lines = text.split('\n');
            let lines: Vec<_> = lines.flat_map(|line| broken(line, width)).collect();
            Cow::Owned(lines.join("\n"))
        }
    }
}

fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if width_of(text) <= width {
        return Cow::Borrowed(text);
    }
    truncate_str(text, width, "…")
}

/// Returns a bar in proportion to a longest one of this width. What is not nothing stays.
fn shortened(bar: &str, width: usize) -> Cow<'_, str> {
    if width >= BAR {
        return Cow::Borrowed(bar);
    }
    let length = (bar.chars().count() * width).div_ceil(BAR);
    Cow::Owned(bar.chars().take(length).collect())
}

fn widest_line(text: &str) -> usize {
    text.split('\n').map(width_of).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        Column::new("Username"),
        Column::new("Label").rank(2).cut(8),
        Column::new("Status"),
        Column::new("Created").rank(3),
        Column::new("Expires").if_any(),
        Column::new("Found").rank(1).wrap(12),
    ];
    const ALL: &[usize] = &[0, 1, 2, 3, 4, 5];

    fn rows() -> Vec<Vec<Cell>> {
        let row = |cells: [&str; 6]| cells.map(Cell::from).to_vec();
        vec![
            row([
                "shop@example.com",
                "The shop of the firm",
                "active",
                "2026-11-30",
                "",
                "one two three four five six",
            ]),
            row([
                "buchhaltung@example.com",
                "会計システム",
                "suspended",
                "2026-11-30",
                "",
                "/a/very/long/path/that/never/breaks",
            ]),
        ]
    }

    fn at(width: usize) -> Vec<String> {
        let rows = rows();
        let layout = Layout::fit(COLUMNS, ALL, &rows, Some(width)).unwrap();
        layout.draw(&rows, false)
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let lines = at(200);
        assert_eq!(
            lines[0],
            "USERNAME                 LABEL                 STATUS     CREATED     FOUND"
        );
        assert_eq!(lines.len(), 3);
        let rows = rows();
        let layout = Layout::fit(COLUMNS, ALL, &rows, None).unwrap();
        let mut line = String::new();
        layout.line(&mut line, &rows[1], false);
        assert_eq!(line, lines[2], "a stream looks like a table");
    }

    #[test]
    fn columns_shrink_before_they_are_left_out() {
        let lines = at(70);
        assert!(lines[0].contains("CREATED"), "{lines:#?}");
        assert!(lines[1].contains("The sho…"), "{lines:#?}");
        let lines = at(60);
        assert!(!lines[0].contains("CREATED"), "{lines:#?}");
        assert!(lines[0].contains("LABEL"), "{lines:#?}");
        let lines = at(50);
        assert_eq!(lines[0], "USERNAME                 STATUS     FOUND");
        assert!(lines.iter().all(|line| !line.contains('\u{1b}')));
    }

    #[test]
    fn what_is_left_out_makes_room_for_others() {
        const WIDE: &[Column] = &[
            Column::new("Name"),
            Column::new("From").rank(1),
            Column::new("Label").rank(2),
            Column::new("Age").rank(3),
        ];
        let address = "x".repeat(60);
        let rows = [["shop@example.com", &address, "Shop", "3d"]
            .map(Cell::from)
            .to_vec()];
        let header = |chosen: &[usize]| {
            let layout = Layout::fit(WIDE, chosen, &rows, Some(70)).unwrap();
            layout.draw(&rows, false)[0]
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(header(&[0, 1, 2, 3]), "NAME LABEL AGE");
        assert_eq!(header(&[3, 1, 0, 2]), "AGE NAME LABEL");
    }

    #[test]
    fn bars_keep_their_proportion() {
        const BARS: &[Column] = &[Column::new("Name"), Column::new("").bar(4)];
        let row = |n: usize| ["a".into(), Cell::from("█".repeat(n))].to_vec();
        let rows = [row(60), row(30), row(1), row(0)];
        let lengths = |width| {
            let layout = Layout::fit(BARS, &[0, 1], &rows, width).unwrap();
            let count = |line: &String| line.matches('█').count();
            layout.draw(&rows, false)[1..]
                .iter()
                .map(count)
                .collect::<Vec<_>>()
        };
        assert_eq!(lengths(Some(100)), [60, 30, 1, 0]);
        assert_eq!(lengths(Some(50)), [44, 22, 1, 0]);
        let layout = Layout::fit(BARS, &[0, 1], &[row(20)], None).unwrap();
        let mut line = String::new();
        layout.line(&mut line, &row(20), false);
        assert_eq!(line.matches('█').count(), 20, "a program gets it as it is");
    }

    #[test]
    fn no_word_is_broken() {
        for width in 50..200 {
            let text = at(width).join(" ");
            let words: Vec<_> = text.split_whitespace().collect();
            for word in ["three", "2026-11-30", "buchhaltung@example.com"] {
                let there = words.contains(&word) || word == "2026-11-30" && width < 70;
                assert!(there, "{word} at {width}: {text}");
            }
            let path = "/a/very/long/path/that/never/breaks";
            assert!(text.contains(path) || width < 110, "{width}: {text}");
            let widest = at(width).iter().map(|line| width_of(line)).max();
            assert!(widest <= Some(width), "{width}: {text}");
        }
    }

    #[test]
    fn a_narrow_terminal_gets_no_table() {
        let rows = rows();
        for width in [1, 10, 40, 49] {
            assert!(Layout::fit(COLUMNS, ALL, &rows, Some(width)).is_none());
        }
        assert!(
            Layout::fit(COLUMNS, &[0, 2], &rows, Some(40)).is_some(),
            "it fits"
        );
    }

    #[test]
    fn a_long_name_does_not_displace_the_others() {
        let long = format!("{}@example.com", "x".repeat(64));
        let mut rows = rows();
        rows.push(["", "Long", "active"].map(Cell::from).to_vec());
        rows[2][0] = long.as_str().into();
        let layout = Layout::fit(COLUMNS, ALL, &rows, Some(80)).unwrap();
        let lines = layout.draw(&rows, false);
        assert!(
            lines[1].contains("shop@example.com         The"),
            "{lines:#?}"
        );
        assert_eq!(lines[lines.len() - 2], long);
        assert!(lines[lines.len() - 1].starts_with("                         Long"));
        let mut line = String::new();
        layout.line(&mut line, &rows[2], false);
        assert_eq!(line, lines[lines.len() - 2..].join("\n"));
        let layout = Layout::fit(COLUMNS, ALL, &rows[..2], None).unwrap();
        line.clear();
        layout.line(&mut line, &rows[2], false);
        assert!(!line.contains('\n'), "one line for each row in a pipe");
    }

    #[test]
    fn wide_characters_are_measured() {
        let rows = rows();
        for width in 50..200 {
            let layout = Layout::fit(COLUMNS, &[0, 1, 2], &rows, Some(width)).unwrap();
            for line in layout.draw(&rows, false) {
                assert!(width_of(&line) <= width, "{line:?} at {width}");
            }
        }
    }

    #[test]
    fn colours_do_not_move_columns() {
        let mut rows = rows();
        rows[1][2].tone = Tone::Bad;
        let layout = Layout::fit(COLUMNS, ALL, &rows, Some(120)).unwrap();
        let plain = layout.draw(&rows, false);
        let painted = layout.draw(&rows, true);
        assert!(painted[2].contains("\u{1b}["), "{painted:#?}");
        for (plain, painted) in plain.iter().zip(&painted) {
            assert_eq!(
                *plain,
                dialoguer::console::strip_ansi_codes(painted).trim_end()
            );
        }
        let mut line = String::new();
        layout.line(&mut line, &rows[1], true);
        assert!(line.contains("suspended\u{1b}[0m"), "{line:?}");
    }

    #[test]
    fn a_block_indents_what_it_wraps() {
        let lines = [
            ("Status", Cell::new("active", Tone::Good)),
            (
                "Found",
                Cell::from("one two three four five six seven\nlast"),
            ),
        ];
        assert_eq!(
            block(&lines, Some(30), false),
            [
                "Status  active",
                "Found   one two three four",
                "        five six seven",
                "        last"
            ]
        );
        let command = "smtpcred user reset shop@example.com";
        let next = [("Next", Cell::from(format!("then:\n  {command}").as_str()))];
        assert_eq!(
            block(&next, Some(30), false)[1],
            format!("        {command}"),
            "a command is copied in one piece"
        );
        assert_eq!(block(&lines, None, false).len(), 3);
        assert_eq!(block(&lines, Some(1), false).len(), 3);
    }
}
