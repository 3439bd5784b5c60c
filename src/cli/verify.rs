//! `smtpcred verify`

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::output::Record;
use super::password_input::existing_password;
use super::{Context, complete, help};
use crate::app::sign_in::{Verdict, Why};
use crate::error::{Error, Exit};
use crate::model::name::Username;
use crate::store::Access;

/// Check a password against the store
///
/// The password comes on stdin, or from you at a terminal. Exits with 0 if it lets the user sign
/// in, 6 if it is wrong, 3 if there is no such user, 4 if it is right and the user is suspended or
/// expired, and 75 if that cannot be told.
#[derive(Debug, Args)]
#[command(after_long_help = help::VERIFY)]
pub struct Verify {
    /// Which user
    #[arg(value_name = "USERNAME", add = complete::usernames())]
    username: Username,
}

impl Verify {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let password = existing_password()?;
        let verdict = context
            .app(Access::Existing)
            .and_then(|mut app| app.verify(&self.username, &password))
            .map_err(cannot_tell)?;
        let username = self.username.to_string();
        match verdict {
            Verdict::Right { key, status } if status.can_sign_in() => {
                context
                    .out
                    .note(&format!("right: {username} can sign in (key {key})"));
                let key_id = key.to_string();
                Ok(context.out.result(&VerdictRecord { username, key_id })?)
            }
            Verdict::Right { status, .. } => Err(Error::CannotSignIn {
                username,
                status: status.name(),
            }
            .into()),
            Verdict::Wrong(why) => {
                match why {
                    Why::Unknown => {}
                    Why::Mistyped => context
                        .out
                        .warn("it looks like a generated password that was mistyped or cut off"),
                    Why::Stopped(key) => context.out.warn(&format!(
                        "it is an old password of {username} (key {key}), which has stopped"
                    )),
                }
                Err(Error::WrongPassword(username).into())
            }
        }
    }
}

/// Whatever keeps us from looking is no answer, and may pass.
fn cannot_tell(error: Error) -> Error {
    match error.exit() {
        Exit::Failed | Exit::Refused => Error::CannotTell(Box::new(error)),
        _ => error,
    }
}

#[derive(Serialize)]
struct VerdictRecord {
    username: String,
    key_id: String,
}

impl Record for VerdictRecord {
    const COLUMNS: &'static [&'static str] = Self::FIELDS;

    fn cells(&self) -> Vec<String> {
        self.fields()
    }

    const FIELDS: &'static [&'static str] = &["username", "key_id"];

    fn fields(&self) -> Vec<String> {
        vec![self.username.clone(), self.key_id.clone()]
    }
}
