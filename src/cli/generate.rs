//! Writes `completions/` and `man/`. A test compares them with the committed files.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::args::path;
use super::complete::Shell;
use crate::files::Folder;

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
        sections(&help.to_string()).to_writer(&mut page)?;
    }
    if name != "smtpcred" {
        let mut roff = Roff::default();
        roff.control("SH", ["SEE ALSO"])
            .text([roman("smtpcred(1)")]);
        roff.to_writer(&mut page)?;
    }
    Ok(page)
}

/// Returns the sections of the help text, line by line.
fn sections(help: &str) -> Roff {
    let mut roff = Roff::default();
    let mut open = false;
    for line in help.lines() {
        match line.strip_suffix(':') {
            Some(heading) if !line.starts_with(' ') => {
                if open {
                    roff.control("fi", []);
                }
                roff.control("SH", [heading.to_uppercase().as_str()])
                    .control("nf", []);
                open = true;
            }
            _ if line.is_empty() => {}
            _ => {
                roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
            }
        }
    }
    if open {
        roff.control("fi", []);
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
