//! `smtpcred verify`

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::args::password::existing_password;
use super::complete;
use super::context::Context;
use super::terminal::record::Record;
use crate::app::verify::{PasswordVerdict, WrongPassword};
use crate::error::{Error, Exit};
use crate::model::name::Username;
use crate::store::Access;

const HELP: &str = "\
Examples:
  smtpcred verify shop@example.com                       asks for the password, hidden
  smtpcred verify shop@example.com < /root/shop.password
  printf %s \"$PW\" | smtpcred verify shop@example.com --quiet && echo right

JSON:
  {username, password_id} if the password is right. Otherwise an error: wrong_password,
  user_not_found, cannot_sign_in, or why the password cannot be checked.";

/// Check a password against the store
///
/// Reads the password from stdin, or asks for it on a terminal. Exits with 0 if the user can sign in
/// with it, 6 if it is wrong, 3 if there is no such user, 4 if it is right but the user is suspended
/// or expired, and 75 if it cannot be checked.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct VerifyPassword {
    /// The user
    #[arg(value_name = "USERNAME", add = complete::usernames())]
    username: Username,
}

impl VerifyPassword {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let password = existing_password(None)?;
        let verdict = context
            .app(Access::Existing)
            .and_then(|mut app| app.verify(&self.username, &password))
            .map_err(cannot_tell)?;
        let username = self.username.to_string();
        match verdict {
            PasswordVerdict::Right {
                password_id,
                status,
            } if status.can_sign_in() => {
                context.out.note(&format!(
                    "right: {username} can sign in (password ID {password_id})"
                ));
                let password_id = password_id.to_string();
                Ok(context.out.result(&VerdictRecord {
                    username,
                    password_id,
                })?)
            }
            PasswordVerdict::Right { status, .. } => Err(Error::CannotSignIn {
                username,
                status: status.name(),
            }
            .into()),
            PasswordVerdict::Wrong(why) => {
                match why {
                    WrongPassword::Unknown => {}
                    WrongPassword::Mistyped => context
                        .out
                        .warn("it looks like a generated password that was mistyped or truncated"),
                    WrongPassword::Stopped(password_id) => context.out.warn(&format!(
                        "it is an old password of {username} (password ID {password_id}), which no longer works"
                    )),
                }
                Err(Error::WrongPassword(username).into())
            }
        }
    }
}

/// Returns the error of a check that could not be made, which may pass.
fn cannot_tell(error: Error) -> Error {
    match error.exit() {
        Exit::Failed | Exit::Refused => Error::CannotTell(Box::new(error)),
        _ => error,
    }
}

#[derive(Serialize)]
struct VerdictRecord {
    username: String,
    password_id: String,
}

impl Record for VerdictRecord {
    const FIELDS: &'static [&'static str] = &["username", "password_id"];

    fn fields(&self) -> Vec<String> {
        vec![self.username.clone(), self.password_id.clone()]
    }
}
