//! `smtpcred user copy`

use anyhow::Result;
use clap::Args;

use super::create;
use crate::cli::args::password::PasswordArgs;
use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::reveal::RevealArgs;
use crate::model::label::Label;
use crate::model::name::Username;
use crate::model::setting::Setting;
use crate::store::Access;

const HELP: &str = "\
Examples:
  smtpcred user copy shop@example.com blog@example.com
  smtpcred user copy shop@example.com blog@example.com --label \"Blog\" --output blog.password
  smtpcred user copy shop@example.com blog@example.com --reveal env >> blog.env

What is copied:
  Tags, limits, senders and the user's own rotation rules. If the user's own address is among its
  senders, the copy gets the new user's address instead. Without --label, \"WordPress\" becomes
  \"WordPress (blog)\". Not copied: passwords, the note, the expiry, a suspension, and a destination
  that only fits the copied user: a file without {username} in its name, or a command that contains
  the user's name.

JSON:
  As in `user create`.";

/// Create a user like another one, with a new password
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct CopyUser {
    /// The user to copy
    #[arg(value_name = "USERNAME", add = complete::usernames())]
    from: Username,

    /// The name of the new user
    #[arg(value_name = "NEW", value_parser = Username::of_new_user)]
    new: Username,

    /// Describe what the new user is for, or none
    #[arg(long, value_name = "TEXT")]
    label: Option<Setting<Label>>,

    #[command(flatten)]
    password: PasswordArgs,

    #[command(flatten)]
    reveal: RevealArgs,
}

impl CopyUser {
    pub fn run(self, context: &mut Context) -> Result<()> {
        let chosen = self.password.is_chosen()?;
        let mut sink = self.reveal.sink(&context.out, chosen)?;
        let mut app = context.app(Access::Existing)?;
        let copy = app.copy_of(&self.from, &self.new, self.label)?;
        create::create(
            context,
            &mut app,
            &copy.create,
            &self.password,
            &mut *sink,
            self.reveal.leaves_stdout(chosen),
        )?;
        if let Some(delivery) = copy.left_out {
            context.out.warn(&format!(
                "new passwords of {} go to {delivery}; this destination was not copied to {}; set one with: smtpcred user set {} --deliver …",
                self.from,
                self.new,
                self.new.in_shell()
            ));
        }
        Ok(())
    }
}
