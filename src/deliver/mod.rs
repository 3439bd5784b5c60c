//! Takes new passwords to whoever needs them: into files, to commands; and
//! proves them by a sign-in.

mod command;
mod file;
mod left;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use self::file::Part;
use self::left::Left;
use crate::app::rotation::{Arrival, Courier, Found, Parcel};
use crate::error::Result;
use crate::model::delivery::{Delivery, VariableName};
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
        if let Err(arrival) = self.write_files(parcel) {
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

    fn found(&self, delivery: &Delivery, username: &Username) -> Vec<(PathBuf, Found)> {
        let found = places(delivery, username).filter_map(|(path, part)| {
            let password = file::password_in(&path, part)?;
            Some((path, password))
        });
        found.collect()
    }

    fn refuses(&self, delivery: &Delivery, username: &Username) -> Vec<String> {
        let left = self.left(username);
        let places = places(delivery, username);
        let refused = places.map(|(path, part)| file::refuses(&path, part, &left));
        refused.flatten().collect()
    }

    fn settled(&self, delivery: &Delivery, username: &Username) {
        let left = self.left(username);
        for (path, _) in places(delivery, username) {
            file::settled(&path, &left);
        }
    }

    fn real(&self, path: &Path) -> PathBuf {
        file::real(path)
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

    fn left<'a>(&'a self, username: &'a Username) -> Left<'a> {
        Left {
            store_id: self.store_id.as_deref(),
            username,
        }
    }

    /// All or, where the first fails, none of them.
    fn write_files(&self, parcel: &Parcel) -> std::result::Result<(), Arrival> {
        let credential = &parcel.credential;
        let left = self.left(&credential.username);
        let new = parcel.new_user.then_some((&left, &credential.key));
        let mut written = false;
        for (path, part) in places(&parcel.delivery, &credential.username) {
            if let Err(failed) = file::write(&path, part, credential.password.expose(), new) {
                let reason = format!("{}: {}", path.display(), failed.error);
                return Err(if written || failed.replaced {
                    Arrival::Unknown(reason)
                } else {
                    Arrival::Not(reason)
                });
            }
            written = true;
        }
        Ok(())
    }
}

/// Its files.
fn places<'a>(
    delivery: &'a Delivery,
    username: &Username,
) -> impl Iterator<Item = (PathBuf, Part<'a>)> {
    let name = delivery.env_name.as_ref();
    let name = name.map_or(VariableName::DEFAULT, VariableName::as_str);
    let whole = delivery.write_file.iter().map(|path| (path, Part::Whole));
    let line = delivery.write_env.iter();
    let line = line.map(move |path| (path, Part::Variable(name)));
    let places = whole.chain(line);
    let places: Vec<_> = places
        .map(|(path, part)| (PathBuf::from(path.of(username)), part))
        .collect();
    places.into_iter()
}
