//! Lays sections out in lines of a given width. Nothing is wrapped by hand.

use std::borrow::Cow;

use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

use super::sections::{Block, Section};

/// How far blocks are indented.
const INDENT: usize = 2;
/// Begins a comment, also for the shell that a line is copied to.
const COMMENT: &str = "# ";
/// How far the rest of a long command line is indented.
const REST: usize = 6;

/// Returns the lines of a section, without its heading.
pub fn lines(section: &Section, width: usize) -> Vec<String> {
    let beside = comment_column(&section.blocks, width);
    let terms = section.blocks.iter().filter_map(|block| match block {
        Block::Entry { term, .. } => Some(term.chars().count()),
        _ => None,
    });
    let term_width = terms.max().unwrap_or(0);
    let mut lines = Vec::new();
    for block in &section.blocks {
        match block {
            Block::Example { command, comment } => {
                example(command, comment.as_deref(), beside, width, &mut lines);
            }
            Block::Entry { term, text } => {
                let hang = INDENT + term_width + 2;
                let first = format!("{:INDENT$}{term:term_width$}  ", "");
                lines.extend(wrapped(text, &first, hang, width));
            }
            Block::Paragraph(text) => {
                let first = " ".repeat(INDENT);
                lines.extend(wrapped(text, &first, INDENT, width));
            }
            Block::Verbatim(text) => {
                let indented = |line: &String| format!("{:1$}{line}", "", INDENT + 2);
                lines.extend(text.iter().map(|line| indented(line).trim_end().to_owned()));
            }
        }
    }
    lines
}

/// Returns where comments begin beside their commands; `None` if they do not all fit.
fn comment_column(blocks: &[Block], width: usize) -> Option<usize> {
    let commented = || {
        blocks.iter().filter_map(|block| match block {
            Block::Example {
                command,
                comment: Some(comment),
            } => Some((command.chars().count(), comment.chars().count())),
            _ => None,
        })
    };
    let column = INDENT + commented().map(|(command, _)| command).max()? + 2;
    let longest = commented().map(|(_, comment)| comment).max()?;
    (column + COMMENT.len() + longest <= width).then_some(column)
}

fn example(
    command: &str,
    comment: Option<&str>,
    beside: Option<usize>,
    width: usize,
    lines: &mut Vec<String>,
) {
    match (comment, beside) {
        (Some(comment), Some(column)) => {
            let command = format!("{:INDENT$}{command}", "");
            lines.push(format!("{command:column$}{COMMENT}{comment}"));
        }
        (comment, _) => {
            if let Some(comment) = comment {
                lines.extend(wrapped(comment, "  # ", INDENT + 2, width));
            }
            lines.extend(broken(command, width));
        }
    }
}

/// Breaks a command line as a shell accepts it.
fn broken(command: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = " ".repeat(INDENT);
    for word in parts(command) {
        let is_first = line.trim().is_empty();
        let more = word.chars().count() + usize::from(!is_first);
        // Leaves room for a space and a backslash.
        if !is_first && line.chars().count() + more + 2 > width {
            lines.push(format!("{line} \\"));
            line = " ".repeat(REST);
        } else if !is_first {
            line.push(' ');
        }
        line.push_str(&word);
    }
    lines.push(line);
    lines
}

/// The words of a command line, each flag with its value.
fn parts(command: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut is_flag = false;
    for word in words(command) {
        match parts.last_mut() {
            Some(flag) if is_flag && word != "|" && !word.starts_with('-') => {
                flag.push(' ');
                flag.push_str(word);
                is_flag = false;
            }
            _ => {
                parts.push(word.to_owned());
                is_flag = word.starts_with('-');
            }
        }
    }
    parts
}

/// The words of a command line; what is in quotes is one.
fn words(command: &str) -> Vec<&str> {
    let (mut words, mut begin, mut quote) = (Vec::new(), 0, None);
    for (at, c) in command.char_indices() {
        match (quote, c) {
            (None, ' ') => {
                words.push(&command[begin..at]);
                begin = at + 1;
            }
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
    }
    words.push(&command[begin..]);
    words
}

/// Wraps prose: the first line begins with `first`, the others are indented by `hang`.
pub fn wrapped(text: &str, first: &str, hang: usize, width: usize) -> Vec<String> {
    let hang = " ".repeat(hang);
    let options = Options::new(width)
        .initial_indent(first)
        .subsequent_indent(&hang)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    let lines = textwrap::wrap(text, options);
    lines.into_iter().map(Cow::into_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sections::sections;
    use super::*;

    #[test]
    fn comments_stand_beside_if_all_fit_and_above_otherwise() {
        let text = "Examples:\n  tool one  short\n  tool one --flag  says more\n";
        let section = &sections(text)[0];
        assert_eq!(
            lines(section, 40),
            [
                "  tool one         # short",
                "  tool one --flag  # says more"
            ]
        );
        assert_eq!(
            lines(section, 25),
            [
                "  # short",
                "  tool one",
                "  # says more",
                "  tool one --flag"
            ]
        );
    }

    #[test]
    fn long_commands_are_broken_as_a_shell_reads_them() {
        assert_eq!(
            broken("tool user set --label 'a b c' --sender x", 26),
            [
                "  tool user set \\",
                "      --label 'a b c' \\",
                "      --sender x"
            ]
        );
    }

    #[test]
    fn entries_hang() {
        let text = "Kinds:\n  a    one two three\n  bcd  four\n";
        assert_eq!(
            lines(&sections(text)[0], 15),
            ["  a    one two", "       three", "  bcd  four"]
        );
    }
}
