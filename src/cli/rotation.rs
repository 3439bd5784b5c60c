//! The flags about rotation that users, domains and the installation share, and
//! how what they say is printed.

use clap::Args;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::model::delivery::{CommandLine, PathTemplate, VariableName};
use crate::model::duration::Duration;
use crate::model::rotation::{RotationRules, RulesChange, Unfinished};
use crate::model::settings::Setting;
use crate::model::text::quoted;
use crate::model::time::Time;

/// Where a new password goes.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Where a new password is delivered to")]
pub struct DeliveryArgs {
    /// Run this with the password on its standard input; no shell reads it, exit code 0 means that
    /// it has arrived
    #[arg(long, value_name = "CMD", allow_hyphen_values = true)]
    pub deliver: Option<Setting<CommandLine>>,

    /// How long that may take; 60s by default
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub deliver_timeout: Option<Setting<Duration>>,

    /// Write it to this file, in which {username} and {domain} may stand
    #[arg(long, value_name = "FILE")]
    pub write_file: Option<Setting<PathTemplate>>,

    /// Set a variable in this file, and keep its other lines
    #[arg(long, value_name = "FILE")]
    pub write_env: Option<Setting<PathTemplate>>,

    /// The name of that variable; SMTP_PASSWORD by default
    #[arg(long, value_name = "NAME")]
    pub env_name: Option<Setting<VariableName>>,
}

/// What is stored about rotation.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Rotation")]
pub struct RotationArgs {
    /// How old a password may get before `user rotate --due` replaces it, or none
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    rotate_every: Option<Setting<Duration>>,

    #[command(flatten)]
    delivery: DeliveryArgs,
}

impl DeliveryArgs {
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
    /// Of one user.
    pub fn change(self) -> Result<RulesChange> {
        Ok(RulesChange {
            every: self.rotate_every,
            ..self.delivery.change()?
        })
    }

    /// Of many users, who cannot share a file.
    pub fn change_for_many(self) -> Result<RulesChange> {
        let change = self.change()?;
        let mut rules = RotationRules::default();
        rules.change(&change);
        match rules.delivery.shared_file() {
            Some(path) => Err(Error::Usage(format!(
                "all users would share {path}: it needs {{username}} in it"
            ))),
            None => Ok(change),
        }
    }
}

/// The folder that a rotation runs in is another one tomorrow.
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

/// As it is printed. Nothing where nothing is said.
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

    /// For people, a line for each part.
    pub fn text(&self) -> String {
        if self.text.is_empty() {
            return "none".into();
        }
        self.text.clone()
    }
}

#[derive(Serialize)]
pub struct UnfinishedRecord {
    key_id: Option<String>,
    reason: String,
    began_at: Time,
}

impl UnfinishedRecord {
    pub fn new(unfinished: &Unfinished) -> Self {
        Self {
            key_id: unfinished.key.as_ref().map(ToString::to_string),
            reason: unfinished.reason().to_owned(),
            began_at: unfinished.began_at,
        }
    }

    pub fn text(&self) -> String {
        match &self.key_id {
            Some(key) => format!("unfinished: {} (new key {key})", self.reason),
            None => format!("unfinished: {}", self.reason),
        }
    }
}
