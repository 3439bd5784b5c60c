//! The flags for rotation that users, domains and the installation share, and their output.

use clap::Args;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::model::delivery::{CommandLine, PathTemplate, VariableName};
use crate::model::duration::Duration;
use crate::model::rotation::{RotationRules, RulesChange, Unfinished, WaysOut};
use crate::model::setting::Setting;
use crate::model::text::quoted;
use crate::model::time::Time;
use crate::model::user::User;

/// The flags for where a new password is delivered.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Where a new password is delivered to")]
pub struct DeliveryArgs {
    /// Run this command without a shell, with the password on its standard input; exit code 0 means
    /// that the password has arrived
    #[arg(long, value_name = "CMD", allow_hyphen_values = true)]
    pub deliver: Option<Setting<CommandLine>>,

    /// Give the command this long; 60s by default
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub deliver_timeout: Option<Setting<Duration>>,

    /// Write the password to this file; {username} and {domain} are filled in
    #[arg(long, value_name = "FILE")]
    pub write_file: Option<Setting<PathTemplate>>,

    /// Set a variable in this file and keep its other lines
    #[arg(long, value_name = "FILE")]
    pub write_env: Option<Setting<PathTemplate>>,

    /// Name the variable; SMTP_PASSWORD by default
    #[arg(long, value_name = "NAME")]
    pub env_name: Option<Setting<VariableName>>,
}

/// The flags for the rules of rotation that are stored.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Rotation")]
pub struct RotationArgs {
    /// Let `user rotate --due` replace passwords older than this; or none
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    rotate_every: Option<Setting<Duration>>,

    #[command(flatten)]
    delivery: DeliveryArgs,
}

impl DeliveryArgs {
    /// Returns the change of the rules. Paths become absolute.
    pub fn change(self) -> Result<RulesChange> {
        Ok(RulesChange {
            every: None,
            command: self.deliver,
            write_file: self.write_file.map(absolute).transpose()?,
            write_env: self.write_env.map(absolute).transpose()?,
            env_name: self.env_name,
            timeout: self.deliver_timeout,
        })
    }
}

impl RotationArgs {
    /// Returns the change for one user.
    pub fn change(self) -> Result<RulesChange> {
        Ok(RulesChange {
            every: self.rotate_every,
            ..self.delivery.change()?
        })
    }

    /// Returns the change for many users. Fails if they would share a file.
    pub fn change_for_many(self) -> Result<RulesChange> {
        let change = self.change()?;
        let mut rules = RotationRules::default();
        rules.change(&change);
        match rules.delivery.shared_file() {
            Some(path) => Err(Error::Usage(format!(
                "all users would share {path}; add {{username}} to its name"
            ))),
            None => Ok(change),
        }
    }
}

/// Makes a path absolute: the next rotation may run in another folder.
fn absolute(path: Setting<PathTemplate>) -> Result<Setting<PathTemplate>> {
    let Setting::Some(path) = path else {
        return Ok(path);
    };
    let text = path.to_string();
    let whole = std::path::absolute(&text)
        .map_err(|error| Error::System(format!("{}: {error}", quoted(&text))))?;
    let whole = whole.to_string_lossy();
    Ok(Setting::Some(whole.parse()?))
}

/// The rules of rotation as they are printed; null where they are not set.
#[derive(Serialize)]
pub struct RulesRecord {
    rotate_every_seconds: Option<i64>,
    delivery: Option<DeliveryRecord>,
    #[serde(skip)]
    text: String,
}

#[derive(Serialize)]
struct DeliveryRecord {
    command: Option<Vec<String>>,
    write_file: Option<String>,
    write_env: Option<String>,
    env_name: Option<String>,
    timeout_seconds: i64,
}

impl RulesRecord {
    pub fn new(rules: &RotationRules) -> Self {
        let delivery = &rules.delivery;
        let path = |path: &Option<PathTemplate>| path.as_ref().map(ToString::to_string);
        let env_name = delivery.write_env.as_ref().map(|_| {
            let name = delivery.env_name.clone().unwrap_or_default();
            name.as_str().to_owned()
        });
        let record = DeliveryRecord {
            command: delivery.command.as_ref().map(|c| c.words().to_vec()),
            write_file: path(&delivery.write_file),
            write_env: path(&delivery.write_env),
            env_name,
            timeout_seconds: delivery.timeout().seconds(),
        };
        let every = rules.every.map(|every| format!("every {every}"));
        let to = (!delivery.is_empty()).then(|| delivery.to_string());
        let text: Vec<_> = every.into_iter().chain(to).collect();
        Self {
            rotate_every_seconds: rules.every.map(Duration::seconds),
            delivery: (!delivery.is_empty()).then_some(record),
            text: text.join("\n"),
        }
    }

    /// Returns the rules for people, one line for each part, or "none".
    pub fn text(&self) -> String {
        if self.text.is_empty() {
            return "none".into();
        }
        self.text.clone()
    }
}

/// A rotation whose outcome is unknown, as it is printed.
#[derive(Serialize)]
pub struct UnfinishedRecord {
    password_id: Option<String>,
    reason: String,
    began_at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    ways_out: Option<WaysOut>,
}

impl UnfinishedRecord {
    /// Returns it with the ways out for its user.
    pub fn of(unfinished: &Unfinished, user: &User, now: Time) -> Self {
        Self {
            ways_out: Some(unfinished.ways_out(user, now)),
            ..Self::new(unfinished)
        }
    }

    pub fn new(unfinished: &Unfinished) -> Self {
        Self {
            password_id: unfinished.password_id.as_ref().map(ToString::to_string),
            reason: unfinished.reason().to_owned(),
            began_at: unfinished.began_at,
            ways_out: None,
        }
    }

    /// Returns why it is unfinished.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns it for people, with each way out on a line.
    pub fn text(&self) -> String {
        let what = match &self.password_id {
            Some(password_id) => format!(
                "unfinished: {} (new password ID {password_id})",
                self.reason
            ),
            None => format!("unfinished: {}", self.reason),
        };
        match &self.ways_out {
            Some(ways_out) => format!("{what}\n{}", ways_out.lines()),
            None => what,
        }
    }
}
