//! Delivers new passwords into files and to commands, and proves them by signing in.

pub mod alert;
mod command;
mod content;
mod env_file;
mod file;
mod leftover;
mod local_mail;
pub mod mask;
pub mod owner;
pub mod report;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use self::mask::Mask;
use self::owner::{FileAction, FileTask, NewUserRef};
use crate::app::credential::Credential;
use crate::app::rotation::{Deliverer, Delivery, DeliveryObstacle, DeliveryResult, FilePassword};
use crate::error::Result;
use crate::model::delivery::{Destination, VariableName};
use crate::model::host_port::HostPort;
use crate::model::name::Username;
use crate::model::password::PasswordId;
use crate::smtp;

/// Whether a delivered password is proven by signing in with it, and where.
#[derive(Clone, Debug)]
pub enum Prove {
    /// No proof.
    No,
    /// At the server that applications are told to use.
    AtItsServer,
    /// At another server.
    At(HostPort),
}

/// Delivers on this machine.
pub struct SystemDeliverer {
    /// How passwords are proven.
    pub prove: Prove,
    /// Identifies the commands of a killed run.
    pub store_id: Option<String>,
}

impl Deliverer for SystemDeliverer {
    fn deliver(
        &self,
        delivery: &Delivery,
        on_handover: &mut dyn FnMut() -> Result<()>,
        on_output: &mut dyn FnMut(String),
    ) -> DeliveryResult {
        let destination = &delivery.destination;
        let mask = self.mask(delivery);
        let files = destination.write_file.is_some() || destination.write_env.is_some();
        if files && destination.command.is_some() {
            // Files can be inspected later; whether the command ran, too, cannot.
            if let Err(error) = on_handover() {
                return DeliveryResult::NotDelivered(error.to_string());
            }
        }
        if let Err(result) = self.write_files(delivery, on_output) {
            return result;
        }
        if let Some(command) = &destination.command {
            let mut variables = command::variables(delivery);
            variables.extend(self.store_id.clone().map(|id| (command::STORE_ID, id)));
            let result = command::run(
                command,
                delivery,
                variables,
                files,
                &mask,
                on_handover,
                on_output,
            );
            if result != DeliveryResult::Delivered {
                return result;
            }
        }
        match self.prove(delivery) {
            Ok(()) => DeliveryResult::Delivered,
            Err(reason) => DeliveryResult::Unknown(format!(
                "it was delivered, but signing in with it failed: {reason}"
            )),
        }
    }

    fn passwords_in(
        &self,
        destination: &Destination,
        username: &Username,
    ) -> Vec<(PathBuf, FilePassword)> {
        let found = files(destination, username).filter_map(|(path, variable)| {
            let password = task(&path, variable, FileAction::Read).run("").password()?;
            Some((path, password))
        });
        found.collect()
    }

    fn obstacles(
        &self,
        destination: &Destination,
        username: &Username,
        new_user: bool,
    ) -> Vec<DeliveryObstacle> {
        let files = files(destination, username).filter_map(|(path, variable)| {
            let new = new_user.then(|| self.new_user(username, None));
            let found = task(&path, variable, FileAction::Check(new)).run("");
            let error = found.error?;
            Some(DeliveryObstacle {
                reason: format!("{}: {error}", path.display()),
                may_pass: found.may_pass,
            })
        });
        let command = destination.command.as_ref().and_then(command::obstacle);
        let command = command.map(|reason| DeliveryObstacle {
            reason,
            may_pass: true,
        });
        files.chain(command).collect()
    }

    fn needs_server_name(&self) -> bool {
        matches!(self.prove, Prove::AtItsServer)
    }

    fn confirm_user(&self, destination: &Destination, username: &Username) {
        for (path, variable) in files(destination, username) {
            let action = FileAction::Confirm(self.new_user(username, None));
            task(&path, variable, action).run("");
        }
    }

    fn withdraw(&self, destination: &Destination, username: &Username, password_id: &PasswordId) {
        for (path, variable) in files(destination, username) {
            let action = FileAction::Withdraw(self.new_user(username, Some(password_id)));
            // If this fails, the note stays, and the next run overwrites the password.
            task(&path, variable, action).run("");
        }
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        let resolved = task(path, None, FileAction::Resolve).run("").path;
        resolved.unwrap_or_else(|| path.to_owned())
    }

    fn is_delivering(&self, password_id: &PasswordId) -> Option<bool> {
        command::is_running(password_id)
    }

    fn users_in_delivery(&self) -> HashSet<String> {
        let store_id = self.store_id.as_deref();
        store_id.map(command::running_for).unwrap_or_default()
    }
}

impl SystemDeliverer {
    fn prove(&self, delivery: &Delivery) -> std::result::Result<(), String> {
        let credential = &delivery.credential;
        let server = match &self.prove {
            Prove::No => return Ok(()),
            Prove::At(server) => server.clone(),
            Prove::AtItsServer => {
                let server = &credential.server;
                let host = server.host.clone();
                let host =
                    host.ok_or("no server name is set: smtpcred set-settings --host HOST")?;
                let port = server.ports.recommended();
                HostPort { host, port }
            }
        };
        smtp::sign_in(&server, &credential.username, &credential.password)
    }

    /// Masks what the files hold now as well, so this comes before they are written.
    fn mask(&self, delivery: &Delivery) -> Mask {
        let Credential {
            username, password, ..
        } = &delivery.credential;
        let before = self.passwords_in(&delivery.destination, username);
        let before: Vec<FilePassword> = before.into_iter().map(|(_, held)| held).collect();
        Mask::new(password.expose(), &before, delivery.old_password_id.clone())
    }

    fn new_user(&self, username: &Username, password_id: Option<&PasswordId>) -> NewUserRef {
        NewUserRef {
            store_id: self.store_id.clone(),
            username: username.to_string(),
            password_id: password_id.map(ToString::to_string),
        }
    }

    /// Writes all files, up to the first that fails.
    fn write_files(
        &self,
        delivery: &Delivery,
        on_output: &mut dyn FnMut(String),
    ) -> std::result::Result<(), DeliveryResult> {
        let credential = &delivery.credential;
        let username = &credential.username;
        let mut written = false;
        for (path, variable) in files(&delivery.destination, username) {
            let new = delivery.new_user;
            let new = new.then(|| self.new_user(username, Some(&credential.password_id)));
            let action = FileAction::Write(new);
            let done = task(&path, variable, action).run(credential.password.expose());
            if let Some(error) = done.error {
                let reason = format!("{}: {error}", path.display());
                return Err(if written || done.may_be_written {
                    DeliveryResult::Unknown(reason)
                } else {
                    DeliveryResult::NotDelivered(reason)
                });
            }
            if let Some(mode) = done.mode.filter(|mode| mode & EVERYONE_READS != 0) {
                let mode = mode & 0o7777;
                let path = path.display();
                on_output(format!(
                    "everyone on this machine can read {path} (mode {mode:04o}): chmod o-rwx {path}"
                ));
            }
            written = true;
        }
        Ok(())
    }
}

const EVERYONE_READS: u32 = 0o004;

fn task(path: &Path, variable: Option<&str>, action: FileAction) -> FileTask {
    FileTask {
        path: path.to_owned(),
        variable: variable.map(str::to_owned),
        action,
    }
}

/// Returns the files of a user, each with the variable to set in it, if any.
fn files<'a>(
    destination: &'a Destination,
    username: &Username,
) -> impl Iterator<Item = (PathBuf, Option<&'a str>)> {
    let name = destination.env_name.as_ref();
    let name = name.map_or(VariableName::DEFAULT, VariableName::as_str);
    let whole = destination.write_file.iter().map(|path| (path, None));
    let line = destination.write_env.iter();
    let line = line.map(move |path| (path, Some(name)));
    let files: Vec<_> = whole
        .chain(line)
        .map(|(path, variable)| (PathBuf::from(path.of(username)), variable))
        .collect();
    files.into_iter()
}
