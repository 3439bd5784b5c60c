//! Places of passwords as they are printed.

use serde::Serialize;

use crate::app::scan::{Leak, LeakState};
use crate::cli::terminal::column::{Cell, Column, TimeForm, Tone};
use crate::cli::terminal::record::Record;
use crate::model::time::Time;
use crate::model::user::Status;
use crate::scan::Place;

/// A place where a password is.
#[derive(Serialize)]
pub struct PlaceRecord<'a> {
    file: &'a str,
    line: Option<u64>,
    commit: Option<&'a str>,
    username: Option<&'a str>,
    password_id: &'a str,
    state: &'static str,
    user_status: Option<&'static str>,
    until: Option<Time>,
    #[serde(skip)]
    kind: LeakState,
    #[serde(skip)]
    can_sign_in: bool,
}

impl<'a> PlaceRecord<'a> {
    pub fn new(place: &'a Place, leak: &'a Leak) -> Self {
        let status = leak.user.as_ref().map(|(_, status)| *status);
        Self {
            file: &place.file,
            line: place.line,
            commit: place.commit.as_deref(),
            username: leak.user.as_ref().map(|(username, _)| username.as_str()),
            password_id: leak.password_id.as_str(),
            state: leak.state.name(),
            user_status: status.map(Status::name),
            until: leak.until,
            kind: leak.state,
            can_sign_in: status.is_some_and(Status::can_sign_in),
        }
    }

    fn place(&self) -> String {
        match self.line {
            Some(line) => format!("{}:{line}", self.file),
            None => self.file.to_owned(),
        }
    }

    fn state_cell(&self) -> Cell {
        let tone = match self.kind {
            LeakState::Works if self.can_sign_in => Tone::Bad,
            LeakState::Works | LeakState::Overlap => Tone::Warning,
            LeakState::Stopped => Tone::Good,
            LeakState::Unknown => Tone::Dim,
        };
        match self.user_status {
            Some(status) if self.kind.is_live() && !self.can_sign_in => {
                Cell::new(format!("{}, {status}", self.state), tone)
            }
            _ => Cell::new(self.state, tone),
        }
    }
}

impl Record for PlaceRecord<'_> {
    const COLUMNS: &'static [Column] = &[
        Column::new("Place"),
        Column::new("Commit").rank(1).if_any(),
        Column::new("Username"),
        Column::new("Password ID").rank(2),
        Column::new("State"),
        Column::new("Until").on_request().times(TimeForm::Near),
    ];

    fn cells(&self) -> Vec<Cell> {
        /// Enough for Git to find it in any repository.
        const SHORT: usize = 12;
        let commit = self
            .commit
            .map(|commit| commit.get(..SHORT).unwrap_or(commit).to_owned());
        vec![
            self.place().into(),
            commit.into(),
            Cell::or(self.username, "-"),
            self.password_id.into(),
            self.state_cell(),
            self.until.map(|until| until.to_string()).into(),
        ]
    }

    const FIELDS: &'static [&'static str] = &[
        "file",
        "line",
        "commit",
        "username",
        "password_id",
        "state",
        "user_status",
        "until",
    ];

    fn fields(&self) -> Vec<String> {
        let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
        vec![
            self.file.to_owned(),
            self.line.map_or(String::new(), |line| line.to_string()),
            owned(self.commit),
            owned(self.username),
            self.password_id.to_owned(),
            self.state.to_owned(),
            owned(self.user_status),
            self.until.map_or(String::new(), |until| until.to_string()),
        ]
    }
}
