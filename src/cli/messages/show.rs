//! `smtpcred messages show`

use anyhow::Result;
use clap::Args;

use super::record::MessageRecord;
use crate::cli::context::Context;
use crate::cli::terminal::output::OutputFormat;
use crate::model::text::count;
use crate::store::Access;

const HELP: &str = "\
Examples:
  smtpcred messages show 4dXyz12AbCz
  smtpcred messages show 1vPabc-000000001Ab-2Cde --json

The id is the one that the client was told (250 2.0.0 Ok: queued as 4dXyz12AbCz), or one that the
message had later, for example behind a filter. Mail servers use short ids again: the newest message
with this id is shown.

JSON:
  As in `smtpcred messages list`. In CSV, a row is a recipient.";

/// Show the whole way of a message: each recipient, with times and replies
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct ShowMessage {
    /// Its id in the queue of the mail server
    #[arg(value_name = "ID")]
    id: String,
}

impl ShowMessage {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let mut app = context.app(Access::Existing)?;
        let mut messages = app.messages(&context.location()?)?;
        let (recorded, others) = app.message(&mut messages, self.id.trim())?;
        let mut record = MessageRecord::new(&recorded);
        if context.out.format() == OutputFormat::Csv {
            let mut list = context.out.list::<MessageRecord>();
            for row in 0..record.rows() {
                record.turn_to(row);
                list.push(&record)?;
            }
            list.end("")?;
        } else {
            context.out.one(&record)?;
        }
        if others > 0 {
            context.out.note(&format!(
                "{} had this id before",
                count(others as u64, "other message")
            ));
        }
        Ok(())
    }
}
