//! `smtpcred audit export`

use std::io::Write as _;

use anyhow::Result;
use clap::Args;

use super::which::EventArgs;
use crate::app::archive::ExportedEvent;
use crate::app::audit::Which;
use crate::cli::context::Context;
use crate::cli::terminal::stream::{json_error, write_error};
use crate::store::Access;

const HELP: &str = "\
Examples:
  smtpcred audit export > events.jsonl
  smtpcred audit export --since 2026-11-01 --until 2026-12-01 | gzip > events.jsonl.gz
  smtpcred audit export --action user.delete | jq -r .username

Output:
  One JSON document on each line, whatever the format, oldest first: {id, at, actor, run_as, host,
  action, domain, username, fields, hash}, as in audit list, with the hash of the event and of the one
  before it (see audit verify).";

/// Print events as JSON lines, with their hashes, oldest first
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct ExportEvents {
    #[command(flatten)]
    events: EventArgs,
}

impl ExportEvents {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let (filter, period) = self.events.filter();
        let stdout = &mut context.out.stdout;
        app.list_events(filter, period, Which::After(0, None), &mut |event| {
            serde_json::to_writer(&mut *stdout, &ExportedEvent::from(event)).map_err(json_error)?;
            stdout.write_all(b"\n").map_err(|e| write_error(&e))
        })?;
        Ok(context.out.finish()?)
    }
}
