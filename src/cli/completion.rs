//! `smtpcred completion`

use anyhow::Result;
use clap::Args;

use super::complete::Shell;
use super::context::Context;
use crate::error::Error;

const HELP: &str = "\
Examples:
  source <(smtpcred completion bash)                     in ~/.bashrc
  smtpcred completion bash > /usr/share/bash-completion/completions/smtpcred
  smtpcred completion zsh > \"${fpath[1]}/_smtpcred\"
  smtpcred completion fish > ~/.config/fish/completions/smtpcred.fish

JSON:
  {text}";

/// Print the completion script for a shell
///
/// It completes commands, flags, and the names of domains and users in the store.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct Completion {
    /// The shell
    #[arg(value_enum, value_name = "bash|zsh|fish")]
    shell: Shell,
}

impl Completion {
    pub fn run(&self, context: &mut Context) -> Result<()> {
        let script = self.shell.script();
        let script = script.map_err(|e| Error::System(e.to_string()))?;
        Ok(context.out.text(&String::from_utf8_lossy(&script))?)
    }
}
