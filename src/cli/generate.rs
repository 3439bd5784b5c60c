//! Writes `completions/` and `man/`. A test compares them with the committed files.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::args::path;
use super::complete::Shell;
use super::help::layout::lines;
use super::help::sections::{Block, sections};
use crate::files::Folder;

/// How wide examples are: a page of 80 columns indents them by 7.
const EXAMPLE_WIDTH: usize = 72;

/// The words of all pages that an admin may understand differently.
const TERMS: &str = "\
Terms:
  relay          a mail server of yours, such as Postfix or Exim, that applications sign in to and
                 that sends their messages on
  installation   the relays and commands that share one store; its settings apply to each domain
                 and user that has none of its own
";

/// Write the completions and man pages below a folder
#[derive(Debug, Args)]
pub struct Generate {
    #[arg(value_name = "DIR", value_parser = path::given())]
    dir: PathBuf,
}

impl Generate {
    pub fn run(&self, command: &Command) -> Result<()> {
        let completions = self.dir.join("completions");
        let man = self.dir.join("man");
        for folder in [&completions, &man] {
            Folder::create(folder, 0o777)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        for shell in Shell::ALL {
            write(&completions.join(shell.file()), &shell.script()?)?;
        }
        let mut command = command.clone().disable_help_subcommand(true);
        command.build();
        pages(&command, &man)
    }
}

/// Writes a page for a command and each of its subcommands.
fn pages(command: &Command, folder: &Path) -> Result<()> {
    if command.is_hide_set() {
        return Ok(());
    }
    let name = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name());
    write(&folder.join(format!("{name}.1")), &page(command, name)?)?;
    command
        .get_subcommands()
        .try_for_each(|below| pages(below, folder))
}

fn page(command: &Command, name: &str) -> Result<Vec<u8>> {
    let man = Man::new(command.clone().name(name.to_owned()))
        .title(name.to_uppercase())
        .section("1")
        .source(concat!("smtpcred ", env!("CARGO_PKG_VERSION")))
        .manual("smtpcred manual");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    if command.get_arguments().any(|arg| !arg.is_hide_set()) {
        man.render_options_section(&mut page)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(help) = command.get_after_long_help() {
        man_sections(&help.to_string()).to_writer(&mut page)?;
    }
    if name == "smtpcred" {
        aliases(command).to_writer(&mut page)?;
        man_sections(TERMS).to_writer(&mut page)?;
    } else {
        let mut roff = Roff::default();
        roff.control("SH", ["SEE ALSO"])
            .text([roman("smtpcred(1)")]);
        roff.to_writer(&mut page)?;
    }
    Ok(page)
}

/// Returns the sections of a help text.
fn man_sections(help: &str) -> Roff {
    let mut roff = Roff::default();
    for section in sections(help) {
        roff.control("SH", [section.heading.to_uppercase().as_str()]);
        if section.heading == "Examples" {
            unfilled(&mut roff, &lines(&section, EXAMPLE_WIDTH));
            continue;
        }
        for block in &section.blocks {
            match block {
                Block::Entry { term, text } => {
                    roff.control("TP", []);
                    roff.text([bold(term.as_str())])
                        .text([roman(text.as_str())]);
                }
                Block::Paragraph(text) => {
                    roff.control("PP", []).text([roman(text.as_str())]);
                }
                Block::Verbatim(lines) => {
                    roff.control("PP", []);
                    unfilled(&mut roff, lines);
                }
                Block::Example { .. } => {}
            }
        }
    }
    roff
}

fn unfilled(roff: &mut Roff, lines: &[String]) {
    roff.control("nf", []);
    for line in lines {
        roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
    }
    roff.control("fi", []);
}

/// Returns the names that commands have besides their own.
fn aliases(command: &Command) -> Roff {
    let mut roff = Roff::default();
    roff.control("SH", ["ALIASES"]);
    for noun in command.get_subcommands() {
        for verb in noun.get_subcommands() {
            let aliases: Vec<_> = verb.get_all_aliases().collect();
            if !aliases.is_empty() && !verb.is_hide_set() {
                let name = format!("{} {}", noun.get_name(), verb.get_name());
                roff.control("TP", []);
                roff.text([bold(name)]).text([roman(aliases.join(", "))]);
            }
        }
    }
    roff
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> io::Result<()> {
        let (folder, name) = Folder::of(path)?;
        folder.refuse_exchanged()?;
        folder.remove(&name)?;
        folder.create_file(&name, 0o666)?.write_all(bytes)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
