//! `smtpcred serve --check`: whether a running `serve` answers, and can read its store.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use super::context::Context;
use super::terminal::column::{Cell, Column, Tone};
use super::terminal::record::Record;
use crate::doctor::{self, ServeSocket, SocketState};
use crate::error::{Error, Exit};
use crate::store::Access;

/// Asks these sockets, or else the default ones that exist, and shows the answers; then reads the
/// store, because a `serve` that cannot read it still greets its clients. Fails unless all answer.
pub fn run<'a>(
    context: &mut Context,
    auth: impl Iterator<Item = &'a Path>,
    policy: impl Iterator<Item = &'a Path>,
    listen: &[SocketAddr],
) -> Result<()> {
    let mut found = doctor::named_sockets(auth, policy, listen);
    if found.is_empty() {
        found = doctor::serve_sockets(None, None);
    }
    let mut list = context.out.list::<AnswerRecord>();
    for socket in &found {
        list.push(&AnswerRecord::new(socket))?;
    }
    list.end("serve has no sockets here")?;
    let good = |socket: &ServeSocket| socket.state == SocketState::Answers;
    if found.is_empty() || !found.iter().all(good) {
        return Err(Error::Answered(Exit::Failed).into());
    }
    context.app(Access::Existing)?.settings()?;
    Ok(())
}

/// A socket and its answer.
#[derive(Serialize)]
struct AnswerRecord<'a> {
    name: &'a str,
    path: &'a str,
    answers: bool,
    found: Option<&'a str>,
}

impl<'a> AnswerRecord<'a> {
    fn new(socket: &'a ServeSocket) -> Self {
        let found = match &socket.state {
            SocketState::Answers => None,
            SocketState::Silent(what) => Some(what.as_str()),
            SocketState::Unknown => Some("this user cannot connect to it"),
        };
        Self {
            name: socket.name,
            path: &socket.path,
            answers: found.is_none(),
            found,
        }
    }
}

impl Record for AnswerRecord<'_> {
    const COLUMNS: &'static [Column] = &[
        Column::new(""),
        Column::new("Socket"),
        Column::new("Path"),
        Column::new("Found").wrap(16),
    ];

    fn cells(&self) -> Vec<Cell> {
        let state = match self.found {
            None => Cell::new("ok", Tone::Good),
            Some(_) => Cell::new("FAIL", Tone::Bad),
        };
        let found = self.found.unwrap_or("answers");
        vec![state, self.name.into(), self.path.into(), found.into()]
    }

    const FIELDS: &'static [&'static str] = &["name", "path", "answers", "found"];

    fn fields(&self) -> Vec<String> {
        vec![
            self.name.to_owned(),
            self.path.to_owned(),
            self.answers.to_string(),
            self.found.unwrap_or_default().to_owned(),
        ]
    }
}
