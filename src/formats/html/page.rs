//! The page.

use std::fmt::Write as _;

use super::escape::Safe;
use super::{Document, Field, Section, Table, chart, grouped};

const STYLE: &str = include_str!("page.css");
/// What a command begins with.
const PROGRAM: &str = "smtpcred ";

/// Returns the document as a page.
pub fn html(document: &Document) -> String {
    let title = Safe(&document.title);
    let bad = if document.attention { " bad" } else { "" };
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
        <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
        <meta name=\"color-scheme\" content=\"light dark\">\n\
        <meta name=\"referrer\" content=\"no-referrer\">\n\
        <meta name=\"robots\" content=\"noindex\">\n\
        <meta http-equiv=\"Content-Security-Policy\" \
        content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
        <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
        <header>\n<h1>{title}</h1>\n<p class=\"lead{bad}\">{}</p>\n</header>\n<main>\n",
        Safe(&document.lead),
    );
    for (number, section) in (1..).zip(&document.sections) {
        write_section(&mut out, section, &format!("s{number}"));
    }
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "</main>\n<footer>\n<p>{}</p>\n</footer>\n</body>\n</html>\n",
        Safe(&document.footer),
    );
    out
}

fn write_section(out: &mut String, section: &Section, id: &str) {
    let _ = writeln!(
        out,
        "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{}</h2>",
        Safe(&section.title),
    );
    if !section.text.is_empty() {
        let _ = writeln!(out, "<p>{}</p>", Safe(&section.text));
    }
    if let Some(table) = &section.table {
        let chart = section.chart.as_ref().filter(|one| !one.points.is_empty());
        let two = if chart.is_some() { " two" } else { "" };
        let _ = writeln!(out, "<div class=\"pair{two}\">");
        if let Some(chart) = chart {
            out.push_str(&chart::svg(chart, id));
        }
        write_table(out, table);
        out.push_str("</div>\n");
    }
    if let Some(cut) = &section.cut {
        let _ = writeln!(out, "<p class=\"cut\">{}</p>", Safe(cut));
    }
    if !section.commands.is_empty() {
        out.push_str("<ul>\n");
        for command in &section.commands {
            let _ = writeln!(out, "<li><code>{}</code></li>", Safe(command));
        }
        out.push_str("</ul>\n");
    }
    out.push_str("</section>\n");
}

fn write_table(out: &mut String, table: &Table) {
    let caption = Safe(&table.caption);
    // On a phone it may be wider than the page, and is moved with a finger or the arrow keys.
    let _ = writeln!(
        out,
        "<div class=\"wide\" role=\"group\" aria-label=\"{caption}\" tabindex=\"0\">\n\
        <table>\n<caption>{caption}</caption>\n<thead>\n<tr>"
    );
    for column in &table.columns {
        let class = if column.numbers { " class=\"n\"" } else { "" };
        let _ = writeln!(out, "<th scope=\"col\"{class}>{}</th>", Safe(column.name));
    }
    out.push_str("</tr>\n</thead>\n<tbody>\n");
    for row in &table.rows {
        out.push_str("<tr>");
        for (place, field) in row.iter().enumerate() {
            write_field(out, field, place == 0);
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n</div>\n");
}

fn write_field(out: &mut String, field: &Field, first: bool) {
    let (start, end) = if first {
        ("th scope=\"row\"", "th")
    } else {
        ("td", "td")
    };
    let _ = match field {
        // Names that are written from right to left must not turn their neighbours around.
        Field::Text(text) => write!(out, "<{start}><bdi>{}</bdi></{end}>", Safe(text)),
        Field::Time(time) => write!(out, "<{start} class=\"t\">{}</{end}>", Safe(time)),
        Field::Number(number) => write!(out, "<{start} class=\"n\">{}</{end}>", grouped(*number)),
        Field::Commands(lines) => {
            let _ = write!(out, "<{start}>");
            for (place, line) in lines.lines().enumerate() {
                let apart = if place > 0 { "<br>" } else { "" };
                let start = line.find(PROGRAM).unwrap_or(0);
                let (purpose, command) = line.split_at(start);
                let _ = write!(
                    out,
                    "{apart}{}<code>{}</code>",
                    Safe(purpose),
                    Safe(command)
                );
            }
            write!(out, "</{end}>")
        }
    };
}
