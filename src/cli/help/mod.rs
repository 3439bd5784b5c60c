//! Help: `-h` is at most a screen, `--help` explains every flag, man pages have everything.
//! All of them are made of the same texts.

pub mod layout;
pub mod sections;

use clap::Command;
use clap::builder::StyledStr;

use self::layout::lines;
use self::sections::{Block, Section, sections};
use super::terminal::color::STYLES;

/// Without a terminal, and at most.
const WIDTHS: (usize, usize) = (80, 100);
/// Sections with more lines are in the man page only, unless they are samples.
const LONGEST: usize = 12;
/// How many examples `-h` has.
const EXAMPLES: usize = 3;
/// The group of flags that every command has.
const GLOBAL: &str = "Global options";
/// Groups of flags that `-h` leaves to `--help`.
const LATER: [&str; 4] = [
    GLOBAL,
    "Addresses",
    "Rotation",
    "Where a new password is delivered to",
];

/// Other flags that `-h` leaves to `--help`.
const RARE: [&str; 18] = [
    "after",
    "ahead",
    "columns",
    "copy",
    "copy-timeout",
    "expires-at",
    "force",
    "jobs",
    "on-limit",
    "output-dir",
    "overlap-max",
    "password-file",
    "resolver",
    "short-password",
    "skip-existing",
    "trust-store",
    "wide",
    "workers",
];

/// What else one command with many flags leaves to `--help`.
const RARE_AT: (&str, [&str; 4]) = (
    "smtpcred user create",
    ["dry-run", "file", "limit", "sender"],
);

/// Returns how wide help is.
pub fn width() -> usize {
    let terminal = terminal_size::terminal_size();
    let width = terminal.map_or(WIDTHS.0, |(width, _)| width.0.into());
    width.min(WIDTHS.1)
}

/// Lays out the help of all commands for this terminal.
pub fn arrange(command: Command) -> Command {
    let mut command = arrange_program(command);
    // Flags of every command are in each of them from now on.
    command.build();
    command.mut_subcommands(|below| arranged(below, width()))
}

/// Lays out the help of the program itself.
pub fn arrange_program(command: Command) -> Command {
    let width = width();
    let text = command.get_after_long_help().map(ToString::to_string);
    let text = text.unwrap_or_default();
    command
        .term_width(width)
        .after_long_help(long_help(&sections(&text), "smtpcred", width))
}

fn arranged(mut command: Command, width: usize) -> Command {
    if command.get_name() == "help" || command.is_hide_set() {
        return command;
    }
    let path = command.get_bin_name().unwrap_or_default().to_owned();
    let text = command.get_after_long_help().map(ToString::to_string);
    let sections = sections(&text.unwrap_or_default());
    let shared = command.get_arguments().filter_map(|arg| {
        let is_shared = arg.get_help_heading() == Some(GLOBAL);
        Some(format!("--{}", arg.get_long().filter(|_| is_shared)?))
    });
    let shared = shared.collect::<Vec<_>>().join(", ");
    command = command
        .after_help(short_help(&sections, &path, &shared, width))
        .after_long_help(long_help(&sections, &path, width))
        .mut_args(|arg| {
            let heading = arg.get_help_heading().unwrap_or_default();
            let is_rare = arg.get_long().is_some_and(|long| {
                RARE.contains(&long) || path == RARE_AT.0 && RARE_AT.1.contains(&long)
            });
            let later = is_rare || LATER.contains(&heading) || arg.is_hide_short_help_set();
            arg.hide_short_help(later)
        });
    command.mut_subcommands(|below| arranged(below, width))
}

fn short_help(all: &[Section], path: &str, shared: &str, width: usize) -> StyledStr {
    let mut text = String::new();
    if let Some(examples) = all.iter().find(|section| section.heading == "Examples") {
        let mut first: Vec<_> = lines(examples, width);
        let mut kept = 0;
        // A comment above its command, or the rest of a command, belongs to it.
        let end = first.iter().position(|line| {
            let begins = !line.starts_with("      ") && !line.starts_with("  #");
            kept += usize::from(begins);
            kept > EXAMPLES
        });
        if let Some(end) = end {
            first.truncate(end);
            while first.last().is_some_and(|line| line.starts_with("  #")) {
                first.pop();
            }
        }
        block(&mut text, "Examples", &first);
        text.push('\n');
    }
    let shared = layout::wrapped(shared, "Global options: ", 2, width).join("\n");
    text.push_str(&shared);
    text.push('\n');
    text.push_str("All flags explained: ");
    text.push_str(path);
    text.push_str(" --help");
    text.into()
}

fn long_help(all: &[Section], path: &str, width: usize) -> StyledStr {
    let mut text = String::new();
    let mut later = Vec::new();
    for section in all {
        let lines = lines(section, width);
        let is_sample = section
            .blocks
            .iter()
            .all(|block| matches!(block, Block::Example { .. } | Block::Verbatim(_)));
        if lines.len() > LONGEST && !is_sample {
            later.push(section.heading.as_str());
        } else {
            block(&mut text, &section.heading, &lines);
            text.push('\n');
        }
    }
    let page = format!("man {}", path.replace(' ', "-"));
    let pointer = if later.is_empty() {
        format!("As a page: {page}")
    } else {
        format!("In the manual, {page}: {}", later.join("; "))
    };
    for line in layout::wrapped(&pointer, "", 2, width) {
        text.push_str(&line);
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.into()
}

fn block(text: &mut String, heading: &str, lines: &[String]) {
    let style = STYLES.get_header();
    let mut add = |part: String| text.push_str(&part);
    add(format!(
        "{style}{heading}:{style:#}
"
    ));
    add(lines.join(
        "
",
    ));
    add("
"
    .to_owned());
}
