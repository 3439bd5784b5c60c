//! Takes new passwords to whoever needs them: into files, to commands; and
//! proves them by a sign-in.

mod command;
mod file;

use std::collections::HashSet;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::app::rotation::{Arrival, Courier, Parcel};
use crate::error::Result;
use crate::model::delivery::Delivery;
use crate::model::name::Username;
use crate::model::password::KeyId;
use crate::model::server::Server;
use crate::smtp;

/// Whether a new password is proven, and where.
#[derive(Clone, Debug)]
pub enum Prove {
    No,
    AtItsServer,
    /// At another one than applications are told.
    At(Server),
}

pub struct Carrier {
    pub prove: Prove,
    /// By which commands of a run that was killed are known again.
    pub store_id: Option<String>,
}

impl Courier for Carrier {
    fn deliver(
        &self,
        parcel: &Parcel,
        handing: &mut dyn FnMut() -> Result<()>,
        said: &mut dyn FnMut(String),
    ) -> Arrival {
        let delivery = &parcel.delivery;
        let files = delivery.write_file.is_some() || delivery.write_env.is_some();
        if files && delivery.command.is_some() {
            // A file with the password in it can be looked into later; whether the
            // command ran, too, cannot.
            if let Err(error) = handing() {
                return Arrival::Not(error.to_string());
            }
        }
        if let Err(arrival) = write_files(parcel) {
            return arrival;
        }
        if let Some(command) = &delivery.command {
            let mut variables = command::variables(parcel);
            variables.extend(self.store_id.clone().map(|id| (command::STORE_ID, id)));
            let arrival = command::run(command, parcel, variables, files, handing, said);
            if arrival != Arrival::Arrived {
                return arrival;
            }
        }
        match self.prove(parcel) {
            Ok(()) => Arrival::Arrived,
            Err(reason) => Arrival::Unknown(format!(
                "it was delivered, and signing in with it failed: {reason}"
            )),
        }
    }

    fn found(&self, delivery: &Delivery, username: &Username) -> Vec<Zeroizing<Vec<u8>>> {
        let name = delivery.env_name.clone().unwrap_or_default();
        let whole = delivery.write_file.as_ref();
        let line = delivery.write_env.as_ref();
        let whole = whole.and_then(|path| file::password_in(&PathBuf::from(path.of(username))));
        let line = line
            .and_then(|path| file::variable_in(&PathBuf::from(path.of(username)), name.as_str()));
        whole.into_iter().chain(line).collect()
    }

    fn is_delivering(&self, key: &KeyId) -> Option<bool> {
        command::is_running(key)
    }

    fn under_way(&self) -> HashSet<String> {
        let store_id = self.store_id.as_deref();
        store_id.map(command::running_for).unwrap_or_default()
    }
}

impl Carrier {
    fn prove(&self, parcel: &Parcel) -> std::result::Result<(), String> {
        let credential = &parcel.credential;
        let server = match &self.prove {
            Prove::No => return Ok(()),
            Prove::At(server) => server.clone(),
            Prove::AtItsServer => {
                let connection = &credential.connection;
                let host = connection.host.clone();
                let host = host.ok_or("no server name is set: smtpcred set-settings --host …")?;
                let port = connection.ports.recommended();
                Server { host, port }
            }
        };
        smtp::sign_in(&server, &credential.username, &credential.password)
    }
}

/// All or, where the first fails, none of them.
fn write_files(parcel: &Parcel) -> std::result::Result<(), Arrival> {
    let delivery = &parcel.delivery;
    let credential = &parcel.credential;
    let password = credential.password.expose();
    let mut written = false;
    let failed = |path: &str, failed: file::Failed, written: bool| {
        let reason = format!("{path}: {}", failed.error);
        Err(if written || failed.replaced {
            Arrival::Unknown(reason)
        } else {
            Arrival::Not(reason)
        })
    };
    if let Some(path) = &delivery.write_file {
        let path = path.of(&credential.username);
        if let Err(error) = file::write_password(&PathBuf::from(&path), password) {
            return failed(&path, error, written);
        }
        written = true;
    }
    if let Some(path) = &delivery.write_env {
        let path = path.of(&credential.username);
        let name = delivery.env_name.clone().unwrap_or_default();
        if let Err(error) = file::write_variable(&PathBuf::from(&path), name.as_str(), password) {
            return failed(&path, error, written);
        }
    }
    Ok(())
}
