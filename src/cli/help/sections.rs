//! The sections of a help text, which is written once for help and man pages. A section begins
//! with a line such as `Examples:`; its lines are indented.

/// A part of a section.
#[derive(Debug, PartialEq, Eq)]
pub enum Block {
    /// A command line, and what it does.
    Example {
        command: String,
        comment: Option<String>,
    },
    /// A term and its meaning: two spaces or more between them.
    Entry { term: String, text: String },
    /// Prose.
    Paragraph(String),
    /// Lines that stay as they are: indented by four spaces.
    Verbatim(Vec<String>),
}

/// A section.
#[derive(Debug)]
pub struct Section {
    pub heading: String,
    pub blocks: Vec<Block>,
}

/// How long the lines of prose are in the source. A line that ends earlier with a sentence ends
/// a paragraph.
const SOURCE: usize = 100;

/// Reads a help text.
pub fn sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let heading = line.strip_suffix(':').filter(|_| !line.starts_with(' '));
        if let Some(heading) = heading {
            sections.push(Section {
                heading: heading.to_owned(),
                blocks: Vec::new(),
            });
            continue;
        }
        let Some(section) = sections.last_mut() else {
            continue;
        };
        if section.heading == "Examples" {
            let mut whole = line.trim().to_owned();
            while let Some(part) = whole.strip_suffix('\\') {
                let next = lines.next().unwrap_or_default();
                whole = format!("{}{}", part, next.trim());
            }
            let is_comment = line.starts_with("          ");
            section.example(&whole, is_comment);
        } else {
            section.line(line, lines.peek().copied().unwrap_or_default());
        }
    }
    for section in &mut sections {
        section.end();
    }
    sections
}

impl Section {
    fn example(&mut self, line: &str, is_comment: bool) {
        if line.is_empty() {
            return;
        }
        if let (true, Some(Block::Example { comment, .. })) = (is_comment, self.blocks.last_mut()) {
            *comment = Some(line.to_owned());
            return;
        }
        let (command, comment) = match line.split_once("  ") {
            Some((command, comment)) => (command, Some(comment.trim().to_owned())),
            None => (line, None),
        };
        self.blocks.push(Block::Example {
            command: command.to_owned(),
            comment,
        });
    }

    fn line(&mut self, line: &str, next: &str) {
        let indent = line.len() - line.trim_start().len();
        let text = line.trim();
        match self.blocks.last_mut() {
            Some(Block::Verbatim(lines)) if text.is_empty() => {
                lines.push(String::new());
                return;
            }
            _ if text.is_empty() => return,
            Some(Block::Entry { text: meaning, .. }) if indent >= 6 => {
                meaning.push(' ');
                meaning.push_str(text);
                return;
            }
            Some(Block::Verbatim(lines)) if indent >= 4 => {
                lines.push(line[4..].to_owned());
                return;
            }
            _ => {}
        }
        if let Some((term, meaning)) = text.split_once("  ").filter(|_| indent <= 5) {
            self.blocks.push(Block::Entry {
                term: term.to_owned(),
                text: meaning.trim().to_owned(),
            });
        } else if indent >= 4 {
            self.blocks
                .push(Block::Verbatim(vec![line[4..].to_owned()]));
        } else {
            self.prose(text);
            let word = next.split_whitespace().next().unwrap_or_default();
            let had_room = line.len() + 1 + word.len() <= SOURCE;
            if had_room && line.ends_with(['.', ':']) {
                self.blocks.push(Block::Paragraph(String::new()));
            }
        }
    }

    fn prose(&mut self, text: &str) {
        match self.blocks.last_mut() {
            Some(Block::Paragraph(prose)) if prose.is_empty() => text.clone_into(prose),
            Some(Block::Paragraph(prose)) => {
                prose.push(' ');
                prose.push_str(text);
            }
            _ => self.blocks.push(Block::Paragraph(text.to_owned())),
        }
    }

    fn end(&mut self) {
        self.blocks
            .retain(|block| *block != Block::Paragraph(String::new()));
        for block in &mut self.blocks {
            if let Block::Verbatim(lines) = block {
                while lines.last().is_some_and(String::is_empty) {
                    lines.pop();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_taken_apart() {
        let text = "Examples:\n  tool a                lists\n  tool b \\\n       --c\n\nKinds:\n  \
            one  is first\n         of all\n  two  is next\n  The end.\n    as is\n\n    again\n";
        let sections = sections(text);
        let example = |command: &str, comment: Option<&str>| Block::Example {
            command: command.into(),
            comment: comment.map(str::to_owned),
        };
        let entry = |term: &str, text: &str| Block::Entry {
            term: term.into(),
            text: text.into(),
        };
        assert_eq!(
            sections[0].blocks,
            [
                example("tool a", Some("lists")),
                example("tool b --c", None)
            ]
        );
        assert_eq!(
            sections[1].blocks,
            [
                entry("one", "is first of all"),
                entry("two", "is next"),
                Block::Paragraph("The end.".into()),
                Block::Verbatim(vec!["as is".into(), String::new(), "again".into()]),
            ]
        );
    }
}
