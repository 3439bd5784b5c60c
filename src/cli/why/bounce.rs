//! What `why` tells of the last message that bounced.

use serde::Serialize;

use crate::app::messages::bounce::Bounce;
use crate::cli::terminal::column::Cell;
use crate::model::text::{escaped, in_shell};
use crate::model::time::Time;

/// A message that was not delivered.
#[derive(Serialize)]
pub struct BounceRecord {
    queue_id: String,
    at: Time,
    address: Option<String>,
    dsn: Option<String>,
    reply: Option<String>,
    meaning: Option<&'static str>,
    next: Vec<String>,
}

impl BounceRecord {
    pub fn new(bounce: Bounce, domain: &str) -> Self {
        let mut next = vec![format!(
            "smtpcred messages show {}",
            in_shell(&bounce.queue_id)
        )];
        if bounce.is_about_dns() {
            next.push(format!("smtpcred domain check {}", in_shell(domain)));
        }
        Self {
            meaning: bounce.meaning(),
            queue_id: bounce.queue_id,
            at: bounce.at,
            address: bounce.address,
            dsn: bounce.dsn,
            reply: bounce.reply,
            next,
        }
    }

    /// Returns the line for people.
    pub fn line(&self, now: Time) -> (&'static str, Cell) {
        let to = self
            .address
            .as_ref()
            .map(|address| format!(" to {address}"));
        let reply = self.reply.as_ref().map(|reply| format!(": {reply}"));
        let meaning = self.meaning.map(|meaning| format!(" ({meaning})"));
        let first = format!(
            "{} ago{}{}{}",
            now.since(self.at),
            to.unwrap_or_default(),
            reply.unwrap_or_default(),
            meaning.unwrap_or_default()
        );
        let lines = [escaped(&first)]
            .into_iter()
            .chain(self.next.iter().cloned());
        ("Last bounce", lines.collect::<Vec<_>>().join("\n").into())
    }
}
