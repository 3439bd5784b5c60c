//! A document of figures for people, as one page of HTML that needs nothing else, and as plain
//! text. No script, no address of another server; every text is escaped here and nowhere else.

mod chart;
mod escape;
mod page;
mod plain;

pub use page::html;
pub use plain::plain;

/// A document.
#[derive(Debug, Default)]
pub struct Document {
    /// The title of the page.
    pub title: String,
    /// The state in one sentence.
    pub lead: String,
    /// Whether something needs attention.
    pub attention: bool,
    /// The sections.
    pub sections: Vec<Section>,
    /// When and by what it was made.
    pub footer: String,
}

/// A section under a heading.
#[derive(Debug, Default)]
pub struct Section {
    /// The heading.
    pub title: String,
    /// What the figures mean, or that there are none.
    pub text: String,
    /// A picture of the first columns of the table.
    pub chart: Option<Chart>,
    /// The figures.
    pub table: Option<Table>,
    /// What was left out, if anything was.
    pub cut: Option<String>,
    /// Commands that show more.
    pub commands: Vec<String>,
}

/// A chart of bars. The table beside it has the same numbers.
#[derive(Debug, Default)]
pub struct Chart {
    /// What is shown, for readers who do not see it.
    pub title: String,
    /// How the bars lie.
    pub bars: Bars,
    /// The name of each series: one or two.
    pub series: Vec<&'static str>,
    /// A label, and a number for each series.
    pub points: Vec<(String, Vec<u64>)>,
}

/// How bars lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bars {
    /// One below the other, the label in front.
    #[default]
    Across,
    /// Side by side, such as days.
    Upright,
}

/// A table with a heading for each column and row.
#[derive(Debug, Default)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// The names of the columns.
    pub columns: Vec<Heading>,
    /// The rows; the first cell of each is its heading.
    pub rows: Vec<Vec<Field>>,
}

/// The heading of a column.
#[derive(Clone, Copy, Debug)]
pub struct Heading {
    /// The name.
    pub name: &'static str,
    /// Whether the column has numbers.
    pub numbers: bool,
}

/// What a cell of a table holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// Text from anywhere.
    Text(String),
    /// A number.
    Number(u64),
    /// A date or a time, on one line.
    Time(String),
    /// Commands to type, one on each line, perhaps after what they are for.
    Commands(String),
}

impl Heading {
    /// A column of text.
    pub const fn text(name: &'static str) -> Self {
        Self {
            name,
            numbers: false,
        }
    }

    /// A column of numbers.
    pub const fn number(name: &'static str) -> Self {
        Self {
            name,
            numbers: true,
        }
    }
}

impl From<String> for Field {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Field {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Field {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

/// Groups the digits of a number: "10,000".
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str =
        "</title></svg><script>alert('1')</script>\" onload=x & \u{202e}txt\u{1b}[31m\u{2066}\0";

    /// A document in which every text is hostile.
    fn hostile() -> Document {
        let text = || HOSTILE.to_owned();
        let section = |bars| Section {
            title: text(),
            text: text(),
            chart: Some(Chart {
                title: text(),
                bars,
                series: vec!["sent", "refused"],
                points: vec![(text(), vec![3, u64::MAX]), (text(), vec![0, 1])],
            }),
            table: Some(Table {
                caption: text(),
                columns: vec![Heading::text("Name"), Heading::number("Count")],
                rows: vec![vec![text().into(), 10_000.into()]],
            }),
            cut: Some(text()),
            commands: vec![text()],
        };
        Document {
            title: text(),
            lead: text(),
            attention: true,
            sections: vec![section(Bars::Across), section(Bars::Upright)],
            footer: text(),
        }
    }

    #[test]
    fn nothing_of_a_hostile_text_is_markup_or_invisible() {
        let page = html(&hostile());
        assert!(!page.contains("<script"), "{page}");
        assert_eq!(page.matches("</title>").count(), 3);
        assert_eq!(page.matches("</svg>").count(), 2);
        assert!(!page.contains("\" onload"));
        let plain_or_line = |c: char| c == '\n' || crate::model::text::is_printable(c);
        assert!(page.chars().all(plain_or_line));
        assert!(page.contains(r"\u{202e}txt\u{1b}[31m\u{2066}\u{0}"));
        assert!(plain(&hostile()).chars().all(plain_or_line));
    }

    #[test]
    fn digits_are_grouped() {
        let grouped = [0, 999, 1_000, 10_000, 1_234_567].map(grouped);
        assert_eq!(grouped, ["0", "999", "1,000", "10,000", "1,234,567"]);
    }
}
