//! Where many new passwords go: a folder, or standard output.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::many::{ToFolder, ToStream};
use super::{BulkSink, RevealArgs, RevealForm, StreamForm};
use crate::app::App;
use crate::app::bulk::BatchSink;
use crate::cli::context::Context;
use crate::cli::password_folder::PasswordFolder;
use crate::cli::terminal::output::Output;
use crate::cli::terminal::stdout::SecretStdout;
use crate::error::{Error, Result};
use crate::model::name::Username;

/// Where many passwords go, opened and locked.
pub enum PasswordTarget {
    Folder(PasswordFolder, RevealForm),
    Stream(SecretStdout, StreamForm),
}

impl PasswordTarget {
    /// Opens what the flags name.
    pub fn open(reveal: &RevealArgs, folder: Option<&Path>, context: &Context) -> Result<Self> {
        let many = reveal.bulk_sink(context.out.format(), folder.is_some())?;
        Ok(match (many, folder) {
            (BulkSink::Folder(form), Some(path)) => {
                Self::Folder(context.password_folder(path)?, form)
            }
            (BulkSink::Stream(form), _) => Self::Stream(SecretStdout::open()?, form),
            (BulkSink::Folder(_), None) => {
                return Err(Error::NoFolder("there is no folder".into()));
            }
        })
    }

    /// Returns the folder, unless the passwords go to standard output.
    pub const fn folder(&self) -> Option<&PasswordFolder> {
        match self {
            Self::Folder(folder, _) => Some(folder),
            Self::Stream(..) => None,
        }
    }

    /// Fails early if the disk has no room for this many more files.
    pub fn check_room(&self, users: u64) -> Result<()> {
        match self {
            Self::Folder(folder, _) => folder.need_room(users),
            Self::Stream(..) => Ok(()),
        }
    }

    /// Fails early if a URL would lack its server.
    pub fn check_hosts<'a>(
        &self,
        mut app: Option<&mut App>,
        users: impl Iterator<Item = &'a Username>,
    ) -> Result<()> {
        if !matches!(self, Self::Folder(_, RevealForm::Url)) {
            return Ok(());
        }
        let domains: BTreeSet<_> = users.map(Username::domain).collect();
        for domain in domains {
            let host = match app.as_deref_mut() {
                Some(app) => app.server_of(&domain)?.host,
                None => None,
            };
            if host.is_none() {
                return Err(Error::HostNotSet("--reveal url"));
            }
        }
        Ok(())
    }

    /// Returns the sink; `done` is what is done with the users, as a participle.
    pub fn into_sink(
        self,
        done: &'static str,
        out: &Output,
        stop: &Arc<AtomicBool>,
    ) -> Box<dyn BatchSink> {
        match self {
            Self::Folder(folder, form) => Box::new(ToFolder::new(folder, form)),
            Self::Stream(stdout, form) => {
                stdout.warn(
                    out,
                    "use --output-dir DIR to create files that only you can read",
                );
                Box::new(ToStream::new(form, done, stdout, stop.clone()))
            }
        }
    }
}
